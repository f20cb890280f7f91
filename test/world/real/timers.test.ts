import test from 'ava';
import fc from 'fast-check';
import { MS, type Nanos, NEVER, nanos } from '../../../src/base/units.ts';
import { MonotonicClock, startClock } from '../../../src/world/real/clock.ts';
import { NodeTimers } from '../../../src/world/real/node-timers.ts';
import { TimerHeap } from '../../../src/world/real/timer-heap.ts';
import type { TimerId } from '../../../src/world/world.ts';
import { until } from './helpers.ts';

const stopped = { nowNs: (): Nanos => nanos(0) };

test('timers fire by deadline, equal ones as they were set, cancelled ones never', (t) => {
  const command = fc.record({
    deadline: fc.integer({ min: 0, max: 20 }),
    cancel: fc.option(fc.nat(40), { nil: null }),
  });
  fc.assert(
    fc.property(
      fc.array(command, { maxLength: 40 }),
      fc.integer({ min: 0, max: 20 }),
      (all, now) => {
        const heap = new TimerHeap(stopped);
        const fired: number[] = [];
        const ids: TimerId[] = [];
        const gone = new Set<number>();
        all.forEach(({ deadline, cancel }, index) => {
          ids.push(heap.at(nanos(deadline), () => fired.push(index)));
          if (cancel === null || cancel > index) return;
          heap.cancel(ids[cancel] as TimerId);
          gone.add(cancel);
        });
        const left = all
          .map(({ deadline }, index) => ({ deadline, index }))
          .filter(({ index }) => !gone.has(index))
          .sort((a, b) => a.deadline - b.deadline || a.index - b.index);
        const due = left.filter(({ deadline }) => deadline <= now);
        const rest = left.slice(due.length);
        const any = heap.fireDue(nanos(now));
        return (
          any === due.length > 0 &&
          JSON.stringify(fired) === JSON.stringify(due.map(({ index }) => index)) &&
          heap.nextDeadlineNs() === (rest[0]?.deadline ?? NEVER)
        );
      },
    ),
  );
  t.pass();
});

test('a timer that sets itself again waits for the next round', (t) => {
  const heap = new TimerHeap(stopped);
  let fired = 0;
  const again = (): void => {
    fired += 1;
    heap.at(nanos(0), again);
  };
  heap.at(nanos(0), again);
  heap.fireDue(nanos(5));
  t.is(fired, 1);
  heap.fireDue(nanos(5));
  t.is(fired, 2);
});

test('cancelling a timer that has fired does not hit the one that took its slot', (t) => {
  const heap = new TimerHeap(stopped);
  const old = heap.at(nanos(1), () => {});
  heap.fireDue(nanos(1));
  let fired = false;
  heap.at(nanos(2), () => {
    fired = true;
  });
  heap.cancel(old);
  heap.cancel(old);
  heap.fireDue(nanos(2));
  t.true(fired);
});

test('after close nothing fires, and what is set later neither', (t) => {
  const heap = new TimerHeap(stopped);
  const fail = (): void => t.fail('a timer of a dead actor fired');
  heap.at(nanos(1), fail);
  heap.close();
  heap.cancel(heap.at(nanos(1), fail));
  heap.at(nanos(1), fail);
  t.is(heap.nextDeadlineNs(), NEVER);
  t.false(heap.fireDue(nanos(10)));
});

test('timers on the event loop fire in order, never early, and tell that they did', async (t) => {
  const clock = new MonotonicClock(startClock());
  let activity = 0;
  const timers = new NodeTimers(clock, () => {
    activity += 1;
  });
  const fired: string[] = [];
  const now = clock.nowNs();
  const at = (name: string, afterMs: number): TimerId =>
    timers.at(nanos(now + afterMs * MS), () => {
      t.true(clock.nowNs() >= now + afterMs * MS, `${name} is not early`);
      fired.push(name);
    });
  at('third', 9);
  at('first', 2);
  at('second', 5);
  timers.cancel(at('never', 3));
  await timers.sleep(12 * MS);
  t.deepEqual(fired, ['first', 'second', 'third']);
  t.true(activity > 0);
});

test('a timer that throws does not keep the later ones from firing', async (t) => {
  const clock = new MonotonicClock(startClock());
  const timers = new NodeTimers(clock, () => {});
  let caught: unknown = null;
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', (thrown) => {
    caught = thrown;
  });
  let fired = false;
  timers.at(clock.nowNs(), () => {
    throw new Error('planted');
  });
  timers.at(nanos(clock.nowNs() + MS), () => {
    fired = true;
  });
  await until('the later timer fires', () => fired && caught !== null);
  for (const listener of others) process.on('uncaughtException', listener);
  t.is((caught as unknown as Error).message, 'planted');
});

test('a sleep of no time ends in the next round, after what was ready, and never after the end', async (t) => {
  let fired = 0;
  const timers = new NodeTimers(new MonotonicClock(startClock()), () => fired++);
  const order: string[] = [];
  setImmediate(() => order.push('was ready'));
  const slept = timers.sleep(0).then(() => order.push('slept'));
  t.deepEqual(order, []);
  await slept;
  t.deepEqual(order, ['was ready', 'slept']);
  t.is(fired, 1, 'the actor is looked at afterwards');
  void timers.sleep(0).then(() => order.push('after the end'));
  timers.close();
  await new Promise((resolve) => setTimeout(resolve, 5));
  t.is(order.length, 2);
  t.is(fired, 1);
});
