/**
 * S3-FIFO: three queues, first in first out (Yang, Zhang, Qiu, Yue, Rashmi, SOSP 2023).
 *
 * A new entry enters the *small* queue, a tenth of the slots. When its turn comes there, it moves
 * to *main* if it was used more than once since it came, else it leaves and its key enters the
 * *ghost* queue. A key that comes back while it is a ghost enters main at once. In main an entry
 * that was used gets another round for each use, three at the most.
 *
 * A scan so passes through a tenth of the cache and leaves the rest alone. A hit writes one byte,
 * where LRU relinks six words in three places.
 *
 * The search for a victim is cut after `LOOKS_MAX` entries, and the one at hand leaves: a step of
 * the driver VM must not walk through millions of slots because all of them were used.
 */
import { BlockIndex } from './block-index.ts';
import type { EvictionPolicy } from './eviction.ts';
import { SlotLists } from './slot-lists.ts';

const SMALL = 0;
const MAIN = 1;
const SMALL_SHARE = 0.1;
/** Uses in the small queue that let an entry into main. */
const PROMOTING_USES = 2;
const USES_MAX = 3;
const LOOKS_MAX = 256;
/** Of a slot's byte: it is in main. The bits below count its uses. */
const IN_MAIN = 4;
const USES = 3;

export class S3FifoPolicy implements EvictionPolicy {
  readonly #index: BlockIndex;
  readonly #lists: SlotLists;
  readonly #state: Uint8Array;
  readonly #ghosts: GhostQueue;
  readonly #smallTarget: number;
  #smallCount = 0;

  /** `index`: of the cache, to read the keys of the slots from. */
  constructor(index: BlockIndex, salt: number) {
    const { slots } = index;
    this.#index = index;
    this.#lists = new SlotLists(slots, 2);
    this.#state = new Uint8Array(slots);
    this.#smallTarget = Math.max(1, Math.floor(slots * SMALL_SHARE));
    this.#ghosts = new GhostQueue(Math.max(1, slots - this.#smallTarget), salt);
  }

  get sizeBytes(): number {
    return this.#lists.sizeBytes + this.#state.byteLength + this.#ghosts.sizeBytes;
  }

  inserted(slot: number, high: number, low: number): void {
    const queue = this.#ghosts.take(high, low) ? MAIN : SMALL;
    if (queue === SMALL) this.#smallCount++;
    this.#state[slot] = queue === MAIN ? IN_MAIN : 0;
    this.#lists.push(queue, slot);
  }

  hit(slot: number): void {
    const state = this.#state[slot] as number;
    if ((state & USES) < USES_MAX) this.#state[slot] = state + 1;
  }

  victim(_high: number, _low: number): number {
    for (let looks = 1; ; looks++) {
      const main = this.#lists.oldest(MAIN);
      const small = this.#lists.oldest(SMALL);
      if (small >= 0 && (this.#smallCount >= this.#smallTarget || main < 0)) {
        this.#leaveSmall(small);
        if (uses(this.#state[small]) < PROMOTING_USES || looks >= LOOKS_MAX) {
          this.#ghosts.add(this.#index.highOf(small), this.#index.lowOf(small));
          return small;
        }
        this.#state[small] = IN_MAIN;
        this.#lists.push(MAIN, small);
      } else {
        if (main < 0) return -1;
        this.#lists.unlink(main);
        if (uses(this.#state[main]) === 0 || looks >= LOOKS_MAX) return main;
        this.#state[main] = (this.#state[main] as number) - 1;
        this.#lists.push(MAIN, main);
      }
    }
  }

  removed(slot: number): void {
    if (((this.#state[slot] as number) & IN_MAIN) === 0) this.#leaveSmall(slot);
    else this.#lists.unlink(slot);
  }

  #leaveSmall(slot: number): void {
    this.#lists.unlink(slot);
    this.#smallCount--;
  }
}

function uses(state: number | undefined): number {
  return (state as number) & USES;
}

/** The last keys that left, oldest first out: a ring of keys and an index into it. */
class GhostQueue {
  readonly #ring: BlockIndex;
  #next = 0;

  constructor(capacity: number, salt: number) {
    this.#ring = new BlockIndex(capacity, salt);
  }

  get sizeBytes(): number {
    return this.#ring.sizeBytes;
  }

  /** Remembers a key that is not remembered. */
  add(high: number, low: number): void {
    const at = this.#next;
    this.#next = at + 1 === this.#ring.slots ? 0 : at + 1;
    if (this.#ring.holds(at)) this.#ring.remove(at);
    this.#ring.insert(high, low, at);
  }

  /** Forgets a key; tells whether it was remembered. */
  take(high: number, low: number): boolean {
    const at = this.#ring.find(high, low);
    if (at >= 0) this.#ring.remove(at);
    return at >= 0;
  }
}
