import test from 'ava';
import {
  AdaptiveSpin,
  MISSES_PER_PROBE_MAX,
  MISSES_PER_PROBE_MIN,
  SPIN_LOOKS_MAX,
} from '../../../src/world/real/bell-watch.ts';

function wordOf(value: number): Int32Array {
  const words = new Int32Array(new SharedArrayBuffer(4));
  words[0] = value;
  return words;
}

test('the budget of looks halves on each miss until nothing is left', (t) => {
  const spin = new AdaptiveSpin();
  const word = wordOf(7);
  for (let expected = SPIN_LOOKS_MAX; expected > 0; expected >>= 1) {
    t.is(spin.budgetLooks, expected);
    t.false(spin.changed(word, 0, 7));
  }
  t.is(spin.budgetLooks, 0);
});

test('after a long idle time a probe sees the next hit, and the budget recovers', (t) => {
  const word = wordOf(7);
  let answers = false;
  // The clock is read once the first looks have found nothing: the other side answers then.
  const spin = new AdaptiveSpin(() => {
    if (answers) word[0] = 8;
    return 0;
  });
  while (spin.budgetLooks > 0) spin.changed(word, 0, 7);
  answers = true;
  let tries = 1;
  while (!spin.changed(word, 0, 7)) tries += 1;
  t.true(tries <= MISSES_PER_PROBE_MIN, `a change is seen within a probe period, took ${tries}`);
  t.true(spin.budgetLooks >= 2 * 256, 'one hit is enough to wait as long again');
});

test('each probe that misses doubles the distance to the next, up to the largest', (t) => {
  let clockReads = 0;
  const spin = new AdaptiveSpin(() => {
    clockReads += 1;
    return 0;
  });
  const word = wordOf(7);
  while (spin.budgetLooks > 0) spin.changed(word, 0, 7);
  const MISSES = 20 * MISSES_PER_PROBE_MAX;
  clockReads = 0;
  for (let miss = 0; miss < MISSES; miss++) spin.changed(word, 0, 7);
  const probes = clockReads / 2;
  const doublings = Math.log2(MISSES_PER_PROBE_MAX / MISSES_PER_PROBE_MIN);
  t.true(probes > doublings, `the budget is probed again and again: ${probes} probes`);
  t.true(probes <= 20 + doublings, `far apart in the end: ${probes} probes`);
});

test('a hit during which the thread was off its core counts as a miss', (t) => {
  const word = wordOf(7);
  let nowMs = 0;
  const spin = new AdaptiveSpin(() => {
    word[0] = 8;
    nowMs += 4;
    return nowMs;
  });
  t.true(spin.changed(word, 0, 7), 'the change itself is reported');
  t.is(spin.budgetLooks, SPIN_LOOKS_MAX / 2);
});

test('a bell that has changed before the first look leaves the budget as it is', (t) => {
  const spin = new AdaptiveSpin();
  spin.changed(wordOf(7), 0, 7);
  const before = spin.budgetLooks;
  t.true(spin.changed(wordOf(8), 0, 7));
  t.is(spin.budgetLooks, before);
});
