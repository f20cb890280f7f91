import test from 'ava';
import { isLong } from '../helpers/long-tests.ts';
import { ordeal } from './ordeal.ts';

const SEEDS = isLong ? 8 : 4;

for (const { servers, copies, voters } of [
  { servers: 4, copies: 2, voters: 0 },
  { servers: 3, copies: 2, voters: 0 },
  { servers: 5, copies: 3, voters: 0 },
  { servers: 4, copies: 2, voters: 3 },
]) {
  test(`${servers} servers, ${copies} copies, ${voters} voters: whatever happens, each block is linearizable, and all is clean again`, async (t) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      t.is(await ordeal({ seed, servers, copies, voters }), null);
    }
  });
}
