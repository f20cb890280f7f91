/**
 * A pool in memory, and room in it, that can delay, fail, corrupt and crash.
 *
 * Operations complete in an order drawn from a seed, each in a microtask of its own. The pool holds
 * its callers to the contract: plain blocks only, never two writes of one block in flight; it keeps
 * an account of every block that was read, written and written twice.
 */
import { StorageError } from '../../src/base/errors.ts';
import { Prng } from '../../src/base/prng.ts';
import type { NodeSpace } from '../../src/parallax/tree/node-writer.ts';
import {
  BLOCK_BYTES,
  type BlockPool,
  type ConditionalBlock,
  EXTENT_BLOCKS,
  type PoolIo,
  PoolStatus,
  type WriteIfResult,
} from '../../src/world/block-pool.ts';
import { check } from './property.ts';

interface Operation {
  readonly kind: 'read' | 'write' | 'trim';
  readonly io: PoolIo;
}

export class MemoryPool implements BlockPool {
  readonly sizeBlocks: number = 2 ** 40;
  readonly blocks: Map<number, Uint8Array> = new Map();
  /** Blocks by number, in the order they were read; a run counts as its blocks. */
  readonly readBlocks: number[] = [];
  readonly overwritten: number[] = [];
  readonly unreadable: Set<number> = new Set();
  /** Writes that may still succeed; then they fail, or (`crashes`) nothing happens any more. */
  writesLeft: number = Number.POSITIVE_INFINITY;
  crashes = false;
  writes = 0;
  inFlightMax = 0;
  /** While set, nothing completes until `completeAll`. */
  held = false;
  /** While set, writes do not complete; `releaseWrites` lets them. */
  holdWrites = false;
  readonly #random: Prng;
  readonly #writing = new Set<number>();
  #pending: Operation[] = [];
  #heldWrites: Operation[] = [];

  constructor(seed: number = 1) {
    this.#random = new Prng(seed, 'pool');
  }

  /** Blocks that are being written. */
  get writesInFlight(): number {
    return this.#writing.size;
  }

  get reads(): number {
    return this.readBlocks.length;
  }

  read(io: PoolIo): void {
    this.#submit('read', io);
  }

  write(io: PoolIo): void {
    for (let i = 0; i < io.blocks; i++) {
      check(!this.#writing.has(io.block + i), 'two writes of one block are in flight');
      this.#writing.add(io.block + i);
    }
    this.#submit('write', io);
  }

  trim(io: PoolIo): void {
    this.#submit('trim', io);
  }

  readConditional(_block: number): Promise<ConditionalBlock> {
    return Promise.reject(new Error('this pool has no conditional blocks'));
  }

  writeIf(_block: number, _version: number, _data: Uint8Array): Promise<WriteIfResult> {
    return Promise.reject(new Error('this pool has no conditional blocks'));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  checkInvariants(): void {
    const held = this.#pending.length + this.#heldWrites.length;
    const isIdle = this.crashes || held > 0 || this.#writing.size === 0;
    check(isIdle, 'what is being written is held');
  }

  /** Changes one bit of a stored block. */
  corrupt(block: number, byte: number = 100): void {
    const bytes = this.blocks.get(block);
    check(bytes !== undefined, `block ${block} is stored`);
    if (bytes !== undefined) bytes[byte] = (bytes[byte] as number) ^ 1;
  }

  completeAll(): void {
    this.held = false;
    while (this.#pending.length > 0) this.#completeOne();
  }

  releaseWrites(): void {
    this.holdWrites = false;
    this.#pending.push(...this.#heldWrites.splice(0));
    this.completeAll();
  }

  #submit(kind: Operation['kind'], io: PoolIo): void {
    check(io.block >= EXTENT_BLOCKS, 'a plain block is not in extent 0');
    check(io.blocks > 0 && io.block + io.blocks <= this.sizeBlocks, 'blocks are inside the pool');
    if (kind === 'write' && this.holdWrites) {
      this.#heldWrites.push({ kind, io });
      return;
    }
    this.#pending.push({ kind, io });
    this.inFlightMax = Math.max(this.inFlightMax, this.#pending.length);
    queueMicrotask(() => {
      if (!this.held) this.#completeOne();
    });
  }

  #completeOne(): void {
    const at = this.#random.below(Math.max(1, this.#pending.length));
    const operation = this.#pending[at];
    if (operation === undefined) return;
    this.#pending[at] = this.#pending[this.#pending.length - 1] as Operation;
    this.#pending.pop();
    const { kind, io } = operation;
    if (this.crashes && this.writesLeft === 0) return;
    if (kind === 'read') io.poolDone(this.#readNow(io));
    else if (kind === 'write') this.#finishWrite(io);
    else io.poolDone(PoolStatus.ok);
  }

  #readNow(io: PoolIo): PoolStatus {
    for (let i = 0; i < io.blocks; i++) {
      this.readBlocks.push(io.block + i);
      if (this.unreadable.has(io.block + i)) return PoolStatus.ioError;
      const bytes = this.blocks.get(io.block + i) ?? new Uint8Array(BLOCK_BYTES);
      io.buffer.set(bytes, io.bufferOffset + i * BLOCK_BYTES);
    }
    return PoolStatus.ok;
  }

  #finishWrite(io: PoolIo): void {
    for (let i = 0; i < io.blocks; i++) this.#writing.delete(io.block + i);
    if (this.writesLeft === 0) {
      io.poolDone(PoolStatus.ioError);
      return;
    }
    this.writesLeft--;
    this.writes++;
    for (let i = 0; i < io.blocks; i++) {
      if (this.blocks.has(io.block + i)) this.overwritten.push(io.block + i);
      const from = io.bufferOffset + i * BLOCK_BYTES;
      this.blocks.set(io.block + i, io.buffer.slice(from, from + BLOCK_BYTES));
    }
    io.poolDone(PoolStatus.ok);
  }
}

/** Gives out blocks from `first` on, each once. */
export class MemorySpace implements NodeSpace {
  readonly supersededBlocks: number[] = [];
  readonly closed: number[] = [];
  /** Blocks it may still give. */
  left: number = Number.POSITIVE_INFINITY;
  /** Longest run; runs are kept apart by a block that is not given out. */
  runMax: number = Number.POSITIVE_INFINITY;
  allocated = 0;
  #next: number;

  constructor(first: number = EXTENT_BLOCKS) {
    this.#next = first;
  }

  allocate(count: number, visit: (first: number, blocks: number) => void): Promise<void> {
    if (count > this.left) return Promise.reject(new StorageError('E_POOL_FULL', 'full'));
    this.left -= count;
    let rest = count;
    while (rest > 0) {
      const blocks = Math.min(rest, this.runMax);
      visit(this.#next, blocks);
      this.#next += blocks + (this.runMax < count ? 1 : 0);
      this.allocated += blocks;
      rest -= blocks;
    }
    return Promise.resolve();
  }

  superseded(block: number, _shared: boolean): void {
    this.supersededBlocks.push(block);
  }

  closeExtentOf(block: number): void {
    this.closed.push(block);
  }
}
