/**
 * Finds the slot of a key of two 32-bit parts: (VDI, block) or the halves of a pool block's number.
 *
 * Open addressing with linear probing, in typed arrays of a fixed size. A table entry is one byte
 * of tag and the number of a slot; the keys lie with the slots, where their owner reads them too. A
 * probe looks at tags, which lie side by side, and at a key only where seven bits of its hash
 * agree: so a lookup costs about three cache misses when it finds and one when it does not.
 *
 * The table is never fuller than `LOAD_MAX`. Removal shifts entries back instead of leaving marks,
 * so a table that lives long stays as fast as a new one. Each entry says how far it lies from where
 * its probe begins, so that shifting reads no keys.
 *
 * Guests choose block numbers. The salt, which they cannot know, keeps them from choosing numbers
 * that all hash to one place.
 */
import { invariant } from '../../base/invariant.ts';

const LOAD_MAX = 0.7;
const KEY_WORDS = 2;
const USED = 0x80;
const U32_RANGE = 2 ** 32;
/** Farther from its place no entry gets: at this load some hundred places are far already. */
const STEPS_MAX = 65_535;

export class BlockIndex {
  readonly slots: number;
  /** Both parts of each slot's key, side by side. Valid while the slot is in the index. */
  readonly keys: Uint32Array;
  readonly #salt: number;
  /** 0: free; else `USED` and seven bits of the hash. */
  readonly #tags: Uint8Array;
  readonly #table: Int32Array;
  /** How far each entry lies from where its probe begins. */
  readonly #steps: Uint16Array;
  /** Turns a hash into the place where its probe begins. */
  readonly #placesPerHash: number;
  #count = 0;

  constructor(slots: number, salt: number) {
    invariant(slots >= 1 && slots < 2 ** 31, 'a slot number fits 31 bits');
    this.slots = slots;
    this.keys = new Uint32Array(slots * KEY_WORDS);
    this.#salt = salt;
    const places = Math.ceil(slots / LOAD_MAX) + 1;
    this.#tags = new Uint8Array(places);
    this.#table = new Int32Array(places);
    this.#steps = new Uint16Array(places);
    this.#placesPerHash = places / U32_RANGE;
  }

  /** Keys in the index. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of its arrays. */
  get sizeBytes(): number {
    const arrays = [this.keys, this.#tags, this.#table, this.#steps];
    return arrays.reduce((sum, array) => sum + array.byteLength, 0);
  }

  /** The slot of the key, -1 if it is not there. */
  find(high: number, low: number): number {
    const at = this.#placeOf(high, low);
    return at < 0 ? -1 : (this.#table[at] as number);
  }

  /** Whether the slot is in the index, under the key that it has. */
  holds(slot: number): boolean {
    const high = this.keys[slot * KEY_WORDS] as number;
    return this.find(high, this.keys[slot * KEY_WORDS + 1] as number) === slot;
  }

  /** Adds a key that is not there, for a slot that has none. */
  insert(high: number, low: number, slot: number): void {
    invariant(slot >= 0 && slot < this.slots, 'a slot is one of the index');
    invariant(this.#count < this.slots, 'each slot has one key');
    this.keys[slot * KEY_WORDS] = high;
    this.keys[slot * KEY_WORDS + 1] = low;
    const hash = this.#hash(high, low);
    let at = Math.floor(hash * this.#placesPerHash);
    let steps = 0;
    for (; this.#tags[at] !== 0; steps++) if (++at === this.#tags.length) at = 0;
    this.#tags[at] = USED | hash;
    invariant(steps <= STEPS_MAX, 'a salted hash spreads keys over the table');
    this.#steps[at] = steps;
    this.#table[at] = slot;
    this.#count++;
  }

  /** Takes away the key of a slot, which is in the index. */
  remove(slot: number): void {
    const high = this.keys[slot * KEY_WORDS] as number;
    const at = this.#placeOf(high, this.keys[slot * KEY_WORDS + 1] as number);
    invariant(at >= 0 && this.#table[at] === slot, 'a slot that is removed was in the index');
    this.#close(at);
    this.#count--;
  }

  #placeOf(high: number, low: number): number {
    const hash = this.#hash(high, low);
    const tag = USED | (hash & 0x7f);
    let at = Math.floor(hash * this.#placesPerHash);
    for (;;) {
      const found = this.#tags[at] as number;
      if (found === 0) return -1;
      if (found === tag) {
        const key = (this.#table[at] as number) * KEY_WORDS;
        if (this.keys[key] === high && this.keys[key + 1] === low) return at;
      }
      if (++at === this.#tags.length) at = 0;
    }
  }

  /** Empties a place, and moves back what was pushed past it. */
  #close(emptied: number): void {
    const places = this.#tags.length;
    let hole = emptied;
    let at = emptied;
    for (;;) {
      if (++at === places) at = 0;
      if (this.#tags[at] === 0) break;
      const steps = this.#steps[at] as number;
      const back = distance(hole, at, places);
      // An entry whose probe begins behind the hole would not be found there.
      if (steps < back) continue;
      this.#tags[hole] = this.#tags[at] as number;
      this.#table[hole] = this.#table[at] as number;
      this.#steps[hole] = steps - back;
      hole = at;
    }
    this.#tags[hole] = 0;
  }

  /** 32 bits, by multiplications and shifts as in murmur3's finaliser. */
  #hash(high: number, low: number): number {
    let hash = Math.imul(low ^ (low >>> 16), 0x85ebca6b);
    hash = (hash + Math.imul(high ^ this.#salt, 0x9e3779b1)) | 0;
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
    return (hash ^ (hash >>> 16)) >>> 0;
  }
}

function distance(from: number, to: number, places: number): number {
  return to >= from ? to - from : to - from + places;
}
