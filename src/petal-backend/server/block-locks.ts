/**
 * Which blocks are being read or changed, and who waits for them.
 *
 * A server does one thing at a time with a block: the copies of a block then see its writes in one
 * order, and a read never meets a write half-way. Requests stay inside a chunk, so a lock is a mask
 * of sixteen bits, and whoever waits for a chunk waits in order: nobody is overtaken by somebody
 * whose blocks overlap with what an earlier one waits for.
 */
import { invariant } from '../../base/invariant.ts';
import { CHUNK_BLOCKS } from '../wire/messages.ts';

export interface LockOwner {
  readonly vdisk: number;
  readonly block: number;
  readonly blocks: number;
  /** It has its blocks now. Called in the release of somebody else. */
  locked(): void;
}

interface ChunkLock {
  mask: number;
  waiting: LockOwner[];
}

/** Chunks of a virtual disk: more than any has. */
const CHUNKS_MAX = 2 ** 32;

export class BlockLocks {
  readonly #chunks = new Map<number, ChunkLock>();

  /** True: the owner has its blocks. False: it will hear when it has. */
  acquire(owner: LockOwner): boolean {
    const key = keyOf(owner);
    const mask = maskOf(owner);
    const chunk = this.#chunks.get(key);
    if (chunk === undefined) {
      this.#chunks.set(key, { mask, waiting: [] });
      return true;
    }
    const isBehind = chunk.waiting.some((other) => (maskOf(other) & mask) !== 0);
    if ((chunk.mask & mask) !== 0 || isBehind) {
      chunk.waiting.push(owner);
      return false;
    }
    chunk.mask |= mask;
    return true;
  }

  release(owner: LockOwner): void {
    const key = keyOf(owner);
    const mask = maskOf(owner);
    const chunk = this.#chunks.get(key);
    invariant(chunk !== undefined && (chunk.mask & mask) === mask, 'what is released was held');
    chunk.mask &= ~mask;
    if (chunk.waiting.length === 0) {
      if (chunk.mask === 0) this.#chunks.delete(key);
      return;
    }
    let passed = 0;
    const ready: LockOwner[] = [];
    const left = chunk.waiting.filter((next) => {
      const wanted = maskOf(next);
      const may = ((chunk.mask | passed) & wanted) === 0;
      if (may) {
        chunk.mask |= wanted;
        ready.push(next);
      } else passed |= wanted;
      return !may;
    });
    chunk.waiting = left;
    for (const next of ready) next.locked();
  }

  /** Chunks with anything held or waiting. */
  get size(): number {
    return this.#chunks.size;
  }
}

function keyOf({ vdisk, block }: LockOwner): number {
  return vdisk * CHUNKS_MAX + Math.floor(block / CHUNK_BLOCKS);
}

function maskOf({ block, blocks }: LockOwner): number {
  const first = block % CHUNK_BLOCKS;
  invariant(blocks > 0 && first + blocks <= CHUNK_BLOCKS, 'a request stays inside a chunk');
  return ((1 << blocks) - 1) << first;
}
