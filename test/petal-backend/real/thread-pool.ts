/** A Petal pool of threads, as a run has one, that clients use without a driver VM. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleepMs } from 'node:timers/promises';
import { becomesClean } from '../../../bench/petal-rig.ts';
import { fail } from '../../../src/base/invariant.ts';
import { openPetalPool } from '../../../src/driver-vm/petal-opener.ts';
import {
  type PetalScenario,
  RUN_POOL,
  serverNames,
  threadPetal,
} from '../../../src/experiments/petal-scenario.ts';
import { RUN_STORE } from '../../../src/experiments/run-store.ts';
import { ThreadPetalStage } from '../../../src/experiments/thread-petal-stage.ts';
import { attach } from '../../../src/parallax/pool/attach.ts';
import { createPetalPool } from '../../../src/petal-backend/directory/pool-setup.ts';
import { VdiskMode } from '../../../src/petal-backend/directory/records.ts';
import type { ServerReport } from '../../../src/petal-backend/server/petal-server-actor.ts';
import { serverName } from '../../../src/petal-backend/server/ports.ts';
import { startClock } from '../../../src/world/real/clock.ts';
import { nodeDigest } from '../../../src/world/real/digest.ts';
import { LmdbDirectory } from '../../../src/world/real/lmdb-directory.ts';
import { type RealWorld, toolstackWorld } from '../../../src/world/real/real-world.ts';
import {
  type HostPlace,
  type ThreadActorHandle,
  ThreadSpawner,
} from '../../../src/world/real/spawner.ts';
import { createHostMemory, WASM_PAGE_BYTES } from '../../../src/world/real/wasm-memory.ts';
import type { OpenClient, RealPool } from './real-pool.ts';

const START_MS = 30_000;
const SIZE_BLOCKS = 65_536;
const DISK_BYTES = 4096 * 2 ** 20;

export class ThreadPool implements RealPool {
  readonly servers: readonly number[];
  readonly notes: string[] = [];
  readonly #scenario: PetalScenario;
  readonly #folder = mkdtempSync(join(tmpdir(), 'stordom-petal-threads-'));
  readonly #directory = new LmdbDirectory(join(this.#folder, 'directory.lmdb'));
  readonly #world: RealWorld;
  readonly #spawner: ThreadSpawner;
  readonly #stage: ThreadPetalStage;
  readonly #handles = new Map<number, ThreadActorHandle>();

  /** All servers are up, and in sync in each of their pairs. */
  static async open(servers: number, copies: number): Promise<ThreadPool> {
    const pool = new ThreadPool(threadPetal(servers, copies, 0));
    await pool.#open();
    await becomesClean(pool, START_MS);
    return pool;
  }

  private constructor(scenario: PetalScenario) {
    const names = serverNames(scenario);
    this.#scenario = scenario;
    this.servers = names.map((_, at) => at + 1);
    const clockZero = startClock();
    const onNote = (text: string): void => void this.notes.push(text);
    const placeOf = (name: string): HostPlace => {
      const folder = join(this.#folder, name);
      mkdirSync(folder);
      return { memory: createHostMemory(WASM_PAGE_BYTES), folder };
    };
    this.#world = toolstackWorld({ name: 'dom0', seed: 1, clockZero, onNote, ...placeOf('dom0') });
    const worker = new URL('../../../src/petal-backend/worker.js', import.meta.url);
    this.#spawner = new ThreadSpawner({
      hosts: new Map(names.map((name) => [name, placeOf(name)])),
      // There are no guests and no driver VMs here.
      guestWorker: worker,
      driverWorker: worker,
      petalWorker: worker,
      guestThreads: 1,
      guestMode: 'block',
      driverMode: 'block',
      clockZero,
      seed: 1,
      onNote: (actor, text) => onNote(`${actor}: ${text}`),
    });
    this.#stage = new ThreadPetalStage({
      scenario,
      directory: this.#directory,
      spawner: this.#spawner,
      worldOn: () => fail('nobody looks at the disks of these servers'),
    });
  }

  async #open(): Promise<void> {
    await createPetalPool(this.#directory, nodeDigest, {
      pool: RUN_POOL,
      uuid: new Uint8Array(16).fill(7),
      createdMs: 0,
      servers: serverNames(this.#scenario).map((address) => {
        return { address, site: 'here', disks: [DISK_BYTES] };
      }),
      copies: this.#scenario.copies,
      vdisk: { name: RUN_STORE, mode: VdiskMode.shared, sizeBlocks: SIZE_BLOCKS },
    });
    for (const server of this.servers) this.start(server);
  }

  start(server: number): void {
    const handle = this.#stage.start(serverName(server));
    this.#handles.set(server, handle as ThreadActorHandle);
  }

  async kill(server: number): Promise<void> {
    const handle = this.#handles.get(server);
    handle?.kill();
    await handle?.exited;
  }

  async pause(server: number, forMs: number): Promise<void> {
    this.#handles.get(server)?.pause(forMs);
    await sleepMs(forMs);
  }

  reportOf(server: number): Promise<ServerReport | null> {
    return this.#stage.report(serverName(server));
  }

  async client(host: string): Promise<OpenClient> {
    const attachment = await attach(this.#directory, nodeDigest, RUN_STORE, host);
    const net = this.#stage.netFor(`${host}.${attachment.session}`, this.#world);
    const place = { pool: RUN_POOL, options: this.#scenario.client };
    const pool = await openPetalPool(this.#world, net, this.#directory, place, attachment);
    return { pool, world: this.#world, close: () => pool.close() };
  }

  async close(): Promise<void> {
    await this.#spawner.close();
    await this.#directory.close();
    await this.#world.bury();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
