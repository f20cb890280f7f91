/**
 * Timers for a thread that has an event loop: a `TimerHeap` on one Node timer.
 *
 * Node's timers count whole milliseconds, so a timer fires up to about a millisecond late. It can
 * also fire a little early by our clock; then nothing is due and the Node timer is set again. A
 * sleep of no time is none of that: it ends in the next round of the event loop.
 */
import { MS, type Nanos, NEVER } from '../../base/units.ts';
import type { TimerId, Timers } from '../world.ts';
import type { SleepClock } from './clock.ts';
import { TimerHeap } from './timer-heap.ts';

const NODE_TIMEOUT_MS_MAX = 2 ** 31 - 1;
/** No deadline: what is armed is armed again. */
const REARM = Number.NEGATIVE_INFINITY as Nanos;

export class NodeTimers implements Timers {
  readonly #clock: SleepClock;
  readonly #heap: TimerHeap;
  readonly #onFired: () => void;
  #armed: NodeJS.Timeout | null = null;
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
    this.#armedFor = REARM;
    this.#arm();
  }

  close(): void {
    this.#closed = true;
    this.#heap.close();
    this.#arm();
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
    if (next === this.#armedFor) return;
    // Asked first: looking at a clock that has changed arms anew by itself.
    const delayMs = next === NEVER ? 0 : Math.ceil(this.#clock.untilNs(next) / MS);
    if (this.#armed !== null) clearTimeout(this.#armed);
    this.#armed = null;
    this.#armedFor = next;
    if (next === NEVER) return;
    this.#armed = setTimeout(
      this.#onNodeTimer,
      Math.min(Math.max(delayMs, 1), NODE_TIMEOUT_MS_MAX),
    );
  }

  readonly #onNodeTimer = (): void => {
    this.#armed = null;
    this.#armedFor = NEVER;
    try {
      if (this.#heap.fireDue(this.#clock.nowNs())) this.#onFired();
    } finally {
      this.#arm();
    }
  };
}
