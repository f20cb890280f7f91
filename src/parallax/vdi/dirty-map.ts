/**
 * What a virtual disk image holds that is not yet under a published root.
 *
 * Mutations that were acknowledged lie here as *pieces*: some sectors of one block and where their
 * bytes are, in a segment of the log or in memory, or that they are zeros. Pieces belong to
 * *batches*, which are contiguous runs of the disk's order; a batch is what destage publishes at
 * once, so that a reader of the pool sees all of it or nothing.
 *
 * ```
 * index   block -> newest piece of the block
 * piece   -> older piece of the same block, at last none: what is below is the published tree
 *            batches along such a chain never rise
 * batch   -> its pieces, in no order
 * ```
 * Inside a batch a newer piece takes the sectors that it covers away from the older ones: only the
 * last value of a batch is published. Across batches nothing is taken away, because the older batch
 * is published first and must be exactly what it was (merging across batches would publish a write
 * without one that came before it).
 *
 * Arrays grow by doubling and are never given back: how much may be dirty is bounded by the cap.
 */
import { invariant } from '../../base/invariant.ts';
import { SECTOR_BYTES, SECTORS_PER_PAGE } from '../../base/units.ts';

/** In the place of a segment: the sectors are zeros. */
export const ZEROS = -1;
/** In the place of a segment: the offset is an address in the host's RAM. */
export const IN_MEMORY = -2;
/** All sectors of a block. */
export const WHOLE = 0xff;
/** A batch number above all others: every piece counts. */
export const ALL_BATCHES: number = Number.POSITIVE_INFINITY;

const NONE = -1;
const FIRST_PIECES = 1024;

export interface DirtyMapEvents {
  /** A piece in memory is not needed any more. */
  released(address: number): void;
}

export class DirtyMap {
  readonly #events: DirtyMapEvents;
  #table = new Int32Array(2 * FIRST_PIECES).fill(NONE);
  #blocks = 0;

  #block = new Uint32Array(FIRST_PIECES);
  #batch = new Float64Array(FIRST_PIECES);
  #mask = new Uint8Array(FIRST_PIECES);
  #first = new Uint8Array(FIRST_PIECES);
  #segment = new Int32Array(FIRST_PIECES);
  #offset = new Float64Array(FIRST_PIECES);
  #sectors = new Uint8Array(FIRST_PIECES);
  #crc = new Uint32Array(FIRST_PIECES);
  #older = new Int32Array(FIRST_PIECES);
  #sibling = new Int32Array(FIRST_PIECES);
  #used = 0;
  #free = NONE;

  /** Newest piece of each batch, by number. */
  readonly #newestOf = new Map<number, number>();
  #dirtySectors = 0;

  /** What the last `cover` found, `found` pieces of it. */
  found = 0;
  /** Which sectors are to be taken from the piece. */
  readonly foundMask: Uint8Array = new Uint8Array(SECTORS_PER_PAGE);
  /** The piece as it was entered: its first sector in the block, how many, where, and their CRC. */
  readonly foundFirst: Uint8Array = new Uint8Array(SECTORS_PER_PAGE);
  readonly foundSectors: Uint8Array = new Uint8Array(SECTORS_PER_PAGE);
  readonly foundSegment: Int32Array = new Int32Array(SECTORS_PER_PAGE);
  readonly foundOffset: Float64Array = new Float64Array(SECTORS_PER_PAGE);
  readonly foundCrc: Uint32Array = new Uint32Array(SECTORS_PER_PAGE);

  constructor(events: DirtyMapEvents) {
    this.#events = events;
  }

  /** Bytes that would be published now, zeros included. */
  get dirtyBytes(): number {
    return this.#dirtySectors * SECTOR_BYTES;
  }

  /** Blocks with at least one piece. */
  get blocks(): number {
    return this.#blocks;
  }

  has(block: number): boolean {
    return this.#head(block) !== NONE;
  }

  /**
   * Enters sectors `[first, first + sectors)` of a block, newer than all there is of it. `batch` is
   * at least that of every piece of the block. `offset` is where the first of these sectors is, and
   * `crc` that of their bytes.
   */
  add(
    block: number,
    first: number,
    sectors: number,
    batch: number,
    segment: number,
    offset: number,
    crc: number,
  ): void {
    const mask = maskOf(first, sectors);
    const head = this.#head(block);
    invariant(
      head === NONE || this.#at(this.#batch, head) <= batch,
      'batches never rise in a chain',
    );
    const reused = this.#takeAway(head, batch, mask);
    const piece = reused === NONE ? this.#newPiece(block, batch, head) : reused;
    this.#mask[piece] = mask;
    this.#first[piece] = first;
    this.#segment[piece] = segment;
    this.#offset[piece] = offset;
    this.#sectors[piece] = sectors;
    this.#crc[piece] = crc;
    this.#dirtySectors += sectors;
  }

  /**
   * Finds the newest value of the wanted sectors among batches up to `lastBatch`. The pieces are
   * told in this object; returned are the sectors that no piece has.
   */
  cover(block: number, wanted: number, lastBatch: number): number {
    this.found = 0;
    let missing = wanted;
    for (let piece = this.#head(block); piece !== NONE && missing !== 0; ) {
      if (this.#at(this.#batch, piece) <= lastBatch) {
        const taken = missing & this.#at(this.#mask, piece);
        if (taken !== 0) this.#tell(piece, taken);
        missing &= ~taken;
      }
      piece = this.#at(this.#older, piece);
    }
    return missing;
  }

  /** Every block with a piece, in no order. */
  forEachBlock(visit: (block: number) => void): void {
    for (const piece of this.#table) if (piece !== NONE) visit(this.#at(this.#block, piece));
  }

  /** The blocks of a batch, each once, ascending. */
  blocksOf(batch: number): Uint32Array {
    let count = 0;
    for (let piece = this.#newest(batch); piece !== NONE; piece = this.#at(this.#sibling, piece)) {
      if (this.#at(this.#mask, piece) !== 0) count++;
    }
    const blocks = new Uint32Array(count);
    for (let piece = this.#newest(batch); piece !== NONE; piece = this.#at(this.#sibling, piece)) {
      if (this.#at(this.#mask, piece) !== 0) blocks[--count] = this.#at(this.#block, piece);
    }
    blocks.sort();
    let unique = 0;
    for (let i = 0; i < blocks.length; i++) {
      if (i > 0 && blocks[i] === blocks[i - 1]) continue;
      blocks[unique++] = blocks[i] as number;
    }
    return blocks.subarray(0, unique);
  }

  /** The pieces of a batch are published: forgets them. */
  dropBatch(batch: number): void {
    for (let piece = this.#newest(batch); piece !== NONE; ) {
      const next = this.#at(this.#sibling, piece);
      this.#drop(piece);
      piece = next;
    }
    this.#newestOf.delete(batch);
  }

  checkInvariants(): void {
    let sectors = 0;
    let blocks = 0;
    for (const head of this.#table) {
      if (head === NONE) continue;
      blocks++;
      let last = ALL_BATCHES;
      for (let piece = head; piece !== NONE; piece = this.#at(this.#older, piece)) {
        sectors += bitsOf(this.#at(this.#mask, piece));
        invariant(this.#at(this.#batch, piece) <= last, 'batches never rise in a chain');
        last = this.#at(this.#batch, piece);
      }
    }
    invariant(sectors === this.#dirtySectors, 'dirty sectors are counted');
    invariant(blocks === this.#blocks, 'dirty blocks are counted');
  }

  /**
   * Takes the sectors of `mask` from the pieces of the same batch; gives back one of them that has
   * none left, to be used again where it is: as the newest of its batch its place in the chain is
   * right only if all in front of it are of the same batch, and those are.
   */
  #takeAway(head: number, batch: number, mask: number): number {
    let empty = NONE;
    for (let piece = head; piece !== NONE; piece = this.#at(this.#older, piece)) {
      if (this.#at(this.#batch, piece) !== batch) break;
      const before = this.#at(this.#mask, piece);
      const after = before & ~mask;
      this.#dirtySectors -= bitsOf(before ^ after);
      this.#mask[piece] = after;
      if (after !== 0) continue;
      if (before !== 0) this.#release(piece);
      empty = piece;
    }
    return empty;
  }

  #tell(piece: number, taken: number): void {
    const at = this.found++;
    this.foundMask[at] = taken;
    this.foundFirst[at] = this.#at(this.#first, piece);
    this.foundSectors[at] = this.#at(this.#sectors, piece);
    this.foundSegment[at] = this.#at(this.#segment, piece);
    this.foundOffset[at] = this.#at(this.#offset, piece);
    this.foundCrc[at] = this.#at(this.#crc, piece);
  }

  #release(piece: number): void {
    if (this.#at(this.#segment, piece) !== IN_MEMORY) return;
    this.#events.released(this.#at(this.#offset, piece));
    this.#segment[piece] = ZEROS;
  }

  #newPiece(block: number, batch: number, head: number): number {
    const piece = this.#takeFree();
    this.#block[piece] = block;
    this.#batch[piece] = batch;
    this.#older[piece] = head;
    this.#sibling[piece] = this.#newest(batch);
    this.#newestOf.set(batch, piece);
    if (head === NONE) this.#insert(block, piece);
    else this.#table[this.#slotOf(block)] = piece;
    return piece;
  }

  #drop(piece: number): void {
    const block = this.#at(this.#block, piece);
    const slot = this.#slotOf(block);
    const older = this.#at(this.#older, piece);
    let newer = NONE;
    for (let at = this.#at(this.#table, slot); at !== piece; at = this.#at(this.#older, at)) {
      newer = at;
    }
    if (newer !== NONE) this.#older[newer] = older;
    else if (older !== NONE) this.#table[slot] = older;
    else this.#remove(slot);
    const mask = this.#at(this.#mask, piece);
    this.#dirtySectors -= bitsOf(mask);
    if (mask !== 0) this.#release(piece);
    this.#sibling[piece] = this.#free;
    this.#free = piece;
  }

  #newest(batch: number): number {
    return this.#newestOf.get(batch) ?? NONE;
  }

  #takeFree(): number {
    if (this.#free !== NONE) {
      const piece = this.#free;
      this.#free = this.#at(this.#sibling, piece);
      return piece;
    }
    if (this.#used === this.#block.length) this.#grow();
    return this.#used++;
  }

  #grow(): void {
    const size = this.#used * 2;
    this.#block = grown(this.#block, new Uint32Array(size));
    this.#batch = grown(this.#batch, new Float64Array(size));
    this.#mask = grown(this.#mask, new Uint8Array(size));
    this.#first = grown(this.#first, new Uint8Array(size));
    this.#segment = grown(this.#segment, new Int32Array(size));
    this.#offset = grown(this.#offset, new Float64Array(size));
    this.#sectors = grown(this.#sectors, new Uint8Array(size));
    this.#crc = grown(this.#crc, new Uint32Array(size));
    this.#older = grown(this.#older, new Int32Array(size));
    this.#sibling = grown(this.#sibling, new Int32Array(size));
  }

  // The index: open addressing, linear probing; a removal shifts back what it had pushed on.

  #head(block: number): number {
    return this.#at(this.#table, this.#slotOf(block));
  }

  /** Where the block stands, or where it would. */
  #slotOf(block: number): number {
    const last = this.#table.length - 1;
    let slot = hashOf(block) & last;
    for (;;) {
      const piece = this.#at(this.#table, slot);
      if (piece === NONE || this.#at(this.#block, piece) === block) return slot;
      slot = (slot + 1) & last;
    }
  }

  #insert(block: number, piece: number): void {
    if (++this.#blocks * 2 > this.#table.length) this.#rehash();
    this.#table[this.#slotOf(block)] = piece;
  }

  #remove(slot: number): void {
    this.#blocks--;
    const last = this.#table.length - 1;
    let hole = slot;
    for (let at = (slot + 1) & last; ; at = (at + 1) & last) {
      const piece = this.#at(this.#table, at);
      if (piece === NONE) break;
      const home = hashOf(this.#at(this.#block, piece)) & last;
      // It may move to the hole unless its home lies between the hole and itself.
      if (((at - home) & last) < ((at - hole) & last)) continue;
      this.#table[hole] = piece;
      hole = at;
    }
    this.#table[hole] = NONE;
  }

  #rehash(): void {
    const old = this.#table;
    this.#table = new Int32Array(old.length * 2).fill(NONE);
    for (const piece of old) {
      if (piece !== NONE) this.#table[this.#slotOf(this.#at(this.#block, piece))] = piece;
    }
  }

  #at(array: ArrayLike<number>, index: number): number {
    return array[index] as number;
  }
}

/** The sectors `[first, first + sectors)` of a block as bits. */
export function maskOf(first: number, sectors: number): number {
  return ((1 << sectors) - 1) << first;
}

function bitsOf(mask: number): number {
  let count = 0;
  for (let left = mask; left !== 0; left &= left - 1) count++;
  return count;
}

function hashOf(block: number): number {
  const mixed = Math.imul(block ^ (block >>> 15), 0x9e3779b1);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

function grown<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}
