/**
 * A queue of events in the order of their time: a binary heap in typed arrays.
 *
 * The key is (time, tie, sequence). `tie` orders events of the same time: 0 for all of them gives
 * first in, first out; a seeded draw gives an order that changes with the seed and only with it.
 * The sequence number, given here at `push`, decides what is left, so that the order is total and
 * never depends on how the heap happens to be shaped.
 *
 * Keys lie in one typed array each, moved along with the `slot` they belong to: comparing two
 * events touches no object, and nothing is allocated but when the arrays double. What a slot means
 * is the caller's matter.
 */
import { invariant } from './invariant.ts';

const FIRST_CAPACITY = 256;

export class EventHeap {
  #times: Float64Array;
  #ties: Uint32Array;
  #sequences: Float64Array;
  #slots: Uint32Array;
  #length = 0;
  #nextSequence = 0;

  constructor() {
    this.#times = new Float64Array(FIRST_CAPACITY);
    this.#ties = new Uint32Array(FIRST_CAPACITY);
    this.#sequences = new Float64Array(FIRST_CAPACITY);
    this.#slots = new Uint32Array(FIRST_CAPACITY);
  }

  get length(): number {
    return this.#length;
  }

  /** Time of the earliest event. The heap is not empty. */
  firstTimeNs(): number {
    invariant(this.#length > 0, 'the first event is asked of a heap that has one');
    return this.#times[0] as number;
  }

  /** Slot of the earliest event. The heap is not empty. */
  firstSlot(): number {
    invariant(this.#length > 0, 'the first event is asked of a heap that has one');
    return this.#slots[0] as number;
  }

  /** Adds an event. `tie` and `slot` fit 32 bits. */
  push(timeNs: number, tie: number, slot: number): void {
    if (this.#length === this.#times.length) this.#grow();
    const times = this.#times;
    const ties = this.#ties;
    const sequence = this.#nextSequence++;
    let hole = this.#length++;
    while (hole > 0) {
      const parent = (hole - 1) >>> 1;
      const parentTime = times[parent] as number;
      // A new event has the greatest sequence number, so an equal key stays below its parent.
      if (timeNs > parentTime) break;
      if (timeNs === parentTime && tie >= (ties[parent] as number)) break;
      this.#move(parent, hole);
      hole = parent;
    }
    times[hole] = timeNs;
    ties[hole] = tie;
    this.#sequences[hole] = sequence;
    this.#slots[hole] = slot;
  }

  /** Removes the earliest event and returns its slot. The heap is not empty. */
  pop(): number {
    const slot = this.firstSlot();
    const last = --this.#length;
    if (last > 0) this.#sinkFromRoot(last);
    return slot;
  }

  /** Puts the element at `last`, which is past the end now, where the root's hole sinks to. */
  #sinkFromRoot(last: number): void {
    const time = this.#times[last] as number;
    const tie = this.#ties[last] as number;
    const sequence = this.#sequences[last] as number;
    const slot = this.#slots[last] as number;
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= last) break;
      const right = child + 1;
      if (right < last && this.#isBefore(right, child)) child = right;
      if (!this.#isBeforeKey(child, time, tie, sequence)) break;
      this.#move(child, hole);
      hole = child;
    }
    this.#times[hole] = time;
    this.#ties[hole] = tie;
    this.#sequences[hole] = sequence;
    this.#slots[hole] = slot;
  }

  #isBefore(left: number, right: number): boolean {
    return this.#isBeforeKey(
      left,
      this.#times[right] as number,
      this.#ties[right] as number,
      this.#sequences[right] as number,
    );
  }

  #isBeforeKey(at: number, timeNs: number, tie: number, sequence: number): boolean {
    const ownTime = this.#times[at] as number;
    if (ownTime !== timeNs) return ownTime < timeNs;
    const ownTie = this.#ties[at] as number;
    if (ownTie !== tie) return ownTie < tie;
    return (this.#sequences[at] as number) < sequence;
  }

  #move(source: number, target: number): void {
    this.#times[target] = this.#times[source] as number;
    this.#ties[target] = this.#ties[source] as number;
    this.#sequences[target] = this.#sequences[source] as number;
    this.#slots[target] = this.#slots[source] as number;
  }

  #grow(): void {
    const capacity = this.#times.length * 2;
    const times = new Float64Array(capacity);
    const ties = new Uint32Array(capacity);
    const sequences = new Float64Array(capacity);
    const slots = new Uint32Array(capacity);
    times.set(this.#times);
    ties.set(this.#ties);
    sequences.set(this.#sequences);
    slots.set(this.#slots);
    this.#times = times;
    this.#ties = ties;
    this.#sequences = sequences;
    this.#slots = slots;
  }
}
