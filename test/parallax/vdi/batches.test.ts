import test from 'ava';
import { Batches } from '../../../src/parallax/vdi/batches.ts';
import { clausesOf, Policy } from '../../../src/parallax/vdi/policy.ts';

const LIMITS = { batchBytes: 1000, periodNs: 100 };

const of = (policy: Policy): Batches => new Batches(LIMITS, clausesOf(policy));

test('a batch is sealed when it is large, and published at once', (t) => {
  const batches = of(Policy.w2);
  batches.add(1, 600, 0);
  t.is(batches.ready(0), null);
  batches.add(2, 600, 0);
  t.is(batches.ready(0)?.lastSeq, 2);
  t.is(batches.openNumber, 2);
});

test('what is little is published when it is old, and says when that is', (t) => {
  const batches = of(Policy.w2);
  t.is(batches.dueNs, Number.POSITIVE_INFINITY);
  batches.add(1, 10, 40);
  t.is(batches.dueNs, 140);
  t.is(batches.ready(139), null);
  t.is(batches.ready(140)?.lastSeq, 1);
});

test('under whole epochs only a flush ends a batch: what no flush covers stays back', (t) => {
  const batches = of(Policy.w3);
  batches.add(1, 5000, 0);
  t.is(batches.ready(1e9), null);
  batches.hurry(false);
  t.is(batches.ready(1e9), null);
  t.true(batches.isOneEpoch);
  batches.endEpoch(2, 10);
  batches.add(3, 5000, 20);
  t.is(batches.ready(20)?.lastSeq, 2);
  t.is(batches.ready(1e9)?.lastSeq, 2);
  t.false(batches.isOneEpoch);
});

test('an epoch that is larger than what may be dirty is cut, if that is asked for', (t) => {
  const batches = of(Policy.w3);
  batches.add(1, 5000, 0);
  batches.hurry(true);
  t.is(batches.ready(0)?.lastSeq, 1);
});

test('a mark ends its batch and the run of batches that are published together', (t) => {
  const batches = of(Policy.w2);
  batches.add(1, 10, 0);
  batches.mark({ kind: 'snapshot', id: 1, name: 's', isLocal: false }, 2, 0);
  batches.add(3, 10, 0);
  batches.hurry(true);
  const first = batches.ready(0);
  t.is(first?.lastSeq, 2);
  t.is(first?.mark?.kind, 'snapshot');
  t.is(batches.snapshots, 1);
  batches.dropThrough(first?.number ?? 0);
  t.is(batches.snapshots, 0);
  t.is(batches.ready(0)?.lastSeq, 3);
});

test('a mark right behind a batch that has just become full is in that batch', (t) => {
  const batches = of(Policy.w2);
  batches.add(1, 990, 0);
  batches.mark({ kind: 'policy', policy: 1 }, 2, 0);
  t.is(batches.ready(0)?.mark?.kind, 'policy');
  t.is(batches.ready(0)?.lastSeq, 2);
});

test('what would be lost counts every batch, and since when', (t) => {
  const batches = of(Policy.w2);
  t.deepEqual(batches.unpublished(), { requests: 0, bytes: 0, sinceNs: Number.POSITIVE_INFINITY });
  batches.add(1, 1000, 5);
  batches.add(2, 10, 7);
  t.deepEqual(batches.unpublished(), { requests: 2, bytes: 1010, sinceNs: 5 });
  batches.dropThrough(1);
  t.deepEqual(batches.unpublished(), { requests: 1, bytes: 10, sinceNs: 7 });
});

test('a publish that was done after all takes out the batches that it holds, and no other', (t) => {
  const batches = of(Policy.w2);
  batches.add(1, 1000, 0);
  batches.add(2, 1000, 0);
  batches.add(3, 1000, 0);
  t.deepEqual(
    batches.publishedBy(2).map(({ lastSeq }) => lastSeq),
    [1, 2],
  );
  t.deepEqual(batches.publishedBy(2), []);
  t.is(batches.lastSeq, 3);
});

test('numbers that go back are a bug that is caught', (t) => {
  const batches = of(Policy.w2);
  batches.add(5, 1, 0);
  t.throws(() => batches.add(5, 1, 0), { message: /in the order of the disk/ });
});

test('under whole epochs a snapshot and a change of policy end one, as a flush does', (t) => {
  for (const mark of [
    { kind: 'snapshot', id: 1, name: 's', isLocal: false },
    { kind: 'policy', policy: Policy.w2 },
  ] as const) {
    const batches = of(Policy.w3);
    batches.add(1, 10, 0);
    batches.mark(mark, 2, 0);
    batches.add(3, 10, 0);
    t.like(batches.ready(0), { lastSeq: 2, mark });
  }
});
