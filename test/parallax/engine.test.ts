import test from 'ava';
import { Policy } from '../../src/parallax/vdi/policy.ts';
import { DeviceStatus } from '../../src/world/block-device.ts';
import { EngineBench } from '../helpers/engine-bench.ts';

const OK = DeviceStatus.ok;
const same = (value: number, count: number): number[] => Array.from({ length: count }, () => value);

test('what was written is read back from memory, from the log, and from the pool', async (t) => {
  const bench = new EngineBench();
  await bench.run(async () => {
    await bench.create(['a'], 1024);
    const life = await bench.start();
    const disk = await life.image('a');
    t.deepEqual(await disk.read(0, 8), same(0, 8));
    t.is(await disk.write(0, 16, 7), OK);
    t.is(await disk.write(3, 2, 9), OK);
    const expected = [7, 7, 7, 9, 9, ...same(7, 11)];
    t.deepEqual(await disk.read(0, 16), expected);
    await disk.served.drain();
    t.is(disk.served.status().dirtyBytes, 0);
    t.deepEqual(await disk.read(0, 16), expected);
    await bench.kill(life);
    const next = await bench.start();
    t.deepEqual(await (await next.image('a')).read(0, 16), expected);
  });
});

test('what was acknowledged survives the death of the driver VM and of the power', async (t) => {
  const bench = new EngineBench({ seed: 3 });
  await bench.run(async () => {
    await bench.create(['a'], 1024);
    let life = await bench.start();
    for (let round = 0; round < 6; round++) {
      const disk = await life.image('a');
      const writes = Array.from({ length: 20 }, (_, i) => disk.write(i * 8, 8, 1 + round * 20 + i));
      t.deepEqual(await Promise.all(writes), same(OK, 20));
      if (round % 2 === 0) await bench.kill(life);
      else await bench.powerCut(life);
      life = await bench.start();
      const after = await life.image('a');
      for (let i = 0; i < 20; i++) {
        t.deepEqual(await after.read(i * 8, 8), same(1 + round * 20 + i, 8), `round ${round}`);
      }
    }
  });
});

test('a request that is in the log is answered when it comes again, and not done twice', async (t) => {
  const bench = new EngineBench();
  await bench.run(async () => {
    await bench.create(['a'], 64);
    const life = await bench.start();
    const disk = await life.image('a');
    const origin = { frontSeq: 77, partOffset: 0, unitSectors: 8, writeIndex: 1 };
    t.is(await disk.write(0, 8, 1, origin), OK);
    t.is(await disk.write(0, 8, 2), OK);
    await bench.kill(life);
    const next = await bench.start();
    const served = await next.engine.image('a');
    t.is(served.vdi.dirtySeq, 2);
    const again = await next.image('a');
    // The same front end: its number is what tells its requests from those of others.
    const device = served.deviceFor(1, () => t.fail('it was numbered again'));
    t.is(
      await new Promise((deviceDone) => {
        device.submit({ op: 1, lba: 0, sectors: 8, address: 65_536, origin, queue: 0, deviceDone });
      }),
      OK,
    );
    t.deepEqual(await again.read(0, 8), same(2, 8));
  });
});

test('a snapshot keeps what was there; writes go on; a clone begins as the snapshot', async (t) => {
  const bench = new EngineBench();
  await bench.run(async () => {
    await bench.create(['a'], 1024);
    const life = await bench.start();
    const disk = await life.image('a');
    await disk.write(0, 64, 1);
    t.is(await disk.served.snapshot('first', false), 1);
    await disk.write(0, 8, 2);
    await disk.served.drain();
    const [snapshot] = (await disk.served.snapshots()).records;
    t.is(snapshot?.name, 'first');
    t.is(disk.served.vdi.image.birth, 2);
    if (snapshot === undefined) return;
    const spec = { name: 'b', sizeBlocks: 0, policy: Policy.w2, host: 'h0' };
    await life.engine.images.clone(disk.served.vdi.id, snapshot, spec);
    const clone = await life.image('b');
    const before = await clone.read(0, 16);
    t.deepEqual(before, same(1, 16));
    t.deepEqual(await disk.read(0, 16), [...same(2, 8), ...same(1, 8)]);
    await clone.write(8, 8, 3);
    await clone.served.drain();
    t.deepEqual(await disk.read(8, 8), same(1, 8));
    t.deepEqual(await clone.read(0, 16), [...same(1, 8), ...same(3, 8)]);
  });
});

test('snapshots taken before a crash are there after it, with their names', async (t) => {
  const bench = new EngineBench({ seed: 5 });
  await bench.run(async () => {
    await bench.create(['a'], 256);
    const life = await bench.start();
    const disk = await life.image('a');
    for (let i = 1; i <= 5; i++) {
      await disk.write(0, 8, i);
      await disk.served.snapshot(`s${i}`, true);
    }
    await bench.powerCut(life);
    const next = await bench.start();
    const after = await next.image('a');
    await after.served.drain();
    const { records, damage } = await after.served.snapshots();
    t.deepEqual(damage, []);
    t.deepEqual(
      records.map(({ id, name }) => [id, name]),
      [1, 2, 3, 4, 5].map((id) => [id, `s${id}`]),
    );
    t.is(new Set(records.map(({ root }) => root.block)).size, 5);
    t.is(await after.served.snapshot('s6', false), 6);
  });
});

test('an image grows and shrinks; what was cut off does not come back', async (t) => {
  const bench = new EngineBench();
  await bench.run(async () => {
    await bench.create(['a'], 512);
    const life = await bench.start();
    const disk = await life.image('a');
    await disk.write(400 * 8, 8, 5);
    await disk.write(0, 8, 6);
    await disk.device.resize(256 * 8);
    t.is(disk.device.info.sectors, 256 * 8);
    await disk.device.resize(1024 * 8);
    t.deepEqual(await disk.read(400 * 8, 8), same(0, 8));
    t.deepEqual(await disk.read(0, 8), same(6, 8));
    await disk.write(1023 * 8, 8, 7);
    await bench.kill(life);
    const next = await bench.start();
    const after = await next.image('a');
    t.is(after.device.info.sectors, 1024 * 8);
    t.deepEqual(await after.read(1023 * 8, 8), same(7, 8));
    t.deepEqual(await after.read(400 * 8, 8), same(0, 8));
  });
});

test('a discard of the whole disk leaves zeros, writes little, and is there after a crash', async (t) => {
  const bench = new EngineBench();
  await bench.run(async () => {
    await bench.create(['a'], 2 ** 28);
    const life = await bench.start();
    const disk = await life.image('a');
    const far = (2 ** 28 - 8) * 8;
    await disk.write(0, 64, 1);
    await disk.write(far, 8, 2);
    await disk.served.drain();
    await disk.write(1_000_000, 8, 3);
    const entries = life.engine.log.statistics().writtenBytes;
    t.is(await disk.discard(0, 2 ** 31), OK);
    t.true(life.engine.log.statistics().writtenBytes - entries < 64 * 1024);
    for (const lba of [0, far, 1_000_000]) t.deepEqual(await disk.read(lba, 8), same(0, 8));
    await bench.kill(life);
    const next = await bench.start();
    const after = await next.image('a');
    for (const lba of [0, far, 1_000_000]) t.deepEqual(await after.read(lba, 8), same(0, 8));
    await after.served.drain();
    t.is(after.served.status().mappedBlocks, 0);
  });
});

for (const policy of [Policy.w0, Policy.w1, Policy.w3, Policy.w4, Policy.w5]) {
  test(`policy W${policy}: set while writes go on, kept over a restart, data whole`, async (t) => {
    const bench = new EngineBench();
    await bench.run(async () => {
      await bench.create(['a'], 256);
      const life = await bench.start();
      const disk = await life.image('a');
      const writing = Array.from({ length: 10 }, (_, i) => disk.write(i * 8, 8, i + 1));
      const setting = disk.served.setPolicy(policy);
      const more = Array.from({ length: 10 }, (_, i) => disk.write(80 + i * 8, 8, i + 11));
      await Promise.all([...writing, ...more, setting]);
      t.is(disk.served.status().policy, `W${policy}`);
      await disk.write(0, 8, 99);
      t.is(await disk.flush(), OK);
      await life.engine.close();
      await bench.kill(life);
      const next = await bench.start();
      const after = await next.image('a');
      t.is(after.served.status().policy, `W${policy}`);
      t.deepEqual(await after.read(0, 8), same(99, 8));
      for (let i = 1; i < 20; i++) t.deepEqual(await after.read(i * 8, 8), same(i + 1, 8));
    });
  });
}

test('data that is hit in memory or in the slab walks no tree', async (t) => {
  const bench = new EngineBench();
  await bench.run(async () => {
    await bench.create(['a'], 1024);
    const life = await bench.start();
    const disk = await life.image('a');
    for (let i = 0; i < 100; i++) await disk.write(i * 8, 8, 1 + (i % 250));
    await disk.served.drain();
    for (let i = 0; i < 100; i++) await disk.read(i * 8, 8);
    for (let i = 0; i < 100; i++) await disk.read(i * 8, 8);
    const { counters } = life.engine.reads;
    const walked = counters.treeLookups;
    for (let i = 0; i < 100; i++) t.deepEqual(await disk.read(i * 8, 8), same(1 + (i % 250), 8));
    t.is(counters.treeLookups, walked);
    t.true(counters.fromSlab > 0);
    const inMemory = counters.fromMemory;
    for (let i = 0; i < 10; i++) await disk.read(0, 8);
    t.true(counters.fromMemory >= inMemory + 9);
    t.is(counters.treeLookups, walked);
  });
});

test('the pool is out of reach: reads of what is cached go on, writes too, and all is published later', async (t) => {
  const bench = new EngineBench();
  await bench.run(async () => {
    await bench.create(['a'], 1024);
    const life = await bench.start();
    const disk = await life.image('a');
    await disk.write(0, 8, 1);
    await disk.served.drain();
    bench.directory.setHealth('down');
    for (let i = 0; i < 30; i++) t.is(await disk.write(i * 8, 8, 40 + i), OK);
    t.deepEqual(await disk.read(0, 8), same(40, 8));
    await life.world.timers.sleep(5e9);
    t.true(disk.served.status().watermark < disk.served.status().acknowledged);
    bench.directory.setHealth('up');
    await disk.served.drain();
    t.is(disk.served.status().watermark, disk.served.status().acknowledged);
  });
});
