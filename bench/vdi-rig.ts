/**
 * Parallax as it really runs: guests on piscina threads with the closed-loop workload, rings, a
 * driver VM on a thread of its own with a store in a temporary folder (pool file, lmdb directory,
 * log and slab on the host's disk), destage on. A rig is made for one line of the benchmark, or a
 * few that belong together; depths are changed between measurements.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { present } from '../src/base/invariant.ts';
import { SECTORS_PER_PAGE } from '../src/base/units.ts';
import type { DriverVmConfig, DriverVmStatus } from '../src/driver-vm/driver-vm.ts';
import type { StoreStatus } from '../src/driver-vm/image-server.ts';
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
import type { ImageStatus } from '../src/parallax/vdi/served-image.ts';
import { type ParallaxSizes, ramBytes } from '../src/parallax/vdi/sizes.ts';
import { startClock } from '../src/world/real/clock.ts';
import { toolstackWorld } from '../src/world/real/real-world.ts';
import { ThreadSpawner } from '../src/world/real/spawner.ts';
import { createHostMemory, type WasmMemory } from '../src/world/real/wasm-memory.ts';
import { sleepMs } from './machine.ts';
import { allocatePool, BENCH_STORE, type BenchImage, BenchStore, FILL_BYTES } from './vdi-store.ts';

export const MAX_DEPTH = 32;
const BLOCK_BYTES = 4096;
const RING_ORDER = 0;
const GUEST_HEAP_BYTES = 2 ** 20;
const DRIVER_HEAP_BYTES = 8 * 2 ** 20;
const GRANT_ENTRIES = 512;
const SPARE_BYTES = 8 * 2 ** 20;
const WASM_GRANULE_BYTES = 65_536;
const HOST = 'h0';
const DRAIN_LOOK_MS = 5;

export interface RigGuest {
  readonly name: string;
  readonly device: 'vdi' | 'file' | 'null';
  /** Of the image; the same for several guests if they share it. */
  readonly image: string;
  /** Blocks from the first on that it reads and writes. */
  readonly blocks: number;
  readonly readShare: number;
  readonly fua: boolean;
  readonly sampleLatency: boolean;
}

export interface VdiRigConfig {
  readonly sizes: ParallaxSizes;
  readonly poolBlocks: number;
  /** Of them, those that have their places on the file system already; none unless said. */
  readonly allocatedBlocks?: number;
  readonly images: readonly BenchImage[];
  readonly guests: readonly RigGuest[];
  /** As many as there are guests unless said. */
  readonly guestThreads?: number;
}

export interface Speed {
  readonly requests: number;
  readonly requestsPerSecond: number;
}

/** RAM of a host for guests and a driver VM of these sizes. Rigs that follow another share it. */
export function vdiRigMemory(sizes: ParallaxSizes, guests: number): WasmMemory {
  const drivers = 2 * (ramBytes(sizes) + DRIVER_HEAP_BYTES);
  const bytes = SPARE_BYTES + FILL_BYTES + drivers + guests * 2 * GUEST_HEAP_BYTES;
  return createHostMemory(Math.ceil(bytes / WASM_GRANULE_BYTES) * WASM_GRANULE_BYTES);
}

export class VdiRig {
  readonly folder: string;
  readonly #memory: WasmMemory;
  readonly #store: BenchStore;
  readonly #spawner: ThreadSpawner;
  readonly #toolstack: Toolstack;
  readonly #buffers = new Map<string, SharedArrayBuffer>();
  readonly #words = new Map<string, Float64Array>();
  readonly #failures: unknown[];
  readonly #bury: () => Promise<void>;

  private constructor(
    folder: string,
    memory: WasmMemory,
    store: BenchStore,
    spawner: ThreadSpawner,
    toolstack: Toolstack,
    failures: unknown[],
    bury: () => Promise<void>,
  ) {
    this.folder = folder;
    this.#memory = memory;
    this.#store = store;
    this.#spawner = spawner;
    this.#toolstack = toolstack;
    this.#failures = failures;
    this.#bury = bury;
  }

  /** Settles when every guest is connected; they are paused. The RAM is zeros, and so left. */
  static async open(config: VdiRigConfig, memory: WasmMemory): Promise<VdiRig> {
    const folder = await mkdtemp(join(tmpdir(), 'stordom-bench-'));
    const poolFolder = join(folder, 'pool');
    const hostFolder = join(folder, HOST);
    await mkdir(poolFolder);
    await mkdir(hostFolder);
    const clockZero = startClock();
    const failures: unknown[] = [];
    const onNote = (): void => {};
    const place = { memory, folder: hostFolder, poolFolder };
    const spawner = new ThreadSpawner({
      hosts: new Map([[HOST, place]]),
      guestWorker: new URL('../src/guests/worker.js', import.meta.url),
      driverWorker: new URL('../src/driver-vm/worker.js', import.meta.url),
      guestThreads: config.guestThreads ?? config.guests.length,
      guestMode: 'adaptive',
      driverMode: 'adaptive',
      clockZero,
      seed: 1,
      onNote,
    });
    const world = toolstackWorld({ name: 'dom0', ...place, seed: 1, clockZero, onNote });
    const store = new BenchStore(folder);
    // Filling uses RAM that the domains get afterwards.
    await store.create(world, config.poolBlocks, HOST, config.images, FILL_ADDRESS);
    allocatePool(poolFolder, (config.allocatedBlocks ?? 0) * BLOCK_BYTES);
    memory.clear(FILL_ADDRESS, FILL_BYTES);
    const toolstack = new Toolstack(HOST, world, spawner, {
      driverExited: ({ exit }) => {
        if (exit?.reason === 'failed') failures.push(exit.error);
      },
      guestExited: ({ exit }) => {
        if (exit?.reason === 'failed') failures.push(exit.error);
      },
      failed: (thrown) => failures.push(thrown),
    });
    const rig = new VdiRig(folder, memory, store, spawner, toolstack, failures, () => world.bury());
    const { sizes } = config;
    await toolstack.startDriver({
      heapBytes: DRIVER_HEAP_BYTES + ramBytes(sizes),
      links: { directory: store.serve },
      config: (layout): DriverVmConfig => ({
        layout,
        tap: null,
        publish: 'each',
        plantedBug: 'none',
        store: { name: BENCH_STORE, host: HOST, sizes },
      }),
    });
    for (const guest of config.guests) await rig.addGuest(guest, config.images);
    return rig;
  }

  get hostFolder(): string {
    return join(this.folder, HOST);
  }

  /** From now on this guest reads only. */
  readFrom(guest: string): void {
    this.wordsOf(guest)[LoopWord.readShare] = 1;
  }

  wordsOf(guest: string): Float64Array {
    return present(this.#words.get(guest), 'a guest of the rig has words');
  }

  setDepth(guest: string, depth: number): void {
    this.wordsOf(guest)[LoopWord.depth] = depth;
  }

  /** Nothing is outstanding any more. */
  async pause(guest: string): Promise<void> {
    this.setDepth(guest, 0);
    await this.until(() => this.wordsOf(guest)[LoopWord.outstanding] === 0);
  }

  completedOf(guest: string): number {
    return this.wordsOf(guest)[LoopWord.completed] as number;
  }

  /** What a guest does in `durationMs` at `depth`, after `warmMs` of it; paused afterwards. */
  async speed(guest: string, depth: number, durationMs: number, warmMs: number): Promise<Speed> {
    this.setDepth(guest, depth);
    await sleepMs(warmMs);
    const before = this.completedOf(guest);
    const startMs = performance.now();
    await sleepMs(durationMs);
    await this.until(() => this.completedOf(guest) > before);
    const requests = this.completedOf(guest) - before;
    const requestsPerSecond = (requests * 1000) / (performance.now() - startMs);
    await this.pause(guest);
    return { requests, requestsPerSecond };
  }

  /** Has a guest complete so many requests; the seconds that took. */
  async complete(guest: string, depth: number, requests: number): Promise<number> {
    const end = this.completedOf(guest) + requests;
    const startMs = performance.now();
    this.setDepth(guest, depth);
    await this.until(() => this.completedOf(guest) >= end);
    const seconds = (performance.now() - startMs) / 1000;
    await this.pause(guest);
    return seconds;
  }

  /** Latencies, ms, ascending, of what a guest completes in `durationMs`; at least one. */
  async latenciesMs(guest: string, durationMs: number): Promise<Float64Array> {
    const from = this.completedOf(guest);
    await sleepMs(durationMs);
    await this.until(() => this.completedOf(guest) > from);
    const until = this.completedOf(guest);
    const buffer = present(this.#buffers.get(guest), 'a guest of the rig has a buffer');
    const samples = latencySamples(buffer);
    const first = Math.max(from, until - samples.length);
    const seen = new Float64Array(until - first);
    for (let i = 0; i < seen.length; i++) {
      seen[i] = (samples[(first + i) % LATENCY_SAMPLES] as number) / 1e6;
    }
    return seen.sort();
  }

  async image(name: string): Promise<ImageStatus> {
    const { images } = (await this.#call('status')) as DriverVmStatus;
    return present(
      images.find((image) => image.name === name),
      'an image of the rig is served',
    );
  }

  async store(): Promise<StoreStatus> {
    return present((await this.#call('storeStatus')) as StoreStatus | null, 'the store is served');
  }

  /** Settles when the snapshot is in the pool; the seconds that took. */
  async snapshot(image: string, name: string): Promise<number> {
    const startMs = performance.now();
    await this.#call('snapshot', image, name, false);
    return (performance.now() - startMs) / 1000;
  }

  /** Settles when everything that was acknowledged is published; its guests are paused. */
  async drained(image: string): Promise<void> {
    for (;;) {
      const { watermark, acknowledged } = await this.image(image);
      if (watermark === acknowledged) return;
      await sleepMs(DRAIN_LOOK_MS);
    }
  }

  /** Kills the driver VM; settles when it is gone. */
  async killDriver(): Promise<void> {
    const driver = present(this.#toolstack.driver, 'the rig has a driver VM');
    driver.handle.kill();
    await driver.handle.exited;
  }

  /** Settles when the guests are connected to the successor. */
  async restartDriver(): Promise<void> {
    await this.#toolstack.restartDriver();
    await this.#connected();
  }

  async #connected(): Promise<void> {
    await this.#toolstack.allConnected();
    this.#check();
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      this.#check();
      await sleepMs(1);
    }
  }

  /** Stops the guests and ends all threads. Throws if anything of the rig had failed. */
  async close(): Promise<void> {
    for (const words of this.#words.values()) words[LoopWord.depth] = -1;
    await Promise.all(this.#toolstack.guests().map(({ handle }) => handle.exited));
    await this.#spawner.close();
    await this.#bury();
    await this.#store.close();
    await rm(this.folder, { recursive: true, force: true });
    this.#memory.clear(0, this.#memory.sizeBytes);
    this.#check();
  }

  #call(method: string, ...args: unknown[]): Promise<unknown> {
    const driver = present(this.#toolstack.driver, 'the rig has a driver VM');
    return driver.handle.call(method, ...args);
  }

  #check(): void {
    const [failure] = this.#failures;
    if (failure !== undefined) throw new Error('an actor of the rig failed', { cause: failure });
    for (const words of this.#words.values()) {
      const errors = words[LoopWord.errors] as number;
      if (errors > 0) throw new Error(`${errors} requests of the benchmark failed`);
    }
  }

  /** Settles when the guest is connected; it is paused. */
  async addGuest(guest: RigGuest, images: readonly BenchImage[]): Promise<void> {
    const { name, device, image, blocks, readShare, fua, sampleLatency } = guest;
    const buffer = closedLoopBuffer();
    this.#buffers.set(name, buffer);
    this.#words.set(name, new Float64Array(buffer));
    const sizeBlocks = images.find((one) => one.name === image)?.sizeBlocks ?? blocks;
    const sectors = blocks * SECTORS_PER_PAGE;
    await this.#toolstack.createGuest({
      name,
      heapBytes: GUEST_HEAP_BYTES,
      grantEntries: GRANT_ENTRIES,
      disk: {
        kind: device,
        name: image,
        sectors: sizeBlocks * SECTORS_PER_PAGE,
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
          deadlineNs: 60e9,
          front: {
            queues: 1,
            ringOrder: RING_ORDER,
            persistent: true,
            trusted: true,
            indirectSegments: 0,
            publish: 'each',
            startIndex: 0,
          },
        },
        plantedBug: 'none',
        workload: {
          kind: 'closed-loop',
          words: buffer,
          options: { maxDepth: MAX_DEPTH, readShare, fua, sectors, sampleLatency },
        },
      }),
    });
    await this.#connected();
  }
}

const FILL_ADDRESS = 65_536;
