import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Prng } from '../../src/base/prng.ts';
import { SECTORS_PER_PAGE } from '../../src/base/units.ts';
import { checksOf, outagesOf } from '../../src/experiments/account.ts';
import { hostMemoryBytes } from '../../src/experiments/host-memory.ts';
import {
  DEFAULT_FRONT,
  type GuestScenario,
  type Scenario,
} from '../../src/experiments/scenario.ts';
import { runInThreads } from '../../src/experiments/thread-stage.ts';
import { fitNone } from '../../src/traces/fit.ts';
import { syntheticTrace } from '../../src/traces/synthetic.ts';
import type { Fault } from '../../src/world/faults.ts';

const BLOCKS = 256;
const MIB = 2 ** 20;

function scenarioWith(faults: readonly Fault[], device: 'file' | 'memory' = 'file'): Scenario {
  const guests = ['g0', 'g1'].map((name): GuestScenario => {
    const trace = syntheticTrace(new Prng(1, name), { requests: 400, blocks: BLOCKS });
    return {
      name,
      host: 'h0',
      device,
      diskSectors: BLOCKS * SECTORS_PER_PAGE,
      trace: fitNone(trace, BLOCKS * 4096).trace,
      pace: { kind: 'closed', depth: 16 },
      heapBytes: 4 * MIB,
      front: DEFAULT_FRONT,
      policy: 'stall',
      requestsPerSecond: 0,
      bytesPerSecond: 0,
    };
  });
  const driverHeapBytes = 4 * MIB;
  return {
    title: 'test',
    summary: 'two guests of one host',
    hosts: ['h0'],
    hostMemoryBytes: hostMemoryBytes(['h0'], { guests, driverHeapBytes, faults }),
    driverHeapBytes,
    guests,
    faults,
    driverRestartNs: 50e6,
    guestRestartNs: 50e6,
    timeLimitNs: 60e9,
    plantedBug: 'none',
    publish: 'each',
    disturbedStore: false,
  };
}

async function folderFor(t: { teardown: (undo: () => Promise<void>) => void }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stordom-stage-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const KILL_HALF_WAY: Fault = {
  kind: 'kill-driver',
  host: 'h0',
  when: { kind: 'progress', share: 0.5 },
};

for (const device of ['file', 'memory'] as const) {
  test(`threads: a driver VM killed half-way over a ${device} loses nothing`, async (t) => {
    const folder = await folderFor(t);
    const { run, durationNs } = await runInThreads(scenarioWith([KILL_HALF_WAY], device), {
      seed: 1,
      folder,
      keepDisks: false,
    });
    const outages = outagesOf(run, durationNs);
    for (const { name, ok, text } of checksOf(run, outages)) t.true(ok, `${name}: ${text}`);
    t.is(outages.length, 1);
    t.true(run.guests.every(({ workload }) => (workload?.readBackSectors ?? 0) > 0));
    t.deepEqual(await readdir(folder).catch(() => []), [], 'the disks are removed');
  });
}

test('threads: crash points of one actor strike one life after the other', async (t) => {
  const folder = await folderFor(t);
  const points = ['back.before-response-publish', 'back.before-device-submit'] as const;
  const faults = points.map(
    (point): Fault => ({
      kind: 'kill-driver',
      host: 'h0',
      when: { kind: 'crash-point', point, nth: 40 },
    }),
  );
  const { run, durationNs } = await runInThreads(scenarioWith(faults), {
    seed: 1,
    folder,
    keepDisks: false,
  });
  const outages = outagesOf(run, durationNs);
  for (const { name, ok, text } of checksOf(run, outages)) t.true(ok, `${name}: ${text}`);
  const gone = run.events.filter(({ text }) => /is gone/.test(text));
  t.is(gone.length, 2, 'both struck');
});

test('threads: a guest killed at a crash point is started again and finishes', async (t) => {
  const folder = await folderFor(t);
  const fault: Fault = {
    kind: 'kill-guest',
    guest: 'g1',
    when: { kind: 'crash-point', point: 'front.before-index-publish', nth: 100 },
  };
  const { run, durationNs } = await runInThreads(scenarioWith([fault]), {
    seed: 1,
    folder,
    keepDisks: false,
  });
  for (const { name, ok, text } of checksOf(run, outagesOf(run, durationNs))) {
    t.true(ok, `${name}: ${text}`);
  }
  t.deepEqual(
    run.guests.map(({ kills }) => kills),
    [0, 1],
  );
});

test('threads: a kill at an event is refused, for threads count none', async (t) => {
  const folder = await folderFor(t);
  for (const kind of ['event', 'recovery'] as const) {
    const kill: Fault = { kind: 'kill-driver', host: 'h0', when: { kind, nth: 5 } };
    const run = runInThreads(scenarioWith([kill]), { seed: 1, folder, keepDisks: false });
    await t.throwsAsync(run, {
      name: 'UsageError',
      code: 'E_TRIGGER_WORLD',
      message: /"kill-driver" of h0\/driver-vm .*no events to count.*--world sim/,
    });
  }
});

test('threads: disks that are kept have their size and hold the data', async (t) => {
  const folder = await folderFor(t);
  await runInThreads(scenarioWith([]), { seed: 1, folder, keepDisks: true });
  for (const guest of ['g0', 'g1']) {
    const facts = await stat(join(folder, 'h0', `${guest}.disk`));
    t.is(facts.size, BLOCKS * 4096);
    t.true(facts.blocks > 0);
  }
});

test('threads: a run that is interrupted ends its threads and removes its disks', async (t) => {
  const folder = await folderFor(t);
  const interrupt = new AbortController();
  const scenario = scenarioWith([]);
  const slow = scenario.guests.map((guest) => ({ ...guest, requestsPerSecond: 20 }));
  const { run, interrupted } = await runInThreads(
    { ...scenario, guests: slow },
    {
      seed: 1,
      folder,
      keepDisks: false,
      signal: interrupt.signal,
      onProgress: ({ progress }) => {
        if (progress > 0) interrupt.abort();
      },
    },
  );
  t.true(interrupted);
  t.false(run.finished);
  t.deepEqual(await readdir(folder).catch(() => []), []);
});
