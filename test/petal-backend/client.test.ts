/** What a client does beside asking: a second copy, another map, less at a time. */
import test from 'ava';
import { vdiskKey } from '../../src/petal-backend/directory/keys.ts';
import { findVdisk } from '../../src/petal-backend/directory/pool-setup.ts';
import { encodeRecord, vdiskKind } from '../../src/petal-backend/directory/records.ts';
import { PetalStatus } from '../../src/petal-backend/wire/messages.ts';
import { EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { History } from './petal-workload.ts';
import { POOL, SimPetal, VDISK, VDISK_NAME } from './sim-petal.ts';

const BLOCK = EXTENT_BLOCKS;

test('a server becomes slow: reads are asked of the other copy as well, a bounded share of them', async (t) => {
  const petal = new SimPetal({ seed: 1, servers: 4 });
  await petal.run(async () => {
    await petal.create();
    const history = new History(petal.world);
    const pool = await petal.client('h0');
    await history.write(pool, BLOCK);
    for (let i = 0; i < 300; i++) await history.read(pool, BLOCK);
    const before = pool.hedged;
    t.true(before <= 0.05 * 300 + 1, `${before} of 300 quick reads were asked twice`);
    // Slower than anything, and sooner than the time-out.
    petal.disturb('s1', { latencyNs: 5e6 });
    let slowest = 0;
    for (let i = 0; i < 4; i++) {
      const beganNs = petal.world.clock.nowNs();
      t.is(await history.read(pool, BLOCK), PoolStatus.ok);
      slowest = Math.max(slowest, petal.world.clock.nowNs() - beganNs);
    }
    t.true(slowest < 5e6, `${slowest / 1e6} ms`);
    for (let i = 0; i < 196; i++) await history.read(pool, BLOCK);
    t.true(pool.hedged > before);
    t.true(pool.hedged <= 0.05 * 500 + 4, `${pool.hedged} of 500 reads were asked twice`);
    t.is(history.conflict(), null);
  });
});

test('the map has another version than the client knows: the client looks again, and goes on', async (t) => {
  const petal = new SimPetal({ seed: 1, servers: 4 });
  await petal.run(async () => {
    await petal.create();
    const history = new History(petal.world);
    const pool = await petal.client('h0');
    await history.write(pool, BLOCK);
    const { vdisk } = await findVdisk(petal.directory, petal.world.digest, POOL, VDISK_NAME);
    const next = { ...vdisk, mapVersion: (vdisk.mapVersion + 1) as typeof vdisk.mapVersion };
    const value = encodeRecord(petal.world.digest, vdiskKind, next);
    await petal.directory.txn([], [{ key: vdiskKey(POOL, VDISK), value }]);
    await petal.world.timers.sleep(100e6);
    t.is(await history.read(pool, BLOCK), PoolStatus.ok);
    t.is(await history.write(pool, BLOCK), PoolStatus.ok);
    t.is(history.conflict(), null);
  });
});

test('more is asked of a server than it takes at a time: it says busy, and all of it is done', async (t) => {
  const petal = new SimPetal({ seed: 1, servers: 4, queueMax: 4 });
  await petal.run(async () => {
    await petal.create();
    const history = new History(petal.world);
    const pool = await petal.client('h0');
    let busy = 0;
    petal.net.spy((_from, _to, { message }) => {
      if (message.kind === 'reply' && message.status === PetalStatus.busy) busy++;
    });
    const writing = Array.from({ length: 64 }, (_, i) => history.write(pool, BLOCK + i));
    t.deepEqual(new Set(await Promise.all(writing)), new Set([PoolStatus.ok]));
    t.true(busy > 0);
    t.is(history.conflict(), null);
  });
});
