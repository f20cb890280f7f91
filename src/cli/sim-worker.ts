/** One seed of the simulator, as a task for a thread of a pool. */
import { checksOf, outagesOf } from '../experiments/account.ts';
import type { Check } from '../experiments/result.ts';
import { simCrashScenario } from '../experiments/sim-crash.ts';
import { runInSimulator } from '../experiments/sim-stage.ts';
import type { PlantedBug } from '../world/faults.ts';
import { checkReplay, describeVerdict } from '../world/sim/replay-check.ts';

export interface SeedTask {
  readonly seed: number;
  readonly plantedBug: PlantedBug;
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
}

export async function runSeed({ seed, plantedBug, twice }: SeedTask): Promise<SeedReport> {
  const scenario = simCrashScenario(seed, { plantedBug, calm: false });
  const { run, outcome } = await runInSimulator(scenario, seed);
  const broken = checksOf(run, outagesOf(run, outcome.endNs)).filter(({ ok }) => !ok);
  const verdict = twice
    ? await checkReplay(seed, async (again, window) => {
        const same = simCrashScenario(again, { plantedBug, calm: false });
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
  };
}
