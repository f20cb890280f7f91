import test from 'ava';
import { encodeLogIdentity } from '../../../src/parallax/formats/log-identity.ts';
import { IDENTITY_DISK, openLogIdentity } from '../../../src/parallax/log/log-identity.ts';
import { simDigest } from '../../../src/world/sim/sim-digest.ts';
import type { World } from '../../../src/world/world.ts';
import { EngineBench } from '../../helpers/engine-bench.ts';
import { goldenText, toGolden } from '../../helpers/golden.ts';
import { diskIo, filled } from '../../world/sim/helper-actors.ts';

const UUID = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0';

test('an identity has the bytes of its golden file', (t) => {
  t.is(toGolden(encodeLogIdentity(simDigest, UUID)), goldenText('log-identity'));
});

async function overwrite(world: World, bytes: Uint8Array, position: number): Promise<void> {
  const disk = await world.disks.open(IDENTITY_DISK, { writable: true });
  await diskIo((io) => disk.write(io), bytes, position);
  await disk.close();
}

test('the identity of a log is made once, and outlives damage of one copy', async (t) => {
  const bench = new EngineBench();
  await bench.run(async () => {
    const world = bench.simulator.toolstackWorld('h0/story', bench.host);
    const uuid = await openLogIdentity(world, 'store/h0/1');
    t.is(await openLogIdentity(world, 'store/h0/2'), uuid);
    for (const copy of [0, 1]) {
      const whole = encodeLogIdentity(simDigest, uuid);
      await overwrite(world, filled(512, 7), copy * 4096 + 1024);
      t.is(await openLogIdentity(world, 'store/h0/3'), uuid, `copy ${copy}`);
      await overwrite(world, whole, copy * 4096);
    }
    await overwrite(world, filled(8192, 7), 0);
    await t.throwsAsync(openLogIdentity(world, 'store/h0/4'), { code: 'E_LOG_IDENTITY' });
  });
});

test('an identity whose second copy was never written is made again, and differs', async (t) => {
  const bench = new EngineBench();
  await bench.run(async () => {
    const world = bench.simulator.toolstackWorld('h0/story', bench.host);
    const uuid = await openLogIdentity(world, 'store/h0/1');
    await overwrite(world, filled(4096, 0), 4096);
    const again = await openLogIdentity(world, 'store/h0/2');
    t.not(again, uuid);
    t.is(await openLogIdentity(world, 'store/h0/3'), again);
  });
});

test('a lost host comes back with its log: what others did since is not mixed with it', async (t) => {
  const bench = new EngineBench();
  const same = (value: number): number[] => Array.from({ length: 8 }, () => value);
  await bench.run(async () => {
    await bench.create(['a'], 1024);
    const lost = await bench.start();
    const disk = await lost.image('a');
    for (let i = 0; i < 4; i++) await disk.write(i * 8, 8, 1);
    await disk.served.drain();
    bench.directory.setHealth('down');
    // Acknowledged, and never published.
    for (let i = 0; i < 40; i++) await disk.write((i % 4) * 8, 8, 2);
    await bench.kill(lost);
    bench.directory.setHealth('up');
    bench.addHost('elsewhere');
    const heir = await bench.start('h0', 'elsewhere');
    const there = await heir.image('a');
    t.deepEqual(await there.read(0, 8), same(1));
    await there.write(0, 8, 3);
    await there.served.drain();
    await bench.kill(heir);
    for (let starts = 0; starts < 2; starts++) {
      const back = await bench.start('h0', 'h0');
      const again = await back.image('a');
      t.deepEqual(await again.read(0, 8), same(starts === 0 ? 3 : 4));
      for (let i = 1; i < 4; i++) t.deepEqual(await again.read(i * 8, 8), same(1));
      await again.write(0, 8, 4);
      await bench.kill(back);
    }
  });
});
