/**
 * Writes the data blocks of a batch to new places in the pool.
 *
 * Blocks are composed in pages of an arena of some windows: while windows are being written, the
 * next is composed. A write is over when a sync of the pool has covered it, and one sync covers
 * whatever was written until it began, so several windows share one. The blocks of a window get
 * neighbouring places where the allocator has them, in the order of their numbers in the image, so
 * that what is read in order later lies in order.
 *
 * Nothing names a block before its batch is published: a crash, or a failure here, costs the
 * places.
 */
import { invariant } from '../../base/invariant.ts';
import { BLOCK_BYTES, type BlockPool, type PoolBlock, PoolStatus } from '../../world/block-pool.ts';
import type { World } from '../../world/world.ts';
import type { Arena } from '../arena.ts';
import { poolCall } from '../story-io.ts';
import type { ChangeList } from '../tree/change-list.ts';
import { type NodeSpace, writeError } from '../tree/node-writer.ts';

export interface BlockWriterParts {
  readonly world: World;
  readonly pool: BlockPool;
  readonly space: NodeSpace;
  /** A page for each window at least. */
  readonly arena: Arena;
}

/** In flight, and the one that is being composed: few and large, for each costs a sync. */
const WINDOWS = 3;
/** Blocks of a window, those that are only taken away included. */
const ENTRIES = 4096;

interface Window {
  readonly address: number;
  /** Numbers in the image, in order; those of pages that are filled, and those that go. */
  readonly indexes: Float64Array;
  readonly goes: Uint8Array;
  /** Of the pages that are filled. */
  readonly crcs: Uint32Array;
  entries: number;
  /** Pages that are filled. */
  filled: number;
  writing: Promise<void> | null;
}

export class BlockWriter {
  readonly #parts: BlockWriterParts;
  readonly #windows: Window[] = [];
  readonly #pages: number;
  #current = 0;
  /** Everything that was allocated: given back if the batch fails. */
  readonly #taken: [first: PoolBlock, blocks: number][] = [];
  #blocksWritten = 0;

  constructor(parts: BlockWriterParts) {
    this.#parts = parts;
    this.#pages = Math.floor(parts.arena.bytes / BLOCK_BYTES / WINDOWS);
    invariant(this.#pages > 0, 'a window has a page');
    for (let i = 0; i < WINDOWS; i++) {
      const address = parts.arena.address + i * this.#pages * BLOCK_BYTES;
      const indexes = new Float64Array(ENTRIES);
      const goes = new Uint8Array(ENTRIES);
      const crcs = new Uint32Array(this.#pages);
      this.#windows.push({ address, indexes, goes, crcs, entries: 0, filled: 0, writing: null });
    }
  }

  get blocksWritten(): number {
    return this.#blocksWritten;
  }

  /** Begins a batch. */
  begin(): void {
    this.#taken.length = 0;
    this.#blocksWritten = 0;
    for (const window of this.#windows) empty(window);
  }

  /** The page to compose the next block in. */
  get nextAddress(): number {
    const window = this.#windows[this.#current] as Window;
    return window.address + window.filled * BLOCK_BYTES;
  }

  /**
   * The page at `nextAddress` holds block `index`, whose CRC is `crc`: it goes into the batch.
   * True: `turn` is due.
   */
  add(index: number, crc: number): boolean {
    const window = this.#enter(index, 0);
    window.crcs[window.filled] = crc;
    return ++window.filled === this.#pages || window.entries === ENTRIES;
  }

  /** Block `index` is not mapped any more. True: `turn` is due. */
  addGone(index: number): boolean {
    return this.#enter(index, 1).entries === ENTRIES;
  }

  /** Sends the window that is being composed off, and waits until the oldest one is free. */
  async turn(changes: ChangeList): Promise<void> {
    const window = this.#windows[this.#current] as Window;
    if (window.entries === 0) return;
    const runs: [first: PoolBlock, blocks: number][] = [];
    if (window.filled > 0) {
      await this.#parts.space.allocate(window.filled, (first, blocks) => {
        runs.push([first, blocks]);
        this.#taken.push([first, blocks]);
      });
    }
    const writing = this.#send(window, runs, changes);
    // Looked at in `finish` or at the next turn: not a promise that nobody waits for meanwhile.
    writing.catch(() => undefined);
    window.writing = writing;
    this.#current = (this.#current + 1) % WINDOWS;
    const next = this.#windows[this.#current] as Window;
    await next.writing;
    next.writing = null;
    empty(next);
  }

  /** Settles when every block is durable. */
  async finish(changes: ChangeList): Promise<void> {
    await this.turn(changes);
    for (const window of this.#windows) await window.writing;
    for (const window of this.#windows) window.writing = null;
  }

  /** After a failure: settles when nothing is in flight; what was allocated is given back. */
  async abandon(): Promise<void> {
    const inFlight = this.#windows.flatMap(({ writing }) => (writing === null ? [] : [writing]));
    await Promise.allSettled(inFlight);
    for (const window of this.#windows) window.writing = null;
    for (const [first, blocks] of this.#taken) {
      for (let i = 0; i < blocks; i++) this.#parts.space.superseded(first + i, false);
    }
  }

  /** Names the blocks in `changes` at once; settles when they are durable. */
  async #send(
    window: Window,
    runs: readonly [first: PoolBlock, blocks: number][],
    changes: ChangeList,
  ): Promise<void> {
    const { world } = this.#parts;
    world.crashPoint('destage.before-data-write');
    this.#nameAll(window, runs, changes);
    const writes: Promise<void>[] = [];
    let page = 0;
    for (const [first, blocks] of runs) {
      writes.push(this.#write(first, blocks, window.address + page * BLOCK_BYTES));
      page += blocks;
    }
    this.#blocksWritten += page;
    await Promise.all(writes);
    world.crashPoint('destage.after-data-write');
  }

  #nameAll(
    window: Window,
    runs: readonly [first: PoolBlock, blocks: number][],
    changes: ChangeList,
  ): void {
    let run = 0;
    let inRun = 0;
    let page = 0;
    for (let entry = 0; entry < window.entries; entry++) {
      const index = window.indexes[entry] as number;
      if (window.goes[entry] === 1) {
        changes.unmap(index, 1);
        continue;
      }
      const [first, blocks] = runs[run] as [PoolBlock, number];
      changes.map(index, first + inRun, window.crcs[page] as number, 0);
      page++;
      if (++inRun < blocks) continue;
      run++;
      inRun = 0;
    }
  }

  #enter(index: number, gone: number): Window {
    const window = this.#windows[this.#current] as Window;
    window.indexes[window.entries] = index;
    window.goes[window.entries++] = gone;
    return window;
  }

  async #write(block: PoolBlock, blocks: number, address: number): Promise<void> {
    const { pool, space, world } = this.#parts;
    const status = await poolCall(pool, 'write', block, world.memory.u8, address, blocks);
    if (status === PoolStatus.ok) return;
    space.closeExtentOf(block);
    space.closeExtentOf(block + blocks - 1);
    throw writeError(status, block, blocks);
  }
}

function empty(window: Window): void {
  window.entries = 0;
  window.filled = 0;
}
