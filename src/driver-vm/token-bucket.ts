/**
 * A limit on a disk: requests a second and bytes a second, each a token bucket.
 *
 * A request is let through while neither bucket is empty and is then charged what it costs, so that
 * one large request may take a bucket below zero and the next waits for the debt: sizes need not be
 * known before a request is taken off the ring. A bucket holds one tenth of a second of tokens, and
 * at least one request.
 */
export interface DiskLimit {
  /** 0: no limit. */
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
}

export const NO_LIMIT: DiskLimit = { requestsPerSecond: 0, bytesPerSecond: 0 };

const BURST_SECONDS = 0.1;

class Bucket {
  readonly #perNs: number;
  readonly #capacity: number;
  #tokens: number;
  #asOfNs: number;

  constructor(perSecond: number, nowNs: number) {
    this.#perNs = perSecond / 1e9;
    this.#capacity = Math.max(1, perSecond * BURST_SECONDS);
    this.#tokens = this.#capacity;
    this.#asOfNs = nowNs;
  }

  get unlimited(): boolean {
    return this.#perNs === 0;
  }

  /** 0 when a request may pass now, otherwise when it may. */
  readyAtNs(nowNs: number): number {
    if (this.unlimited) return 0;
    this.#refill(nowNs);
    return this.#tokens > 0 ? 0 : nowNs + Math.ceil((1 - this.#tokens) / this.#perNs);
  }

  charge(cost: number): void {
    if (!this.unlimited) this.#tokens -= cost;
  }

  /** A bucket of another rate: what this one has earned, or owes, is kept as a span of time. */
  atRate(perSecond: number, nowNs: number): Bucket {
    const next = new Bucket(perSecond, nowNs);
    if (this.unlimited || next.unlimited) return next;
    this.#refill(nowNs);
    next.#tokens = Math.min(next.#capacity, (this.#tokens / this.#perNs) * next.#perNs);
    return next;
  }

  #refill(nowNs: number): void {
    const earned = (nowNs - this.#asOfNs) * this.#perNs;
    this.#tokens = Math.min(this.#capacity, this.#tokens + earned);
    this.#asOfNs = nowNs;
  }
}

export class TokenBucket {
  #requests: Bucket;
  #bytes: Bucket;
  #active: boolean;

  constructor(limit: DiskLimit, nowNs: number) {
    this.#requests = new Bucket(limit.requestsPerSecond, nowNs);
    this.#bytes = new Bucket(limit.bytesPerSecond, nowNs);
    this.#active = !(this.#requests.unlimited && this.#bytes.unlimited);
  }

  /** Changes the limit. Setting one again and again gives nobody a new burst. */
  set(limit: DiskLimit, nowNs: number): void {
    this.#requests = this.#requests.atRate(limit.requestsPerSecond, nowNs);
    this.#bytes = this.#bytes.atRate(limit.bytesPerSecond, nowNs);
    this.#active = !(this.#requests.unlimited && this.#bytes.unlimited);
  }

  get active(): boolean {
    return this.#active;
  }

  /** 0 when a request may be taken now, otherwise the time at which it may. */
  readyAtNs(nowNs: number): number {
    return Math.max(this.#requests.readyAtNs(nowNs), this.#bytes.readyAtNs(nowNs));
  }

  charge(bytes: number): void {
    this.#requests.charge(1);
    this.#bytes.charge(bytes);
  }
}
