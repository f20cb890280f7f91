import test from 'ava';
import type { Prng } from '../../../src/base/prng.ts';
import { AnsweredWindow } from '../../../src/parallax/log/answered-window.ts';
import { check, forSeeds } from '../../helpers/property.ts';

test('a window holds the newest parts in log order, however far a number is behind', (t) => {
  const window = new AnsweredWindow(4, 2);
  window.add(1, 1_000_000, 0);
  window.add(1, 5, 0);
  window.add(1, 6, 2048);
  t.true(window.has(1, 5, 0));
  t.false(window.has(1, 5, 2048), 'a part is not another part');
  t.false(window.has(1, 7, 0), 'below the highest, but not in the log');
  t.false(window.has(2, 5, 0), 'another front end');
  window.add(1, 7, 0);
  window.add(1, 8, 0);
  t.false(window.has(1, 1_000_000, 0), 'the oldest is forgotten');
  t.true(window.has(1, 5, 0));
});

test('entries of no front end are not kept, and front ends are bounded', (t) => {
  const window = new AnsweredWindow(4, 2);
  window.add(0, 1, 0);
  t.is(window.fronts, 0);
  for (const frontId of [1, 2, 3]) window.add(frontId, 1, 0);
  t.is(window.fronts, 2);
  t.false(window.has(1, 1, 0));
  window.forget(2);
  t.false(window.has(2, 1, 0));
});

test('what is restored from a checkpoint answers and forgets as the original does', (t) => {
  const property = (random: Prng): void => {
    const depth = random.between(1, 40);
    const one = new AnsweredWindow(depth, 4);
    let frontSeq = 0;
    const step = (window: AnsweredWindow[], draws: Prng): void => {
      frontSeq += draws.chance(0.7) ? 1 : draws.below(5);
      const partOffset = draws.chance(0.2) ? 2048 : 0;
      for (const each of window) each.add(1, frontSeq, partOffset);
    };
    for (let i = random.below(100); i > 0; i--) step([one], random);
    const other = new AnsweredWindow(depth, 4);
    other.restore(one.encode());
    for (let i = random.below(60); i > 0; i--) step([one, other], random);
    for (let seq = 0; seq <= frontSeq + 1; seq++) {
      for (const part of [0, 2048]) {
        check(one.has(1, seq, part) === other.has(1, seq, part), `${seq}/${part}`);
      }
    }
  };
  t.notThrows(() => forSeeds(200, property));
});
