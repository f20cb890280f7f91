/** Petal servers in threads under load: a short run of `soak.ts`. */
import { longTest } from '../../helpers/long-tests.ts';
import { playRounds } from './rounds.ts';
import { ThreadPool } from './thread-pool.ts';

const SEED = 5;

longTest(
  'threads: a server is killed, one stands still: each block is linearizable, all are in sync again',
  async (t) => {
    const pool = await ThreadPool.open(4, 2);
    t.teardown(() => pool.close());
    const onRound = (text: string): void => t.log(`seed ${SEED}, ${text}`);
    const verdict = await playRounds(pool, {
      troubles: ['kill', 'pause'],
      seed: SEED,
      readsEveryCopy: false,
      onRound,
    });
    t.is(verdict.problem, null, pool.notes.join('\n'));
    t.true(verdict.operations > 100);
    t.true(verdict.conditionalWrites > 10);
  },
);
