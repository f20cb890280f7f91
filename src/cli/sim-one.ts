/** One seed, looked at closely: its checks, its story, and in the simulator its last events. */
import { formatCount, formatDuration } from '../base/format-units.ts';
import type { Check } from '../experiments/result.ts';
import type { LogRecord } from '../world/sim/event-log.ts';
import { commitText } from './commit.ts';
import { ExitCode } from './exit.ts';
import { changeText, configLines, faultText } from './fault-text.ts';
import { untilInterrupted } from './interrupt.ts';
import { type RepeatFlags, repeatCommand } from './seed-report.ts';
import { type SeedRun, simulateSeed } from './seed-run.ts';
import { runSeedInThreads } from './thread-seed.ts';

export interface OneSeedFlags extends RepeatFlags {
  /** How many of the last events are printed. */
  readonly trace: number;
  readonly json: boolean;
  readonly quiet: boolean;
}

export async function runOneSeed(seed: number, flags: OneSeedFlags): Promise<ExitCode> {
  const { plant: plantedBug, calm, beyondContract: beyond, images, petal, moves } = flags;
  const options = { plantedBug, calm, beyond, images, petal, moves };
  const window = flags.trace === 0 ? null : { last: flags.trace };
  const seedRun =
    flags.world === 'sim'
      ? await simulateSeed(seed, options, window)
      : await untilInterrupted((signal) => runSeedInThreads(seed, options, signal));
  const ok = seedRun.checks.every((check) => check.ok);
  process.stdout.write(flags.json ? seedJson(seedRun, ok, flags) : seedText(seedRun, ok, flags));
  return ok ? ExitCode.ok : ExitCode.broken;
}

function seedJson(seedRun: SeedRun, ok: boolean, flags: OneSeedFlags): string {
  const { seed, sim, durationNs, scenario, changes, run, checks } = seedRun;
  const facts = {
    scenario: 'crash',
    world: flags.world,
    seed,
    commit: commitText(),
    ok,
    events: sim?.events ?? null,
    durationNs,
    hash: sim?.hash ?? null,
    config: configLines(scenario),
    faults: scenario.faults,
    changes,
    checks,
    story: run.events,
    trace: sim?.trace ?? [],
    again: repeatCommand(seed, flags, false),
  };
  return `${JSON.stringify(facts)}\n`;
}

function seedText(seedRun: SeedRun, ok: boolean, flags: OneSeedFlags): string {
  const { seed, checks, sim } = seedRun;
  const verdict = `${ok ? '✔' : '✘'} seed ${seed} ${ok ? 'passed' : 'failed'}`;
  if (flags.quiet) return `${verdict}\n`;
  // What was asked for with a trace is the repetition already.
  const again = ok || flags.trace > 0 ? [] : ['', `Again: ${repeatCommand(seed, flags, false)}`];
  const lines = [
    verdict,
    `  commit ${commitText()}`,
    ...storyLines(seedRun),
    ...checks.map(checkLine),
    ...traceLines(sim?.trace ?? []),
    ...again,
  ];
  return `${lines.join('\n')}\n`;
}

function storyLines(seedRun: SeedRun): string[] {
  const { scenario, changes, run } = seedRun;
  return [
    endLine(seedRun),
    '',
    'Guests',
    ...configLines(scenario).map((line) => `  ${line}`),
    '',
    'Faults',
    ...scenario.faults.map((fault) => `  ${faultText(fault)}`),
    ...(changes.length === 0
      ? []
      : ['', 'In threads', ...changes.map((c) => `  ${changeText(c)}`)]),
    '',
    'Story',
    ...run.events.map(({ atNs, text }) => `  ${clock(atNs)}  ${text}`),
    '',
    'Checks',
  ];
}

function endLine({ sim, durationNs }: SeedRun): string {
  const lasted = formatDuration(durationNs);
  if (sim === null) return `  ${lasted} in threads, which promise nothing of a seed`;
  const { events, hash, limitReached } = sim;
  const end = limitReached === null ? '' : `, stopped by the limit of ${limitReached}`;
  return `  ${formatCount(events)} events, ${lasted} simulated, hash ${hash}${end}`;
}

function checkLine({ name, ok, text }: Check): string {
  return `  ${ok ? '✔' : '✘'} ${name}: ${text.split('\n').join('\n    ')}`;
}

function traceLines(records: readonly LogRecord[]): string[] {
  if (records.length === 0) return [];
  const lines = records.map(
    ({ record, timeNs, actor, kind, a, b }) =>
      `  ${record}  ${clock(timeNs)}  ${actor}  ${kind}  ${a} ${b}`,
  );
  return ['', `Last ${records.length} events (number, time, actor, kind, two values)`, ...lines];
}

/** Milliseconds to the nanosecond, so that moments line up and none is lost. */
function clock(ns: number): string {
  return `${(ns / 1e6).toFixed(6).padStart(12)}ms`;
}
