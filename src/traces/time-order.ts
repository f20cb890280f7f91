/**
 * Puts records in the order of their time, equal times in the order they came.
 *
 * Recorders with several threads or CPUs write almost sorted files. A merge sort that starts from
 * the ascending runs already there costs one pass over a sorted file, and a pass more for each
 * doubling of the number of runs.
 */

interface TimeOrder {
  /** Record numbers in the order of their time. */
  readonly order: Uint32Array;
  /** How often a record's time is below the one before it. */
  readonly stepsBack: number;
}

/** How to sort `t`, or null if it is sorted already. */
export function timeOrder(t: Float64Array): TimeOrder | null {
  let bounds = runBounds(t);
  const stepsBack = bounds.length - 2;
  if (stepsBack <= 0) return null;
  let source = new Uint32Array(t.length);
  for (let i = 0; i < source.length; i++) source[i] = i;
  let target = new Uint32Array(t.length);
  while (bounds.length > 2) {
    const merged: number[] = [];
    for (let run = 0; run + 1 < bounds.length; run += 2) {
      const low = bounds[run] as number;
      const middle = bounds[run + 1] as number;
      mergeRuns(t, source, target, low, middle, bounds[run + 2] ?? middle);
      merged.push(low);
    }
    merged.push(t.length);
    bounds = merged;
    [source, target] = [target, source];
  }
  return { order: source, stepsBack };
}

/** Starts of the ascending runs of `t`, and its length behind them. */
function runBounds(t: Float64Array): number[] {
  const bounds = [0];
  for (let i = 1; i < t.length; i++) {
    if ((t[i] as number) < (t[i - 1] as number)) bounds.push(i);
  }
  bounds.push(t.length);
  return bounds;
}

/** Merges [low, middle) and [middle, high) of `source` into `target`. */
function mergeRuns(
  t: Float64Array,
  source: Uint32Array,
  target: Uint32Array,
  low: number,
  middle: number,
  high: number,
): void {
  let left = low;
  let right = middle;
  for (let at = low; at < high; at++) {
    const takeLeft =
      right >= high ||
      (left < middle &&
        (t[source[left] as number] as number) <= (t[source[right] as number] as number));
    target[at] = source[takeLeft ? left++ : right++] as number;
  }
}
