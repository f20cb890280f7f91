/** The data of options, decoded. Null: it is not what the protocol says. */
import { decodeUtf8 } from '../../base/formats/utf8.ts';
import { STRING_BYTES_MAX } from './protocol.ts';

/** Of INFO and GO. */
export interface InfoRequest {
  readonly name: string;
  /** Kinds of information that are asked for. */
  readonly kinds: readonly number[];
}

/** Of LIST_META_CONTEXT and SET_META_CONTEXT. */
export interface MetaContextRequest {
  readonly name: string;
  readonly queries: readonly string[];
}

export function readInfoRequest(bytes: Uint8Array): InfoRequest | null {
  const fields = new OptionFields(bytes);
  const name = fields.string();
  const count = fields.u16();
  if (name === null || count === null || fields.left !== 2 * count) return null;
  const kinds: number[] = [];
  for (let i = 0; i < count; i++) kinds.push(fields.u16() ?? 0);
  return { name, kinds };
}

export function readMetaContextRequest(bytes: Uint8Array): MetaContextRequest | null {
  const fields = new OptionFields(bytes);
  const name = fields.string();
  const count = fields.u32();
  // A query is at least its own length field: more of them than fit are not even counted.
  if (name === null || count === null || count > fields.left / 4) return null;
  const queries: string[] = [];
  for (let i = 0; i < count; i++) {
    const query = fields.string();
    if (query === null) return null;
    queries.push(query);
  }
  return fields.left === 0 ? { name, queries } : null;
}

/** A text of the protocol: UTF-8, without a zero, and not too long. */
export function readText(bytes: Uint8Array, from: number, to: number): string | null {
  if (to - from > STRING_BYTES_MAX) return null;
  const text = decodeUtf8(bytes, from, to);
  return text === null || text.includes('\0') ? null : text;
}

class OptionFields {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u16(): number | null {
    if (this.left < 2) return null;
    this.#at += 2;
    return this.#view.getUint16(this.#at - 2);
  }

  u32(): number | null {
    if (this.left < 4) return null;
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4);
  }

  /** A text behind its length. */
  string(): string | null {
    const length = this.u32();
    if (length === null || length > this.left) return null;
    this.#at += length;
    return readText(this.#bytes, this.#at - length, this.#at);
  }
}
