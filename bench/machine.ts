/**
 * The machine a benchmark ran on, and how much of it others used meanwhile.
 *
 * On Linux `/proc/stat` says how busy all cores were and `process.cpuUsage` how busy this process
 * was; the difference is the foreign load, in cores. Elsewhere it is not known, and counts as none.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';

export interface BenchMachine {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly os: string;
  /** Load average of the last minute, at the start. */
  readonly load1: number;
}

/** Below this many foreign cores a machine counts as quiet. */
const QUIET_CORES = 0.3;
const QUIET_LOOK_MS = 60;
const TICK_MS = 10;

export function describeMachine(): BenchMachine {
  return {
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    os: `${type()} ${release()}`,
    load1: loadavg()[0] ?? 0,
  };
}

/** Measures foreign load from its making to each `cores` call. */
export class ForeignLoad {
  readonly #busyMs = machineBusyMs();
  readonly #ownMicros = ownMicros();
  readonly #startMs = performance.now();

  /** Cores that others kept busy since this was made; 0 where that is not known. */
  cores(): number {
    const busyMs = machineBusyMs();
    const elapsedMs = performance.now() - this.#startMs;
    if (busyMs === null || this.#busyMs === null || elapsedMs <= 0) return 0;
    const ownMs = (ownMicros() - this.#ownMicros) / 1000;
    return Math.max(0, (busyMs - this.#busyMs - ownMs) / elapsedMs);
  }
}

/** Waits until others leave the machine alone, or for `limitMs`. */
export async function awaitQuiet(limitMs: number): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (performance.now() < endMs) {
    const load = new ForeignLoad();
    await sleepMs(QUIET_LOOK_MS);
    if (load.cores() < QUIET_CORES) return;
  }
}

export function sleepMs(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

function ownMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Time that all cores together have been busy; null where the system does not say. */
function machineBusyMs(): number | null {
  let text: string;
  try {
    text = readFileSync('/proc/stat', 'utf8');
  } catch {
    return null;
  }
  // cpu user nice system idle iowait irq softirq steal ...
  const fields = text.slice(0, text.indexOf('\n')).trim().split(/\s+/).slice(1).map(Number);
  const idle = (fields[3] ?? 0) + (fields[4] ?? 0);
  const all = fields.slice(0, 8).reduce((sum, ticks) => sum + ticks, 0);
  return (all - idle) * TICK_MS;
}
