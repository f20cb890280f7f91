/** Embedded stores to test with: in the simulator, and in a folder with real files. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { BufferMemory } from '../../../src/base/shared-memory.ts';
import { type Attachment, attach, FenceGuard } from '../../../src/parallax/pool/attach.ts';
import {
  createEmbeddedStore,
  type EmbeddedPlace,
  openEmbeddedStore,
} from '../../../src/parallax/pool/embedded-store.ts';
import type { StoreFacts } from '../../../src/parallax/pool/store.ts';
import { type BlockPool, EXTENT_BLOCKS } from '../../../src/world/block-pool.ts';
import type { Directory } from '../../../src/world/directory.ts';
import { startClock } from '../../../src/world/real/clock.ts';
import { LmdbDirectory } from '../../../src/world/real/lmdb-directory.ts';
import { toolstackWorld } from '../../../src/world/real/real-world.ts';
import { SimDirectory } from '../../../src/world/sim/sim-directory.ts';
import type { SimDisk } from '../../../src/world/sim/sim-disk.ts';
import type { SimHost } from '../../../src/world/sim/sim-host.ts';
import { Simulator } from '../../../src/world/sim/simulator.ts';
import type { World } from '../../../src/world/world.ts';
import { runStory } from '../../helpers/directory-bench.ts';

export const UUID: Uint8Array = Uint8Array.from({ length: 16 }, (_, at) => 0xa0 + at);
export const FACTS: StoreFacts = {
  uuid: UUID,
  createdMs: 1_700_000_000_000,
  sizeBlocks: 5 * EXTENT_BLOCKS,
};

/** One attached host. */
export interface Attached {
  readonly pool: BlockPool;
  readonly guard: FenceGuard;
  readonly attachment: Attachment;
}

/** A pool of any kind, as the conformance suite needs it. */
export interface PoolBench {
  /** A world to open things with. */
  readonly world: World;
  run(story: () => Promise<void>): Promise<void>;
  /** Attaches a host, which fences its older attachment, and opens the pool for it. */
  attached(host: string): Promise<Attached>;
}

/** What can be done to a pool in the simulator alone. */
export interface SimPoolBench extends PoolBench {
  readonly simulator: Simulator;
  readonly directory: SimDirectory;
  readonly place: EmbeddedPlace;
  readonly poolHost: SimHost;
  disk(): SimDisk;
  /** Creates the store: the first thing of a story. */
  create(): Promise<void>;
}

const POLL_NS = 50_000_000;

async function attachTo(world: World, place: EmbeddedPlace, host: string): Promise<Attached> {
  const { directory, store } = place;
  const attachment = await attach(directory, world.digest, store, host);
  const guard = guardOf(world, directory, attachment);
  const { pool } = await openEmbeddedStore(world, place, guard);
  return { pool, guard, attachment };
}

export function guardOf(world: World, directory: Directory, attachment: Attachment): FenceGuard {
  return new FenceGuard(directory, world, attachment, { pollNs: POLL_NS, onFenced: () => {} });
}

export function simPoolBench(seed: number, extents: number = 5): SimPoolBench {
  const simulator = new Simulator({ seed });
  const poolHost = simulator.addHost('pool', { memoryBytes: 4096 });
  const host = simulator.addHost('h0', { memoryBytes: 65_536, pool: poolHost });
  const world = simulator.toolstackWorld('dom0', host);
  const directory = new SimDirectory(simulator, 'd');
  const place: EmbeddedPlace = { store: 'main', directory, diskName: 'blocks' };
  return {
    simulator,
    directory,
    place,
    poolHost,
    world,
    disk: () => poolHost.disk('blocks'),
    run: (story) => runStory(simulator, story),
    create: async () => {
      await createEmbeddedStore(world, place, { ...FACTS, sizeBlocks: extents * EXTENT_BLOCKS });
    },
    attached: (name) => attachTo(world, place, name),
  };
}

export async function filePoolBench(t: ExecutionContext): Promise<PoolBench> {
  const folder = await mkdtemp(join(tmpdir(), 'stordom-pool-'));
  await mkdir(join(folder, 'pool'));
  const directory = new LmdbDirectory(join(folder, 'directory.lmdb'));
  const world = toolstackWorld({
    name: 'test',
    memory: BufferMemory.ofBytes(4096),
    seed: 1,
    clockZero: startClock(),
    folder,
    poolFolder: join(folder, 'pool'),
    onNote: () => {},
  });
  const place: EmbeddedPlace = { store: 'main', directory, diskName: 'blocks' };
  const guards: FenceGuard[] = [];
  t.teardown(async () => {
    for (const guard of guards) guard.close();
    await world.bury();
    await directory.close();
    await rm(folder, { recursive: true, force: true });
  });
  await createEmbeddedStore(world, place, FACTS);
  return {
    world,
    run: (story) => story(),
    attached: async (name) => {
      const attached = await attachTo(world, place, name);
      guards.push(attached.guard);
      return attached;
    },
  };
}
