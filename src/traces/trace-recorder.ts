/**
 * Writes a trace while it happens, line by line, in a format that is read again: what is there when
 * the writing stops is a trace.
 *
 * | format        | a line                  | order     | what it cannot say                      |
 * |---------------|-------------------------|-----------|-----------------------------------------|
 * | canonical-csv | a request               | of issue  | that a request failed: no latency then  |
 * | fio-iolog     | a request               | of issue  | returns; zeros are writes, and a FUA    |
 * |               |                         |           | write is one with a datasync behind it  |
 * | nbdkit-log    | an issue, and a return  | of events | nothing; one disk alone                 |
 *
 * A row of the canonical form has the time of its return, so rows wait until all before them have
 * returned: at most `PENDING_MAX`, after which the oldest is written without it. A request that is
 * longer than a trace can say is several, issued and returned at the same times.
 */
import { Fifo } from '../base/fifo.ts';
import { invariant } from '../base/invariant.ts';
import { RequestKind } from '../world/history.ts';
import { CANONICAL_HEADER, CANONICAL_OPS, CANONICAL_WIDE_TAIL } from './read-canonical.ts';
import { FIO_HEADER } from './read-fio-iolog.ts';
import { REQUEST_BYTES_MAX, TraceFlag } from './trace.ts';

export const RECORD_FORMATS = ['canonical-csv', 'fio-iolog', 'nbdkit-log'] as const;
export type RecordFormat = (typeof RECORD_FORMATS)[number];

export interface RecordedDisk {
  readonly name: string;
  readonly sizeBytes: number;
}

export interface RecorderParts {
  /** Devices of the trace, in the order of their numbers; one for `nbdkit-log`. */
  readonly disks: readonly RecordedDisk[];
  /** As long as it runs, from any zero. */
  readonly nowNs: () => number;
  /** What the clock on the wall says at the start, ms since 1970, UTC. */
  readonly startWallMs: number;
  /** Takes whole lines, each with its end. */
  readonly put: (lines: string) => void;
}

/** A request that was issued; whoever issued it keeps it until it ends. */
export class RecordedCall {
  readonly op: RequestKind;
  readonly device: number;
  readonly offset: number;
  readonly lengthBytes: number;
  readonly fua: boolean;
  readonly atNs: number;
  /** What of the request is beyond the longest one. */
  rest: RecordedCall | null = null;
  /** Its number among the requests. */
  id = 0;
  /** NaN: it has not returned, or nobody knows when. */
  endNs: number = Number.NaN;
  isOver = false;

  constructor(asked: AskedCall, offset: number, lengthBytes: number, atNs: number) {
    this.op = asked.op;
    this.device = asked.device;
    this.fua = asked.fua;
    this.offset = offset;
    this.lengthBytes = lengthBytes;
    this.atNs = atNs;
  }
}

export interface AskedCall {
  readonly op: RequestKind;
  readonly device: number;
  /** Bytes; 0 of a flush, as its length. */
  readonly offset: number;
  readonly lengthBytes: number;
  readonly fua: boolean;
}

interface Format {
  begin(): void;
  issued(call: RecordedCall): void;
  over(call: RecordedCall, isOk: boolean): void;
  finish(): void;
}

/** Rows that wait for an older one: some megabytes. */
const PENDING_MAX = 65_536;
const US_NS = 1000;
const US_PER_MS = 1000;
const DAY_US = 86_400_000_000;

export class TraceRecorder {
  readonly #parts: RecorderParts;
  readonly #format: Format;
  readonly #startNs: number;
  #requests = 0;

  constructor(format: RecordFormat, parts: RecorderParts) {
    this.#parts = parts;
    this.#startNs = parts.nowNs();
    this.#format = formatOf(format, parts);
    this.#format.begin();
  }

  /** Requests so far, as the trace counts them. */
  get requests(): number {
    return this.#requests;
  }

  /** A request is issued now. */
  begun(asked: AskedCall): RecordedCall {
    const { op, offset, lengthBytes } = asked;
    const end = offset + lengthBytes;
    invariant(op === RequestKind.flush || end > offset, 'a request has a length');
    const atNs = this.#nowNs();
    const first = new RecordedCall(asked, offset, Math.min(lengthBytes, REQUEST_BYTES_MAX), atNs);
    let last = first;
    this.#issued(first);
    for (let at = offset + REQUEST_BYTES_MAX; at < end; at += REQUEST_BYTES_MAX) {
      last.rest = new RecordedCall(asked, at, Math.min(end - at, REQUEST_BYTES_MAX), atNs);
      last = last.rest;
      this.#issued(last);
    }
    return first;
  }

  /** It returns now. */
  ended(call: RecordedCall, isOk: boolean): void {
    const endNs = this.#nowNs();
    for (let one: RecordedCall | null = call; one !== null; one = one.rest) {
      one.endNs = endNs;
      one.isOver = true;
      this.#format.over(one, isOk);
    }
  }

  /** Nothing more is recorded; what has not returned stays without its return. */
  finish(): void {
    this.#format.finish();
  }

  #issued(call: RecordedCall): void {
    call.id = ++this.#requests;
    this.#format.issued(call);
  }

  #nowNs(): number {
    return Math.round(this.#parts.nowNs() - this.#startNs);
  }
}

function formatOf(format: RecordFormat, parts: RecorderParts): Format {
  switch (format) {
    case 'canonical-csv':
      return new CanonicalRows(parts);
    case 'fio-iolog':
      return new FioLines(parts);
    case 'nbdkit-log':
      return new NbdkitLines(parts);
  }
}

/** As `read-canonical.ts` has it; times are from the first request on. */
class CanonicalRows implements Format {
  readonly #put: (lines: string) => void;
  readonly #waiting = new Fifo<RecordedCall>();
  #zeroNs = -1;

  constructor({ put }: RecorderParts) {
    this.#put = put;
  }

  begin(): void {
    this.#put(`${CANONICAL_HEADER}${CANONICAL_WIDE_TAIL}\n`);
  }

  issued(call: RecordedCall): void {
    if (this.#zeroNs < 0) this.#zeroNs = call.atNs;
    this.#waiting.push(call);
    if (this.#waiting.length > PENDING_MAX) this.#row(this.#waiting.shift());
  }

  over(call: RecordedCall, isOk: boolean): void {
    if (!isOk) call.endNs = Number.NaN;
    while (this.#waiting.peek()?.isOver === true) this.#row(this.#waiting.shift());
  }

  finish(): void {
    while (this.#waiting.length > 0) this.#row(this.#waiting.shift());
  }

  #row(call: RecordedCall): void {
    const { op, offset, lengthBytes, device, fua, atNs, endNs } = call;
    const latency = Number.isNaN(endNs) ? '' : String(endNs - atNs);
    const letter = CANONICAL_OPS[op] as string;
    const head = `${atNs - this.#zeroNs},${letter},${offset},${lengthBytes},${latency}`;
    this.#put(`${head},${device},${fua ? TraceFlag.fua : 0}\n`);
  }
}

const FIO_ACTIONS: Readonly<Record<RequestKind, string>> = {
  [RequestKind.read]: 'read',
  [RequestKind.write]: 'write',
  [RequestKind.flush]: 'datasync',
  [RequestKind.discard]: 'trim',
  [RequestKind.zero]: 'write',
};

/** As fio reads it (`read_iolog`); each disk is a file of its name. */
class FioLines implements Format {
  readonly #put: (lines: string) => void;
  readonly #names: readonly string[];
  #lastUs = 0;

  constructor({ put, disks }: RecorderParts) {
    this.#put = put;
    this.#names = disks.map(({ name }) => name);
  }

  begin(): void {
    this.#put(`${FIO_HEADER}3 iolog\n`);
    for (const name of this.#names) this.#put(`0 ${name} add\n0 ${name} open\n`);
  }

  issued({ op, offset, lengthBytes, device, fua, atNs }: RecordedCall): void {
    const at = `${this.#us(atNs)} ${this.#names[device] ?? ''}`;
    this.#put(`${at} ${FIO_ACTIONS[op]} ${offset} ${lengthBytes}\n`);
    if (fua) this.#put(`${at} ${FIO_ACTIONS[RequestKind.flush]} 0 0\n`);
  }

  over(): void {
    // The format has no returns.
  }

  finish(): void {
    for (const name of this.#names) this.#put(`${this.#lastUs} ${name} close\n`);
  }

  #us(atNs: number): number {
    this.#lastUs = Math.floor(atNs / US_NS);
    return this.#lastUs;
  }
}

const NBDKIT_CALLS: Readonly<Record<RequestKind, string>> = {
  [RequestKind.read]: 'Read',
  [RequestKind.write]: 'Write',
  [RequestKind.flush]: 'Flush',
  [RequestKind.discard]: 'Trim',
  [RequestKind.zero]: 'Zero',
};

/** As nbdkit's log filter writes it, all of one connection; its times are those of UTC. */
class NbdkitLines implements Format {
  readonly #put: (lines: string) => void;
  readonly #disk: RecordedDisk;
  readonly #startUs: number;

  constructor({ put, disks, startWallMs }: RecorderParts) {
    const [disk] = disks;
    invariant(disk !== undefined && disks.length === 1, 'a log of nbdkit is of one disk');
    this.#put = put;
    this.#disk = disk;
    this.#startUs = Math.floor(startWallMs * US_PER_MS);
  }

  begin(): void {
    const { name, sizeBytes } = this.#disk;
    const size = `size=0x${sizeBytes.toString(16)}`;
    this.#put(`${this.#stamp(0)} connection=1 Connect export="${name}" tls=0 ${size} write=1\n`);
  }

  issued(call: RecordedCall): void {
    const { op, id, offset, lengthBytes, fua, atNs } = call;
    const range = ` offset=0x${offset.toString(16)} count=0x${lengthBytes.toString(16)}`;
    const isRead = op === RequestKind.read;
    const where = op === RequestKind.flush ? '' : `${range}${isRead ? '' : ` fua=${fua ? 1 : 0}`}`;
    this.#line(atNs, `${NBDKIT_CALLS[op]} id=${id}${where} ...`);
  }

  over({ op, id, endNs }: RecordedCall, isOk: boolean): void {
    this.#line(endNs, `...${NBDKIT_CALLS[op]} id=${id} return=${isOk ? '0' : '-1 error=EIO'}`);
  }

  finish(): void {
    // A call without its return says what there is to say.
  }

  #line(atNs: number, event: string): void {
    this.#put(`${this.#stamp(atNs)} connection=1 ${event}\n`);
  }

  #stamp(atNs: number): string {
    const us = this.#startUs + Math.floor(atNs / US_NS);
    const ofDay = us % DAY_US;
    const seconds = Math.floor(ofDay / 1e6);
    const two = (value: number): string => String(value).padStart(2, '0');
    const hours = two(Math.floor(seconds / 3600));
    const time = `${hours}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
    return `${dateOf(Math.floor(us / DAY_US))} ${time}.${String(ofDay % 1e6).padStart(6, '0')}`;
  }
}

/** `YYYY-MM-DD` of a day since 1970. Years that begin in March have their leap day last. */
function dateOf(day: number): string {
  const fromMarch0 = day + 719_468;
  const era = Math.floor(fromMarch0 / 146_097);
  const ofEra = fromMarch0 - era * 146_097;
  const leaps = Math.floor(ofEra / 1460) - Math.floor(ofEra / 36_524) + Math.floor(ofEra / 146_096);
  const yearOfEra = Math.floor((ofEra - leaps) / 365);
  const centuries = Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100);
  const ofYear = ofEra - (365 * yearOfEra + centuries);
  const fromMarch = Math.floor((5 * ofYear + 2) / 153);
  const dayOfMonth = ofYear - Math.floor((153 * fromMarch + 2) / 5) + 1;
  const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${year}-${two(month)}-${two(dayOfMonth)}`;
}
