/** Sweeps: the server is killed, or its power cut, at every event and at every crash point. */
import test from 'ava';
import { CRASH_POINTS } from '../../../src/world/faults.ts';
import { DiskOp } from '../../../src/world/sim/disk-timing.ts';
import { isLong } from '../../helpers/long-tests.ts';
import { LOOK_ONLY, MIXED, StoreBench } from './store-bench.ts';

const STORE_CRASH_POINTS = CRASH_POINTS.filter((point) => point.startsWith('store.'));
const SHORT = { ...MIXED, steps: 30 };

test('a workload over five lives: what is recovered is what was done', async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    const bench = new StoreBench(seed);
    for (let life = 0; life < 5; life++) {
      const made = await bench.live({ ...MIXED, close: life === 3 });
      t.true(made.done && made.open === 0, `seed ${seed}`);
      t.is(made.closed, life === 3);
    }
    await bench.live(LOOK_ONLY);
  }
});

/** One life that ends at its n-th event, then others that go on. False: it had fewer events. */
async function dieAtEvent(seed: number, nth: number, power: boolean): Promise<boolean> {
  const bench = new StoreBench(seed);
  // Every other seed begins with a store that has something.
  if (seed % 2 === 0) await bench.live({ ...MIXED, close: true });
  bench.sim.armKillAtEvent('p0', nth, power ? bench.powerCut : undefined);
  try {
    await bench.live(SHORT);
    if (bench.sim.armedCount > 0) return false;
    // The second life dies in its recovery, two times of three; the third has to cope with both.
    if (nth % 3 !== 0) bench.sim.armKillAtEvent('p0', 2 + ((nth * 7) % 120), bench.powerCut);
    await bench.live(SHORT);
    await bench.live(SHORT);
    await bench.live(LOOK_ONLY);
  } catch (cause) {
    const what = power ? 'power cut' : 'kill';
    throw new Error(`seed ${seed}, event ${nth}, ${what}: ${String(cause)}`, { cause });
  }
  return true;
}

for (const power of [false, true]) {
  const what = power ? 'the power is cut' : 'the server is killed';
  test(`${what} at every event: what was done is there, nothing is invented`, async (t) => {
    let events = 0;
    for (const seed of isLong ? [11, 12] : [12]) {
      // Its first event is its start: before that there is nothing.
      for (let nth = 2; await dieAtEvent(seed, nth, power); nth++) events++;
    }
    t.log(`${events} events`);
    t.true(events > 150, `${events} events`);
  });
}

test('killed or cut off at each crash point, the next life finds what it must', async (t) => {
  const missed: string[] = [];
  for (const point of STORE_CRASH_POINTS) {
    let struck = 0;
    for (let nth = 1; nth <= 6; nth++) {
      for (const power of [false, true]) {
        const bench = new StoreBench(100 + nth);
        if (nth % 2 === 0) await bench.live(MIXED);
        // Groups move only after a fault; nothing was lost but by a new store.
        if (point === 'store.before-relocate') bench.failOnce('log', DiskOp.flush, 6 + nth);
        bench.sim.armCrashPoint(
          'p0',
          point,
          nth % 2 === 0 ? nth / 2 : nth,
          power ? bench.powerCut : undefined,
        );
        await bench.live(MIXED);
        if (bench.sim.armedCount === 0) struck++;
        await bench.live(MIXED);
        await bench.live(LOOK_ONLY);
      }
    }
    if (struck === 0) missed.push(point);
  }
  t.deepEqual(missed, []);
});
