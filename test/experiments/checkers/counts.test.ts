/** Checkers of counters, copies and snapshots: what they accept and what they refuse. */
import test from 'ava';
import { judgeConservation } from '../../../src/experiments/checkers/conservation.ts';
import {
  divergentRegions,
  judgeConvergence,
  REGION_BYTES,
  sumRegions,
} from '../../../src/experiments/checkers/convergence.ts';
import { judgeSnapshotCut } from '../../../src/experiments/checkers/snapshot-cut.ts';

test('a ledger that adds up is accepted, one that does not is refused with its sum', (t) => {
  const slots = { name: 'ring slots', total: 32, parts: { free: 30, 'in flight': 2 } };
  t.true(judgeConservation([], [slots]).ok);
  const { ok, text } = judgeConservation([], [{ ...slots, total: 33 }]);
  t.false(ok);
  t.regex(text, /ring slots: 30 free \+ 2 in flight is 32, not 33/);
});

test('a negative count is refused though the sum is right', (t) => {
  const grants = { name: 'grants', total: 1, parts: { mapped: 2, kept: -1 } };
  t.regex(judgeConservation([], [grants]).text, /grants: -1 kept/);
});

function copyOf(name: string, bytes: Uint8Array) {
  const read = (offset: number, into: Uint8Array): void => {
    into.set(bytes.subarray(offset, offset + into.length));
  };
  return { name, sizeBytes: bytes.length, read };
}

test('copies that differ in one byte are refused, by the region of the byte', async (t) => {
  const bytes = new Uint8Array(2 * REGION_BYTES + 4096).fill(7);
  const other = bytes.slice();
  const same = await Promise.all([copyOf('a', bytes), copyOf('b', other)].map(sumRegions));
  t.true(judgeConvergence(same).ok);
  other[REGION_BYTES + 5] = 8;
  const sums = await Promise.all([copyOf('a', bytes), copyOf('b', other)].map(sumRegions));
  t.deepEqual(divergentRegions(sums), [1]);
  t.regex(judgeConvergence(sums).text, /1 regions of 1 MiB differ, the first at byte 1048576/);
});

test('copies of different sizes are refused', async (t) => {
  const copies = [copyOf('a', new Uint8Array(8)), copyOf('b', new Uint8Array(4))];
  t.false(judgeConvergence(await Promise.all(copies.map(sumRegions))).ok);
});

test('a snapshot is a cut between its request and its acknowledgement', (t) => {
  const order = {
    sequences: Uint32Array.of(1, 2, 3),
    units: Uint32Array.of(0, 1, 2),
    epochs: null,
  };
  const writes = [
    { sequence: 1, invokeNs: 1, doneNs: 2 },
    { sequence: 2, invokeNs: 3, doneNs: 20 },
    { sequence: 3, invokeNs: 30, doneNs: 31 },
  ];
  const facts = { disk: 'g0', name: 's', requestedNs: 10, acknowledgedNs: 15, takenAt: null };
  const judge = (shown: readonly number[], takenAt: number | null = null): boolean => {
    const snapshot = { ...facts, takenAt };
    const image = Uint32Array.from(shown);
    return judgeSnapshotCut(order, image, writes, snapshot, (unit) => `unit ${unit}`).ok;
  };
  t.true(judge([1, 0, 0]));
  t.true(judge([1, 2, 0]));
  t.false(judge([0, 0, 0]), 'what was acknowledged before the request is missing');
  t.false(judge([1, 2, 3]), 'what was submitted after the acknowledgement is there');
  t.false(judge([1, 2, 0], 1), 'the order tap says otherwise');
});
