import test from 'ava';
import { type Nanos, nanos } from '../../../src/base/units.ts';
import { ActorWords } from '../../../src/world/real/actor-words.ts';
import { ActorClock, MonotonicClock, startClock } from '../../../src/world/real/clock.ts';
import { NodeTimers } from '../../../src/world/real/node-timers.ts';
import { until } from './helpers.ts';

function clockOf() {
  const words = ActorWords.create();
  let runNs = 0;
  const clock = new ActorClock({ nowNs: (): Nanos => nanos(runNs) }, words);
  const at = (ns: number): number => {
    runNs = ns;
    return clock.nowNs();
  };
  return { words, clock, at };
}

test('a clock follows the words from the moment its actor looks at it', (t) => {
  const { words, clock, at } = clockOf();
  let changes = 0;
  clock.onChange = () => changes++;
  t.is(at(1_000), 1_000);
  words.setClockDrift(1_000_000);
  t.is(at(2_000), 2_000, 'nothing is gained before it looks');
  t.is(at(3_000), 4_000);
  t.is(clock.untilNs(6_000), 1_000, 'two thousand of its nanoseconds are one of the run');
  words.setClockDrift(0);
  t.is(at(4_000), 6_000);
  t.is(at(5_000), 7_000);
  words.jumpClock(2);
  words.jumpClock(3);
  t.is(at(5_000), 5_007_000, 'jumps add up');
  t.is(at(6_000), 5_008_000);
  t.is(changes, 3);
});

test('a jump wakes who sleeps on the event loop as soon as the clock is looked at', async (t) => {
  const words = ActorWords.create();
  const run = new MonotonicClock(startClock());
  const clock = new ActorClock(run, words);
  const timers = new NodeTimers(clock, () => {});
  clock.onChange = () => timers.rearm();
  let fired = false;
  timers.at(nanos(clock.nowNs() + 600e9), () => {
    fired = true;
  });
  words.jumpClock(600_000);
  clock.nowNs();
  await until('the timer fires ten minutes early', () => fired);
  t.true(run.nowNs() < 60e9);
});
