/**
 * K5: a driver VM that was taken for dead goes on, while a successor of the same host serves its
 * images from a copy of its disks, or from empty ones. Nothing that the old one does is seen.
 */
import test, { type ExecutionContext } from 'ava';
import { Policy } from '../../src/parallax/vdi/policy.ts';
import { DeviceStatus } from '../../src/world/block-device.ts';
import { EngineBench, type EngineLife } from '../helpers/engine-bench.ts';

const OK = DeviceStatus.ok;
const same = (value: number, count: number): number[] => Array.from({ length: count }, () => value);

/** A zombie and its successor, which has read what the zombie had left. */
interface TakeOver {
  readonly bench: EngineBench;
  readonly old: EngineLife;
  readonly successor: EngineLife;
}

async function takeOver(
  t: ExecutionContext,
  bench: EngineBench,
  withDisks: boolean,
): Promise<TakeOver> {
  await bench.create(['a'], 1024);
  const old = await bench.start();
  const disk = await old.image('a');
  for (let i = 0; i < 10; i++) t.is(await disk.write(i * 8, 8, 1 + i), OK);
  await disk.served.drain();
  t.is(await disk.write(0, 8, 99), OK);
  const place = bench.addHost('elsewhere');
  if (withDisks) await bench.copyDisks(bench.host, place);
  const successor = await bench.start('h0', 'elsewhere');
  const there = await successor.image('a');
  // What was acknowledged is in the log, if the log is there; else it may be published by now.
  const first = await there.read(0, 8);
  const values = withDisks ? [99] : [1, 99];
  t.true(values.some((value) => JSON.stringify(first) === JSON.stringify(same(value, 8))));
  t.deepEqual(await there.read(8, 8), same(2, 8));
  return { bench, old, successor };
}

for (const withDisks of [true, false]) {
  const from = withDisks ? 'a copy of its disks' : 'empty disks';

  test(`a zombie publishes, its successor serves from ${from}: refused, and nothing is seen`, async (t) => {
    const bench = new EngineBench({ seed: withDisks ? 21 : 22 });
    await bench.run(async () => {
      const { old, successor } = await takeOver(t, bench, withDisks);
      const zombie = await old.image('a');
      const there = await successor.image('a');
      const before = await there.read(0, 80);
      await zombie.write(16, 8, 77);
      await zombie.served.drain().catch(() => undefined);
      t.is(zombie.served.status().state, 'fenced');
      t.is(await zombie.write(24, 8, 78), DeviceStatus.ioError);
      t.deepEqual(await there.read(0, 80), before);
      t.is(await there.write(32, 8, 66), OK);
      await there.served.drain();
      const { images, pool } = await bench.look();
      const { image } = await images.read(there.served.vdi.id);
      t.is(image.generation, there.served.vdi.image.generation);
      await pool.close();
    });
  });

  test(`a zombie writes data and nodes, its successor serves from ${from}: they land where nobody allocates`, async (t) => {
    const bench = new EngineBench({ seed: withDisks ? 23 : 24 });
    await bench.run(async () => {
      const { old, successor } = await takeOver(t, bench, withDisks);
      const zombie = await old.image('a');
      const there = await successor.image('a');
      // It has not heard of its successor: what it publishes is written up to the root block.
      for (let i = 0; i < 60; i++) await zombie.write(i * 8, 8, 100 + i);
      const draining = zombie.served.drain().catch(() => undefined);
      for (let i = 0; i < 60; i++) t.is(await there.write(i * 8, 8, 1 + i), OK);
      await there.served.drain();
      await draining;
      t.is(zombie.served.status().state, 'fenced');
      await bench.kill(successor);
      const next = await bench.start('h0', 'elsewhere');
      const after = await next.image('a');
      for (let i = 0; i < 60; i++) t.deepEqual(await after.read(i * 8, 8), same(1 + i, 8), `${i}`);
    });
  });
}

test('a zombie appends to its log: successors on the copy of its disks never find that', async (t) => {
  const bench = new EngineBench({ seed: 25 });
  await bench.run(async () => {
    const { old, successor } = await takeOver(t, bench, true);
    const zombie = await old.image('a');
    for (let i = 0; i < 20; i++) await zombie.write(i * 8, 8, 200);
    const there = await successor.image('a');
    t.is(await there.write(80, 8, 5), OK);
    await bench.kill(successor);
    const next = await bench.start('h0', 'elsewhere');
    const after = await next.image('a');
    t.deepEqual(await after.read(0, 8), same(99, 8));
    for (let i = 1; i < 10; i++) t.deepEqual(await after.read(i * 8, 8), same(1 + i, 8));
    t.deepEqual(await after.read(80, 8), same(5, 8));
  });
});

test('a zombie under W1 answers no flush once its successor has started', async (t) => {
  const bench = new EngineBench({ seed: 26 });
  await bench.run(async () => {
    await bench.create(['a'], 1024, Policy.w1);
    const old = await bench.start();
    const zombie = await old.image('a');
    t.is(await zombie.write(0, 8, 1), OK);
    t.is(await zombie.flush(), OK);
    bench.addHost('elsewhere');
    const successor = await bench.start('h0', 'elsewhere');
    const there = await successor.image('a');
    t.deepEqual(await there.read(0, 8), same(1, 8));
    await zombie.write(0, 8, 2);
    t.is(await zombie.flush(), DeviceStatus.ioError, 'what it covers cannot be published');
    t.deepEqual(await there.read(0, 8), same(1, 8));
  });
});
