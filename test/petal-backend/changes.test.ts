/** Changes of a pair of which a server hears late, twice, or not at all. */
import test from 'ava';
import { EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { DiskOp } from '../../src/world/sim/disk-timing.ts';
import { DiskStatus } from '../../src/world/world.ts';
import { becomesClean } from './nemesis.ts';
import { History, randomOf, workload } from './petal-workload.ts';
import { SimPetal } from './sim-petal.ts';

const FIRST = EXTENT_BLOCKS;
/** Kind of a frame to the directory that changes it. */
const DIRECTORY_TXN = 3;

test('a member was let in, and its primary does not hear of it: nothing is acknowledged without the member', async (t) => {
  for (let seed = 1; seed <= 3; seed++) {
    const petal = new SimPetal({ seed, servers: 4 });
    await petal.run(async () => {
      await petal.create();
      const history = new History(petal.world);
      const client = await petal.client('h0');
      const options = { blocks: 16, operations: 150, lanes: 4 };
      await history.write(client, FIRST);
      await petal.kill(1);
      await petal.world.timers.sleep(100e6);
      const working = workload(history, client, FIRST, options, randomOf(seed));
      petal.start(1);
      const { toActor, fromActor } = petal.simulator.link('s2/directory');
      fromActor.cutSome((frame) => {
        if (frame[6] === DIRECTORY_TXN) toActor.clog();
        return false;
      });
      await petal.world.timers.sleep(150e6);
      t.is((await petal.record(0)).inSync.length, 2, `seed ${seed}: the directory has made it`);
      fromActor.cutSome(null);
      toActor.unclog();
      await working;
      await becomesClean(petal, 1e9);
      t.is(history.conflict(), null, `seed ${seed}`);
    });
  }
});

test('a server reads of its own change before it is told that it was made: what is dirty is made good first', async (t) => {
  for (let seed = 1; seed <= 12; seed++) {
    const petal = new SimPetal({ seed, servers: 4, copies: 3 });
    await petal.run(async () => {
      await petal.create();
      for (const direction of petal.simulator.link('s2/directory').directions) {
        direction.set({ reorder: 0.6, reorderNs: 4e6 });
      }
      const history = new History(petal.world);
      const client = await petal.client('h0');
      const options = { blocks: 64, operations: 60, lanes: 8 };
      const working = workload(history, client, FIRST, options, randomOf(seed));
      await petal.world.timers.sleep(10e6 + seed * 1e6);
      // s2 takes over from s1, whose last copies only s3 has got.
      petal.net.cut('s1', 's2');
      await petal.world.timers.sleep(100e6);
      petal.net.heal();
      await working;
      await becomesClean(petal, 1e9);
      t.is(history.conflict(), null, `seed ${seed}`);
    });
  }
});

test('the log of the server that takes over fails for a while: it begins its term when it can', async (t) => {
  const petal = new SimPetal({ seed: 1, servers: 4, onDisks: true });
  await petal.run(async () => {
    await petal.create();
    const history = new History(petal.world);
    const client = await petal.client('h0');
    t.is(await history.write(client, FIRST), PoolStatus.ok);
    await petal.kill(1);
    const { faults } = petal.simulator.host('host2').disk('log');
    const fault = { kind: 'error', status: DiskStatus.ioError } as const;
    const heal = faults.add({ fault, ops: [DiskOp.write, DiskOp.flush] });
    while ((await petal.record(0)).primary !== 2) await petal.world.timers.sleep(1e6);
    await petal.world.timers.sleep(60e6);
    heal();
    t.is(await history.write(client, FIRST), PoolStatus.ok);
    petal.start(1);
    await becomesClean(petal, 1e9);
    t.is(history.conflict(), null);
  });
});
