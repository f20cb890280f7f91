/**
 * A latency histogram: log-linear, 64 buckets an octave, in memory that may be shared.
 *
 * Buckets. Whole values below 64 have a bucket of their own. Above, each octave [2^e, 2^(e+1)) is
 * cut into 64 equal buckets, so a bucket is at most 1/64 of its values wide and a percentile is at
 * most 1.6 % too high. Values reach 2^53: 104 days in nanoseconds. The bucket of a value is its
 * top seven bits and its octave, found by one count of leading zeros; a value of 2^31 or more is
 * first divided by 2^24, which keeps its top seven bits and takes 24 octaves off its number.
 *
 * Layout: doubles `[count, sum, min, max, 0, 0, 0, 0]`, then one count a bucket. Doubles count
 * exactly to 2^53 where 32 bits would overflow after minutes of a fast ring. Zeroed memory is an
 * empty histogram: whoever is first to attach needs to prepare nothing.
 *
 * Who may touch it: one writer, without atomics, so that recording costs a few nanoseconds; any
 * number of readers, who may see a record half done (its bucket counted, the sum not yet). Read
 * when the writer is quiet, or accept one record of difference. Several writers each keep one and
 * `merge` adds them up, in any order, without loss.
 *
 * A percentile is the highest value its bucket may hold, but never above the maximum seen: "99 %
 * took at most this long" is then true as printed. Count, mean, minimum and maximum are exact.
 */
import { invariant } from './invariant.ts';

const SUB_BUCKET_BITS = 6;
const SUB_BUCKETS = 2 ** SUB_BUCKET_BITS;
const VALUE_BITS = 53;
const VALUE_END = 2 ** VALUE_BITS;
const BUCKETS = (VALUE_BITS - SUB_BUCKET_BITS + 1) * SUB_BUCKETS;

/** Values from here on do not fit a signed 32-bit number and are scaled down first. */
const WIDE_FROM = 2 ** 31;
const WIDE_BITS = 24;
const WIDE_SCALE = 2 ** -WIDE_BITS;
const WIDE_BUCKETS = WIDE_BITS * SUB_BUCKETS;

const COUNT = 0;
const SUM = 1;
const MIN = 2;
const MAX = 3;
const HEADER_DOUBLES = 8;

/** Bytes of memory a histogram takes. */
export const HISTOGRAM_BYTES: number = (HEADER_DOUBLES + BUCKETS) * 8;

export interface HistogramBucket {
  /** Values of the bucket lie in [lowNs, highNs). */
  readonly lowNs: number;
  readonly highNs: number;
  readonly count: number;
}

/** What a report says about a histogram; all zero if nothing was recorded. */
export interface HistogramSummary {
  readonly count: number;
  readonly meanNs: number;
  readonly p50Ns: number;
  readonly p90Ns: number;
  readonly p99Ns: number;
  readonly p999Ns: number;
  readonly maxNs: number;
}

export class Histogram {
  readonly #head: Float64Array;
  readonly #counts: Float64Array;

  /** Attaches to `HISTOGRAM_BYTES` of memory at `byteOffset`, keeping what was recorded there. */
  constructor(buffer: ArrayBufferLike = new ArrayBuffer(HISTOGRAM_BYTES), byteOffset = 0) {
    invariant(byteOffset % 8 === 0, 'a histogram begins at a multiple of 8 bytes');
    invariant(
      buffer.byteLength - byteOffset >= HISTOGRAM_BYTES,
      'the memory of a histogram holds all its buckets',
    );
    this.#head = new Float64Array(buffer, byteOffset, HEADER_DOUBLES);
    this.#counts = new Float64Array(buffer, byteOffset + HEADER_DOUBLES * 8, BUCKETS);
  }

  /** Counts one value in nanoseconds, in [0, 2^53); a fraction is kept in the mean. */
  record(valueNs: number): void {
    invariant(valueNs >= 0 && valueNs < VALUE_END, 'a recorded value is in [0, 2^53)');
    const head = this.#head;
    const counts = this.#counts;
    const bucket = bucketOf(valueNs);
    const count = head[COUNT] as number;
    counts[bucket] = (counts[bucket] as number) + 1;
    head[SUM] = (head[SUM] as number) + valueNs;
    if (valueNs > (head[MAX] as number)) head[MAX] = valueNs;
    if (valueNs < (head[MIN] as number) || count === 0) head[MIN] = valueNs;
    head[COUNT] = count + 1;
  }

  /** Adds what `other` recorded. */
  merge(other: Histogram): void {
    if (other.count === 0) return;
    this.#head[MIN] = this.count === 0 ? other.minNs : Math.min(this.minNs, other.minNs);
    this.#head[MAX] = Math.max(this.maxNs, other.maxNs);
    this.#head[SUM] = (this.#head[SUM] as number) + (other.#head[SUM] as number);
    this.#head[COUNT] = this.count + other.count;
    for (let i = 0; i < BUCKETS; i++) {
      this.#counts[i] = (this.#counts[i] as number) + (other.#counts[i] as number);
    }
  }

  /** Forgets everything recorded. */
  reset(): void {
    this.#head.fill(0);
    this.#counts.fill(0);
  }

  get count(): number {
    return this.#head[COUNT] as number;
  }

  /** Mean of the values; 0 if there are none. */
  get meanNs(): number {
    return this.count === 0 ? 0 : (this.#head[SUM] as number) / this.count;
  }

  /** Smallest value; 0 if there are none. */
  get minNs(): number {
    return this.#head[MIN] as number;
  }

  /** Largest value; 0 if there are none. */
  get maxNs(): number {
    return this.#head[MAX] as number;
  }

  /**
   * The value that `percent` of the values do not exceed, at most 1.6 % too high; 0 if there are
   * none. `percent` is in [0, 100]: 0 is the minimum, 100 the maximum.
   */
  percentileNs(percent: number): number {
    invariant(percent >= 0 && percent <= 100, 'a percentile is in [0, 100]');
    if (percent === 0) return this.minNs;
    const rank = rankOf(percent, this.count);
    let seen = 0;
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.#counts[i] as number;
      if (seen >= rank && seen > 0) return this.#highestIn(i);
    }
    return this.maxNs;
  }

  /** The buckets that hold anything, from the lowest up. */
  buckets(): HistogramBucket[] {
    const found: HistogramBucket[] = [];
    for (let i = 0; i < BUCKETS; i++) {
      const count = this.#counts[i] as number;
      if (count > 0) found.push({ lowNs: lowOf(i), highNs: lowOf(i + 1), count });
    }
    return found;
  }

  summary(): HistogramSummary {
    return {
      count: this.count,
      meanNs: this.meanNs,
      p50Ns: this.percentileNs(50),
      p90Ns: this.percentileNs(90),
      p99Ns: this.percentileNs(99),
      p999Ns: this.percentileNs(99.9),
      maxNs: this.maxNs,
    };
  }

  #highestIn(bucket: number): number {
    const highest = lowOf(bucket + 1) - 1;
    return Math.max(this.minNs, Math.min(highest, this.maxNs));
  }
}

/**
 * How many of `count` values a percentile covers, counted from the smallest. The product is
 * rounded up, save for a rounding error of the product itself: 99.9 % of 1000 are 999 values.
 */
function rankOf(percent: number, count: number): number {
  const exact = (percent * count) / 100;
  return Math.ceil(exact - exact * 1e-12);
}

function bucketOf(value: number): number {
  if (value < WIDE_FROM) return narrowBucketOf(value | 0);
  return narrowBucketOf((value * WIDE_SCALE) | 0) + WIDE_BUCKETS;
}

function narrowBucketOf(value: number): number {
  if (value < SUB_BUCKETS) return value;
  const shift = 31 - SUB_BUCKET_BITS - Math.clz32(value);
  return (shift << SUB_BUCKET_BITS) + (value >>> shift);
}

/** The smallest value of a bucket. */
function lowOf(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket;
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1;
  return (SUB_BUCKETS + (bucket % SUB_BUCKETS)) * 2 ** shift;
}
