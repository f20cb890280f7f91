/** The builder, slices, splits, and the tables underneath. */
import test from 'ava';
import fc from 'fast-check';
import { BlockMap, BlockSet } from '../../src/traces/block-tables.ts';
import { PendingCalls } from '../../src/traces/pending-calls.ts';
import { indexAtTime, sliceTrace, splitForGuests } from '../../src/traces/slice.ts';
import { timeOrder } from '../../src/traces/time-order.ts';
import type { Trace, TraceOrigin } from '../../src/traces/trace.ts';
import { ADDRESS_SPACE_BLOCKS } from '../../src/traces/trace.ts';
import { TraceBuilder } from '../../src/traces/trace-builder.ts';
import { RequestKind } from '../../src/world/history.ts';
import { records, usageError } from './trace-files.ts';

const origin: TraceOrigin = {
  format: 'synthetic',
  source: 'test',
  clockGranularityNs: 1,
  exportBytes: null,
  notes: [],
};

function writesAt(times: readonly number[], shared: boolean): Trace {
  const builder = new TraceBuilder(origin);
  times.forEach((t, i) => {
    builder.append(t, RequestKind.write, i * 4096, 4096, Number.NaN, 0, 0);
  });
  return builder.seal({ shared });
}

test('a builder sorts by time, keeps the order of equal times, and starts at 0', (t) => {
  const trace = writesAt([50, 20, 70, 20, 60], false);
  t.deepEqual([...trace.t], [0, 0, 30, 40, 50]);
  t.deepEqual([...trace.offset], [4096, 3 * 4096, 0, 4 * 4096, 2 * 4096]);
  t.deepEqual(trace.facts.notes, [
    'The source goes back in time 2 times: the records were sorted by time.',
  ]);
});

test('a builder keeps every record over many growths', (t) => {
  const times = Array.from({ length: 5_000 }, (_, i) => i * 3);
  const trace = writesAt(times, true);
  t.deepEqual([...trace.t], times);
  t.is(trace.facts.distinctBlocks, 5_000);
  t.is(trace.facts.spanNs, 4_999 * 3);
});

test('a shared trace is shared, not copied, by structured clone', (t) => {
  const trace = writesAt([0, 1, 2], true);
  const twin = structuredClone(trace);
  t.deepEqual(twin.facts, trace.facts);
  twin.offset[1] = 1_024_000;
  t.is(trace.offset[1], 1_024_000);
});

test('property: time order sorts stably and counts the steps back', (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 200 }), (times) => {
      const steps = times.filter((time, i) => time < (times[i - 1] ?? time)).length;
      const sorted = timeOrder(Float64Array.from(times));
      const wanted = times.map((_, i) => i).sort((a, b) => times[a]! - times[b]! || a - b);
      t.is(sorted?.stepsBack ?? 0, steps);
      t.deepEqual(sorted === null ? times.map((_, i) => i) : [...sorted.order], wanted);
    }),
  );
});

test('a slice starts at 0, is counted anew, keeps addresses and says where it is from', (t) => {
  const trace = writesAt([0, 10, 25, 40], true);
  const slice = sliceTrace(trace, 1, 3);
  t.deepEqual(records(slice), ['0 W 4096 4096 NaN 0 0', '15 W 8192 4096 NaN 0 0']);
  t.is(slice.facts.requests, 2);
  t.is(slice.facts.spanNs, 15);
  t.is(slice.facts.distinctBlocks, 2);
  t.true(slice.t.buffer instanceof SharedArrayBuffer);
  t.deepEqual(slice.facts.notes, ['Records 1 to 2 of 4, times counted from the first.']);
  t.deepEqual([...trace.t], [0, 10, 25, 40], 'the source is not touched');
});

test('a slice outside the trace, or empty, is refused with the number of records', (t) => {
  const trace = writesAt([0, 1, 2], false);
  for (const [from, to] of [
    [-1, 2],
    [0, 4],
    [2, 2],
    [0.5, 2],
  ] as const) {
    const error = usageError(() => sliceTrace(trace, from, to));
    t.is(error.code, 'E_TRACE_SLICE');
    t.regex(error.message, /the trace has 3 records/);
  }
});

test('the index at a time is the first record not before it', (t) => {
  const trace = writesAt([0, 10, 10, 30], false);
  const wanted = [
    [0, 0],
    [1, 1],
    [10, 1],
    [11, 3],
    [30, 3],
    [31, 4],
  ] as const;
  for (const [time, index] of wanted) t.is(indexAtTime(trace, time), index, `at ${time}`);
});

test('guests get consecutive slices that together are the trace', (t) => {
  const trace = writesAt([0, 1, 2, 3, 4, 5, 6], false);
  for (const guests of [1, 2, 3, 7]) {
    const slices = splitForGuests(trace, guests);
    t.is(slices.length, guests);
    t.deepEqual(
      slices.flatMap((slice) => [...slice.offset]),
      [...trace.offset],
    );
    t.true(slices.every((slice) => slice.t[0] === 0));
    const sizes = slices.map((slice) => slice.requests);
    t.true(Math.max(...sizes) - Math.min(...sizes) <= 1);
  }
  for (const guests of [0, 8, 1.5]) {
    t.is(usageError(() => splitForGuests(trace, guests)).code, 'E_TRACE_SPLIT');
  }
});

const farKey = fc.oneof(
  fc.integer({ min: 32_700, max: 32_900 }),
  fc.integer({ min: 0, max: 200 }),
  fc.integer({ min: 0, max: 200 }).map((n) => 65_535 * ADDRESS_SPACE_BLOCKS + n),
);

test('property: a block set counts the keys of overlapping ranges once', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(farKey, fc.integer({ min: 0, max: 150 }))), (ranges) => {
      const set = new BlockSet();
      const model = new Set<number>();
      for (const [first, more] of ranges) {
        set.addRange(first, first + more);
        for (let key = first; key <= first + more; key++) model.add(key);
        t.is(set.size, model.size);
      }
    }),
  );
});

test('property: a block map answers as a Map does', (t) => {
  const steps = fc.array(fc.tuple(farKey, fc.integer({ min: 0, max: 9 }), fc.boolean()));
  fc.assert(
    fc.property(steps, (list) => {
      const map = new BlockMap();
      const model = new Map<number, number>();
      for (const [key, value, store] of list) {
        t.is(map.get(key), model.get(key) ?? -1);
        if (!store) continue;
        map.set(key, value);
        model.set(key, value);
        t.is(map.get(key), value);
      }
    }),
  );
});

test('property: pending calls answer as a Map does, through collisions and growth', (t) => {
  const call = fc.tuple(
    fc.integer({ min: 0, max: 3 }),
    fc.integer({ min: 0, max: 400 }),
    fc.integer({ min: 0, max: 4 }),
    fc.integer({ min: 0, max: 9 }),
  );
  fc.assert(
    fc.property(fc.array(call, { minLength: 500, maxLength: 1_500 }), (calls) => {
      const pending = new PendingCalls();
      const model = new Map<string, number>();
      calls.forEach(([connection, id, op, dice], record) => {
        const key = `${connection}/${id}/${op}`;
        if (dice < 6) {
          t.is(pending.add(connection, id, op, record), !model.has(key));
          model.set(key, record);
        } else {
          t.is(pending.take(connection, id, op), model.get(key) ?? -1);
          model.delete(key);
        }
      });
      t.is(pending.size, model.size);
      for (const [key, record] of model) {
        const [connection, id, op] = key.split('/').map(Number) as [number, number, number];
        t.is(pending.take(connection, id, op), record);
      }
      t.is(pending.size, 0);
    }),
    { numRuns: 20 },
  );
});
