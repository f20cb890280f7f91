/** Sweeps: the driver VM is killed, or the power cut, at every event and at every crash point. */
import test from 'ava';
import { CRASH_POINTS } from '../../../src/world/faults.ts';
import { DiskOp } from '../../../src/world/sim/disk-timing.ts';
import { isLong } from '../../helpers/long-tests.ts';
import { LogBench, MIXED, RECOVER_ONLY } from './log-bench.ts';

/** `log.after-append` is passed by whoever appends. */
const OWN_POINTS = CRASH_POINTS.filter(
  (name) => name.startsWith('log.') && name !== 'log.after-append',
);

const SHORT = { ...MIXED, mutations: 40 };

test('a workload over three lives: what is recovered is what was appended', async (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const bench = new LogBench(seed);
    for (let life = 0; life < 3; life++) {
      const made = await bench.live(MIXED);
      t.true(made.done, `seed ${seed}`);
    }
    const last = await bench.live(RECOVER_ONLY);
    t.true((last.recovered?.statistics.entries ?? 0) > 0);
  }
});

/** One life that ends at its n-th event, then one that goes on. False: it had fewer events. */
async function dieAtEvent(seed: number, nth: number, power: boolean): Promise<boolean> {
  const bench = new LogBench(seed);
  bench.sim.armKillAtEvent('d0', nth, power ? bench.powerCut : undefined);
  try {
    await bench.live(SHORT);
    if (bench.sim.armedCount > 0) return false;
    // The second life dies in its recovery, every third time; the third has to cope with both.
    if (nth % 3 === 0) bench.sim.armKillAtEvent('d0', 2 + (nth % 40), bench.powerCut);
    await bench.live(SHORT);
    await bench.live(SHORT);
    await bench.live(RECOVER_ONLY);
  } catch (cause) {
    throw new Error(
      `seed ${seed}, event ${nth}, ${power ? 'power cut' : 'kill'}: ${String(cause)}`,
      { cause },
    );
  }
  return true;
}

for (const power of [false, true]) {
  const what = power ? 'the power is cut' : 'the driver VM is killed';
  test(`${what} at every event: nothing promised is lost, nothing is invented`, async (t) => {
    let events = 0;
    for (const seed of isLong ? [11, 12, 13] : [12]) {
      // Its first event is its start: before that there is nothing.
      for (let nth = 2; await dieAtEvent(seed, nth, power); nth++) events++;
    }
    t.true(events > (isLong ? 200 : 60), `${events} events`);
  });
}

test('killed or cut off at each crash point of the log, the next life finds what it must', async (t) => {
  const missed: string[] = [];
  for (const point of OWN_POINTS) {
    let struck = 0;
    for (let nth = 1; nth <= 5; nth++) {
      for (const power of [false, true]) {
        const bench = new LogBench(100 + nth);
        // A file is removed, and groups move, only in a later life or after a fault.
        await bench.live(MIXED);
        bench.sim.armCrashPoint('d0', point, nth, power ? bench.powerCut : undefined);
        if (point === 'log.before-relocate') bench.failOnce('log-2-1', DiskOp.flush, 3 + nth);
        await bench.live(MIXED);
        if (bench.sim.armedCount === 0) struck++;
        await bench.live(MIXED);
        await bench.live(RECOVER_ONLY);
      }
    }
    if (struck === 0) missed.push(point);
  }
  t.deepEqual(missed, []);
});
