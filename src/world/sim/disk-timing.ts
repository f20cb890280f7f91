/**
 * How long a simulated disk takes: a base per kind of operation, a cost per byte, and a tail.
 *
 * A disk has some channels that serve one operation each, first come first served; with more
 * operations than channels in flight they queue, which is where a deep queue's latency comes from.
 * The defaults are those of a good NVMe drive: 80 us for a read, 20 us for a write (into the
 * drive's own volatile cache), 100 us for a flush, 2 GB/s a channel.
 *
 * The tail is drawn from an exponential distribution without a logarithm, whose last digit may
 * differ from engine to engine: -log2(u) is the number of leading zero bits of u plus a straight
 * line between two powers of two, exact in integers. Its mean is 1.5, which is divided out.
 */
import type { Prng } from '../../base/prng.ts';

export const DiskOp = { read: 0, write: 1, flush: 2, zero: 3 } as const;
export type DiskOp = (typeof DiskOp)[keyof typeof DiskOp];

export interface DiskModel {
  /** Operations served at the same time. */
  readonly channels: number;
  readonly readNs: number;
  readonly writeNs: number;
  readonly flushNs: number;
  readonly zeroNs: number;
  /** Of one channel; also of a flush for the bytes that it makes durable. */
  readonly bytesPerMicrosecond: number;
  /** Mean of the exponential tail of every operation. */
  readonly tailNs: number;
  /** A `readNow` of cached data: the call, and the bytes it copies in a microsecond. */
  readonly cachedReadNs: number;
  readonly cachedBytesPerMicrosecond: number;
  /** Opening, resizing and closing. */
  readonly metadataNs: number;
  /** Written bytes that are not durable at the most: beyond that the oldest become durable. */
  readonly volatileBytes: number;
}

export const DEFAULT_DISK_MODEL: DiskModel = {
  channels: 4,
  readNs: 80_000,
  writeNs: 20_000,
  flushNs: 100_000,
  zeroNs: 20_000,
  bytesPerMicrosecond: 2_000,
  tailNs: 10_000,
  cachedReadNs: 3_000,
  cachedBytesPerMicrosecond: 10_000,
  metadataNs: 50_000,
  volatileBytes: 64 * 1024 * 1024,
};

/** A time in which the disk begins nothing. */
interface Stall {
  readonly fromNs: number;
  readonly toNs: number;
}

export class DiskTiming {
  readonly model: DiskModel;
  readonly #random: Prng;
  readonly #freeAtNs: Float64Array;
  readonly #stalls: Stall[] = [];
  /** Multiplies every service time: 1 is a healthy disk. */
  slowFactor = 1;

  constructor(model: DiskModel, random: Prng) {
    this.model = model;
    this.#random = random;
    this.#freeAtNs = new Float64Array(model.channels);
  }

  /** The disk begins nothing in this time; what is in service then ends as it would have. */
  stall(fromNs: number, toNs: number): void {
    this.#stalls.push({ fromNs, toNs });
  }

  /** Time at which an operation submitted at `submitNs` is done. */
  doneNs(op: DiskOp, lengthBytes: number, submitNs: number): number {
    let channel = 0;
    for (let i = 1; i < this.#freeAtNs.length; i++) {
      if ((this.#freeAtNs[i] as number) < (this.#freeAtNs[channel] as number)) channel = i;
    }
    const free = this.#freeAtNs[channel] as number;
    const startNs = this.#afterStalls(free > submitNs ? free : submitNs);
    const transferNs = (lengthBytes * 1_000) / this.model.bytesPerMicrosecond;
    const tailNs = this.model.tailNs === 0 ? 0 : exponential(this.#random, this.model.tailNs);
    const serviceNs = (this.#baseNs(op) + transferNs + tailNs) * this.slowFactor;
    const doneNs = startNs + Math.max(1, Math.ceil(serviceNs));
    this.#freeAtNs[channel] = doneNs;
    return doneNs;
  }

  /** CPU time that an inline read at `nowNs` takes its caller. */
  inlineNs(lengthBytes: number, nowNs: number): number {
    const copyNs = (lengthBytes * 1_000) / this.model.cachedBytesPerMicrosecond;
    const serviceNs = Math.ceil((this.model.cachedReadNs + copyNs) * this.slowFactor);
    return this.#afterStalls(nowNs) - nowNs + serviceNs;
  }

  /** Nothing is being served any more: the disk lost power. */
  reset(): void {
    this.#freeAtNs.fill(0);
  }

  #baseNs(op: DiskOp): number {
    if (op === DiskOp.read) return this.model.readNs;
    if (op === DiskOp.write) return this.model.writeNs;
    return op === DiskOp.flush ? this.model.flushNs : this.model.zeroNs;
  }

  /** The first time from `timeNs` on that is in no stall. */
  #afterStalls(timeNs: number): number {
    if (this.#stalls.length === 0) return timeNs;
    let at = timeNs;
    // Stalls are few; as one may begin where another ends, look until nothing moves any more.
    for (let moved = true; moved; ) {
      moved = false;
      for (const stall of this.#stalls) {
        if (at < stall.fromNs || at >= stall.toNs) continue;
        at = stall.toNs;
        moved = true;
      }
    }
    return at;
  }
}

/** A whole number drawn from an exponential distribution of about this mean. */
export function exponential(random: Prng, mean: number): number {
  const bits = random.nextU32();
  if (bits === 0) return mean * 32;
  const zeroes = Math.clz32(bits);
  // The bits below the leading one, as a fraction in [0, 1).
  const fraction = bits / 2 ** (31 - zeroes) - 1;
  return Math.round((mean * (zeroes + 1 - fraction) * 2) / 3);
}
