/**
 * Reads and writes what the clean slab's file says of its slots: the stories of its table.
 *
 * A checkpoint writes in this order:
 * ```
 * note the bindings -> write every marked table block -> flush -> write one superblock -> flush
 * ```
 * It runs beside the data path, now and then; nothing waits for it. What can be found after a crash
 * at any place of it:
 * - A table block that says an old thing of a slot. What the slot holds has another CRC than the
 *   block it is said to hold, and every read checks it: a miss.
 * - A table block that is torn. Its CRC is wrong and its slots are free.
 * - Links newer than the bindings. The bindings then name a root that is not the published one any
 *   more, because links change only after a publish: they are void.
 * - Links older than the bindings: never, because all that was marked when the bindings were noted
 *   is durable before they are. What voids links without marking them, a new key space, is safe
 *   too: no binding names the old number again.
 *
 * Key spaces must not be used twice, not even by a driver VM that died before its superblock was
 * durable. So a superblock reserves `SPACES_AHEAD` of them, opening writes one before any new
 * number is used, and skips as many again: the newest superblock may have been the one that is
 * damaged.
 *
 * Out of scope: a disk that acknowledges a flush and keeps an older table block can bring back
 * links that are wrong. Such a disk is outside of what the project promises for.
 */

import { sameBytes } from '../../base/formats/field-bytes.ts';
import type { SharedMemory } from '../../base/shared-memory.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import { diskCall, flushDisk } from '../../world/disk-story.ts';
import { type Disk, DiskStatus, type World } from '../../world/world.ts';
import {
  SlabFormat,
  type SlabSuperblock,
  SUPERBLOCKS,
  TABLE_SLOTS,
  type TableEntry,
  tableBlocksOf,
} from '../formats/slab-table.ts';
import type { SlabLinks } from './slab-links.ts';
import type { SlabSlots, TableMarks } from './slab-slots.ts';

const SPACES_AHEAD = 1024;
const SPACES_LIMIT = 2 ** 32 - 4 * SPACES_AHEAD;

/** What opening found. */
export interface SlabFinding {
  readonly superblock: SlabSuperblock;
  /** Superblocks that were written once and cannot be used. */
  readonly damagedSuperblocks: number;
}

/** Why a file is left alone, or what was found in it. */
export type SlabVerdict = SlabFinding | 'newer version' | 'read error' | 'write error';

export interface TableFileParts {
  readonly world: World;
  readonly disk: Disk;
  /** Byte address of a block of RAM that belongs to the table file alone. */
  readonly address: number;
}

/**
 * Reads both superblocks. The newest one that is valid counts; if it is of another store or another
 * number of slots, or if there is none, the file is laid out anew.
 */
export async function readSuperblocks(
  parts: TableFileParts,
  store: Uint8Array,
  slots: number,
): Promise<SlabVerdict> {
  const { world, disk, address } = parts;
  const { u8 } = world.memory;
  const format = new SlabFormat(u8, world.digest);
  let newest: SlabSuperblock | null = null;
  let damagedSuperblocks = 0;
  let unread = 0;
  for (let copy = 0; copy < SUPERBLOCKS; copy++) {
    const status = await diskCall(disk, 'read', copy * BLOCK_BYTES, u8, address, BLOCK_BYTES);
    if (status !== DiskStatus.ok) {
      unread++;
      continue;
    }
    const verdict = format.judgeSuperblock(address);
    if (verdict === 'newer version') return verdict;
    if (verdict === 'damaged') damagedSuperblocks++;
    if (verdict !== 'ok') continue;
    const found = format.decodeSuperblock(address);
    if (newest === null || found.sequence > newest.sequence) newest = found;
  }
  // What cannot be read now may be read later: a file is not laid out anew over it.
  if (newest === null && unread > 0) return 'read error';
  damagedSuperblocks += unread;
  const usable =
    newest !== null &&
    newest.slots === slots &&
    newest.spacesEnd < SPACES_LIMIT &&
    sameBytes(newest.store, store);
  if (usable && newest !== null) return { superblock: newest, damagedSuperblocks };
  const tablesEnd = (SUPERBLOCKS + tableBlocksOf(slots)) * BLOCK_BYTES;
  const zeroed = await diskCall(disk, 'zero', 0, u8, address, tablesEnd);
  if (zeroed !== DiskStatus.ok) return 'write error';
  const flushed = await flushDisk(disk);
  if (flushed !== DiskStatus.ok) return 'write error';
  return { superblock: blankSuperblock(store, slots), damagedSuperblocks };
}

/** Of a slab in which nothing is. */
export function blankSuperblock(store: Uint8Array, slots: number): SlabSuperblock {
  return { store, slots, sequence: 0, spacesEnd: 1, bindings: new Map() };
}

/** First key space that this life of the slab may use. */
export function firstSpaceAfter(superblock: SlabSuperblock): number {
  return superblock.spacesEnd + SPACES_AHEAD;
}

export class SlabTableFile {
  readonly #world: World;
  readonly #memory: SharedMemory;
  readonly #disk: Disk;
  readonly #address: number;
  readonly #format: SlabFormat;
  readonly #slots: SlabSlots;
  readonly #links: SlabLinks;
  readonly #marks: TableMarks;
  readonly #store: Uint8Array;
  readonly #entry: TableEntry = { poolBlock: 0, crc: 0, space: 0, block: 0 };
  #sequence: number;
  #damagedBlocks = 0;
  #blocksWritten = 0;

  constructor(
    parts: TableFileParts,
    superblock: SlabSuperblock,
    slots: SlabSlots,
    links: SlabLinks,
    marks: TableMarks,
  ) {
    this.#world = parts.world;
    this.#memory = parts.world.memory;
    this.#disk = parts.disk;
    this.#address = parts.address;
    this.#format = new SlabFormat(this.#memory.u8, parts.world.digest);
    this.#slots = slots;
    this.#links = links;
    this.#marks = marks;
    this.#store = superblock.store;
    this.#sequence = superblock.sequence;
  }

  /** Table blocks that were written once and could not be used when the slab was opened. */
  get damagedBlocks(): number {
    return this.#damagedBlocks;
  }

  get blocksWritten(): number {
    return this.#blocksWritten;
  }

  /**
   * Fills slots and links from the table, and makes all other slots free. `address`: of RAM for
   * `blocks` blocks, the slab's own.
   */
  async load(address: number, blocks: number): Promise<DiskStatus> {
    // From the end, so that the free slot that is used first is the first one.
    for (let end = tableBlocksOf(this.#slots.count); end > 0; ) {
      const count = Math.min(blocks, end);
      const first = end - count;
      end = first;
      const status = await this.#do('read', address, SUPERBLOCKS + first, count);
      for (let i = count - 1; i >= 0; i--) {
        if (status === DiskStatus.ok) this.#loadBlock(address + i * BLOCK_BYTES, first + i);
        // One bad sector must not cost the whole chunk.
        else await this.#loadAlone(address, first + i);
      }
    }
    return this.#writeSuperblock();
  }

  /** Makes the file say what is true now. The first failure ends it, and is told. */
  async checkpoint(): Promise<DiskStatus> {
    const bindings = new Map(this.#links.bindings);
    this.#world.crashPoint('slab.before-table');
    for (let at = 0; at < this.#marks.tableBlocks; at++) {
      if (!this.#marks.take(at)) continue;
      this.#encode(at);
      const status = await this.#do('write', this.#address, SUPERBLOCKS + at, 1);
      if (status !== DiskStatus.ok) return status;
      this.#blocksWritten++;
    }
    const flushed = await flushDisk(this.#disk);
    if (flushed !== DiskStatus.ok) return flushed;
    this.#world.crashPoint('slab.before-superblock');
    return this.#writeSuperblock(bindings);
  }

  async #writeSuperblock(
    bindings: SlabSuperblock['bindings'] = this.#links.bindings,
  ): Promise<DiskStatus> {
    const { spaces } = this.#links;
    const spacesEnd = Math.min(2 ** 32, spaces.next + SPACES_AHEAD);
    const sequence = ++this.#sequence;
    const superblock = {
      store: this.#store,
      slots: this.#slots.count,
      sequence,
      spacesEnd,
      bindings,
    };
    this.#format.encodeSuperblock(this.#address, superblock);
    const written = await this.#do('write', this.#address, sequence % SUPERBLOCKS, 1);
    if (written !== DiskStatus.ok) return written;
    const flushed = await flushDisk(this.#disk);
    if (flushed === DiskStatus.ok) spaces.extend(spacesEnd);
    return flushed;
  }

  async #loadAlone(address: number, tableBlock: number): Promise<void> {
    const status = await this.#do('read', address, SUPERBLOCKS + tableBlock, 1);
    if (status === DiskStatus.ok) return this.#loadBlock(address, tableBlock);
    this.#damagedBlocks++;
    this.#loadNothing(tableBlock);
  }

  #loadBlock(address: number, tableBlock: number): void {
    const firstSlot = tableBlock * TABLE_SLOTS;
    const verdict = this.#format.judgeTable(address, firstSlot);
    if (verdict !== 'ok') {
      if (verdict !== 'empty') this.#damagedBlocks++;
      return this.#loadNothing(tableBlock);
    }
    const count = Math.min(TABLE_SLOTS, this.#slots.count - firstSlot);
    for (let i = count - 1; i >= 0; i--) {
      this.#format.getEntry(address, i, this.#entry);
      this.#loadEntry(firstSlot + i, this.#entry);
    }
  }

  #loadEntry(slot: number, entry: TableEntry): void {
    const { poolBlock, crc, space, block } = entry;
    if (poolBlock === 0 || !this.#slots.restore(slot, poolBlock, crc)) {
      return this.#slots.release(slot);
    }
    if (space !== 0) {
      this.#slots.setLink(slot, this.#links.setIn(space, block, poolBlock, crc));
    }
  }

  #loadNothing(tableBlock: number): void {
    const firstSlot = tableBlock * TABLE_SLOTS;
    const end = Math.min(firstSlot + TABLE_SLOTS, this.#slots.count);
    for (let slot = end - 1; slot >= firstSlot; slot--) this.#slots.release(slot);
  }

  #encode(tableBlock: number): void {
    const firstSlot = tableBlock * TABLE_SLOTS;
    const count = Math.min(TABLE_SLOTS, this.#slots.count - firstSlot);
    this.#format.beginTable(this.#address, firstSlot, this.#sequence + 1);
    for (let i = 0; i < count; i++) {
      const slot = firstSlot + i;
      if (!this.#slots.isClean(slot)) continue;
      const entry = this.#entry;
      entry.poolBlock = this.#slots.blockOf(slot);
      entry.crc = this.#slots.crcOf(slot);
      const link = this.#slots.linkOf(slot);
      const linked = link >= 0 && this.#links.leadsTo(link, entry.poolBlock, entry.crc);
      entry.space = linked ? this.#links.spaceOf(link) : 0;
      entry.block = linked ? this.#links.vdiBlockOf(link) : 0;
      this.#format.setEntry(this.#address, i, entry);
    }
    this.#format.endTable(this.#address);
  }

  #do(what: 'read' | 'write', address: number, block: number, blocks: number): Promise<DiskStatus> {
    const { u8 } = this.#memory;
    const position = block * BLOCK_BYTES;
    return diskCall(this.#disk, what, position, u8, address, blocks * BLOCK_BYTES);
  }
}
