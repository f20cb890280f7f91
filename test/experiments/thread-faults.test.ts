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
    run.hosts.flatMap((host) => host.outages).map(({ powerCut }) => powerCut),
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
  const point = { kind: 'crash-point', point: 'back.before-device-submit', nth: 3 } as const;
  t.throws(() => stage.arm('h0/driver-vm', point, () => {}, false), {
    name: 'UsageError',
    code: 'E_TRIGGER_WORLD',
    message: /--world sim/,
  });
  t.throws(() => stage.arm('h0/driver-vm', { kind: 'event', nth: 3 }, () => {}, true), {
    name: 'UsageError',
    code: 'E_TRIGGER_WORLD',
    message: /--world sim/,
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
