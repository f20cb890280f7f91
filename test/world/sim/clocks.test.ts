/** Clocks of single actors that go wrong: timers and deadlines follow, records do not. */
import test from 'ava';
import { type Nanos, nanos } from '../../../src/base/units.ts';
import { stage } from './helper-actors.ts';

const START_NS = 1_000;

interface Seen {
  readonly localNs: number;
  readonly runNs: number;
}

test('timers that were set before a clock jumped fire at once when it has passed them', async (t) => {
  const { sim, world, spawn } = stage();
  const fired: Seen[] = [];
  spawn((own) => ({
    start: async () => {
      for (const atNs of [10_000, 20_000, 900_000]) {
        own.timers.at(nanos(atNs), () =>
          fired.push({ localNs: own.clock.nowNs(), runNs: own.recordClock.nowNs() }),
        );
      }
      own.timers.cancel(own.timers.at(nanos(30_000), () => t.fail('it was cancelled')));
    },
  }));
  world.timers.at(nanos(5_000), () => sim.jumpClock('g0', 100_000));
  await sim.run();
  t.deepEqual(fired, [
    { localNs: 105_000, runNs: 5_000 },
    { localNs: 105_000, runNs: 5_000 },
    { localNs: 900_000, runNs: 800_000 },
  ]);
});

test('a clock that is too fast wakes its actor early, one that is too slow late', async (t) => {
  for (const [driftPpm, tookNs] of [
    [1_000_000, 500_000],
    [-500_000, 2_000_000],
    [0, 1_000_000],
  ] as const) {
    const { sim, world, spawn } = stage();
    let woke: Seen | null = null;
    spawn((own) => ({
      start: async () => {
        await own.timers.sleep(99_000);
        const runNs = own.recordClock.nowNs();
        const localNs = own.clock.nowNs();
        await own.timers.sleep(1_000_000);
        woke = {
          localNs: own.clock.nowNs() - localNs,
          runNs: own.recordClock.nowNs() - runNs,
        };
      },
    }));
    world.timers.at(nanos(START_NS), () => sim.setDrift('g0', driftPpm));
    await sim.run();
    t.deepEqual(woke, { localNs: 1_000_000, runNs: tookNs }, `${driftPpm} ppm`);
  }
});

test('the deadline of an actor moves with its clock', async (t) => {
  const { sim, world, spawn } = stage();
  const steps: Seen[] = [];
  let deadlineNs: Nanos = nanos(50_000);
  spawn((own) => ({
    step: () => {
      steps.push({ localNs: own.clock.nowNs(), runNs: own.recordClock.nowNs() });
      if (own.clock.nowNs() >= deadlineNs) deadlineNs = nanos(deadlineNs + 1_000_000);
      return 'idle';
    },
    nextDeadlineNs: () => deadlineNs,
  }));
  world.timers.at(nanos(10_000), () => sim.jumpClock('g0', 45_000));
  await sim.run({ maxTimeNs: 900_000 });
  const late = steps.slice(1).find(({ localNs }) => localNs >= 50_000);
  t.true(late !== undefined && late.runNs >= 10_000 && late.runNs < 10_200, JSON.stringify(steps));
});

test('a successor has a right clock, and others never had a wrong one', async (t) => {
  const { sim, world, spawn } = stage();
  const seen: Seen[] = [];
  const script = (own: typeof world) => ({
    start: async () => {
      await own.timers.sleep(20_000);
      seen.push({ localNs: own.clock.nowNs(), runNs: own.recordClock.nowNs() });
    },
  });
  const first = spawn(script);
  spawn(script, { name: 'g1', bellAddress: 8192 });
  world.timers.at(nanos(2_000), () => sim.jumpClock('g0', 1_000));
  world.timers.at(nanos(3_000), () => first.kill());
  void first.exited.then(() => spawn(script));
  await sim.run();
  t.is(seen.length, 2);
  for (const { localNs, runNs } of seen) t.is(localNs, runNs);
  t.is(world.clock.nowNs(), world.recordClock.nowNs());
});
