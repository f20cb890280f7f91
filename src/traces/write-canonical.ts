/**
 * Writes a trace as canonical CSV: the form that `read-canonical.ts` describes.
 *
 * The columns `device,flags` are written when some record needs them: a forced-unit-access write
 * read back without its flag would promise less than the recording did. The facts are not written.
 */
import { ascii } from './line-cursor.ts';
import { CANONICAL_HEADER, CANONICAL_OPS, CANONICAL_WIDE_TAIL } from './read-canonical.ts';
import type { Trace } from './trace.ts';

const LETTERS: Uint8Array = ascii(CANONICAL_OPS);
const COMMA = 44;
const LINE_FEED = 10;
const DIGIT_ZERO = 48;
/** Bytes of a usual row, for the first guess at the size. */
const BYTES_A_ROW = 32;
/** Four numbers of at most 16 digits, two of at most 5, a letter and the separators. */
const ROW_BYTES_MAX = 96;
const BILLION = 1_000_000_000;

/** The trace as canonical CSV. Fractions of a nanosecond are rounded. */
export function writeCanonicalCsv(trace: Trace): Uint8Array {
  const wide =
    trace.device.some((device) => device !== 0) || trace.flags.some((bits) => bits !== 0);
  const text = new TextBytes(trace.requests * BYTES_A_ROW);
  text.put(ascii(CANONICAL_HEADER));
  if (wide) text.put(ascii(CANONICAL_WIDE_TAIL));
  text.byte(LINE_FEED);
  for (let i = 0; i < trace.requests; i++) {
    text.number(Math.round(trace.t[i] as number));
    text.byte(COMMA);
    text.byte(LETTERS[trace.op[i] as number] as number);
    text.byte(COMMA);
    text.number(trace.offset[i] as number);
    text.byte(COMMA);
    text.number(trace.length[i] as number);
    text.byte(COMMA);
    const latency = trace.latency[i] as number;
    if (!Number.isNaN(latency)) text.number(Math.round(latency));
    if (wide) {
      text.byte(COMMA);
      text.number(trace.device[i] as number);
      text.byte(COMMA);
      text.number(trace.flags[i] as number);
    }
    text.byte(LINE_FEED);
  }
  return text.finish();
}

/** Growing bytes; each row finds room for its longest form before it is written. */
class TextBytes {
  #bytes: Uint8Array;
  #used = 0;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity + ROW_BYTES_MAX);
  }

  put(source: Uint8Array): void {
    this.#bytes.set(source, this.#used);
    this.#used += source.length;
  }

  byte(value: number): void {
    this.#bytes[this.#used++] = value;
    if (value === LINE_FEED) this.#ensureRow();
  }

  /** A whole number, not negative, below 2^53. */
  number(value: number): void {
    if (value < BILLION) {
      this.#digits(value, digitsOf(value));
      return;
    }
    const high = Math.floor(value / BILLION);
    this.#digits(high, digitsOf(high));
    this.#digits(value - high * BILLION, 9);
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#used);
  }

  #digits(value: number, count: number): void {
    let rest = value;
    for (let at = this.#used + count - 1; at >= this.#used; at--) {
      const next = Math.floor(rest / 10);
      this.#bytes[at] = DIGIT_ZERO + rest - next * 10;
      rest = next;
    }
    this.#used += count;
  }

  #ensureRow(): void {
    if (this.#used + ROW_BYTES_MAX <= this.#bytes.length) return;
    const wider = new Uint8Array(this.#bytes.length * 2);
    wider.set(this.#bytes);
    this.#bytes = wider;
  }
}

function digitsOf(value: number): number {
  let count = 1;
  for (let end = 10; value >= end; end *= 10) count++;
  return count;
}
