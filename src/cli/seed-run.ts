/** One seed of the crash scenario, run and judged, in either world. */
import { checksOf, outagesOf } from '../experiments/account.ts';
import type { Check } from '../experiments/result.ts';
import type { Run } from '../experiments/runner.ts';
import type { Scenario } from '../experiments/scenario.ts';
import { type SimCrashOptions, simCrashScenario } from '../experiments/sim-crash.ts';
import { runInSimulator } from '../experiments/sim-stage.ts';
import type { ScriptChange } from '../experiments/thread-script.ts';
import type { LogRecord, TraceWindow } from '../world/sim/event-log.ts';

/** What only the simulator knows of a run. */
export interface SimFacts {
  readonly events: number;
  readonly hash: string;
  readonly limitReached: 'events' | 'time' | null;
  /** The last events, as many as were asked for. */
  readonly trace: readonly LogRecord[];
}

export interface SeedRun {
  readonly seed: number;
  /** As it was drawn. */
  readonly scenario: Scenario;
  /** What threads play otherwise than drawn; nothing in the simulator. */
  readonly changes: readonly ScriptChange[];
  readonly run: Run;
  readonly durationNs: number;
  readonly checks: readonly Check[];
  /** null: it ran in threads. */
  readonly sim: SimFacts | null;
}

export async function simulateSeed(
  seed: number,
  options: SimCrashOptions,
  window: TraceWindow | null,
): Promise<SeedRun> {
  const scenario = simCrashScenario(seed, options);
  const { run, outcome, log } = await runInSimulator(scenario, seed, window);
  const { events, hash, limitReached, endNs } = outcome;
  const checks = checksOf(run, outagesOf(run, endNs));
  const sim = { events, hash, limitReached, trace: log.kept() };
  return { seed, scenario, changes: [], run, durationNs: endNs, checks, sim };
}
