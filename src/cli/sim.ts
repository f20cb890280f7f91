/**
 * `stordom sim SCENARIO`: runs seeds of the deterministic simulator over all cores, or one seed to
 * look at. A seed that fails is told with what it broke and with the one command that shows it
 * again.
 */
import { availableParallelism } from 'node:os';
import { type Command, Option } from 'commander';
import { Piscina } from 'piscina';
import { UsageError } from '../base/errors.ts';
import { formatCount, formatDuration, formatPercent } from '../base/format-units.ts';
import { PLANTED_BUGS, type PlantedBug } from '../world/faults.ts';
import { ExitCode } from './exit.ts';
import {
  addExamples,
  contradiction,
  readChoice,
  readCount,
  readSeed,
  unknownName,
} from './flags.ts';
import { ProgressLine, progressBar } from './progress.ts';
import { runOneSeed } from './sim-one.ts';
import type { SeedReport, SeedTask } from './sim-worker.ts';
import { SweepCoverage } from './sweep-coverage.ts';

const SCENARIOS = ['crash'];
const SEEDS_DEFAULT: SeedRange = { from: 1, to: 100 };
const SEEDS_MAX = 10_000_000;
const FAILURES_SHOWN = 5;
/** Sweeps of fewer seeds do not say what they covered. */
const COVERAGE_FROM = 20;
const TRACE_LAST = 200;
const TRACE_MAX = 1_000_000;
const JOBS_MAX = 256;
const WORKER = new URL('./sim-worker.js', import.meta.url);

interface SeedRange {
  readonly from: number;
  readonly to: number;
}

interface SimFlags {
  readonly seeds?: SeedRange;
  readonly seed?: number;
  readonly trace?: number;
  readonly twice: boolean;
  readonly jobs: number;
  readonly calm: boolean;
  readonly beyondContract: boolean;
  readonly plant: PlantedBug;
  readonly json: boolean;
  readonly quiet: boolean;
}

export function addSimCommand(program: Command): void {
  const command = program
    .command('sim')
    .description('run seeds of the deterministic simulator and judge each')
    .argument('<scenario>', `what to run: ${SCENARIOS.join(' or ')}`)
    .option('--seeds <a..b>', 'seeds to run, both ends included (default: 1..100)', readSeeds)
    .option('--seed <n>', 'one seed, with its story', readSeed('--seed'))
    .option(
      '--trace <last>',
      'with --seed: print the last events too',
      readCount('--trace', { from: 1, to: TRACE_MAX }),
    )
    .option('--twice', 'run every seed twice and compare the two, event by event', false)
    .option('--calm', 'no faults at all: nothing must be reported', false)
    .option('--beyond-contract', 'disks may lie, and what they break must be reported', false)
    .option(
      '--jobs <n>',
      'threads (default: one a core)',
      readCount('--jobs', { from: 1, to: JOBS_MAX }),
      availableParallelism(),
    )
    .option('--json', 'print one JSON value on stdout', false)
    .option('--quiet', 'print the verdict only, and no progress line', false)
    .addOption(
      new Option('--plant <bug>', 'switch a built-in bug on, to see the checks bite')
        .argParser(readChoice('--plant', [...PLANTED_BUGS, 'none']))
        .default('none')
        .hideHelp(),
    )
    .action(sim);
  addExamples(
    command,
    'stordom sim crash --seeds 1..10 --twice',
    'stordom sim crash --seed 7 --trace 20',
  );
}

async function sim(scenario: string, flags: SimFlags): Promise<void> {
  if (!SCENARIOS.includes(scenario)) throw unknownName('sim SCENARIO', scenario, SCENARIOS);
  const { seed, seeds, trace, twice } = flags;
  if (seed !== undefined && seeds !== undefined) {
    throw contradiction('--seed with --seeds', 'one seed or a range', 'leave one of them out');
  }
  if (trace !== undefined && (seed === undefined || twice)) {
    throw contradiction(
      twice ? '--trace with --twice' : '--trace',
      'events are printed of one run of one seed',
      twice ? 'leave one of them out' : 'add --seed N',
    );
  }
  if (flags.calm && flags.beyondContract) {
    throw contradiction('--calm with --beyond-contract', 'no faults or lying disks', 'choose one');
  }
  const one = seed === undefined ? undefined : { from: seed, to: seed };
  if (seed !== undefined && !twice) {
    process.exitCode = await runOneSeed(seed, { ...flags, trace: trace ?? 0 });
    return;
  }
  process.exitCode = await runSeeds(seeds ?? one ?? SEEDS_DEFAULT, flags);
}

function readSeeds(text: string): SeedRange {
  const match = /^(\d+)\.\.(\d+)$/.exec(text);
  const from = Number(match?.[1]);
  const to = Number(match?.[2]);
  if (match !== null && from <= to && to < 2 ** 32 && to - from < SEEDS_MAX) return { from, to };
  throw new UsageError(
    'E_SEEDS',
    `--seeds: ${JSON.stringify(text)} is no range of seeds; expected A..B with A <= B < 2^32 and ` +
      `at most ${SEEDS_MAX} seeds, as 1..1000`,
    { fields: { given: text } },
  );
}

/** Sums over the seeds that are done. */
interface Totals {
  done: number;
  events: number;
  simulatedNs: number;
  driverKills: number;
  guestKills: number;
  /** Seeds in which a guest had something to replay: where a crash could break a promise. */
  seedsWithReplay: number;
  readonly coverage: SweepCoverage;
  readonly failed: SeedReport[];
}

async function runSeeds(range: SeedRange, flags: SimFlags): Promise<ExitCode> {
  const count = range.to - range.from + 1;
  const totals: Totals = {
    done: 0,
    events: 0,
    simulatedNs: 0,
    driverKills: 0,
    guestKills: 0,
    seedsWithReplay: 0,
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
  const lanes = Math.min(flags.jobs, count);
  const pool = new Piscina<SeedTask, SeedReport>({ minThreads: lanes, maxThreads: lanes });
  let next = range.from;
  const lane = async (): Promise<void> => {
    while (next <= range.to) {
      const { plant: plantedBug, twice, calm, beyondContract: beyond } = flags;
      const task = { seed: next++, plantedBug, twice, calm, beyond };
      add(totals, await pool.run(task, { filename: WORKER.href, name: 'runSeed' }));
    }
  };
  line.start();
  try {
    await Promise.all(Array.from({ length: lanes }, lane));
  } finally {
    line.stop();
    await pool.destroy();
  }
  totals.failed.sort((a, b) => a.seed - b.seed);
  process.stdout.write(
    flags.json
      ? seedsJson(range, totals, wallSeconds())
      : seedsText(count, totals, wallSeconds(), flags),
  );
  return totals.failed.length === 0 ? ExitCode.ok : ExitCode.broken;
}

function add(totals: Totals, report: SeedReport): void {
  totals.done++;
  totals.events += report.events;
  totals.simulatedNs += report.simulatedNs;
  totals.driverKills += report.driverKills;
  totals.guestKills += report.guestKills;
  if (report.replayedRequests > 0) totals.seedsWithReplay++;
  totals.coverage.add(report.coverage);
  if (!report.ok) totals.failed.push(report);
}

function seedsJson(range: SeedRange, totals: Totals, wallSeconds: number): string {
  const { failed, coverage, ...sums } = totals;
  const facts = { scenario: 'crash', ...range, wallSeconds, ...sums };
  return `${JSON.stringify({ ...facts, coverage: coverage.toJson(), failed })}\n`;
}

function seedsText(count: number, totals: Totals, wallSeconds: number, flags: SimFlags): string {
  const { failed, driverKills, guestKills } = totals;
  const seeds = count === 1 ? '1 seed' : `${formatCount(count)} seeds`;
  const twice = flags.twice ? ', each run twice with the same hash' : '';
  const verdict =
    failed.length === 0 ? `✔ ${seeds} passed${twice}` : `✘ ${failed.length} of ${seeds} failed`;
  if (flags.quiet) return `${verdict}\n`;
  const simulated = (totals.simulatedNs / 1e9 / wallSeconds).toFixed(2);
  const lines = [
    verdict,
    `  ${formatDuration(wallSeconds * 1e9)}: ${(count / wallSeconds).toFixed(1)} seeds/s, ` +
      `${simulated} simulated seconds a second, ${formatCount(totals.events)} events`,
    `  killed: ${formatCount(driverKills)} driver VMs, ${formatCount(guestKills)} guests; ` +
      `requests were replayed in ${formatPercent(totals.seedsWithReplay / count)} of the seeds`,
  ];
  if (count >= COVERAGE_FROM && !flags.calm) lines.push('', ...totals.coverage.lines());
  for (const report of failed.slice(0, FAILURES_SHOWN))
    lines.push('', ...failureLines(report, flags));
  const more = failed.length - FAILURES_SHOWN;
  if (more > 0) lines.push('', `and ${more} more`);
  return `${lines.join('\n')}\n`;
}

function failureLines(report: SeedReport, { plant, beyondContract }: SimFlags): string[] {
  const { seed, events, hash, broken, difference } = report;
  const beyond = beyondContract ? ' --beyond-contract' : '';
  const planted = `${beyond}${plant === 'none' ? '' : ` --plant ${plant}`}`;
  const how = difference === null ? `--trace ${TRACE_LAST}` : '--twice';
  return [
    `seed ${seed}: ended at event ${formatCount(events)}, hash ${hash}`,
    ...broken.map(({ name, text }) => `  ✘ ${name}: ${text.split('\n').join('\n    ')}`),
    ...(difference === null ? [] : [`  ✘ ${difference.split('\n').join('\n    ')}`]),
    `  again: stordom sim crash --seed ${seed} ${how}${planted}`,
  ];
}
