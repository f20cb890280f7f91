/** Petal servers in threads under load. */
import { longTest } from '../../helpers/long-tests.ts';
import { pullThrough } from './pull-through.ts';
import { ThreadPool } from './thread-pool.ts';

longTest(
  'threads: a server is killed, one stands still: each block is linearizable, all are in sync again',
  pullThrough(() => ThreadPool.open(4, 2)),
);
