/**
 * Finds where a block of an image lies: root to leaf, one entry of each node.
 *
 * When every node of the path is cached the answer is there when `lookup` returns, without an
 * allocation. Otherwise the lookup waits for the first node that is missing and goes on in the very
 * call that tells it the node has come; between two waits it holds no node, only the block, CRC and
 * level of the next one. So nodes may be evicted under it, and it fetches them again.
 *
 * A root is a plain value and its tree never changes: any number of roots (the image, its
 * snapshots, a root that was just superseded) can be read at the same time.
 */
import { invariant, present } from '../../base/invariant.ts';
import {
  ENTRY_WORDS,
  entryBirth,
  entryBlock,
  entryCrc,
  entryFlags,
  slotOf,
  TREE_HEIGHT_MAX,
  treeSpan,
} from '../formats/tree-node.ts';
import type { TreeRoot } from '../formats/tree-root.ts';
import { type NodeLoader, type NodeWaiter, TreeStatus } from './node-loader.ts';

/** Owned and reused by the caller; the reader's from `lookup` until it is done. */
export interface Lookup {
  root: TreeRoot;
  /** Number of the block in the image. */
  index: number;
  /** Result, valid when the status is ok: the pool block, 0 where nothing is mapped. */
  block: number;
  crc: number;
  birth: number;
  flags: number;
  /** Exactly once if `lookup` gave false, never inside it; not called if it gave true. */
  lookupDone(status: TreeStatus): void;
}

const INDEX_END = treeSpan(TREE_HEIGHT_MAX);

export class TreeReader {
  readonly loader: NodeLoader;
  #idle: PendingLookup | null = null;

  constructor(loader: NodeLoader) {
    this.loader = loader;
  }

  /** True: the results are set. False: `lookupDone` will be called. */
  lookup(lookup: Lookup): boolean {
    const { root, index } = lookup;
    invariant(index >= 0 && index < INDEX_END, 'a block number of an image fits 48 bits');
    if (root.block === 0 || index >= treeSpan(root.height)) {
      lookup.block = 0;
      lookup.crc = 0;
      lookup.birth = 0;
      lookup.flags = 0;
      return true;
    }
    const { cache } = this.loader;
    const frame = cache.find(root.block, root.crc);
    if (this.#idle === null) this.#idle = new PendingLookup(this);
    const pending = this.#idle;
    pending.block = root.block;
    pending.crc = root.crc;
    pending.level = root.height;
    if (frame >= 0 && pending.descend(lookup, frame)) return true;
    this.#idle = pending.nextIdle;
    pending.nextIdle = null;
    pending.wait(lookup);
    return false;
  }

  /** Called by a lookup that is done. */
  recycle(pending: PendingLookup): void {
    pending.nextIdle = this.#idle;
    this.#idle = pending;
  }
}

/** The state of a lookup between two waits; its fields as a waiter name the next node. */
class PendingLookup implements NodeWaiter {
  block = 0;
  crc = 0;
  level = 0;
  nextWaiter: NodeWaiter | null = null;
  nextIdle: PendingLookup | null = null;
  readonly #reader: TreeReader;
  #lookup: Lookup | null = null;

  constructor(reader: TreeReader) {
    this.#reader = reader;
  }

  /** From the node in `frame` down. True: results are set. False: the next node is not cached. */
  descend(lookup: Lookup, frame: number): boolean {
    const { cache, world } = this.#reader.loader;
    const words = world.memory.u32;
    let at = cache.wordOf(frame) + slotOf(lookup.index, this.level) * ENTRY_WORDS;
    for (;;) {
      const block = entryBlock(words, at);
      const crc = entryCrc(words, at);
      if (block === 0 || this.level === 1) {
        lookup.block = block;
        lookup.crc = crc;
        lookup.birth = entryBirth(words, at);
        lookup.flags = entryFlags(words, at);
        return true;
      }
      this.level--;
      const child = cache.find(block, crc);
      if (child < 0) {
        this.block = block;
        this.crc = crc;
        return false;
      }
      at = cache.wordOf(child) + slotOf(lookup.index, this.level) * ENTRY_WORDS;
    }
  }

  wait(lookup: Lookup): void {
    this.#lookup = lookup;
    this.#reader.loader.load(this);
  }

  nodeLoaded(status: TreeStatus): void {
    const lookup = present(this.#lookup, 'who waits for a node looks something up');
    if (status === TreeStatus.ok) {
      const frame = this.#reader.loader.cache.peek(this.block, this.crc);
      if (frame < 0 || !this.descend(lookup, frame)) {
        this.#reader.loader.load(this);
        return;
      }
    }
    this.#lookup = null;
    this.#reader.recycle(this);
    lookup.lookupDone(status);
  }
}
