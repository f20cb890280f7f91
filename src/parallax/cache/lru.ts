/** Least recently used: what was not used for the longest time gives way. The yardstick. */
import type { EvictionPolicy } from './eviction.ts';
import { SlotLists } from './slot-lists.ts';

export class LruPolicy implements EvictionPolicy {
  readonly #lists: SlotLists;

  constructor(slots: number) {
    this.#lists = new SlotLists(slots, 1);
  }

  get sizeBytes(): number {
    return this.#lists.sizeBytes;
  }

  inserted(slot: number, _high: number, _low: number): void {
    this.#lists.push(0, slot);
  }

  hit(slot: number): void {
    this.#lists.unlink(slot);
    this.#lists.push(0, slot);
  }

  victim(_high: number, _low: number): number {
    const slot = this.#lists.oldest(0);
    if (slot >= 0) this.#lists.unlink(slot);
    return slot;
  }

  removed(slot: number): void {
    this.#lists.unlink(slot);
  }
}
