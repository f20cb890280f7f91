import test from 'ava';
import fc from 'fast-check';
import type { Series } from '../../src/experiments/result.ts';
import {
  linearTicks,
  positiveRange,
  requestRates,
  requestsBetween,
  resample,
} from '../../src/report/series.ts';

function seriesOf(requests: readonly number[], bucketNs = 100): Series {
  const none = requests.map(() => null);
  return { bucketNs, requests, bytes: requests, p50Ns: none, p99Ns: none, maxNs: none };
}

test('resampling neither makes nor loses requests, however columns and buckets fall', (t) => {
  const values = fc.array(fc.nat(1000), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(values, fc.integer({ min: 1, max: 150 }), (requests, columns) => {
      const durationNs = requests.length * 100;
      const means = resample(requests, 100, durationNs, columns, 'mean');
      const sum = means.reduce<number>((all, one) => all + (one ?? 0), 0) / columns;
      const exact = requests.reduce((all, one) => all + one, 0) / requests.length;
      return means.length === columns && Math.abs(sum - exact) < 1e-6 * Math.max(1, exact);
    }),
  );
  t.pass();
});

test('a peak survives any resampling by maximum', (t) => {
  const values = fc.array(fc.nat(1000), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(values, fc.integer({ min: 1, max: 150 }), (list, columns) => {
      const maxima = resample(list, 100, list.length * 100, columns, 'max');
      return Math.max(...maxima.map((one) => one ?? 0)) === Math.max(...list);
    }),
  );
  t.pass();
});

test('a column behind the end of a short series, or with nothing completed, is empty', (t) => {
  t.deepEqual(resample([10, null], 100, 400, 4, 'mean'), [10, null, null, null]);
  t.deepEqual(resample([], 100, 400, 2, 'max'), [null, null]);
});

test('the last bucket is divided by its part inside the run, if that is half or more', (t) => {
  t.deepEqual(requestRates(seriesOf([10, 6]), 160), [1e8, 1e8]);
  t.deepEqual(requestRates(seriesOf([10, 6]), 140), [1e8, null]);
});

test('requests between two moments count buckets in proportion', (t) => {
  t.is(requestsBetween(seriesOf([10, 20, 30]), 50, 250), 5 + 20 + 15);
  t.is(requestsBetween(seriesOf([10]), 500, 600), 0);
});

test('the range of latencies leaves zero and nothing out', (t) => {
  t.deepEqual(positiveRange([[null, 0, 5], [7]]), { low: 5, high: 7 });
  t.is(positiveRange([[null], []]), null);
});

test('ticks are round, begin at 0, end inside and are not too many', (t) => {
  const end = fc.double({ min: 1e-6, max: 1e6, noNaN: true });
  fc.assert(
    fc.property(end, fc.integer({ min: 1, max: 20 }), (last, most) => {
      const ticks = linearTicks(last, most);
      return ticks[0] === 0 && (ticks.at(-1) ?? 0) <= last * 1.0001 && ticks.length <= most + 1;
    }),
  );
  t.deepEqual(linearTicks(20, 5), [0, 5, 10, 15, 20]);
  t.deepEqual(linearTicks(0, 5), [0]);
});
