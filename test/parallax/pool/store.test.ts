/** Making and opening stores, attaching and detaching: what is refused, and in which words. */
import test from 'ava';
import { isDamage } from '../../../src/base/formats/sealed.ts';
import { encodePoolLabel } from '../../../src/parallax/formats/pool-label.ts';
import { decodeSuperblock, encodeSuperblock } from '../../../src/parallax/formats/superblock.ts';
import { attach, detach, stillAttached } from '../../../src/parallax/pool/attach.ts';
import { ConditionalBlocks } from '../../../src/parallax/pool/conditional-blocks.ts';
import {
  createEmbeddedStore,
  openEmbeddedStore,
} from '../../../src/parallax/pool/embedded-store.ts';
import { conditionalKey } from '../../../src/parallax/pool/keys.ts';
import { openStore } from '../../../src/parallax/pool/store.ts';
import { BLOCK_BYTES, EXTENT_BLOCKS } from '../../../src/world/block-pool.ts';
import { diskCall } from '../../../src/world/disk-story.ts';
import { resealed } from '../../helpers/golden.ts';
import { FACTS, type SimPoolBench, simPoolBench, UUID } from './pool-bench.ts';

/** Puts a changed superblock where the store's is. */
async function changeSuperblock(
  bench: SimPoolBench,
  change: (bytes: Uint8Array) => Uint8Array,
): Promise<void> {
  const { directory, world } = bench;
  const conditional = new ConditionalBlocks(directory, world.digest, 'main', null);
  const { version, data } = await conditional.readConditional(0);
  await conditional.writeIf(0, version, change(data));
}

test('a store that was created is opened with what it was created with', async (t) => {
  const bench = simPoolBench(1);
  await bench.run(async () => {
    const missing = openEmbeddedStore(bench.world, bench.place, null);
    await t.throwsAsync(missing, {
      code: 'E_STORE_MISSING',
      message: /"main" is not there: create/,
    });
    await bench.create();
    const { pool, superblock } = await openEmbeddedStore(bench.world, bench.place, null);
    t.is(pool.sizeBlocks, FACTS.sizeBlocks);
    t.deepEqual(superblock.uuid, UUID);
    t.is(superblock.createdMs, FACTS.createdMs);
    t.is(superblock.state, 'ready');
    await pool.close();
    await t.throwsAsync(bench.create(), { code: 'E_STORE_EXISTS' });
  });
});

test('sizes and names that cannot be are refused, and nothing is made', async (t) => {
  const bench = simPoolBench(1);
  await bench.run(async () => {
    for (const sizeBlocks of [EXTENT_BLOCKS, 2 * EXTENT_BLOCKS + 1, 0, -EXTENT_BLOCKS]) {
      const bad = createEmbeddedStore(bench.world, bench.place, { ...FACTS, sizeBlocks });
      await t.throwsAsync(bad, { code: 'E_STORE_SIZE', message: /multiple of 64 MiB/ });
    }
    for (const store of ['', 'a/b', '.hidden', 'x'.repeat(65)]) {
      const bad = createEmbeddedStore(bench.world, { ...bench.place, store }, FACTS);
      await t.throwsAsync(bad, { code: 'E_STORE_NAME' });
    }
    t.deepEqual(bench.directory.entries(), []);
    t.deepEqual(bench.poolHost.diskNames(), []);
  });
});

test('a creation that stopped half way is no store, and goes on when it is tried again', async (t) => {
  const seen = new Set<string>();
  for (let seed = 1; seed <= 40; seed++) {
    const bench = simPoolBench(seed);
    const { simulator, poolHost, world, place } = bench;
    await bench.run(async () => {
      const host = simulator.host('h0');
      const dyingWorld = simulator.toolstackWorld('creator', host);
      const creating = createEmbeddedStore(dyingWorld, place, FACTS).catch(() => null);
      await Promise.race([creating, world.timers.sleep(seed * 150_000)]);
      poolHost.powerCut();
      bench.directory.setHealth('down');
      await creating;
      bench.directory.setHealth('up');
      const other = { ...FACTS, uuid: new Uint8Array(16).fill(7) };
      const again = await createEmbeddedStore(world, place, other).then(
        () => 'created',
        (thrown: { readonly code: string }) => thrown.code,
      );
      seen.add(again);
      const { pool } = await openEmbeddedStore(world, place, null);
      await pool.close();
    });
  }
  t.deepEqual([...seen].sort(), ['E_STORE_EXISTS', 'created']);
});

test('a superblock of a newer version, with damage, or half made is refused by what is wrong', async (t) => {
  const cases: readonly [string, RegExp, (bytes: Uint8Array) => Uint8Array][] = [
    [
      'E_STORE_VERSION',
      /version 2, newer than version 1.*newer release/,
      (bytes) => {
        bytes[4] = 2;
        return resealed(bytes);
      },
    ],
    [
      'E_STORE_DAMAGED',
      /checksum/,
      (bytes) => {
        bytes[300] = 1;
        return bytes;
      },
    ],
    ['E_STORE_DAMAGED', /magic/, () => new Uint8Array(BLOCK_BYTES)],
  ];
  for (const [code, message, change] of cases) {
    const bench = simPoolBench(1);
    await bench.run(async () => {
      await bench.create();
      await changeSuperblock(bench, change);
      await t.throwsAsync(openEmbeddedStore(bench.world, bench.place, null), { code, message });
    });
  }
  const bench = simPoolBench(1);
  const { digest } = bench.world;
  await bench.run(async () => {
    await bench.create();
    const remake =
      (changes: object) =>
      (bytes: Uint8Array): Uint8Array => {
        const superblock = decodeSuperblock(digest, bytes);
        if (isDamage(superblock)) throw new Error(superblock.problem);
        return encodeSuperblock(digest, { ...superblock, ...changes });
      };
    const open = (): Promise<unknown> => openEmbeddedStore(bench.world, bench.place, null);
    await changeSuperblock(bench, remake({ state: 'creating' }));
    await t.throwsAsync(open(), { code: 'E_STORE_UNFINISHED', message: /create it again/ });
    const formats = { root: 1, node: 3, extentMap: 1, record: 1 };
    await changeSuperblock(bench, remake({ state: 'ready', formats }));
    await t.throwsAsync(open(), {
      code: 'E_STORE_VERSION',
      message: /version 3 of its node format/,
    });
  });
});

test('a directory and a file that do not belong together are refused', async (t) => {
  const bench = simPoolBench(1);
  await bench.run(async () => {
    await bench.create();
    const { world, place, directory } = bench;
    const open = (): Promise<unknown> => openEmbeddedStore(world, place, null);
    const disk = await world.poolDisks.open('blocks', { writable: true });
    const other = { uuid: new Uint8Array(16).fill(1), sizeBlocks: FACTS.sizeBlocks };
    await diskCall(disk, 'write', 0, encodePoolLabel(world.digest, other));
    const message = /a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf, but 01010101-/;
    await t.throwsAsync(open(), { code: 'E_STORE_OTHER', message });
    await diskCall(disk, 'write', 0, new Uint8Array(BLOCK_BYTES));
    await t.throwsAsync(open(), { code: 'E_STORE_DAMAGED', message: /"blocks" is no pool/ });
    await disk.resize(3 * EXTENT_BLOCKS * BLOCK_BYTES);
    await t.throwsAsync(open(), { code: 'E_STORE_DAMAGED', message: /cut off/ });
    await disk.close();
    await world.poolDisks.remove('blocks');
    await t.throwsAsync(open(), { code: 'E_DISK_MISSING' });
    const conditional = new ConditionalBlocks(directory, world.digest, 'main', null);
    const expected = new Uint8Array(16);
    await t.throwsAsync(openStore(conditional, world.digest, 'main', expected), {
      code: 'E_STORE_OTHER',
    });
  });
});

test('a conditional block that is damaged in the directory is an error, never other data', async (t) => {
  const bench = simPoolBench(1);
  await bench.run(async () => {
    await bench.create();
    const { pool } = await bench.attached('h0');
    await pool.writeIf(4, 0, new Uint8Array(BLOCK_BYTES).fill(1));
    const key = conditionalKey('main', 4);
    const value = (await bench.directory.get(key))?.value.slice() as Uint8Array;
    value[1000] = 2;
    await bench.directory.txn([], [{ key, value }]);
    const damaged = { code: 'E_POOL_DAMAGED', message: /block 4 of store main.*checksum/ };
    await t.throwsAsync(pool.readConditional(4), damaged);
    await t.throwsAsync(pool.writeIf(4, 1, new Uint8Array(BLOCK_BYTES)), damaged);
  });
});

test('each attachment has a session and a fence of its own, whoever attaches at the same time', async (t) => {
  const bench = simPoolBench(1);
  const { directory, world } = bench;
  await bench.run(async () => {
    const attachAs = (host: string) => attach(directory, world.digest, 'main', host);
    const hosts = Array.from({ length: 12 }, (_, i) => `h${i % 4}`);
    const all = await Promise.allSettled(hosts.map(attachAs));
    const sessions = new Set<number>();
    for (const outcome of all) {
      if (outcome.status === 'fulfilled') sessions.add(outcome.value.session);
      else t.is((outcome.reason as { readonly code: string }).code, 'E_FENCED');
    }
    const made = all.filter(({ status }) => status === 'fulfilled').length;
    t.is(sessions.size, made);
    const later = await attachAs('h0');
    t.true(later.session > Math.max(...sessions));
    let holding = 0;
    for (const outcome of all) {
      if (outcome.status !== 'fulfilled') continue;
      if (await directory.txn([stillAttached(outcome.value)], [])) holding++;
    }
    t.true(await directory.txn([stillAttached(later)], []));
    t.true(holding <= 3, 'of each other host at most one attachment holds');
  });
});

test('who has detached is fenced, and one that was fenced ends nobody else’s attachment', async (t) => {
  const bench = simPoolBench(1);
  const { directory, world } = bench;
  await bench.run(async () => {
    const older = await attach(directory, world.digest, 'main', 'h0');
    const newer = await attach(directory, world.digest, 'main', 'h0');
    await detach(directory, older);
    t.true(await directory.txn([stillAttached(newer)], []));
    await detach(directory, newer);
    t.false(await directory.txn([stillAttached(newer)], []));
    const third = await attach(directory, world.digest, 'main', 'h0');
    t.true(third.session > newer.session && third.fence > newer.fence);
  });
});

test('an attachment of unknown outcome is tried again, and its number is not given twice', async (t) => {
  const bench = simPoolBench(5);
  const { directory, world } = bench;
  directory.set({ lostAnswers: 0.5 });
  await bench.run(async () => {
    const sessions: number[] = [];
    for (let tries = 0; sessions.length < 20 && tries < 200; tries++) {
      try {
        sessions.push((await attach(directory, world.digest, 'main', 'h0')).session);
      } catch (thrown) {
        t.is((thrown as { readonly code: string }).code, 'E_DIRECTORY');
      }
    }
    t.is(sessions.length, 20);
    t.true(sessions.every((session, at) => at === 0 || session > (sessions[at - 1] as number)));
  });
});
