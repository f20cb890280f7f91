import test from 'ava';
import {
  type FateGuest,
  fatesOf,
  judgeFates,
} from '../../../src/experiments/checkers/fate-sharing.ts';
import type { Outage } from '../../../src/experiments/result.ts';
import {
  History,
  HistoryKind,
  HistoryStatus,
  recordBufferFor,
} from '../../../src/world/history.ts';

const MS = 1e6;
const OUTAGE = { fromNs: 1000 * MS, toNs: 1500 * MS };

/** A guest with requests given as [submitted, answered] in ms; answered 0: never. */
function guestWith(name: string, host: string, requests: readonly [number, number][]): FateGuest {
  const history = new History(recordBufferFor(requests.length + 1));
  for (const [invokeMs, ackMs] of requests) {
    const record = history.invoke(HistoryKind.write, 0, 0, 8, invokeMs * MS, 1);
    if (ackMs > 0) history.acknowledge(record, HistoryStatus.ok, ackMs * MS, 1);
  }
  return { name, host, history, livingSince: 0, troubles: [] };
}

function judge(guests: readonly FateGuest[]) {
  const { stalled, idle } = fatesOf(guests, 'h0', OUTAGE, [OUTAGE]);
  const outage: Outage = {
    host: 'h0',
    killedAtNs: OUTAGE.fromNs,
    servingAtNs: OUTAGE.toNs,
    stalled,
    idle,
    replayedRequests: 0,
  };
  return { ...judgeFates(outage, guests, [outage]), stalled, idle };
}

const OWN = guestWith('g0', 'h0', [[990, 1510]]);

test('fate sharing: own guests stall, a guest of another host goes on: it holds', (t) => {
  const other = guestWith('g2', 'h1', [
    [990, 1010],
    [1010, 1090],
  ]);
  const { ok, stalled } = judge([OWN, other]);
  t.true(ok);
  t.deepEqual(stalled, [{ guest: 'g0', longestNs: 500 * MS }]);
});

test('fate sharing: a guest of another host that waits for the restart is a violation', (t) => {
  const other = guestWith('g2', 'h1', [
    [100, 110],
    [1100, 1505],
  ]);
  const { ok, text } = judge([OWN, other]);
  t.false(ok);
  t.regex(text, /g2 \(400ms\)/);
});

test('fate sharing: a guest of another host that is never answered is a violation', (t) => {
  t.false(judge([OWN, guestWith('g2', 'h1', [[1200, 0]])]).ok);
});

test('fate sharing: a slow flush of another host that ends before the restart is none', (t) => {
  const { ok, stalled } = judge([OWN, guestWith('g2', 'h1', [[1100, 1268]])]);
  t.true(ok);
  t.is(stalled.length, 1);
});

test('fate sharing: a disk of another host that is as slow at other times is none', (t) => {
  const other = guestWith('g2', 'h1', [
    [100, 300],
    [1350, 1510],
  ]);
  t.true(judge([OWN, other]).ok);
});

test('fate sharing: a guest of another host that was made to hang has its own reason', (t) => {
  const troubles = [{ fromNs: 1000 * MS, toNs: 1300 * MS }];
  const hung = { ...guestWith('g2', 'h1', [[1250, 1510]]), troubles };
  t.true(judge([OWN, hung]).ok);
  const waitsOn = { ...guestWith('g2', 'h1', [[1310, 1510]]), troubles };
  t.false(judge([OWN, waitsOn]).ok, 'what it asks for later meets no trouble');
});

test('fate sharing: a guest of the dead driver VM that asked for nothing is listed apart', (t) => {
  const { ok, idle } = judge([OWN, guestWith('g1', 'h0', [[100, 110]])]);
  t.true(ok);
  t.deepEqual(idle, ['g1']);
});
