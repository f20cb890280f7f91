/** What a client of NBD sends, and what it reads, for tests. */
import type { BenchStream } from './nbd-bench.ts';

const COOKIE_HIGH = 0xc0ffee;

export function bytesOf(...parts: readonly (number[] | Uint8Array | string)[]): Uint8Array {
  const encoder = new TextEncoder();
  return Uint8Array.from(
    parts.flatMap((part) => [...(typeof part === 'string' ? encoder.encode(part) : part)]),
  );
}

export function u16(value: number): number[] {
  return [(value >>> 8) & 255, value & 255];
}

export function u32(value: number): number[] {
  return [...u16(value >>> 16), ...u16(value & 0xffff)];
}

export function u64(value: number): number[] {
  return [...u32(Math.floor(value / 2 ** 32)), ...u32(value % 2 ** 32)];
}

export function text(value: string): number[] {
  return [...u32(value.length), ...bytesOf(value)];
}

/** FIXED_NEWSTYLE and NO_ZEROES. */
export const CLIENT_FLAGS: Uint8Array = bytesOf(u32(3));

export function option(number: number, data: readonly number[] = []): Uint8Array {
  return bytesOf('IHAVEOPT', u32(number), u32(data.length), [...data]);
}

/** INFO (6) or GO (7). */
export function info(number: number, name: string, kinds: readonly number[] = []): Uint8Array {
  return option(number, [...text(name), ...u16(kinds.length), ...kinds.flatMap(u16)]);
}

export function metaContext(number: number, name: string, queries: readonly string[]): Uint8Array {
  return option(number, [...text(name), ...u32(queries.length), ...queries.flatMap(text)]);
}

export interface Asked {
  readonly command: number;
  readonly offset?: number;
  readonly length?: number;
  readonly flags?: number;
  readonly cookie?: number;
  readonly data?: Uint8Array;
}

export function request(asked: Asked): Uint8Array {
  const { command, offset = 0, length = 0, flags = 0, cookie = command, data = [] } = asked;
  const header = [...u32(0x25609513), ...u16(flags), ...u16(command)];
  const id = [...u32(COOKIE_HIGH), ...u32(cookie)];
  return bytesOf(header, id, u64(offset), u32(length), data);
}

export function extendedRequest(asked: Asked): Uint8Array {
  const { command, offset = 0, length = 0, flags = 0, cookie = command, data = [] } = asked;
  const header = [...u32(0x21e41c71), ...u16(flags), ...u16(command)];
  const id = [...u32(COOKIE_HIGH), ...u32(cookie)];
  return bytesOf(header, id, u64(offset), u64(length), data);
}

export interface OptionAnswer {
  readonly option: number;
  readonly type: number;
  readonly data: Uint8Array;
}

export interface Reply {
  readonly kind: 'simple' | 'structured' | 'extended';
  readonly cookie: number;
  readonly error: number;
  /** Of a chunk. */
  readonly type: number;
  readonly isLast: boolean;
  readonly payload: Uint8Array;
}

/** Reads what the server has sent so far, once. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(stream: BenchStream) {
    this.#bytes = stream.take();
    this.#view = new DataView(this.#bytes.buffer);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u16(): number {
    this.#at += 2;
    return this.#view.getUint16(this.#at - 2);
  }

  u32(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4);
  }

  u64(): number {
    return this.u32() * 2 ** 32 + this.u32();
  }

  take(lengthBytes: number): Uint8Array {
    if (lengthBytes > this.left) throw new Error(`${lengthBytes} of ${this.left} bytes are wanted`);
    this.#at += lengthBytes;
    return this.#bytes.slice(this.#at - lengthBytes, this.#at);
  }

  optionAnswers(): OptionAnswer[] {
    const answers: OptionAnswer[] = [];
    while (this.left > 0) {
      if (this.u64() !== 0x0003e889045565a9) throw new Error('no answer to an option');
      const [asked, type, length] = [this.u32(), this.u32(), this.u32()];
      answers.push({ option: asked, type, data: this.take(length) });
    }
    return answers;
  }

  /** `dataOf`: how much data follows a simple reply to the request of that cookie. */
  replies(dataOf: (cookie: number) => number = () => 0): Reply[] {
    const replies: Reply[] = [];
    while (this.left > 0) replies.push(this.#reply(dataOf));
    return replies;
  }

  #reply(dataOf: (cookie: number) => number): Reply {
    const magic = this.u32();
    if (magic === 0x67446698) {
      const error = this.u32();
      const cookie = this.#cookie();
      const payload = this.take(error === 0 ? dataOf(cookie) : 0);
      return { kind: 'simple', cookie, error, type: 0, isLast: true, payload };
    }
    const isExtended = magic === 0x6e8a278c;
    if (!isExtended && magic !== 0x668e33ef) throw new Error(`${magic.toString(16)} is no reply`);
    const isLast = (this.u16() & 1) === 1;
    const type = this.u16();
    const cookie = this.#cookie();
    if (isExtended) this.u64();
    const payload = this.take(isExtended ? this.u64() : this.u32());
    const error = type >= 0x8000 ? new DataView(payload.buffer).getUint32(0) : 0;
    const kind = isExtended ? 'extended' : 'structured';
    return { kind, cookie, error, type, isLast, payload };
  }

  #cookie(): number {
    if (this.u32() !== COOKIE_HIGH) throw new Error('a cookie that nobody has sent');
    return this.u32();
  }
}
