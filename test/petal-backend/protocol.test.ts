import test, { type ExecutionContext } from 'ava';
import type { Frame } from '../../src/petal-backend/wire/messages.ts';
import { EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { becomesClean } from './nemesis.ts';
import { History, randomOf, workload } from './petal-workload.ts';
import { SimPetal, type SimPetalOptions } from './sim-petal.ts';

const FIRST = EXTENT_BLOCKS;

interface Load {
  readonly blocks: number;
  readonly operations: number;
  readonly lanes: number;
}

/**
 * A client loads four servers while `strike` does something to them. Nothing fails, all can be
 * read, and what was read is right. `later` has the pool after that.
 */
async function underLoad(
  t: ExecutionContext,
  options: Omit<SimPetalOptions, 'servers'>,
  load: Load,
  strike: (petal: SimPetal) => Promise<void>,
  later: (petal: SimPetal) => Promise<void> = async () => {},
): Promise<void> {
  const { seed } = options;
  const petal = new SimPetal({ ...options, servers: 4 });
  await petal.run(async () => {
    await petal.create();
    const history = new History(petal.world);
    const pool = await petal.client('h0');
    const working = workload(history, pool, FIRST, load, randomOf(seed));
    await strike(petal);
    t.is(await working, 0, `seed ${seed}`);
    for (let block = 0; block < load.blocks; block++) {
      t.is(await history.read(pool, FIRST + block), PoolStatus.ok, `seed ${seed}`);
    }
    t.is(history.conflict(), null, `seed ${seed}`);
    await later(petal);
  });
}

test('four servers without a fault: what is written is read, and nothing fails', async (t) => {
  const load = { blocks: 96, operations: 60, lanes: 6 };
  for (let seed = 1; seed <= 10; seed++) await underLoad(t, { seed }, load, async () => {});
});

test('a server is killed under load and comes back: nothing acknowledged is lost, and it is in sync again', async (t) => {
  const load = { blocks: 96, operations: 80, lanes: 6 };
  for (let seed = 1; seed <= 20; seed++) {
    const strike = async (petal: SimPetal): Promise<void> => {
      await petal.world.timers.sleep(5e6 + seed * 1e6);
      const victim = 1 + (seed % 4);
      await petal.kill(victim);
      await petal.world.timers.sleep(150e6);
      petal.start(victim);
    };
    await underLoad(t, { seed }, load, strike, async (petal) => {
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
  const load = { blocks: 64, operations: 60, lanes: 4 };
  for (let seed = 1; seed <= 6; seed++) {
    await underLoad(t, { seed, silenceNs: 300e6 }, load, async (petal) => {
      await petal.world.timers.sleep(60e6 + seed * 2e6);
      const victim = 1 + (seed % 4);
      await petal.kill(victim);
      petal.start(victim);
      await becomesClean(petal, 1e9);
      t.is(petal.disks.get(victim)?.incarnation, 2, 'it has had a life before');
    });
  }
});

test('on disks: servers are killed and lose their power under load; nothing acknowledged is lost', async (t) => {
  const load = { blocks: 64, operations: 60, lanes: 4 };
  for (let seed = 1; seed <= 6; seed++) {
    await underLoad(t, { seed, onDisks: true }, load, async (petal) => {
      for (let round = 0; round < 2; round++) {
        await petal.world.timers.sleep(20e6 + seed * 3e6);
        const victim = 1 + ((seed + round) % 4);
        if (round === 0) await petal.powerCut(victim);
        else await petal.kill(victim);
        await petal.world.timers.sleep(120e6);
        petal.start(victim);
        await becomesClean(petal, 2e9);
      }
    });
  }
});
