import { createHash } from 'node:crypto';
import test from 'ava';
import { MS, nanos } from '../../../src/base/units.ts';
import { startClock } from '../../../src/world/real/clock.ts';
import { nodeDigest } from '../../../src/world/real/digest.ts';
import { type RealWorld, toolstackWorld } from '../../../src/world/real/real-world.ts';
import { createHostMemory } from '../../../src/world/real/wasm-memory.ts';
import { folderOf, until } from './helpers.ts';

function worldIn(folder: string, notes: string[] = []): RealWorld {
  return toolstackWorld({
    name: 'toolstack',
    memory: createHostMemory(65536),
    seed: 3,
    clockZero: startClock(),
    folder,
    onNote: (text) => notes.push(text),
  });
}

test('the toolstack has a whole world on the main thread', async (t) => {
  const notes: string[] = [];
  const world = worldIn(await folderOf(t), notes);
  const disk = await world.disks.open('d0', { writable: true, createBytes: 512 });
  t.is(disk.name, 'd0');
  await disk.close();
  await world.timers.sleep(MS);
  t.true(world.clock.nowNs() >= MS);
  world.log.note('hello');
  t.deepEqual(notes, ['hello']);
  world.wake.ring(4);
  world.cpu.spend(5);
  world.crashPoint('front.after-slot-copy');
  t.is(world.random.nextU32(), worldIn('unused').random.nextU32());
  t.throws(() => world.net.link('nobody'), { message: /links it was started with/ });
});

test('the world of a dead incarnation never calls it and never settles its promises', async (t) => {
  const world = worldIn(await folderOf(t));
  let reached = 0;
  const reach = (): void => {
    reached += 1;
  };
  world.timers.at(nanos(world.clock.nowNs() + MS), reach);
  void world.timers.sleep(MS).then(reach);
  void world.disks.open('d0', { writable: true, createBytes: 512 }).then(reach, reach);
  await world.bury();
  world.timers.at(world.clock.nowNs(), reach);
  void world.timers.sleep(0).then(reach);
  void world.disks.open('d0', { writable: true, createBytes: 512 }).then(reach, reach);
  const endNs = world.clock.nowNs() + 5 * MS;
  await until('the timers would have fired', () => world.clock.nowNs() > endNs);
  t.is(reached, 0);
});

test('digests are those of zlib and SHA-256, over the range only, shared memory too', (t) => {
  const { u8 } = createHostMemory(65536);
  u8.set(new TextEncoder().encode('x123456789y'), 100);
  t.is(nodeDigest.crc32(u8, 101, 9), 0xcbf43926);
  const expected = createHash('sha256').update('123456789').digest('hex');
  t.is(Buffer.from(nodeDigest.sha256(u8, 101, 9)).toString('hex'), expected);
});

test('the log keeps the last events in order, for the case of a failure', async (t) => {
  const world = worldIn(await folderOf(t));
  for (let event = 0; event < 100; event++) world.log.event('tick', event, event * 2);
  const lines = world.log.lastEvents().split('\n');
  t.is(lines.length, 64);
  t.regex(lines[0] ?? '', /tick 36 72$/);
  t.regex(lines[63] ?? '', /tick 99 198$/);
});
