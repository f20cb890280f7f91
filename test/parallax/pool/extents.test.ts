/** Allocation in extents: contiguity, a clean end, and no block twice over crashes and zombies. */
import test from 'ava';
import { isDamage } from '../../../src/base/formats/sealed.ts';
import type { Prng } from '../../../src/base/prng.ts';
import { decodeExtentRecord } from '../../../src/parallax/formats/directory-records.ts';
import {
  decodeExtentMap,
  EXTENT_DATA_BLOCKS,
  MAP_BLOCKS,
  MAP_COPY_BYTES,
} from '../../../src/parallax/formats/extent-map.ts';
import { attach, detach } from '../../../src/parallax/pool/attach.ts';
import { openEmbeddedStore } from '../../../src/parallax/pool/embedded-store.ts';
import { ExtentAllocator } from '../../../src/parallax/pool/extents.ts';
import { poolCall } from '../../../src/parallax/story-io.ts';
import type { ActorHandle } from '../../../src/world/actor.ts';
import { BLOCK_BYTES, EXTENT_BLOCKS } from '../../../src/world/block-pool.ts';
import { DirectoryClient } from '../../../src/world/directory-client.ts';
import { DirectoryServer } from '../../../src/world/directory-server.ts';
import { CRASH_POINTS } from '../../../src/world/faults.ts';
import { DiskOp } from '../../../src/world/sim/disk-timing.ts';
import { DiskStatus, type World } from '../../../src/world/world.ts';
import { scripted } from '../../world/sim/helper-actors.ts';
import { type Attached, guardOf, type SimPoolBench, simPoolBench, UUID } from './pool-bench.ts';

interface Run {
  readonly first: number;
  readonly blocks: number;
}

function allocatorOf(
  bench: SimPoolBench,
  { pool, guard }: Attached,
  reserveBlocks: number = 100,
): Promise<ExtentAllocator> {
  const { world, directory } = bench;
  return ExtentAllocator.open({ world, directory, pool, guard, uuid: UUID, reserveBlocks });
}

async function runsOf(allocator: ExtentAllocator, count: number): Promise<Run[]> {
  const runs: Run[] = [];
  await allocator.allocate(count, (first, blocks) => runs.push({ first, blocks }));
  return runs;
}

/** Tells apart blocks that were handed out before from new ones. */
class Ledger {
  readonly #owners = new Map<number, string>();

  get blocks(): number {
    return this.#owners.size;
  }

  hand(owner: string, first: number, blocks: number): void {
    for (let block = first; block < first + blocks; block++) {
      const before = this.#owners.get(block);
      if (before !== undefined) throw new Error(`block ${block}: ${owner} has what ${before} had`);
      if (block % EXTENT_BLOCKS < MAP_BLOCKS || block < EXTENT_BLOCKS) {
        throw new Error(`block ${block} is none to be allocated`);
      }
      this.#owners.set(block, owner);
    }
  }
}

async function statesOf(bench: SimPoolBench): Promise<Record<string, string>> {
  const states: Record<string, string> = {};
  for (const { key, value } of bench.directory.entries()) {
    if (!key.startsWith('ext/')) continue;
    const record = decodeExtentRecord(bench.world.digest, value);
    states[key.slice(9)] = isDamage(record) ? record.problem : record.state;
  }
  return states;
}

test('blocks come in one run wherever an extent has it, and else in the fewest there can be', async (t) => {
  const bench = simPoolBench(1);
  await bench.run(async () => {
    await bench.create();
    const allocator = await allocatorOf(bench, await bench.attached('h0'));
    t.deepEqual(await runsOf(allocator, 1000), [
      { first: EXTENT_BLOCKS + MAP_BLOCKS, blocks: 1000 },
    ]);
    t.is((await runsOf(allocator, EXTENT_DATA_BLOCKS - 1500)).length, 1);
    const inTheNext = 2 * EXTENT_BLOCKS + MAP_BLOCKS;
    t.deepEqual(await runsOf(allocator, 501), [{ first: inTheNext, blocks: 501 }]);
    t.deepEqual(await runsOf(allocator, 500), [{ first: 2 * EXTENT_BLOCKS - 500, blocks: 500 }]);
    const left = EXTENT_DATA_BLOCKS - 501;
    t.deepEqual(await runsOf(allocator, left - 50), [
      { first: inTheNext + 501, blocks: left - 50 },
    ]);
    await bench.world.timers.sleep(50e6);
    // 50 blocks are left here, and a whole extent was claimed ahead.
    const across = await runsOf(allocator, EXTENT_DATA_BLOCKS + 20);
    t.deepEqual(
      across.map(({ blocks }) => blocks),
      [EXTENT_DATA_BLOCKS, 20],
    );
    t.deepEqual(allocator.stats(), {
      extents: 3,
      openExtents: 1,
      allocatedBlocks: 3 * EXTENT_DATA_BLOCKS - 30,
      freeBlocks: 30,
      supersededPrivate: 0,
      supersededShared: 0,
    });
    allocator.superseded(EXTENT_BLOCKS + 10, false);
    allocator.superseded(EXTENT_BLOCKS + 11, true);
    t.is(allocator.stats().supersededPrivate + allocator.stats().supersededShared, 2);
  });
});

test('the next extent is claimed ahead, so that allocation does not wait for the directory', async (t) => {
  const bench = simPoolBench(1);
  await bench.run(async () => {
    await bench.create();
    const allocator = await allocatorOf(bench, await bench.attached('h0'), 2000);
    await runsOf(allocator, EXTENT_DATA_BLOCKS - 1000);
    await bench.world.timers.sleep(50e6);
    bench.directory.setHealth('down');
    const beforeNs = bench.world.clock.nowNs();
    await runsOf(allocator, 1500);
    t.is(bench.world.clock.nowNs(), beforeNs);
    const short = runsOf(allocator, EXTENT_DATA_BLOCKS);
    await t.throwsAsync(short, { code: 'E_DIRECTORY' });
    t.is(
      allocator.stats().allocatedBlocks,
      EXTENT_DATA_BLOCKS + 500,
      'a refusal hands out nothing',
    );
  });
});

test('a full pool is said to be full, and what is left can still be had', async (t) => {
  const bench = simPoolBench(1);
  await bench.run(async () => {
    await bench.create();
    const allocator = await allocatorOf(bench, await bench.attached('h0'));
    const ledger = new Ledger();
    const hand = (first: number, blocks: number): void => ledger.hand('h0', first, blocks);
    const all = 4 * EXTENT_DATA_BLOCKS;
    await allocator.allocate(all - 10, hand);
    const refused = allocator.allocate(11, hand);
    await t.throwsAsync(refused, {
      code: 'E_POOL_FULL',
      message: /store main is full.* 4 extents/,
    });
    await allocator.allocate(10, hand);
    t.is(ledger.blocks, all);
    await t.throwsAsync(allocator.allocate(1, hand), { code: 'E_POOL_FULL' });
    await allocator.close();
    t.deepEqual(await statesOf(bench), { 1: 'full', 2: 'full', 3: 'full', 4: 'full' });
  });
});

test('after a clean end the next session goes on in the same extent, after a crash it does not', async (t) => {
  const bench = simPoolBench(1);
  await bench.run(async () => {
    await bench.create();
    const first = await bench.attached('h0');
    const one = await allocatorOf(bench, first);
    const [run] = await runsOf(one, 3000);
    await one.markShared(run?.first as number);
    await one.close();
    await detach(bench.directory, first.attachment);
    t.deepEqual(await statesOf(bench), { 1: 'partial' });

    const two = await allocatorOf(bench, await bench.attached('h1'));
    t.deepEqual(await runsOf(two, 5), [{ first: (run?.first as number) + 3000, blocks: 5 }]);

    const three = await allocatorOf(bench, await bench.attached('h1'));
    t.deepEqual(await statesOf(bench), { 1: 'closed' });
    t.deepEqual(await runsOf(three, 5), [{ first: 2 * EXTENT_BLOCKS + MAP_BLOCKS, blocks: 5 }]);
    await runsOf(three, EXTENT_DATA_BLOCKS - 6);
    await bench.world.timers.sleep(50e6);
    t.deepEqual(await statesOf(bench), { 1: 'closed', 2: 'open', 3: 'open' });
    await three.close();
    const states = await statesOf(bench);
    t.deepEqual(
      states,
      { 1: 'closed', 2: 'partial' },
      'one that was never used is given back whole',
    );
  });
});

test('an extent with a write of unknown outcome is closed, and stays closed after a clean end', async (t) => {
  const bench = simPoolBench(1);
  await bench.run(async () => {
    await bench.create();
    const allocator = await allocatorOf(bench, await bench.attached('h0'));
    const [run] = await runsOf(allocator, 10);
    allocator.closeExtentOf(run?.first as number);
    allocator.closeExtentOf(run?.first as number);
    const [next] = await runsOf(allocator, 10);
    t.is(Math.floor((next?.first as number) / EXTENT_BLOCKS), 2);
    await allocator.close();
    t.deepEqual(await statesOf(bench), { 1: 'closed', 2: 'partial' });
  });
});

test('what is marked shared is in the map on the disk when that is said to be done', async (t) => {
  const bench = simPoolBench(3);
  await bench.run(async () => {
    await bench.create();
    const attached = await bench.attached('h0');
    const allocator = await allocatorOf(bench, attached);
    const [run] = await runsOf(allocator, 40);
    const first = run?.first as number;
    await Promise.all([1, 5, 9, 5].map((at) => allocator.markShared(first + at)));
    bench.poolHost.powerCut();
    const { pool } = await bench.attached('h1');
    let newest: Uint8Array | null = null;
    let sequence = 0;
    for (const copy of [0, 1]) {
      const bytes = new Uint8Array(MAP_COPY_BYTES);
      await poolCall(pool, 'read', EXTENT_BLOCKS + 2 * copy, bytes);
      const map = decodeExtentMap(bench.world.digest, bytes, UUID, 1);
      if (isDamage(map) || map.sequence < sequence) continue;
      sequence = map.sequence;
      newest = map.states;
    }
    t.deepEqual([...(newest as Uint8Array).subarray(0, 3)], [0b01011001, 0b01011001, 0b01011001]);
    t.is(newest?.[10], 0);
  });
});

test('a map that is torn at the end leaves an extent that nobody goes on in by an older map', async (t) => {
  for (const torn of [0, 1, 2]) {
    const bench = simPoolBench(4);
    await bench.run(async () => {
      await bench.create();
      const first = await bench.attached('h0');
      const one = await allocatorOf(bench, first);
      const [run] = await runsOf(one, 30);
      await one.markShared(run?.first as number);
      // The last map has as many free blocks as the one before it: only its sequence tells.
      await one.close();
      await detach(bench.directory, first.attachment);
      // The first map went to copy A, the last one to copy B.
      const copies = torn === 2 ? [0, 1] : [torn];
      for (const copy of copies) {
        const at = (EXTENT_BLOCKS + 2 * copy) * BLOCK_BYTES;
        bench.disk().rot(at + 40, 1);
      }
      const two = await allocatorOf(bench, await bench.attached('h0'));
      const [next] = await runsOf(two, 5);
      const extent = Math.floor((next?.first as number) / EXTENT_BLOCKS);
      t.is(extent, torn === 0 ? 1 : 2, `copy ${torn} torn`);
      if (torn === 0) t.is(next?.first, (run?.first as number) + 30);
      else t.is((await statesOf(bench))['1'], 'closed');
    });
  }
});

test('a map that cannot be written keeps its extent out of use', async (t) => {
  const bench = simPoolBench(1);
  await bench.run(async () => {
    await bench.create();
    const allocator = await allocatorOf(bench, await bench.attached('h0'));
    const [run] = await runsOf(allocator, 10);
    const rule = { fault: { kind: 'error', status: DiskStatus.ioError } as const };
    const heal = bench.disk().faults.add({ ...rule, ops: [DiskOp.write] });
    const marked = allocator.markShared(run?.first as number);
    await t.throwsAsync(marked, { code: 'E_POOL_IO', message: /extent 1/ });
    await t.throwsAsync(allocator.close(), { code: 'E_POOL_IO' });
    heal();
    t.deepEqual(await statesOf(bench), { 1: 'open' });
    await allocatorOf(bench, await bench.attached('h0'));
    t.deepEqual(await statesOf(bench), { 1: 'closed' });
  });
});

test('a fenced session claims and gives back nothing, and its blocks are nobody else’s', async (t) => {
  const bench = simPoolBench(1);
  bench.directory.set({ lostHints: 1 });
  await bench.run(async () => {
    await bench.create();
    const ledger = new Ledger();
    const zombie = await allocatorOf(bench, await bench.attached('h0'));
    await zombie.allocate(100, (first, blocks) => ledger.hand('zombie', first, blocks));
    const successor = await allocatorOf(bench, await bench.attached('h0'));
    await zombie.allocate(5000, (first, blocks) => ledger.hand('zombie', first, blocks));
    await successor.allocate(9000, (first, blocks) => ledger.hand('successor', first, blocks));
    const more = zombie.allocate(EXTENT_DATA_BLOCKS, () => t.fail('nothing is handed out'));
    await t.throwsAsync(more, { code: 'E_FENCED' });
    await t.throwsAsync(zombie.close(), { code: 'E_FENCED' });
    t.deepEqual(await statesOf(bench), { 1: 'closed', 2: 'open' });
  });
});

test('a claim whose answer is lost is taken up, and costs no extent', async (t) => {
  const seen = { lost: 0 };
  for (let seed = 1; seed <= 8; seed++) {
    const bench = simPoolBench(seed);
    await bench.run(async () => {
      await bench.create();
      const allocator = await allocatorOf(bench, await bench.attached('h0'));
      const ledger = new Ledger();
      bench.directory.set({ lostAnswers: 0.5 });
      for (let i = 0; i < 4; ) {
        try {
          await allocator.allocate(EXTENT_DATA_BLOCKS, (first, blocks) => {
            ledger.hand('h0', first, blocks);
          });
          i++;
        } catch (thrown) {
          t.is((thrown as { readonly code: string }).code, 'E_DIRECTORY');
          seen.lost++;
        }
      }
      t.is(allocator.stats().extents, 4);
    });
  }
  t.true(seen.lost > 8);
});

/** One life of a host: attaches, allocates, now and then ends cleanly and begins again. */
async function liveAs(
  host: string,
  world: World,
  ledger: Ledger,
  random: Prng,
  rounds: number,
): Promise<void> {
  const link = world.net.link('directory');
  const directory = new DirectoryClient(link, world, { timeoutNs: 20e6 });
  const place = { store: 'main', directory, diskName: 'blocks' };
  for (let round = 0; round < rounds; round++) {
    const attachment = await attach(directory, world.digest, 'main', host);
    const guard = guardOf(world, directory, attachment);
    const owner = `${world.name} session ${attachment.session}`;
    const { pool, superblock } = await openEmbeddedStore(world, place, guard);
    const parts = { world, directory, pool, guard, uuid: superblock.uuid, reserveBlocks: 200 };
    const allocator = await ExtentAllocator.open(parts);
    for (let i = random.between(1, 12); i > 0; i--) {
      const count = random.chance(0.12) ? random.between(3000, 9000) : random.between(1, 400);
      let some = 0;
      await allocator.allocate(count, (first, blocks) => {
        ledger.hand(owner, first, blocks);
        some = first;
      });
      if (random.chance(0.3)) await allocator.markShared(some);
      if (random.chance(0.05)) allocator.closeExtentOf(some);
      await world.timers.sleep(random.between(0, 2_000_000));
    }
    await allocator.close();
    guard.close();
    await pool.close();
    await detach(directory, attachment);
  }
}

const CRASH_POINTS_HERE = CRASH_POINTS.filter((name) => name.startsWith('extent.'));
const EXPECTED = ['E_FENCED', 'E_POOL_FULL', 'E_DIRECTORY', 'E_POOL_IO', 'E_ATTACH_CONTENTION'];

test('no block is handed out twice, whoever is killed when, cut off, or goes on as a zombie', async (t) => {
  const seen = { killed: 0, finished: 0, refused: 0, blocks: 0 };
  for (let seed = 1; seed <= 50; seed++) {
    const bench = simPoolBench(seed, 50);
    const random = bench.world.random.fork('plan');
    const ledger = new Ledger();
    const { simulator } = bench;
    const server = new DirectoryServer(bench.directory);
    let lives = 0;
    const live = (host: string): ActorHandle => {
      const name = `${host}-${++lives}`;
      const draws = random.fork(name);
      const factories = scripted((world) => {
        let over = false;
        const start = async (): Promise<void> => {
          try {
            await liveAs(host, world, ledger, draws, 4);
          } catch (thrown) {
            const code = (thrown as { readonly code?: string }).code ?? '';
            if (!EXPECTED.includes(code)) throw thrown;
            seen.refused++;
          }
          over = true;
        };
        return { start, finished: () => over };
      });
      const handle = simulator.spawner(factories).spawn({
        kind: 'guest',
        name,
        host: 'h0',
        bellAddress: 4096 + 64 * lives,
        links: ['directory'],
        config: null,
      });
      const link = handle.links.get('directory');
      if (link !== undefined) server.serve(link);
      if (random.chance(0.3)) {
        simulator.armCrashPoint(name, random.pick(CRASH_POINTS_HERE), random.between(1, 4));
      }
      if (random.chance(0.7)) simulator.armKillAtEvent(name, random.between(2, 300));
      void handle.exited.then(({ reason }) => {
        if (reason === 'killed') seen.killed++;
        else seen.finished++;
      });
      return handle;
    };
    try {
      await bench.run(async () => {
        await bench.create();
        bench.directory.set({ lostAnswers: random.pick([0, 0, 0.1]), lostHints: 0.5 });
        const exits: Promise<unknown>[] = [];
        for (let i = 0; i < 8; i++) {
          const { exited } = live(random.pick(['hA', 'hB']));
          exits.push(exited);
          // Either the next one comes after this one's end, or finds it alive: a zombie then.
          if (random.chance(0.5)) await exited;
          else await bench.world.timers.sleep(random.between(1e6, 120e6));
          if (random.chance(0.2)) bench.poolHost.powerCut();
          if (random.chance(0.1)) {
            bench.directory.setHealth('no-majority');
            await bench.world.timers.sleep(30e6);
            bench.directory.setHealth('up');
          }
        }
        await Promise.all(exits);
      });
    } catch (thrown) {
      throw new Error(`seed ${seed}: ${String(thrown)}`, { cause: thrown });
    }
    seen.blocks += ledger.blocks;
  }
  t.log(JSON.stringify(seen));
  t.true(seen.killed > 60 && seen.finished > 60 && seen.refused > 20 && seen.blocks > 500_000);
});
