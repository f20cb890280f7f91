/** A guest whose rings hold garbage: it is ejected, and nobody else hears of it. */
import test from 'ava';
import { present } from '../../src/base/invariant.ts';
import { Prng } from '../../src/base/prng.ts';
import { BufferMemory } from '../../src/base/shared-memory.ts';
import { PAGE_BYTES } from '../../src/base/units.ts';
import { resultOf } from '../../src/experiments/account.ts';
import { coverageOf } from '../../src/experiments/coverage.ts';
import { historyNow, tapPart } from '../../src/experiments/judged-records.ts';
import { scribble } from '../../src/experiments/ring-garbage.ts';
import { DEFAULT_FRONT, type GuestScenario } from '../../src/experiments/scenario.ts';
import type { Fault } from '../../src/world/faults.ts';
import {
  History,
  HistoryKind,
  HistoryStatus,
  OrderTap,
  recordBufferFor,
} from '../../src/world/history.ts';
import {
  allHold,
  countBetween,
  guestWith,
  HALF_WAY,
  judgedRun,
  scenarioWith,
  toldAtNs,
} from '../helpers/fault-bench.ts';

const GARBAGE_NS = 5e6;

function garbage(seed: number, changes: object = {}): Fault {
  return { kind: 'ring-garbage', guest: 'g0', seed, forNs: GARBAGE_NS, when: HALF_WAY, ...changes };
}

/** Busy on several rings of several pages: there is much to garble. */
function busyGuests(changes: Partial<GuestScenario> = {}): GuestScenario[] {
  const front = { ...DEFAULT_FRONT, queues: 2, ringOrder: 1 };
  const pace = { kind: 'closed', depth: 16 } as const;
  const shape = { requests: 2000 };
  return ['g0', 'g1'].map((name) => guestWith(name, { front, pace, ...changes }, shape));
}

test('garbage in the rings of a guest: it is ejected, its neighbour finishes, for any bytes', async (t) => {
  let seenAtWork = false;
  for (let seed = 1; seed <= 12; seed++) {
    const guests = seed % 2 === 0 ? busyGuests() : busyGuests({ device: 'memory' });
    const { run, checks } = await judgedRun(scenarioWith([garbage(seed)], { guests }), seed);
    allHold(t, checks, `seed ${seed}`);
    const [struck, other] = run.guests;
    t.is(run.struck.get('ring-garbage/replay'), 1, `seed ${seed}`);
    const struckAtNs = toldAtNs(t, run, 'garbage in 2 rings and the event page of g0');
    t.is(struck?.struckAtNs, struckAtNs);
    t.true((struck?.ejectedAtNs ?? 0) >= struckAtNs + GARBAGE_NS);
    t.is(struck?.lives.length, 1, 'it is not started again');
    t.deepEqual([struck?.isOver, struck?.finished, other?.finished], [true, false, true]);
    t.true(countBetween(present(other, 'g1'), 'ackNs', struckAtNs, Number.POSITIVE_INFINITY) > 100);
    const ejection = checks.find(({ name }) => name === 'ejection');
    t.regex(ejection?.text ?? '', /g0 had garbage .* was ejected .* none of its pages is mapped/);
    const host = present(run.hosts[0], 'the run has a host');
    t.false(host.toolstack.hasGuest('g0'));
    t.is(run.hosts.flatMap(({ outages }) => outages).length, 0, 'the driver VM went on');
    seenAtWork ||= coverageOf(run).moments.includes(
      'a guest was ejected for garbage in its rings while requests of it were under way',
    );
  }
  t.true(seenAtWork);
});

test('a guest is ejected whatever else strikes: its driver VM, itself, the power', async (t) => {
  const others: readonly Fault[] = [
    { kind: 'kill-driver', host: 'h0', when: HALF_WAY },
    { kind: 'kill-guest', guest: 'g0', when: { kind: 'progress', share: 0.51 } },
    { kind: 'power-cut', host: 'h0', when: { kind: 'progress', share: 0.6 } },
    { kind: 'hang-guest', guest: 'g0', forNs: 100e6, when: HALF_WAY },
    { kind: 'pause-driver', host: 'h0', forNs: 100e6, when: HALF_WAY },
  ];
  for (const other of others) {
    const faults = [garbage(1, { forNs: 30e6 }), other];
    const { run, checks } = await judgedRun(scenarioWith(faults, { guests: busyGuests() }), 1);
    allHold(t, checks, other.kind);
    t.true(run.guests[0]?.ejectedAtNs !== null, other.kind);
    t.true(run.guests[1]?.finished, other.kind);
  }
});

test('the report of a run says who was ejected, and when', async (t) => {
  const { run } = await judgedRun(scenarioWith([garbage(3)]), 1);
  const result = resultOf(run, {
    world: 'sim',
    seed: 1,
    machine: { node: 'v20', cpu: 'none', cores: 1, os: 'none' },
    startedAtIso: '2026-01-01T00:00:00.000Z',
    durationNs: 1e9,
    bucketNs: 1e7,
    command: 'none',
    limits: [],
  });
  t.is(result.guests[0]?.ejectedAtNs, run.guests[0]?.ejectedAtNs ?? -1);
  t.false('ejectedAtNs' in present(result.guests[1], 'g1'));
});

test('a guest that is dead when its rings would be struck is left alone', async (t) => {
  const kill: Fault = { kind: 'kill-guest', guest: 'g0', when: { kind: 'time', atNs: 120e6 } };
  const strike = garbage(1, { when: { kind: 'time', atNs: 130e6 } });
  const late = scenarioWith([kill, strike], { guestRestartNs: 50e6 });
  const { run, checks } = await judgedRun(late, 1);
  allHold(t, checks, 'seed 1');
  t.deepEqual([run.guests[0]?.struckAtNs, run.guests[0]?.finished], [null, true]);
});

test('garbage stays in the pages that are named, and one seed writes the same twice', (t) => {
  const pages = { headPages: [2, 5].map((n) => n * PAGE_BYTES), slotPages: [3 * PAGE_BYTES] };
  const named = { ...pages, eventPage: 7 * PAGE_BYTES };
  const written = (seed: number): Uint8Array => {
    const memory = BufferMemory.ofBytes(9 * PAGE_BYTES);
    scribble(memory, named, new Prng(seed, 'test'));
    return memory.u8.slice();
  };
  for (let seed = 1; seed <= 50; seed++) {
    const bytes = written(seed);
    for (let page = 0; page < 9; page++) {
      const touched = bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES).some(Boolean);
      t.is(touched, [2, 3, 5, 7].includes(page), `seed ${seed}, page ${page}`);
    }
  }
  t.deepEqual(written(7), written(7));
  t.notDeepEqual(written(7), written(8));
});

test('a struck guest is judged by the records from before, as they stood then', (t) => {
  const history = new History(recordBufferFor(8));
  const before = history.invoke(HistoryKind.write, 0, 0, 8, 100, 1);
  history.acknowledge(before, HistoryStatus.ok, 150, 1);
  const open = history.invoke(HistoryKind.write, 0, 8, 8, 200, 2);
  const read = history.invoke(HistoryKind.read, 0, 0, 8, 210, 0);
  const part = historyNow(history);
  history.acknowledge(open, HistoryStatus.ok, 400, 2);
  history.acknowledge(read, HistoryStatus.ok, 400, 77);
  history.invoke(HistoryKind.write, 0, 0, 8, 300, 3);
  const known = [0, 1, 2].map((at) => part.record(at));
  t.is(part.length, 3);
  t.deepEqual(
    known.map(({ ackNs, status, index }) => [ackNs, status, index]),
    [
      [150, HistoryStatus.ok, 1],
      [0, HistoryStatus.unknown, 2],
      [0, HistoryStatus.unknown, 0],
    ],
  );
  const tap = new OrderTap(recordBufferFor(8));
  tap.append(1, 5, 1, 1, 1, 1, 0, 120);
  tap.append(2, 6, 1, 1, 1, 1, 0, 130);
  tap.append(1, 5, 2, 2, 2, 1, 0, 260);
  t.deepEqual(
    [tapPart(tap, 1, 2).length, tapPart(tap, 1, 3).length, tapPart(tap, 2, 3).length],
    [1, 2, 1],
  );
});
