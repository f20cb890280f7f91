/** Lives of servers and of the directory: restarts, older disks, a directory that was lost. */
import test from 'ava';
import { type Incarnation, type MapVersion, type Term, u32 } from '../../src/base/units.ts';
import {
  gmapKey,
  pairKey,
  poolKey,
  serverKey,
  vdiskKey,
} from '../../src/petal-backend/directory/keys.ts';
import { PairDirectory } from '../../src/petal-backend/directory/pair-directory.ts';
import { forceIsr } from '../../src/petal-backend/directory/pair-transitions.ts';
import {
  decodeRecord,
  gmapKind,
  type PairRecord,
  pairKind,
  poolKind,
  serverKind,
  vdiskKind,
} from '../../src/petal-backend/directory/records.ts';
import {
  beginRestore,
  endRestore,
  raiseAbove,
  type Seen,
} from '../../src/petal-backend/directory/restore.ts';
import { DIRTY_BLOCKS_MAX } from '../../src/petal-backend/wire/message-rules.ts';
import { EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { make, stored } from '../helpers/petal-pool.ts';
import type { MemoryDisk } from './memory-store.ts';
import { becomesClean, differingCopies } from './nemesis.ts';
import { History } from './petal-workload.ts';
import { FAST, GMAP, POOL, SimPetal, VDISK, VDISK_NAME } from './sim-petal.ts';

/** A block of group 0 of four servers: its copies are at s1, the first primary, and s2. */
const BLOCK = EXTENT_BLOCKS;

async function scenario(
  story: (petal: SimPetal, history: History) => Promise<void>,
  seed = 1,
  silenceNs: number = FAST.silenceNs,
): Promise<void> {
  const petal = new SimPetal({ seed, servers: 4, silenceNs });
  const history = new History(petal.world);
  await petal.run(async () => {
    await petal.create();
    await story(petal, history);
  });
  if (history.conflict() !== null) throw new Error(`seed ${seed}: ${history.conflict()}`);
}

async function incarnationOf(petal: SimPetal, server: number): Promise<number> {
  const entry = await petal.directory.get(serverKey(POOL, server));
  if (entry === null) throw new Error(`there is no s${server}`);
  return decodeRecord(petal.world.digest, serverKind, entry).incarnation;
}

function inSyncOf({ inSync }: PairRecord): number[] {
  return inSync.map(({ server }) => server).sort((a, b) => a - b);
}

test('a server that is restarted at once resumes its place: nobody else loses theirs, nothing is sent again', async (t) => {
  for (const victim of [1, 2]) {
    await scenario(
      async (petal, history) => {
        const client = await petal.client('h0');
        for (let i = 0; i < 16; i++) await history.write(client, BLOCK + i);
        await petal.world.timers.sleep(20e6);
        let repairs = 0;
        petal.net.spy((_from, _to, { message }) => {
          if (message.kind === 'repair') repairs++;
        });
        await petal.kill(victim);
        petal.start(victim);
        await becomesClean(petal, 1e9);
        const { term, primary, inSync } = await petal.record(0);
        t.deepEqual([term as number, primary], [2, 1]);
        t.is(inSync.find(({ server }) => server === victim)?.incarnation as number, 2);
        t.is(repairs, 0);
        for (let i = 0; i < 16; i++) t.is(await history.read(client, BLOCK + i), PoolStatus.ok);
      },
      1,
      300e6,
    );
  }
});

test('all servers stand still, with the machine that they are on: none takes another one for dead', async (t) => {
  for (let seed = 1; seed <= 8; seed++) {
    await scenario(async (petal, history) => {
      const client = await petal.client('h0');
      for (let i = 0; i < 64; i += 16) await history.write(client, BLOCK + i);
      await petal.world.timers.sleep(seed * 1e6);
      for (const server of petal.map.servers) petal.pause(server, FAST.silenceNs * 5);
      await petal.world.timers.sleep(FAST.silenceNs * 7);
      for (const group of petal.map.servers.keys()) {
        t.is((await petal.record(group)).term as number, 1, `seed ${seed}, group ${group}`);
      }
      for (let i = 0; i < 64; i += 16) {
        t.is(await history.write(client, BLOCK + i), PoolStatus.ok);
        t.is(await history.read(client, BLOCK + i), PoolStatus.ok);
      }
    }, seed);
  }
});

test('the power is cut at all servers: each resumes when it is back, in whatever order, and all is there', async (t) => {
  for (let seed = 1; seed <= 8; seed++) {
    await scenario(async (petal, history) => {
      const client = await petal.client('h0');
      for (let i = 0; i < 64; i += 3) await history.write(client, BLOCK + i);
      const writing = history.write(client, BLOCK);
      await petal.world.timers.sleep(0.3e6);
      await Promise.all(petal.map.servers.map((server) => petal.kill(server)));
      for (let i = 0; i < 4; i++) {
        petal.start(1 + ((i + seed) % 4));
        await petal.world.timers.sleep(seed * 5e6);
      }
      await becomesClean(petal, 1e9);
      await writing;
      for (let i = 0; i < 64; i += 3) t.is(await history.read(client, BLOCK + i), PoolStatus.ok);
      await petal.world.timers.sleep(20e6);
      t.is(differingCopies(petal), null);
    }, seed);
  }
});

test('a server is back at once with empty disks: whoever is in sync goes on, and brings it up to date', async (t) => {
  for (const victim of [1, 2]) {
    await scenario(async (petal, history) => {
      const client = await petal.client('h0');
      for (let i = 0; i < 16; i++) await history.write(client, BLOCK + i);
      await petal.kill(victim);
      petal.disks.get(victim)?.wipe();
      petal.start(victim);
      await becomesClean(petal, 1e9);
      t.is(differingCopies(petal), null);
      await petal.kill(3 - victim);
      for (let i = 0; i < 16; i++) t.is(await history.read(client, BLOCK + i), PoolStatus.ok);
    });
  }
});

test('an operator gives up on the only copy in sync: the other one goes on with what it has, and the first gets that when it is back', async (t) => {
  for (const onDisks of [false, true]) {
    const petal = new SimPetal({ seed: 1, servers: 4, onDisks, goesOnWhenBroken: true });
    await petal.run(async () => {
      await petal.create();
      const { directory, world } = petal;
      const history = new History(world);
      const client = await petal.client('h0');
      for (let i = 0; i < 4; i++) t.is(await history.write(client, BLOCK + i), PoolStatus.ok);
      await petal.kill(2);
      // Of these only server 1 knows, and that they were acknowledged.
      for (let i = 2; i < 6; i++) t.is(await history.write(client, BLOCK + i), PoolStatus.ok);
      await world.timers.sleep(100e6);
      await petal.kill(1);
      petal.start(2);
      await world.timers.sleep(200e6);
      t.deepEqual(inSyncOf(await petal.record(0)), [1], 'nobody goes on by themselves');
      const pair = new PairDirectory(directory, world, { pool: POOL, gmap: GMAP, group: 0 });
      const kept = { server: 2, incarnation: u32<Incarnation>(await incarnationOf(petal, 2)) };
      const act = { atMs: 1, operator: 'ada', reason: 'its disk has burnt' };
      const forced = (n: number) => forceIsr(kept, n, true);
      t.is((await pair.force(await pair.read(), act, forced)).kind, 'made');
      const values: number[] = [];
      const readAll = async (): Promise<number[]> => {
        const found: number[] = [];
        for (let i = 0; i < 6; i++) {
          t.is(await history.read(client, BLOCK + i), PoolStatus.ok);
          found.push(history.operations.at(-1)?.value ?? 0);
        }
        return found;
      };
      values.push(...(await readAll()));
      t.deepEqual(values, [1, 2, 3, 4, 0, 0]);
      petal.start(1);
      await petal.world.timers.sleep(400e6);
      t.deepEqual(inSyncOf(await petal.record(0)), [1, 2]);
      await petal.kill(2);
      t.deepEqual(await readAll(), values, `on disks: ${onDisks}`);
    });
  }
});

test('a member is back with more dirty blocks than a message takes: all of them are asked for, and replaced', async (t) => {
  const blocks = DIRTY_BLOCKS_MAX + 600;
  let pages = 0;
  await scenario(async (petal, history) => {
    const client = await petal.client('h0');
    await history.write(client, BLOCK);
    await petal.kill(1);
    t.is(await history.write(client, BLOCK), PoolStatus.ok);
    const disk = petal.disks.get(1) as MemoryDisk;
    const [known] = [...disk.blocks.values()];
    if (known === undefined) throw new Error('nothing was written');
    for (let i = 0; i < blocks; i++) {
      // Group 0 has the first of every four chunks.
      const block = BLOCK + 64 * Math.floor(i / 16) + (i % 16);
      const version = { term: 1 as Term, n: 1000 + i };
      disk.blocks.set(`1/0/1/1/${block}`, { ...known, block, version, dirty: true });
    }
    petal.net.spy((_from, _to, { message }) => {
      if (message.kind === 'probed' && message.dirty.length > 0) pages++;
    });
    petal.start(1);
    await becomesClean(petal, 60e9);
    t.is(differingCopies(petal), null);
    t.is([...disk.blocks.values()].filter(({ dirty }) => dirty).length, 0);
    for (const at of [0, 9001]) {
      const block = BLOCK + 64 * Math.floor(at / 16) + (at % 16);
      t.is(await history.read(client, block), PoolStatus.ok);
    }
  });
  t.is(pages, 2);
});

test('a member dies while it is brought up to date and is back at once: it has what was written meanwhile', async (t) => {
  for (let seed = 1; seed <= 3; seed++) {
    await scenario(
      async (petal, history) => {
        const client = await petal.client('h0');
        const other = await petal.client('h1');
        await petal.kill(1);
        for (let chunk = 0; chunk < 160; chunk++) {
          t.is(await history.write(client, BLOCK + 64 * chunk, 16), PoolStatus.ok);
        }
        petal.start(1);
        await petal.world.timers.sleep(60e6 + seed * 5e6);
        await petal.kill(1);
        petal.start(1);
        let isOver = false;
        const lanes = [client, other, client, other, client, other].map(async (pool, lane) => {
          while (!isOver) t.is(await history.write(pool, BLOCK + 64 * 170 + lane), PoolStatus.ok);
        });
        await becomesClean(petal, 2e9);
        await petal.kill(2);
        isOver = true;
        await Promise.all(lanes);
        for (let lane = 0; lane < 6; lane++) {
          t.is(await history.read(client, BLOCK + 64 * 170 + lane), PoolStatus.ok);
        }
      },
      seed,
      100e6,
    );
  }
});

test('a server starts on an older copy of its disks: it is refused before it serves anything', async (t) => {
  const story = scenario(async (petal) => {
    await petal.kill(2);
    petal.start(2);
    await becomesClean(petal, 1e9);
    await petal.kill(2);
    const disk = petal.disks.get(2);
    if (disk !== undefined) disk.incarnation = 1;
    petal.start(2);
    await petal.world.timers.sleep(1e9);
  });
  await t.throwsAsync(story, { message: /starts as incarnation 2, but has been 2: its disks are/ });
});

test('the directory does not say whether it has raised an incarnation: the server takes the next one', async (t) => {
  let skipped = 0;
  for (let seed = 1; seed <= 10; seed++) {
    await scenario(async (petal, history) => {
      const client = await petal.client('h0');
      await history.write(client, BLOCK);
      await petal.kill(2);
      petal.directory.set({ lostAnswers: 0.7 });
      petal.start(2);
      await petal.world.timers.sleep(300e6);
      petal.directory.set({ lostAnswers: 0 });
      await becomesClean(petal, 1e9);
      const life = petal.disks.get(2)?.incarnation ?? 0;
      t.is(await incarnationOf(petal, 2), life);
      if (life > 2) skipped++;
      t.is(await history.read(client, BLOCK), PoolStatus.ok);
    }, seed);
  }
  t.true(skipped > 0, 'an answer was lost');
});

/** What the servers say of themselves, and what the directory holds. */
async function seenBy(petal: SimPetal): Promise<Seen> {
  const pairs = [...petal.servers].flatMap(([server, one]) =>
    one.status().map(({ gmap, group, term, lastTerm }) => {
      const incarnation = u32<Incarnation>(petal.disks.get(server)?.incarnation ?? 0);
      const terms = { termSeen: u32<Term>(term), lastTerm: u32<Term>(lastTerm) };
      return { server, incarnation, gmap, group, ...terms };
    }),
  );
  const incarnations = new Map(
    [...petal.disks].map(([server, disk]) => [server, u32<Incarnation>(disk.incarnation)] as const),
  );
  const stores = [{ store: VDISK_NAME, session: petal.lastSession, fence: petal.lastSession }];
  const mapVersions = new Map([[VDISK, u32<MapVersion>(1)]]);
  return {
    pairs,
    stores,
    mapVersions,
    incarnations,
    lastServer: 4,
    lastGmap: 1,
    lastVdisk: 1,
    lastForced: 0,
  };
}

test('the directory came from a copy: nobody serves until it is mended, then all goes on with what was acknowledged', async (t) => {
  await scenario(async (petal, history) => {
    const { directory, world } = petal;
    const at = { pool: POOL, digest: world.digest };
    const client = await petal.client('h0');
    for (let i = 0; i < 64; i++) t.is(await history.write(client, BLOCK + i), PoolStatus.ok);
    const pool = () => stored(directory, poolKind, poolKey(POOL));
    const act = { atMs: 1, operator: 'ada', reason: 'its disks were lost' };
    await make(directory, beginRestore(at, await pool(), await seenBy(petal), act));
    await world.timers.sleep(FAST.leaseNs);
    const short = await petal.client('h1', { timeoutNs: 5e6, giveUpNs: 100e6 });
    t.is(await history.read(short, BLOCK), PoolStatus.ioError, 'nobody reads');
    t.is(await history.write(short, BLOCK + 1), PoolStatus.ioError, 'nobody writes');
    await petal.kill(2);
    await world.timers.sleep(100e6);
    t.is((await petal.record(0)).term as number, 1, 'nobody changes a pair');
    petal.start(2);
    while ((petal.servers.get(2)?.status() ?? []).length === 0) await world.timers.sleep(1e6);
    await world.timers.sleep(100e6);
    const groups = petal.map.servers.map((_, group) => pairKey(POOL, GMAP, group));
    const restored = {
      pool: await pool(),
      pairs: await Promise.all(groups.map((key) => stored(directory, pairKind, key))),
      servers: await Promise.all(
        petal.map.servers.map((server) => stored(directory, serverKind, serverKey(POOL, server))),
      ),
      vdisks: [await stored(directory, vdiskKind, vdiskKey(POOL, VDISK))],
      sessions: [...(await directory.list('next/')), ...(await directory.list('attach/'))],
    };
    t.is((await stored(directory, gmapKind, gmapKey(POOL, GMAP))).record.copies, 2);
    for (const txn of raiseAbove(at, restored, await seenBy(petal), false)) {
      await make(directory, txn);
    }
    await make(directory, endRestore(at, await pool()));
    await becomesClean(petal, 1e9);
    const next = await petal.client('h0');
    for (let i = 0; i < 64; i++) t.is(await history.read(next, BLOCK + i), PoolStatus.ok);
    t.is(await history.write(next, BLOCK), PoolStatus.ok);
    t.is(await history.write(client, BLOCK), PoolStatus.fenced, 'every attachment has ended');
  });
});
