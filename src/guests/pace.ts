/**
 * When the next request of a trace may start.
 *
 * - `timed`: at its recorded time, divided by `speed`; more than `depth` outstanding is not
 *   allowed, and what then starts late is counted;
 * - `closed`: as soon as fewer than `depth` are outstanding (`asap` is a closed loop at full
 *   depth).
 */
import type { Nanos } from '../base/units.ts';

export type Pace =
  | { readonly kind: 'timed'; readonly speed: number; readonly depth: number }
  | { readonly kind: 'closed'; readonly depth: number };

export const ASAP_DEPTH = 128;

/** A start more than this after its time counts as late. */
const LATE_NS = 1e6;

export class Pacer {
  readonly depth: number;
  readonly #speed: number;
  #zeroNs = 0;

  constructor(pace: Pace) {
    this.depth = pace.depth;
    this.#speed = pace.kind === 'timed' ? pace.speed : 0;
  }

  get timed(): boolean {
    return this.#speed > 0;
  }

  /** The request with trace time `firstNs` is due now. */
  begin(nowNs: Nanos, firstNs: number): void {
    this.#zeroNs = nowNs - firstNs / Math.max(this.#speed, Number.MIN_VALUE);
    if (!this.timed) this.#zeroNs = nowNs;
  }

  /** When the request with trace time `traceNs` is meant to start; now, in a closed loop. */
  dueNs(traceNs: number, nowNs: Nanos): Nanos {
    return this.timed ? (Math.floor(this.#zeroNs + traceNs / this.#speed) as Nanos) : nowNs;
  }

  isLate(dueNs: Nanos, nowNs: Nanos): boolean {
    return this.timed && nowNs - dueNs > LATE_NS;
  }
}
