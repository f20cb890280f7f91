/** A clean slab in the simulator, with a pool that is a table in the test. */
import { Prng } from '../../../src/base/prng.ts';
import { CleanSlab, MISS } from '../../../src/parallax/cache/clean-slab.ts';
import { SlabStatus } from '../../../src/parallax/cache/slab-io.ts';
import type { SlabOptions } from '../../../src/parallax/cache/slab-options.ts';
import { NO_LINK } from '../../../src/parallax/cache/slab-slots.ts';
import type { RootIdentity } from '../../../src/parallax/formats/slab-table.ts';
import { CrashSignal } from '../../../src/world/sim/kernel.ts';
import type { SimHost } from '../../../src/world/sim/sim-host.ts';
import { Simulator } from '../../../src/world/sim/simulator.ts';
import type { World } from '../../../src/world/world.ts';

export const BLOCK = 4096;
/** Frames of the host's RAM: the slab's, then two for data. */
export const ARENA: { address: number; bytes: number } = { address: 2 * BLOCK, bytes: 5 * BLOCK };
export const DATA_ADDRESS: number = 8 * BLOCK;
export const OTHER_ADDRESS: number = 9 * BLOCK;
const MEMORY_BYTES = 10 * BLOCK;
export const STORE: Uint8Array = new Uint8Array(16).fill(0x5a);
export const SLAB_FILE = 'slab';

/** Everything in the content of a block follows from one number. */
export function fill(world: World, address: number, content: number): void {
  world.memory.u32.fill(content, address / 4, (address + BLOCK) / 4);
}

export function holds(world: World, address: number, content: number): boolean {
  return world.memory.u32.subarray(address / 4, (address + BLOCK) / 4).every((w) => w === content);
}

export function crcOf(world: World, content: number): number {
  const bytes = new Uint8Array(new Uint32Array(BLOCK / 4).fill(content).buffer);
  return world.digest.crc32(bytes, 0, BLOCK);
}

export interface SlabStage {
  readonly sim: Simulator;
  readonly host: SimHost;
  readonly world: World;
}

/** `slots`: of the slab's file. */
export function slabStage(seed: number, slots: number): SlabStage {
  const sim = new Simulator({ seed });
  const host = sim.addHost('h0', { memoryBytes: MEMORY_BYTES });
  const tableBlocks = Math.ceil(slots / 200);
  host.addDisk(SLAB_FILE, (2 + tableBlocks + slots) * BLOCK);
  return { sim, host, world: sim.toolstackWorld('h0/vm', host) };
}

export async function openSlab(
  world: World,
  options: Partial<SlabOptions> = {},
  store: Uint8Array = STORE,
): Promise<CleanSlab> {
  const disk = await world.disks.open(SLAB_FILE, { writable: true });
  // A checkpoint that a crash point ends is no bug.
  const failed = (thrown: unknown): void => {
    if (!(thrown instanceof CrashSignal)) throw thrown;
  };
  return CleanSlab.open({ world, disk, arena: ARENA, store, failed }, options);
}

/** Runs a story to its end; what it throws is thrown here. */
export async function tell(stage: SlabStage, story: () => Promise<void>): Promise<void> {
  let over = false;
  const told = story().finally(() => {
    over = true;
  });
  told.catch(() => undefined);
  await stage.sim.run({ until: () => over, maxEvents: 2_000_000 });
  await Promise.race([told, Promise.reject(new Error('the story did not end'))]);
}

export function readAsync(slab: CleanSlab, slot: number, address: number): Promise<SlabStatus> {
  return new Promise((resolve) => {
    if (!slab.read({ slot, address, slabDone: resolve })) resolve(SlabStatus.busy);
  });
}

/** Puts a block into the slab and waits until it can be read. */
export async function put(
  world: World,
  slab: CleanSlab,
  block: number,
  content: number,
): Promise<void> {
  fill(world, DATA_ADDRESS, content);
  slab.insert(block, crcOf(world, content), DATA_ADDRESS, NO_LINK);
  for (let waited = 0; waited < 100; waited++) {
    if (slab.findBlock(block, crcOf(world, content)) !== MISS) return;
    await world.timers.sleep(10_000);
  }
  throw new Error(`block ${block} does not get into the slab`);
}

/** What is in the pool, and the trees of the VDIs over it: what no crash of a host changes. */
export class PoolTruth {
  readonly vdis: Map<number, Map<number, number>> = new Map();
  readonly content: Map<number, number> = new Map();
  readonly roots: Map<number, RootIdentity> = new Map();
  readonly #random: Prng;
  #lastContent = 0;
  #lastBlock = 2 ** 33;

  constructor(seed: number, vdis: number) {
    this.#random = new Prng(seed, 'truth');
    for (let vdi = 1; vdi <= vdis; vdi++) {
      this.vdis.set(vdi, new Map());
      this.roots.set(vdi, { generation: 1, vdiSeq: 0, block: 0, crc: 0 });
    }
  }

  /** A pool block with new content; sometimes one that was used before and is not needed now. */
  allocate(): number {
    let block = ++this.#lastBlock;
    if (this.#random.chance(0.3)) {
      const used = new Set([...this.vdis.values()].flatMap((tree) => [...tree.values()]));
      const unused = [...this.content.keys()].filter((one) => !used.has(one));
      block = unused[this.#random.below(unused.length)] ?? block;
    }
    this.content.set(block, ++this.#lastContent);
    return block;
  }

  /** Publishes changes of some blocks; tells which: their new pool block, 0 for none. */
  publish(vdi: number, blocks: number): Map<number, number> {
    const tree = this.vdis.get(vdi) as Map<number, number>;
    const changes = new Map<number, number>();
    for (let i = this.#random.between(1, 6); i > 0; i--) {
      const block = this.#random.below(blocks);
      const at = this.#random.chance(0.2) ? 0 : this.#newOrShared();
      changes.set(block, at);
      if (at === 0) tree.delete(block);
      else tree.set(block, at);
    }
    const before = this.roots.get(vdi) as RootIdentity;
    const root = this.allocate();
    const crc = this.#random.nextU32();
    this.roots.set(vdi, { ...before, vdiSeq: before.vdiSeq + 1, block: root, crc });
    return changes;
  }

  /** Another host has the VDI for a while, and writes to it or not. */
  takeOver(vdi: number, blocks: number): void {
    const before = this.roots.get(vdi) as RootIdentity;
    this.roots.set(vdi, { ...before, generation: before.generation + 1 });
    if (this.#random.chance(0.8)) this.publish(vdi, blocks);
  }

  #newOrShared(): number {
    const others = [...this.vdis.values()].flatMap((tree) => [...tree.values()]);
    const shared = others[this.#random.below(others.length)];
    return shared !== undefined && this.#random.chance(0.3) ? shared : this.allocate();
  }
}
