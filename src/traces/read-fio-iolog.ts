/**
 * Reads fio's I/O log, version 3 (`write_iolog`): `time file action [offset length]`.
 *
 *   fio version 3 iolog
 *   369 /vdisk/a open
 *   372 /vdisk/a read 3317760 4096
 *   335 /vdisk/a sync 114688 0
 *
 * Times are microseconds from the start of the job. `sync` and `datasync` are flushes, `trim` is a
 * discard; `add`, `open` and `close` carry no request. Each file is a device of its own, numbered
 * in the order of its first line. The format tells no latency and no flags.
 *
 * Version 2 is refused: its `wait` lines mean one thing in fio's manual (a pause in microseconds)
 * and another in fio's program (a point in time in milliseconds), so its times cannot be trusted.
 */
import { UsageError } from '../base/errors.ts';
import { RequestKind } from '../world/history.ts';
import { ascii, LineCursor } from './line-cursor.ts';
import { DEVICE_COUNT_MAX, recordProblem } from './trace.ts';
import { TraceBuilder } from './trace-builder.ts';

const US_NS = 1_000;
const BYTES_A_LINE = 32;
export const FIO_HEADER = 'fio version ';
const HEADER: Uint8Array = ascii(FIO_HEADER);
const HEADER_TAIL: Uint8Array = ascii(' iolog');
const READ_VERSION = 3;

const ACTIONS: readonly { readonly word: Uint8Array; readonly op: RequestKind }[] = [
  { word: ascii('read'), op: RequestKind.read },
  { word: ascii('write'), op: RequestKind.write },
  { word: ascii('sync'), op: RequestKind.flush },
  { word: ascii('datasync'), op: RequestKind.flush },
  { word: ascii('trim'), op: RequestKind.discard },
];
const FILE_ACTIONS: readonly Uint8Array[] = [ascii('add'), ascii('open'), ascii('close')];

export function readFioIolog(bytes: Uint8Array, name: string): TraceBuilder {
  const builder = new TraceBuilder(
    { format: 'fio-iolog', source: name, clockGranularityNs: US_NS, exportBytes: null, notes: [] },
    bytes.length / BYTES_A_LINE,
  );
  const cursor = new LineCursor(bytes, name);
  const files = new FileNames();
  readHeader(cursor);
  while (cursor.nextLine()) {
    if (cursor.atEnd) continue;
    const t = cursor.decimal('a time in us') * US_NS;
    blank(cursor);
    const device = files.take(cursor);
    blank(cursor);
    const action = cursor.at;
    cursor.skipToBlank();
    const op = opOf(cursor, action);
    if (op < 0) continue;
    let offset = 0;
    let lengthBytes = 0;
    cursor.skipBlanks();
    if (op !== RequestKind.flush || !cursor.atEnd) {
      offset = cursor.decimal('an offset in bytes');
      blank(cursor);
      lengthBytes = cursor.decimal('a length in bytes');
    }
    cursor.needEnd('the end of the line');
    const problem = recordProblem(t, op as RequestKind, offset, lengthBytes);
    if (problem !== null) cursor.failLine(problem);
    builder.append(t, op as RequestKind, offset, lengthBytes, Number.NaN, device, 0);
  }
  return builder;
}

function readHeader(cursor: LineCursor): void {
  const expected = `the header "${FIO_HEADER}${READ_VERSION} iolog"`;
  if (!cursor.nextLine() || !cursor.takeWord(HEADER)) cursor.failLine(expected);
  const version = cursor.decimal(expected);
  if (!cursor.takeWord(HEADER_TAIL) || !cursor.atEnd) cursor.failLine(expected);
  if (version === READ_VERSION) return;
  throw new UsageError(
    'E_TRACE_VERSION',
    `${cursor.name}: line 1: an fio iolog of version ${version}, expected version ` +
      `${READ_VERSION}. fio and its manual disagree on the times of version 2; record again with ` +
      'a newer fio, which writes version 3 (fio 3.33 does).',
    { fields: { file: cursor.name, line: 1, version } },
  );
}

function blank(cursor: LineCursor): void {
  const before = cursor.at;
  cursor.skipBlanks();
  if (cursor.at === before || cursor.atEnd) cursor.fail('a blank and the next field');
}

/** The op of the word from `start` to the cursor, or -1 for one that carries no request. */
function opOf(cursor: LineCursor, start: number): number {
  const { bytes, at } = cursor;
  for (let i = 0; i < ACTIONS.length; i++) {
    const action = ACTIONS[i] as (typeof ACTIONS)[number];
    if (isWord(bytes, start, at, action.word)) return action.op;
  }
  if (!FILE_ACTIONS.some((word) => isWord(bytes, start, at, word))) {
    cursor.at = start;
    cursor.fail('read, write, sync, datasync, trim, add, open or close');
  }
  return -1;
}

function isWord(bytes: Uint8Array, from: number, to: number, word: Uint8Array): boolean {
  if (to - from !== word.length) return false;
  for (let i = 0; i < word.length; i++) {
    if (bytes[from + i] !== word[i]) return false;
  }
  return true;
}

/** Numbers file names in the order they come; looks first at the name of the line before. */
class FileNames {
  readonly #names: Uint8Array[] = [];
  #last = 0;

  /** Moves over the name at the cursor and returns its number. */
  take(cursor: LineCursor): number {
    const from = cursor.at;
    cursor.skipToBlank();
    const { bytes, at: to } = cursor;
    for (let tried = 0; tried < this.#names.length; tried++) {
      const number = (this.#last + tried) % this.#names.length;
      if (!isWord(bytes, from, to, this.#names[number] as Uint8Array)) continue;
      this.#last = number;
      return number;
    }
    if (this.#names.length === DEVICE_COUNT_MAX) {
      cursor.at = from;
      cursor.fail(`at most ${DEVICE_COUNT_MAX} different files`);
    }
    this.#last = this.#names.push(bytes.slice(from, to)) - 1;
    return this.#last;
  }
}
