/** One seed of the simulator, as a task for a thread of a pool. */
import { type SimCrashOptions, simCrashScenario } from '../experiments/sim-crash.ts';
import { runInSimulator } from '../experiments/sim-stage.ts';
import { checkReplay, describeVerdict } from '../world/sim/replay-check.ts';
import { reportOf, type SeedReport } from './seed-report.ts';
import { simulateSeed } from './seed-run.ts';

export interface SeedTask extends SimCrashOptions {
  readonly seed: number;
  /** Run it twice and compare. */
  readonly twice: boolean;
}

export async function runSeed({ seed, twice, ...options }: SeedTask): Promise<SeedReport> {
  const seedRun = await simulateSeed(seed, options, null);
  const verdict = twice
    ? await checkReplay(seed, async (again, window) => {
        const same = simCrashScenario(again, options);
        return (await runInSimulator(same, again, window)).log;
      })
    : null;
  const difference = verdict === null || verdict.same ? null : describeVerdict(verdict);
  return reportOf(seedRun, difference);
}
