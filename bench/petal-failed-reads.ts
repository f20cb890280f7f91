/**
 * How well reads are spread when a server of a Petal pool is gone: throughput against that of all
 * servers, and who serves what (`petal.failed.read.ratio`), in the simulator.
 *
 * Clients keep more reads under way than all disks can serve, so that what is measured is how much
 * of the disks is used. A server has one disk, which serves one read at a time. The load of the
 * dead server's group goes to its successor, which its own group's other copies relieve, and so on
 * round the chain: the k-th server after the dead one should serve k/(N-1) of its own group (Hsiao
 * and DeWitt 1990). No client plans that: each goes by queues.
 */

import { Prng } from '../src/base/prng.ts';
import { openPetalPool } from '../src/driver-vm/petal-opener.ts';
import { attach } from '../src/parallax/pool/attach.ts';
import { poolCall } from '../src/parallax/story-io.ts';
import {
  DEFAULT_PETAL_POOL_OPTIONS,
  type PetalPool,
} from '../src/petal-backend/client/petal-pool.ts';
import { createPetalServer, PETAL_SERVER_LINKS } from '../src/petal-backend/create-petal-server.ts';
import { createPetalPool } from '../src/petal-backend/directory/pool-setup.ts';
import { VdiskMode } from '../src/petal-backend/directory/records.ts';
import { DEFAULT_SERVER_OPTIONS } from '../src/petal-backend/server/ports.ts';
import { LinkNet, PETAL_LINK } from '../src/petal-backend/wire/link-net.ts';
import { CHUNK_BLOCKS } from '../src/petal-backend/wire/messages.ts';
import { Switchboard } from '../src/petal-backend/wire/switchboard.ts';
import type { ActorHandle } from '../src/world/actor.ts';
import { BLOCK_BYTES, EXTENT_BLOCKS, PoolStatus } from '../src/world/block-pool.ts';
import { DIRECTORY_LINK } from '../src/world/directory-client.ts';
import { DirectoryServer } from '../src/world/directory-server.ts';
import { SimDirectory } from '../src/world/sim/sim-directory.ts';
import { Simulator } from '../src/world/sim/simulator.ts';
import type { Link, World } from '../src/world/world.ts';

export interface FailedReadsOptions {
  readonly seed?: number;
  readonly servers?: number;
  readonly clients?: number;
  /** Reads of a client under way. */
  readonly depth?: number;
  /** Virtual time of each of the two measurements. */
  readonly measureNs?: number;
}

export interface FailedReadsSample {
  readonly servers: number;
  readonly normalPerSecond: number;
  readonly failedPerSecond: number;
  /** Of the k-th server after the failed one, k from 1: what it serves of its own group. */
  readonly shares: readonly number[];
  /** Greatest distance of a share from k/(N-1). */
  readonly shareError: number;
}

export interface FailedReads {
  readonly value: number;
  readonly samples: readonly FailedReadsSample[];
}

const POOL = 'bench';
const VDISK = 'main';
const CHUNKS_PER_GROUP = 4;
const STORE = {
  dataDisks: 1,
  dataBytes: 8 * 2 ** 20,
  logBytes: 4 * 2 ** 20,
  segmentBytes: 2 ** 20,
  arenaBytes: 2 ** 20,
  pairPages: 1,
  applyDelayNs: 5e6,
  retryNs: 5e6,
};
const DISKS = { channels: 1, readNs: 500_000, tailNs: 100_000, volatileBytes: 2 ** 20 };

class Bench {
  readonly simulator: Simulator;
  readonly world: World;
  readonly servers: number;
  readonly #directory: SimDirectory;
  readonly #board = new Switchboard();
  readonly #handles: ActorHandle[] = [];
  /** Reads that each server has answered, of each group: `server * servers + group`, from 0. */
  readonly served: Float64Array;

  constructor(seed: number, servers: number) {
    this.servers = servers;
    this.served = new Float64Array(servers * servers);
    this.simulator = new Simulator({ seed });
    const host = this.simulator.addHost('dom0', { memoryBytes: BLOCK_BYTES });
    this.world = this.simulator.toolstackWorld('dom0', host);
    this.#directory = new SimDirectory(this.simulator, 'd');
  }

  async create(): Promise<void> {
    const facts = Array.from({ length: this.servers }, (_, at) => {
      return { address: `s${at + 1}`, site: 'site', disks: [STORE.dataBytes] };
    });
    const sizeBlocks = EXTENT_BLOCKS * 2;
    await createPetalPool(this.#directory, this.world.digest, {
      pool: POOL,
      uuid: new Uint8Array(16).fill(1),
      createdMs: 0,
      servers: facts,
      copies: 2,
      vdisk: { name: VDISK, mode: VdiskMode.shared, sizeBlocks },
    });
    const directory = new DirectoryServer(this.#directory);
    const spawner = this.simulator.spawner({ 'petal-server': createPetalServer });
    for (let server = 1; server <= this.servers; server++) {
      const name = `s${server}`;
      this.simulator.addHost(name, { memoryBytes: BLOCK_BYTES, disks: DISKS });
      const store = { ...STORE, server: new Uint8Array(16).fill(server) };
      const config = { pool: POOL, server, store, options: DEFAULT_SERVER_OPTIONS };
      const spec = { kind: 'petal-server', name, host: name, bellAddress: 0, config } as const;
      const handle = spawner.spawn({ ...spec, links: PETAL_SERVER_LINKS });
      this.#board.plug(name, handle.links.get(PETAL_LINK) as Link);
      directory.serve(handle.links.get(DIRECTORY_LINK) as Link);
      this.#handles.push(handle);
    }
  }

  kill(server: number): void {
    this.#handles[server - 1]?.kill();
  }

  async client(host: string): Promise<PetalPool> {
    const attachment = await attach(this.#directory, this.world.digest, VDISK, host);
    const life = this.simulator.newIncarnation(host, this.simulator.host('dom0'));
    const { near, far } = this.simulator.link(`${host}/petal`).connect(this.simulator, life);
    this.#board.plug(host, far);
    const place = { pool: POOL, options: { ...DEFAULT_PETAL_POOL_OPTIONS, inFlightMax: 1024 } };
    const net = new LinkNet(near, this.world);
    const pool = await openPetalPool(this.world, net, this.#directory, place, attachment);
    pool.onRead = (server, group) => {
      const at = (server - 1) * this.servers + group;
      this.served[at] = (this.served[at] as number) + 1;
    };
    return pool;
  }

  /** Reads that all servers have answered. */
  get total(): number {
    return this.served.reduce((sum, one) => sum + one, 0);
  }
}

/** `value`: throughput with one failed server against that with none; 7/8 is ideal of eight. */
export async function failedReads(options: FailedReadsOptions = {}): Promise<FailedReads> {
  const { seed = 1, servers = 8, clients = 4, depth = 64, measureNs = 1e9 } = options;
  const bench = new Bench(seed, servers);
  const sample = { current: null as FailedReadsSample | null };
  let thrown: unknown = null;
  story(bench, { seed, servers, clients, depth, measureNs }).then(
    (measured) => {
      sample.current = measured;
    },
    (reason: unknown) => {
      thrown = reason;
    },
  );
  await bench.simulator.run({ until: () => sample.current !== null || thrown !== null });
  if (thrown !== null) throw thrown;
  const measured = sample.current;
  if (measured === null) throw new Error('the pool stands still');
  return { value: measured.failedPerSecond / measured.normalPerSecond, samples: [measured] };
}

async function story(
  bench: Bench,
  { seed, servers, clients, depth, measureNs }: Required<FailedReadsOptions>,
): Promise<FailedReadsSample> {
  const { timers } = bench.world;
  await bench.create();
  const blocks = servers * CHUNKS_PER_GROUP * CHUNK_BLOCKS;
  const pools: PetalPool[] = [];
  for (let i = 0; i < clients; i++) pools.push(await bench.client(`h${i}`));
  const chunk = new Uint8Array(CHUNK_BLOCKS * BLOCK_BYTES).fill(1);
  for (let at = 0; at < blocks; at += CHUNK_BLOCKS) {
    const status = await poolCall(pools[0] as PetalPool, 'write', EXTENT_BLOCKS + at, chunk);
    if (status !== PoolStatus.ok) throw new Error(`a write failed: ${status}`);
  }
  let isOver = false;
  const lane = async (pool: PetalPool, next: () => number): Promise<void> => {
    const bytes = new Uint8Array(BLOCK_BYTES);
    while (!isOver) await poolCall(pool, 'read', EXTENT_BLOCKS + next(), bytes);
  };
  const lanes = pools.flatMap((pool, i) => {
    const next = inTurn(blocks, new Prng(seed, `client ${i}`));
    return Array.from({ length: depth }, () => lane(pool, next));
  });
  const measure = async (): Promise<number> => {
    bench.served.fill(0);
    await timers.sleep(measureNs);
    return (bench.total * 1e9) / measureNs;
  };
  await timers.sleep(1e9);
  const normalPerSecond = await measure();
  const failed = 1;
  bench.kill(failed);
  await timers.sleep(2 * DEFAULT_SERVER_OPTIONS.leaseNs);
  const failedPerSecond = await measure();
  const shares = Array.from({ length: servers - 1 }, (_, at) => shareOf(bench, failed + at + 1));
  isOver = true;
  await Promise.all(lanes);
  const errors = shares.map((share, at) => Math.abs(share - (at + 1) / (servers - 1)));
  const shareError = Math.max(...errors);
  return { servers, normalPerSecond, failedPerSecond, shares, shareError };
}

/**
 * All blocks, in an order that is drawn, again and again: each group is read as often as any other,
 * so that what is left of a difference is the clients' doing and not that of chance.
 */
function inTurn(blocks: number, random: Prng): () => number {
  const drawn = Array.from({ length: blocks }, (_, block) => ({ block, key: random.nextUnit() }));
  const order = drawn.sort((a, b) => a.key - b.key).map(({ block }) => block);
  let at = 0;
  return () => order[at++ % blocks] as number;
}

/** What a server serves of the group of which it is the first member. */
function shareOf({ served, servers }: Bench, server: number): number {
  const group = server - 1;
  let all = 0;
  for (let one = 0; one < servers; one++) all += served[one * servers + group] as number;
  return (served[(server - 1) * servers + group] as number) / all;
}
