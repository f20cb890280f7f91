/** Faults over threads: what strikes there, what survives it, and what is refused. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { present } from '../../src/base/invariant.ts';
import { checksOf, outagesOf } from '../../src/experiments/account.ts';
import type { Run } from '../../src/experiments/runner.ts';
import type { GuestScenario } from '../../src/experiments/scenario.ts';
import { runInThreads, ThreadStage } from '../../src/experiments/thread-stage.ts';
import type { Fault } from '../../src/world/faults.ts';
import { HistoryKind } from '../../src/world/history.ts';
import {
  allHold,
  countBetween,
  guestWith,
  HALF_WAY,
  scenarioWith,
  toldAtNs,
} from '../helpers/fault-bench.ts';

const FOR_NS = 300e6;
const REQUESTS = 300;

async function folderFor(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stordom-faults-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Slower than the simulator's guests: a busy machine must not let them end before the fault. */
function guestAt(name: string, changes: Partial<GuestScenario> = {}): GuestScenario {
  return guestWith(name, changes, { requests: REQUESTS, meanInterarrivalNs: 2e6 });
}

async function runWith(
  t: ExecutionContext,
  faults: readonly Fault[],
  guests: readonly GuestScenario[] = [guestAt('g0'), guestAt('g1')],
): Promise<Run> {
  const folder = await folderFor(t);
  const scenario = scenarioWith(faults, { guests, timeLimitNs: 60e9 });
  const { run, durationNs } = await runInThreads(scenario, { seed: 1, folder, keepDisks: false });
  allHold(t, checksOf(run, outagesOf(run, durationNs)), 'threads');
  return run;
}

test.serial('threads: a driver VM that stands still answers nothing, then goes on', async (t) => {
  const run = await runWith(t, [
    { kind: 'pause-driver', host: 'h0', forNs: FOR_NS, when: HALF_WAY },
  ]);
  const fromNs = toldAtNs(t, run, 'driver VM of h0 stands still');
  for (const guest of run.guests) {
    // Half of the time for the word to reach it: this machine may be busy.
    const between = countBetween(guest, 'ackNs', fromNs + FOR_NS / 2, fromNs + FOR_NS);
    t.is(between, 0, guest.name);
    t.true(countBetween(guest, 'ackNs', fromNs + FOR_NS, Number.POSITIVE_INFINITY) > 0);
  }
  t.is(run.hosts.flatMap((host) => host.outages).length, 0);
});

test.serial('threads: a guest that hangs submits nothing, then goes on', async (t) => {
  const run = await runWith(t, [
    { kind: 'hang-guest', guest: 'g0', forNs: FOR_NS, when: HALF_WAY },
  ]);
  const fromNs = toldAtNs(t, run, 'g0 hangs');
  const struck = present(run.guests[0], 'the run has two guests');
  t.is(countBetween(struck, 'invokeNs', fromNs + FOR_NS / 2, fromNs + FOR_NS), 0);
  t.true(countBetween(struck, 'invokeNs', fromNs + FOR_NS, Number.POSITIVE_INFINITY) > 0);
});

test.serial('threads: after a power cut all that was answered is still there', async (t) => {
  const run = await runWith(t, [{ kind: 'power-cut', host: 'h0', when: HALF_WAY }]);
  toldAtNs(t, run, 'h0 loses its power');
  for (const { name, lives, kills, history, stats, workload } of run.guests) {
    t.deepEqual([lives.length, kills], [2, 1], name);
    t.true((workload?.readBackSectors ?? 0) > 0, name);
    const end = lives[1]?.firstRecord ?? 0;
    t.is(history.record(end - 1).kind, HistoryKind.powerCut, name);
    let unanswered = 0;
    for (let at = 0; at < end; at++) {
      const { kind, ackNs, sectors } = history.record(at);
      if (kind !== HistoryKind.read && ackNs === 0) unanswered += sectors;
    }
    // Only what was never answered may be found not to have happened.
    const reverted = stats.get('reverted');
    t.true(reverted <= unanswered, `${name}: ${reverted} of ${unanswered} sectors`);
  }
  t.deepEqual(
    run.hosts.flatMap((host) => host.outages).map(({ crash }) => crash === 'power-cut'),
    [true],
  );
});

test.serial('threads: a slow disk answers late for that time, and no check breaks', async (t) => {
  const when = { kind: 'progress', share: 0.05 } as const;
  const pace = { kind: 'closed', depth: 4 } as const;
  // More than a slow disk could serve: something is submitted all the time.
  const busy = guestWith('g0', { pace }, { requests: 4000 });
  const run = await runWith(
    t,
    [{ kind: 'disk', guest: 'g0', trouble: 'slow', forNs: FOR_NS, when }],
    [busy],
  );
  const fromNs = toldAtNs(t, run, 'disk of g0: slow');
  const { history } = present(run.guests[0], 'the run has two guests');
  let seen = 0;
  for (let at = 0; at < history.length; at++) {
    const { kind, invokeNs, ackNs } = history.record(at);
    if (kind !== HistoryKind.read && kind !== HistoryKind.write) continue;
    if (invokeNs < fromNs + FOR_NS / 2 || ackNs > fromNs + FOR_NS) continue;
    seen++;
    t.true(ackNs - invokeNs >= 4e6, `record ${at} took ${ackNs - invokeNs} ns`);
  }
  t.true(seen > 0);
});

test.serial('threads: disks that fail writes or are slow from a time on heal again', async (t) => {
  const when = { kind: 'time', atNs: 100e6 } as const;
  const run = await runWith(t, [
    { kind: 'disk', guest: 'g0', trouble: 'write-error', forNs: 50e6, when: HALF_WAY },
    { kind: 'disk', guest: 'g1', trouble: 'slow', forNs: 50e6, when },
  ]);
  toldAtNs(t, run, 'disk of g0: write-error');
  t.true(toldAtNs(t, run, 'disk of g1: slow') >= when.atNs);
  const errors = run.guests.map(({ stats }) => stats.get('errors'));
  t.true((errors[0] ?? 0) > 0);
  t.is(errors[1], 0);
  t.true(run.finished);
});

test.serial('threads: a disk that tears writes, or has bad sectors, heals again', async (t) => {
  const run = await runWith(t, [
    { kind: 'disk', guest: 'g0', trouble: 'torn-write', forNs: 100e6, when: HALF_WAY },
    { kind: 'disk', guest: 'g1', trouble: 'latent-sectors', forNs: 200e6, when: HALF_WAY },
  ]);
  for (const { name, stats, finished } of run.guests) {
    t.true(stats.get('errors') > 0, name);
    t.true(finished, name);
  }
});

test.serial(
  'threads: beyond the contract, a misdirected write is found where it lands',
  async (t) => {
    const folder = await folderFor(t);
    const when = { kind: 'progress', share: 0.3 } as const;
    const lie = { kind: 'disk', guest: 'g0', trouble: 'misdirected', forNs: 60e9, when } as const;
    const guests = [guestAt('g0'), guestAt('g1')];
    const scenario = scenarioWith([lie], { guests, timeLimitNs: 60e9 });
    const { run, durationNs } = await runInThreads(scenario, { seed: 1, folder, keepDisks: false });
    const broken = checksOf(run, outagesOf(run, durationNs)).filter(({ ok }) => !ok);
    const c4 = broken.find(({ name }) => name === 'no-invention');
    t.regex(c4?.text ?? 'C4 holds', /C4 is broken on g0: .*a stamp of another place/);
    t.false(broken.some(({ text }) => text.includes(' on g1')));
  },
);

test.serial('threads: a driver VM comes back over a clogged and a slow link', async (t) => {
  const measure = { delayNs: 3e6, share: 0, messageKind: 0, when: HALF_WAY };
  const clog = { trouble: 'clog', forNs: FOR_NS, link: 'h0/driver-vm/xenstore' } as const;
  const slow = { trouble: 'delay', forNs: 1e9, link: 'g1/xenstore' } as const;
  const run = await runWith(t, [
    { kind: 'link', ...clog, ...measure },
    { kind: 'link', ...slow, ...measure },
    { kind: 'kill-driver', host: 'h0', when: HALF_WAY },
  ]);
  const fromNs = toldAtNs(t, run, 'link h0/driver-vm/xenstore: clog');
  const outage = present(run.hosts[0]?.outages[0], 'the driver VM was out');
  t.true((outage.servingAtNs ?? 0) >= fromNs + FOR_NS);
});

test.serial('threads: clocks that drift and jump break no check, and no record', async (t) => {
  const slow = { requests: REQUESTS, meanInterarrivalNs: 6e6 };
  const guests = ['g0', 'g1', 'g2'].map((name) => guestWith(name, {}, slow));
  const skew = { trouble: 'skew', driftPpm: 9_000_000, forNs: 3e9 } as const;
  const run = await runWith(
    t,
    [
      { kind: 'clock', actor: 'g0', trouble: 'jump', jumpNs: 40e9, when: HALF_WAY },
      { kind: 'clock', actor: 'g1', ...skew, when: HALF_WAY },
      { kind: 'clock', actor: 'h0/driver-vm', trouble: 'jump', jumpNs: 1e9, when: HALF_WAY },
    ],
    guests,
  );
  const endNs = present(run.events.at(-1), 'the story has an end').atNs;
  const lastNs = run.guests.map(({ history }) => history.record(history.length - 1).ackNs);
  for (const ackNs of lastNs) t.true(ackNs <= endNs);
  // Half of a trace takes 900 ms by a right clock.
  const [jumped = 0, fast = 0, right = 0] = lastNs;
  t.true(jumped < right - 300e6 && fast < right - 300e6, lastNs.join());
});

test.serial(
  'threads: a guest with garbage in its rings is ejected, its neighbour finishes',
  async (t) => {
    for (const seed of [1, 2, 3]) {
      const pace = { kind: 'closed', depth: 16 } as const;
      const guests = ['g0', 'g1'].map((name) => guestWith(name, { pace }, { requests: 4000 }));
      const when = { kind: 'progress', share: 0.2 } as const;
      const fault = { kind: 'ring-garbage', guest: 'g0', seed, forNs: 20e6, when } as const;
      const run = await runWith(t, [fault], guests);
      const [struck, other] = run.guests;
      toldAtNs(t, run, 'garbage in 1 rings and the event page of g0');
      t.true(struck?.ejectedAtNs !== null && struck?.lives.length === 1, `seed ${seed}`);
      t.true(other?.finished, `seed ${seed}`);
    }
  },
);

test('threads: what they cannot do is refused, and the simulator is named', async (t) => {
  const folder = await folderFor(t);
  const scenario = scenarioWith([]);
  await mkdir(join(folder, 'h0'), { recursive: true });
  const stage = new ThreadStage(scenario, { seed: 1, folder });
  t.teardown(() => stage.close());
  const events = { driverExited: () => {}, guestExited: () => {}, failed: () => {} };
  stage.openHost('h0', { nextFrontId: 1, nextDiskId: 1 }, events);
  for (const trouble of ['stall', 'lost-write', 'bit-rot', 'flush-lies'] as const) {
    t.throws(
      () => stage.trouble('h0', 'g0', trouble),
      { name: 'UsageError', code: 'E_TROUBLE_WORLD', message: /--world sim/ },
      trouble,
    );
  }
  const when = { kind: 'crash-point', point: 'back.before-device-submit', nth: 3 } as const;
  const cut: Fault = { kind: 'power-cut', host: 'h0', when };
  t.throws(() => new ThreadStage(scenarioWith([cut]), { seed: 1, folder }), {
    name: 'UsageError',
    code: 'E_TRIGGER_WORLD',
    message: /at a crash point threads can only kill.*--world sim/,
  });
});

test('threads: a script with a fault that needs the simulator is refused before it runs', async (t) => {
  const folder = await folderFor(t);
  const when = { kind: 'time', atNs: 1e9 } as const;
  const fault = { kind: 'disk', guest: 'g0', trouble: 'bit-rot', forNs: 1e6, when } as const;
  t.throws(() => new ThreadStage(scenarioWith([fault]), { seed: 1, folder }), {
    name: 'UsageError',
    code: 'E_TROUBLE_WORLD',
  });
});
