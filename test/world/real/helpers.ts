import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { ActorKind, ActorSpec } from '../../../src/world/actor.ts';
import { startClock } from '../../../src/world/real/clock.ts';
import { ThreadSpawner, type ThreadSpawnerOptions } from '../../../src/world/real/spawner.ts';
import { createHostMemory, type WasmMemory } from '../../../src/world/real/wasm-memory.ts';
import type { ProbeConfig } from './fixtures/actors.ts';

export const BELL = 4096;
export const PROGRESS = 8192;

/** A folder of its own, removed with the test. */
export async function folderOf(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stordom-real-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** So long the event loop only turns between two looks; then it leaves the processor to others. */
const EAGER_MS = 20;

/** Waits until `condition` holds, turning the event loop; fails after `limitMs`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs: number = 10_000,
): Promise<void> {
  const beganMs = performance.now();
  while (!(await condition())) {
    const passedMs = performance.now() - beganMs;
    if (passedMs > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => {
      if (passedMs < EAGER_MS) setImmediate(resolve);
      else setTimeout(resolve, passedMs / 20);
    });
  }
}

export interface Bench {
  readonly spawner: ThreadSpawner;
  readonly memory: WasmMemory;
  readonly folder: string;
  readonly notes: string[];
  progress(): number;
  spec(kind: ActorKind, name: string, config: Partial<ProbeConfig>, links?: string[]): ActorSpec;
}

export async function benchOf(
  t: ExecutionContext,
  options: Partial<ThreadSpawnerOptions> = {},
): Promise<Bench> {
  const folder = await folderOf(t);
  const memory = createHostMemory(1 << 20);
  const notes: string[] = [];
  const spawner = new ThreadSpawner({
    hosts: new Map([['h0', { memory, folder }]]),
    guestWorker: new URL('./fixtures/guest-worker.js', import.meta.url),
    driverWorker: new URL('./fixtures/driver-worker.js', import.meta.url),
    guestThreads: 2,
    guestMode: 'block',
    driverMode: 'block',
    clockZero: startClock(),
    seed: 1,
    onNote: (actor, text) => notes.push(`${actor}: ${text}`),
    ...options,
  });
  t.teardown(() => spawner.close());
  return {
    spawner,
    memory,
    folder,
    notes,
    progress: () => Atomics.load(memory.i32, PROGRESS / 4),
    spec: (kind, name, config, links = []) => ({
      kind,
      name,
      host: 'h0',
      bellAddress: BELL,
      links,
      config: { progressAddress: PROGRESS, behaviour: 'idle', until: 0, ...config },
    }),
  };
}
