import test from 'ava';
import type { Frame } from '../../src/petal-backend/wire/messages.ts';
import { EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { becomesClean } from './nemesis.ts';
import { History, randomOf, workload } from './petal-workload.ts';
import { SimPetal } from './sim-petal.ts';

const FIRST = EXTENT_BLOCKS;

test('four servers without a fault: what is written is read, and nothing fails', async (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const petal = new SimPetal({ seed, servers: 4 });
    await petal.run(async () => {
      await petal.create();
      const history = new History(petal.world);
      const pool = await petal.client('h0');
      const options = { blocks: 96, operations: 60, lanes: 6 };
      const failed = await workload(history, pool, FIRST, options, randomOf(seed));
      t.is(failed, 0);
      t.is(history.conflict(), null, `seed ${seed}`);
    });
  }
});

test('a server is killed under load and comes back: nothing acknowledged is lost, and it is in sync again', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const petal = new SimPetal({ seed, servers: 4 });
    await petal.run(async () => {
      await petal.create();
      const history = new History(petal.world);
      const pool = await petal.client('h0');
      const options = { blocks: 96, operations: 80, lanes: 6 };
      const working = workload(history, pool, FIRST, options, randomOf(seed));
      await petal.world.timers.sleep(5e6 + seed * 1e6);
      const victim = 1 + (seed % 4);
      await petal.kill(victim);
      await petal.world.timers.sleep(150e6);
      petal.start(victim);
      t.is(await working, 0);
      for (let block = 0; block < 96; block++) {
        t.is(await history.read(pool, FIRST + block), PoolStatus.ok);
      }
      t.is(history.conflict(), null, `seed ${seed}`);
      await petal.world.timers.sleep(400e6);
      for (let group = 0; group < 4; group++) {
        t.is((await petal.record(group)).inSync.length, 2, `seed ${seed}, group ${group}`);
      }
    });
  }
});

test("an answer that was meant for an earlier session under the same name is nobody's", async (t) => {
  const petal = new SimPetal({ seed: 1, servers: 4 });
  await petal.run(async () => {
    await petal.create();
    const history = new History(petal.world);
    const old = await petal.client('h0');
    await history.write(old, FIRST);
    await history.write(old, FIRST + 1);
    const late: [string, Frame][] = [];
    petal.net.spy((from, to, frame) => {
      if (to === 'h0.1' && frame.message.kind === 'reply') late.push([from, frame]);
    });
    await history.read(old, FIRST);
    petal.net.spy(null);
    const young = await petal.client('h0');
    // Its first requests, among them one of the number that the old one's read had.
    const reading = Array.from({ length: 4 }, () => history.read(young, FIRST + 1));
    for (const [from, frame] of late) petal.net.inject(from, 'h0.2', frame);
    await Promise.all(reading);
    t.true(late.length > 0);
    t.is(history.conflict(), null);
  });
});

test('a server that is back before anybody has missed it is in sync again, in its new life', async (t) => {
  for (let seed = 1; seed <= 6; seed++) {
    const petal = new SimPetal({ seed, servers: 4, silenceNs: 300e6 });
    await petal.run(async () => {
      await petal.create();
      const history = new History(petal.world);
      const pool = await petal.client('h0');
      const options = { blocks: 64, operations: 60, lanes: 4 };
      const working = workload(history, pool, FIRST, options, randomOf(seed));
      await petal.world.timers.sleep(60e6 + seed * 2e6);
      const victim = 1 + (seed % 4);
      await petal.kill(victim);
      petal.start(victim);
      await becomesClean(petal, 1e9);
      t.is(petal.disks.get(victim)?.incarnation, 2, 'it has had a life before');
      t.is(await working, 0);
      t.is(history.conflict(), null, `seed ${seed}`);
    });
  }
});

test('on disks: servers are killed and lose their power under load; nothing acknowledged is lost', async (t) => {
  for (let seed = 1; seed <= 6; seed++) {
    const petal = new SimPetal({ seed, servers: 4, onDisks: true });
    await petal.run(async () => {
      await petal.create();
      const history = new History(petal.world);
      const pool = await petal.client('h0');
      const options = { blocks: 64, operations: 60, lanes: 4 };
      const working = workload(history, pool, FIRST, options, randomOf(seed));
      for (let round = 0; round < 2; round++) {
        await petal.world.timers.sleep(20e6 + seed * 3e6);
        const victim = 1 + ((seed + round) % 4);
        if (round === 0) await petal.powerCut(victim);
        else await petal.kill(victim);
        await petal.world.timers.sleep(120e6);
        petal.start(victim);
        await becomesClean(petal, 2e9);
      }
      t.is(await working, 0);
      for (let block = 0; block < 64; block++) {
        t.is(await history.read(pool, FIRST + block), PoolStatus.ok);
      }
      t.is(history.conflict(), null, `seed ${seed}`);
    });
  }
});
