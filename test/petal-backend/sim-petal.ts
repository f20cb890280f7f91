/**
 * A Petal pool in the simulator: servers on hosts of their own, a switch between them, a directory.
 */
import type { MapVersion } from '../../src/base/units.ts';
import { type Attachment, attach } from '../../src/parallax/pool/attach.ts';
import {
  DEFAULT_PETAL_POOL_OPTIONS,
  PetalPool,
  type PetalPoolOptions,
} from '../../src/petal-backend/client/petal-pool.ts';
import { gmapKey, pairKey, poolKey, serverKey } from '../../src/petal-backend/directory/keys.ts';
import {
  addServer,
  createGmap,
  createPool,
  createVdisk,
  type Plan,
  type Stored,
} from '../../src/petal-backend/directory/pool-transitions.ts';
import {
  decodeRecord,
  type PairRecord,
  type PoolRecord,
  pairKind,
  poolKind,
  type ServerRecord,
  VdiskMode,
} from '../../src/petal-backend/directory/records.ts';
import { ServerView } from '../../src/petal-backend/directory/server-view.ts';
import type { GlobalMap } from '../../src/petal-backend/placement.ts';
import { PetalServer } from '../../src/petal-backend/server/petal-server.ts';
import { PetalServerActor } from '../../src/petal-backend/server/petal-server-actor.ts';
import {
  DEFAULT_SERVER_OPTIONS,
  type PetalBug,
  type ServerOptions,
  serverName,
} from '../../src/petal-backend/server/ports.ts';
import type { ChunkStore } from '../../src/petal-backend/store/chunk-store.ts';
import { openChunkStore } from '../../src/petal-backend/store/file-chunk-store.ts';
import type { StoreOptions } from '../../src/petal-backend/store/store-options.ts';
import { decodeFrame, encodeFrame, WireRefusal } from '../../src/petal-backend/wire/codec.ts';
import { addressed, addressOf, frameOf, LinkNet } from '../../src/petal-backend/wire/link-net.ts';
import type { Frame } from '../../src/petal-backend/wire/messages.ts';
import type { ActorHandle, HostedActor } from '../../src/world/actor.ts';
import { DirectoryClient } from '../../src/world/directory-client.ts';
import { DirectoryServer } from '../../src/world/directory-server.ts';
import { simDigest } from '../../src/world/sim/sim-digest.ts';
import { SimDirectory } from '../../src/world/sim/sim-directory.ts';
import type { LinkParameters } from '../../src/world/sim/sim-link.ts';
import { Simulator } from '../../src/world/sim/simulator.ts';
import type { Link, World } from '../../src/world/world.ts';
import { MemoryDisk, MemoryStore } from './memory-store.ts';

export const GMAP = 1;
export const VDISK = 1;
export const VDISK_NAME = 'main';
export const POOL = 'p';
export const SIZE_BLOCKS = 81_920;
/** Everything happens fifty times as often as in a real pool. */
export const FAST: ServerOptions = {
  ...DEFAULT_SERVER_OPTIONS,
  leaseNs: 40e6,
  silenceNs: 20e6,
  heartbeatNs: 4e6,
  repairBlocks: 8,
};
const STORE: Omit<StoreOptions, 'server'> = {
  dataDisks: 2,
  dataBytes: 4 * 2 ** 20,
  logBytes: 2 ** 20,
  segmentBytes: 256 * 1024,
  arenaBytes: 512 * 1024,
  pairPages: 1,
  applyDelayNs: 5e6,
  retryNs: 5e6,
};
const FAST_POOL: PetalPoolOptions = {
  ...DEFAULT_PETAL_POOL_OPTIONS,
  timeoutNs: 12e6,
  pauseNs: 1e6,
  giveUpNs: 60e9,
};
function decoded(bytes: Uint8Array): Frame {
  const frame = decodeFrame(bytes.slice(), simDigest);
  if (frame instanceof WireRefusal) throw new Error(`a server sent no frame: ${frame.why}`);
  return frame;
}

/** Passes frames on by the name in them; who may not hear whom is cut. */
class Switch {
  readonly #ends = new Map<string, Link>();
  readonly #cut = new Set<string>();
  /** Sees every frame that passes. */
  watch: ((from: string, to: string, frame: Frame) => void) | null = null;

  plug(name: string, far: Link): void {
    this.#ends.set(name, far);
    far.onFrame((bytes) => {
      const to = addressOf(bytes) ?? '';
      if (this.#cut.has(`${name}>${to}`)) return;
      const frame = frameOf(bytes);
      if (this.watch !== null) this.watch(name, to, decoded(frame));
      this.#ends.get(to)?.send(addressed(name, frame));
    });
  }

  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`);
  }

  heal(): void {
    this.#cut.clear();
  }

  /** A frame comes, late or again, as if `from` had sent it. */
  inject(from: string, to: string, frame: Frame): void {
    const bytes = encodeFrame(frame.message, frame.payload, simDigest);
    this.#ends.get(to)?.send(addressed(from, bytes));
  }
}

export interface SimPetalOptions {
  readonly seed: number;
  readonly servers: number;
  readonly copies?: number;
  readonly plantedBug?: PetalBug;
  /** After which a server takes another one for dead. */
  readonly silenceNs?: number;
  /** Servers keep their blocks on simulated disks; else in memory. */
  readonly onDisks?: boolean;
}

export class SimPetal {
  readonly simulator: Simulator;
  readonly map: GlobalMap;
  readonly directory: SimDirectory;
  readonly net: Switch = new Switch();
  readonly disks: Map<number, MemoryDisk> = new Map();
  readonly servers: Map<number, PetalServer> = new Map();
  readonly world: World;
  readonly #directoryServer: DirectoryServer;
  readonly #handles = new Map<number, ActorHandle>();
  readonly #options: ServerOptions;
  readonly #onDisks: boolean;

  constructor(options: SimPetalOptions) {
    const { seed, servers, copies = 2, plantedBug = 'none', onDisks = false } = options;
    this.#options = { ...FAST, plantedBug, silenceNs: options.silenceNs ?? FAST.silenceNs };
    this.#onDisks = onDisks;
    this.simulator = new Simulator({ seed });
    const numbers = Array.from({ length: servers }, (_, at) => at + 1);
    this.map = { gmap: GMAP, servers: numbers, copies };
    const host = this.simulator.addHost('dom0', { memoryBytes: 65_536 });
    this.world = this.simulator.toolstackWorld('dom0', host);
    this.directory = new SimDirectory(this.simulator, 'd');
    this.#directoryServer = new DirectoryServer(this.directory);
    for (const server of numbers) {
      this.simulator.addHost(`host${server}`, { memoryBytes: 65_536 });
      this.disks.set(server, new MemoryDisk());
    }
  }

  /** The directory of a new pool; all servers are started and in sync. */
  async create(): Promise<void> {
    const { directory } = this;
    const { digest } = this.world;
    const at = { pool: POOL, digest };
    const make = async <T>({ next, txn }: Plan<T>): Promise<T> => {
      if (!(await directory.txn(txn.comparisons, txn.changes))) throw new Error('it was not made');
      return next;
    };
    const versionOf = async (key: string): Promise<number> =>
      (await directory.get(key))?.version ?? 0;
    const pool = async (): Promise<Stored<PoolRecord>> => {
      const entry = await directory.get(poolKey(POOL));
      if (entry === null) throw new Error('there is no pool');
      return { record: decodeRecord(digest, poolKind, entry), version: entry.version };
    };
    await make(createPool(at, new Uint8Array(16).fill(7), 0));
    const servers: Stored<ServerRecord>[] = [];
    for (const server of this.map.servers) {
      const facts = { address: serverName(server), site: 'site', disks: [1] };
      const record = await make(addServer(at, await pool(), facts));
      servers.push({ record, version: await versionOf(serverKey(POOL, server)) });
    }
    const map = await make(createGmap(at, await pool(), servers, this.map.copies));
    const stored = { record: map, version: await versionOf(gmapKey(POOL, map.gmap)) };
    const vdisk = { name: VDISK_NAME, mode: VdiskMode.shared, sizeBlocks: SIZE_BLOCKS };
    await make(createVdisk(at, await pool(), stored, vdisk));
    for (const server of this.map.servers) this.start(server);
    while (!this.allKnowThemselvesInSync()) await this.world.timers.sleep(1e6);
  }

  /** Every server is up, and in sync in each of its pairs as far as it knows. */
  allKnowThemselvesInSync(): boolean {
    return this.map.servers.every((server) => {
      const status = this.servers.get(server)?.status() ?? [];
      return status.length > 0 && status.every(({ role }) => role !== 'outside');
    });
  }

  isUp(server: number): boolean {
    return this.#handles.has(server);
  }

  start(server: number): void {
    const name = `s${server}`;
    const spawner = this.simulator.spawner({
      'petal-server': (world): HostedActor => this.#actorOn(world, server),
    });
    const links = ['petal', 'directory'];
    const spec = { kind: 'petal-server', name, host: `host${server}`, bellAddress: 0 } as const;
    const handle = spawner.spawn({ ...spec, links, config: null });
    this.net.plug(name, handle.links.get('petal') as Link);
    this.#directoryServer.serve(handle.links.get('directory') as Link);
    this.#handles.set(server, handle);
  }

  /** Settles when it is gone. */
  async kill(server: number): Promise<void> {
    const handle = this.#handles.get(server) as ActorHandle;
    this.#handles.delete(server);
    handle.kill();
    this.servers.delete(server);
    await handle.exited;
  }

  pause(server: number, durationNs: number): void {
    this.simulator.pause(`s${server}`, durationNs);
  }

  /** Nobody hears the other any more. */
  cutBetween(one: string, other: string): void {
    this.net.cut(one, other);
    this.net.cut(other, one);
  }

  /** Of all links of a server or client. */
  disturb(name: string, parameters: Partial<LinkParameters>): void {
    for (const direction of this.simulator.link(`${name}/petal`).directions) {
      direction.set(parameters);
    }
  }

  /** A client with a session of its own; the older one of the same host is fenced. */
  async client(host: string, options: Partial<PetalPoolOptions> = {}): Promise<PetalPool> {
    return (await this.attached(host, options)).pool;
  }

  async attached(
    host: string,
    options: Partial<PetalPoolOptions> = {},
  ): Promise<{ readonly pool: PetalPool; readonly attachment: Attachment }> {
    const { world } = this;
    const attachment = await attach(this.directory, world.digest, VDISK_NAME, host);
    const { session, fence } = attachment;
    const name = `${host}.${session}`;
    const life = this.simulator.newIncarnation(name, this.simulator.host('dom0'));
    const { near, far } = this.simulator.link(`${name}/petal`).connect(this.simulator, life);
    this.net.plug(name, far);
    const pool = new PetalPool({
      world,
      net: new LinkNet(near, world),
      map: this.map,
      host,
      store: VDISK_NAME,
      vdisk: VDISK,
      epoch: 1,
      mapVersion: 1 as MapVersion,
      sizeBlocks: SIZE_BLOCKS,
      session,
      fence,
      options: { ...FAST_POOL, ...options },
    });
    return { pool, attachment };
  }

  async record(group: number): Promise<PairRecord> {
    const entry = await this.directory.get(pairKey(POOL, GMAP, group));
    if (entry === null) throw new Error(`there is no pair ${group}`);
    return decodeRecord(this.world.digest, pairKind, entry);
  }

  async run(story: () => Promise<void>, maxEvents = 30_000_000): Promise<void> {
    let over = false;
    let thrown: unknown = null;
    story().then(
      () => {
        over = true;
      },
      (reason: unknown) => {
        over = true;
        thrown = reason;
      },
    );
    const outcome = await this.simulator.run({ until: () => over, maxEvents });
    const [failure] = outcome.failures;
    const { seed } = this.simulator;
    if (failure !== undefined) {
      throw new Error(`seed ${seed}: ${failure.actor}: ${failure.error.stack}`);
    }
    if (thrown !== null) throw thrown;
    if (!over) throw new Error(`seed ${seed}: the story hangs: ${outcome.end}`);
  }

  /** The power of a server's host is cut: it is gone, and its disks keep what was synced. */
  async powerCut(server: number): Promise<void> {
    const handle = this.#handles.get(server) as ActorHandle;
    this.#handles.delete(server);
    this.servers.delete(server);
    this.simulator.host(`host${server}`).powerCut();
    await handle.exited;
  }

  #actorOn(world: World, self: number): HostedActor {
    const disk = this.disks.get(self) as MemoryDisk;
    if (!this.#onDisks) return this.#serverOn(world, self, new MemoryStore(world, disk));
    const server = new Uint8Array(16).fill(self);
    const open = (): Promise<ChunkStore> => openChunkStore(world, { ...STORE, server });
    return new PetalServerActor(open, (store) => this.#serverOn(world, self, store));
  }

  #serverOn(world: World, self: number, store: ChunkStore): PetalServer {
    const client = new DirectoryClient(world.net.link('directory'), world);
    const server = new PetalServer({
      world,
      self,
      store,
      net: new LinkNet(world.net.link('petal'), world),
      directory: new ServerView(client, world, POOL),
      options: this.#options,
    });
    this.servers.set(self, server);
    return server;
  }
}
