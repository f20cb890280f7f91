/**
 * The format of the clean slab's file: superblocks, table, slots.
 *
 * ```
 * block 0, 1            superblock A and B: the valid one with the higher sequence counts
 * block 2 .. 2+T-1      table, 200 slots a block
 * block 2+T ..          slots, one block each
 *
 * superblock, 4096 bytes           table block, 4096 bytes
 *  0 u32  magic "SLBS"              0 u32  magic "SLBT"
 *  4 u16  version, 1                4 u16  version, 1
 *  6 u16  bindings                  6 u16  zero
 *  8 u32  CRC of the block          8 u32  CRC of the block
 * 12 u32  slots                    12 u32  first slot
 * 16 16 B store                    16 u48  sequence
 * 32 u48  sequence                 22 42 B zero
 * 38 u32  end of key spaces        64 200 slots, 20 bytes each:
 * 42 22 B zero                         0 u48  pool block, 0: the slot holds nothing
 * 64 144 bindings, 28 bytes each:      6 u16  zero
 *     0 u32  VDI                       8 u32  CRC of its content
 *     4 u32  key space                12 u32  key space, 0: none
 *     8 u32  generation               16 u32  block of the VDI
 *    12 u48  vdiSeq                4064 32 B zero
 *    18 u48  block of the tree's top
 *    24 u32  its CRC
 * ```
 * All little-endian; a CRC is taken with its own field zero. The sequence grows by one a
 * superblock, and picks the copy that is written: even A, odd B. A table block has the sequence of
 * the superblock that was to follow it. A key space stands for a VDI: an entry belongs to the VDI
 * whose binding names its key space, or to none. Superblocks and table are zeroed first when a file
 * is laid out. A table block that is not valid says nothing of its slots: they are free.
 */

import { getU48, setU48, UUID_BYTES } from '../../base/formats/field-bytes.ts';
import { beginFrame, type Frame, frameDamage, seal, viewOf } from '../../base/formats/sealed.ts';
import { BLOCK_BYTES, type PoolBlock } from '../../world/block-pool.ts';
import type { Digest } from '../../world/world.ts';

const SUPERBLOCK: Frame = { magic: 0x53424c53, version: 1 };
const TABLE: Frame = { magic: 0x54424c53, version: 1 };
const SLOTS_AT = 12;
const STORE_AT = 16;
const SUPER_SEQUENCE_AT = 32;
const SPACES_END_AT = 38;
const BINDINGS_AT = 64;
const BINDING_BYTES = 28;
const FIRST_SLOT_AT = 12;
const TABLE_SEQUENCE_AT = 16;
const ENTRIES_AT = 64;
const ENTRY_BYTES = 20;

export const TABLE_SLOTS = 200;
export const SUPERBLOCKS = 2;
export const BINDINGS_MAX: number = Math.floor((BLOCK_BYTES - BINDINGS_AT) / BINDING_BYTES);

/** What a VDI's published root was: two that are equal are the same tree. */
export interface RootIdentity {
  readonly generation: number;
  readonly vdiSeq: number;
  /** Pool block of the tree's top node; 0 if the VDI is empty. */
  readonly block: PoolBlock;
  readonly crc: number;
}

export function sameRoot(one: RootIdentity, other: RootIdentity): boolean {
  return (
    one.generation === other.generation &&
    one.vdiSeq === other.vdiSeq &&
    one.block === other.block &&
    one.crc === other.crc
  );
}

/** For which root the entries of a VDI are valid, and the number that they name it by. */
export interface Binding {
  readonly space: number;
  readonly root: RootIdentity;
}

export interface SlabSuperblock {
  /** `UUID_BYTES`: the store that the slab caches. */
  readonly store: Uint8Array;
  readonly slots: number;
  readonly sequence: number;
  /** All key spaces that entries may name are below. */
  readonly spacesEnd: number;
  /** By VDI; `BINDINGS_MAX` at the most. */
  readonly bindings: ReadonlyMap<number, Binding>;
}

/** `empty`: it begins with zeros, so it was never written. */
export type BlockVerdict = 'ok' | 'empty' | 'damaged' | 'newer version';

/** One slot as the table has it. */
export interface TableEntry {
  /** 0: the slot holds nothing. */
  poolBlock: PoolBlock;
  crc: number;
  /** 0: no VDI is known to have the block. */
  space: number;
  block: number;
}

/** Slots for which a file of so many bytes has room, beside their table. */
export function slotsOf(sizeBytes: number): number {
  const blocks = Math.floor(sizeBytes / BLOCK_BYTES) - SUPERBLOCKS;
  if (blocks < 2) return 0;
  return blocks - Math.ceil(blocks / (TABLE_SLOTS + 1));
}

export function tableBlocksOf(slots: number): number {
  return Math.ceil(slots / TABLE_SLOTS);
}

/** Encodes and decodes blocks of the slab's file in place, in a buffer of which it keeps views. */
export class SlabFormat {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #digest: Digest;

  constructor(bytes: Uint8Array, digest: Digest) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#digest = digest;
  }

  encodeSuperblock(at: number, superblock: SlabSuperblock): void {
    this.#begin(at, SUPERBLOCK);
    this.#view.setUint16(at + 6, superblock.bindings.size, true);
    this.#bytes.set(superblock.store, at + STORE_AT);
    this.#view.setUint32(at + SLOTS_AT, superblock.slots, true);
    setU48(this.#view, at + SUPER_SEQUENCE_AT, superblock.sequence);
    this.#view.setUint32(at + SPACES_END_AT, superblock.spacesEnd, true);
    let entry = at + BINDINGS_AT;
    for (const [vdi, { space, root }] of superblock.bindings) {
      this.#view.setUint32(entry, vdi, true);
      this.#view.setUint32(entry + 4, space, true);
      this.#view.setUint32(entry + 8, root.generation, true);
      setU48(this.#view, entry + 12, root.vdiSeq);
      setU48(this.#view, entry + 18, root.block);
      this.#view.setUint32(entry + 24, root.crc, true);
      entry += BINDING_BYTES;
    }
    this.#seal(at);
  }

  judgeSuperblock(at: number): BlockVerdict {
    const verdict = this.#judge(at, SUPERBLOCK);
    if (verdict !== 'ok') return verdict;
    return this.#view.getUint16(at + 6, true) <= BINDINGS_MAX ? 'ok' : 'damaged';
  }

  /** Of a block that was judged `ok`. */
  decodeSuperblock(at: number): SlabSuperblock {
    const bindings = new Map<number, Binding>();
    const count = this.#view.getUint16(at + 6, true);
    for (let i = 0, entry = at + BINDINGS_AT; i < count; i++, entry += BINDING_BYTES) {
      const root = {
        generation: this.#view.getUint32(entry + 8, true),
        vdiSeq: getU48(this.#view, entry + 12),
        block: getU48(this.#view, entry + 18),
        crc: this.#view.getUint32(entry + 24, true),
      };
      const space = this.#view.getUint32(entry + 4, true);
      bindings.set(this.#view.getUint32(entry, true), { space, root });
    }
    return {
      store: this.#bytes.slice(at + STORE_AT, at + STORE_AT + UUID_BYTES),
      slots: this.#view.getUint32(at + SLOTS_AT, true),
      sequence: getU48(this.#view, at + SUPER_SEQUENCE_AT),
      spacesEnd: this.#view.getUint32(at + SPACES_END_AT, true),
      bindings,
    };
  }

  /** Begins a table block without entries; `setEntry` adds them, `endTable` makes it valid. */
  beginTable(at: number, firstSlot: number, sequence: number): void {
    this.#begin(at, TABLE);
    this.#view.setUint32(at + FIRST_SLOT_AT, firstSlot, true);
    setU48(this.#view, at + TABLE_SEQUENCE_AT, sequence);
  }

  setEntry(at: number, index: number, entry: TableEntry): void {
    const place = at + ENTRIES_AT + index * ENTRY_BYTES;
    setU48(this.#view, place, entry.poolBlock);
    this.#view.setUint32(place + 8, entry.crc, true);
    this.#view.setUint32(place + 12, entry.space, true);
    this.#view.setUint32(place + 16, entry.block, true);
  }

  endTable(at: number): void {
    this.#seal(at);
  }

  /** Whether the block is a valid one of this table, at the place of `firstSlot`. */
  judgeTable(at: number, firstSlot: number): BlockVerdict {
    const verdict = this.#judge(at, TABLE);
    if (verdict !== 'ok') return verdict;
    return this.#view.getUint32(at + FIRST_SLOT_AT, true) === firstSlot ? 'ok' : 'damaged';
  }

  tableSequence(at: number): number {
    return getU48(this.#view, at + TABLE_SEQUENCE_AT);
  }

  /** Reads an entry of a block that was judged `ok` into `entry`. */
  getEntry(at: number, index: number, entry: TableEntry): void {
    const place = at + ENTRIES_AT + index * ENTRY_BYTES;
    entry.poolBlock = getU48(this.#view, place);
    entry.crc = this.#view.getUint32(place + 8, true);
    entry.space = this.#view.getUint32(place + 12, true);
    entry.block = this.#view.getUint32(place + 16, true);
  }

  #begin(at: number, frame: Frame): void {
    this.#bytes.fill(0, at, at + BLOCK_BYTES);
    beginFrame(this.#view, at, frame);
  }

  #seal(at: number): void {
    seal(this.#digest, this.#bytes, this.#view, at, BLOCK_BYTES);
  }

  #judge(at: number, frame: Frame): BlockVerdict {
    if (this.#view.getUint32(at, true) === 0) return 'empty';
    const damage = frameDamage(this.#digest, this.#bytes, this.#view, at, BLOCK_BYTES, frame);
    if (damage === null) return 'ok';
    return damage.newer ? 'newer version' : 'damaged';
  }
}
