/**
 * What the store knows of chunks and blocks, in RAM as it lies on the disks: the pages themselves,
 * with typed arrays beside them for what need not be kept.
 *
 * Only what is durable in the log enters a row's blocks (`apply`), so a page may be written at any
 * time. A row that was given to a chunk whose first mutation is still on its way knows no block:
 * such a row hides nothing and costs a row at a crash, nothing else.
 *
 * A chunk owns its slot only while it has data: after a recovery the slot of a chunk without any is
 * forgotten, so giving slots back (`takeSlot`) need not be logged.
 *
 * What may be forgotten by a crash is what `clearDirty` and `clearMissing` do: it is written when
 * the page happens to be. All else is in the log before it is here.
 */
import { getU48, setU48 } from '../../base/formats/field-bytes.ts';
import { invariant } from '../../base/invariant.ts';
import { PAGE_BYTES } from '../../base/units.ts';
import { CHUNK_BLOCKS } from '../wire/messages.ts';
import { ChunkIndex } from './chunk-index.ts';
import {
  BlockField,
  BlockFlag,
  blockRowAt,
  CHUNKS_PER_PAGE,
  ChunkField,
  chunkRowAt,
} from './formats/chunk-page.ts';
import { hasData, type IntentEntry, IntentOp } from './formats/intent-group.ts';
import { RecordList } from './record-list.ts';

const NONE = -1;

export class ChunkTable {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly index: ChunkIndex;
  readonly rows: number;
  /** First page of each disk in `bytes`, and the end of the last one's. */
  readonly firstPage: readonly number[];
  /** Per block: page of the arena that holds its data, plus one; 0: they are in their slot. */
  readonly inRam: Int32Array;
  /** Mutations and reads of each chunk that are on their way. */
  readonly busy: Uint32Array;
  readonly pairOf: Uint16Array;
  /** Chunks that may have lost their last data: their slots can perhaps be given back. */
  readonly emptied: Set<number> = new Set();
  readonly dirty: RecordList;
  readonly missing: RecordList;
  /** Per chunk: blocks that are dirty, and that a member lacks. */
  readonly #dirtyMask: Uint16Array;
  readonly #missingMask: Uint16Array;
  readonly #pageDirty: Uint8Array;
  #dirtyPages: number[] = [];
  readonly #nextRow: number[];
  /** Of each disk: no row from here on is in use. */
  readonly #usedEnd: number[];
  #used = 0;
  dirtyBlocks = 0;
  missingBlocks = 0;

  constructor(pagesOfDisks: readonly number[], pairs: number) {
    const firstPage = [0];
    for (const pages of pagesOfDisks) firstPage.push((firstPage.at(-1) as number) + pages);
    this.firstPage = firstPage;
    const pages = firstPage.at(-1) as number;
    this.rows = pages * CHUNKS_PER_PAGE;
    this.bytes = new Uint8Array(pages * PAGE_BYTES);
    this.view = new DataView(this.bytes.buffer);
    this.index = new ChunkIndex(this.view, this.rows);
    this.inRam = new Int32Array(this.rows * CHUNK_BLOCKS);
    this.busy = new Uint32Array(this.rows);
    this.pairOf = new Uint16Array(this.rows);
    this.dirty = new RecordList(pairs, this.rows);
    this.missing = new RecordList(pairs, this.rows);
    this.#dirtyMask = new Uint16Array(this.rows);
    this.#missingMask = new Uint16Array(this.rows);
    this.#pageDirty = new Uint8Array(pages);
    this.#nextRow = pagesOfDisks.map(() => 0);
    this.#usedEnd = firstPage.slice(0, -1).map((page) => page * CHUNKS_PER_PAGE);
  }

  get used(): number {
    return this.#used;
  }

  diskOf(row: number): number {
    const page = Math.floor(row / CHUNKS_PER_PAGE);
    let disk = 0;
    while (page >= (this.firstPage[disk + 1] as number)) disk++;
    return disk;
  }

  /** Number of the row on its disk. */
  numberOf(row: number): number {
    return row - (this.firstPage[this.diskOf(row)] as number) * CHUNKS_PER_PAGE;
  }

  /** The row with that number on that disk, or -1. */
  rowOf(disk: number, number: number): number {
    const first = this.firstPage[disk];
    const end = this.firstPage[disk + 1];
    if (first === undefined || end === undefined) return NONE;
    return number < (end - first) * CHUNKS_PER_PAGE ? first * CHUNKS_PER_PAGE + number : NONE;
  }

  isUsed(row: number): boolean {
    return this.view.getUint16(chunkRowAt(row) + ChunkField.state, true) === 1;
  }

  /** The first linked row from `row` on, or the number of rows. Rows without end are free. */
  nextUsed(row: number): number {
    for (const [disk, page] of this.firstPage.entries()) {
      const end = this.#usedEnd[disk] ?? 0;
      let at = Math.max(row, page * CHUNKS_PER_PAGE);
      while (at < end && !this.isUsed(at)) at++;
      if (at < end) return at;
    }
    return this.rows;
  }

  /** A free row of the disk, or -1. */
  freeRow(disk: number): number {
    for (;;) {
      const row = this.rowOf(disk, this.#nextRow[disk] as number);
      if (row === NONE || !this.isUsed(row)) return row;
      this.#nextRow[disk] = (this.#nextRow[disk] as number) + 1;
    }
  }

  /** Whether any disk has one. */
  hasFreeRow(): boolean {
    return this.#nextRow.some((_, disk) => this.freeRow(disk) !== NONE);
  }

  /** Gives a free row to the chunk that `entry` names. */
  create(row: number, entry: IntentEntry, pair: number): void {
    const { view } = this;
    const at = chunkRowAt(row);
    view.setUint32(at + ChunkField.gmap, entry.gmap, true);
    view.setUint32(at + ChunkField.group, entry.group, true);
    view.setUint32(at + ChunkField.vdisk, entry.vdisk, true);
    view.setUint32(at + ChunkField.epoch, entry.epoch, true);
    view.setUint32(at + ChunkField.chunk, Math.floor(entry.block / CHUNK_BLOCKS), true);
    view.setUint16(at + ChunkField.state, 1, true);
    this.touch(row);
    invariant(this.link(row, pair), 'a chunk has one row in an epoch');
  }

  /** Makes a row that is in use known. False: its chunk and epoch have one already. */
  link(row: number, pair: number): boolean {
    if (!this.index.add(row)) return false;
    const disk = this.diskOf(row);
    this.#usedEnd[disk] = Math.max(this.#usedEnd[disk] as number, row + 1);
    this.#used++;
    this.pairOf[row] = pair;
    for (let block = 0; block < CHUNK_BLOCKS; block++) this.#list(row, block);
    return true;
  }

  /** Row of the newest epoch up to `epoch` in which the block was mutated, or -1. */
  rowFor(newest: number, epoch: number, block: number): number {
    let row = newest;
    while (row !== NONE && (this.index.epochOf(row) > epoch || !this.isKnown(row, block))) {
      row = this.index.older(row);
    }
    return row;
  }

  flags(row: number, block: number): number {
    return this.view.getUint8(blockRowAt(row, block) + BlockField.flags);
  }

  isKnown(row: number, block: number): boolean {
    return (this.flags(row, block) & BlockFlag.known) !== 0;
  }

  holdsData(row: number, block: number): boolean {
    return (this.flags(row, block) & BlockFlag.hasData) !== 0;
  }

  isLost(row: number, block: number): boolean {
    return (this.flags(row, block) & BlockFlag.lost) !== 0;
  }

  missingOf(row: number, block: number): number {
    return this.view.getUint8(blockRowAt(row, block) + BlockField.missing);
  }

  crcOf(row: number, block: number): number {
    return this.view.getUint32(blockRowAt(row, block) + BlockField.crc, true);
  }

  /** Slot plus one; 0: it has none. */
  slotOf(row: number): number {
    return this.view.getUint32(chunkRowAt(row) + ChunkField.slot, true);
  }

  slotDiskOf(row: number): number {
    return this.view.getUint16(chunkRowAt(row) + ChunkField.disk, true);
  }

  setSlot(row: number, disk: number, slot: number): void {
    this.view.setUint16(chunkRowAt(row) + ChunkField.disk, disk, true);
    this.view.setUint32(chunkRowAt(row) + ChunkField.slot, slot, true);
    this.touch(row);
  }

  chunkHasData(row: number): boolean {
    for (let block = 0; block < CHUNK_BLOCKS; block++) if (this.holdsData(row, block)) return true;
    return false;
  }

  /** The version of the block is at most this one. */
  isUpTo(row: number, block: number, term: number, n: number): boolean {
    const at = blockRowAt(row, block);
    const own = this.view.getUint32(at + BlockField.term, true);
    return own < term || (own === term && getU48(this.view, at + BlockField.n) <= n);
  }

  /** What an entry, which is durable, says of its blocks. `page`: where the arena has its data. */
  apply(row: number, entry: IntentEntry, page: number): void {
    const { view } = this;
    const first = entry.block % CHUNK_BLOCKS;
    const withData = hasData(entry.op);
    if (withData) this.setSlot(row, entry.slotDisk, entry.slot);
    else this.emptied.add(row);
    for (let i = 0; i < entry.blocks; i++) {
      const block = first + i;
      const at = blockRowAt(row, block);
      const isConditional = entry.op === IntentOp.writeIf || entry.op === IntentOp.lose;
      if (isConditional) setU48(view, at + BlockField.conditional, entry.conditional);
      else if (!this.isKnown(row, block)) this.#inheritConditional(row, block);
      view.setUint32(at + BlockField.term, entry.term, true);
      setU48(view, at + BlockField.n, entry.n);
      view.setUint32(at + BlockField.crc, withData ? (entry.words[i] as number) : 0, true);
      view.setUint32(at + BlockField.session, entry.session, true);
      setU48(view, at + BlockField.seq, entry.seq);
      const data = withData ? BlockFlag.hasData : 0;
      const dirty = entry.dirty ? BlockFlag.dirty : 0;
      const lost = entry.op === IntentOp.lose ? BlockFlag.lost : 0;
      view.setUint8(at + BlockField.flags, BlockFlag.known | data | dirty | lost);
      view.setUint8(at + BlockField.missing, entry.missing);
      this.inRam[row * CHUNK_BLOCKS + block] = withData && page >= 0 ? page + i + 1 : 0;
      this.#list(row, block);
    }
    this.touch(row);
  }

  /** A member lacks all that is known of the chunk. */
  markAll(row: number, member: number): void {
    for (let block = 0; block < CHUNK_BLOCKS; block++) {
      if (this.isKnown(row, block)) {
        this.#setMissing(row, block, this.missingOf(row, block) | (1 << member));
      }
    }
  }

  /** A member lacks these blocks, whether anything is known of them or not. */
  mark(row: number, first: number, blocks: number, member: number): void {
    for (let block = first; block < first + blocks; block++) {
      this.#setMissing(row, block, this.missingOf(row, block) | (1 << member));
    }
  }

  clearDirty(row: number, block: number): void {
    const at = blockRowAt(row, block) + BlockField.flags;
    this.view.setUint8(at, this.view.getUint8(at) & ~BlockFlag.dirty);
    this.#list(row, block);
    this.touch(row);
  }

  clearMissing(row: number, block: number, member: number): void {
    this.#setMissing(row, block, this.missingOf(row, block) & ~(1 << member));
  }

  touch(row: number): void {
    const page = Math.floor(row / CHUNKS_PER_PAGE);
    if (this.#pageDirty[page] === 1) return;
    this.#pageDirty[page] = 1;
    this.#dirtyPages.push(page);
  }

  /** Pages that have changed since they were last taken. */
  takeDirtyPages(): number[] {
    const pages = this.#dirtyPages;
    for (const page of pages) this.#pageDirty[page] = 0;
    this.#dirtyPages = [];
    return pages;
  }

  get hasDirtyPages(): boolean {
    return this.#dirtyPages.length > 0;
  }

  /** Those that could not be written. */
  giveBackPages(pages: readonly number[]): void {
    for (const page of pages) this.touch(page * CHUNKS_PER_PAGE);
  }

  #setMissing(row: number, block: number, mask: number): void {
    this.view.setUint8(blockRowAt(row, block) + BlockField.missing, mask);
    this.#list(row, block);
    this.touch(row);
  }

  #inheritConditional(row: number, block: number): void {
    const from = this.rowFor(this.index.older(row), this.index.epochOf(row), block);
    const version = from === NONE ? 0 : this.conditionalOf(from, block);
    setU48(this.view, blockRowAt(row, block) + BlockField.conditional, version);
  }

  conditionalOf(row: number, block: number): number {
    return getU48(this.view, blockRowAt(row, block) + BlockField.conditional);
  }

  /** Brings the lists up to what the block's row says. */
  #list(row: number, block: number): void {
    const bit = 1 << block;
    const pair = this.pairOf[row] as number;
    const wasDirty = this.#dirtyMask[row] as number;
    const wasMissing = this.#missingMask[row] as number;
    const dirty =
      (this.flags(row, block) & BlockFlag.dirty) === 0 ? wasDirty & ~bit : wasDirty | bit;
    const missing = this.missingOf(row, block) === 0 ? wasMissing & ~bit : wasMissing | bit;
    if (dirty !== wasDirty) {
      this.#dirtyMask[row] = dirty;
      this.dirtyBlocks += dirty > wasDirty ? 1 : -1;
      if (wasDirty === 0) this.dirty.add(pair, row);
      if (dirty === 0) this.dirty.remove(pair, row);
    }
    if (missing !== wasMissing) {
      this.#missingMask[row] = missing;
      this.missingBlocks += missing > wasMissing ? 1 : -1;
      if (wasMissing === 0) this.missing.add(pair, row);
      if (missing === 0) this.missing.remove(pair, row);
    }
  }
}
