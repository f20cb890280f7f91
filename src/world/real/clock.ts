/**
 * Monotonic time with one zero for all threads of a run.
 *
 * `process.hrtime` reads the machine's monotonic clock and is the same in every thread of a
 * process; `performance.now` is not (each worker counts from its own start, and the distance
 * between two starts is known only to some hundred nanoseconds, enough to put an acknowledgement
 * before its request). So the thread that starts a run notes its zero and gives it to the others.
 * Both halves are subtracted apart, which keeps every nanosecond exact in a double for 104 days.
 */
import type { Nanos } from '../../base/units.ts';
import type { Clock } from '../world.ts';

/** Seconds and nanoseconds of `process.hrtime` when the run began. Structured-cloneable. */
export type ClockZero = readonly [number, number];

export function startClock(): ClockZero {
  return process.hrtime();
}

export class MonotonicClock implements Clock {
  readonly #zeroSeconds: number;
  readonly #zeroNanos: number;

  constructor(zero: ClockZero) {
    [this.#zeroSeconds, this.#zeroNanos] = zero;
  }

  nowNs(): Nanos {
    const now = process.hrtime();
    return ((now[0] - this.#zeroSeconds) * 1e9 + (now[1] - this.#zeroNanos)) as Nanos;
  }
}
