/**
 * `stordom demo crash`: the storage domain's promise on one screen. Two guests on one host and a
 * third on another replay a recorded database; in the middle the first host's driver VM is killed
 * and comes back; then every block that was ever touched is read back.
 *
 * It should take about 20 seconds on any machine, so the first seconds go into a small calm replay
 * that tells how many requests a second this one manages, and the trace is cut to that.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { formatCount } from '../base/format-units.ts';
import { SECTOR_BYTES } from '../base/units.ts';
import { hostMemoryBytes } from '../experiments/host-memory.ts';
import type { Run } from '../experiments/runner.ts';
import {
  DEFAULT_FRONT,
  type GuestScenario,
  REPLAY_STORE,
  type Scenario,
} from '../experiments/scenario.ts';
import { runInThreads } from '../experiments/thread-stage.ts';
import { fitCompact } from '../traces/fit.ts';
import { sliceTrace } from '../traces/slice.ts';
import type { Trace } from '../traces/trace.ts';
import type { Fault } from '../world/faults.ts';
import { readTraceFile, withRunFolder } from './files.ts';
import { addCommonFlags, addExamples, type CommonFlags, unknownName } from './flags.ts';
import { ProgressLine } from './progress.ts';
import { runScenario } from './run-scenario.ts';

const DEMOS = ['crash'];
/** From build/src/cli to the package. */
const TRACE = new URL('../../../workloads/traces/sqlite-ext4.nbdkit.log.gz', import.meta.url);
const MIB = 2 ** 20;
const HOSTS = ['h0', 'h1'];
/**
 * Who replays which share of the requests. The third guest has a driver VM to itself and is the
 * fastest: with the largest share it is still at work while the others stand still.
 */
const SHARES = [
  { name: 'g0', host: 'h0', share: 0.28 },
  { name: 'g1', host: 'h0', share: 0.28 },
  { name: 'g2', host: 'h1', share: 0.44 },
];
const DEPTH = 16;
const RESTART_NS = 300e6;
const TIME_LIMIT_NS = 300e9;
const PROBE_REQUESTS = 9_000;
const PROBE_MS_MAX = 4_000;
const REPLAY_SECONDS = 16;
/** Code gets faster for some seconds more. */
const WARM_FACTOR = 2;
const KILL_H0: Fault = {
  kind: 'kill-driver',
  host: 'h0',
  when: { kind: 'progress', share: 0.5 },
};

export function addDemoCommand(program: Command): void {
  const command = program
    .command('demo')
    .description('show what happens when a driver VM dies; about 20 seconds')
    .argument('[name]', `which demonstration: ${DEMOS.join(' or ')}`, 'crash')
    .action(demo);
  addCommonFlags(command);
  addExamples(command, 'stordom demo crash', 'stordom demo crash --quiet --seed 2');
}

async function demo(name: string, flags: CommonFlags): Promise<void> {
  if (!DEMOS.includes(name)) throw unknownName('demo NAME', name, DEMOS);
  const traceFile = await readTraceFile(fileURLToPath(TRACE), undefined);
  process.exitCode = await withRunFolder(flags.out, 'demo-crash', async (folder) => {
    const requests = await requestsFor(traceFile.trace, folder, flags);
    const scenario = demoScenario(traceFile.trace, requests, [KILL_H0]);
    return runScenario(
      {
        scenario,
        world: 'threads',
        flags,
        disks: null,
        limits: [
          'each guest replays as fast as requests come back, 16 outstanding; recorded pauses are ' +
            'left out',
          'recorded addresses are renumbered in the order of first touch, so that disks are small',
        ],
        traceFile,
      },
      folder,
    );
  });
}

/** How many requests this machine replays in the time the demonstration should take. */
async function requestsFor(trace: Trace, folder: string, flags: CommonFlags): Promise<number> {
  const line = new ProgressLine(flags.quiet, () => 'looking how fast this machine is');
  line.start();
  try {
    const { run } = await runInThreads(demoScenario(trace, PROBE_REQUESTS, []), {
      seed: flags.seed,
      folder: join(folder, 'disks'),
      keepDisks: false,
      signal: AbortSignal.timeout(PROBE_MS_MAX),
    });
    const perSecond = rateAtTheEnd(run) * WARM_FACTOR;
    const requests = Math.round((perSecond * REPLAY_SECONDS) / 1000) * 1000;
    return Math.min(trace.requests, Math.max(PROBE_REQUESTS, requests));
  } finally {
    line.stop();
  }
}

/**
 * Requests a second in the later half of a run: threads that start and code that is not compiled
 * yet take as long for a short replay as for a long one.
 */
function rateAtTheEnd(run: Run): number {
  const answeredNs: number[] = [];
  for (const { history } of run.guests) {
    for (let at = 0; at < history.length; at++) {
      const { ackNs } = history.record(at);
      if (ackNs > 0) answeredNs.push(ackNs);
    }
  }
  if (answeredNs.length < 2) return 0;
  answeredNs.sort((a, b) => a - b);
  const half = answeredNs.length >> 1;
  const spanNs = (answeredNs[answeredNs.length - 1] as number) - (answeredNs[half] as number);
  return ((answeredNs.length - half) / spanNs) * 1e9;
}

/** Three guests with consecutive parts of the first `requests` requests. */
function demoScenario(trace: Trace, requests: number, faults: readonly Fault[]): Scenario {
  let from = 0;
  const guests = SHARES.map(({ name, host, share }, at): GuestScenario => {
    const last = at === SHARES.length - 1;
    const to = last ? requests : from + Math.floor(requests * share);
    const fitted = fitCompact(sliceTrace(trace, from, to));
    from = to;
    return {
      name,
      host,
      device: 'vdi',
      diskSectors: fitted.diskBytes / SECTOR_BYTES,
      trace: fitted.trace,
      pace: { kind: 'closed', depth: DEPTH },
      heapBytes: 16 * MIB,
      front: DEFAULT_FRONT,
      policy: 'stall',
      requestsPerSecond: 0,
      bytesPerSecond: 0,
    };
  });
  const driverHeapBytes = 16 * MIB;
  const store = REPLAY_STORE;
  return {
    title: 'crash of the driver VM',
    summary:
      `${formatCount(requests)} requests of a recorded SQLite database on ext4: guests g0 and g1 ` +
      'on host h0, g2 on h1; the driver VM of h0 is killed half-way and restarted',
    hosts: HOSTS,
    hostMemoryBytes: hostMemoryBytes(HOSTS, { guests, driverHeapBytes, faults, store }),
    driverHeapBytes,
    guests,
    faults,
    driverRestartNs: RESTART_NS,
    guestRestartNs: RESTART_NS,
    timeLimitNs: TIME_LIMIT_NS,
    plantedBug: 'none',
    publish: 'each',
    disturbedStore: false,
    store,
  };
}
