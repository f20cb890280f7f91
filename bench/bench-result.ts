/**
 * What a benchmark gives back, and how numbers of one run are brought together.
 *
 * Absolute speeds of a shared machine drift by half; ratios inside one run drift less. So every
 * target that compares two things is a ratio of two measurements of the same round, taken one right
 * after the other, and its value is the median of those ratios over all rounds.
 */
import { invariant } from '../src/base/invariant.ts';
import type { BenchTarget, BenchResult as PrintedResult } from '../src/cli/bench-output.ts';
import type { BenchMachine } from './machine.ts';

/** What is printed, with more about the machine. */
export interface BenchResult extends PrintedResult {
  readonly machine: BenchMachine;
}

export interface BenchOptions {
  /** One short round: shows that everything works and measures nothing. */
  readonly quick?: boolean;
}

/** Middle and ends of what the rounds gave. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export function spreadOf(values: readonly number[]): Spread {
  invariant(values.length > 0, 'a spread is taken over at least one value');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  const lower = sorted.length % 2 === 1 ? upper : (sorted[middle - 1] as number);
  return {
    min: sorted[0] as number,
    median: (lower + upper) / 2,
    max: sorted[sorted.length - 1] as number,
  };
}

export function medianOf(values: readonly number[]): number {
  return spreadOf(values).median;
}

/** `decided` false: the machine was not fit to decide, whatever the value. */
export function target(
  id: string,
  value: number,
  better: 'higher' | 'lower',
  goal: number,
  decided: boolean = true,
): BenchTarget {
  const met = better === 'higher' ? value >= goal : value <= goal;
  return { id, value, goal, better, ok: decided ? met : null };
}
