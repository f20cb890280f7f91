/**
 * The clock of one actor, which may drift and jump, over the time of the run.
 *
 * A clock is a straight line from the last moment at which it was changed:
 * `local = localNs + (run - runNs) * rate`. Changing it begins a new line where the old one is, so
 * it never goes back. A skew that ends leaves what was gained or lost: nobody sets a monotonic
 * clock back.
 */
import { invariant } from '../base/invariant.ts';
import { DRIFT_PPM_MAX, DRIFT_PPM_MIN } from './faults.ts';

export class DriftingClock {
  #runNs = 0;
  #localNs = 0;
  #rate = 1;

  /** Whole nanoseconds that the clock shows at a moment of the run, not before its last change. */
  localNs(runNs: number): number {
    return Math.floor(this.#localNs + (runNs - this.#runNs) * this.#rate);
  }

  /** The first moment of the run at which the clock shows `localNs` or more. */
  runNs(localNs: number): number {
    if (localNs === Number.POSITIVE_INFINITY) return localNs;
    let runNs = Math.ceil(this.#runNs + (localNs - this.#localNs) / this.#rate);
    // A division that is off by a little must make it neither late nor early.
    while (this.localNs(runNs) < localNs) runNs++;
    while (runNs > this.#runNs && this.localNs(runNs - 1) >= localNs) runNs--;
    return runNs;
  }

  /** From now on it is so many parts in a million too fast; 0: right, but for what it gained. */
  setDrift(runNs: number, driftPpm: number): void {
    invariant(driftPpm >= DRIFT_PPM_MIN, 'a clock goes on');
    invariant(driftPpm <= DRIFT_PPM_MAX, 'a clock goes at most ten times too fast');
    this.#rebase(runNs, 0);
    this.#rate = 1 + driftPpm / 1e6;
  }

  jump(runNs: number, jumpNs: number): void {
    invariant(jumpNs >= 0, 'a clock jumps ahead, never back');
    this.#rebase(runNs, jumpNs);
  }

  #rebase(runNs: number, aheadNs: number): void {
    this.#localNs = this.#localNs + (runNs - this.#runNs) * this.#rate + aheadNs;
    this.#runNs = runNs;
  }
}
