/** What reads found: one number where that says it, runs where it does not. */
import test from 'ava';
import { Findings, findingsBufferFor, UNRECORDED } from '../../src/world/findings.ts';
import {
  History,
  HistoryFlag,
  HistoryKind,
  HistoryStatus,
  recordBufferFor,
} from '../../src/world/history.ts';

function look(findings: Findings, values: readonly number[]): number {
  findings.begin();
  for (const value of values) findings.sector(value);
  return findings.end();
}

test('a read of one value needs no run', (t) => {
  const findings = new Findings(findingsBufferFor(8));
  t.is(look(findings, [7, 7, 7]), 7);
  t.is(look(findings, [0]), 0);
  t.is(findings.length, 0);
  t.deepEqual(findings.runs(7, 3), [{ sectors: 3, value: 7 }]);
});

test('a read of several values, or of damage, is kept run by run', (t) => {
  const findings = new Findings(findingsBufferFor(8));
  const mixed = look(findings, [1, 1, 2, 1]);
  const damage = look(findings, [-3, -3]);
  t.true(mixed < 0 && damage < 0);
  t.deepEqual(findings.runs(mixed, 4), [
    { sectors: 2, value: 1 },
    { sectors: 1, value: 2 },
    { sectors: 1, value: 1 },
  ]);
  t.deepEqual(findings.runs(damage, 2), [{ sectors: 2, value: -3 }]);
  t.is(findings.length, 4);
});

test('a read that was not seen whole leaves nothing behind', (t) => {
  const findings = new Findings(findingsBufferFor(8));
  findings.begin();
  findings.sector(1);
  findings.sector(2);
  findings.sector(3);
  t.is(findings.length, 0);
  const index = look(findings, [4, 5]);
  t.deepEqual(findings.runs(index, 2), [
    { sectors: 1, value: 4 },
    { sectors: 1, value: 5 },
  ]);
});

test('a read with more values than there is room for says so, and later ones still fit', (t) => {
  const findings = new Findings(findingsBufferFor(2));
  t.is(look(findings, [1, 2, 3]), UNRECORDED);
  t.deepEqual(findings.runs(UNRECORDED, 3), []);
  t.deepEqual(findings.runs(look(findings, [1, 2]), 2).length, 2);
});

test('a request that is answered again keeps its first answer and is marked', (t) => {
  const history = new History(recordBufferFor(2));
  const record = history.invoke(HistoryKind.write, HistoryFlag.fua, 0, 8, 1, 5);
  history.acknowledge(record, HistoryStatus.ok, 2, 5);
  t.is(history.record(record).flags, HistoryFlag.fua);
  history.acknowledge(record, HistoryStatus.error, 3, 6);
  const { status, ackNs, index, flags } = history.record(record);
  t.deepEqual([status, ackNs, index], [HistoryStatus.ok, 2, 5]);
  t.is(flags, HistoryFlag.fua | HistoryFlag.answeredTwice);
});
