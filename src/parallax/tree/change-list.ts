/**
 * Changes of a tree, in order of block numbers, as columns: what a batch of writes and discards
 * comes down to.
 *
 * A change maps one block, or takes the mapping of a range away. Ranges do not overlap. The columns
 * grow by doubling and are kept when the list is cleared, so that a list is used batch after batch.
 */
import { invariant } from '../../base/invariant.ts';
import { heightFor, TREE_HEIGHT_MAX, treeSpan } from '../formats/tree-node.ts';

const INDEX_END = treeSpan(TREE_HEIGHT_MAX);
const BLOCK_END = 2 ** 48;

export class ChangeList {
  #count = 0;
  #index: Float64Array;
  #blocks: Float64Array;
  #block: Float64Array;
  #crc: Uint32Array;
  #flags: Uint16Array;

  constructor(capacity: number = 1024) {
    this.#index = new Float64Array(capacity);
    this.#blocks = new Float64Array(capacity);
    this.#block = new Float64Array(capacity);
    this.#crc = new Uint32Array(capacity);
    this.#flags = new Uint16Array(capacity);
  }

  get count(): number {
    return this.#count;
  }

  clear(): void {
    this.#count = 0;
  }

  /** Block `index` of the image lies in pool block `block` from now on. */
  map(index: number, block: number, crc: number, flags: number): void {
    invariant(block > 0 && block < BLOCK_END, 'a mapped block is a block of the pool');
    this.#add(index, 1, block, crc, flags);
  }

  /** `blocks` blocks from `index` read as zeros from now on. */
  unmap(index: number, blocks: number): void {
    invariant(blocks > 0, 'a range has blocks');
    this.#add(index, blocks, 0, 0, 0);
  }

  /** Everything from block `sizeBlocks` on reads as zeros: the image shrinks to it. */
  truncate(sizeBlocks: number): void {
    if (sizeBlocks < INDEX_END) this.unmap(sizeBlocks, INDEX_END - sizeBlocks);
  }

  indexOf(change: number): number {
    return this.#index[change] as number;
  }

  /** First block number after the change. */
  endOf(change: number): number {
    return (this.#index[change] as number) + (this.#blocks[change] as number);
  }

  /** 0: the mapping is taken away. */
  blockOf(change: number): number {
    return this.#block[change] as number;
  }

  crcOf(change: number): number {
    return this.#crc[change] as number;
  }

  flagsOf(change: number): number {
    return this.#flags[change] as number;
  }

  /** The lowest tree that has room for every mapped block; at least 1. */
  heightNeeded(): number {
    for (let change = this.#count - 1; change >= 0; change--) {
      if (this.#block[change] !== 0) return heightFor(this.#index[change] as number);
    }
    return 1;
  }

  /**
   * No fewer than the nodes of a tree of this height that the changes touch; of those that a range
   * covers as a whole, which go, only the first and the last are counted.
   */
  nodesTouched(height: number): number {
    let nodes = 0;
    for (let level = 1; level <= height; level++) {
      const span = treeSpan(level);
      let last = -1;
      for (let change = 0; change < this.#count; change++) {
        const first = this.#index[change] as number;
        if (first >= treeSpan(height)) break;
        const from = Math.floor(first / span);
        const to = Math.floor((this.endOf(change) - 1) / span);
        if (from !== last) nodes++;
        if (to !== from) nodes++;
        last = to;
      }
    }
    return nodes;
  }

  #add(index: number, blocks: number, block: number, crc: number, flags: number): void {
    const at = this.#count;
    invariant(index >= 0 && index + blocks <= INDEX_END, 'a change is inside the largest image');
    if (at > 0) invariant(this.endOf(at - 1) <= index, 'changes come in order and do not overlap');
    if (at === this.#index.length) this.#grow();
    this.#index[at] = index;
    this.#blocks[at] = blocks;
    this.#block[at] = block;
    this.#crc[at] = crc;
    this.#flags[at] = flags;
    this.#count = at + 1;
  }

  #grow(): void {
    const capacity = 2 * this.#index.length + 16;
    this.#index = grown(this.#index, new Float64Array(capacity));
    this.#blocks = grown(this.#blocks, new Float64Array(capacity));
    this.#block = grown(this.#block, new Float64Array(capacity));
    this.#crc = grown(this.#crc, new Uint32Array(capacity));
    this.#flags = grown(this.#flags, new Uint16Array(capacity));
  }
}

type Column = Float64Array | Uint32Array | Uint16Array;

function grown<T extends Column>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}
