/**
 * Fields written one after the other, and read back: for messages and records whose parts have no
 * fixed place. Everything is little-endian; a text is u16 length and ASCII, bytes are u32 length
 * and the bytes.
 */
import { invariant } from '../invariant.ts';

export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #at = 0;

  /** `lengthBytes`: what will be written, if it is known; more is taken as it is needed. */
  constructor(lengthBytes: number = 256) {
    this.#bytes = new Uint8Array(lengthBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get lengthBytes(): number {
    return this.#at;
  }

  u8(value: number): void {
    const at = this.#take(1);
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    invariant(value >= 0 && value < 2 ** 16, 'a number fits 16 bits');
    const at = this.#take(2);
    this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    invariant(value >= 0 && value < 2 ** 32, 'a number fits 32 bits');
    const at = this.#take(4);
    this.#view.setUint32(at, value, true);
  }

  u53(value: number): void {
    invariant(Number.isSafeInteger(value) && value >= 0, 'a number fits 53 bits');
    this.u32(value % 2 ** 32);
    this.u32(Math.floor(value / 2 ** 32));
  }

  text(value: string): void {
    this.u16(value.length);
    const at = this.#take(value.length);
    for (let i = 0; i < value.length; i++) this.#bytes[at + i] = value.charCodeAt(i);
  }

  bytes(value: Uint8Array): void {
    this.u32(value.length);
    this.raw(value);
  }

  /** Bytes whose length the reader knows. */
  raw(value: Uint8Array): void {
    const at = this.#take(value.length);
    this.#bytes.set(value, at);
  }

  /** What was written; nothing may be written any more. */
  done(): Uint8Array {
    return this.#at === this.#bytes.length ? this.#bytes : this.#bytes.slice(0, this.#at);
  }

  #take(lengthBytes: number): number {
    const at = this.#at;
    this.#at += lengthBytes;
    if (this.#at > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#at, 2 * this.#bytes.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}

/** Reads to the end and not beyond: once `failed`, everything else it gives means nothing. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;
  failed = false;

  constructor(bytes: Uint8Array, at: number = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = at;
  }

  /** Where it stands, counted from the start of the bytes. */
  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    return !this.failed && this.#at === this.#bytes.length;
  }

  u8(): number {
    return this.#take(1) ? this.#view.getUint8(this.#at - 1) : 0;
  }

  u16(): number {
    return this.#take(2) ? this.#view.getUint16(this.#at - 2, true) : 0;
  }

  u32(): number {
    return this.#take(4) ? this.#view.getUint32(this.#at - 4, true) : 0;
  }

  u53(): number {
    const value = this.u32() + this.u32() * 2 ** 32;
    if (!Number.isSafeInteger(value)) this.failed = true;
    return value;
  }

  text(): string {
    const length = this.u16();
    if (!this.#take(length)) return '';
    let text = '';
    for (let at = this.#at - length; at < this.#at; at++) {
      text += String.fromCharCode(this.#bytes[at] as number);
    }
    return text;
  }

  /** A copy. */
  bytes(): Uint8Array {
    return this.raw(this.u32());
  }

  /** A copy of the next `lengthBytes` bytes. */
  raw(lengthBytes: number): Uint8Array {
    if (!this.#take(lengthBytes)) return new Uint8Array(0);
    return this.#bytes.slice(this.#at - lengthBytes, this.#at);
  }

  /** As many items as a u16 before them says. */
  list<T>(item: () => T): T[] {
    const count = this.u16();
    const items: T[] = [];
    for (let i = 0; i < count && !this.failed; i++) items.push(item());
    return items;
  }

  #take(lengthBytes: number): boolean {
    if (this.failed || lengthBytes > this.#bytes.length - this.#at) {
      this.failed = true;
      return false;
    }
    this.#at += lengthBytes;
    return true;
  }
}
