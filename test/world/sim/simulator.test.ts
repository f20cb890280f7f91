import test from 'ava';
import { MS, nanos } from '../../../src/base/units.ts';
import type { World } from '../../../src/world/world.ts';
import { stage } from './helper-actors.ts';

test('a chain of 100 promise hops ends before the next event, however close that is', async (t) => {
  const { sim, world } = stage();
  const order: string[] = [];
  const chain = async (): Promise<void> => {
    await world.timers.sleep(10);
    for (let hop = 0; hop < 100; hop++) await Promise.resolve();
    order.push('chain');
  };
  const story = chain();
  world.timers.at(nanos(10 + 1), () => order.push('next event'));
  await sim.run();
  await story;
  t.deepEqual(order, ['chain', 'next event']);
});

test('events of the same time have an order per seed, other seeds have other orders', async (t) => {
  const orderOf = async (seed: number, tieBreak: 'seeded' | 'fifo'): Promise<string> => {
    const { sim, world } = stage({ seed, tieBreak });
    let order = '';
    for (const letter of 'abcdefgh') world.timers.at(nanos(5), () => (order += letter));
    await sim.run();
    return order;
  };
  const orders = new Set<string>();
  for (let seed = 0; seed < 10; seed++) {
    const order = await orderOf(seed, 'seeded');
    t.is(await orderOf(seed, 'seeded'), order, `seed ${seed}`);
    t.is(await orderOf(seed, 'fifo'), 'abcdefgh', `seed ${seed}`);
    orders.add(order);
  }
  t.true(orders.size > 5, [...orders].join());
});

test('a draw more from one stream leaves all other streams as they were', (t) => {
  const drawsAfter = (extraDraws: number): number[] => {
    const { sim, host, world } = stage({ seed: 7 });
    const other = sim.toolstackWorld('other', host);
    for (let i = 0; i < extraDraws; i++) world.random.nextU32();
    const named = other.random.fork('workload');
    return [other.random.nextU32(), named.nextU32(), sim.stream('x').nextU32()];
  };
  t.deepEqual(drawsAfter(0), drawsAfter(5));
  const { sim, host } = stage({ seed: 7 });
  const first = sim.toolstackWorld('same name', host).random.nextU32();
  const second = sim.toolstackWorld('same name', host).random.nextU32();
  t.not(first, second, 'each incarnation of a name has a stream of its own');
});

test('a run stops at a limit or its condition, and goes on after it', async (t) => {
  const { sim, world } = stage();
  let ticks = 0;
  const tick = (): void => {
    ticks++;
    if (ticks < 100) world.timers.at(nanos(world.clock.nowNs() + 10), tick);
  };
  world.timers.at(nanos(10), tick);
  const byEvents = await sim.run({ maxEvents: 7 });
  t.like(byEvents, { end: 'event-limit', limitReached: 'events', events: 7 });
  const byTime = await sim.run({ maxTimeNs: 205 });
  t.like(byTime, { end: 'time-limit', limitReached: 'time', endNs: nanos(200), events: 20 });
  const byCondition = await sim.run({ until: () => ticks === 30 });
  t.like(byCondition, { end: 'until', limitReached: null, events: 30 });
  const byEnd = await sim.run();
  t.like(byEnd, { end: 'queue-empty', limitReached: null, events: 100, failures: [] });
});

test('a cancelled timer never fires and does not move the clock', async (t) => {
  const { sim, world } = stage();
  const late = world.timers.at(nanos(5 * MS), () => t.fail('it was cancelled'));
  world.timers.at(nanos(10), () => world.timers.cancel(late));
  const outcome = await sim.run();
  t.is(outcome.endNs, nanos(10));
  world.timers.at(nanos(20), () => t.pass());
  world.timers.cancel(late);
  await sim.run();
});

test('a busy actor takes its events later, one by one and in their order', async (t) => {
  for (let seed = 0; seed < 20; seed++) {
    const { sim, world } = stage({ seed });
    const seen: string[] = [];
    const note = (name: string, costNs: number) => (): void => {
      t.is(world.clock.nowNs(), nanos(sim.nowNs), 'nothing was spent in this event yet');
      seen.push(`${name}@${sim.nowNs}`);
      world.cpu.spend(costNs);
    };
    const waiting = world.timers.at(nanos(25), note('cancelled', 0));
    world.timers.at(nanos(10), note('a', 100));
    world.timers.at(nanos(20), () => {
      note('b', 30)();
      world.timers.cancel(waiting);
    });
    world.timers.at(nanos(30), note('c', 0));
    world.timers.at(nanos(31), note('d', 5));
    world.timers.at(nanos(140), note('e', 0));
    world.timers.at(nanos(150), note('f', 0));
    await sim.run();
    t.deepEqual(seen, ['a@10', 'b@110', 'c@140', 'd@140', 'e@145', 'f@150'], `seed ${seed}`);
  }
});

test('a callback of the toolstack that throws rejects the run', async (t) => {
  const { sim, world } = stage();
  world.timers.at(nanos(10), () => {
    throw new TypeError('toolstack bug');
  });
  await t.throwsAsync(sim.run(), { message: 'toolstack bug' });
  t.is(typeof Date.now(), 'number', 'the traps are gone');
});

test('with a breath the event loop gets its turn in the middle of a long run', async (t) => {
  const { sim, world } = stage();
  let left = 200_000;
  const tick = (): void => {
    if (--left > 0) world.timers.at(nanos(world.clock.nowNs() + 1), tick);
  };
  world.timers.at(nanos(1), tick);
  let breaths = 0;
  const outcome = await sim.run({
    breathe: (resume) => {
      breaths++;
      t.is(typeof Date.now(), 'number', 'the traps are away');
      setImmediate(resume);
    },
  });
  t.is(outcome.events, 200_000);
  t.is(breaths, 3);
});

test('simulators on one thread run one after the other, each with its own result', async (t) => {
  const runOne = async (seed: number): Promise<string> => {
    const { sim, world } = stage({ seed });
    const story = async (w: World): Promise<void> => {
      for (let i = 0; i < 50; i++) {
        await w.timers.sleep(w.random.between(1, 100));
        w.log.event('turn', i);
      }
    };
    void story(world);
    return (await sim.run()).hash;
  };
  const alone = [await runOne(1), await runOne(2)];
  t.deepEqual(await Promise.all([runOne(1), runOne(2)]), alone);
  t.not(alone[0], alone[1]);
});
