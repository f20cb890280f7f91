/**
 * What is going to happen: events in the order of virtual time, each with its owner and action.
 *
 * An event belongs to one incarnation of an actor, or to nobody (the simulator and the toolstack's
 * ends of links). An event whose owner has died, or that was cancelled, stays in the heap and is
 * thrown away when it comes up, without moving the clock: death is then one flag and no search.
 *
 * Events live in numbered slots that are used again. An `EventId` is slot plus generation, so that
 * cancelling an event that has long happened cannot hit its slot's next user.
 */
import { EventHeap } from '../../base/event-heap.ts';
import { invariant } from '../../base/invariant.ts';
import type { Prng } from '../../base/prng.ts';
import type { Incarnation } from './incarnation.ts';

export const EventKind = {
  start: 0,
  step: 1,
  timer: 2,
  disk: 3,
  frame: 4,
  control: 5,
  exit: 6,
  resume: 7,
} as const;
export type EventKind = (typeof EventKind)[keyof typeof EventKind];

export const EVENT_KIND_NAMES: readonly string[] = [
  'start',
  'step',
  'timer',
  'disk',
  'frame',
  'control',
  'exit',
  'resume',
] satisfies readonly (keyof typeof EventKind)[];

/** How events of the same time are ordered: by a seeded draw, or first in first out. */
export type TieBreak = 'seeded' | 'fifo';

/** What happens; `a` and `b` are the two numbers given when it was scheduled. */
export type EventAction = (a: number, b: number) => void;

export type EventId = number & { readonly event: unique symbol };

const SLOT_RANGE = 2 ** 24;
const GENERATION_RANGE = 2 ** 28;
const nothing: EventAction = () => {};

/** One scheduled event, taken out of the queue. The queue reuses a single one of these. */
export class TakenEvent {
  timeNs = 0;
  kind: EventKind = EventKind.start;
  owner: Incarnation | null = null;
  action: EventAction = nothing;
  a = 0;
  b = 0;
}

/** What an event slot holds while it waits. */
class Slot {
  generation = 0;
  timeNs = 0;
  kind: EventKind = EventKind.start;
  owner: Incarnation | null = null;
  /** Null: cancelled. */
  action: EventAction | null = null;
  a = 0;
  b = 0;
}

export class EventQueue {
  readonly #heap = new EventHeap();
  readonly #slots: Slot[] = [];
  readonly #free: number[] = [];
  readonly #ties: Prng | null;

  /** `ties` draws the order of events of the same time; null keeps the order of scheduling. */
  constructor(ties: Prng | null) {
    this.#ties = ties;
  }

  schedule(
    timeNs: number,
    kind: EventKind,
    owner: Incarnation | null,
    action: EventAction,
    a: number,
    b: number,
  ): EventId {
    invariant(Number.isSafeInteger(timeNs), 'virtual time is a whole number of nanoseconds');
    const index = this.#takeFreeSlot();
    const slot = this.#slots[index] as Slot;
    slot.timeNs = timeNs;
    slot.kind = kind;
    slot.owner = owner;
    slot.action = action;
    slot.a = a;
    slot.b = b;
    this.#heap.push(timeNs, this.#ties === null ? 0 : this.#ties.nextU32(), index);
    return (slot.generation * SLOT_RANGE + index) as EventId;
  }

  /** After this the event never happens. Does nothing if it has happened or was cancelled. */
  cancel(id: EventId): void {
    const slot = this.#slots[id % SLOT_RANGE];
    if (slot === undefined || slot.generation !== Math.floor(id / SLOT_RANGE)) return;
    slot.action = null;
    slot.owner = null;
  }

  /** Time of the next event that will really happen, or -1 if there is none. */
  nextTimeNs(): number {
    while (this.#heap.length > 0) {
      const index = this.#heap.firstSlot();
      const slot = this.#slots[index] as Slot;
      if (slot.action !== null && (slot.owner === null || slot.owner.alive)) return slot.timeNs;
      this.#heap.pop();
      this.#release(index, slot);
    }
    return -1;
  }

  /** Takes out the event whose time `nextTimeNs` has just told. */
  take(into: TakenEvent): void {
    const index = this.#heap.pop();
    const slot = this.#slots[index] as Slot;
    this.#moveOut(index, slot, into);
  }

  /** Takes the next event out of the order without forgetting it: its owner is busy. */
  defer(): number {
    return this.#heap.pop();
  }

  /** Owner of the event that comes next. */
  nextOwner(): Incarnation | null {
    return (this.#slots[this.#heap.firstSlot()] as Slot).owner;
  }

  /** Takes a deferred event. False if it was cancelled while it waited. */
  takeDeferred(index: number, into: TakenEvent): boolean {
    const slot = this.#slots[index] as Slot;
    if (slot.action === null) {
      this.#release(index, slot);
      return false;
    }
    this.#moveOut(index, slot, into);
    return true;
  }

  /** Gives back a deferred event that will never be taken. */
  forgetDeferred(index: number): void {
    this.#release(index, this.#slots[index] as Slot);
  }

  #moveOut(index: number, slot: Slot, into: TakenEvent): void {
    into.timeNs = slot.timeNs;
    into.kind = slot.kind;
    into.owner = slot.owner;
    into.action = slot.action ?? nothing;
    into.a = slot.a;
    into.b = slot.b;
    this.#release(index, slot);
  }

  #takeFreeSlot(): number {
    const index = this.#free.pop();
    if (index !== undefined) return index;
    invariant(this.#slots.length < SLOT_RANGE, 'fewer than 16 M events are pending');
    return this.#slots.push(new Slot()) - 1;
  }

  #release(index: number, slot: Slot): void {
    slot.generation = (slot.generation + 1) % GENERATION_RANGE;
    slot.owner = null;
    slot.action = null;
    this.#free.push(index);
  }
}
