/** What policies promise at the edges: losses that must be accepted, memory and names in turn. */
import test from 'ava';
import { Policy } from '../../src/parallax/vdi/policy.ts';
import { SMALL_SIZES } from '../../src/parallax/vdi/sizes.ts';
import type { VdiListener } from '../../src/parallax/vdi/vdi.ts';
import { DeviceOp, DeviceStatus, NO_ORIGIN } from '../../src/world/block-device.ts';
import { EngineBench, STORE } from '../helpers/engine-bench.ts';

const OK = DeviceStatus.ok;
const same = (value: number, count: number): number[] => Array.from({ length: count }, () => value);

test('W5: a driver VM that is killed leaves a lost image, which answers with errors until it is accepted', async (t) => {
  const bench = new EngineBench({ seed: 41 });
  await bench.run(async () => {
    await bench.create(['a'], 256, Policy.w5);
    const life = await bench.start();
    const disk = await life.image('a');
    t.is(await disk.write(0, 8, 1), OK);
    await disk.served.drain();
    t.is(await disk.write(0, 8, 2), OK);
    await bench.kill(life);
    const next = await bench.start();
    const served = await next.engine.image('a');
    t.is(served.status().state, 'lost');
    const device = served.deviceFor(1, () => undefined, { isNew: false, listener: null });
    const ask = (op: DeviceOp): Promise<DeviceStatus> =>
      new Promise((deviceDone) => {
        const origin = NO_ORIGIN;
        device.submit({ op, lba: 0, sectors: 8, address: 65_536, origin, queue: 0, deviceDone });
      });
    for (const op of Object.values(DeviceOp)) t.is(await ask(op), DeviceStatus.ioError, `${op}`);
    served.acceptLoss();
    t.is(served.status().state, 'serving');
    const after = await next.image('a');
    t.deepEqual(await after.read(0, 8), same(1, 8), 'what was published');
    t.is(await after.write(8, 8, 3), OK);
    await after.served.drain();
    t.deepEqual(await after.read(8, 8), same(3, 8));
  });
});

test('W5: a front end that attaches anew accepts the loss', async (t) => {
  const bench = new EngineBench({ seed: 42 });
  await bench.run(async () => {
    await bench.create(['a'], 256, Policy.w5);
    const life = await bench.start();
    await (await life.image('a')).write(0, 8, 1);
    await bench.kill(life);
    const next = await bench.start();
    const disk = await next.image('a');
    t.is(disk.served.status().state, 'serving');
    t.is(await disk.write(0, 8, 4), OK);
    t.deepEqual(await disk.read(0, 8), same(4, 8));
  });
});

test('W5: an image that was closed cleanly has lost nothing', async (t) => {
  const bench = new EngineBench({ seed: 43 });
  await bench.run(async () => {
    await bench.create(['a'], 256, Policy.w5);
    const life = await bench.start();
    await (await life.image('a')).write(0, 8, 1);
    await life.engine.close();
    await bench.kill(life);
    const next = await bench.start();
    const served = await next.engine.image('a');
    t.is(served.status().state, 'serving');
    t.true(served.vdi.image.open);
  });
});

test('a policy with a log is open after a kill as well, and loses nothing by it', async (t) => {
  const bench = new EngineBench({ seed: 44 });
  await bench.run(async () => {
    await bench.create(['a'], 256, Policy.w3);
    const life = await bench.start();
    await (await life.image('a')).write(0, 8, 1);
    await bench.kill(life);
    const next = await bench.start();
    const disk = await next.image('a');
    t.is(disk.served.status().state, 'serving');
    t.deepEqual(await disk.read(0, 8), same(1, 8));
  });
});

test('two images share the memory of a policy without log: neither waits for ever for the other', async (t) => {
  const bench = new EngineBench({ seed: 45, sizes: { ...SMALL_SIZES, payloadPages: 8 } });
  await bench.run(async () => {
    await bench.create(['a', 'b'], 256, Policy.w5);
    const life = await bench.start();
    const [a, b] = [await life.image('a'), await life.image('b')];
    t.is(await a.write(0, 64, 1), OK);
    // Nothing of it can be published, so only what the other one gives back lets it go on.
    t.is(await b.write(0, 32, 2), OK);
  });
});

test('snapshots asked for together, while naming one fails, get their ids in the order of the disk', async (t) => {
  const bench = new EngineBench({ seed: 46 });
  await bench.run(async () => {
    await bench.create(['a'], 256);
    const life = await bench.start();
    const disk = await life.image('a');
    await disk.write(0, 8, 1);
    bench.directory.set({ timeoutNs: 5e6 });
    bench.directory.setHealth('down');
    await t.throwsAsync(disk.served.snapshot('never', false), { code: 'E_DIRECTORY' });
    bench.directory.setHealth('up');
    const names = ['one', 'two', 'three', 'four'];
    const ids = await Promise.all(names.map((name) => disk.served.snapshot(name, false)));
    t.deepEqual(ids, [1, 2, 3, 4]);
    const { records } = await disk.served.snapshots();
    t.deepEqual(
      records.map(({ name }) => name),
      names,
    );
  });
});

test('a publish whose answer was lost was made after all: reads find what it put in the tree', async (t) => {
  const bench = new EngineBench({ seed: 47 });
  await bench.run(async () => {
    await bench.create(['a'], 1024);
    const life = await bench.start();
    const disk = await life.image('a');
    const { directory } = bench;
    directory.set({ timeoutNs: 20e6 });
    const txn = directory.txn.bind(directory);
    let losesMajority = false;
    let late = 0;
    directory.txn = (comparisons, changes) => {
      const isRoot = changes.some(({ key }) => key.startsWith(`cond/${STORE}/`));
      if (losesMajority && isRoot) directory.setHealth('no-majority');
      return txn(comparisons, changes);
    };
    for (let round = 1; round <= 12; round++) {
      for (let i = 0; i < 60; i++) await disk.write(i * 8, 8, round);
      losesMajority = true;
      while (directory.health === 'up') await life.world.timers.sleep(1e6);
      losesMajority = false;
      // The publish lies with one voter, and is made or forgotten when there is a majority again.
      await life.world.timers.sleep(45e6);
      const before = disk.served.status().watermark;
      for (let i = 60; i < 70; i++) await disk.write(i * 8, 8, round);
      directory.setHealth('up');
      const { images, pool } = await bench.look();
      if ((await images.read(disk.served.vdi.id)).image.vdiSeq > before) late++;
      await pool.close();
      await disk.served.drain();
      for (let i = 0; i < 70; i++) {
        t.deepEqual(await disk.read(i * 8, 8), same(round, 8), `round ${round}, block ${i}`);
      }
    }
    t.true(late > 2 && late < 12, `${late} of 12 publishes were made late`);
  });
});

test('whoever listens hears the watermark at once, and then each publish, in order', async (t) => {
  const bench = new EngineBench({ seed: 48 });
  await bench.run(async () => {
    await bench.create(['a'], 256);
    const life = await bench.start();
    const heard: string[] = [];
    const listener: VdiListener = {
      published: (vdiSeq, generation, inOrder) =>
        heard.push(`published ${generation}/${vdiSeq} ${inOrder}`),
      snapshotTaken: (id, vdiSeq) => heard.push(`snapshot ${id} at ${vdiSeq}`),
      epochEnded: (vdiSeq) => heard.push(`epoch ${vdiSeq}`),
      policyChanged: (policy, vdiSeq) => heard.push(`policy ${policy} at ${vdiSeq}`),
    };
    const served = await life.engine.image('a');
    served.deviceFor(7, () => undefined, { isNew: true, listener });
    const disk = await life.image('a');
    await disk.write(0, 8, 1);
    await served.snapshot('s', false);
    await served.setPolicy(Policy.w4);
    t.deepEqual(heard, [
      'published 1/0 true',
      'epoch 2',
      'snapshot 1 at 2',
      'published 1/2 true',
      'epoch 3',
      'policy 4 at 3',
      'published 1/3 false',
    ]);
  });
});

test('W3: the end of an epoch is told before any disk has it, so a loss at once finds it told', async (t) => {
  const bench = new EngineBench({ seed: 49 });
  await bench.run(async () => {
    await bench.create(['a'], 256);
    const life = await bench.start();
    const ends: number[] = [];
    const listener: VdiListener = {
      published: () => {},
      snapshotTaken: () => {},
      epochEnded: (vdiSeq) => ends.push(vdiSeq),
      policyChanged: () => {},
    };
    const served = await life.engine.image('a');
    await served.setPolicy(Policy.w3);
    served.deviceFor(7, () => undefined, { isNew: true, listener });
    const disk = await life.image('a');
    await disk.write(0, 8, 1);
    const flushing = disk.flush();
    t.deepEqual(ends, [3], 'a policy, a write, a flush');
    t.is(await flushing, OK);
    t.deepEqual(ends, [3]);
  });
});

test('W3: the log is full of an epoch that another disk never ends: that one is cut, and writes go on', async (t) => {
  const bench = new EngineBench({ seed: 50 });
  await bench.run(async () => {
    await bench.create(['idle', 'busy'], 4096);
    const life = await bench.start();
    const idle = await life.image('idle');
    const busy = await life.image('busy');
    for (const { served } of [idle, busy]) await served.setPolicy(Policy.w3);
    for (let i = 0; i < 4; i++) await idle.write(i * 8, 8, 7);
    const rounds = Math.ceil(
      (2 * SMALL_SIZES.log.maxSegments * SMALL_SIZES.log.segmentBytes) / 32_768,
    );
    for (let round = 0; round < rounds; round++) {
      t.is(await busy.write((round % 64) * 64, 64, 1 + (round % 200)), OK);
      if (round % 4 === 3) t.is(await busy.flush(), OK);
    }
    t.is(idle.served.status().loss.requests, 0, 'what held the log is published');
    for (let i = 0; i < 4; i++) t.deepEqual(await idle.read(i * 8, 8), same(7, 8));
  });
});
