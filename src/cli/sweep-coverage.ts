/**
 * What a sweep of seeds put to the test, added up: faults by phase, moments, and what was at stake.
 */
import { formatPercent } from '../base/format-units.ts';
import { CLAUSES, type Coverage, MOMENTS } from '../experiments/coverage.ts';

/** In the order in which a guest passes them; `outage` is while its driver VM is out. */
const PHASES = ['connecting', 'recheck', 'replay', 'flush', 'readBack', 'done', 'outage'];
const KIND_COLUMNS = 22;
const PHASE_COLUMNS = 11;
const COUNT_COLUMNS = 7;

export class SweepCoverage {
  readonly #struck = new Map<string, number>();
  readonly #moments = new Map<string, number>();
  readonly #stakes = new Map<string, number>();
  #seeds = 0;

  add({ struck, moments, stakes }: Coverage): void {
    this.#seeds++;
    for (const [cell, count] of Object.entries(struck)) raise(this.#struck, cell, count);
    for (const moment of moments) raise(this.#moments, moment, 1);
    for (const clause of stakes) raise(this.#stakes, clause, 1);
  }

  toJson(): Readonly<Record<string, Readonly<Record<string, number>>>> {
    return {
      struck: Object.fromEntries(this.#struck),
      seedsWithMoment: Object.fromEntries(
        MOMENTS.map((name) => [name, countOf(this.#moments, name)]),
      ),
      seedsAtStake: Object.fromEntries(CLAUSES.map((name) => [name, countOf(this.#stakes, name)])),
    };
  }

  lines(): string[] {
    const heads = PHASES.map((phase) => phase.padStart(PHASE_COLUMNS)).join('');
    return [
      'Faults, by what their victim was doing',
      `  ${''.padEnd(KIND_COLUMNS)}${heads}`,
      ...this.#kinds().map((kind) => `  ${kind.padEnd(KIND_COLUMNS)}${this.#row(kind)}`),
      '',
      'Seeds in which it happened',
      ...MOMENTS.map((moment) => `  ${this.#share(this.#moments, moment)}  ${moment}`),
      '',
      'Seeds in which a violation could have shown',
      ...CLAUSES.map((clause) => {
        const seeds = String(countOf(this.#stakes, clause)).padStart(COUNT_COLUMNS);
        return `  ${this.#share(this.#stakes, clause)}${seeds}  ${clause}`;
      }),
    ];
  }

  #kinds(): string[] {
    return [...new Set([...this.#struck.keys()].map((cell) => cell.split('/')[0] ?? ''))].sort();
  }

  #row(kind: string): string {
    return PHASES.map((phase) => {
      const count = this.#struck.get(`${kind}/${phase}`);
      return (count === undefined ? '.' : String(count)).padStart(PHASE_COLUMNS);
    }).join('');
  }

  #share(counts: ReadonlyMap<string, number>, name: string): string {
    return formatPercent(countOf(counts, name) / Math.max(1, this.#seeds)).padStart(6);
  }
}

function raise(counts: Map<string, number>, key: string, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

function countOf(counts: ReadonlyMap<string, number>, key: string): number {
  return counts.get(key) ?? 0;
}
