/**
 * After a failure each pair is handed back to the map's first choice, and the load is even again.
 */
import test from 'ava';
import { EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { longTest } from '../helpers/long-tests.ts';
import { becomesClean, differingCopies } from './nemesis.ts';
import { History } from './petal-workload.ts';
import { FAST, SimPetal } from './sim-petal.ts';

const BLOCK = EXTENT_BLOCKS;

async function primariesOf(petal: SimPetal): Promise<number[]> {
  const records = await Promise.all(petal.map.servers.map((_, group) => petal.record(group)));
  return records.map(({ primary }) => primary);
}

for (const copies of [2, 3]) {
  const run = copies === 2 ? test : longTest;
  run(
    `${copies} copies: a server that was away is the primary of its group again; no write is lost or waits longer than a drain`,
    async (t) => {
      let longestNs = 0;
      for (let seed = 1; seed <= 6; seed++) {
        const petal = new SimPetal({ seed, servers: 4, copies });
        const history = new History(petal.world);
        await petal.run(async () => {
          await petal.create();
          const client = await petal.client('h0');
          await petal.kill(1);
          await petal.world.timers.sleep(100e6);
          t.is(await history.write(client, BLOCK), PoolStatus.ok);
          petal.start(1);
          await becomesClean(petal, 1e9);
          t.not((await primariesOf(petal))[0], 1, 'it is not the primary at once');
          let isOver = false;
          const lanes = Array.from({ length: 4 }, async (_, lane) => {
            while (!isOver) {
              const beganNs = petal.world.clock.nowNs();
              t.is(await history.write(client, BLOCK + lane), PoolStatus.ok);
              longestNs = Math.max(longestNs, petal.world.clock.nowNs() - beganNs);
            }
          });
          await petal.world.timers.sleep(2 * FAST.handBackNs);
          isOver = true;
          await Promise.all(lanes);
          t.deepEqual(await primariesOf(petal), [1, 2, 3, 4], `seed ${seed}`);
          const { term } = await petal.record(0);
          await petal.world.timers.sleep(5 * FAST.handBackNs);
          t.is((await petal.record(0)).term, term, 'then nothing changes any more');
        });
        t.is(history.conflict(), null, `seed ${seed}`);
        t.is(differingCopies(petal), null);
      }
      t.log(`the longest write took ${longestNs / 1e6} ms`);
      t.true(longestNs < 2 * FAST.heartbeatNs + 12e6, `${longestNs} ns`);
    },
  );
}

test('a first choice that comes and goes is handed its pair at most once in each time', async (t) => {
  const petal = new SimPetal({ seed: 1, servers: 4 });
  await petal.run(async () => {
    await petal.create();
    const seen = new Set<number>();
    const beganNs = petal.world.clock.nowNs();
    for (let i = 0; i < 8; i++) {
      await petal.kill(1);
      await petal.world.timers.sleep(40e6);
      petal.start(1);
      for (let look = 0; look < 60; look++) {
        const { primary, term } = await petal.record(0);
        if (primary === 1 && term > 1) seen.add(term);
        await petal.world.timers.sleep(1e6);
      }
    }
    const times = (petal.world.clock.nowNs() - beganNs) / FAST.handBackNs;
    t.true(seen.size <= times, `${seen.size} in ${times}`);
    await becomesClean(petal, 1e9);
    await petal.world.timers.sleep(3 * FAST.handBackNs);
    t.deepEqual(await primariesOf(petal), [1, 2, 3, 4]);
  });
});

test('a hand-back whose first choice is cut off is given up: writes go on', async (t) => {
  for (let seed = 1; seed <= 6; seed++) {
    const petal = new SimPetal({ seed, servers: 4 });
    const history = new History(petal.world);
    await petal.run(async () => {
      await petal.create();
      const client = await petal.client('h0');
      await petal.kill(1);
      await petal.world.timers.sleep(100e6);
      petal.start(1);
      await becomesClean(petal, 1e9);
      await petal.world.timers.sleep(FAST.handBackNs - 10e6 + seed * 3e6);
      petal.cutBetween('s1', 's2');
      for (let i = 0; i < 20; i++) t.is(await history.write(client, BLOCK), PoolStatus.ok);
      petal.net.heal();
      await becomesClean(petal, 1e9);
      t.is(await history.read(client, BLOCK), PoolStatus.ok);
    });
    t.is(history.conflict(), null, `seed ${seed}`);
  }
});
