/** The planned move of an image: nothing is lost, and it is whole at one place at every moment. */
import test, { type ExecutionContext } from 'ava';
import { strikeDisk } from '../../src/experiments/sim-disk-trouble.ts';
import { POOL_DISK } from '../../src/parallax/disk-names.ts';
import { POLICY_NAMES, Policy } from '../../src/parallax/vdi/policy.ts';
import { DeviceStatus } from '../../src/world/block-device.ts';
import { EngineBench, type EngineLife, type ImageClient } from '../helpers/engine-bench.ts';

const OK = DeviceStatus.ok;
const same = (value: number, count: number): number[] => Array.from({ length: count }, () => value);

/** An image of h0 with acknowledged writes of 1 to 15, some of which are not published. */
async function written(
  t: ExecutionContext,
  bench: EngineBench,
  policy: Policy = Policy.w2,
): Promise<{ life: EngineLife; disk: ImageClient }> {
  await bench.create(['a'], 1024, policy);
  bench.addHost('h1');
  const life = await bench.start();
  const disk = await life.image('a');
  for (let i = 0; i < 10; i++) t.is(await disk.write(i * 8, 8, 1 + i), OK);
  if (policy !== Policy.w0) await disk.served.drain();
  for (let i = 0; i < 5; i++) t.is(await disk.write(i * 8, 8, 11 + i), OK);
  return { life, disk };
}

async function mustHold(t: ExecutionContext, life: EngineLife): Promise<void> {
  const disk = await life.image('a');
  for (let i = 0; i < 10; i++) {
    t.deepEqual(await disk.read(i * 8, 8), same(i < 5 ? 11 + i : 1 + i, 8), `block ${i}`);
  }
  await disk.device.close();
}

async function placeOf(bench: EngineBench) {
  const { images, pool } = await bench.look();
  const named = await images.registry.list();
  const { image } = await images.read(named[0]?.vdi ?? 0);
  await pool.close();
  return { names: named.map(({ name, host }) => `${name} of ${host}`), image };
}

async function mustBeClean(t: ExecutionContext, bench: EngineBench): Promise<void> {
  const { findings } = await bench.fsck();
  t.deepEqual(
    findings.filter(({ severity }) => severity === 'error'),
    [],
  );
}

for (const policy of Object.values(Policy)) {
  test(`${POLICY_NAMES[policy]}: an image is handed over: the other host has all that was acknowledged, nothing is pinned`, async (t) => {
    const bench = new EngineBench({ seed: 61 });
    await bench.run(async () => {
      const { life, disk } = await written(t, bench, policy);
      await disk.device.close();
      await life.engine.handOver('a', 'h1');
      await life.engine.handOver('a', 'h1');
      t.like(await placeOf(bench), { names: ['a of h1'], image: { hidden: null, open: false } });
      await t.throwsAsync(life.engine.image('a'), { code: 'E_IMAGE_ELSEWHERE' });
      const other = await bench.start('h1');
      await mustHold(t, other);
      await bench.kill(life);
      await bench.start();
      t.like(await placeOf(bench), { names: ['a of h1'], image: { hidden: null } });
      await mustBeClean(t, bench);
    });
  });
}

test('an image that a guest has as its disk is not handed over, and goes on', async (t) => {
  const bench = new EngineBench({ seed: 62 });
  await bench.run(async () => {
    const { life, disk } = await written(t, bench);
    const refused = life.engine.handOver('a', 'h1');
    await t.throwsAsync(refused, { code: 'E_IMAGE_IN_USE', message: /stop the guest/ });
    t.is(await disk.write(0, 8, 11), OK);
    t.like(await placeOf(bench), { names: ['a of h0'] });
  });
});

test('who asks for the disk while the image is closed for another host does not get it', async (t) => {
  const bench = new EngineBench({ seed: 67 });
  await bench.run(async () => {
    const { life, disk } = await written(t, bench);
    await disk.device.close();
    const late = new Promise<void>((resolve) => {
      bench.simulator.armCrashPoint('h0/driver-vm', 'move.before-close', 1, () => {
        resolve(t.throwsAsync(life.image('a'), { code: 'E_IMAGE_CLOSING' }).then(() => undefined));
      });
    });
    await life.engine.handOver('a', 'h1');
    await late;
    await mustHold(t, await bench.start('h1'));
  });
});

test('a pool that takes nothing for 30 s: the image stays, is served, and is handed over later', async (t) => {
  const bench = new EngineBench({ seed: 63 });
  await bench.run(async () => {
    const { life, disk } = await written(t, bench);
    await disk.device.close();
    const pool = bench.poolHost.disk(POOL_DISK);
    const heal = strikeDisk(pool, 'stall', bench.world.clock.nowNs(), 60e9);
    const late = await t.throwsAsync(life.engine.handOver('a', 'h1'), { code: 'E_MOVE_LATE' });
    t.regex(late?.message ?? '', /not published within 30 s.*It stays where it is/);
    const again = await life.image('a');
    t.is(await again.write(0, 8, 11), OK, 'the log takes it');
    heal();
    await again.device.close();
    await life.engine.handOver('a', 'h1');
    await mustHold(t, await bench.start('h1'));
  });
});

test('an image of W5 that has lost what was acknowledged is handed over when that was accepted', async (t) => {
  const bench = new EngineBench({ seed: 64 });
  await bench.run(async () => {
    const { life } = await written(t, bench, Policy.w5);
    await bench.kill(life);
    const back = await bench.start();
    const refused = back.engine.handOver('a', 'h1');
    await t.throwsAsync(refused, { code: 'E_IMAGE_LOST', message: /accept-loss a/ });
    t.like(await placeOf(bench), { names: ['a of h0'] });
    (await back.engine.image('a')).acceptLoss();
    await back.engine.handOver('a', 'h1');
    t.like(await placeOf(bench), { names: ['a of h1'] });
  });
});

test('a third host takes the image over in the midst of a hand-over: it has all of it, the other two have nothing', async (t) => {
  const bench = new EngineBench({ seed: 65 });
  await bench.run(async () => {
    const { life, disk } = await written(t, bench);
    await disk.device.close();
    bench.addHost('h2');
    const third = await bench.start('h2');
    const taken = new Promise<void>((resolve) => {
      bench.simulator.armCrashPoint('h0/driver-vm', 'move.before-close', 1, () => {
        resolve(third.engine.takeOver('a').then(() => undefined));
      });
    });
    await t.throwsAsync(life.engine.handOver('a', 'h1'), { code: 'E_IMAGE_ELSEWHERE' });
    await taken;
    await mustHold(t, third);
    t.like(await placeOf(bench), { names: ['a of h2'] });
    await t.throwsAsync(life.engine.image('a'), { code: 'E_IMAGE_ELSEWHERE' });
    await (await bench.start('h1')).engine.close();
    await mustHold(t, third);
    await mustBeClean(t, bench);
  });
});

/** The host dies at the n-th event from when it hands over. False: it was done before. */
async function dieAt(
  t: ExecutionContext,
  nth: number,
  how: 'kill' | 'power-cut',
): Promise<boolean> {
  const bench = new EngineBench({ seed: 66 });
  let struck = true;
  await bench.run(async () => {
    const { life, disk } = await written(t, bench);
    await disk.device.close();
    const strike = how === 'kill' ? undefined : (): void => bench.host.powerCut();
    bench.simulator.armKillAtEvent('h0/driver-vm', nth, strike);
    const handed = life.engine.handOver('a', 'h1');
    await Promise.race([handed, life.handle.exited]);
    struck = bench.simulator.armedCount === 0;
    if (!struck) return;
    await life.handle.exited;
    const { names, image } = await placeOf(bench);
    t.is(image.hidden, null);
    const isMoved = names.includes('a of h1');
    t.true(isMoved || names.includes('a of h0'));
    if (isMoved) t.false(image.open, 'it is whole before it is of another host');
    const back = await bench.start();
    if (!isMoved) {
      await mustHold(t, back);
      await back.engine.handOver('a', 'h1');
    }
    await mustHold(t, await bench.start('h1'));
    t.like(await placeOf(bench), { names: ['a of h1'], image: { hidden: null } });
    await mustBeClean(t, bench);
  });
  return struck;
}

for (const how of ['kill', 'power-cut'] as const) {
  test(`${how} at each event of a hand-over: the image is whole at one of the two, and moves in the end`, async (t) => {
    let events = 0;
    while (await dieAt(t, events + 1, how)) events++;
    t.true(events > 5, `${events} events`);
  });
}
