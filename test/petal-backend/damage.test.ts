/**
 * Blocks that are damaged at rest, on one copy and on all: found by reads and by the scrub, made
 * whole from the other copy, and never replaced by what is older.
 */
import test from 'ava';
import type { PetalPool } from '../../src/petal-backend/client/petal-pool.ts';
import type { PetalBug } from '../../src/petal-backend/server/ports.ts';
import { BLOCK_BYTES, EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { longTest } from '../helpers/long-tests.ts';
import type { MemoryDisk } from './memory-store.ts';
import { becomesClean, becomesQuiet, differingCopies } from './nemesis.ts';
import { History, randomOf, workload } from './petal-workload.ts';
import { SimPetal } from './sim-petal.ts';

/** A block of group 0 of four servers: its copies are at s1, the first primary, and s2. */
const BLOCK = EXTENT_BLOCKS;
const KEY = `1/0/1/1/${BLOCK}`;
/** No round of the scrub begins in so long. */
const NEVER_NS = 3600e9;

type Harm = (disk: MemoryDisk, key: string) => void;

const HARMS: Readonly<Record<string, Harm>> = {
  'a flipped bit': (disk, key) => {
    const data = disk.blocks.get(key)?.data;
    if (data == null) throw new Error(`there is no ${key}`);
    data[100] = (data[100] as number) ^ 4;
  },
  'a sector that cannot be read': (disk, key) => {
    disk.unreadable.add(key);
  },
};
const FLIP = HARMS['a flipped bit'] as Harm;

async function scenario(
  story: (petal: SimPetal, history: History, client: PetalPool) => Promise<void>,
  options: { plantedBug?: PetalBug; scrubPauseNs?: number; seed?: number } = {},
): Promise<History> {
  const petal = new SimPetal({ seed: 1, servers: 4, scrubPauseNs: NEVER_NS, ...options });
  const history = new History(petal.world);
  await petal.run(async () => {
    await petal.create();
    const client = await petal.client('h0');
    await petal.world.timers.sleep(10e6);
    await story(petal, history, client);
  });
  return history;
}

function disk(petal: SimPetal, server: number): MemoryDisk {
  return petal.disks.get(server) as MemoryDisk;
}

/** Of group 0 at a server. */
function damageOf(petal: SimPetal, server: number): { damaged: number; healed: number } {
  const status = petal.servers
    .get(server)
    ?.status()
    .find(({ group }) => group === 0);
  return { damaged: status?.damaged ?? -1, healed: status?.healed ?? -1 };
}

async function readsOf(petal: SimPetal, server: number, name: string): Promise<PetalPool> {
  const pool = await petal.client(name, { timeoutNs: 30e6, giveUpNs: 60e6 });
  for (const other of petal.map.servers) {
    if (other !== server) petal.cutBetween(`${name}.${petal.lastSession}`, `s${other}`);
  }
  return pool;
}

for (const [what, harm] of Object.entries(HARMS)) {
  test(`${what} at one copy: each server answers from the other one, and its own is whole again`, async (t) => {
    for (const server of [1, 2]) {
      const history = await scenario(async (petal, history, client) => {
        await history.write(client, BLOCK);
        await petal.world.timers.sleep(20e6);
        harm(disk(petal, server), KEY);
        const only = await readsOf(petal, server, 'h1');
        t.is(await history.read(only, BLOCK), PoolStatus.ok, `s${server}`);
        t.deepEqual(damageOf(petal, server), { damaged: 0, healed: 1 });
        t.is(differingCopies(petal), null);
        t.false(disk(petal, server).unreadable.has(KEY), 'it was written again');
      });
      t.is(history.conflict(), null);
    }
  });

  const run = harm === FLIP ? test : longTest;
  run(
    `${what} at both copies: an error for this block, nothing older, until it is written again`,
    async (t) => {
      const history = await scenario(async (petal, history, client) => {
        t.is(await history.write(client, BLOCK), PoolStatus.ok);
        t.is(await history.write(client, BLOCK), PoolStatus.ok);
        t.is(await history.write(client, BLOCK + 1), PoolStatus.ok);
        await petal.world.timers.sleep(20e6);
        for (const server of [1, 2]) harm(disk(petal, server), KEY);
        for (let i = 0; i < 5; i++) t.is(await history.read(client, BLOCK), PoolStatus.ioError);
        t.is(await history.read(client, BLOCK + 1), PoolStatus.ok, 'its neighbour is whole');
        for (const server of [1, 2]) {
          t.like(damageOf(petal, server), { damaged: 1, healed: 0 });
        }
        await petal.kill(1);
        await petal.world.timers.sleep(100e6);
        t.is(await history.read(client, BLOCK), PoolStatus.ioError, 'whoever is the primary');
        petal.start(1);
        await becomesClean(petal, 1e9);
        t.is(
          await history.read(client, BLOCK),
          PoolStatus.ioError,
          'whoever was brought up to date',
        );
        t.is(await history.write(client, BLOCK), PoolStatus.ok);
        for (let i = 0; i < 5; i++) t.is(await history.read(client, BLOCK), PoolStatus.ok);
        t.is(damageOf(petal, 2).damaged, 0);
      });
      t.is(history.conflict(), null);
    },
  );
}

test('blocks are healed while a member comes back: what was marked for it is forgotten when it is in', async (t) => {
  const history = await scenario(async (petal, history, client) => {
    for (let i = 0; i < 64; i++) await history.write(client, BLOCK + i);
    await petal.kill(2);
    await petal.world.timers.sleep(400e6);
    petal.start(2);
    const joined = becomesClean(petal, 1e9).then(() => true);
    const soon = () => petal.world.timers.sleep(100e3).then(() => false);
    const reads: Promise<unknown>[] = [];
    for (let isIn = false; !isIn; isIn = await Promise.race([joined, soon()])) {
      const block = BLOCK + (reads.length % 16);
      FLIP(disk(petal, 1), `1/0/1/1/${block}`);
      reads.push(history.read(client, block));
    }
    await Promise.all(reads);
    t.true(damageOf(petal, 1).healed > 20);
    await becomesQuiet(petal, 1e9);
  });
  t.is(history.conflict(), null);
});

test('the scrub finds damage that nobody reads, on any server, and both copies are whole again', async (t) => {
  await scenario(
    async (petal, history, client) => {
      for (let i = 0; i < 64; i++) await history.write(client, BLOCK + i);
      await petal.world.timers.sleep(20e6);
      const keys = [...disk(petal, 2).blocks.keys()];
      keys.forEach((key, at) => (at % 2 === 0 ? FLIP(disk(petal, 2), key) : null));
      await petal.world.timers.sleep(400e6);
      const healed = petal.servers.get(2)?.status() ?? [];
      const sum = healed.reduce((all, one) => all + one.healed, 0);
      t.is(sum, Math.ceil(keys.length / 2));
      for (const one of disk(petal, 2).blocks.values()) {
        const crc =
          one.data === null ? one.crc : petal.world.digest.crc32(one.data, 0, BLOCK_BYTES);
        t.is(crc, one.crc);
      }
    },
    { scrubPauseNs: 5e6 },
  );
});

test('the source of a full resync has a damaged block: the member gets all the others, and an error for that one', async (t) => {
  const history = await scenario(async (petal, history, client) => {
    for (let i = 0; i < 16; i++) await history.write(client, BLOCK + i);
    await petal.kill(1);
    await petal.world.timers.sleep(100e6);
    disk(petal, 1).wipe();
    FLIP(disk(petal, 2), KEY);
    petal.start(1);
    await becomesClean(petal, 1e9);
    t.true(disk(petal, 1).blocks.get(KEY)?.isLost, 's1 knows the version, and has no data');
    await petal.kill(2);
    await petal.world.timers.sleep(100e6);
    t.is(await history.read(client, BLOCK), PoolStatus.ioError);
    for (let i = 1; i < 16; i++) t.is(await history.read(client, BLOCK + i), PoolStatus.ok);
    t.is(await history.write(client, BLOCK), PoolStatus.ok);
    t.is(await history.read(client, BLOCK), PoolStatus.ok);
  });
  t.is(history.conflict(), null);
});

test('the source of a rejoin has a damaged block that the returning member still has: it is taken from there', async (t) => {
  const history = await scenario(async (petal, history, client) => {
    for (let i = 0; i < 16; i++) await history.write(client, BLOCK + i);
    await petal.kill(1);
    await petal.world.timers.sleep(100e6);
    FLIP(disk(petal, 2), KEY);
    petal.start(1);
    await becomesClean(petal, 1e9);
    const only = await readsOf(petal, 2, 'h1');
    t.is(await history.read(only, BLOCK), PoolStatus.ok);
    t.is(damageOf(petal, 2).healed, 1);
  });
  t.is(history.conflict(), null);
});

test('what is dirty at a new primary is damaged: the copy of another one in sync holds, or it is an error', async (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const petal = new SimPetal({ seed, servers: 4, copies: 3, scrubPauseNs: NEVER_NS });
    const history = new History(petal.world);
    await petal.run(async () => {
      await petal.create();
      const client = await petal.client('h0', { giveUpNs: 2e9 });
      await history.write(client, BLOCK);
      const writing = history.write(client, BLOCK);
      while (petal.disks.get(2)?.blocks.get(KEY)?.version.n !== 2) {
        await petal.world.timers.sleep(0.01e6);
      }
      await petal.kill(1);
      FLIP(disk(petal, 2), KEY);
      await writing;
      t.is(await history.read(client, BLOCK), PoolStatus.ok, `seed ${seed}`);
      petal.start(1);
      await becomesClean(petal, 1e9);
      t.is(await history.read(client, BLOCK), PoolStatus.ok);
    });
    t.is(history.conflict(), null, `seed ${seed}`);
    t.is(differingCopies(petal), null, `seed ${seed}`);
  }
});

/** Bits flip now and then, on one server alone. */
async function rotting(seed: number, plantedBug: PetalBug = 'none'): Promise<History> {
  const options = { seed, plantedBug, scrubPauseNs: 5e6 };
  return await scenario(async (petal, history, client) => {
    const random = randomOf(seed);
    const working = workload(
      history,
      client,
      BLOCK,
      { blocks: 32, operations: 80, lanes: 4 },
      random,
    );
    for (let i = 0; i < 30; i++) {
      await petal.world.timers.sleep(1e6);
      const keys = [...disk(petal, 2).blocks]
        .filter(([, { data, dirty }]) => data !== null && !dirty)
        .map(([key]) => key);
      if (keys.length > 0) FLIP(disk(petal, 2), keys[random.below(keys.length)] as string);
    }
    await working;
  }, options);
}

test('bits flip on one server under load: nobody sees it', async (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    t.is((await rotting(seed)).conflict(), null, `seed ${seed}`);
  }
});

test('the planted bug no-crc: what has rotted is read as if it had been written', async (t) => {
  await t.throwsAsync(rotting(1, 'no-crc'), { message: /what nobody wrote there/ });
});
