/**
 * Which blocks of the pool are reachable, and as what: the memory of a check.
 *
 * An extent that is reached gets 8 bytes for each of its blocks: the CRC by which the block was
 * named, and a hash of its *place*: which tree, which level, which block of the image, which birth.
 * Blocks are immutable, so whoever names a block must name it by the same CRC; and as trees share
 * whole subtrees between snapshots and clones, always at the same place. Another place is only
 * allowed where the extent's map says that the block is shared, which is looked up later: until
 * then a bit of the block says that it was met in two places.
 *
 * Bound: 130 KiB for each extent of 64 MiB that anything reaches, 1/500 of the space in use.
 * A hash of 32 bits: of 2^32 blocks that are wrongly shared, one is missed.
 */
import { EXTENT_BLOCKS } from '../../world/block-pool.ts';

export const Mark = {
  /** Met for the first time. */
  fresh: 0,
  /** Met before, in the same place. */
  known: 1,
  otherPlace: 2,
  otherCrc: 3,
} as const;
export type Mark = (typeof Mark)[keyof typeof Mark];

export class ExtentMarks {
  readonly crcs: Uint32Array = new Uint32Array(EXTENT_BLOCKS);
  /** 0: not reachable. */
  readonly places: Uint32Array = new Uint32Array(EXTENT_BLOCKS);
  readonly #twice = new Uint8Array(EXTENT_BLOCKS / 8);

  reachable(index: number): boolean {
    return this.places[index] !== 0;
  }

  /** Met in two places. */
  isTwice(index: number): boolean {
    return ((this.#twice[index >>> 3] as number) & (1 << (index & 7))) !== 0;
  }

  setTwice(index: number): void {
    this.#twice[index >>> 3] = (this.#twice[index >>> 3] as number) | (1 << (index & 7));
  }
}

export class BlockMarks {
  readonly #extents = new Map<number, ExtentMarks>();
  reachableBlocks = 0;

  /** `block` is inside the pool. */
  mark(block: number, crc: number, place: number): Mark {
    const extent = Math.floor(block / EXTENT_BLOCKS);
    const index = block - extent * EXTENT_BLOCKS;
    let marks = this.#extents.get(extent);
    if (marks === undefined) {
      marks = new ExtentMarks();
      this.#extents.set(extent, marks);
    }
    if (marks.places[index] === 0) {
      marks.places[index] = place;
      marks.crcs[index] = crc;
      this.reachableBlocks++;
      return Mark.fresh;
    }
    if (marks.crcs[index] !== crc) return Mark.otherCrc;
    if (marks.places[index] === place) return Mark.known;
    marks.setTwice(index);
    return Mark.otherPlace;
  }

  /** Of an extent that something reaches. */
  of(extent: number): ExtentMarks | undefined {
    return this.#extents.get(extent);
  }

  /** Numbers of the extents that something reaches, ascending. */
  extents(): number[] {
    return [...this.#extents.keys()].sort((one, other) => one - other);
  }
}

/** Hash of a place, never 0. `tree`: the same number for all trees that may share blocks. */
export function placeOf(tree: number, level: number, first: number, birth: number): number {
  let hash = mix(tree, 0x9e37_79b9);
  hash = mix(hash, level);
  hash = mix(hash, first >>> 0);
  hash = mix(hash, Math.floor(first / 2 ** 32));
  hash = mix(hash, birth);
  return hash === 0 ? 1 : hash;
}

/** A word into the hash, then the finalizer of MurmurHash3: all bits of it depend on all others. */
function mix(hash: number, word: number): number {
  let mixed = hash ^ Math.imul(word + 1, 0xcc9e_2d51);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
