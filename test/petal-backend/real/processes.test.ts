/** Petal servers in processes under load. */
import { longTest } from '../../helpers/long-tests.ts';
import { pullThrough } from './pull-through.ts';
import { ProcessPool } from './real-pool.ts';

longTest(
  'processes: a server gets SIGKILL, one SIGSTOP: each block is linearizable, all are in sync again',
  pullThrough(() => ProcessPool.open(4, 2)),
);
