/**
 * How long to look at a bell before sleeping on it, by mode: `block` not at all, `poll` for ever,
 * `adaptive` as long as it has lately been worth it.
 *
 * A wake-up through the kernel costs about 25 us from one core to another; work that comes back
 * sooner is cheaper to wait for by looking. But a thread that spins while others want its core
 * costs them far more, so the budget adapts: it grows on a hit and halves on a miss.
 *
 *   - The cap is longer than a wake-up. With a shorter one two threads that have fallen asleep
 *     never see each other awake again: each gives up while the other is still being woken, and
 *     they go on in lock step, a wake-up a turn. (Measured at depth 8: 117 k requests/s with a cap
 *     of 6 us, 1,390 k with 50 us.)
 *   - A budget that has shrunk to nothing would never see a hit again, so after some misses there
 *     is one look with the full budget, a probe. Each probe that fails doubles the number of
 *     misses before the next, up to a thousand: where no core is free for the other side, probes
 *     soon cost nothing.
 *   - A hit sets the budget to at least twice what it took, so that one probe that hits is enough.
 *   - A hit that took far longer than its looks can have taken is a miss: this thread was off its
 *     core meanwhile, and the other side ran because of that, not beside it.
 *   - A bell that has changed before the first look says nothing about looking: it counts as
 *     neither.
 *
 * A look is `Atomics.load`, 6 ns measured: a plain load would take 0.5 ns, but a compiler may read
 * it once before the loop and never again. The clock is read only after the first 256 looks.
 */
export type WaitMode = 'block' | 'poll' | 'adaptive';

/**
 * Default of the safety poll: a sleeper looks again after this time whatever the bell says, since
 * a hostile or broken peer may not ring it.
 */
export const SAFETY_POLL_MS = 50;
/** About 50 us. */
export const SPIN_LOOKS_MAX = 8000;
/** Twice what the longest spin takes: a spin that took longer was interrupted. */
const SPIN_MS_MAX = 0.1;
const SPIN_GROWTH_LOOKS = 64;
/** Spins up to this length are not timed. */
const SHORT_SPIN_LOOKS = 256;
/** Between two turns of a loop that never sleeps. */
const POLL_LOOKS = 1000;
export const MISSES_PER_PROBE_MIN = 16;
export const MISSES_PER_PROBE_MAX = 1024;

export class BellWatch {
  readonly #words: Int32Array;
  readonly #bell: number;
  readonly #mode: WaitMode;
  readonly #spin = new AdaptiveSpin();

  constructor(words: Int32Array, bell: number, mode: WaitMode) {
    this.#words = words;
    this.#bell = bell;
    this.#mode = mode;
  }

  /** True if the bell differs from `seen`, now or within the time the mode allows. */
  changes(seen: number): boolean {
    switch (this.#mode) {
      case 'block':
        return Atomics.load(this.#words, this.#bell) !== seen;
      case 'poll':
        return looksUntilChange(this.#words, this.#bell, seen, POLL_LOOKS) < POLL_LOOKS;
      case 'adaptive':
        return this.#spin.changed(this.#words, this.#bell, seen);
    }
  }
}

export class AdaptiveSpin {
  #budget = SPIN_LOOKS_MAX;
  #misses = 0;
  #missesPerProbe = MISSES_PER_PROBE_MIN;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** True as soon as the word differs from `seen`; false when the budget is used up. */
  changed(words: Int32Array, index: number, seen: number): boolean {
    if (Atomics.load(words, index) !== seen) return true;
    const probe = this.#misses >= this.#missesPerProbe;
    const limit = probe ? SPIN_LOOKS_MAX : this.#budget;
    const short = Math.min(limit, SHORT_SPIN_LOOKS);
    let looks = looksUntilChange(words, index, seen, short);
    let interrupted = false;
    if (looks === short && limit > short) {
      const startMs = this.#nowMs();
      looks += looksUntilChange(words, index, seen, limit - short);
      interrupted = this.#nowMs() - startMs > SPIN_MS_MAX;
    }
    const changed = looks < limit;
    if (changed && !interrupted) this.#hit(looks);
    else this.#miss(probe);
    return changed;
  }

  get budgetLooks(): number {
    return this.#budget;
  }

  #hit(looks: number): void {
    this.#misses = 0;
    this.#missesPerProbe = MISSES_PER_PROBE_MIN;
    const wanted = 2 * Math.max(this.#budget, looks) + SPIN_GROWTH_LOOKS;
    this.#budget = Math.min(wanted, SPIN_LOOKS_MAX);
  }

  #miss(probe: boolean): void {
    this.#budget >>= 1;
    this.#misses = probe ? 0 : this.#misses + 1;
    if (!probe) return;
    this.#missesPerProbe = Math.min(2 * this.#missesPerProbe, MISSES_PER_PROBE_MAX);
  }
}

/** Looks at the word up to `limit` times; how many looks found nothing. */
function looksUntilChange(words: Int32Array, index: number, seen: number, limit: number): number {
  for (let look = 0; look < limit; look++) {
    if (Atomics.load(words, index) !== seen) return look;
  }
  return limit;
}
