/** Where images like these have lost data before: each hazard on purpose. */
import test from 'ava';
import { Policy } from '../../src/parallax/vdi/policy.ts';
import { SMALL_SIZES } from '../../src/parallax/vdi/sizes.ts';
import { DeviceStatus } from '../../src/world/block-device.ts';
import { EngineBench } from '../helpers/engine-bench.ts';
import { resealed } from '../helpers/golden.ts';

const OK = DeviceStatus.ok;
const same = (value: number, count: number): number[] => Array.from({ length: count }, () => value);

test('a snapshot taken among writes holds a prefix of them: all before it, none after it', async (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const bench = new EngineBench({ seed });
    await bench.run(async () => {
      await bench.create(['a'], 128);
      const life = await bench.start();
      const disk = await life.image('a');
      const write = (i: number): Promise<DeviceStatus> => disk.write(((i * 37) % 64) * 8, 8, 1 + i);
      for (let i = 0; i < 5; i++) await write(i);
      const among = Array.from({ length: 20 }, (_, i) => write(5 + i));
      if (seed % 2 === 0) disk.served.hurry(false);
      const taking = disk.served.snapshot('s', false);
      const beside = Array.from({ length: 20 }, (_, i) => write(25 + i));
      await taking;
      for (let i = 45; i < 60; i++) await write(i);
      await Promise.all([...among, ...beside]);
      const [snapshot] = (await disk.served.snapshots()).records;
      if (snapshot === undefined) throw new Error('the snapshot is not there');
      const spec = { name: 'b', sizeBlocks: 0, policy: Policy.w2, host: 'h0' };
      await life.engine.images.clone(disk.served.vdi.id, snapshot, spec);
      const clone = await life.image('b');
      const there: boolean[] = [];
      for (let i = 0; i < 60; i++) {
        const found = await clone.read(((i * 37) % 64) * 8, 8);
        there.push(typeof found !== 'number' && found.every((byte) => byte === 1 + i));
        t.deepEqual(await disk.read(((i * 37) % 64) * 8, 8), same(1 + i, 8));
      }
      const count = there.filter(Boolean).length;
      t.deepEqual(there, [...same(1, count), ...same(0, 60 - count)].map(Boolean), `seed ${seed}`);
      t.true(count >= 5 && count <= 45, `seed ${seed}: ${count} writes`);
    });
  }
});

test('a discard over a clone reads as zeros for ever, and its origin keeps the data', async (t) => {
  const bench = new EngineBench();
  await bench.run(async () => {
    await bench.create(['a'], 64);
    let life = await bench.start();
    const disk = await life.image('a');
    await disk.write(0, 64, 5);
    await disk.served.snapshot('s', false);
    const [snapshot] = (await disk.served.snapshots()).records;
    if (snapshot === undefined) throw new Error('the snapshot is not there');
    const spec = { name: 'b', sizeBlocks: 0, policy: Policy.w2, host: 'h0' };
    await life.engine.images.clone(disk.served.vdi.id, snapshot, spec);
    const clone = await life.image('b');
    t.is(await clone.discard(8, 16), OK);
    t.is(await clone.write(16, 8, 6), OK);
    const expected = [...same(5, 8), ...same(0, 8), ...same(6, 8), ...same(5, 40)];
    t.deepEqual(await clone.read(0, 64), expected);
    await clone.served.drain();
    t.deepEqual(await clone.read(0, 64), expected);
    await bench.kill(life);
    life = await bench.start();
    t.deepEqual(await (await life.image('b')).read(0, 64), expected);
    t.deepEqual(await (await life.image('a')).read(0, 64), same(5, 64));
  });
});

test('a block that is written again while it is being published keeps the newer value', async (t) => {
  for (let seed = 1; seed <= 8; seed++) {
    const bench = new EngineBench({ seed });
    await bench.run(async () => {
      await bench.create(['a'], 64);
      const life = await bench.start();
      const disk = await life.image('a');
      for (let round = 0; round < 20; round++) {
        await disk.write(0, 16, 2 * round + 1);
        const draining = disk.served.drain();
        await life.world.timers.sleep(round * 100_000);
        await disk.write(3, 8, 2 * round + 2);
        const expected = [
          ...same(2 * round + 1, 3),
          ...same(2 * round + 2, 8),
          ...same(2 * round + 1, 5),
        ];
        t.deepEqual(await disk.read(0, 16), expected, `seed ${seed}, round ${round}`);
        await draining;
        t.deepEqual(await disk.read(0, 16), expected, `seed ${seed}, round ${round}`);
      }
      await bench.powerCut(life);
      const after = await (await bench.start()).image('a');
      t.deepEqual(await after.read(0, 16), [...same(39, 3), ...same(40, 8), ...same(39, 5)]);
    });
  }
});

test('more is written than may be dirty: writes wait and none fails, and the cap holds', async (t) => {
  const bench = new EngineBench();
  await bench.run(async () => {
    await bench.create(['a'], 4096);
    const life = await bench.start();
    const disk = await life.image('a');
    bench.directory.setHealth('down');
    let answered = 0;
    const writing = Array.from({ length: 200 }, (_, i) =>
      disk.write(i * 32, 32, 1 + i).then((status) => {
        answered++;
        return status;
      }),
    );
    await life.world.timers.sleep(3e9);
    const { dirtyBytes, trouble } = disk.served.status();
    t.true(answered < 200 && answered > 0, `${answered} answered while nothing is published`);
    t.true(dirtyBytes <= SMALL_SIZES.dirtyCapBytes, `${dirtyBytes} bytes dirty`);
    t.not(trouble, null, 'an operator is told what it waits for');
    bench.directory.setHealth('up');
    t.deepEqual(await Promise.all(writing), same(OK, 200));
    await disk.served.drain();
    for (let i = 0; i < 200; i++) t.deepEqual(await disk.read(i * 32, 32), same(1 + i, 32));
  });
});

test('an image whose root block is damaged or of a newer version is not started, the others are', async (t) => {
  const changes = [
    {
      code: 'E_ROOT_DAMAGED',
      message: /image 1 is damaged/,
      changed: (bytes: Uint8Array) => bytes,
    },
    { code: 'E_FORMAT_NEWER', message: /version 3, newer.*update stordom/, changed: resealed },
  ];
  for (const { code, message, changed } of changes) {
    const bench = new EngineBench();
    await bench.run(async () => {
      await bench.create(['a', 'b'], 64);
      const before = await bench.start();
      await (await before.image('b')).write(0, 8, 7);
      await before.engine.close();
      await bench.kill(before);
      const { images, pool } = await bench.look();
      const { data, version } = await pool.readConditional(1);
      data[4] = 3;
      await pool.writeIf(1, version, changed(data));
      const life = await bench.start();
      t.deepEqual(await (await life.image('b')).read(0, 8), same(7, 8));
      await t.throwsAsync(life.image('a'), { code, message });
      await t.throwsAsync(images.read(1), { code });
      await pool.close();
    });
  }
});
