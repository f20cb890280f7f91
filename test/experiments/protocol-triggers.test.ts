/** Faults that wait for an event of the protocol, in both worlds. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { checksOf, outagesOf } from '../../src/experiments/account.ts';
import { coverageOf } from '../../src/experiments/coverage.ts';
import type { GuestTrack } from '../../src/experiments/guest-track.ts';
import { runInThreads } from '../../src/experiments/thread-stage.ts';
import { type Fault, PROTOCOL_EVENTS, type ProtocolEvent } from '../../src/world/faults.ts';
import { HistoryKind, type HistoryRecord, HistoryStatus } from '../../src/world/history.ts';
import { allHold, guestWith, HALF_WAY, judgedRun, scenarioWith } from '../helpers/fault-bench.ts';

/** What a guest had recorded when the power went, and the moment of the cut. */
function beforeCut({ history }: GuestTrack): { before: HistoryRecord[]; cutNs: number } {
  const all = Array.from({ length: history.length }, (_, at) => history.record(at));
  const at = all.findIndex(({ kind }) => kind === HistoryKind.powerCut);
  return { before: all.slice(0, Math.max(0, at)), cutNs: all[at]?.invokeNs ?? Number.NaN };
}

function countOf(records: readonly HistoryRecord[], kind: HistoryKind): number {
  return records.filter((record) => record.kind === kind).length;
}

const THIRD_FLUSH: Fault = {
  kind: 'power-cut',
  host: 'h0',
  when: { kind: 'protocol', event: 'flush-submitted', nth: 3 },
};

test('sim: the third flush that the guests of a host submit cuts its power there and then', async (t) => {
  const { run, checks } = await judgedRun(scenarioWith([THIRD_FLUSH]), 1);
  allHold(t, checks, 'sim');
  const cuts = run.guests.map(beforeCut);
  const before = cuts.flatMap((cut) => cut.before);
  t.is(countOf(before, HistoryKind.flush), 3, 'of both guests together');
  const last = before.reduce((a, b) => (b.invokeNs > a.invokeNs ? b : a));
  t.is(last.kind, HistoryKind.flush, 'nothing was submitted after it');
  t.is(last.ackNs, 0, 'it was not answered');
  // Within the busy time of the step in which it was submitted.
  for (const { cutNs } of cuts) t.true(Math.abs(cutNs - last.invokeNs) < 100_000, `${cutNs}`);
  t.deepEqual(coverageOf(run).struck, { 'power-cut/replay': 1 });
});

test('sim: an acknowledged flush is the last thing a killed guest saw', async (t) => {
  const when = { kind: 'protocol', event: 'flush-acknowledged', nth: 2 } as const;
  const { run, checks } = await judgedRun(
    scenarioWith([{ kind: 'kill-guest', guest: 'g1', when }]),
    1,
  );
  allHold(t, checks, 'sim');
  const [other, struck] = run.guests;
  t.deepEqual([other?.lives.length, struck?.lives.length], [1, 2]);
  const end = struck?.lives[1]?.firstRecord ?? 0;
  const life = Array.from({ length: end }, (_, at) => struck?.history.record(at) as HistoryRecord);
  const answered = life.filter(({ ackNs, status }) => ackNs > 0 && status === HistoryStatus.ok);
  const last = answered.reduce((a, b) => (b.ackNs > a.ackNs ? b : a));
  t.is(last.kind, HistoryKind.flush);
  t.is(countOf(answered, HistoryKind.flush), 2, 'of the guest alone');
});

/** Makes each event happen: the driver VM dies half way, and writes fail for a while. */
const EVENTFUL: readonly Fault[] = [
  {
    kind: 'kill-driver',
    host: 'h0',
    when: { kind: 'crash-point', point: 'back.before-response-publish', nth: 150 },
  },
  { kind: 'disk', guest: 'g0', trouble: 'write-error', forNs: 50e6, when: HALF_WAY },
];

for (const event of PROTOCOL_EVENTS) {
  test(`sim: ${event} happens, and a fault that waits for it strikes once`, async (t) => {
    const when = { kind: 'protocol', event, nth: 1 } as const;
    const hang: Fault = { kind: 'hang-guest', guest: 'g0', forNs: 1e6, when };
    const { run, checks } = await judgedRun(scenarioWith([...EVENTFUL, hang]), 1);
    allHold(t, checks, event);
    t.is(run.events.filter(({ text }) => text.startsWith('g0 hangs')).length, 1);
  });
}

test('sim: what never happens strikes nobody', async (t) => {
  for (const event of ['replay-begun', 'driver-lost', 'request-failed'] as const) {
    const when = { kind: 'protocol', event, nth: 1 } as const;
    const { run } = await judgedRun(scenarioWith([{ kind: 'kill-driver', host: 'h0', when }]), 1);
    t.deepEqual(coverageOf(run).struck, {}, event);
  }
});

test('sim: a driver VM killed when a replay to it begins is replaced again, and all is kept', async (t) => {
  const kills = (event: ProtocolEvent): Fault => ({
    kind: 'kill-driver',
    host: 'h0',
    when: { kind: 'protocol', event, nth: 1 },
  });
  const { run, checks } = await judgedRun(
    scenarioWith([...EVENTFUL.slice(0, 1), kills('replay-begun')]),
    1,
  );
  allHold(t, checks, 'sim');
  t.true(coverageOf(run).moments.includes('a driver VM died again before its successor served'));
});

test.serial(
  'threads: the third flush that the guests of a host submit cuts its power',
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'stordom-events-'));
    t.teardown(() => rm(folder, { recursive: true, force: true }));
    // Slow, so that the guests are not done before the stage looks.
    const guests = ['g0', 'g1'].map((name) => guestWith(name, {}, { meanInterarrivalNs: 2e6 }));
    const scenario = scenarioWith([THIRD_FLUSH], { guests, timeLimitNs: 60e9 });
    const { run, durationNs } = await runInThreads(scenario, { seed: 1, folder, keepDisks: false });
    allHold(t, checksOf(run, outagesOf(run, durationNs)), 'threads');
    t.deepEqual(coverageOf(run).struck, { 'power-cut/replay': 1 });
    const flushes = countOf(
      run.guests.flatMap((guest) => beforeCut(guest).before),
      HistoryKind.flush,
    );
    t.true(flushes >= 3, `${flushes} flushes`);
    t.deepEqual(
      run.guests.map(({ lives }) => lives.length),
      [2, 2],
    );
  },
);
