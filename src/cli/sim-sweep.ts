/**
 * A range of seeds: over all cores in the simulator, one after the other in threads, which need the
 * cores themselves. Adds up what they tell and prints it.
 */
import { Piscina } from 'piscina';
import { formatCount, formatDuration, formatPercent } from '../base/format-units.ts';
import type { SimCrashOptions } from '../experiments/sim-crash.ts';
import { commitText } from './commit.ts';
import { ExitCode } from './exit.ts';
import { untilInterrupted } from './interrupt.ts';
import { ProgressLine, progressBar } from './progress.ts';
import {
  failureLines,
  type RepeatFlags,
  repeatCommand,
  reportOf,
  type SeedReport,
} from './seed-report.ts';
import type { SeedTask } from './sim-worker.ts';
import { SweepCoverage } from './sweep-coverage.ts';
import { runSeedInThreads } from './thread-seed.ts';

export interface SeedRange {
  readonly from: number;
  readonly to: number;
}

export interface SweepFlags extends RepeatFlags {
  readonly twice: boolean;
  readonly jobs: number;
  readonly json: boolean;
  readonly quiet: boolean;
}

const FAILURES_SHOWN = 5;
/** Sweeps of fewer seeds do not say what they covered. */
const COVERAGE_FROM = 20;
const WORKER = new URL('./sim-worker.js', import.meta.url);

/** Sums over the seeds that are done. */
interface Totals {
  done: number;
  /** 0 in threads. */
  events: number;
  durationNs: number;
  driverKills: number;
  guestKills: number;
  /** Seeds in which a guest had something to replay: where a crash could break a promise. */
  seedsWithReplay: number;
  /** Seeds whose faults threads did not play as they were drawn. */
  seedsChanged: number;
  /** What was left out or strikes at another moment, over all seeds. */
  faultsChanged: number;
  /** The seed whose Petal pool took longest to be clean when faults were over; null: no pool. */
  slowestPool: { readonly seed: number; readonly cleanAfterNs: number } | null;
  readonly coverage: SweepCoverage;
  readonly failed: SeedReport[];
}

export async function runSeeds(range: SeedRange, flags: SweepFlags): Promise<ExitCode> {
  const count = range.to - range.from + 1;
  const totals: Totals = {
    done: 0,
    events: 0,
    durationNs: 0,
    driverKills: 0,
    guestKills: 0,
    seedsWithReplay: 0,
    seedsChanged: 0,
    faultsChanged: 0,
    slowestPool: null,
    coverage: new SweepCoverage(),
    failed: [],
  };
  const startedMs = performance.now();
  const wallSeconds = (): number => (performance.now() - startedMs) / 1000;
  const line = new ProgressLine(flags.quiet, () => {
    const bad = totals.failed.length === 0 ? '' : `  ${totals.failed.length} failed`;
    const share = totals.done / count;
    const speed = (totals.done / wallSeconds()).toFixed(1);
    return `sim crash ${progressBar(share)} ${totals.done} of ${count}  ${speed} seeds/s${bad}`;
  });
  line.start();
  try {
    if (flags.world === 'sim') await overCores(range, flags, totals);
    else await untilInterrupted((signal) => inThreads(range, flags, totals, signal));
  } finally {
    line.stop();
  }
  totals.failed.sort((a, b) => a.seed - b.seed);
  process.stdout.write(
    flags.json
      ? seedsJson(range, totals, wallSeconds(), flags)
      : seedsText(count, totals, wallSeconds(), flags),
  );
  return totals.failed.length === 0 ? ExitCode.ok : ExitCode.broken;
}

async function overCores(range: SeedRange, flags: SweepFlags, totals: Totals): Promise<void> {
  const lanes = Math.min(flags.jobs, range.to - range.from + 1);
  const pool = new Piscina<SeedTask, SeedReport>({ minThreads: lanes, maxThreads: lanes });
  let next = range.from;
  const lane = async (): Promise<void> => {
    while (next <= range.to) {
      const task = { seed: next++, twice: flags.twice, ...optionsOf(flags) };
      add(totals, await pool.run(task, { filename: WORKER.href, name: 'runSeed' }));
    }
  };
  try {
    await Promise.all(Array.from({ length: lanes }, lane));
  } finally {
    await pool.destroy();
  }
}

async function inThreads(
  { from, to }: SeedRange,
  flags: SweepFlags,
  totals: Totals,
  signal: AbortSignal,
): Promise<void> {
  for (let seed = from; seed <= to; seed++) {
    add(totals, reportOf(await runSeedInThreads(seed, optionsOf(flags), signal), null));
  }
}

function optionsOf(flags: SweepFlags): SimCrashOptions {
  const { plant, calm, beyondContract, images, petal, moves } = flags;
  return { plantedBug: plant, calm, beyond: beyondContract, images, petal, moves };
}

function add(totals: Totals, report: SeedReport): void {
  totals.done++;
  totals.events += report.events ?? 0;
  totals.durationNs += report.durationNs;
  totals.driverKills += report.driverKills;
  totals.guestKills += report.guestKills;
  if (report.replayedRequests > 0) totals.seedsWithReplay++;
  if (report.changes.length > 0) totals.seedsChanged++;
  totals.faultsChanged += report.changes.length;
  const { seed, poolCleanAfterNs: cleanAfterNs } = report;
  if (cleanAfterNs !== null && cleanAfterNs >= (totals.slowestPool?.cleanAfterNs ?? 0)) {
    totals.slowestPool = { seed, cleanAfterNs };
  }
  totals.coverage.add(report.coverage);
  if (!report.ok) totals.failed.push(report);
}

function seedsJson(
  range: SeedRange,
  totals: Totals,
  wallSeconds: number,
  flags: SweepFlags,
): string {
  const { failed, coverage, ...sums } = totals;
  const { world } = flags;
  const facts = { scenario: 'crash', world, commit: commitText(), ...range, wallSeconds, ...sums };
  const again = failed.map((report) => ({
    ...report,
    again: repeatCommand(report.seed, flags, report.difference !== null),
  }));
  return `${JSON.stringify({ ...facts, coverage: coverage.toJson(), failed: again })}\n`;
}

function seedsText(count: number, totals: Totals, wallSeconds: number, flags: SweepFlags): string {
  const { failed, driverKills, guestKills } = totals;
  const seeds = count === 1 ? '1 seed' : `${formatCount(count)} seeds`;
  const twice = flags.twice ? ', each run twice with the same hash' : '';
  const verdict =
    failed.length === 0 ? `✔ ${seeds} passed${twice}` : `✘ ${failed.length} of ${seeds} failed`;
  if (flags.quiet) return `${verdict}\n`;
  const lines = [
    verdict,
    `  ${formatDuration(wallSeconds * 1e9)}: ${(count / wallSeconds).toFixed(1)} seeds/s, ` +
      speedText(totals, wallSeconds, flags),
    `  killed: ${formatCount(driverKills)} driver VMs, ${formatCount(guestKills)} guests; ` +
      `requests were replayed in ${formatPercent(totals.seedsWithReplay / count)} of the seeds`,
    ...changesLines(totals),
    ...poolLines(totals),
  ];
  if (count >= COVERAGE_FROM && !flags.calm) lines.push('', ...totals.coverage.lines());
  const commit = failed.length === 0 ? '' : commitText();
  for (const report of failed.slice(0, FAILURES_SHOWN)) {
    lines.push('', ...failureLines(report, commit, flags));
  }
  const more = failed.length - FAILURES_SHOWN;
  if (more > 0) lines.push('', `and ${more} more`);
  return `${lines.join('\n')}\n`;
}

function speedText(totals: Totals, wallSeconds: number, { world }: SweepFlags): string {
  if (world === 'threads') return 'in threads, which promise nothing of a seed';
  const simulated = (totals.durationNs / 1e9 / wallSeconds).toFixed(2);
  return `${simulated} simulated seconds a second, ${formatCount(totals.events)} events`;
}

function poolLines({ slowestPool }: Totals): string[] {
  if (slowestPool === null) return [];
  const { seed, cleanAfterNs } = slowestPool;
  const after = formatDuration(cleanAfterNs);
  return [
    `  pools were clean ${after} after their last fault was over at the latest (seed ${seed})`,
  ];
}

function changesLines({ seedsChanged, faultsChanged }: Totals): string[] {
  if (faultsChanged === 0) return [];
  return [
    `  in ${formatCount(seedsChanged)} seeds ${formatCount(faultsChanged)} faults were left out ` +
      'or struck at another moment than drawn: --seed N says which, and why',
  ];
}
