/**
 * Reads what nbdkit's log filter writes (nbdkit-log-filter(1)): a line a call and a line a return.
 *
 *   2026-11-22 09:58:02.827505 connection=3 Read id=1 offset=0x0 count=0x4000 ...
 *   2026-11-22 09:58:02.827512 connection=3 ...Read id=1 return=0
 *
 * A call and its return share (connection, id, op); the difference of their times is the latency. A
 * call whose return is missing (the log was cut, or the server died) is kept without a latency. A
 * return whose call is missing cannot be placed and is refused. The connections are ways to the
 * same disk, so all records are of device 0.
 *
 * Lines of the other events carry no request and are skipped: the server's (Ready, Fork ...), those
 * of a connection (Connect ..., whose `size` is the size of the disk), and the two calls that move
 * no data (Cache, Extents). An event this reader does not know is skipped too, and noted.
 *
 * Times are local with microseconds. A change of the clock (summer time, a step) inside the log is
 * taken as it stands: the records are sorted by time, and a latency below 0 becomes unknown.
 */
import { RequestKind } from '../world/history.ts';
import { ascii, LineCursor } from './line-cursor.ts';
import { PendingCalls } from './pending-calls.ts';
import { recordProblem, TraceFlag } from './trace.ts';
import { TraceBuilder } from './trace-builder.ts';

const US_NS = 1_000;
const DAY_US = 86_400_000_000;
const DATE_CHARS = 10;
const STAMP_CHARS = 27;
/** Bytes of log a request, for the first guess at the capacity. */
const BYTES_A_REQUEST = 128;
const UINT32_END = 2 ** 32;
const EVENT_CHARS_MAX = 32;
const STAMP_EXPECTED = 'a time like "2026-11-22 09:58:02.512445" and an event';
const SPACE = 32;

const CONNECTION = ascii('connection=');
const DOTS = ascii('...');
const ID = ascii(' id=');
const OFFSET = ascii(' offset=0x');
const COUNT = ascii(' count=0x');
const FUA = ascii('fua=');
const RETURN = ascii(' return=');
const CONNECT = ascii('Connect ');
const CONNECT_SIZE = ascii('size=0x');
const MINUS = 45;

const CALLS: readonly { readonly word: Uint8Array; readonly op: RequestKind }[] = [
  { word: ascii('Write'), op: RequestKind.write },
  { word: ascii('Flush'), op: RequestKind.flush },
  { word: ascii('Read'), op: RequestKind.read },
  { word: ascii('Trim'), op: RequestKind.discard },
  { word: ascii('Zero'), op: RequestKind.zero },
];

const SKIPPED_EVENTS: ReadonlySet<string> = new Set(
  (
    'Load Unload Ready Fork Cleanup Preconnect ListExports DefaultExport ExportDescription Open ' +
    'Connect Disconnect Close Cache Extents'
  ).split(' '),
);

export function readNbdkitLog(bytes: Uint8Array, name: string): TraceBuilder {
  return new NbdkitReader(bytes, name).read();
}

class NbdkitReader {
  readonly #cursor: LineCursor;
  readonly #builder: TraceBuilder;
  readonly #pending = new PendingCalls();
  /** Where the date of the line before starts, and its day; days repeat for a whole log. */
  #dateAt = -1;
  #dayUs = 0;
  #firstDay = -1;
  /** Time of the first line, us. */
  #startUs = -1;
  #replacedCalls = 0;
  #failedCalls = 0;
  #clockSteps = 0;
  #unknownEvents = 0;
  #firstUnknown = '';

  constructor(bytes: Uint8Array, name: string) {
    this.#cursor = new LineCursor(bytes, name);
    this.#builder = new TraceBuilder(
      {
        format: 'nbdkit-log',
        source: name,
        clockGranularityNs: US_NS,
        exportBytes: null,
        notes: [],
      },
      bytes.length / BYTES_A_REQUEST,
    );
  }

  read(): TraceBuilder {
    const cursor = this.#cursor;
    while (cursor.nextLine()) {
      if (cursor.atEnd) continue;
      const nowNs = this.#stamp() * US_NS;
      if (!cursor.takeWord(CONNECTION)) {
        this.#skipEvent();
        continue;
      }
      const connection = this.#number('the number of a connection');
      cursor.needByte(SPACE, 'a blank behind the connection');
      const returned = cursor.takeWord(DOTS);
      const op = this.#op();
      if (op < 0) this.#skipEvent();
      else if (returned) this.#return(nowNs, connection, op as RequestKind);
      else this.#call(nowNs, connection, op as RequestKind);
    }
    this.#notes();
    return this.#builder;
  }

  /** The op whose word and ` id=` stand at the cursor, or -1. */
  #op(): number {
    const cursor = this.#cursor;
    const start = cursor.at;
    for (let i = 0; i < CALLS.length; i++) {
      const call = CALLS[i] as (typeof CALLS)[number];
      if (!cursor.takeWord(call.word)) continue;
      if (cursor.takeWord(ID)) return call.op;
      cursor.at = start;
    }
    return -1;
  }

  #call(nowNs: number, connection: number, op: RequestKind): void {
    const cursor = this.#cursor;
    const id = this.#number('the id of a call');
    let offset = 0;
    let lengthBytes = 0;
    if (op !== RequestKind.flush) {
      if (!cursor.takeWord(OFFSET)) cursor.fail('" offset=0x" and a number');
      offset = cursor.hexadecimal('an offset in hexadecimal');
      if (!cursor.takeWord(COUNT)) cursor.fail('" count=0x" and a number');
      lengthBytes = cursor.hexadecimal('a count in hexadecimal');
    }
    const problem = recordProblem(nowNs, op, offset, lengthBytes);
    if (problem !== null) cursor.failLine(problem);
    const flags = this.#attributes();
    const record = this.#builder.append(nowNs, op, offset, lengthBytes, Number.NaN, 0, flags);
    if (!this.#pending.add(connection, id, op, record)) this.#replacedCalls++;
  }

  /** Reads `key=value` pairs up to the dots that end a call; returns the flags. */
  #attributes(): number {
    const cursor = this.#cursor;
    let flags = 0;
    while (cursor.takeByte(SPACE)) {
      if (cursor.takeWord(DOTS)) {
        cursor.needEnd('the end of the line behind "..."');
        return flags;
      }
      if (cursor.takeWord(FUA)) {
        if (cursor.decimal('0 or 1 for fua') !== 0) flags |= TraceFlag.fua;
      } else {
        cursor.skipToBlank();
      }
    }
    return cursor.fail('" ..." at the end of a call');
  }

  #return(nowNs: number, connection: number, op: RequestKind): void {
    const cursor = this.#cursor;
    const id = this.#number('the id of a call');
    if (!cursor.takeWord(RETURN)) cursor.fail('" return=" and a number');
    const failed = cursor.takeByte(MINUS);
    const value = cursor.decimal('the number a call returned');
    const record = this.#pending.take(connection, id, op);
    if (record < 0) cursor.failLine('the line of the call before the line of its return');
    if (failed && value !== 0) this.#failedCalls++;
    const latency = nowNs - this.#builder.timeOf(record);
    if (latency < 0) this.#clockSteps++;
    else this.#builder.setLatency(record, latency);
  }

  #number(expected: string): number {
    const value = this.#cursor.decimal(expected);
    if (value >= UINT32_END) this.#cursor.fail(`${expected} below 2^32`);
    return value;
  }

  /** A line without a request: takes the size of the disk from Connect. */
  #skipEvent(): void {
    const cursor = this.#cursor;
    const start = cursor.at;
    if (cursor.takeWord(CONNECT)) {
      while (!cursor.atEnd) {
        if (cursor.takeWord(CONNECT_SIZE)) {
          this.#builder.setExportBytes(cursor.hexadecimal('the size of the disk'));
        }
        cursor.skipToBlank();
        cursor.skipBlanks();
      }
      return;
    }
    cursor.takeWord(DOTS);
    const from = cursor.at;
    cursor.skipToBlank();
    const event = this.#text(from, Math.min(cursor.at, from + EVENT_CHARS_MAX));
    if (SKIPPED_EVENTS.has(event)) return;
    cursor.at = start;
    if (cursor.unterminated || event === '') cursor.fail('an event of the log filter');
    if (this.#unknownEvents++ === 0) this.#firstUnknown = `"${event}" in line ${cursor.line}`;
  }

  #text(from: number, to: number): string {
    return String.fromCharCode(...this.#cursor.bytes.subarray(from, to));
  }

  /** Reads `YYYY-MM-DD HH:MM:SS.uuuuuu ` and returns us since the first line. */
  #stamp(): number {
    const cursor = this.#cursor;
    const { bytes, at } = cursor;
    if (cursor.end - at < STAMP_CHARS) cursor.failLine(STAMP_EXPECTED);
    if (!this.#sameDate(at)) {
      const days = daysOf(bytes, at);
      if (days < 0) cursor.failLine(STAMP_EXPECTED);
      // Microseconds from year 0 are not exact in a double; those from the first day are.
      if (this.#firstDay < 0) this.#firstDay = days;
      this.#dayUs = (days - this.#firstDay) * DAY_US;
      this.#dateAt = at;
    }
    const us = timeOfDayUs(bytes, at + DATE_CHARS);
    if (us < 0) cursor.failLine(STAMP_EXPECTED);
    cursor.at = at + STAMP_CHARS;
    const now = this.#dayUs + us;
    if (this.#startUs < 0) this.#startUs = now;
    return now - this.#startUs;
  }

  #sameDate(at: number): boolean {
    if (this.#dateAt < 0) return false;
    const { bytes } = this.#cursor;
    for (let i = 0; i < DATE_CHARS; i++) {
      if (bytes[at + i] !== bytes[this.#dateAt + i]) return false;
    }
    return true;
  }

  #notes(): void {
    const builder = this.#builder;
    const unanswered = this.#pending.size + this.#replacedCalls;
    if (unanswered > 0) builder.note(`${unanswered} calls have no return: latency unknown.`);
    if (this.#failedCalls > 0) builder.note(`${this.#failedCalls} calls returned an error.`);
    if (this.#clockSteps > 0) {
      builder.note(`${this.#clockSteps} calls returned before their start: latency unknown.`);
    }
    if (this.#unknownEvents > 0) {
      builder.note(
        `${this.#unknownEvents} lines of unknown events skipped (${this.#firstUnknown}).`,
      );
    }
  }
}

/** Two digits at `at`, or NaN. */
function twoDigits(bytes: Uint8Array, at: number): number {
  const tens = (bytes[at] as number) - 48;
  const units = (bytes[at + 1] as number) - 48;
  return tens >= 0 && tens <= 9 && units >= 0 && units <= 9 ? tens * 10 + units : Number.NaN;
}

/** Days from the first of March of year 0 to the date `YYYY-MM-DD`, or -1. */
function daysOf(bytes: Uint8Array, at: number): number {
  const year = twoDigits(bytes, at) * 100 + twoDigits(bytes, at + 2);
  const month = twoDigits(bytes, at + 5);
  const day = twoDigits(bytes, at + 8);
  const dashes = bytes[at + 4] === 45 && bytes[at + 7] === 45;
  const known = year >= 1970 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
  if (!dashes || !known) return -1;
  // Years that begin in March have their leap day last, so months have a closed formula.
  const marchYear = month > 2 ? year : year - 1;
  const marchMonth = (month + 9) % 12;
  const leapDays =
    Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400);
  return marchYear * 365 + leapDays + Math.floor((153 * marchMonth + 2) / 5) + day - 1;
}

/** Microseconds of ` HH:MM:SS.uuuuuu `, or -1. */
function timeOfDayUs(bytes: Uint8Array, at: number): number {
  const separated =
    bytes[at] === SPACE &&
    bytes[at + 3] === 58 &&
    bytes[at + 6] === 58 &&
    bytes[at + 9] === 46 &&
    bytes[at + 16] === SPACE;
  const seconds =
    twoDigits(bytes, at + 1) * 3600 + twoDigits(bytes, at + 4) * 60 + twoDigits(bytes, at + 7);
  const fraction =
    twoDigits(bytes, at + 10) * 10_000 +
    twoDigits(bytes, at + 12) * 100 +
    twoDigits(bytes, at + 14);
  const us = seconds * 1_000_000 + fraction;
  return separated && us >= 0 && us <= DAY_US ? us : -1;
}
