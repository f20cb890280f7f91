/**
 * `stordom demo`: the storage domain's promises, each on one screen (`demo-scenarios.ts`).
 *
 * A demonstration should take about 20 seconds on any machine, so the first seconds go into a small
 * calm replay that tells how many requests a second this one manages, and the trace is cut to that.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { Run } from '../experiments/runner.ts';
import { runInThreads } from '../experiments/thread-stage.ts';
import type { Trace } from '../traces/trace.ts';
import { DEMO_NAMES, DEMOS, type Demo, demoScenario, LIMITS } from './demo-scenarios.ts';
import { readTraceFile, withRunFolder } from './files.ts';
import { addCommonFlags, addExamples, type CommonFlags, unknownName } from './flags.ts';
import { ProgressLine } from './progress.ts';
import { runScenario } from './run-scenario.ts';

/** From build/src/cli to the package. */
const TRACE = new URL('../../../workloads/traces/sqlite-ext4.nbdkit.log.gz', import.meta.url);
const PROBE_REQUESTS = 9_000;
const PROBE_MS_MAX = 4_000;
const REPLAY_SECONDS = 16;
/** Code gets faster for some seconds more. */
const WARM_FACTOR = 2;
export function addDemoCommand(program: Command): void {
  const command = program
    .command('demo')
    .description('show what happens when a part of the storage domain dies; about 20 seconds')
    .argument('[name]', `which demonstration: ${DEMO_NAMES.join(', ')}`, 'crash')
    .action(demo);
  addCommonFlags(command);
  addExamples(command, 'stordom demo crash', 'stordom demo petal-loss --quiet --seed 2');
}

async function demo(name: string, flags: CommonFlags): Promise<void> {
  const shown = DEMOS.find((one) => one.name === name);
  if (shown === undefined) throw unknownName('demo NAME', name, DEMO_NAMES);
  const traceFile = await readTraceFile(fileURLToPath(TRACE), undefined);
  process.exitCode = await withRunFolder(flags.out, `demo-${name}`, async (folder) => {
    const requests = await requestsFor(shown, traceFile.trace, folder, flags);
    const scenario = demoScenario(shown, traceFile.trace, requests, shown.faults);
    const request = { scenario, world: 'threads', flags, disks: null, traceFile } as const;
    return runScenario({ ...request, limits: [...LIMITS, ...shown.limits] }, folder);
  });
}

/** How many requests this machine replays in the time the demonstration should take. */
async function requestsFor(
  shown: Demo,
  trace: Trace,
  folder: string,
  flags: CommonFlags,
): Promise<number> {
  const line = new ProgressLine(flags.quiet, () => 'looking how fast this machine is');
  line.start();
  try {
    const { run } = await runInThreads(demoScenario(shown, trace, PROBE_REQUESTS, []), {
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
