/** One seed of the simulator, as a task for a thread of a pool. */
import { checksOf, outagesOf } from '../experiments/account.ts';
import { type Coverage, coverageOf } from '../experiments/coverage.ts';
import type { Check } from '../experiments/result.ts';
import { simCrashScenario } from '../experiments/sim-crash.ts';
import { runInSimulator } from '../experiments/sim-stage.ts';
import type { PlantedBug } from '../world/faults.ts';
import { checkReplay, describeVerdict } from '../world/sim/replay-check.ts';

export interface SeedTask {
  readonly seed: number;
  readonly plantedBug: PlantedBug;
  /** No faults: nothing must be reported. */
  readonly calm: boolean;
  /** Disks may lie: violations are expected. */
  readonly beyond: boolean;
  /** Run it twice and compare. */
  readonly twice: boolean;
}

/** What became of a seed. Structured-cloneable. */
export interface SeedReport {
  readonly seed: number;
  readonly ok: boolean;
  readonly broken: readonly Check[];
  /** How the two runs differ, in words; null if they are the same or were not compared. */
  readonly difference: string | null;
  readonly events: number;
  readonly simulatedNs: number;
  readonly hash: string;
  readonly driverKills: number;
  readonly guestKills: number;
  readonly replayedRequests: number;
  readonly coverage: Coverage;
}

export async function runSeed({ seed, twice, ...options }: SeedTask): Promise<SeedReport> {
  const scenario = simCrashScenario(seed, options);
  const { run, outcome } = await runInSimulator(scenario, seed);
  const broken = checksOf(run, outagesOf(run, outcome.endNs)).filter(({ ok }) => !ok);
  const verdict = twice
    ? await checkReplay(seed, async (again, window) => {
        const same = simCrashScenario(again, options);
        return (await runInSimulator(same, again, window)).log;
      })
    : null;
  const difference = verdict === null || verdict.same ? null : describeVerdict(verdict);
  return {
    seed,
    ok: broken.length === 0 && difference === null,
    broken,
    difference,
    events: outcome.events,
    simulatedNs: outcome.endNs,
    hash: outcome.hash,
    driverKills: run.hosts.reduce((sum, { outages }) => sum + outages.length, 0),
    guestKills: run.guests.reduce((sum, { kills }) => sum + kills, 0),
    replayedRequests: run.guests.reduce((sum, guest) => sum + guest.replayedRequests, 0),
    coverage: coverageOf(run),
  };
}
