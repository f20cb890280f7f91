/**
 * A seed's scenario over threads: the same guests, traces and faults, as far as threads can play
 * them, judged by the same checkers. No two runs of it are the same run.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checksOf, outagesOf } from '../experiments/account.ts';
import { type SimCrashOptions, simCrashScenario } from '../experiments/sim-crash.ts';
import { scriptForThreads } from '../experiments/thread-script.ts';
import { runInThreads } from '../experiments/thread-stage.ts';
import { Interrupted } from './exit.ts';
import type { SeedRun } from './seed-run.ts';

/** Disks are in a temporary folder that is gone afterwards. Throws `Interrupted` on the signal. */
export async function runSeedInThreads(
  seed: number,
  options: SimCrashOptions,
  signal: AbortSignal,
): Promise<SeedRun> {
  const scenario = simCrashScenario(seed, options);
  const { faults, changes } = scriptForThreads(scenario.faults);
  const folder = await mkdtemp(join(tmpdir(), 'stordom-seed-'));
  try {
    const { run, durationNs, interrupted } = await runInThreads(
      { ...scenario, faults },
      { seed, folder, keepDisks: true, signal },
    );
    if (interrupted) throw new Interrupted('interrupted');
    const checks = checksOf(run, outagesOf(run, durationNs));
    return { seed, scenario, changes, run, durationNs, checks, sim: null };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
