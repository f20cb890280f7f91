/**
 * What one domain may hold in the store and ask of it.
 *
 * Every list that a guest can make longer has a limit here, so that a hostile guest costs a known
 * amount of memory, and its requests and events are paid from budgets that refill with time, so
 * that it costs a known share of the server's time. Domain 0 has no limits.
 *
 * What happens at each limit: a request that would pass it is refused and changes nothing
 * (`errno.ts` says with which error); events wait and merge; a domain that goes on sending although
 * its requests are refused is disconnected from the store. The defaults are those of the C
 * xenstored where it has one. The request rate is some ten handshakes at once and then sixty a
 * second. A write into a directory of a thousand nodes copies that directory's table (about 50 us,
 * measured), so that a flood of the worst requests costs a tenth of one processor.
 */
import { type Nanos, nanos, SECOND } from '../../base/units.ts';

export interface XenstoreQuota {
  /** Nodes owned. */
  readonly nodes: number;
  /** Bytes of one value. */
  readonly valueBytes: number;
  /** Entries of one permission list. */
  readonly permissions: number;
  readonly watches: number;
  /** Changed paths remembered for one watch until they are told; above it they merge into one. */
  readonly pendingPathsPerWatch: number;
  /** Open transactions. */
  readonly transactions: number;
  /** Nodes looked at and changes made inside one transaction. */
  readonly transactionNodes: number;
  /** Requests sent and not yet answered. Our own clients keep at most 16 out. */
  readonly outstandingRequests: number;
  /** Requests served a second, after a burst. */
  readonly requestsPerSecond: number;
  readonly requestBurst: number;
  /** Watch events told a second, after a burst; those above it wait and merge. */
  readonly eventsPerSecond: number;
  readonly eventBurst: number;
  /** Requests refused for being too many at once before the domain is disconnected. */
  readonly refusalsPerSecond: number;
  readonly refusalBurst: number;
}

export const DEFAULT_QUOTA: XenstoreQuota = {
  nodes: 1000,
  valueBytes: 2048,
  permissions: 5,
  watches: 128,
  pendingPathsPerWatch: 64,
  transactions: 10,
  transactionNodes: 1024,
  outstandingRequests: 20,
  requestsPerSecond: 2_000,
  requestBurst: 500,
  eventsPerSecond: 10_000,
  eventBurst: 500,
  refusalsPerSecond: 1_000,
  refusalBurst: 1_000,
};

/** Domain 0's: the toolstack is trusted, and what it holds is what it was asked to manage. */
export const UNLIMITED_QUOTA: XenstoreQuota = {
  nodes: Number.POSITIVE_INFINITY,
  valueBytes: Number.POSITIVE_INFINITY,
  permissions: Number.POSITIVE_INFINITY,
  watches: Number.POSITIVE_INFINITY,
  pendingPathsPerWatch: 4096,
  transactions: Number.POSITIVE_INFINITY,
  transactionNodes: Number.POSITIVE_INFINITY,
  outstandingRequests: Number.POSITIVE_INFINITY,
  requestsPerSecond: Number.POSITIVE_INFINITY,
  requestBurst: Number.POSITIVE_INFINITY,
  eventsPerSecond: Number.POSITIVE_INFINITY,
  eventBurst: Number.POSITIVE_INFINITY,
  refusalsPerSecond: Number.POSITIVE_INFINITY,
  refusalBurst: Number.POSITIVE_INFINITY,
};

/** A token bucket: starts with `burst` tokens, gains `perSecond` a second, never holds more. */
export class RateBudget {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filledNs: number;

  constructor(perSecond: number, burst: number, nowNs: Nanos) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledNs = nowNs;
  }

  /** Takes one token if there is one. */
  tryTake(nowNs: Nanos): boolean {
    if (this.#perSecond === Number.POSITIVE_INFINITY) return true;
    this.#refill(nowNs);
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** When a token will be there, if none is taken before. */
  nextTokenNs(nowNs: Nanos): Nanos {
    if (this.#perSecond === Number.POSITIVE_INFINITY) return nowNs;
    this.#refill(nowNs);
    const missing = Math.max(0, 1 - this.#tokens);
    return nanos(nowNs + Math.ceil((missing * SECOND) / this.#perSecond));
  }

  #refill(nowNs: Nanos): void {
    const gained = ((nowNs - this.#filledNs) * this.#perSecond) / SECOND;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#filledNs = nowNs;
  }
}
