/** A Petal pool of threads: servers in workers, switchboard and directory in this thread. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleepMs } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { becomesClean } from '../../../bench/petal-rig.ts';
import { attach } from '../../../src/parallax/pool/attach.ts';
import {
  DEFAULT_PETAL_POOL_OPTIONS,
  PetalPool,
} from '../../../src/petal-backend/client/petal-pool.ts';
import {
  DIRECTORY_LINK,
  PETAL_LINK,
  PETAL_SERVER_LINKS,
  type PetalServerConfig,
} from '../../../src/petal-backend/create-petal-server.ts';
import { createPetalPool, findVdisk } from '../../../src/petal-backend/directory/pool-setup.ts';
import { VdiskMode } from '../../../src/petal-backend/directory/records.ts';
import type { ServerReport } from '../../../src/petal-backend/server/petal-server-actor.ts';
import { DEFAULT_SERVER_OPTIONS, serverName } from '../../../src/petal-backend/server/ports.ts';
import { LinkNet } from '../../../src/petal-backend/wire/link-net.ts';
import { Switchboard } from '../../../src/petal-backend/wire/switchboard.ts';
import { DirectoryServer } from '../../../src/world/directory-server.ts';
import { startClock } from '../../../src/world/real/clock.ts';
import { nodeDigest } from '../../../src/world/real/digest.ts';
import { LmdbDirectory } from '../../../src/world/real/lmdb-directory.ts';
import { EventSource, PortLink } from '../../../src/world/real/net.ts';
import { type RealWorld, toolstackWorld } from '../../../src/world/real/real-world.ts';
import { type ThreadActorHandle, ThreadSpawner } from '../../../src/world/real/spawner.ts';
import { createHostMemory, WASM_PAGE_BYTES } from '../../../src/world/real/wasm-memory.ts';
import type { Link } from '../../../src/world/world.ts';
import type { OpenClient, RealPool } from './real-pool.ts';

const POOL = 'p';
const VDISK = 'main';
const HOST = 'h0';
const START_MS = 30_000;
const SIZE_BLOCKS = 65_536;
const STORE: Omit<PetalServerConfig['store'], 'server'> = {
  dataDisks: 1,
  dataBytes: 256 * 2 ** 20,
  logBytes: 32 * 2 ** 20,
  segmentBytes: 4 * 2 ** 20,
  arenaBytes: 8 * 2 ** 20,
  pairPages: 1,
  applyDelayNs: 50e6,
  retryNs: 1e9,
};

export class ThreadPool implements RealPool {
  readonly servers: readonly number[];
  readonly notes: string[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), 'stordom-petal-threads-'));
  readonly #net = new Switchboard();
  readonly #directory = new LmdbDirectory(join(this.#folder, 'directory.lmdb'));
  readonly #directoryServer = new DirectoryServer(this.#directory);
  readonly #world: RealWorld;
  readonly #spawner: ThreadSpawner;
  readonly #handles = new Map<number, ThreadActorHandle>();
  readonly #copies: number;

  /** All servers are up, and in sync in each of their pairs. */
  static async open(servers: number, copies: number): Promise<ThreadPool> {
    const pool = new ThreadPool(servers, copies);
    await pool.#open();
    await becomesClean(pool, START_MS);
    return pool;
  }

  private constructor(servers: number, copies: number) {
    this.servers = Array.from({ length: servers }, (_, at) => at + 1);
    this.#copies = copies;
    const memory = createHostMemory(WASM_PAGE_BYTES);
    const clockZero = startClock();
    const onNote = (text: string): void => void this.notes.push(text);
    const place = { memory, folder: this.#folder };
    this.#world = toolstackWorld({ name: 'dom0', seed: 1, clockZero, onNote, ...place });
    const worker = new URL('../../../src/petal-backend/worker.js', import.meta.url);
    this.#spawner = new ThreadSpawner({
      hosts: new Map([[HOST, place]]),
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
  }

  async #open(): Promise<void> {
    await createPetalPool(this.#directory, nodeDigest, {
      pool: POOL,
      uuid: new Uint8Array(16).fill(7),
      createdMs: 0,
      servers: this.servers.map((server) => {
        return { address: serverName(server), site: 'here', disks: [1] };
      }),
      copies: this.#copies,
      vdisk: { name: VDISK, mode: VdiskMode.shared, sizeBlocks: SIZE_BLOCKS },
    });
    for (const server of this.servers) this.start(server);
  }

  start(server: number): void {
    const name = serverName(server);
    const store = { ...STORE, server: new Uint8Array(16).fill(server) };
    const options = DEFAULT_SERVER_OPTIONS;
    const config: PetalServerConfig = { pool: POOL, server, store, options };
    const handle = this.#spawner.spawn({
      kind: 'petal-server',
      name,
      host: HOST,
      bellAddress: server * Int32Array.BYTES_PER_ELEMENT,
      links: PETAL_SERVER_LINKS,
      config,
    });
    this.#net.plug(name, handle.links.get(PETAL_LINK) as Link);
    this.#directoryServer.serve(handle.links.get(DIRECTORY_LINK) as Link);
    this.#handles.set(server, handle);
  }

  async kill(server: number): Promise<void> {
    const handle = this.#handles.get(server);
    this.#handles.delete(server);
    handle?.kill();
    await handle?.exited;
  }

  async pause(server: number, forMs: number): Promise<void> {
    this.#handles.get(server)?.pause(forMs);
    await sleepMs(forMs);
  }

  reportOf(server: number): Promise<ServerReport | null> {
    const asked = this.#handles.get(server)?.call('report') ?? Promise.resolve(null);
    return asked.then(
      (report) => report as ServerReport | null,
      () => null,
    );
  }

  async client(host: string): Promise<OpenClient> {
    const { map, vdisk } = await findVdisk(this.#directory, nodeDigest, POOL, VDISK);
    const { session, fence } = await attach(this.#directory, nodeDigest, VDISK, host);
    const { port1, port2 } = new MessageChannel();
    const [near, far] = [port1, port2].map(
      (port) => new PortLink(new EventSource(port, () => {}), () => {}),
    ) as [PortLink, PortLink];
    this.#net.plug(`${host}.${session}`, far);
    const pool = new PetalPool({
      world: this.#world,
      net: new LinkNet(near, this.#world),
      map,
      host,
      store: VDISK,
      vdisk: vdisk.vdisk,
      epoch: vdisk.epoch,
      mapVersion: vdisk.mapVersion,
      sizeBlocks: vdisk.sizeBlocks,
      session,
      fence,
      options: DEFAULT_PETAL_POOL_OPTIONS,
    });
    const close = async (): Promise<void> => {
      await pool.close();
      near.close();
    };
    return { pool, world: this.#world, close };
  }

  async close(): Promise<void> {
    await this.#spawner.close();
    this.#directoryServer.close();
    await this.#directory.close();
    await this.#world.bury();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
