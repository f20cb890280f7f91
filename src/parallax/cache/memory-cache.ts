/**
 * Blocks of VDIs in frames of the host's RAM.
 *
 * A frame holds the newest whole content of its block, as the guest would read it: what was written
 * last, also where no pool has it yet. So the owner keeps it up to date: a write that is ordered
 * `update`s the frame or `invalidate`s it in the same step; a discard or zeroing invalidates.
 *
 * An entry is visible from `insert` on, so the caller fills the frame in the same step. An address
 * is good until the next `insert`, which may give the frame away: copy in the same step, too.
 *
 * Not everything that is read is worth a frame. What another cache near by has too is taken in when
 * there is room, or when it is asked for again soon (`wants`): a block that is read once costs
 * neither a copy nor a victim. What was written, or had to come from far, is taken in at once.
 *
 * `invalidateVdi` takes one step whatever the VDI has cached: see `KeySpaces`. The frames it leaves
 * behind come back as victims of the policy; they are never hit, so they come soon.
 *
 * Everything is lost with the driver VM; nothing here matters to durability.
 */
import { invariant } from '../../base/invariant.ts';
import type { SharedMemory } from '../../base/shared-memory.ts';
import { SECTOR_BYTES, SECTORS_PER_PAGE } from '../../base/units.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { Arena } from '../arena.ts';
import { BlockIndex } from './block-index.ts';
import type { EvictionKind, EvictionPolicy } from './eviction.ts';
import { KeySpaces, NO_SPACE } from './key-spaces.ts';
import { makeEviction } from './make-eviction.ts';

/** Places for hashes of blocks that were not wanted. */
const REFUSED_PER_FRAME = 2;

export interface MemoryCacheStats {
  readonly frames: number;
  /** Frames that hold a block, those of invalidated VDIs included. */
  readonly used: number;
  readonly hits: number;
  readonly misses: number;
  readonly inserted: number;
  readonly evicted: number;
  readonly updated: number;
  readonly invalidated: number;
  /** Bytes of the index and the policy, beside the frames. */
  readonly indexBytes: number;
}

export class MemoryCache {
  readonly #memory: SharedMemory;
  readonly #address: number;
  readonly #spaces = new KeySpaces(1, 2 ** 32);
  readonly #index: BlockIndex;
  readonly #policy: EvictionPolicy;
  /** Hashes of blocks that were not wanted lately, each in the one place that is for it. */
  readonly #refused: Uint32Array;
  /** Free frames, as a stack; those never used follow `#fresh`. */
  readonly #free: Int32Array;
  #freeCount = 0;
  #fresh = 0;
  #hits = 0;
  #misses = 0;
  #inserted = 0;
  #evicted = 0;
  #updated = 0;
  #invalidated = 0;

  /** `salt`: for hashing, drawn from the world's random numbers. */
  constructor(memory: SharedMemory, arena: Arena, salt: number, kind: EvictionKind = 's3-fifo') {
    invariant(arena.address % BLOCK_BYTES === 0, 'an arena begins at a page');
    invariant(arena.bytes >= BLOCK_BYTES, 'a cache has room for a block');
    invariant(arena.address + arena.bytes <= memory.sizeBytes, 'an arena lies in RAM');
    const frames = Math.floor(arena.bytes / BLOCK_BYTES);
    this.#memory = memory;
    this.#address = arena.address;
    this.#index = new BlockIndex(frames, salt);
    this.#policy = makeEviction(kind, this.#index, salt);
    this.#refused = new Uint32Array(REFUSED_PER_FRAME * frames);
    this.#free = new Int32Array(frames);
  }

  /** Byte address of the block's content, -1 if it is not here. Counts as a use of it. */
  find(vdi: number, block: number): number {
    const frame = this.#frameOf(vdi, block);
    if (frame < 0) {
      this.#misses++;
      return -1;
    }
    this.#hits++;
    this.#policy.hit(frame);
    return this.#addressOf(frame);
  }

  /**
   * Whether a block that is easily read again should be inserted: there is a free frame, or it was
   * not wanted before and not many others since. Two blocks that hash alike cost a frame at most.
   */
  wants(vdi: number, block: number): boolean {
    if (this.#freeCount > 0 || this.#fresh < this.#index.slots) return true;
    const hash = this.#index.hash(vdi, block);
    const at = hash % this.#refused.length;
    if (this.#refused[at] === hash) return true;
    this.#refused[at] = hash;
    return false;
  }

  /** The address to fill with the block's newest content, at once. */
  insert(vdi: number, block: number): number {
    const present = this.#frameOf(vdi, block);
    if (present >= 0) return this.#addressOf(present);
    const space = this.#spaces.of(vdi) || this.#spaces.renew(vdi);
    invariant(space !== NO_SPACE, 'a VDI is not invalidated four billion times');
    const frame = this.#takeFrame(space, block);
    this.#index.insert(space, block, frame);
    this.#policy.inserted(frame, space, block);
    this.#inserted++;
    return this.#addressOf(frame);
  }

  /**
   * Writes sectors of a block where it is here; tells whether it is. `source`: byte address of
   * `sectors` whole sectors, whose first one is number `firstSector` of the block.
   */
  update(
    vdi: number,
    block: number,
    firstSector: number,
    sectors: number,
    source: number,
  ): boolean {
    invariant(firstSector >= 0 && sectors >= 1, 'an update has sectors');
    invariant(firstSector + sectors <= SECTORS_PER_PAGE, 'an update lies in one block');
    const frame = this.#frameOf(vdi, block);
    if (frame < 0) return false;
    const target = this.#addressOf(frame) + firstSector * SECTOR_BYTES;
    this.#memory.copy(target, source, sectors * SECTOR_BYTES);
    this.#policy.hit(frame);
    this.#updated++;
    return true;
  }

  invalidate(vdi: number, block: number): void {
    const frame = this.#frameOf(vdi, block);
    if (frame < 0) return;
    this.#policy.removed(frame);
    this.#index.remove(frame);
    this.#free[this.#freeCount++] = frame;
    this.#invalidated++;
  }

  /** Forgets all blocks of a VDI, in one step. */
  invalidateVdi(vdi: number): void {
    this.#spaces.drop(vdi);
  }

  stats(): MemoryCacheStats {
    return {
      frames: this.#index.slots,
      used: this.#index.count,
      hits: this.#hits,
      misses: this.#misses,
      inserted: this.#inserted,
      evicted: this.#evicted,
      updated: this.#updated,
      invalidated: this.#invalidated,
      indexBytes: this.#indexBytes(),
    };
  }

  #frameOf(vdi: number, block: number): number {
    const space = this.#spaces.of(vdi);
    return space === NO_SPACE ? -1 : this.#index.find(space, block);
  }

  #takeFrame(space: number, block: number): number {
    if (this.#freeCount > 0) return this.#free[--this.#freeCount] as number;
    if (this.#fresh < this.#index.slots) return this.#fresh++;
    const frame = this.#policy.victim(space, block);
    invariant(frame >= 0, 'a full cache has a frame to give away');
    this.#index.remove(frame);
    this.#evicted++;
    return frame;
  }

  #indexBytes(): number {
    const own = this.#free.byteLength + this.#refused.byteLength;
    return this.#index.sizeBytes + this.#policy.sizeBytes + own;
  }

  #addressOf(frame: number): number {
    return this.#address + frame * BLOCK_BYTES;
  }
}
