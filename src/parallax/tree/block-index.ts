/**
 * A hash index from pool block ids (48 bits) to small numbers: open addressing in typed arrays.
 *
 * Keys lie as two words, values as one, 12 bytes a slot at a load of at most one half. Removing
 * moves later keys of the run back, so there are no tombstones and no rebuilding. Nothing is
 * allocated after the constructor.
 */
import { invariant } from '../../base/invariant.ts';

const U32 = 2 ** 32;
const NONE = -1;

export class BlockIndex {
  readonly #mask: number;
  readonly #low: Uint32Array;
  readonly #high: Uint32Array;
  /** Value + 1; 0: the slot is free. */
  readonly #values: Int32Array;
  readonly #capacity: number;
  #count = 0;

  constructor(capacity: number) {
    let slots = 4;
    while (slots < 2 * capacity) slots *= 2;
    this.#mask = slots - 1;
    this.#capacity = capacity;
    this.#low = new Uint32Array(slots);
    this.#high = new Uint32Array(slots);
    this.#values = new Int32Array(slots);
  }

  get count(): number {
    return this.#count;
  }

  /** The value of `block`, or -1. */
  get(block: number): number {
    return (this.#values[this.#slotFor(block)] as number) - 1;
  }

  /** `value`: 0 or more. */
  set(block: number, value: number): void {
    const slot = this.#slotFor(block);
    if (this.#values[slot] === 0) {
      invariant(this.#count < this.#capacity, 'an index holds what it was made for');
      this.#low[slot] = block;
      this.#high[slot] = Math.floor(block / U32);
      this.#count++;
    }
    this.#values[slot] = value + 1;
  }

  /** Gives back the value that was there, or -1. */
  delete(block: number): number {
    let hole = this.#slotFor(block);
    const value = (this.#values[hole] as number) - 1;
    if (value === NONE) return NONE;
    this.#count--;
    let slot = hole;
    for (;;) {
      slot = (slot + 1) & this.#mask;
      if (this.#values[slot] === 0) break;
      const home = this.#hash(this.#low[slot] as number, this.#high[slot] as number);
      // A key may move back to the hole unless its home lies after the hole, in ring order.
      if (((slot - home) & this.#mask) < ((slot - hole) & this.#mask)) continue;
      this.#low[hole] = this.#low[slot] as number;
      this.#high[hole] = this.#high[slot] as number;
      this.#values[hole] = this.#values[slot] as number;
      hole = slot;
    }
    this.#values[hole] = 0;
    return value;
  }

  /** Slot of `block`, or the free one where it would go. */
  #slotFor(block: number): number {
    const low = block >>> 0;
    const high = Math.floor(block / U32);
    let slot = this.#hash(low, high);
    while (this.#values[slot] !== 0 && (this.#low[slot] !== low || this.#high[slot] !== high)) {
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }

  /** Multiplicative (Knuth), folded: neighbours, which is how ids come, spread. */
  #hash(low: number, high: number): number {
    const mixed = Math.imul(low ^ Math.imul(high, 0x85eb_ca6b), 0x9e37_79b1);
    return (mixed ^ (mixed >>> 15)) & this.#mask;
  }
}
