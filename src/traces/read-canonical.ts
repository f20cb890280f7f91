/**
 * Reads the canonical form as text.
 *
 *   t_ns,op,offset,size,latency_ns
 *   210000,W,78856192,4096,9000
 *
 * Whole numbers: nanoseconds from the first record, bytes. `op` is R, W, F (flush), D (discard) or
 * Z (zero). The latency is empty where it is not known. Two more columns, `device,flags` (the bits
 * of `TraceFlag` as a number), may follow; `write-canonical.ts` writes them when some record needs
 * them.
 */
import type { RequestKind } from '../world/history.ts';
import { ascii, LineCursor } from './line-cursor.ts';
import { DEVICE_COUNT_MAX, recordProblem, TraceFlag } from './trace.ts';
import { TraceBuilder } from './trace-builder.ts';

export const CANONICAL_HEADER = 't_ns,op,offset,size,latency_ns';
export const CANONICAL_WIDE_TAIL = ',device,flags';
/** The letter of each op, by `RequestKind`. */
export const CANONICAL_OPS = 'RWFDZ';
const HEADER: Uint8Array = ascii(CANONICAL_HEADER);
const HEADER_TAIL: Uint8Array = ascii(CANONICAL_WIDE_TAIL);
const LETTERS: Uint8Array = ascii(CANONICAL_OPS);
const COMMA = 44;
const BYTES_A_ROW = 32;
const FLAGS_END: number =
  1 + (TraceFlag.fua | TraceFlag.preflush | TraceFlag.meta | TraceFlag.readahead);

export function readCanonicalCsv(bytes: Uint8Array, name: string): TraceBuilder {
  const builder = new TraceBuilder(
    { format: 'canonical-csv', source: name, clockGranularityNs: 1, exportBytes: null, notes: [] },
    bytes.length / BYTES_A_ROW,
  );
  const cursor = new LineCursor(bytes, name);
  const header = cursor.nextLine() && cursor.takeWord(HEADER);
  const wide = header && cursor.takeWord(HEADER_TAIL);
  if (!header || !cursor.atEnd) cursor.failLine(`the header ${CANONICAL_HEADER}`);
  while (cursor.nextLine()) {
    if (cursor.atEnd) continue;
    const t = cursor.decimal('a time in ns');
    comma(cursor);
    const op = LETTERS.indexOf(cursor.peek());
    if (op < 0) cursor.fail('an op R, W, F, D or Z');
    cursor.at++;
    comma(cursor);
    const offset = cursor.decimal('an offset in bytes');
    comma(cursor);
    const lengthBytes = cursor.decimal('a size in bytes');
    comma(cursor);
    const known = !cursor.atEnd && cursor.peek() !== COMMA;
    const latency = known ? cursor.decimal('a latency in ns, or nothing') : Number.NaN;
    let device = 0;
    let flags = 0;
    if (wide) {
      comma(cursor);
      device = below(cursor, DEVICE_COUNT_MAX, 'a device number');
      comma(cursor);
      flags = below(cursor, FLAGS_END, 'a sum of flag bits');
    }
    cursor.needEnd('the end of the row');
    const problem = recordProblem(t, op as RequestKind, offset, lengthBytes);
    if (problem !== null) cursor.failLine(problem);
    builder.append(t, op as RequestKind, offset, lengthBytes, latency, device, flags);
  }
  return builder;
}

function comma(cursor: LineCursor): void {
  cursor.needByte(COMMA, '"," and the next field');
}

function below(cursor: LineCursor, end: number, expected: string): number {
  const start = cursor.at;
  const value = cursor.decimal(expected);
  if (value >= end) {
    cursor.at = start;
    cursor.fail(`${expected} below ${end}`);
  }
  return value;
}
