/** Clients that write and read blocks of a pool, and a judge of what they were told. */
import { Prng } from '../../src/base/prng.ts';
import { poolCall } from '../../src/parallax/story-io.ts';
import { BLOCK_BYTES, type BlockPool, PoolStatus } from '../../src/world/block-pool.ts';
import type { World } from '../../src/world/world.ts';

interface Operation {
  readonly block: number;
  readonly isWrite: boolean;
  /** 0: zeros, as at the beginning. */
  readonly value: number;
  readonly beganNs: number;
  /** Infinity: nobody knows what has become of it. */
  readonly endedNs: number;
}

export class History {
  readonly operations: Operation[] = [];
  readonly #world: World;
  #lastValue = 0;

  constructor(world: World) {
    this.#world = world;
  }

  async write(pool: BlockPool, block: number, blocks = 1): Promise<PoolStatus> {
    const bytes = new Uint8Array(blocks * BLOCK_BYTES);
    const values = Array.from({ length: blocks }, () => ++this.#lastValue);
    const words = new Uint32Array(bytes.buffer);
    values.forEach((value, at) => {
      words.fill(value, (at * BLOCK_BYTES) / 4, ((at + 1) * BLOCK_BYTES) / 4);
    });
    const beganNs = this.#world.clock.nowNs();
    const status = await poolCall(pool, 'write', block, bytes);
    const nowNs = this.#world.clock.nowNs();
    const endedNs = status === PoolStatus.ok ? nowNs : Number.POSITIVE_INFINITY;
    values.forEach((value, at) => {
      this.operations.push({ block: block + at, isWrite: true, value, beganNs, endedNs });
    });
    return status;
  }

  async read(pool: BlockPool, block: number, blocks = 1): Promise<PoolStatus> {
    const bytes = new Uint8Array(blocks * BLOCK_BYTES);
    const beganNs = this.#world.clock.nowNs();
    const status = await poolCall(pool, 'read', block, bytes);
    if (status !== PoolStatus.ok) return status;
    const endedNs = this.#world.clock.nowNs();
    const words = new Uint32Array(bytes.buffer);
    for (let at = 0; at < blocks; at++) {
      const value = words[(at * BLOCK_BYTES) / 4] as number;
      const page = words.subarray((at * BLOCK_BYTES) / 4, ((at + 1) * BLOCK_BYTES) / 4);
      if (!page.every((word) => word === value)) throw new Error(`block ${block + at} is torn`);
      this.operations.push({ block: block + at, isWrite: false, value, beganNs, endedNs });
    }
    return status;
  }

  /** What cannot have happened one after the other; null: all of it could (Gibbons and Korach). */
  conflict(): string | null {
    const blocks = new Map<number, Operation[]>();
    for (const one of this.operations) {
      const list = blocks.get(one.block) ?? [];
      list.push(one);
      blocks.set(one.block, list);
    }
    for (const [block, operations] of blocks) {
      const text = conflictOf(operations);
      if (text !== null) return `block ${block}: ${text}`;
    }
    return null;
  }
}

interface Zone {
  readonly value: number;
  /** Earliest end, latest beginning. */
  first: number;
  last: number;
}

function conflictOf(operations: readonly Operation[]): string | null {
  const never = Number.NEGATIVE_INFINITY;
  const zones = new Map<number, Zone>([[0, { value: 0, first: never, last: never }]]);
  const began = new Map<number, number>([[0, never]]);
  for (const { isWrite, value, beganNs } of operations) if (isWrite) began.set(value, beganNs);
  for (const { isWrite, value, beganNs, endedNs } of operations) {
    const beganAt = began.get(value);
    if (beganAt === undefined) return `a read found ${value}, which nobody wrote`;
    if (!isWrite && endedNs < beganAt) return `a read found ${value} before it was written`;
    const zone = zones.get(value);
    if (zone === undefined) zones.set(value, { value, first: endedNs, last: beganNs });
    else {
      zone.first = Math.min(zone.first, endedNs);
      zone.last = Math.max(zone.last, beganNs);
    }
  }
  const all = [...zones.values()].filter(({ first }) => first < Number.POSITIVE_INFINITY);
  for (const one of all) {
    for (const other of all) {
      if (one.value >= other.value) continue;
      if (one.first < other.last && other.first < one.last) {
        return `${one.value} and ${other.value} would each have to come before the other`;
      }
    }
  }
  return null;
}

export interface WorkloadOptions {
  readonly blocks: number;
  readonly operations: number;
  readonly lanes: number;
}

/** Lanes write and read blocks of their own client, one write of a block at a time. */
export async function workload(
  history: History,
  pool: BlockPool,
  first: number,
  { blocks, operations, lanes }: WorkloadOptions,
  random: Prng,
): Promise<number> {
  let failed = 0;
  const lane = async (number: number): Promise<void> => {
    const draws = random.fork(`lane ${number}`);
    for (let i = 0; i < operations; i++) {
      const own = first + number + lanes * draws.below(Math.ceil(blocks / lanes));
      const any = first + draws.below(blocks);
      const isWrite = draws.chance(0.5);
      const status = isWrite ? await history.write(pool, own) : await history.read(pool, any);
      if (status !== PoolStatus.ok) failed++;
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)));
  return failed;
}

export function randomOf(seed: number): Prng {
  return new Prng(seed, 'petal-workload');
}
