/** A Petal pool in the simulator: servers on hosts of their own, a switch between them, a directory. */
import type { Fence, MapVersion, Session, Term } from '../../src/base/units.ts';
import {
  DEFAULT_PETAL_POOL_OPTIONS,
  PetalPool,
  type PetalPoolOptions,
} from '../../src/petal-backend/client/petal-pool.ts';
import type { GlobalMap } from '../../src/petal-backend/placement.ts';
import { groupsOf, membersOf } from '../../src/petal-backend/placement.ts';
import { PetalServer } from '../../src/petal-backend/server/petal-server.ts';
import type {
  AccessDirectory,
  PairChange,
  PairDirectory,
  PairRecord,
  PeerNet,
  PetalBug,
  ServerOptions,
  VdiskFacts,
} from '../../src/petal-backend/server/ports.ts';
import { decodeFrame, encodeFrame, WireRefusal } from '../../src/petal-backend/wire/codec.ts';
import type { Frame } from '../../src/petal-backend/wire/messages.ts';
import type { ActorHandle, HostedActor } from '../../src/world/actor.ts';
import type { Directory } from '../../src/world/directory.ts';
import { DirectoryClient } from '../../src/world/directory-client.ts';
import { DirectoryServer } from '../../src/world/directory-server.ts';
import { simDigest } from '../../src/world/sim/sim-digest.ts';
import { SimDirectory } from '../../src/world/sim/sim-directory.ts';
import type { LinkParameters } from '../../src/world/sim/sim-link.ts';
import { Simulator } from '../../src/world/sim/simulator.ts';
import type { Link, World } from '../../src/world/world.ts';
import { MemoryDisk, MemoryStore } from './memory-store.ts';

export const GMAP = 1;
export const VDISK = 7;
export const SIZE_BLOCKS = 65_536;
export const FAST: ServerOptions = {
  leaseNs: 40e6,
  driftPpm: 1000,
  silenceNs: 20e6,
  heartbeatNs: 4e6,
  repairBlocks: 8,
  plantedBug: 'none',
};
const FAST_POOL: PetalPoolOptions = {
  ...DEFAULT_PETAL_POOL_OPTIONS,
  timeoutNs: 12e6,
  pauseNs: 1e6,
  giveUpNs: 60e9,
};
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A frame of the wire behind the name that the switch goes by. */
function encode(to: string, { message, payload }: Frame): Uint8Array {
  const name = encoder.encode(to);
  const frame = encodeFrame(message, payload, simDigest);
  const bytes = new Uint8Array(1 + name.length + frame.length);
  bytes[0] = name.length;
  bytes.set(name, 1);
  bytes.set(frame, 1 + name.length);
  return bytes;
}

function decode(bytes: Uint8Array): { readonly to: string; readonly frame: Frame } {
  const frameAt = 1 + (bytes[0] as number);
  const frame = decodeFrame(bytes.subarray(frameAt), simDigest);
  if (frame instanceof WireRefusal) throw new Error(`a server was sent no frame: ${frame.why}`);
  return { to: decoder.decode(bytes.subarray(1, frameAt)), frame };
}

class LinkNet implements PeerNet {
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  send(to: string, frame: Frame): void {
    this.#link.send(encode(to, frame));
  }

  onFrame(receive: (from: string, frame: Frame) => void): void {
    this.#link.onFrame((bytes) => {
      const { to, frame } = decode(bytes);
      receive(to, frame);
    });
  }
}

/** Passes frames on by the name in them; who may not hear whom is cut. */
class Switch {
  readonly #ends = new Map<string, Link>();
  readonly #cut = new Set<string>();
  /** Sees every frame that passes. */
  watch: (from: string, to: string, frame: Frame) => void = () => {};

  plug(name: string, far: Link): void {
    this.#ends.set(name, far);
    far.onFrame((bytes) => {
      const { to, frame } = decode(bytes);
      if (this.#cut.has(`${name}>${to}`)) return;
      this.watch(name, to, frame);
      this.#ends.get(to)?.send(encode(name, frame));
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
    this.#ends.get(to)?.send(encode(from, frame));
  }
}

/** Records of pairs and attachments as text in a directory. */
export class TextDirectory implements PairDirectory, AccessDirectory {
  readonly #directory: Directory;
  readonly #map: GlobalMap;

  constructor(directory: Directory, map: GlobalMap) {
    this.#directory = directory;
    this.#map = map;
  }

  async pairsOf(server: number): Promise<readonly PairRecord[]> {
    const mine = new Set(groupsOf(this.#map, server));
    const entries = await this.#directory.list(`pair/${GMAP}/`);
    return entries
      .map(({ value, version }) => ({ ...JSON.parse(decoder.decode(value)), version }))
      .filter(({ group }: PairRecord) => mine.has(group)) as PairRecord[];
  }

  async change(before: PairRecord, next: PairChange): Promise<PairRecord | null> {
    const key = `pair/${before.gmap}/${before.group}`;
    const record = { ...before, ...next, term: before.term + 1 };
    const value = encoder.encode(JSON.stringify(record));
    const made = await this.#directory.txn([{ key, version: before.version }], [{ key, value }]);
    if (!made) return null;
    const entry = await this.#directory.get(key);
    const now = entry === null ? null : JSON.parse(decoder.decode(entry.value));
    if (entry === null || now.term !== record.term) return null;
    return { ...now, version: entry.version } as PairRecord;
  }

  async vdisk(vdisk: number): Promise<VdiskFacts | null> {
    const entry = await this.#directory.get(`vdir/${vdisk}`);
    return entry === null ? null : (JSON.parse(decoder.decode(entry.value)) as VdiskFacts);
  }

  async fenceOf(vdisk: number, session: Session): Promise<Fence | null> {
    const entries = await this.#directory.list(`attach/${vdisk}/`);
    for (const { value } of entries) {
      const attached = JSON.parse(decoder.decode(value));
      if (attached.session === session) return attached.fence as Fence;
    }
    return null;
  }
}

export interface SimPetalOptions {
  readonly seed: number;
  readonly servers: number;
  readonly copies?: number;
  readonly plantedBug?: PetalBug;
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
  readonly #plantedBug: PetalBug;
  #lastSession = 0;

  constructor({ seed, servers, copies = 2, plantedBug = 'none' }: SimPetalOptions) {
    this.#plantedBug = plantedBug;
    this.simulator = new Simulator({ seed });
    const numbers = Array.from({ length: servers }, (_, at) => at);
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
    const { servers } = this.map;
    const changes = servers.map((_, group) => {
      const members = membersOf(this.map, group);
      const inSync = members.map((server) => ({ server, incarnation: 1 }));
      const record = { gmap: GMAP, group, term: 1, primary: members[0], inSync, members };
      return { key: `pair/${GMAP}/${group}`, value: encoder.encode(JSON.stringify(record)) };
    });
    const facts = { gmap: GMAP, epoch: 1, mapVersion: 1, sizeBlocks: SIZE_BLOCKS };
    const vdir = { key: `vdir/${VDISK}`, value: encoder.encode(JSON.stringify(facts)) };
    await this.directory.txn([], [...changes, vdir]);
    for (const server of servers) this.start(server);
  }

  isUp(server: number): boolean {
    return this.#handles.has(server);
  }

  start(server: number): void {
    const name = `s${server}`;
    const spawner = this.simulator.spawner({
      'petal-server': (world): HostedActor => this.#serverOn(world, server),
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
    const session = ++this.#lastSession;
    const attached = { session, fence: session };
    const value = encoder.encode(JSON.stringify(attached));
    await this.directory.txn([], [{ key: `attach/${VDISK}/${host}`, value }]);
    const name = `${host}.${session}`;
    const home = this.simulator.host('dom0');
    const life = this.simulator.newIncarnation(name, home);
    const { near, far } = this.simulator.link(`${name}/petal`).connect(this.simulator, life);
    this.net.plug(name, far);
    return new PetalPool({
      world: this.world,
      net: new LinkNet(near),
      map: this.map,
      vdisk: VDISK,
      epoch: 1,
      mapVersion: 1 as MapVersion,
      sizeBlocks: SIZE_BLOCKS,
      session: session as Session,
      fence: session as Fence,
      options: { ...FAST_POOL, ...options },
    });
  }

  async record(group: number): Promise<PairRecord> {
    const entry = await this.directory.get(`pair/${GMAP}/${group}`);
    return JSON.parse(decoder.decode(entry?.value)) as PairRecord;
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

  #serverOn(world: World, self: number): PetalServer {
    const disk = this.disks.get(self) as MemoryDisk;
    const client = new DirectoryClient(world.net.link('directory'), world);
    const server = new PetalServer({
      world,
      self,
      store: new MemoryStore(world, disk),
      net: new LinkNet(world.net.link('petal')),
      directory: new TextDirectory(client, this.map),
      options: { ...FAST, plantedBug: this.#plantedBug },
    });
    this.servers.set(self, server);
    return server;
  }
}

export function term(value: number): Term {
  return value as Term;
}
