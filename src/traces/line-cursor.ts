/**
 * A cursor over text in bytes: lines, and inside a line numbers and words, without making strings.
 *
 * The cursor stands at `at`, inside the line that ends at `end` (line feed and a carriage return
 * before it not included). `take...` moves over what it expects or stays; the other readers throw a
 * `UsageError` that names the line, the column and what was expected. A line without its line feed,
 * at the end of the input, may be cut: what cannot be read there is reported as truncation.
 */
import { excerpt, inputError } from './trace-errors.ts';

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const TAB = 9;
const DIGIT_ZERO = 48;
const LOWER_CASE = 32;
const LETTER_A = 97;

/** The bytes of an ASCII text, for `takeWord`. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

export class LineCursor {
  readonly bytes: Uint8Array;
  readonly name: string;
  /** Number of the current line, from 1; 0 before the first `nextLine`. */
  line = 0;
  at = 0;
  end = 0;
  /** Whether the current line has no line feed. */
  unterminated = false;
  #start = 0;
  #next = 0;

  constructor(bytes: Uint8Array, name: string) {
    this.bytes = bytes;
    this.name = name;
  }

  /** Moves to the start of the next line; false at the end of the input. */
  nextLine(): boolean {
    if (this.#next >= this.bytes.length) return false;
    this.#start = this.#next;
    this.at = this.#start;
    const feed = this.bytes.indexOf(LINE_FEED, this.#start);
    this.unterminated = feed < 0;
    this.end = feed < 0 ? this.bytes.length : feed;
    this.#next = this.end + 1;
    if (this.end > this.#start && this.bytes[this.end - 1] === CARRIAGE_RETURN) this.end--;
    this.line++;
    return true;
  }

  get atEnd(): boolean {
    return this.at >= this.end;
  }

  /** The byte at the cursor, or -1 at the end of the line. */
  peek(): number {
    return this.at < this.end ? (this.bytes[this.at] as number) : -1;
  }

  skipBlanks(): void {
    while (this.at < this.end) {
      const byte = this.bytes[this.at];
      if (byte !== SPACE && byte !== TAB) return;
      this.at++;
    }
  }

  /** Moves to the next blank or the end of the line. */
  skipToBlank(): void {
    while (this.at < this.end && this.bytes[this.at] !== SPACE && this.bytes[this.at] !== TAB) {
      this.at++;
    }
  }

  takeByte(byte: number): boolean {
    if (this.at >= this.end || this.bytes[this.at] !== byte) return false;
    this.at++;
    return true;
  }

  takeWord(word: Uint8Array): boolean {
    const { bytes, at } = this;
    if (at + word.length > this.end) return false;
    for (let i = 0; i < word.length; i++) {
      if (bytes[at + i] !== word[i]) return false;
    }
    this.at = at + word.length;
    return true;
  }

  needByte(byte: number, expected: string): void {
    if (!this.takeByte(byte)) this.fail(expected);
  }

  needEnd(expected: string): void {
    this.skipBlanks();
    if (this.at < this.end) this.fail(expected);
  }

  /** A whole decimal number below 2^53. */
  decimal(expected: string): number {
    const { bytes, end } = this;
    let at = this.at;
    let value = 0;
    for (; at < end; at++) {
      const digit = (bytes[at] as number) - DIGIT_ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (at === this.at || value > Number.MAX_SAFE_INTEGER) this.fail(expected);
    this.at = at;
    return value;
  }

  /** A whole hexadecimal number below 2^53, without a prefix. */
  hexadecimal(expected: string): number {
    const { bytes, end } = this;
    let at = this.at;
    let value = 0;
    for (; at < end; at++) {
      const byte = bytes[at] as number;
      let digit = byte - DIGIT_ZERO;
      if (digit < 0 || digit > 9) {
        digit = (byte | LOWER_CASE) - LETTER_A + 10;
        if (digit < 10 || digit > 15) break;
      }
      value = value * 16 + digit;
    }
    if (at === this.at || value > Number.MAX_SAFE_INTEGER) this.fail(expected);
    this.at = at;
    return value;
  }

  /** `.` and digits as billionths; 0 if there is no `.` here. Digits behind the ninth are lost. */
  billionths(expected: string): number {
    if (!this.takeByte(46)) return 0;
    let value = 0;
    let places = 0;
    for (; this.at < this.end; this.at++) {
      const digit = (this.bytes[this.at] as number) - DIGIT_ZERO;
      if (digit < 0 || digit > 9) break;
      if (places < 9) value = value * 10 + digit;
      places++;
    }
    if (places === 0) this.fail(expected);
    for (; places < 9; places++) value *= 10;
    return value;
  }

  /** Refuses what stands at the cursor. */
  fail(expected: string): never {
    this.#refuse(this.at, expected);
  }

  /** Refuses the current line as a whole. */
  failLine(expected: string): never {
    this.#refuse(this.#start, expected);
  }

  #refuse(from: number, expected: string): never {
    const column = from - this.#start + 1;
    const where = `line ${this.line}, column ${column}`;
    const place = { name: this.name, where, fields: { line: this.line, column } };
    const found = excerpt(this.bytes, from, this.end);
    throw inputError(this.unterminated ? 'truncated' : 'garbled', place, found, expected);
  }
}
