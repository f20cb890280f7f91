/**
 * Timers for a thread that has an event loop: a `TimerHeap` on one Node timer.
 *
 * Node's timers count whole milliseconds, so a timer fires up to about a millisecond late. It can
 * also fire a little early by our clock; then nothing is due and the Node timer is set again.
 */
import { MS, type Nanos, NEVER } from '../../base/units.ts';
import type { Clock, TimerId, Timers } from '../world.ts';
import { TimerHeap } from './timer-heap.ts';

const NODE_TIMEOUT_MS_MAX = 2 ** 31 - 1;

export class NodeTimers implements Timers {
  readonly #clock: Clock;
  readonly #heap: TimerHeap;
  readonly #onFired: () => void;
  #armed: NodeJS.Timeout | null = null;
  #armedFor: Nanos = NEVER;

  /** `onFired` is told after timers have fired: the actor may have work now. */
  constructor(clock: Clock, onFired: () => void) {
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
    return new Promise((wake) => {
      this.at((this.#clock.nowNs() + durationNs) as Nanos, wake);
    });
  }

  close(): void {
    this.#heap.close();
    this.#arm();
  }

  #arm(): void {
    const next = this.#heap.nextDeadlineNs();
    if (next === this.#armedFor) return;
    if (this.#armed !== null) clearTimeout(this.#armed);
    this.#armed = null;
    this.#armedFor = next;
    if (next === NEVER) return;
    const delayMs = Math.ceil((next - this.#clock.nowNs()) / MS);
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
