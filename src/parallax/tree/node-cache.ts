/**
 * Nodes of all trees of a host, in its RAM, by the pool block they lie in.
 *
 * A node never changes while anything names it: updates write new ones. So a cached node needs no
 * invalidation, clones and snapshots share it, and the only way it can be wrong is that its block
 * was reclaimed and reused. The key is therefore the block *and* the CRC by which the parent names
 * the node: a frame with another CRC is a miss, and is replaced.
 *
 * Eviction is a clock: a node that was used since the hand last passed gets one more round. Inner
 * nodes (level 2 and above) are few and are passed by every lookup, so leaves may never push them
 * out: up to a share of the frames, an inner node is replaced by another inner node only, and
 * leaves take turns among the rest. A cache that has no inner nodes yet is all leaves'.
 *
 * Frames hold good nodes only (the loader checks a node before it is put here) and are not pinned.
 * The rule for users: a frame number is good until the next `put`. Whoever waits looks the node up
 * again afterwards, or takes a copy.
 */
import { invariant } from '../../base/invariant.ts';
import type { SharedMemory } from '../../base/shared-memory.ts';
import type { Arena } from '../arena.ts';
import { NODE_BYTES } from '../formats/tree-node.ts';
import { BlockIndex } from './block-index.ts';

export interface NodeCacheOptions {
  readonly memory: SharedMemory;
  readonly arena: Arena;
  /** Share of the frames that inner nodes may keep against leaves, in (0, 1). */
  readonly innerShareMax?: number;
}

export interface NodeCacheStats {
  readonly frames: number;
  readonly nodes: number;
  readonly innerNodes: number;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
}

const INNER_SHARE_MAX = 0.5;
const FRAMES_MIN = 8;
const INNER_LEVEL = 2;
const NONE = -1;

export class NodeCache {
  readonly frames: number;
  readonly #memory: SharedMemory;
  readonly #address: number;
  readonly #index: BlockIndex;
  readonly #innerMax: number;
  /** By frame; a frame of level 0 is free. */
  readonly #level: Uint8Array;
  readonly #used: Uint8Array;
  readonly #crc: Uint32Array;
  readonly #block: Float64Array;
  /** A stack of frames that hold nothing. */
  readonly #free: Int32Array;
  #freeCount: number;
  #hand = 0;
  #inner = 0;
  #hits = 0;
  #misses = 0;
  #evictions = 0;

  constructor(options: NodeCacheOptions) {
    const { memory, arena } = options;
    this.frames = Math.floor(arena.bytes / NODE_BYTES);
    invariant(this.frames >= FRAMES_MIN, 'a cache of nodes has room for a path');
    invariant(arena.address % NODE_BYTES === 0, 'nodes lie on page bounds');
    this.#memory = memory;
    this.#address = arena.address;
    this.#index = new BlockIndex(this.frames);
    const share = Math.floor(this.frames * (options.innerShareMax ?? INNER_SHARE_MAX));
    this.#innerMax = Math.min(Math.max(share, 1), this.frames - 1);
    this.#level = new Uint8Array(this.frames);
    this.#used = new Uint8Array(this.frames);
    this.#crc = new Uint32Array(this.frames);
    this.#block = new Float64Array(this.frames);
    this.#free = Int32Array.from({ length: this.frames }, (_, i) => this.frames - 1 - i);
    this.#freeCount = this.frames;
  }

  /** Frame of a node, or -1; counted. */
  find(block: number, crc: number): number {
    const frame = this.peek(block, crc);
    if (frame === NONE) this.#misses++;
    else this.#hits++;
    return frame;
  }

  /** As `find`, uncounted: for those who look again after a wait, and for reading ahead. */
  peek(block: number, crc: number): number {
    const frame = this.#index.get(block);
    if (frame === NONE || this.#crc[frame] !== crc) return NONE;
    this.#used[frame] = 1;
    return frame;
  }

  addressOf(frame: number): number {
    return this.#address + frame * NODE_BYTES;
  }

  /** Index of the node's first word in `memory.u32`. */
  wordOf(frame: number): number {
    return (this.#address + frame * NODE_BYTES) / 4;
  }

  /** Copies a good node in from `source` in the host's RAM. Ends the validity of frame numbers. */
  put(block: number, crc: number, level: number, source: number): void {
    const old = this.#index.get(block);
    if (old !== NONE) this.#release(old);
    const innerGoes = isInner(level) === 1 && this.#inner >= this.#innerMax;
    if (innerGoes || this.#freeCount === 0) this.#evict(innerGoes ? 1 : 0);
    const frame = this.#free[--this.#freeCount] as number;
    this.#index.set(block, frame);
    this.#inner += isInner(level);
    this.#block[frame] = block;
    this.#crc[frame] = crc;
    this.#level[frame] = level;
    this.#used[frame] = 1;
    this.#memory.copy(this.addressOf(frame), source, NODE_BYTES);
  }

  /** A newer node has taken its place: it goes at the next need, unless it is used again. */
  fade(block: number): void {
    const frame = this.#index.get(block);
    if (frame !== NONE) this.#used[frame] = 0;
  }

  stats(): NodeCacheStats {
    return {
      frames: this.frames,
      nodes: this.#index.count,
      innerNodes: this.#inner,
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
    };
  }

  checkInvariants(): void {
    let inner = 0;
    let nodes = 0;
    for (let frame = 0; frame < this.frames; frame++) {
      if (this.#level[frame] === 0) continue;
      nodes++;
      inner += isInner(this.#level[frame] as number);
      const found = this.#index.get(this.#block[frame] as number);
      invariant(found === frame, 'a frame is found by its block');
    }
    invariant(inner === this.#inner, 'inner nodes are counted');
    invariant(inner <= this.#innerMax, 'inner nodes keep to their share');
    invariant(nodes === this.#index.count, 'every block of the index has a frame');
    invariant(nodes + this.#freeCount === this.frames, 'a frame holds a node or is free');
  }

  /**
   * Frees the next frame of one kind that was not used lately. There is one: inner nodes go when
   * they have their share, and that leaves at least one frame of a full cache to leaves.
   */
  #evict(inner: 0 | 1): void {
    for (;;) {
      const frame = this.#hand;
      this.#hand = frame + 1 === this.frames ? 0 : frame + 1;
      const level = this.#level[frame] as number;
      if (level === 0 || isInner(level) !== inner) continue;
      if (this.#used[frame] === 0) {
        this.#evictions++;
        this.#release(frame);
        return;
      }
      this.#used[frame] = 0;
    }
  }

  #release(frame: number): void {
    this.#index.delete(this.#block[frame] as number);
    this.#inner -= isInner(this.#level[frame] as number);
    this.#level[frame] = 0;
    this.#free[this.#freeCount++] = frame;
  }
}

function isInner(level: number): 0 | 1 {
  return level >= INNER_LEVEL ? 1 : 0;
}
