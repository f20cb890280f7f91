/**
 * One scenario, the same guest and driver VM classes, in both worlds: over threads and in the
 * simulator.
 */
import test from 'ava';
import { Prng } from '../../src/base/prng.ts';
import type { Run } from '../../src/experiments/runner.ts';
import {
  DEFAULT_FRONT,
  type GuestScenario,
  type Scenario,
} from '../../src/experiments/scenario.ts';
import { runInSimulator } from '../../src/experiments/sim-stage.ts';
import { runInThreads } from '../../src/experiments/thread-stage.ts';
import { syntheticTrace } from '../../src/traces/synthetic.ts';
import { HistoryKind, HistoryStatus } from '../../src/world/history.ts';
import { folderOf } from './real/helpers.ts';

const BLOCKS = 256;
const REQUESTS = 3000;

function guest(name: string, device: 'file' | 'memory'): GuestScenario {
  const trace = syntheticTrace(new Prng(7, name), {
    requests: REQUESTS,
    blocks: BLOCKS,
    shared: true,
  });
  return {
    name,
    host: 'h0',
    device,
    diskSectors: BLOCKS * 8,
    trace,
    pace: { kind: 'closed', depth: 16 },
    heapBytes: 2 * 2 ** 20,
    front: DEFAULT_FRONT,
    policy: 'stall',
    requestsPerSecond: 0,
    bytesPerSecond: 0,
  };
}

const SCENARIO: Scenario = {
  title: 'both worlds',
  summary: 'two guests; their driver VM is killed in the middle and comes back',
  hosts: ['h0'],
  hostMemoryBytes: 16 * 2 ** 20,
  driverHeapBytes: 2 * 2 ** 20,
  guests: [guest('g0', 'file'), guest('g1', 'memory')],
  faults: [{ kind: 'kill-driver', host: 'h0', when: { kind: 'progress', share: 0.3 } }],
  driverRestartNs: 20e6,
  guestRestartNs: 0,
  timeLimitNs: 25e9,
  plantedBug: 'none',
  publish: 'each',
  disturbedStore: false,
};

/** What a guest asked of its disk, in its order; the world must not matter to it. */
function asked(run: Run, name: string): string[] {
  const track = run.guests.find((one) => one.name === name);
  const lines: string[] = [];
  for (let at = 0; at < (track?.history.length ?? 0); at++) {
    const { kind, flags, lba, sectors, index } = track?.history.record(at) ?? {};
    const written = kind === HistoryKind.write ? index : 0;
    lines.push(`${kind} ${flags} ${lba}+${sectors} ${written}`);
  }
  return lines;
}

test('the same guests ask the same of their disks and find it, though the driver VM dies', async (t) => {
  const folder = await folderOf(t);
  const simulated = (await runInSimulator(SCENARIO, 1)).run;
  const options = { seed: 1, folder, keepDisks: false };
  const threaded = (await runInThreads(SCENARIO, options)).run;
  for (const run of [simulated, threaded]) {
    t.deepEqual(run.problems, []);
    t.is(run.hosts[0]?.outages.length, 1, 'the driver VM was killed once, while they worked');
    for (const track of run.guests) {
      t.true(track.finished);
      t.deepEqual(track.problems, []);
      t.deepEqual(track.workload?.violations, []);
      for (let at = 0; at < track.history.length; at++) {
        t.is(track.history.record(at).status, HistoryStatus.ok);
      }
    }
  }
  for (const name of ['g0', 'g1']) t.deepEqual(asked(threaded, name), asked(simulated, name));
});
