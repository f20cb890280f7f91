/**
 * Timers in a binary heap, fired by whoever owns the thread.
 *
 * The blocking loop has no event loop to run Node's timers while it sleeps, so it asks the heap for
 * the next deadline, sleeps no longer, and fires what is due. `NodeTimers` puts the same heap on
 * one Node timer. Order: by deadline, then by the order of `at`. A timer that is set while others
 * fire waits for the next `fireDue`, so a timer that sets itself again cannot hold the thread.
 *
 * A timer lives in a slot; its id is the slot and the slot's use count, so that cancelling one that
 * has fired can never hit a later timer in the same slot.
 */
import { invariant } from '../../base/invariant.ts';
import { type Nanos, NEVER } from '../../base/units.ts';
import type { Clock, TimerId, Timers } from '../world.ts';

const SLOTS_MAX = 2 ** 20;

interface Slot {
  readonly slot: number;
  uses: number;
  deadlineNs: number;
  order: number;
  /** Place in the heap, or -1. */
  place: number;
  fire: (() => void) | null;
}

export class TimerHeap implements Timers {
  readonly #clock: Clock;
  readonly #slots: Slot[] = [];
  readonly #free: Slot[] = [];
  readonly #heap: Slot[] = [];
  #order = 0;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  at(deadlineNs: Nanos, fire: () => void): TimerId {
    const slot = this.#free.pop() ?? this.#newSlot();
    const id = (slot.uses * SLOTS_MAX + slot.slot) as TimerId;
    slot.deadlineNs = deadlineNs;
    slot.order = this.#order++;
    slot.fire = fire;
    if (this.#closed) {
      this.#release(slot);
      return id;
    }
    slot.place = this.#heap.length;
    this.#heap.push(slot);
    this.#rise(slot);
    return id;
  }

  cancel(timer: TimerId): void {
    const slot = this.#slots[timer % SLOTS_MAX];
    if (slot === undefined || slot.place < 0) return;
    if (slot.uses !== Math.floor(timer / SLOTS_MAX)) return;
    this.#remove(slot);
  }

  sleep(durationNs: number): Promise<void> {
    return new Promise((wake) => {
      this.at((this.#clock.nowNs() + durationNs) as Nanos, wake);
    });
  }

  nextDeadlineNs(): Nanos {
    const first = this.#heap[0];
    return first === undefined ? NEVER : (first.deadlineNs as Nanos);
  }

  /** Fires what is due at `nowNs`. True if anything fired. */
  fireDue(nowNs: Nanos): boolean {
    const before = this.#order;
    let fired = false;
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.deadlineNs > nowNs || first.order >= before) return fired;
      const { fire } = first;
      this.#remove(first);
      invariant(fire !== null, 'a timer in the heap has something to fire');
      fired = true;
      fire();
    }
  }

  /** The incarnation is over: nothing fires from here on, whatever is still set. */
  close(): void {
    this.#closed = true;
    for (const slot of this.#heap.splice(0)) this.#release(slot);
  }

  #newSlot(): Slot {
    invariant(this.#slots.length < SLOTS_MAX, 'an actor has a bounded number of timers');
    const slot = {
      slot: this.#slots.length,
      uses: 0,
      deadlineNs: 0,
      order: 0,
      place: -1,
      fire: null,
    };
    this.#slots.push(slot);
    return slot;
  }

  #release(slot: Slot): void {
    slot.place = -1;
    slot.fire = null;
    slot.uses += 1;
    this.#free.push(slot);
  }

  #remove(slot: Slot): void {
    const { place } = slot;
    const last = this.#heap.pop();
    invariant(last !== undefined, 'a timer that has a place is in the heap');
    if (last !== slot) {
      last.place = place;
      this.#heap[place] = last;
      this.#rise(last);
      this.#sink(last);
    }
    this.#release(slot);
  }

  #rise(slot: Slot): void {
    while (slot.place > 0) {
      const parent = this.#heap[(slot.place - 1) >> 1] as Slot;
      if (!isBefore(slot, parent)) return;
      this.#swap(slot, parent);
    }
  }

  #sink(slot: Slot): void {
    for (;;) {
      const left = this.#heap[slot.place * 2 + 1];
      if (left === undefined) return;
      const right = this.#heap[slot.place * 2 + 2];
      const child = right !== undefined && isBefore(right, left) ? right : left;
      if (!isBefore(child, slot)) return;
      this.#swap(child, slot);
    }
  }

  #swap(a: Slot, b: Slot): void {
    const { place } = a;
    a.place = b.place;
    b.place = place;
    this.#heap[a.place] = a;
    this.#heap[b.place] = b;
  }
}

function isBefore(a: Slot, b: Slot): boolean {
  return a.deadlineNs < b.deadlineNs || (a.deadlineNs === b.deadlineNs && a.order < b.order);
}
