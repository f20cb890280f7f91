/** What destage may publish, and when: batches by size, by age, by epoch, by mark. */
import test from 'ava';
import { Batches } from '../../../src/parallax/vdi/batches.ts';
import { clausesOf, Policy } from '../../../src/parallax/vdi/policy.ts';

const LIMITS = { batchBytes: 64 * 1024, periodNs: 1000 };

test('a single small write is published when it is as old as the period, though nothing follows it', (t) => {
  const batches = new Batches(LIMITS, clausesOf(Policy.w2));
  t.is(batches.dueNs, Number.POSITIVE_INFINITY);
  batches.add(1, 512, 50);
  t.is(batches.ready(1049), null);
  t.is(batches.dueNs, 1050, 'whoever waits is told when to look again');
  t.like(batches.ready(1050), { lastSeq: 1, requests: 1 });
});

test('a batch is full at its size, and a run of four times as much is one publish at most', (t) => {
  const batches = new Batches(LIMITS, clausesOf(Policy.w2));
  for (let seq = 1; seq <= 96; seq++) batches.add(seq, 4096, 0);
  t.like(batches.ready(0), { lastSeq: 64 }, 'four batches of 16 blocks');
});

test('whole epochs: nothing of an unfinished epoch is published at any age, whole ones are', (t) => {
  const batches = new Batches(LIMITS, clausesOf(Policy.w3));
  for (let seq = 1; seq <= 40; seq++) batches.add(seq, 4096, 0);
  t.is(batches.ready(1e9), null);
  t.true(batches.isOneEpoch);
  batches.endEpoch(41, 10);
  batches.add(42, 4096, 20);
  t.like(batches.ready(1e9), { lastSeq: 41 });
});

test('whole epochs: a snapshot, a change of policy and a drain end one, and so does want of room', (t) => {
  for (const mark of [
    { kind: 'snapshot', id: 1, name: 's', isLocal: false },
    { kind: 'policy', policy: Policy.w2 },
  ] as const) {
    const batches = new Batches(LIMITS, clausesOf(Policy.w3));
    batches.add(1, 4096, 0);
    batches.mark(mark, 2, 0);
    t.like(batches.ready(0), { lastSeq: 2, mark });
  }
  const batches = new Batches(LIMITS, clausesOf(Policy.w3));
  batches.add(1, 4096, 0);
  batches.hurry(false);
  t.is(batches.ready(0), null, 'somebody is in a hurry: that alone splits no epoch');
  batches.hurry(true);
  t.like(batches.ready(0), { lastSeq: 1 });
});

test('a snapshot ends a run: what comes after it in the order is not under the same root', (t) => {
  const batches = new Batches(LIMITS, clausesOf(Policy.w2));
  batches.add(1, 4096, 0);
  batches.mark({ kind: 'snapshot', id: 1, name: 's', isLocal: false }, 2, 0);
  for (let seq = 3; seq <= 40; seq++) batches.add(seq, 4096, 0);
  t.like(batches.ready(0), { lastSeq: 2 });
  t.is(batches.dropThrough(1).length, 1);
  t.like(batches.ready(0), { lastSeq: 34, mark: null });
});
