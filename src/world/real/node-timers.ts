/**
 * Timers for a thread that has an event loop: a `TimerHeap` on one Node timer.
 *
 * Node's timers count whole milliseconds, so a timer fires up to about a millisecond late. It can
 * also fire a little early by our clock; then nothing is due and the Node timer is set again. What
 * is due at once, and a sleep of no time, is none of that: it comes in the next round of the event
 * loop.
 *
 * Deadlines of requests are set and cancelled by the thousand, nearly always in order. So a Node
 * timer that is set for an earlier deadline than there is now is left: it fires, finds nothing due
 * and is set again. While there is no deadline at all it does not keep the process alive.
 */
import { MS, type Nanos, NEVER } from '../../base/units.ts';
import type { TimerId, Timers } from '../world.ts';
import type { SleepClock } from './clock.ts';
import { TimerHeap } from './timer-heap.ts';

const NODE_TIMEOUT_MS_MAX = 2 ** 31 - 1;

export class NodeTimers implements Timers {
  readonly #clock: SleepClock;
  readonly #heap: TimerHeap;
  readonly #onFired: () => void;
  #armed: NodeJS.Timeout | null = null;
  /** In the place of `armed` when something is due. */
  #due: NodeJS.Immediate | null = null;
  /** Deadline that Node comes for; NEVER: it does not. */
  #armedFor: Nanos = NEVER;
  #closed = false;

  /** `onFired` is told after timers have fired: the actor may have work now. */
  constructor(clock: SleepClock, onFired: () => void) {
    this.#clock = clock;
    this.#heap = new TimerHeap(clock);
    this.#onFired = onFired;
  }

  at(deadlineNs: Nanos, fire: () => void): TimerId {
    const timer = this.#heap.at(deadlineNs, fire);
    this.#arm();
    return timer;
  }

  cancel(timer: TimerId): void {
    this.#heap.cancel(timer);
    this.#arm();
  }

  sleep(durationNs: number): Promise<void> {
    if (durationNs <= 0) return this.#turn();
    return new Promise((wake) => {
      this.at((this.#clock.nowNs() + durationNs) as Nanos, wake);
    });
  }

  /** The clock has changed: the next deadline comes at another moment. */
  rearm(): void {
    this.#disarm();
    this.#arm();
  }

  close(): void {
    this.#closed = true;
    this.#heap.close();
    this.#disarm();
  }

  #turn(): Promise<void> {
    return new Promise((wake) => {
      setImmediate(() => {
        if (this.#closed) return;
        wake();
        this.#onFired();
      });
    });
  }

  #arm(): void {
    const next = this.#heap.nextDeadlineNs();
    if (next === NEVER) return void this.#armed?.unref();
    if (this.#armedFor <= next) return void this.#armed?.ref();
    // Asked first: looking at a clock that has changed arms anew by itself.
    const delayNs = this.#clock.untilNs(next);
    if (this.#armedFor <= next) return;
    this.#disarm();
    this.#armedFor = next;
    if (delayNs <= 0) {
      this.#due = setImmediate(this.#onNodeTimer);
      return;
    }
    const delayMs = Math.min(Math.ceil(delayNs / MS), NODE_TIMEOUT_MS_MAX);
    this.#armed = setTimeout(this.#onNodeTimer, delayMs);
  }

  #disarm(): void {
    if (this.#armed !== null) clearTimeout(this.#armed);
    if (this.#due !== null) clearImmediate(this.#due);
    this.#armed = null;
    this.#due = null;
    this.#armedFor = NEVER;
  }

  readonly #onNodeTimer = (): void => {
    this.#armed = null;
    this.#due = null;
    this.#armedFor = NEVER;
    try {
      if (this.#heap.fireDue(this.#clock.nowNs())) this.#onFired();
    } finally {
      this.#arm();
    }
  };
}
