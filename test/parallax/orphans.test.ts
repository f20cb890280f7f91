/**
 * Take-over by another host, and what becomes of a lost host's log when it comes back: an image of
 * its own, once, whole, whatever dies while it is made.
 */
import test, { type ExecutionContext } from 'ava';
import { HiddenKind } from '../../src/parallax/formats/root-block.ts';
import type { FsckReport } from '../../src/parallax/fsck/report.ts';
import { Images } from '../../src/parallax/store/images.ts';
import { Policy } from '../../src/parallax/vdi/policy.ts';
import { SMALL_SIZES } from '../../src/parallax/vdi/sizes.ts';
import { DeviceStatus } from '../../src/world/block-device.ts';
import type { BlockPool } from '../../src/world/block-pool.ts';
import { EngineBench, type EngineLife } from '../helpers/engine-bench.ts';
import { isLong } from '../helpers/long-tests.ts';

const OK = DeviceStatus.ok;
const same = (value: number, count: number): number[] => Array.from({ length: count }, () => value);
const ORPHAN = 'a.orphan-1';

/** What was published is 1 to 10 on blocks 0 to 9; the suffix is 101 to 105 on blocks 0 to 4. */
async function takeOver(
  t: ExecutionContext,
  bench: EngineBench,
  die: (old: EngineLife) => Promise<void> = (old) => bench.kill(old),
): Promise<EngineLife> {
  await bench.create(['a'], 1024);
  const old = await bench.start();
  const disk = await old.image('a');
  for (let i = 0; i < 10; i++) t.is(await disk.write(i * 8, 8, 1 + i), OK);
  await disk.served.drain();
  for (let i = 0; i < 5; i++) t.is(await disk.write(i * 8, 8, 101 + i), OK);
  t.is(disk.served.vdi.watermark, 10, 'nothing of the suffix is published');
  await die(old);
  bench.addHost('h1');
  const successor = await bench.start('h1');
  await successor.engine.takeOver('a');
  return successor;
}

/** The old host does nothing while it is taken over, and goes on afterwards. */
function standStill(bench: EngineBench): Promise<void> {
  bench.simulator.pause('h0/driver-vm', 200e6);
  return Promise.resolve();
}

async function mustHold(t: ExecutionContext, life: EngineLife, name: string, first: number) {
  const disk = await life.image(name);
  for (let i = 0; i < 10; i++) {
    t.deepEqual(await disk.read(i * 8, 8), same(i < 5 ? first + i : 1 + i, 8), `${name}, ${i}`);
  }
  return disk;
}

function mustBeClean(t: ExecutionContext, { findings }: FsckReport): void {
  t.deepEqual(
    findings.filter(({ severity }) => severity === 'error'),
    [],
  );
}

async function namesOf(bench: EngineBench): Promise<string[]> {
  const { images, pool } = await bench.look();
  const names = (await images.registry.list()).map(({ name, host }) => `${name} of ${host}`);
  await pool.close();
  return names.sort();
}

async function hiddenOf(bench: EngineBench, name: string) {
  const { images, pool } = await bench.look();
  const { vdi } = await images.registry.byName(name);
  const { image } = await images.read(vdi);
  await pool.close();
  return image.hidden;
}

test('another host takes an image over: it has what was published, and pins it', async (t) => {
  const bench = new EngineBench({ seed: 41 });
  await bench.run(async () => {
    const successor = await takeOver(t, bench);
    await mustHold(t, successor, 'a', 1);
    t.deepEqual(await namesOf(bench), ['a of h1']);
    t.like(await hiddenOf(bench, 'a'), { kind: HiddenKind.takeOverPin, vdiSeq: 10, generation: 1 });
    const again = await t.throwsAsync(successor.engine.takeOver('a'), { code: 'E_IMAGE_HERE' });
    t.regex(again?.message ?? '', /nothing to take over/);
    mustBeClean(t, await bench.fsck());
  });
});

test('the lost host comes back with its log: the suffix is an image of its own', async (t) => {
  const bench = new EngineBench({ seed: 42 });
  await bench.run(async () => {
    const successor = await takeOver(t, bench);
    const there = await mustHold(t, successor, 'a', 1);
    for (let i = 0; i < 5; i++) t.is(await there.write(i * 8, 8, 51 + i), OK);
    const back = await bench.start();
    await (await mustHold(t, back, ORPHAN, 101)).served.drain();
    await mustHold(t, successor, 'a', 51);
    t.deepEqual(await namesOf(bench), ['a of h1', `${ORPHAN} of h0`]);
    t.like(await hiddenOf(bench, ORPHAN), { kind: HiddenKind.orphanSuffix, vdiSeq: 10 });
    mustBeClean(t, await bench.fsck());
    await bench.kill(back);
    const again = await bench.start();
    await mustHold(t, again, ORPHAN, 101);
    t.deepEqual(await namesOf(bench), ['a of h1', `${ORPHAN} of h0`], 'it is made once');
  });
});

test('a host of the same name took the place of a lost one, whose log comes back later', async (t) => {
  const bench = new EngineBench({ seed: 43 });
  await bench.run(async () => {
    await bench.create(['a'], 1024);
    const old = await bench.start();
    const disk = await old.image('a');
    t.is(await disk.write(0, 8, 1), OK);
    await disk.served.drain();
    t.is(await disk.write(0, 8, 2), OK);
    await bench.kill(old);
    bench.addHost('elsewhere');
    const other = await bench.start('h0', 'elsewhere');
    t.is(await (await other.image('a')).write(8, 8, 3), OK);
    await bench.kill(other);
    const back = await bench.start();
    const orphan = await back.image(ORPHAN);
    t.deepEqual(await orphan.read(0, 16), [...same(2, 8), ...same(0, 8)]);
    const a = await back.image('a');
    for (let i = 0; i < 40; i++) t.is(await a.write(i * 8, 8, 60 + i), OK);
    await a.served.drain();
    t.deepEqual(await a.read(0, 8), same(60, 8));
    t.deepEqual(await orphan.read(0, 8), same(2, 8), 'it has pieces of its own in the log');
    await orphan.served.drain();
    t.deepEqual(await orphan.read(0, 8), same(2, 8));
    mustBeClean(t, await bench.fsck());
  });
});

test('what a zombie acknowledged after the take-over is in the orphan, and never in the image', async (t) => {
  const bench = new EngineBench({ seed: 44 });
  await bench.run(async () => {
    const zombies: EngineLife[] = [];
    const successor = await takeOver(t, bench, (old) => {
      zombies.push(old);
      return standStill(bench);
    });
    const zombie = await (zombies[0] as EngineLife).image('a');
    t.is(await zombie.write(80, 8, 77), OK);
    await zombie.served.drain().catch(() => undefined);
    t.is(zombie.served.status().state, 'fenced');
    t.is(await zombie.write(88, 8, 78), DeviceStatus.ioError);
    await bench.kill(zombies[0] as EngineLife);
    const back = await bench.start();
    const orphan = await mustHold(t, back, ORPHAN, 101);
    t.deepEqual(await orphan.read(80, 16), [...same(77, 8), ...same(0, 8)]);
    const there = await mustHold(t, successor, 'a', 1);
    t.deepEqual(await there.read(80, 16), same(0, 16));
  });
});

test('an orphan that is kept is an image as any other; one that is dropped leaves no pin', async (t) => {
  for (const drops of [false, true]) {
    const bench = new EngineBench({ seed: 45 });
    await bench.run(async () => {
      const successor = await takeOver(t, bench);
      const back = await bench.start();
      if (drops) await back.engine.remove(ORPHAN);
      else await back.engine.keepOrphan(ORPHAN);
      t.is(await hiddenOf(bench, 'a'), null);
      if (!drops) {
        t.is(await hiddenOf(bench, ORPHAN), null);
        await t.throwsAsync(back.engine.keepOrphan(ORPHAN), { code: 'E_NO_ORPHAN' });
      }
      await (await mustHold(t, successor, 'a', 1)).served.drain();
      await bench.kill(back);
      const again = await bench.start();
      if (!drops) await mustHold(t, again, ORPHAN, 101);
      t.is((await namesOf(bench)).length, drops ? 1 : 2);
      await again.engine.close();
      mustBeClean(t, await bench.fsck());
    });
  }
});

test('a pin that is dropped before the host comes back: nothing of its log becomes an image', async (t) => {
  const bench = new EngineBench({ seed: 46 });
  await bench.run(async () => {
    const successor = await takeOver(t, bench);
    const { images, pool } = await bench.look();
    await images.releasePin(1, 1);
    await pool.close();
    const there = await mustHold(t, successor, 'a', 1);
    t.is(await there.write(0, 8, 9), OK);
    await there.served.drain();
    t.is(there.served.status().state, 'serving', 'a root that lost its pin is gone on from');
    t.is(await hiddenOf(bench, 'a'), null);
    const back = await bench.start();
    t.deepEqual(await namesOf(bench), ['a of h1']);
    await t.throwsAsync(back.image('a'), { code: 'E_IMAGE_ELSEWHERE' });
  });
});

test('an image that was closed cleanly is taken over without a pin: nothing of it is awaited', async (t) => {
  const bench = new EngineBench({ seed: 47 });
  await bench.run(async () => {
    await takeOver(t, bench, (old) => old.engine.close().then(() => bench.kill(old)));
    t.is(await hiddenOf(bench, 'a'), null);
  });
});

/** The image of `h0` is of `h1` now, published there, and `h0` knows that it is cut off. */
async function cutOff(t: ExecutionContext, bench: EngineBench): Promise<EngineLife> {
  const lives: EngineLife[] = [];
  const h1 = await takeOver(t, bench, (old) => {
    lives.push(old);
    return standStill(bench);
  });
  const there = await mustHold(t, h1, 'a', 1);
  for (let i = 0; i < 40; i++) t.is(await there.write(i * 8, 8, 1 + (i % 10)), OK);
  await there.served.drain();
  const [h0] = lives as [EngineLife];
  await (await h0.image('a')).served.drain().catch(() => undefined);
  return h0;
}

/** So much is written and published that the log has used all its segments again. */
async function wearLog(t: ExecutionContext, { engine, image }: EngineLife): Promise<void> {
  const { log } = engine;
  const disk = await image('a');
  const { segmentBytes, maxSegments } = SMALL_SIZES.log;
  const enough = log.statistics().writtenBytes + 2 * maxSegments * segmentBytes;
  while (log.statistics().writtenBytes < enough) {
    for (let i = 0; i < 20; i++) t.is(await disk.write(800, 8, 7), OK);
    await disk.served.drain();
  }
}

test('an image goes to another host and back while both live on: nothing is lost on the way', async (t) => {
  const bench = new EngineBench({ seed: 48 });
  await bench.run(async () => {
    const h0 = await cutOff(t, bench);
    await h0.engine.takeOver('a');
    const orphan = await mustHold(t, h0, ORPHAN, 101);
    const here = await mustHold(t, h0, 'a', 1);
    for (let i = 0; i < 5; i++) t.is(await here.write(i * 8, 8, 31 + i), OK);
    t.is(await orphan.write(80, 8, 9), OK, 'it is an image as any other');
    await wearLog(t, h0);
    await mustHold(t, h0, ORPHAN, 101);
    await bench.kill(h0);
    const back = await bench.start();
    await mustHold(t, back, 'a', 31);
    const again = await mustHold(t, back, ORPHAN, 101);
    t.deepEqual(await again.read(80, 8), same(9, 8));
    t.deepEqual(await namesOf(bench), ['a of h0', `${ORPHAN} of h0`]);
    mustBeClean(t, await bench.fsck());
  });
});

/** A host dies so long after it began to take its image back. False: it was done before. */
async function dieTakingBack(t: ExecutionContext, afterNs: number): Promise<boolean> {
  const bench = new EngineBench({ seed: 52 });
  let died = true;
  await bench.run(async () => {
    const h0 = await cutOff(t, bench);
    const taken = h0.engine.takeOver('a').then(() => h0.image(ORPHAN));
    const drained = taken.then((image) => image.served.drain()).then(() => 'drained');
    const late = bench.world.timers.sleep(afterNs).then(() => 'late');
    died = (await Promise.race([drained, late])) === 'late';
    if (!died) return;
    await bench.kill(h0);
    const back = await bench.start();
    await (await mustHold(t, back, ORPHAN, 101)).served.drain();
    await mustHold(t, back, ORPHAN, 101);
    if ((await namesOf(bench)).includes('a of h1')) await back.engine.takeOver('a');
    await mustHold(t, back, 'a', 1);
    mustBeClean(t, await bench.fsck());
  });
  return died;
}

test('a host that takes its image back is killed at any moment: its suffix becomes one image', async (t) => {
  let steps = 0;
  while (await dieTakingBack(t, steps * (isLong ? 50e3 : 100e3))) steps++;
  t.true(steps > 15, `${steps} moments`);
});

test('snapshots and policies of a suffix are in the orphan', async (t) => {
  const bench = new EngineBench({ seed: 49 });
  await bench.run(async () => {
    await bench.create(['a'], 1024);
    const old = await bench.start();
    const disk = await old.image('a');
    t.is(await disk.write(0, 8, 1), OK);
    await disk.served.drain();
    t.is(await disk.write(0, 8, 2), OK);
    await disk.served.snapshot('local', true);
    t.is(await disk.write(0, 8, 3), OK);
    const isPublished = disk.served.vdi.image.snapshotCount > 0;
    await bench.kill(old);
    bench.addHost('h1');
    const successor = await bench.start('h1');
    await (await successor.engine.takeOver('a')).snapshot('other', false);
    const back = await bench.start();
    const orphan = await back.image(ORPHAN);
    await orphan.served.drain();
    t.deepEqual(await orphan.read(0, 8), same(3, 8));
    if (isPublished) return;
    const { records } = await orphan.served.snapshots();
    t.deepEqual(
      records.map(({ id, name }) => [id, name]),
      [[1, 'snapshot-1']],
    );
    mustBeClean(t, await bench.fsck());
  });
});

/** The returning host dies at its n-th event; the next life finishes. False: it had fewer. */
async function dieAtEvent(t: ExecutionContext, nth: number, power: boolean): Promise<boolean> {
  const bench = new EngineBench({ seed: 50 });
  let struck = true;
  await bench.run(async () => {
    const successor = await takeOver(t, bench);
    const strike = power ? (): void => bench.host.powerCut() : undefined;
    bench.simulator.armKillAtEvent('h0/driver-vm', nth, strike);
    const dying = await bench.tryStart();
    if (dying !== null) {
      const drained = dying.engine.image(ORPHAN).then((image) => image.drain());
      await Promise.race([drained, dying.handle.exited]);
      struck = bench.simulator.armedCount === 0;
      if (!struck) return;
      await dying.handle.exited;
    }
    const back = await bench.start();
    await (await mustHold(t, back, ORPHAN, 101)).served.drain();
    await mustHold(t, back, ORPHAN, 101);
    await mustHold(t, successor, 'a', 1);
    t.deepEqual(await namesOf(bench), ['a of h1', `${ORPHAN} of h0`]);
    mustBeClean(t, await bench.fsck());
  });
  return struck;
}

for (const power of [false, true]) {
  const what = power ? 'loses its power' : 'is killed';
  test(`a host that comes back ${what} at every event: its suffix becomes one image, and whole`, async (t) => {
    let nth = 2;
    while (await dieAtEvent(t, nth, power)) nth++;
    t.true(nth > 40, `${nth} events`);
  });
}

/**
 * A host took the name of a lost one and has published far more than that one had in its log. The
 * first host comes back, dies at its n-th event, and comes back again. False: it had fewer.
 */
async function dieBeside(t: ExecutionContext, nth: number): Promise<boolean> {
  const bench = new EngineBench({ seed: 60 });
  let struck = true;
  await bench.run(async () => {
    await bench.create(['a'], 1024);
    const old = await bench.start();
    const disk = await old.image('a');
    for (let i = 0; i < 5; i++) t.is(await disk.write(i * 8, 8, 101 + i), OK);
    t.is(disk.served.vdi.watermark, 0);
    await bench.kill(old);
    bench.addHost('elsewhere');
    const other = await bench.start('h0', 'elsewhere');
    const there = await other.image('a');
    for (let i = 0; i < 20; i++) t.is(await there.write((i % 10) * 8, 8, 1 + (i % 10)), OK);
    await other.engine.close();
    await bench.kill(other);
    bench.simulator.armKillAtEvent('h0/driver-vm', nth);
    const dying = await bench.tryStart();
    if (dying !== null) {
      const drained = dying.engine.image(ORPHAN).then((image) => image.drain());
      await Promise.race([drained, dying.handle.exited]);
      struck = bench.simulator.armedCount === 0;
      if (!struck) return;
      await dying.handle.exited;
    }
    const back = await bench.start();
    const orphan = await back.image(ORPHAN);
    for (let i = 0; i < 5; i++) t.deepEqual(await orphan.read(i * 8, 8), same(101 + i, 8), `${i}`);
    await orphan.served.drain();
    for (let i = 0; i < 5; i++) t.deepEqual(await orphan.read(i * 8, 8), same(101 + i, 8), `${i}`);
    await mustHold(t, back, 'a', 1);
    mustBeClean(t, await bench.fsck());
  });
  return struck;
}

test('the log forgets nothing of a suffix whose image has gone on beyond its numbers on the same host', async (t) => {
  let nth = 2;
  while (await dieBeside(t, nth)) nth++;
  t.true(nth > 40, `${nth} events`);
});

for (const at of ['after it has read the root', 'before it writes the root'] as const) {
  test(`a start that stands still ${at}, while its image is taken over, fences nobody`, async (t) => {
    const bench = new EngineBench({ seed: 61 });
    await bench.run(async () => {
      await bench.create(['a'], 1024);
      bench.addHost('h1');
      const h1 = await bench.start('h1');
      const { images, pool } = await bench.look();
      const { image } = await images.read(1);
      let isTaken = false;
      const takeOnce = async (when: typeof at): Promise<void> => {
        if (when !== at || isTaken) return;
        isTaken = true;
        await h1.engine.takeOver('a');
      };
      const slow: Pick<BlockPool, 'readConditional' | 'writeIf'> = {
        readConditional: async (block) => {
          const read = await pool.readConditional(block);
          await takeOnce('after it has read the root');
          return read;
        },
        writeIf: async (block, version, data) => {
          await takeOnce('before it writes the root');
          return pool.writeIf(block, version, data);
        },
      };
      const { registry } = images;
      const late = new Images(bench.world, slow as BlockPool, registry, image.storeUuid);
      await t.throwsAsync(late.start(1, 'h0', image.logUuid), { code: 'E_IMAGE_ELSEWHERE' });
      t.true(isTaken);
      const there = await h1.image('a');
      t.is(await there.write(0, 8, 2), OK);
      await there.served.drain();
      t.is(there.served.status().state, 'serving');
      await pool.close();
    });
  });
}

test('under every policy with a log the suffix of a lost host becomes an image', async (t) => {
  for (const policy of [Policy.w1, Policy.w2, Policy.w3, Policy.w4]) {
    const bench = new EngineBench({ seed: 51 + policy });
    await bench.run(async () => {
      await bench.create(['a'], 1024, policy);
      const old = await bench.start();
      const disk = await old.image('a');
      t.is(await disk.write(0, 8, 1), OK);
      await disk.served.drain();
      t.is(await disk.write(0, 8, 2), OK);
      await bench.kill(old);
      bench.addHost('h1');
      await (await bench.start('h1')).engine.takeOver('a');
      const back = await bench.start();
      const orphan = await back.image(ORPHAN);
      t.deepEqual(await orphan.read(0, 8), same(2, 8), `W${policy}`);
      t.is(orphan.served.vdi.clauses.policy, policy);
    });
  }
});
