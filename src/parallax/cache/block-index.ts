/**
 * Finds the slot of a key of two 32-bit parts: (VDI, block) or the halves of a pool block's number.
 *
 * Open addressing with linear probing, in typed arrays of a fixed size. A table entry is the whole
 * hash and the number of a slot, side by side. The keys lie with the slots, where their owner reads
 * them too, at the beginning of a record in which it may keep what it needs along with a key. A
 * probe looks at a key only where the hashes agree: so a lookup costs two cache misses when it
 * finds, the record included, and one when it does not.
 *
 * The table is never fuller than `LOAD_MAX`. Removal shifts entries back instead of leaving marks,
 * so a table that lives long stays as fast as a new one. The hash of an entry says where its probe
 * begins, so that shifting reads no keys.
 *
 * Guests choose block numbers. The salt, which they cannot know, keeps them from choosing numbers
 * that all hash to one place.
 */
import { invariant } from '../../base/invariant.ts';

const LOAD_MAX = 0.75;
/** Of a record. */
export const KEY_WORDS = 2;
const ENTRY_WORDS = 2;
const U32_RANGE = 2 ** 32;

export class BlockIndex {
  readonly slots: number;
  /** Words of a slot's record: both parts of its key, and then what is the owner's. */
  readonly recordWords: number;
  /** The records. A key is valid while its slot is in the index. */
  readonly records: Uint32Array;
  readonly #salt: number;
  readonly #places: number;
  /** Of each place: the hash, and the slot plus one; 0 if it is free. */
  readonly #table: Uint32Array;
  /** Turns a hash into the place where its probe begins. */
  readonly #placesPerHash: number;
  #count = 0;

  constructor(slots: number, salt: number, recordWords: number = KEY_WORDS) {
    invariant(slots >= 1 && slots < 2 ** 31, 'a slot number fits 31 bits');
    this.slots = slots;
    this.recordWords = recordWords;
    this.records = new Uint32Array(slots * recordWords);
    this.#salt = salt;
    this.#places = Math.ceil(slots / LOAD_MAX) + 1;
    this.#table = new Uint32Array(this.#places * ENTRY_WORDS);
    this.#placesPerHash = this.#places / U32_RANGE;
  }

  /** Keys in the index. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of its arrays. */
  get sizeBytes(): number {
    return this.records.byteLength + this.#table.byteLength;
  }

  /** The slot of the key, -1 if it is not there. */
  find(high: number, low: number): number {
    const at = this.#placeOf(high, low);
    return at < 0 ? -1 : this.#slotAt(at);
  }

  /** The parts of a slot's key, or of the last one that it had. */
  highOf(slot: number): number {
    return this.records[slot * this.recordWords] as number;
  }

  lowOf(slot: number): number {
    return this.records[slot * this.recordWords + 1] as number;
  }

  /** Whether the slot is in the index, under the key that it has. */
  holds(slot: number): boolean {
    return this.find(this.highOf(slot), this.lowOf(slot)) === slot;
  }

  /** Adds a key that is not there, for a slot that has none. */
  insert(high: number, low: number, slot: number): void {
    invariant(slot >= 0 && slot < this.slots, 'a slot is one of the index');
    invariant(this.#count < this.slots, 'each slot has one key');
    const key = slot * this.recordWords;
    this.records[key] = high;
    this.records[key + 1] = low;
    const hash = this.hash(high, low);
    let at = this.#homeOf(hash);
    while (this.#slotAt(at) >= 0) if (++at === this.#places) at = 0;
    this.#put(at, hash, slot);
    this.#count++;
  }

  /** Takes away the key of a slot, which is in the index. */
  remove(slot: number): void {
    const at = this.#placeOf(this.highOf(slot), this.lowOf(slot));
    invariant(at >= 0 && this.#slotAt(at) === slot, 'a slot that is removed was in the index');
    this.#close(at);
    this.#count--;
  }

  #placeOf(high: number, low: number): number {
    const hash = this.hash(high, low);
    let at = this.#homeOf(hash);
    for (;;) {
      const slot = this.#slotAt(at);
      if (slot < 0) return -1;
      if (this.#table[at * ENTRY_WORDS] === hash) {
        const key = slot * this.recordWords;
        if (this.records[key] === high && this.records[key + 1] === low) return at;
      }
      if (++at === this.#places) at = 0;
    }
  }

  #homeOf(hash: number): number {
    return Math.floor(hash * this.#placesPerHash);
  }

  /** -1: the place is free. */
  #slotAt(at: number): number {
    return (this.#table[at * ENTRY_WORDS + 1] as number) - 1;
  }

  #put(at: number, hash: number, slot: number): void {
    this.#table[at * ENTRY_WORDS] = hash;
    this.#table[at * ENTRY_WORDS + 1] = slot + 1;
  }

  /** Empties a place, and moves back what was pushed past it. */
  #close(emptied: number): void {
    const places = this.#places;
    let hole = emptied;
    let at = emptied;
    for (;;) {
      if (++at === places) at = 0;
      const slot = this.#slotAt(at);
      if (slot < 0) break;
      const hash = this.#table[at * ENTRY_WORDS] as number;
      // An entry whose probe begins behind the hole would not be found there.
      if (distance(this.#homeOf(hash), at, places) < distance(hole, at, places)) continue;
      this.#put(hole, hash, slot);
      hole = at;
    }
    this.#put(hole, 0, -1);
  }

  /** Of a key: 32 bits, by multiplications and shifts as in murmur3's finaliser. */
  hash(high: number, low: number): number {
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
