/**
 * A guest's series on the time axis of the run.
 *
 * Guests may have buckets of different lengths and fewer buckets than the run lasted; lanes of one
 * picture must still share one time axis. So everything here goes through time: `resample` cuts
 * the run into as many equal columns as a picture has and asks what each one saw.
 */
import { SECOND } from '../base/units.ts';
import type { GuestResult, Series } from '../experiments/result.ts';

/** A last bucket that the run covers by less than this says nothing about a rate. */
const LEAST_COVERED = 0.5;

/**
 * Requests a second, a value a bucket. The last bucket is divided by the part of it that lies
 * inside the run; null if that part is too short to tell.
 */
export function requestRates(series: Series, durationNs: number): (number | null)[] {
  return series.requests.map((requests, i) => {
    const insideNs = Math.min(series.bucketNs, durationNs - i * series.bucketNs);
    if (insideNs < series.bucketNs * LEAST_COVERED) return null;
    return (requests * SECOND) / insideNs;
  });
}

/** The guest's best bucket, in requests a second. */
export function peakRate(guest: GuestResult, durationNs: number): number {
  return peakOf(requestRates(guest.series, durationNs));
}

/** How several values that fall into one column become one. */
export type Merge = 'mean' | 'max';

/**
 * `values`, one a bucket, seen through `columns` equal columns over the run. A mean is weighted
 * with the time each bucket has in the column. null: no value falls into the column.
 */
export function resample(
  values: readonly (number | null)[],
  bucketNs: number,
  durationNs: number,
  columns: number,
  merge: Merge,
): (number | null)[] {
  const columnNs = durationNs / columns;
  return Array.from({ length: columns }, (_, column) => {
    const fromNs = column * columnNs;
    const toNs = fromNs + columnNs;
    const first = Math.max(0, Math.floor(fromNs / bucketNs));
    let weight = 0;
    let sum = 0;
    let max = Number.NEGATIVE_INFINITY;
    for (let i = first; i < values.length && i * bucketNs < toNs; i++) {
      const value = values[i] ?? null;
      if (value === null) continue;
      const sharedNs = Math.min(toNs, (i + 1) * bucketNs) - Math.max(fromNs, i * bucketNs);
      if (sharedNs <= 0) continue;
      weight += sharedNs;
      sum += value * sharedNs;
      max = Math.max(max, value);
    }
    if (weight === 0) return null;
    return merge === 'max' ? max : sum / weight;
  });
}

/** Largest value; 0 if there is none. */
export function peakOf(values: readonly (number | null)[]): number {
  return values.reduce<number>((peak, value) => Math.max(peak, value ?? 0), 0);
}

/** Smallest value above zero, and largest value, of any number of lists; null if there is none. */
export function positiveRange(
  lists: readonly (readonly (number | null)[])[],
): { readonly low: number; readonly high: number } | null {
  let low = Number.POSITIVE_INFINITY;
  let high = 0;
  for (const list of lists) {
    for (const value of list) {
      if (value === null || value <= 0) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  return high === 0 ? null : { low, high };
}

/** Requests completed in [fromNs, toNs); a bucket partly inside counts in proportion. */
export function requestsBetween(series: Series, fromNs: number, toNs: number): number {
  const { requests, bucketNs } = series;
  let sum = 0;
  for (let i = Math.floor(fromNs / bucketNs); i * bucketNs < toNs && i < requests.length; i++) {
    const sharedNs = Math.min(toNs, (i + 1) * bucketNs) - Math.max(fromNs, i * bucketNs);
    if (sharedNs > 0) sum += ((requests[i] ?? 0) * sharedNs) / bucketNs;
  }
  return sum;
}

/** Round numbers of a linear axis from 0 to `end`: at most `most` of them, steps of 1, 2 or 5. */
export function linearTicks(end: number, most: number): number[] {
  if (!(end > 0) || !Number.isFinite(end)) return [0];
  const rough = end / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((times) => times * power >= rough * 0.999) ?? 10);
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, i) => i * step);
}

/** All requests of a guest that were answered, whatever their kind. */
export function requestCount(guest: GuestResult): number {
  const { reads, writes, flushes, discards } = guest.requests;
  return reads + writes + flushes + discards;
}
