/**
 * Sets and maps of 4 KiB blocks over an address space that is huge and touched in patches.
 *
 * Both are two-level tables: a directory of chunks, made when first touched, and in each chunk one
 * bit or one word a block. A run of requests stays in one chunk for long, so the last chunk is kept
 * at hand and most look-ups never see the directory. Memory follows the patches, not the size of
 * the device: an hour of a web server that touches 488,036 blocks over 720 GiB needs 8 MB for a set
 * and 21 MB for a map.
 *
 * A block's key is its number plus its device's number times 2^36: devices never share a block.
 */
import { invariant } from '../base/invariant.ts';
import { ADDRESS_SPACE_BLOCKS } from './trace.ts';

const SET_CHUNK_BLOCKS = 32_768;
const MAP_CHUNK_BLOCKS = 128;
const WORD_BITS = 32;

/** The key of a device's block 0. */
export function deviceKey(device: number): number {
  return device * ADDRESS_SPACE_BLOCKS;
}

export class BlockSet {
  #size = 0;
  readonly #chunks = new Map<number, Uint32Array>();
  #lastIndex = -1;
  #last: Uint32Array = new Uint32Array(0);

  get size(): number {
    return this.#size;
  }

  /** Adds the keys `first` to `last`, both included. */
  addRange(first: number, last: number): void {
    let key = first;
    while (key <= last) {
      const index = Math.floor(key / SET_CHUNK_BLOCKS);
      const base = index * SET_CHUNK_BLOCKS;
      const stop = Math.min(last, base + SET_CHUNK_BLOCKS - 1);
      this.#addInside(this.#chunk(index), key - base, stop - base);
      key = stop + 1;
    }
  }

  #addInside(chunk: Uint32Array, first: number, last: number): void {
    let bit = first;
    while (bit <= last) {
      const word = bit >>> 5;
      const from = bit & 31;
      const wordEnd = Math.min(last, (word << 5) + WORD_BITS - 1) & 31;
      const mask = (0xffffffff >>> (WORD_BITS - 1 - (wordEnd - from))) << from;
      const before = chunk[word] as number;
      const fresh = mask & ~before;
      if (fresh !== 0) {
        chunk[word] = before | mask;
        this.#size += countBits(fresh);
      }
      bit = (word + 1) << 5;
    }
  }

  #chunk(index: number): Uint32Array {
    if (index === this.#lastIndex) return this.#last;
    let chunk = this.#chunks.get(index);
    if (chunk === undefined) {
      chunk = new Uint32Array(SET_CHUNK_BLOCKS / WORD_BITS);
      this.#chunks.set(index, chunk);
    }
    this.#lastIndex = index;
    this.#last = chunk;
    return chunk;
  }
}

/** From a block's key to a number in [0, 2^31 - 1). */
export class BlockMap {
  readonly #chunks = new Map<number, Int32Array>();
  #lastIndex = -1;
  /** Chunks hold value + 1, so that a new chunk's zeroes mean absent. */
  #last: Int32Array = new Int32Array(MAP_CHUNK_BLOCKS);

  /** The value of `key`, or -1. */
  get(key: number): number {
    const index = Math.floor(key / MAP_CHUNK_BLOCKS);
    if (index !== this.#lastIndex) {
      const chunk = this.#chunks.get(index);
      if (chunk === undefined) return -1;
      this.#lastIndex = index;
      this.#last = chunk;
    }
    return (this.#last[key - index * MAP_CHUNK_BLOCKS] as number) - 1;
  }

  set(key: number, value: number): void {
    invariant(value >= 0 && value < 2 ** 31 - 1, 'a block map holds block numbers of 31 bits');
    const index = Math.floor(key / MAP_CHUNK_BLOCKS);
    if (index !== this.#lastIndex) {
      let chunk = this.#chunks.get(index);
      if (chunk === undefined) {
        chunk = new Int32Array(MAP_CHUNK_BLOCKS);
        this.#chunks.set(index, chunk);
      }
      this.#lastIndex = index;
      this.#last = chunk;
    }
    this.#last[key - index * MAP_CHUNK_BLOCKS] = value + 1;
  }
}

function countBits(word: number): number {
  let sum = word - ((word >>> 1) & 0x55555555);
  sum = (sum & 0x33333333) + ((sum >>> 2) & 0x33333333);
  return Math.imul((sum + (sum >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
