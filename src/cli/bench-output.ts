/**
 * What a benchmark gives, and how it is printed: a table for people, one JSON value for programs.
 */
import type { MachineFacts } from '../experiments/result.ts';

export interface BenchTarget {
  readonly id: string;
  readonly value: number;
  /** One bound, or both ends of a `range`. */
  readonly goal: number | readonly [number, number];
  readonly better: 'higher' | 'lower' | 'range';
  /** null: this machine cannot decide. */
  readonly ok: boolean | null;
}

export interface BenchResult {
  readonly bench: string;
  readonly machine: MachineFacts;
  /** How often each figure was measured; values are medians. */
  readonly runs: number;
  readonly targets: readonly BenchTarget[];
  readonly samples: readonly unknown[];
}

export interface BenchOptions {
  /** One short round: shows that everything works and measures nothing. */
  readonly quick: boolean;
}

/** The JSON form, on one line. */
export function benchJson(result: BenchResult): string {
  const { bench, machine, runs, targets, samples } = result;
  return `${JSON.stringify({ bench, machine, runs, targets, samples })}\n`;
}

/** The table, with the machine below it. */
export function benchTable(result: BenchResult): string {
  const { bench, machine, runs, targets } = result;
  const rows = targets.map(({ id, value, goal, better, ok }) => [
    ok === null ? '?' : ok ? '✔' : '✘',
    id,
    decimal(value),
    goalText(goal, better),
  ]);
  const head = ['', 'target', 'value', 'goal'];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const lines = [head, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const { cpu, cores, os, node } = machine;
  const facts = `${bench}: medians of ${runs} rounds on ${cpu}, ${cores} cores, ${os}, ${node}`;
  return `${[...lines, '', facts].join('\n')}\n`;
}

function goalText(goal: BenchTarget['goal'], better: BenchTarget['better']): string {
  if (typeof goal !== 'number') return `${decimal(goal[0])} to ${decimal(goal[1])}`;
  return `${better === 'lower' ? '<=' : '>='} ${decimal(goal)}`;
}

/** Three digits that mean something. */
function decimal(value: number): string {
  return Math.abs(value) >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
