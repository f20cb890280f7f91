/** The server's disks fail, are full, or tear: nothing that was done is lost, nothing hangs. */
import test from 'ava';
import { DiskOp } from '../../../src/world/sim/disk-timing.ts';
import { DiskStatus } from '../../../src/world/world.ts';
import { LOOK_ONLY, MIXED, SEGMENT_BYTES, SMALL, StoreBench } from './store-bench.ts';

for (const op of [DiskOp.write, DiskOp.flush]) {
  const what = op === DiskOp.write ? 'write' : 'flush';
  test(`a failed ${what} of the log: groups move to another segment, nobody hears of it`, async (t) => {
    for (let seed = 1; seed <= 4; seed++) {
      for (let nth = 1; nth <= 12; nth++) {
        const bench = new StoreBench(seed);
        await bench.live(LOOK_ONLY);
        // Opening takes some of its own: what fails then is the start.
        bench.failOnce('log', op, 12 + nth);
        const life = await bench.live(MIXED);
        t.is(life.failed, 0, `seed ${seed}, ${nth}`);
        t.true(life.done && life.open === 0);
        bench.heal();
        bench.powerCut();
        await bench.live(LOOK_ONLY);
      }
    }
  });

  test(`a failed ${what} of a data disk: what was in RAM is written again`, async (t) => {
    for (let seed = 1; seed <= 4; seed++) {
      for (let nth = 1; nth <= 12; nth++) {
        const bench = new StoreBench(seed);
        await bench.live(LOOK_ONLY);
        bench.failOnce('data-1', op, 6 + nth);
        const life = await bench.live(MIXED);
        t.true(life.done && life.open === 0, `seed ${seed}, ${nth}`);
        bench.heal();
        bench.powerCut();
        await bench.live(LOOK_ONLY);
      }
    }
  });
}

test('torn writes that say so, of any disk, at any time', async (t) => {
  for (let seed = 1; seed <= 30; seed++) {
    const bench = new StoreBench(seed);
    await bench.live(LOOK_ONLY);
    for (const name of ['log', 'data-0', 'data-1']) {
      const fault = { kind: 'torn-write', status: DiskStatus.ioError } as const;
      bench.fault(name, { fault, nth: 14 + (seed % 9), once: true });
    }
    const life = await bench.live(MIXED);
    t.true(life.done && life.open === 0, `seed ${seed}`);
    bench.heal();
    bench.powerCut();
    await bench.live(LOOK_ONLY);
  }
});

for (const name of ['log', 'data-0']) {
  test(`${name} takes nothing any more: mutations fail, reads go on, and it comes back`, async (t) => {
    let refused = 0;
    for (let seed = 1; seed <= 6; seed++) {
      const bench = new StoreBench(seed);
      await bench.live(MIXED);
      const { life } = bench.spawn({ ...MIXED, steps: 400 });
      await bench.sim.run({ until: () => (life()?.steps ?? 0) > 40 });
      const status = seed % 2 === 0 ? DiskStatus.noSpace : DiskStatus.ioError;
      bench.fault(name, { fault: { kind: 'error', status }, ops: [DiskOp.write, DiskOp.flush] });
      const isRefused = (): boolean => (life()?.failed ?? 0) + (life()?.noSpace ?? 0) > 5;
      await bench.sim.run({ until: isRefused, maxEvents: 20_000 });
      const reads = life()?.reads ?? 0;
      await bench.sim.run({ until: () => (life()?.reads ?? 0) > reads, maxEvents: 20_000 });
      t.true((life()?.reads ?? 0) > reads, 'reads go on');
      bench.heal();
      await bench.sim.run({ maxEvents: 100_000 });
      bench.noFailure();
      t.true(life()?.done === true && life()?.open === 0, `seed ${seed}`);
      t.is(life()?.failure, null);
      refused += life()?.failed ?? 0;
      bench.powerCut();
      await bench.live(LOOK_ONLY);
    }
    t.true(refused > 0);
  });
}

test('a full store says so, reads go on, trims and decommit give its space back', async (t) => {
  let full = 0;
  for (let seed = 1; seed <= 6; seed++) {
    const bench = new StoreBench(seed);
    const filled = await bench.live({ ...MIXED, steps: 300, trims: 0 });
    full += filled.noSpace;
    t.is(filled.store?.statistics().freeBytes, 0);
    const trimmed = await bench.live({ ...MIXED, steps: 400, trims: 0.97 });
    trimmed.store?.decommit();
    t.true((trimmed.store?.statistics().freeBytes ?? 0) >= 6 * 65_536, `seed ${seed}`);
    const again = await bench.live({ ...MIXED, steps: 40, trims: 0.1 });
    t.true((again.store?.statistics().usedBytes ?? 0) > 0);
    await bench.live(LOOK_ONLY);
  }
  t.true(full > 100, `${full}`);
});

test('the log turns over many times, and never grows', async (t) => {
  for (const seed of [1, 2]) {
    const bench = new StoreBench(seed);
    const life = await bench.live({ ...MIXED, steps: 3_000, trims: 0.1 });
    t.true(life.done && life.open === 0);
    t.is(life.failed, 0);
    t.true((life.store?.statistics().logBytes ?? 0) <= 4 * SEGMENT_BYTES);
    t.is(bench.host.disk('log').sizeBytes, SMALL.logBytes);
    bench.powerCut();
    await bench.live(LOOK_ONLY);
  }
});
