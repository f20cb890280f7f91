/** Petal servers in threads and in processes under load: short runs of `soak.ts`. */
import type { ExecutionContext } from 'ava';
import { longTest } from '../../helpers/long-tests.ts';
import { ProcessPool, type RealPool } from './real-pool.ts';
import { playRounds } from './rounds.ts';
import { ThreadPool } from './thread-pool.ts';

const SEED = 5;

function pullThrough(open: () => Promise<RealPool>) {
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

longTest(
  'threads: a server is killed, one stands still: each block is linearizable, all are in sync again',
  pullThrough(() => ThreadPool.open(4, 2)),
);

longTest(
  'processes: a server gets SIGKILL, one SIGSTOP: each block is linearizable, all are in sync again',
  pullThrough(() => ProcessPool.open(4, 2)),
);
