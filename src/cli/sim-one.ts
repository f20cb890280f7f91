/** One seed of the simulator, looked at closely: its checks, its story, its last events. */
import { formatCount, formatDuration } from '../base/format-units.ts';
import { checksOf, outagesOf } from '../experiments/account.ts';
import { simCrashScenario } from '../experiments/sim-crash.ts';
import { runInSimulator, type SimRun } from '../experiments/sim-stage.ts';
import type { Fault, PlantedBug } from '../world/faults.ts';
import type { LogRecord } from '../world/sim/event-log.ts';
import { ExitCode } from './exit.ts';

export interface OneSeedFlags {
  /** How many of the last events are printed. */
  readonly trace: number;
  readonly plant: PlantedBug;
  readonly calm: boolean;
  readonly beyondContract: boolean;
  readonly json: boolean;
  readonly quiet: boolean;
}

export async function runOneSeed(seed: number, flags: OneSeedFlags): Promise<ExitCode> {
  const { plant: plantedBug, calm, beyondContract: beyond } = flags;
  const scenario = simCrashScenario(seed, { plantedBug, calm, beyond });
  const window = flags.trace === 0 ? null : { last: flags.trace };
  const simulated = await runInSimulator(scenario, seed, window);
  const { run, outcome, log } = simulated;
  const checks = checksOf(run, outagesOf(run, outcome.endNs));
  const ok = checks.every((check) => check.ok);
  if (flags.json) {
    const { events, endNs, hash } = outcome;
    const facts = { scenario: 'crash', seed, ok, events, simulatedNs: endNs, hash };
    const told = { checks, faults: scenario.faults, story: run.events, trace: log.kept() };
    process.stdout.write(`${JSON.stringify({ ...facts, ...told })}\n`);
  } else {
    const verdict = `${ok ? '✔' : '✘'} seed ${seed} ${ok ? 'passed' : 'failed'}`;
    const lines = flags.quiet
      ? [verdict]
      : [verdict, ...storyLines(simulated), ...checks.map(checkLine), ...traceLines(log.kept())];
    process.stdout.write(`${lines.join('\n')}\n`);
  }
  return ok ? ExitCode.ok : ExitCode.broken;
}

function storyLines({ run, outcome }: SimRun): string[] {
  const { events, endNs, hash, limitReached } = outcome;
  const end = limitReached === null ? '' : `, stopped by the limit of ${limitReached}`;
  return [
    `  ${formatCount(events)} events, ${formatDuration(endNs)} simulated, hash ${hash}${end}`,
    '',
    'Guests',
    ...run.guests.map(({ name, scenario }) => {
      const { host, device, pace, trace, front } = scenario;
      return (
        `  ${name} on ${host}: ${trace.requests} requests, ${device} device, ` +
        `depth ${pace.depth}, ${front.queues} queues of order ${front.ringOrder}`
      );
    }),
    '',
    'Faults',
    ...run.scenario.faults.map((fault) => `  ${faultText(fault)}`),
    '',
    'Story',
    ...run.events.map(({ atNs, text }) => `  ${clock(atNs)}  ${text}`),
    '',
    'Checks',
  ];
}

function checkLine({ name, ok, text }: { name: string; ok: boolean; text: string }): string {
  return `  ${ok ? '✔' : '✘'} ${name}: ${text.split('\n').join('\n    ')}`;
}

function faultText(fault: Fault): string {
  const victim = 'host' in fault ? fault.host : fault.guest;
  const what = fault.kind === 'disk' ? `disk ${fault.trouble}` : fault.kind;
  const lasts = 'forNs' in fault ? ` for ${formatDuration(fault.forNs)}` : '';
  return `${what} ${victim} ${whenText(fault)}${lasts}`;
}

function whenText({ when }: Fault): string {
  switch (when.kind) {
    case 'time':
      return `at ${formatDuration(when.atNs)}`;
    case 'progress':
      return `at ${(when.share * 100).toFixed(0)}% of the requests`;
    case 'protocol':
      return `at its guests' event ${when.nth} of ${when.event}`;
    case 'event':
      return `instead of its event ${when.nth}`;
    case 'recovery':
      return `instead of event ${when.nth} of a successor's recovery`;
    case 'crash-point':
      return `at passage ${when.nth} of ${when.point}`;
  }
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
