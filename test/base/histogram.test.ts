import test from 'ava';
import fc from 'fast-check';
import { HISTOGRAM_BYTES, Histogram } from '../../src/base/histogram.ts';

const RELATIVE_ERROR = 1 / 64;

/** Values of every magnitude: a uniform draw would be of the last octave only. */
const anyValue = fc
  .tuple(fc.integer({ min: 0, max: 52 }), fc.double({ min: 1, max: 1.999, noNaN: true }))
  .map(([octave, mantissa]) => Math.floor(mantissa * 2 ** octave) - 1);

function of(values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.record(value);
  return histogram;
}

test('every percentile is at least the exact one and at most 1.6 % above it', (t) => {
  const values = fc.array(anyValue, { minLength: 1, maxLength: 300 });
  const percent = fc.oneof(
    fc.constantFrom(0, 50, 90, 99, 99.9, 100),
    fc.double({ min: 0.001, max: 100, noNaN: true }),
  );
  fc.assert(
    fc.property(values, percent, (given, p) => {
      const sorted = given.toSorted((a, b) => a - b);
      const rank = Math.max(1, Math.ceil((p / 100) * given.length - 1e-9));
      const exact = sorted[rank - 1] as number;
      const found = of(given).percentileNs(p);
      return found >= exact && found <= exact * (1 + RELATIVE_ERROR);
    }),
    { numRuns: 500 },
  );
  t.pass();
});

test('the buckets are disjoint, ordered, hold their values and are at most 1/64 wide', (t) => {
  fc.assert(
    fc.property(fc.array(anyValue, { minLength: 1, maxLength: 100 }), (given) => {
      const buckets = of(given).buckets();
      let end = 0;
      for (const bucket of buckets) {
        const inside = given.filter((v) => v >= bucket.lowNs && v < bucket.highNs).length;
        if (inside !== bucket.count || bucket.lowNs < end) return false;
        end = bucket.highNs;
        const width = bucket.highNs - bucket.lowNs;
        if (width !== 1 && width > bucket.lowNs * RELATIVE_ERROR) return false;
      }
      return buckets.reduce((sum, bucket) => sum + bucket.count, 0) === given.length;
    }),
  );
  t.pass();
});

test('values around every octave edge fall into the bucket that names them', (t) => {
  for (let octave = 1; octave < 53; octave++) {
    for (const value of [2 ** octave - 1, 2 ** octave, 2 ** octave + 1]) {
      const [bucket] = of([value]).buckets();
      t.true(bucket !== undefined && value >= bucket.lowNs && value < bucket.highNs, `${value}`);
    }
  }
});

test('merging is addition: the same as recording all of it in one, in any order', (t) => {
  const lists = fc.array(fc.array(anyValue, { maxLength: 40 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(lists, (given) => {
      const merged = new Histogram();
      for (const one of given.toReversed()) merged.merge(of(one));
      const whole = of(given.flat());
      t.deepEqual(merged.buckets(), whole.buckets());
      const { meanNs, ...rest } = merged.summary();
      const { meanNs: wholeMeanNs, ...wholeRest } = whole.summary();
      t.deepEqual(rest, wholeRest);
      t.true(Math.abs(meanNs - wholeMeanNs) <= wholeMeanNs * 1e-12);
      return merged.minNs === whole.minNs;
    }),
  );
});

test('count, mean, minimum and maximum are exact', (t) => {
  const histogram = of([1_000_003, 17, 180_000_001]);
  t.is(histogram.count, 3);
  t.is(histogram.minNs, 17);
  t.is(histogram.maxNs, 180_000_001);
  t.is(histogram.meanNs, (1_000_003 + 17 + 180_000_001) / 3);
  t.is(histogram.percentileNs(100), 180_000_001);
  t.is(histogram.percentileNs(0), 17);
});

test('99.9 % of a thousand values are 999 of them, not a thousand', (t) => {
  const values = Array.from({ length: 1000 }, (_, i) => (i === 999 ? 5_000_000 : 60));
  t.is(of(values).percentileNs(99.9), 60);
  t.is(of([...values, 5_000_000]).percentileNs(99.9), 5_000_000);
});

test('an empty histogram says zero everywhere and adds nothing to another', (t) => {
  const empty = new Histogram();
  t.deepEqual(empty.summary(), {
    count: 0,
    meanNs: 0,
    p50Ns: 0,
    p90Ns: 0,
    p99Ns: 0,
    p999Ns: 0,
    maxNs: 0,
  });
  t.deepEqual(empty.buckets(), []);
  const other = of([40]);
  other.merge(empty);
  t.is(other.minNs, 40);
  t.is(other.count, 1);
});

test('a histogram in shared memory is seen by another that attaches; reset clears both', (t) => {
  const buffer = new SharedArrayBuffer(64 + HISTOGRAM_BYTES);
  const writer = new Histogram(buffer, 64);
  writer.record(1_000_000);
  const reader = new Histogram(buffer, 64);
  t.is(reader.count, 1);
  t.is(reader.maxNs, 1_000_000);
  writer.reset();
  t.is(reader.count, 0);
  t.deepEqual(new Uint8Array(buffer, 0, 64), new Uint8Array(64));
});

test('a value that is no time is refused before anything is counted', (t) => {
  const histogram = new Histogram();
  for (const value of [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
    t.throws(() => histogram.record(value), { message: /\[0, 2\^53\)/ });
  }
  t.is(histogram.count, 0);
  t.throws(() => new Histogram(new SharedArrayBuffer(100)), { message: /holds all its buckets/ });
});
