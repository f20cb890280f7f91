/**
 * The blocks of one extent of this session, in memory: their states, and runs of free ones.
 *
 * States are kept as the map stores them, 2 bits a block, so that a map is written by a copy.
 */
import { invariant } from '../../base/invariant.ts';
import { EXTENT_BLOCKS, type PoolBlock } from '../../world/block-pool.ts';
import {
  BlockState,
  EXTENT_DATA_BLOCKS,
  type ExtentMap,
  MAP_BLOCKS,
  STATES_BYTES,
} from '../formats/extent-map.ts';

export class ExtentSpace {
  readonly extent: number;
  readonly states: Uint8Array;
  /** Sequence of the newest map that this session read or wrote, also of one that failed. */
  mapSequence: number;
  /** Copy of the map that holds, 0 or 1; a write goes to the other one. */
  mapCopy: number;
  /** Whether this session has handed out or changed any block. */
  touched = false;
  #freeBlocks: number;
  /** Nothing is free before this index. */
  #cursor = 0;
  /** Set by `findRun`: the run it found. */
  runStart = 0;
  runBlocks = 0;

  /** A new extent, or one that goes on from its map; `copy` is where that map lies. */
  constructor(extent: number, map: ExtentMap | null, copy: number) {
    this.extent = extent;
    this.states = map === null ? new Uint8Array(STATES_BYTES) : map.states;
    this.mapSequence = map?.sequence ?? 0;
    this.mapCopy = copy;
    this.#freeBlocks = map === null ? EXTENT_DATA_BLOCKS : map.freeBlocks;
  }

  get freeBlocks(): number {
    return this.#freeBlocks;
  }

  /**
   * Looks for free blocks in a row: the first `count` of them, or else the longest run. Sets
   * `runStart` and `runBlocks`, 0 if nothing is free.
   */
  findRun(count: number): void {
    this.runBlocks = 0;
    let start = 0;
    let length = 0;
    for (let index = this.#cursor; index < EXTENT_DATA_BLOCKS; index++) {
      if (this.#stateAt(index) !== BlockState.free) {
        length = 0;
        continue;
      }
      if (length === 0) start = index;
      length++;
      if (length <= this.runBlocks) continue;
      this.runStart = start;
      this.runBlocks = length;
      if (length === count) return;
    }
  }

  /** Hands out the first `count` blocks of the run that `findRun` has found. */
  take(count: number): PoolBlock {
    invariant(count > 0 && count <= this.runBlocks, 'what is taken was found free');
    const start = this.runStart;
    for (let index = start; index < start + count; index++) {
      invariant(this.#stateAt(index) === BlockState.free, 'no block is handed out twice');
      this.#setState(index, BlockState.private);
    }
    this.#freeBlocks -= count;
    this.touched = true;
    this.runBlocks = 0;
    while (this.#cursor < EXTENT_DATA_BLOCKS && this.#stateAt(this.#cursor) !== BlockState.free) {
      this.#cursor++;
    }
    return this.extent * EXTENT_BLOCKS + MAP_BLOCKS + start;
  }

  /** Marks an allocated block as shared. False if it was shared already. */
  share(block: PoolBlock): boolean {
    const index = block - this.extent * EXTENT_BLOCKS - MAP_BLOCKS;
    invariant(index >= 0 && index < EXTENT_DATA_BLOCKS, 'a block is shared in its own extent');
    const state = this.#stateAt(index);
    invariant(state !== BlockState.free, 'what is shared was allocated');
    if (state === BlockState.shared) return false;
    this.#setState(index, BlockState.shared);
    this.touched = true;
    return true;
  }

  #stateAt(index: number): number {
    return ((this.states[index >>> 2] as number) >>> ((index & 3) << 1)) & 3;
  }

  #setState(index: number, state: BlockState): void {
    const shift = (index & 3) << 1;
    const others = (this.states[index >>> 2] as number) & ~(3 << shift);
    this.states[index >>> 2] = others | (state << shift);
  }
}
