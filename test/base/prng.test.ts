import test from 'ava';
import { Prng } from '../../src/base/prng.ts';

function draws(random: Prng, count: number): number[] {
  return Array.from({ length: count }, () => random.nextU32());
}

/** How far the counts are from even, as chi-square: near `buckets - 1` when they are random. */
function chiSquare(values: readonly number[], buckets: number): number {
  const counts = Array.from({ length: buckets }, () => 0);
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  const expected = values.length / buckets;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

test('a seed means the same numbers for ever', (t) => {
  t.deepEqual(draws(new Prng(7, 'pin'), 4), [2585536828, 1616954697, 3706473077, 2700869385]);
});

test('what is drawn from one stream, before or after, does not shift another', (t) => {
  const calm = new Prng(42);
  const expected = draws(calm.fork('net/3->1'), 50);
  const busy = new Prng(42);
  draws(busy, 1000);
  const other = busy.fork('disk');
  draws(other, 77);
  t.deepEqual(draws(busy.fork('net/3->1'), 50), expected);
  t.notDeepEqual(draws(busy.fork('disk'), 50), expected);
});

test('a fork of a fork depends on the whole path of names', (t) => {
  const root = new Prng(1);
  const seen = new Set(['a', 'b', 'ab', 'ba', ''].map((name) => root.fork(name).nextU32()));
  seen.add(root.fork('a').fork('b').nextU32());
  seen.add(root.fork('b').fork('a').nextU32());
  t.is(seen.size, 7);
});

test('seeds that differ in any bit up to the 53rd give different streams', (t) => {
  const seen = new Set<number>();
  for (let bit = 0; bit < 53; bit++) seen.add(new Prng(2 ** bit).nextU32());
  t.is(seen.size, 53);
});

test('numbers of one stream, and first numbers of many streams, are even', (t) => {
  const stream = new Prng(3);
  const one = Array.from({ length: 100_000 }, () => stream.below(100));
  const bySeed = Array.from({ length: 100_000 }, (_, seed) => new Prng(seed).below(100));
  const root = new Prng(5);
  const byName = Array.from({ length: 20_000 }, (_, i) => root.fork(`net/${i}`).below(100));
  for (const values of [one, bySeed, byName]) {
    const distance = chiSquare(values, 100);
    t.true(distance > 50 && distance < 160, `chi-square ${distance} with 99 degrees of freedom`);
  }
});

test('every bit of a number is set half of the time', (t) => {
  const random = new Prng(11);
  const ones = Array.from({ length: 32 }, () => 0);
  for (let i = 0; i < 20_000; i++) {
    const value = random.nextU32();
    for (let bit = 0; bit < 32; bit++) ones[bit] = (ones[bit] ?? 0) + ((value >>> bit) & 1);
  }
  for (const count of ones) t.true(Math.abs(count - 10_000) < 400, `${count} of 20000`);
});

test('ranges include both ends, chances of 0 and 1 are sure, picks reach every choice', (t) => {
  const random = new Prng(13);
  const between = new Set<number>();
  const picked = new Set<string>();
  for (let i = 0; i < 1000; i++) {
    between.add(random.between(-2, 2));
    picked.add(random.pick(['a', 'b', 'c']));
    t.is(random.below(1), 0);
    t.false(random.chance(0));
    t.true(random.chance(1));
    const unit = random.nextUnit();
    t.true(unit >= 0 && unit < 1);
  }
  t.deepEqual(
    [...between].sort((a, b) => a - b),
    [-2, -1, 0, 1, 2],
  );
  t.is(picked.size, 3);
});
