/**
 * Monotonic time with one zero for all threads of a run.
 *
 * `process.hrtime` reads the machine's monotonic clock and is the same in every thread of a
 * process; `performance.now` is not (each worker counts from its own start, and the distance
 * between two starts is known only to some hundred nanoseconds, enough to put an acknowledgement
 * before its request). So the thread that starts a run notes its zero and gives it to the others.
 * Both halves are subtracted apart, which keeps every nanosecond exact in a double for 104 days.
 *
 * The clock of an actor may be told to go wrong (`ActorClock`). Then a duration on it is not what
 * the machine sleeps, so whoever sleeps until a deadline asks the clock how long that is.
 */
import type { Nanos } from '../../base/units.ts';
import { DriftingClock } from '../drifting-clock.ts';
import type { Clock } from '../world.ts';
import type { ActorWords } from './actor-words.ts';

/** Seconds and nanoseconds of `process.hrtime` when the run began. Structured-cloneable. */
export type ClockZero = readonly [number, number];

/** `process` is a getter of the global object, which costs as much as the clock. */
const { hrtime } = process;

export function startClock(): ClockZero {
  return hrtime();
}

/** A clock by which a thread can sleep. */
export interface SleepClock extends Clock {
  /** Time of the machine until this clock shows `deadlineNs`; zero or less: it does. */
  untilNs(deadlineNs: number): number;
}

export class MonotonicClock implements SleepClock {
  readonly #zeroSeconds: number;
  readonly #zeroNanos: number;

  constructor(zero: ClockZero) {
    [this.#zeroSeconds, this.#zeroNanos] = zero;
  }

  nowNs(): Nanos {
    const now = hrtime();
    return ((now[0] - this.#zeroSeconds) * 1e9 + (now[1] - this.#zeroNanos)) as Nanos;
  }

  untilNs(deadlineNs: number): number {
    return deadlineNs - this.nowNs();
  }
}

/**
 * What an actor's World tells it the time is: the machine's time, until the stage asks for a fault
 * through the words that it shares with the actor. The actor's own thread bends its clock, at the
 * moment when it first looks at it afterwards, so that the clock never goes back for it.
 */
export class ActorClock implements SleepClock {
  readonly #run: Clock;
  readonly #words: ActorWords;
  readonly #line = new DriftingClock();
  #changesSeen = 0;
  #jumpedMs = 0;
  /** Told when the clock has changed: sleeps that were planned by it are wrong. */
  onChange: () => void = () => {};

  constructor(run: Clock, words: ActorWords) {
    this.#run = run;
    this.#words = words;
  }

  nowNs(): Nanos {
    const runNs = this.#run.nowNs();
    if (this.#words.clockChanges === 0) return runNs;
    this.#followWords(runNs);
    return this.#line.localNs(runNs) as Nanos;
  }

  untilNs(deadlineNs: number): number {
    const runNs = this.#run.nowNs();
    this.#followWords(runNs);
    return this.#line.runNs(deadlineNs) - runNs;
  }

  #followWords(runNs: number): void {
    const changes = this.#words.clockChanges;
    if (changes === this.#changesSeen) return;
    this.#changesSeen = changes;
    const jumpedMs = this.#words.clockJumpedMs;
    this.#line.setDrift(runNs, this.#words.clockDriftPpm);
    this.#line.jump(runNs, (jumpedMs - this.#jumpedMs) * 1e6);
    this.#jumpedMs = jumpedMs;
    this.onChange();
  }
}
