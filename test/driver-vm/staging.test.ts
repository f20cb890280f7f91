import test from 'ava';
import type { FrameNo } from '../../src/base/units.ts';
import { StagingMemory } from '../../src/driver-vm/staging.ts';

test('runs hold their sectors, inside the frames of the driver VM, and do not overlap', (t) => {
  const staging = new StagingMemory(100 as FrameNo, 164 as FrameNo, () => undefined);
  const used = new Set<number>();
  for (let run = staging.take(17); run >= 0; run = staging.take(17)) {
    const address = staging.address(run);
    t.true(address >= 100 * 4096 && address + 17 * 512 <= 164 * 4096);
    for (let page = 0; page < 3; page++) {
      const frame = address / 4096 + page;
      t.false(used.has(frame), `frame ${frame} twice`);
      used.add(frame);
    }
  }
  t.is(used.size, 48, '16 runs of 4 pages, of which 17 sectors use 3');
  t.is(staging.freePages, 0);
});

test('whoever waits for memory is told each time a run comes back, when it can be had', (t) => {
  const heard: number[] = [];
  const staging: StagingMemory = new StagingMemory(1 as FrameNo, 9 as FrameNo, () => {
    heard.push(staging.freePages);
  });
  const all = staging.take(64);
  t.is(staging.take(1), -1);
  staging.give(all);
  t.deepEqual(heard, [8]);
  t.is(staging.take(64), all);
});

test('the rings of one disk may have half of what no ring has; what they give back counts', (t) => {
  const staging = new StagingMemory(1 as FrameNo, 65 as FrameNo, () => undefined);
  t.true(staging.mayReserve(32));
  t.false(staging.mayReserve(33));
  const first = staging.takeForRing(32);
  t.true(staging.mayReserve(16));
  t.false(staging.mayReserve(17));
  staging.take(64);
  t.true(staging.mayReserve(16), 'payloads come and go and do not count');
  staging.giveFromRing(first, 32);
  t.true(staging.mayReserve(32));
});
