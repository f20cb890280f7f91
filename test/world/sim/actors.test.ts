import test from 'ava';
import { StorageError } from '../../../src/base/errors.ts';
import { fail, invariant } from '../../../src/base/invariant.ts';
import { type Nanos, nanos } from '../../../src/base/units.ts';
import type { ExitReport, StepResult } from '../../../src/world/actor.ts';
import type { World } from '../../../src/world/world.ts';
import { BELL, diskIo, filled, stage } from './helper-actors.ts';

test('an actor that has finished exits with its result, after its teardown', async (t) => {
  const { sim, spawn } = stage();
  let done = false;
  const handle = spawn(
    (world, config) => ({
      start: async () => {
        await world.timers.sleep(100);
        done = true;
      },
      finished: () => done,
      result: () => ({ config, atNs: world.clock.nowNs() }),
    }),
    { config: { size: 3 } },
  );
  let exit: ExitReport | null = null;
  let exitNs = 0;
  void handle.exited.then((report) => {
    exit = report;
    exitNs = sim.nowNs;
  });
  const outcome = await sim.run();
  t.deepEqual(exit, { reason: 'finished', result: { config: { size: 3 }, atNs: 1_100 } });
  t.is(exitNs, 1_600);
  t.deepEqual(outcome.failures, []);
});

test('a bell gives one step however often it is rung before it', async (t) => {
  const { sim, world, spawn } = stage();
  const steps: number[] = [];
  spawn((own) => ({
    step: () => {
      steps.push(own.clock.nowNs());
      return 'idle';
    },
  }));
  world.timers.at(nanos(2_000), () => {
    for (let i = 0; i < 5; i++) world.wake.ring(BELL);
    world.wake.ring(BELL + 4);
  });
  world.timers.at(nanos(5_000), () => world.wake.ring(BELL));
  await sim.run();
  t.is(steps.length, 3, 'the first step, and one for each time the bell was rung');
  const [, second, third] = steps as [number, number, number];
  t.true(second >= 2_050 && second <= 2_150 && third >= 5_050 && third <= 5_150, steps.join());
});

test('a bell that is rung again and again does not put the step off', async (t) => {
  const { sim, world, spawn } = stage();
  let steps = 0;
  spawn(() => ({
    step: () => {
      steps++;
      return 'idle';
    },
  }));
  for (let ns = 2_000; ns < 4_000; ns += 20)
    world.timers.at(nanos(ns), () => world.wake.ring(BELL));
  await sim.run();
  t.true(steps > 2_000 / 150 && steps < 100, `${steps} steps`);
});

test('a deadline gives a step, also one that has moved and one that is long past', async (t) => {
  const { sim, spawn } = stage();
  const steps: number[] = [];
  let deadline = nanos(9_000);
  spawn((own) => ({
    start: async () => {
      await own.timers.sleep(500);
      deadline = nanos(4_000);
      await own.timers.sleep(500);
      deadline = nanos(6_000);
    },
    step: () => {
      steps.push(own.clock.nowNs());
      if (own.clock.nowNs() >= 6_000) deadline = nanos(steps.length < 5 ? 1 : Infinity);
      return 'idle';
    },
    nextDeadlineNs: () => deadline,
  }));
  const outcome = await sim.run();
  t.is(outcome.end, 'queue-empty');
  t.is(steps.length, 5);
  t.is(steps[1], 6_000, 'nothing at 4,000: it had moved');
  t.true((steps[4] as number) > (steps[3] as number), 'time goes on');
});

test('an actor that never stops saying again is bounded by the limits', async (t) => {
  const steps = (): StepResult => 'again';
  const one = stage();
  one.spawn(() => ({ step: steps }));
  const byEvents = await one.sim.run({ maxEvents: 10_000 });
  t.like(byEvents, { end: 'event-limit', limitReached: 'events', events: 10_000 });
  const other = stage();
  other.spawn(() => ({ step: steps }));
  const byTime = await other.sim.run({ maxTimeNs: 100_000 });
  t.like(byTime, { end: 'time-limit', limitReached: 'time' });
});

test('a broken invariant ends the actor and is a failure of the run', async (t) => {
  const broken = stage();
  let count = 0;
  const byInvariant = broken.spawn((world) => ({
    start: async () => {
      await world.timers.sleep(10);
      await Promise.resolve();
      count = -1;
    },
    checkInvariants: () => invariant(count >= 0, 'counters are not negative'),
  }));
  const outcome = await broken.sim.run();
  t.is(outcome.failures.length, 1);
  t.like(outcome.failures[0], { actor: 'g0', incarnation: 1, timeNs: 1_010 });
  t.regex(outcome.failures[0]?.error.message ?? '', /counters are not negative/);
  t.is((await byInvariant.exited).reason, 'failed');
  const places = {
    step: { step: () => fail('step') },
    start: { start: async () => fail('start') },
    timer: { start: async (w: World) => void w.timers.at(nanos(2_000), () => fail('timer')) },
  };
  for (const [place, script] of Object.entries(places)) {
    const { sim, spawn } = stage();
    const handle = spawn(() => script);
    const { failures } = await sim.run();
    t.is(failures.length, 1, place);
    const exit = await handle.exited;
    t.true(exit.reason === 'failed' && exit.error.message.endsWith(place), place);
  }
});

test('a dead actor gets no timer, disk answer, frame, bell, call or promise', async (t) => {
  const { sim, host, world, spawn } = stage();
  host.addDisk('d', 1 << 20);
  const heard: string[] = [];
  const handle = spawn(
    (own) => {
      const afterDeath = async (name: string, promise: Promise<unknown>): Promise<void> => {
        await promise;
        heard.push(name);
      };
      return {
        start: async () => {
          const disk = await own.disks.open('d', { writable: true });
          heard.push('opened');
          void afterDeath('sleep', own.timers.sleep(200_000));
          void afterDeath(
            'disk',
            diskIo((io) => disk.write(io), filled(4096, 1), 0),
          );
          void afterDeath('close', disk.close());
          own.timers.at(nanos(200_000), () => heard.push('timer'));
          own.net.link('l').onFrame(() => heard.push('frame'));
        },
        step: () => {
          if (own.clock.nowNs() > 60_000) heard.push('step');
          return 'idle';
        },
        nextDeadlineNs: () => 70_000 as Nanos,
        control: { hello: () => heard.push('call') },
      };
    },
    { links: ['l'] },
  );
  world.timers.at(nanos(55_000), () => {
    handle.links.get('l')?.send(filled(8, 1));
    void handle.call('hello').catch(() => heard.push('rejected'));
    world.wake.ring(BELL);
    handle.kill();
    handle.kill();
    world.wake.ring(BELL);
    handle.links.get('l')?.send(filled(8, 1));
  });
  let exit = '';
  void handle.exited.then((report) => (exit = report.reason));
  const outcome = await sim.run();
  t.deepEqual(heard, ['opened', 'rejected']);
  t.is(exit, 'killed');
  t.is(host.disk('d').inFlightCount, 0);
  t.deepEqual(outcome.failures, []);
});

test('the World of the dead does nothing, a successor has its own life', async (t) => {
  const { sim, host, world, spawn } = stage();
  host.addDisk('d', 1 << 20);
  const worlds: World[] = [];
  let frames = 0;
  const start = () =>
    spawn(
      (own) => {
        worlds.push(own);
        return { start: async () => own.net.link('l').onFrame(() => frames++) };
      },
      { links: ['l'] },
    );
  const first = start();
  first.links.get('l')?.onFrame(() => t.fail('the dead send nothing'));
  world.timers.at(nanos(2_000), () => first.kill());
  await sim.run();
  const second = start();
  await sim.run();
  const [dead, living] = worlds as [World, World];
  const records = sim.log.records;
  dead.log.event('ghost');
  dead.timers.at(nanos(sim.nowNs + 10), () => t.fail('no timer'));
  dead.net.link('l').send(filled(1, 1));
  dead.wake.ring(BELL);
  void dead.disks.open('d', { writable: true }).then(() => t.fail('no promise'));
  t.throws(() => dead.crashPoint('any'), { any: true });
  t.is(sim.log.records, records);
  second.links.get('l')?.send(filled(4, 1));
  await sim.run();
  t.is(frames, 1);
  t.not(living.random.nextU32(), dead.random.nextU32());
});

test('an actor cannot start while its predecessor lives, but after', async (t) => {
  const { sim, spawn } = stage();
  const first = spawn(() => ({}));
  t.throws(() => spawn(() => ({})), { name: 'InvariantError' });
  first.kill();
  t.notThrows(() => spawn(() => ({})));
  await sim.run();
});

test('an actor is killed instead of its k-th event, for every k up to its last', async (t) => {
  const eventsWithout = await countTurns(null);
  t.is(eventsWithout.turns, 20);
  for (const k of [1, 2, 3, 10, 21]) {
    const { turns, armedCount } = await countTurns(k);
    // Event 1 is the start, event 2 the first step, the others are turns.
    t.is(turns, Math.max(0, k - 3), `k = ${k}`);
    t.is(armedCount, 0);
  }
  t.is((await countTurns(1_000)).armedCount, 1, 'one that never comes stays armed');
});

async function countTurns(k: number | null): Promise<{ turns: number; armedCount: number }> {
  const { sim, spawn } = stage({ tieBreak: 'fifo' });
  let turns = 0;
  spawn((own) => ({
    start: async () => {
      for (let i = 0; i < 20; i++) {
        await own.timers.sleep(1_000);
        turns++;
      }
    },
  }));
  if (k !== null) sim.armKillAtEvent('g0', k);
  await sim.run();
  return { turns, armedCount: sim.armedCount };
}

test('a crash point ends a step in the middle: nothing after it happens', async (t) => {
  const { sim, host, spawn } = stage();
  const word = host.memory.u32;
  let cleanups = 0;
  const start = () =>
    spawn((own) => ({
      step: () => {
        try {
          word[0] = (word[0] as number) + 1;
          own.crashPoint('between');
          word[1] = (word[1] as number) + 1;
        } finally {
          cleanups++;
        }
        return 'again';
      },
    }));
  sim.armCrashPoint('g0', 'elsewhere', 1);
  sim.armCrashPoint('g0', 'between', 3);
  const handle = start();
  const outcome = await sim.run({ maxEvents: 100 });
  t.is(outcome.end, 'queue-empty');
  t.deepEqual([word[0], word[1], cleanups], [3, 2, 3]);
  t.is((await handle.exited).reason, 'killed');
  t.deepEqual(outcome.failures, [], 'a planned death is no failure');
  // A plan may do something else than kill: here it takes the power from the whole host.
  word[0] = 0;
  start();
  sim.armCrashPoint('g0', 'between', 2, () => host.powerCut());
  await sim.run({ maxEvents: 100 });
  t.deepEqual([word[0], word[1]], [0, 0], 'RAM is lost with the power');
});

test('a crash point inside a story ends that actor there, and no other', async (t) => {
  const { sim, spawn } = stage();
  const seen: string[] = [];
  const script = (name: string) => (own: World) => ({
    start: async () => {
      await own.timers.sleep(10);
      seen.push(`${name} before`);
      own.crashPoint('in the story');
      seen.push(`${name} after`);
    },
  });
  spawn(script('g0'));
  spawn(script('g1'), { name: 'g1', bellAddress: BELL + 64 });
  sim.armCrashPoint('g0', 'in the story', 1);
  const outcome = await sim.run();
  t.deepEqual(seen.toSorted(), ['g0 before', 'g1 after', 'g1 before']);
  t.deepEqual(outcome.failures, []);
});

test('calls are answered in order, with copies; rejected if the actor dies', async (t) => {
  const { sim, world, spawn } = stage();
  const got: unknown[] = [];
  const list = [1, 2];
  const handle = spawn((own) => ({
    control: {
      push: (values: number[]) => {
        values.push(3);
        got.push(values);
        return values;
      },
      slow: async () => {
        await own.timers.sleep(1_000_000);
        return 'late';
      },
      constructorLike: () => 'own',
    },
  }));
  const answered = handle.call('push', list);
  void handle.call('push', [9]);
  const unknown = t.throwsAsync(handle.call('constructor'), { code: 'E_NO_METHOD' });
  const slow = t.throwsAsync(handle.call('slow'), { code: 'E_ACTOR_GONE', message: /slow/ });
  world.timers.at(nanos(50_000), () => handle.kill());
  const outcome = await sim.run();
  t.deepEqual(await answered, [1, 2, 3]);
  t.deepEqual(list, [1, 2], 'arguments are copies');
  t.deepEqual(got, [
    [1, 2, 3],
    [9, 3],
  ]);
  await unknown;
  await slow;
  await t.throwsAsync(handle.call('push', []), { code: 'E_ACTOR_GONE' });
  t.true(outcome.endNs < 60_000, 'nobody waits for a dead actor');
});

test('a control method with a bug ends the actor, one that refuses does not', async (t) => {
  const { sim, spawn } = stage();
  const handle = spawn(() => ({
    control: {
      refuse: () => {
        throw new StorageError('E_BUSY', 'not now');
      },
      hello: () => 'hello',
      bug: () => fail('control bug'),
    },
  }));
  const refused = t.throwsAsync(handle.call('refuse'), { code: 'E_BUSY' });
  const hello = handle.call('hello');
  const bug = t.throwsAsync(handle.call('bug'), { code: 'E_ACTOR_GONE' });
  const outcome = await sim.run();
  await refused;
  t.is(await hello, 'hello');
  await bug;
  t.is(outcome.failures.length, 1);
  t.is((await handle.exited).reason, 'failed');
});
