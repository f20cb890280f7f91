/**
 * The whole path as it really is: guests on piscina threads with the closed-loop workload,
 * blkfront, rings in the host's RAM, a driver VM on a thread of its own with the null device, all
 * started by the toolstack. A rig is made for one configuration and thrown away; the depth is
 * changed between measurements through the shared words of the workload.
 *
 * Work of a request: one copy of 4 KiB in the guest and one in the driver VM; a read also has the
 * null device clear 4 KiB.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { present } from '../src/base/invariant.ts';
import type { DriverVmConfig, DriverVmStatus } from '../src/driver-vm/driver-vm.ts';
import {
  closedLoopBuffer,
  LATENCY_SAMPLES,
  LoopWord,
  latencySamples,
} from '../src/guests/closed-loop.ts';
import type { ClosedLoopConfig } from '../src/guests/create-guest.ts';
import type { GuestConfig } from '../src/guests/guest.ts';
import { VIRTUAL_DEVICE } from '../src/hypervisor/disk-keys.ts';
import { Toolstack } from '../src/hypervisor/toolstack.ts';
import type { WaitMode } from '../src/world/real/bell-watch.ts';
import { startClock } from '../src/world/real/clock.ts';
import { toolstackWorld } from '../src/world/real/real-world.ts';
import { ThreadSpawner } from '../src/world/real/spawner.ts';
import { createHostMemory, type WasmMemory } from '../src/world/real/wasm-memory.ts';
import { sleepMs } from './machine.ts';

export const MAX_DEPTH = 128;
/** Two pages of ring hold 64 requests, four hold 128. */
const RING_ORDER = 2;
const HOST_MEMORY_BYTES = 24 * 2 ** 20;
const GUEST_HEAP_BYTES = 2 * 2 ** 20;
const DRIVER_HEAP_BYTES = 6 * 2 ** 20;
const GRANT_ENTRIES = 1024;
const DISK_SECTORS = 32_768;
const HOST = 'h0';

export function rigMemory(): WasmMemory {
  return createHostMemory(HOST_MEMORY_BYTES);
}

export interface RigConfig {
  readonly guests: number;
  readonly mode: WaitMode;
  readonly publish: 'each' | 'batch';
  /** Looks at the clock twice a request; off for throughput. */
  readonly sampleLatency: boolean;
}

export interface RingReading {
  readonly requests: number;
  readonly requestsPerSecond: number;
  /** Doorbells rung by guests, and by the driver VM, a request. */
  readonly guestKicks: number;
  readonly driverKicks: number;
}

interface Counts {
  readonly requests: number;
  readonly guestKicks: number;
  readonly driverKicks: number;
  readonly atMs: number;
}

export class RingRig {
  readonly #folder: string;
  readonly #spawner: ThreadSpawner;
  readonly #toolstack: Toolstack;
  readonly #buffers: SharedArrayBuffer[] = [];
  readonly #words: Float64Array[] = [];
  readonly #failures: unknown[];
  readonly #bury: () => Promise<void>;

  private constructor(
    folder: string,
    spawner: ThreadSpawner,
    toolstack: Toolstack,
    failures: unknown[],
    bury: () => Promise<void>,
  ) {
    this.#folder = folder;
    this.#spawner = spawner;
    this.#toolstack = toolstack;
    this.#failures = failures;
    this.#bury = bury;
  }

  /**
   * Settles when every guest is connected; they are paused. `memory` is the host's RAM, of
   * `rigMemory`: every shared memory reserves some gigabytes of addresses until it is collected, so
   * rigs that follow one another share one.
   */
  static async open(config: RigConfig, memory: WasmMemory): Promise<RingRig> {
    memory.clear(0, memory.sizeBytes);
    const folder = await mkdtemp(join(tmpdir(), 'stordom-bench-'));
    const clockZero = startClock();
    const onNote = (): void => {};
    const spawner = new ThreadSpawner({
      hosts: new Map([[HOST, { memory, folder }]]),
      guestWorker: new URL('../src/guests/worker.js', import.meta.url),
      driverWorker: new URL('../src/driver-vm/worker.js', import.meta.url),
      guestThreads: config.guests,
      guestMode: config.mode,
      driverMode: config.mode,
      clockZero,
      seed: 1,
      onNote,
    });
    const world = toolstackWorld({ name: 'dom0', memory, seed: 1, clockZero, folder, onNote });
    const failures: unknown[] = [];
    const toolstack = new Toolstack(HOST, world, spawner, {
      driverExited: ({ exit }) => {
        if (exit?.reason === 'failed') failures.push(exit.error);
      },
      guestExited: ({ exit }) => {
        if (exit?.reason === 'failed') failures.push(exit.error);
      },
      failed: (thrown) => failures.push(thrown),
    });
    const rig = new RingRig(folder, spawner, toolstack, failures, () => world.bury());
    await toolstack.startDriver({
      heapBytes: DRIVER_HEAP_BYTES,
      config: (layout): DriverVmConfig => ({
        layout,
        tap: null,
        publish: config.publish,
        plantedBug: 'none',
      }),
    });
    for (let guest = 0; guest < config.guests; guest++) await rig.#addGuest(`g${guest}`, config);
    await toolstack.allConnected();
    return rig;
  }

  /** Sets how many requests each guest keeps outstanding; one number a guest. */
  setDepths(depths: readonly number[]): void {
    depths.forEach((depth, guest) => {
      const words = present(this.#words[guest], 'a depth is set for a guest of the rig');
      words[LoopWord.depth] = depth;
    });
  }

  /** Settles when every guest whose depth is not 0 has had its first answers. */
  async ready(): Promise<void> {
    const waits = (words: Float64Array): boolean =>
      (words[LoopWord.depth] as number) > 0 && words[LoopWord.completed] === 0;
    while (this.#failures.length === 0 && this.#words.some(waits)) await sleepMs(1);
  }

  /**
   * Counts what all guests do in `durationMs`, with the depths of now; longer on a machine so busy
   * that nothing was done in that time.
   */
  async measure(durationMs: number): Promise<RingReading> {
    const before = await this.#counts();
    await sleepMs(durationMs);
    let after = await this.#counts();
    while (after.requests === before.requests && this.#failures.length === 0) {
      await sleepMs(1);
      after = await this.#counts();
    }
    const requests = after.requests - before.requests;
    const per = (count: number): number => count / requests;
    return {
      requests,
      requestsPerSecond: (requests * 1000) / (after.atMs - before.atMs),
      guestKicks: per(after.guestKicks - before.guestKicks),
      driverKicks: per(after.driverKicks - before.driverKicks),
    };
  }

  /** Latencies, ns, of the requests a guest completes in `durationMs`; at least one. */
  async latencies(guest: number, durationMs: number): Promise<Float64Array> {
    const buffer = present(this.#buffers[guest], 'the rig has that guest');
    const words = new Float64Array(buffer);
    const from = words[LoopWord.completed] as number;
    await sleepMs(durationMs);
    while (words[LoopWord.completed] === from && this.#failures.length === 0) await sleepMs(1);
    const until = words[LoopWord.completed] as number;
    const samples = latencySamples(buffer);
    const first = Math.max(from, until - samples.length);
    const seen = new Float64Array(until - first);
    for (let i = 0; i < seen.length; i++) {
      seen[i] = samples[(first + i) % LATENCY_SAMPLES] as number;
    }
    return seen;
  }

  /** Stops the guests and ends all threads. Throws if anything of the rig had failed. */
  async close(): Promise<void> {
    this.setDepths(this.#words.map(() => -1));
    await Promise.all(this.#toolstack.guests().map(({ handle }) => handle.exited));
    const errors = this.#words.reduce((sum, words) => sum + (words[LoopWord.errors] as number), 0);
    await this.#spawner.close();
    await this.#bury();
    await rm(this.#folder, { recursive: true, force: true });
    if (errors > 0) throw new Error(`${errors} requests of the benchmark failed`);
    const [failure] = this.#failures;
    if (failure !== undefined) throw new Error('an actor of the rig failed', { cause: failure });
  }

  async #addGuest(name: string, config: RigConfig): Promise<void> {
    const buffer = closedLoopBuffer();
    this.#buffers.push(buffer);
    this.#words.push(new Float64Array(buffer));
    await this.#toolstack.createGuest({
      name,
      heapBytes: GUEST_HEAP_BYTES,
      grantEntries: GRANT_ENTRIES,
      disk: {
        kind: 'null',
        name: '',
        sectors: DISK_SECTORS,
        writable: true,
        weight: 1,
        requestsPerSecond: 0,
        bytesPerSecond: 0,
        bare: true,
      },
      config: (layout): GuestConfig<ClosedLoopConfig> => ({
        layout,
        disk: {
          virtualDevice: VIRTUAL_DEVICE,
          policy: 'stall',
          deadlineNs: 30e9,
          front: {
            queues: 1,
            ringOrder: RING_ORDER,
            persistent: true,
            trusted: true,
            indirectSegments: 0,
            publish: config.publish,
            startIndex: 0,
          },
        },
        plantedBug: 'none',
        workload: {
          kind: 'closed-loop',
          words: buffer,
          options: {
            maxDepth: MAX_DEPTH,
            readShare: 0.5,
            fua: false,
            sectors: DISK_SECTORS,
            sampleLatency: config.sampleLatency,
          },
        },
      }),
    });
  }

  async #counts(): Promise<Counts> {
    const driver = present(this.#toolstack.driver, 'the rig has a driver VM');
    const status = (await driver.handle.call('status')) as DriverVmStatus;
    let requests = 0;
    let guestKicks = 0;
    for (const words of this.#words) {
      requests += words[LoopWord.completed] as number;
      guestKicks += words[LoopWord.notifications] as number;
    }
    return { requests, guestKicks, driverKicks: status.notifications, atMs: performance.now() };
  }
}
