/** Small scenarios with chosen faults: two guests over files. */
import type { ExecutionContext } from 'ava';
import { Prng } from '../../src/base/prng.ts';
import { SECTORS_PER_PAGE } from '../../src/base/units.ts';
import { checksOf, outagesOf } from '../../src/experiments/account.ts';
import type { Verdict } from '../../src/experiments/checkers/check.ts';
import type { GuestTrack } from '../../src/experiments/guest-track.ts';
import type { Run } from '../../src/experiments/runner.ts';
import {
  DEFAULT_FRONT,
  type GuestScenario,
  type Scenario,
} from '../../src/experiments/scenario.ts';
import { runInSimulator } from '../../src/experiments/sim-stage.ts';
import { fitNone } from '../../src/traces/fit.ts';
import { type SyntheticOptions, syntheticTrace } from '../../src/traces/synthetic.ts';
import type { Fault, Trigger } from '../../src/world/faults.ts';

const BLOCKS = 64;
const MIB = 2 ** 20;

const SHAPE = { requests: 300, blocks: BLOCKS, meanInterarrivalNs: 700_000 };

export const HALF_WAY: Trigger = { kind: 'progress', share: 0.5 };

export function guestWith(
  name: string,
  changes: Partial<GuestScenario> = {},
  shape: Partial<SyntheticOptions> = {},
): GuestScenario {
  const trace = syntheticTrace(new Prng(1, name), { ...SHAPE, ...shape });
  return {
    name,
    host: 'h0',
    device: 'file',
    diskSectors: BLOCKS * SECTORS_PER_PAGE,
    trace: fitNone(trace, BLOCKS * 4096).trace,
    // Slow enough that a fault looked for every few milliseconds strikes where it is meant to.
    pace: { kind: 'timed', speed: 1, depth: 64 },
    heapBytes: 2 * MIB,
    front: DEFAULT_FRONT,
    policy: 'stall',
    requestsPerSecond: 0,
    bytesPerSecond: 0,
    ...changes,
  };
}

export function scenarioWith(faults: readonly Fault[], changes: Partial<Scenario> = {}): Scenario {
  return {
    title: 'test',
    summary: 'two guests of one host',
    hosts: ['h0'],
    hostMemoryBytes: 32 * MIB,
    driverHeapBytes: 4 * MIB,
    guests: [guestWith('g0'), guestWith('g1')],
    faults,
    driverRestartNs: 10e6,
    guestRestartNs: 10e6,
    timeLimitNs: 20e9,
    plantedBug: 'none',
    publish: 'each',
    disturbedStore: false,
    ...changes,
  };
}

export interface JudgedRun {
  readonly run: Run;
  readonly checks: readonly Verdict[];
}

export async function judgedRun(scenario: Scenario, seed: number): Promise<JudgedRun> {
  const { run, outcome } = await runInSimulator(scenario, seed);
  return { run, checks: checksOf(run, outagesOf(run, outcome.endNs)) };
}

export function allHold(t: ExecutionContext, checks: readonly Verdict[], what: string): void {
  t.true(checks.length > 0, what);
  for (const { name, ok, text } of checks) t.true(ok, `${what}: ${name}: ${text}`);
}

/** When the run told of something; fails the test if it never did. */
export function toldAtNs(t: ExecutionContext, run: Run, text: string): number {
  const event = run.events.find((one) => one.text.includes(text));
  const told = run.events.map((one) => one.text).join('\n');
  t.truthy(event, `"${text}" is not in:\n${told}`);
  return event?.atNs ?? 0;
}

/** Requests that a guest submitted, or saw answered, strictly between two moments. */
export function countBetween(
  { history }: GuestTrack,
  half: 'invokeNs' | 'ackNs',
  fromNs: number,
  toNs: number,
): number {
  let count = 0;
  for (let at = 0; at < history.length; at++) {
    const atNs = history.record(at)[half];
    if (atNs > fromNs && atNs < toNs) count++;
  }
  return count;
}
