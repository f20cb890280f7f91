import test from 'ava';
import { AdaptiveSpin, SPIN_LOOKS_MAX } from '../../../src/world/real/bell-watch.ts';

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
  const spin = new AdaptiveSpin();
  const word = wordOf(7);
  for (let miss = 0; miss < 1000; miss++) spin.changed(word, 0, 7);
  t.is(spin.budgetLooks, 0);
  let tries = 1;
  while (!spin.changed(word, 0, 8)) tries += 1;
  t.true(tries <= 17, `a change is seen within one probe period, took ${tries}`);
  for (let hit = 0; hit < 5; hit++) t.true(spin.changed(word, 0, 8));
  t.is(spin.budgetLooks, SPIN_LOOKS_MAX);
});
