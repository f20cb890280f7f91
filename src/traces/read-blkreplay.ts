/**
 * Reads blkreplay's `.load` files.
 *
 *   start ; sector; length ; op ;  replay_delay=0 ; replay_duration=0
 *      25.057455173 ;    912259808 ;    8 ;RA ; 0.0 ; 0.0
 *
 * Seconds with nanoseconds; 512-byte sectors; the op is R or W, with the modifiers of a blktrace
 * RWBS field behind it (A readahead, M metadata, F forced unit access; S, synchronous, has no bit
 * here and is dropped). The duration is what a replay measured: 0 means unknown.
 *
 * Licence text and repeated headers stand between the rows. A line is a row if its first field is a
 * number and a semicolon follows it; a line that starts with a digit but is neither such a row nor
 * free of semicolons is refused, so that a damaged row is not taken for text.
 */
import { SECTOR_BYTES } from '../base/units.ts';
import { RequestKind } from '../world/history.ts';
import { LineCursor } from './line-cursor.ts';
import { recordProblem, TraceFlag } from './trace.ts';
import { TraceBuilder } from './trace-builder.ts';

const SECOND_NS = 1_000_000_000;
const BYTES_A_ROW = 50;
const SEMICOLON = 59;
const DOT = 46;
const DIGIT_ZERO = 48;
const DIGIT_NINE = 57;
const LETTER = { A: 65, F: 70, M: 77, R: 82, S: 83, W: 87 } as const;

export function readBlkreplay(bytes: Uint8Array, name: string): TraceBuilder {
  const builder = new TraceBuilder(
    { format: 'blkreplay', source: name, clockGranularityNs: 1, exportBytes: null, notes: [] },
    bytes.length / BYTES_A_ROW,
  );
  const cursor = new LineCursor(bytes, name);
  let startSeconds = -1;
  while (cursor.nextLine()) {
    if (!startsRow(cursor)) continue;
    const seconds = cursor.decimal('a start in seconds');
    const fraction = cursor.billionths('a start in seconds');
    separator(cursor);
    // A Unix time in nanoseconds is not exact in a double; seconds from the first row are.
    if (startSeconds < 0) startSeconds = seconds;
    const t = (seconds - startSeconds) * SECOND_NS + fraction;
    const offset = cursor.decimal('a sector number') * SECTOR_BYTES;
    separator(cursor);
    const lengthBytes = cursor.decimal('a length in sectors') * SECTOR_BYTES;
    separator(cursor);
    const opAt = cursor.at;
    const op = cursor.takeByte(LETTER.R)
      ? RequestKind.read
      : cursor.takeByte(LETTER.W)
        ? RequestKind.write
        : cursor.fail('R or W');
    const flags = modifiers(cursor, op, opAt);
    separator(cursor);
    secondsNs(cursor, 'a replay delay in seconds');
    separator(cursor);
    const latency = secondsNs(cursor, 'a replay duration in seconds');
    cursor.needEnd('the end of the row');
    const problem = recordProblem(t, op, offset, lengthBytes);
    if (problem !== null) cursor.failLine(problem);
    builder.append(t, op, offset, lengthBytes, latency > 0 ? latency : Number.NaN, 0, flags);
  }
  return builder;
}

/** Whether the line is a row; the cursor then stands at its first field. */
function startsRow(cursor: LineCursor): boolean {
  cursor.skipBlanks();
  const first = cursor.peek();
  if (first < DIGIT_ZERO || first > DIGIT_NINE) return false;
  const { bytes, at, end } = cursor;
  let behind = at;
  while (behind < end && isNumeric(bytes[behind] as number)) behind++;
  while (behind < end && bytes[behind] === 32) behind++;
  if (behind < end && bytes[behind] === SEMICOLON) return true;
  const text = behind < end && bytes.subarray(behind, end).indexOf(SEMICOLON) < 0;
  if (!text) cursor.fail('a row "start ; sector ; length ; op ; delay ; duration"');
  return false;
}

function isNumeric(byte: number): boolean {
  return byte === DOT || (byte >= DIGIT_ZERO && byte <= DIGIT_NINE);
}

function separator(cursor: LineCursor): void {
  cursor.skipBlanks();
  cursor.needByte(SEMICOLON, '";" and the next field');
  cursor.skipBlanks();
}

function modifiers(cursor: LineCursor, op: RequestKind, opAt: number): number {
  let flags = 0;
  for (let next = cursor.peek(); next >= LETTER.A; next = cursor.peek()) {
    if (next === LETTER.A && op === RequestKind.read) flags |= TraceFlag.readahead;
    else if (next === LETTER.M) flags |= TraceFlag.meta;
    else if (next === LETTER.F && op === RequestKind.write) flags |= TraceFlag.fua;
    else if (next !== LETTER.S) {
      cursor.at = opAt;
      cursor.fail('R or W with the modifiers A (of a read), F (of a write), M or S');
    }
    cursor.at++;
  }
  return flags;
}

function secondsNs(cursor: LineCursor, expected: string): number {
  return cursor.decimal(expected) * SECOND_NS + cursor.billionths(expected);
}
