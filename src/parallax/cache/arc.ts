/**
 * ARC, the adaptive replacement cache (Megiddo and Modha, FAST 2003, figure 4).
 *
 * Entries used once lately are in T1, entries used more often in T2, both in LRU order. B1 and B2
 * remember the keys that left T1 and T2. `target` is how large T1 wants to be: a key that comes
 * back from B1 says that T1 is too small, one from B2 that it is too large. With `c` slots, T1 and
 * B1 together have at most c entries, all four at most 2c.
 *
 * The paper's cache is full for ever once it was; here entries may be removed, so free slots appear
 * again. Filling one evicts nothing and so does not move the target.
 */
import { invariant } from '../../base/invariant.ts';
import { BlockIndex } from './block-index.ts';
import type { EvictionPolicy } from './eviction.ts';
import { SlotLists } from './slot-lists.ts';

const ONCE = 0;
const OFTEN = 1;
type List = typeof ONCE | typeof OFTEN;

export class ArcPolicy implements EvictionPolicy {
  readonly #slots: number;
  readonly #index: BlockIndex;
  readonly #lists: SlotLists;
  readonly #listOf: Uint8Array;
  readonly #ghosts: GhostLists;
  #onceCount = 0;
  #oftenCount = 0;
  /** Wanted length of T1, in [0, slots]; not always a whole number. */
  #target = 0;

  /** `index`: of the cache, to read the keys of the slots from. */
  constructor(index: BlockIndex, salt: number) {
    this.#slots = index.slots;
    this.#index = index;
    this.#lists = new SlotLists(index.slots, 2);
    this.#listOf = new Uint8Array(index.slots);
    // One more than the paper's c: a key that comes back is forgotten after its place is made.
    this.#ghosts = new GhostLists(index.slots + 1, salt);
  }

  get sizeBytes(): number {
    return this.#lists.sizeBytes + this.#listOf.byteLength + this.#ghosts.sizeBytes;
  }

  inserted(slot: number, high: number, low: number): void {
    this.#push(this.#ghosts.take(high, low) < 0 ? ONCE : OFTEN, slot);
  }

  hit(slot: number): void {
    this.removed(slot);
    this.#push(OFTEN, slot);
  }

  victim(high: number, low: number): number {
    if (this.#onceCount + this.#oftenCount === 0) return -1;
    const ghosts = this.#ghosts;
    const once = ghosts.count(ONCE);
    const often = ghosts.count(OFTEN);
    const cameFrom = ghosts.listOf(high, low);
    if (cameFrom === ONCE) {
      this.#target = Math.min(this.#slots, this.#target + Math.max(1, often / once));
    } else if (cameFrom === OFTEN) {
      this.#target = Math.max(0, this.#target - Math.max(1, once / often));
    } else if (this.#onceCount + once >= this.#slots) {
      if (once === 0) return this.#takeOldest(ONCE);
      ghosts.dropOldest(ONCE);
    } else if (this.#onceCount + this.#oftenCount + once + often >= 2 * this.#slots) {
      ghosts.dropOldest(OFTEN);
    }
    return this.#replace(cameFrom === OFTEN);
  }

  removed(slot: number): void {
    this.#lists.unlink(slot);
    if (this.#listOf[slot] === ONCE) this.#onceCount--;
    else this.#oftenCount--;
  }

  /** Sends away the oldest entry of T1 or T2, by the target, and remembers its key. */
  #replace(forOften: boolean): number {
    const length = this.#onceCount;
    const tooLong = length > this.#target || (forOften && length === this.#target);
    const list = this.#oftenCount === 0 || (length > 0 && tooLong) ? ONCE : OFTEN;
    const slot = this.#takeOldest(list);
    this.#ghosts.add(list, this.#index.highOf(slot), this.#index.lowOf(slot));
    return slot;
  }

  #takeOldest(list: List): number {
    const slot = this.#lists.oldest(list);
    invariant(slot >= 0, 'a list that is taken from is not empty');
    this.removed(slot);
    return slot;
  }

  #push(list: List, slot: number): void {
    this.#listOf[slot] = list;
    this.#lists.push(list, slot);
    if (list === ONCE) this.#onceCount++;
    else this.#oftenCount++;
  }
}

/** B1 and B2: keys, oldest first, that are found by key. */
class GhostLists {
  readonly #index: BlockIndex;
  readonly #lists: SlotLists;
  readonly #listOf: Uint8Array;
  readonly #counts: [number, number] = [0, 0];
  /**
   * Nodes that were used and are free, in a list of their own; those never used follow `#fresh`.
   */
  readonly #freeList = 2;
  #fresh = 0;

  constructor(capacity: number, salt: number) {
    this.#index = new BlockIndex(capacity, salt);
    this.#lists = new SlotLists(capacity, 3);
    this.#listOf = new Uint8Array(capacity);
  }

  get sizeBytes(): number {
    return this.#index.sizeBytes + this.#lists.sizeBytes + this.#listOf.byteLength;
  }

  count(list: List): number {
    return this.#counts[list];
  }

  /** The list that remembers a key, -1 if none does. */
  listOf(high: number, low: number): number {
    const node = this.#index.find(high, low);
    return node < 0 ? -1 : (this.#listOf[node] as number);
  }

  /** Remembers a key that is not remembered; the oldest gives way where there is no room. */
  add(list: List, high: number, low: number): void {
    if (this.#index.count === this.#index.slots) {
      this.dropOldest(this.#counts[OFTEN] > 0 ? OFTEN : ONCE);
    }
    let node = this.#lists.oldest(this.#freeList);
    if (node < 0) node = this.#fresh++;
    else this.#lists.unlink(node);
    this.#index.insert(high, low, node);
    this.#lists.push(list, node);
    this.#listOf[node] = list;
    this.#counts[list]++;
  }

  /** Forgets a key; tells which list remembered it, -1 if none did. */
  take(high: number, low: number): number {
    const node = this.#index.find(high, low);
    if (node < 0) return -1;
    const list = this.#listOf[node] as List;
    this.#forget(node, list);
    return list;
  }

  dropOldest(list: List): void {
    const node = this.#lists.oldest(list);
    if (node >= 0) this.#forget(node, list);
  }

  #forget(node: number, list: List): void {
    this.#index.remove(node);
    this.#lists.unlink(node);
    this.#lists.push(this.#freeList, node);
    this.#counts[list]--;
  }
}
