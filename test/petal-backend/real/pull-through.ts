/** What the tests of pools of threads and of processes do. */
import type { ExecutionContext } from 'ava';
import type { RealPool } from './real-pool.ts';
import { playRounds } from './rounds.ts';

const SEED = 5;

/** A short run of `soak.ts`, as a test. */
export function pullThrough(open: () => Promise<RealPool>): (t: ExecutionContext) => Promise<void> {
  return async (t: ExecutionContext): Promise<void> => {
    const pool = await open();
    t.teardown(() => pool.close());
    const verdict = await playRounds(pool, {
      troubles: ['kill', 'pause'],
      seed: SEED,
      readsEveryCopy: false,
      onRound: (text) => t.log(`seed ${SEED}, ${text}`),
    });
    t.is(verdict.problem, null, pool.notes.join('\n'));
    t.true(verdict.operations > 100);
    t.true(verdict.conditionalWrites > 10);
  };
}
