/**
 * Runs a scenario for a command: in its world, with a progress line, until it ends or the user
 * interrupts it; then writes the run folder and prints the report.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { formatDuration } from '../base/format-units.ts';
import { SECTOR_BYTES } from '../base/units.ts';
import { resultOf } from '../experiments/account.ts';
import type { RunResult } from '../experiments/result.ts';
import type { Run } from '../experiments/runner.ts';
import { diskName, type Scenario } from '../experiments/scenario.ts';
import { runInSimulator } from '../experiments/sim-stage.ts';
import { diskFolder } from '../experiments/thread-folders.ts';
import { runInThreads } from '../experiments/thread-stage.ts';
import { stringifyResult } from '../report/result-file.ts';
import { ANSI_STYLE, renderTerminal, renderVerdictLine } from '../report/terminal.ts';
import { commandLine } from './command-line.ts';
import { commitText } from './commit.ts';
import { ExitCode, Interrupted } from './exit.ts';
import { checkDiskFile, makeFolder, type TraceFile, writeRunFolder } from './files.ts';
import type { CommonFlags } from './flags.ts';
import { untilInterrupted } from './interrupt.ts';
import { machineFacts } from './machine.ts';
import { ProgressLine, progressBar } from './progress.ts';
import { stordomVersion } from './version.ts';

export interface ScenarioRequest {
  readonly scenario: Scenario;
  readonly world: 'threads' | 'sim';
  readonly flags: CommonFlags;
  /** Where the user wants the disk files; null: in the run folder, removed at the end. */
  readonly disks: string | null;
  readonly limits: readonly string[];
  readonly traceFile: TraceFile;
}

interface Finished {
  readonly run: Run;
  readonly durationNs: number;
  /** What actors said of themselves, oldest first. */
  readonly notes: readonly ActorNote[];
  /** Hash of the event log, in the simulator. */
  readonly eventHash: string | null;
}

interface ActorNote {
  readonly actor: string;
  readonly text: string;
}

/** Bucket widths of series, of which the first that gives few enough buckets is taken. */
const BUCKETS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 60_000];
const BUCKETS_MAX = 240;
const NOTES_MAX = 1000;
const WIDTH_DEFAULT = 100;

/** Runs, writes the folder, prints. The folder is there and empty. */
export async function runScenario(request: ScenarioRequest, folder: string): Promise<ExitCode> {
  const startedAt = new Date();
  const finished = await execute(request, folder);
  const result = resultFrom(request, finished, startedAt);
  await writeRunFolder(folder, finished.run, result, manifestOf(request, result, finished));
  print(result, request.flags, folder);
  return result.ok ? ExitCode.ok : ExitCode.broken;
}

/** Refuses disk files that cannot be used; makes the folder for them. */
export async function prepareDisks(scenario: Scenario, disks: string): Promise<void> {
  for (const { name, host, diskSectors } of scenario.guests) {
    const path = join(diskFolder(disks, host), diskName(name));
    await checkDiskFile(path, diskSectors * SECTOR_BYTES);
  }
  await makeFolder(disks, '--disks');
}

async function execute(request: ScenarioRequest, folder: string): Promise<Finished> {
  const { scenario, world, flags } = request;
  let text = `${scenario.title}: starting`;
  const line = new ProgressLine(flags.quiet, () => text);
  const onProgress = (run: Run, nowNs: number): void => {
    text = progressText(scenario.title, run, nowNs);
  };
  line.start();
  try {
    return await untilInterrupted(async (signal) => {
      const watch: Watch = { signal, onProgress };
      const finished =
        world === 'sim'
          ? await inSimulator(request, watch)
          : await inThreads(request, folder, watch);
      if (signal.aborted) throw new Interrupted('interrupted; nothing was written');
      return finished;
    });
  } finally {
    line.stop();
  }
}

interface Watch {
  readonly signal: AbortSignal;
  readonly onProgress: (run: Run, nowNs: number) => void;
}

async function inThreads(
  { scenario, flags, disks }: ScenarioRequest,
  folder: string,
  watch: Watch,
): Promise<Finished> {
  const notes: ActorNote[] = [];
  const { run, durationNs } = await runInThreads(scenario, {
    seed: flags.seed,
    folder: disks ?? join(folder, 'disks'),
    keepDisks: disks !== null,
    ...watch,
    onNote: (actor, text) => {
      if (notes.length < NOTES_MAX) notes.push({ actor, text });
    },
  });
  return { run, durationNs, notes, eventHash: null };
}

async function inSimulator(
  { scenario, flags }: ScenarioRequest,
  { signal, onProgress }: Watch,
): Promise<Finished> {
  const simulated = runInSimulator(scenario, flags.seed, null, (resume, run, nowNs) => {
    onProgress(run, nowNs);
    // Not resumed, the simulation never goes on: that is how it is interrupted.
    if (!signal.aborted) setImmediate(resume);
  });
  await Promise.race([simulated, abortOf(signal)]);
  if (signal.aborted) throw new Interrupted('interrupted; nothing was written');
  const { run, outcome, log } = await simulated;
  const notes = log.notes.slice(0, NOTES_MAX).map(({ actor, text }) => ({ actor, text }));
  return { run, durationNs: outcome.endNs, notes, eventHash: outcome.hash };
}

function abortOf(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function progressText(title: string, run: Run, nowNs: number): string {
  const percent = `${Math.floor(run.progress * 100)}%`;
  const last = run.events[run.events.length - 1];
  const news = last === undefined ? '' : `  ${last.text}`;
  const seconds = `${(nowNs / 1e9).toFixed(1)}s`;
  return `${title} ${progressBar(run.progress)} ${percent.padStart(4)} ${seconds}${news}`;
}

function resultFrom(
  { world, flags, limits }: ScenarioRequest,
  { run, durationNs }: Finished,
  startedAt: Date,
): RunResult {
  const late = run.guests.reduce((sum, { stats }) => sum + stats.get('lateStarts'), 0);
  const lateText = `${late} requests began more than ${formatDuration(1e6)} after their time`;
  const bucketMs =
    BUCKETS_MS.find((ms) => durationNs / (ms * 1e6) <= BUCKETS_MAX) ??
    (BUCKETS_MS[BUCKETS_MS.length - 1] as number);
  return resultOf(run, {
    world,
    seed: flags.seed,
    machine: machineFacts(),
    startedAtIso: startedAt.toISOString(),
    durationNs,
    bucketNs: bucketMs * 1e6,
    command: commandLine(),
    limits: late === 0 ? limits : [...limits, lateText],
  });
}

function manifestOf(request: ScenarioRequest, result: RunResult, finished: Finished): object {
  const { scenario, world, flags, traceFile } = request;
  const { title, hosts, faults, hostMemoryBytes, driverRestartNs, plantedBug } = scenario;
  const { path, sha256, storedBytes, trace } = traceFile;
  return {
    format: 'stordom-manifest',
    version: 1,
    stordom: stordomVersion(),
    commit: commitText(),
    command: result.command,
    world,
    seed: flags.seed,
    ok: result.ok,
    startedAtIso: result.startedAtIso,
    durationNs: result.durationNs,
    eventHash: finished.eventHash,
    machine: result.machine,
    trace: { file: path, sha256, storedBytes, format: trace.facts.format },
    scenario: {
      title,
      hosts,
      hostMemoryBytes,
      driverRestartNs,
      plantedBug,
      faults,
      guests: scenario.guests.map(({ trace: part, ...guest }) => ({
        ...guest,
        requests: part.requests,
      })),
    },
    notes: finished.notes,
  };
}

function print(result: RunResult, flags: CommonFlags, folder: string): void {
  if (flags.json) {
    process.stdout.write(stringifyResult(result));
    return;
  }
  const { stdout } = process;
  const colours = stdout.isTTY && process.env['NO_COLOR'] === undefined;
  const options = {
    width: stdout.columns || WIDTH_DEFAULT,
    ...(colours ? { style: ANSI_STYLE } : {}),
  };
  if (flags.quiet) {
    stdout.write(`${renderVerdictLine(result, options)}
`);
    return;
  }
  const report = pathToFileURL(join(folder, 'report.html'));
  stdout.write(`${renderTerminal(result, options)}
Report: ${report.href}
`);
}
