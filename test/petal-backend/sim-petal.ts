/**
 * A Petal pool in the simulator: servers on hosts of their own, a switch between them, a directory.
 */
import { openPetalPool } from '../../src/driver-vm/petal-opener.ts';
import { PetalInvariants } from '../../src/experiments/checkers/petal-invariants.ts';
import { BrokenLaw } from '../../src/experiments/checkers/petal-law.ts';
import { withSeenFrames } from '../../src/experiments/petal-watch.ts';
import { type Attachment, attach } from '../../src/parallax/pool/attach.ts';
import {
  DEFAULT_PETAL_POOL_OPTIONS,
  type PetalPool,
  type PetalPoolOptions,
} from '../../src/petal-backend/client/petal-pool.ts';
import {
  createPetalServer,
  PETAL_SERVER_LINKS,
} from '../../src/petal-backend/create-petal-server.ts';
import { pairKey } from '../../src/petal-backend/directory/keys.ts';
import { createPetalPool } from '../../src/petal-backend/directory/pool-setup.ts';
import {
  decodeRecord,
  type PairRecord,
  pairKind,
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
import type { StoreBug, StoreOptions } from '../../src/petal-backend/store/store-options.ts';
import { decodeFrame, encodeFrame, WireRefusal } from '../../src/petal-backend/wire/codec.ts';
import { LinkNet, PETAL_LINK } from '../../src/petal-backend/wire/link-net.ts';
import type { Frame } from '../../src/petal-backend/wire/messages.ts';
import { Switchboard } from '../../src/petal-backend/wire/switchboard.ts';
import type { ActorHandle, HostedActor } from '../../src/world/actor.ts';
import type { Directory } from '../../src/world/directory.ts';
import { DIRECTORY_LINK, DirectoryClient } from '../../src/world/directory-client.ts';
import { DirectoryServer } from '../../src/world/directory-server.ts';
import { simDigest } from '../../src/world/sim/sim-digest.ts';
import { SimDirectory } from '../../src/world/sim/sim-directory.ts';
import type { LinkParameters } from '../../src/world/sim/sim-link.ts';
import { SimVoters } from '../../src/world/sim/sim-voters.ts';
import { Simulator } from '../../src/world/sim/simulator.ts';
import type { VoterOptions } from '../../src/world/voters/voter.ts';
import type { VoterDirectoryOptions } from '../../src/world/voters/voter-directory.ts';
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
  handBackNs: 100e6,
  scrubPauseNs: 5e6,
};
export const STORE: Omit<StoreOptions, 'server'> = {
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
const FAST_VOTERS: Partial<VoterOptions> = { heartbeatNs: 4e6, electionNs: 20e6 };
const FAST_CLIENT: Partial<VoterDirectoryOptions> = {
  timeoutNs: 50e6,
  attemptNs: 8e6,
  pauseNs: 2e6,
};

function decoded(bytes: Uint8Array): Frame {
  const frame = decodeFrame(bytes.slice(), simDigest);
  if (frame instanceof WireRefusal) throw new Error(`a server sent no frame: ${frame.why}`);
  return frame;
}

/** Frames pass as bytes; tests look at them as messages. */
class Switch extends Switchboard {
  /** Sees every frame that passes. */
  spy(see: ((from: string, to: string, frame: Frame) => void) | null): void {
    this.watch = see === null ? null : (from, to, bytes) => see(from, to, decoded(bytes));
  }

  /** A frame comes, late or again, as if `from` had sent it. */
  inject(from: string, to: string, frame: Frame): void {
    this.deliver(from, to, encodeFrame(frame.message, frame.payload, simDigest));
  }
}

export interface SimPetalOptions {
  readonly seed: number;
  readonly servers: number;
  readonly copies?: number;
  readonly plantedBug?: PetalBug;
  /** After which a server takes another one for dead. */
  readonly silenceNs?: number;
  readonly scrubPauseNs?: number;
  /** So many voters agree on the directory; 0: it is one table. */
  readonly voters?: number;
  /** Servers keep their blocks on simulated disks; else in memory. */
  readonly onDisks?: boolean;
  /** Planted in the stores of servers with disks. */
  readonly storeBug?: StoreBug;
  /** How long a server waits for an answer of the directory; a lease unless said. */
  readonly directoryTimeoutNs?: number;
  /** Requests of clients that a server takes at a time. */
  readonly queueMax?: number;
  /** Else the first broken law ends the run. */
  readonly goesOnWhenBroken?: boolean;
}

export class SimPetal {
  readonly simulator: Simulator;
  readonly map: GlobalMap;
  /** The one table, if there are no voters. */
  readonly directory: SimDirectory;
  readonly voters: SimVoters | null;
  readonly net: Switch = new Switch();
  readonly disks: Map<number, MemoryDisk> = new Map();
  readonly servers: Map<number, Pick<PetalServer, 'status'>> = new Map();
  readonly world: World;
  /** Looks at everything after each step of `run`; null where there is no one table. */
  readonly invariants: PetalInvariants | null;
  /** The first law that was broken, and when, if the run goes on then. */
  broken: { readonly law: BrokenLaw; readonly atNs: number } | null = null;
  readonly #directoryServer: DirectoryServer;
  readonly #agreed: Directory;
  readonly #handles = new Map<number, ActorHandle>();
  readonly #options: ServerOptions;
  readonly #onDisks: boolean;
  readonly #directoryTimeoutNs: number;
  readonly #goesOn: boolean;
  readonly #storeBug: StoreBug | undefined;
  #lastSession = 0;

  constructor(options: SimPetalOptions) {
    const { seed, servers, copies = 2, plantedBug = 'none', onDisks = false } = options;
    const { silenceNs = FAST.silenceNs, scrubPauseNs = FAST.scrubPauseNs } = options;
    const { queueMax = FAST.queueMax, goesOnWhenBroken = false } = options;
    this.#options = { ...FAST, plantedBug, silenceNs, scrubPauseNs, queueMax };
    this.#onDisks = onDisks;
    this.#directoryTimeoutNs = options.directoryTimeoutNs ?? FAST.leaseNs;
    this.#goesOn = goesOnWhenBroken;
    this.#storeBug = options.storeBug;
    this.simulator = new Simulator({ seed });
    const numbers = Array.from({ length: servers }, (_, at) => at + 1);
    this.map = { gmap: GMAP, servers: numbers, copies };
    const host = this.simulator.addHost('dom0', { memoryBytes: 65_536 });
    this.world = this.simulator.toolstackWorld('dom0', host);
    this.directory = new SimDirectory(this.simulator, 'd', { timeoutNs: 50e6 });
    const { voters = 0 } = options;
    this.voters = voters === 0 ? null : new SimVoters(this.simulator, 'v', voters, FAST_VOTERS);
    this.#agreed = this.voters?.client('dom0', this.world, FAST_CLIENT) ?? this.directory;
    this.#directoryServer = new DirectoryServer(this.#agreed);
    const { leaseNs, driftPpm } = FAST;
    const seen = {
      digest: this.world.digest,
      clock: this.world.recordClock,
      directory: this.directory,
      pool: POOL,
    };
    this.invariants =
      this.voters === null ? new PetalInvariants({ ...seen, leaseNs, driftPpm }) : null;
    for (const server of numbers) {
      this.simulator.addHost(`host${server}`, { memoryBytes: 65_536 });
      this.disks.set(server, new MemoryDisk());
    }
  }

  /** The directory of a new pool; all servers are started and in sync. */
  async create(): Promise<void> {
    const servers = this.map.servers.map((server) => {
      return { address: serverName(server), site: 'site', disks: [1] };
    });
    await createPetalPool(this.#agreed, this.world.digest, {
      pool: POOL,
      uuid: new Uint8Array(16).fill(7),
      createdMs: 0,
      servers,
      copies: this.map.copies,
      vdisk: { name: VDISK_NAME, mode: VdiskMode.shared, sizeBlocks: SIZE_BLOCKS },
    });
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

  /** Of the client that was made last: its name on the net is that of its host and this. */
  get lastSession(): number {
    return this.#lastSession;
  }

  isUp(server: number): boolean {
    return this.#handles.has(server);
  }

  start(server: number): void {
    const name = `s${server}`;
    const spawner = this.simulator.spawner({
      'petal-server': (world): HostedActor => this.#actorOn(world, server),
    });
    const spec = { kind: 'petal-server', name, host: `host${server}`, bellAddress: 0 } as const;
    const handle = spawner.spawn({ ...spec, links: PETAL_SERVER_LINKS, config: null });
    this.net.plug(name, handle.links.get(PETAL_LINK) as Link);
    this.#directoryServer.serve(handle.links.get(DIRECTORY_LINK) as Link);
    this.#handles.set(server, handle);
  }

  /** Settles when it is gone. */
  async kill(server: number): Promise<void> {
    const handle = this.#handles.get(server) as ActorHandle;
    this.#handles.delete(server);
    handle.kill();
    this.#gone(server);
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
    const attachment = await attach(this.#agreed, world.digest, VDISK_NAME, host);
    const { session } = attachment;
    this.#lastSession = session;
    const name = `${host}.${session}`;
    const life = this.simulator.newIncarnation(name, this.simulator.host('dom0'));
    const { near, far } = this.simulator.link(`${name}/petal`).connect(this.simulator, life);
    this.net.plug(name, far);
    const place = { pool: POOL, options: { ...FAST_POOL, ...options } };
    const net = new LinkNet(near, world);
    const pool = await openPetalPool(world, net, this.#agreed, place, attachment);
    this.invariants?.clientStarted(pool);
    return { pool, attachment };
  }

  async record(group: number): Promise<PairRecord> {
    const entry = await this.#agreed.get(pairKey(POOL, GMAP, group));
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
    const until = (): boolean => {
      if (this.broken === null) this.#judge();
      return over;
    };
    const outcome = await this.simulator.run({ until, maxEvents });
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
    this.#gone(server);
    this.simulator.host(`host${server}`).powerCut();
    await handle.exited;
  }

  #judge(): void {
    try {
      this.invariants?.step();
    } catch (thrown) {
      if (!this.#goesOn || !(thrown instanceof BrokenLaw)) throw thrown;
      this.broken = { law: thrown, atNs: this.simulator.nowNs };
    }
  }

  #gone(server: number): void {
    this.servers.delete(server);
    this.invariants?.serverEnded(server);
  }

  #actorOn(plain: World, self: number): HostedActor {
    const world = withSeenFrames(plain, {
      arrived: (from, message) => this.invariants?.arrived(self, from, message),
      sent: (to, message) => this.invariants?.sent(self, to, message),
    });
    const made = this.#onDisks ? this.#onRealStore(world, self) : this.#inMemory(world, self);
    this.servers.set(self, made);
    this.invariants?.serverStarted(self, made);
    return made;
  }

  #onRealStore(world: World, self: number): PetalServerActor {
    const server = new Uint8Array(16).fill(self);
    const bug = this.#storeBug;
    const store = { ...STORE, server, ...(bug === undefined ? {} : { plantedBug: bug }) };
    return createPetalServer(world, { pool: POOL, server: self, store, options: this.#options });
  }

  #inMemory(world: World, self: number): PetalServerActor {
    const timeoutNs = this.#directoryTimeoutNs;
    const client = new DirectoryClient(world.net.link(DIRECTORY_LINK), world, { timeoutNs });
    const directory = new ServerView(client, world, POOL);
    const net = new LinkNet(world.net.link(PETAL_LINK), world);
    const options = this.#options;
    return new PetalServerActor({
      known: () => directory.incarnationOf(self),
      open: () => Promise.resolve(new MemoryStore(world, this.disks.get(self) as MemoryDisk)),
      raise: (incarnation) => directory.raiseIncarnation(self, incarnation),
      serve: (store) => new PetalServer({ world, self, store, net, directory, options }),
    });
  }
}
