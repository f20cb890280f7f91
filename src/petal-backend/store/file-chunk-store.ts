/**
 * What a Petal server keeps on its own disks: `log`, and `data-0` and on.
 *
 * ```
 * mutate -> row and slot given -> group of the intent log in RAM -> written, flushed
 *        -> tables of chunks and pairs say so, whoever waits hears of it
 *        -> later, many at once: data to their slots, pages of the tables, the log is freed
 * read   -> newest epoch that knows the block -> RAM if it is still there, else its slot, by CRC
 * ```
 * Promised: what is done was flushed in the log before. Mutations take effect in the order in which
 * they were begun, and a recovery finds a prefix of that order which ends not before the last that
 * was done. What waits for room waits in order (`#parked`); it is refused only when a disk fails,
 * or when there is no slot or row left, which trimming and `decommit` give back.
 *
 * Lazily durable are `commit` and `arrived` only: they change pages in RAM, which are written when
 * they are. A crash before that leaves a block dirty or missing that was not, never the reverse.
 *
 * Not done: rows are never given back, so 2 chunks can be known for each that has room; a slot
 * whose disk fails is not replaced.
 */
import { StorageError } from '../../base/errors.ts';
import { Fifo } from '../../base/fifo.ts';
import { invariant } from '../../base/invariant.ts';
import { type Nanos, PAGE_BYTES, type Term } from '../../base/units.ts';
import { DiskStatus, type World } from '../../world/world.ts';
import { type BlockVersion, CHUNK_BLOCKS, type DirtyBlock } from '../wire/messages.ts';
import { applyEntry } from './apply-entry.ts';
import { factsOf, UNKNOWN } from './block-facts.ts';
import { BlockReader } from './block-reader.ts';
import { hasRoomFor } from './chunk-room.ts';
import {
  type BlockFacts,
  type ChunkStore,
  type PairNote,
  type ScrubStep,
  type StoreMutation,
  type StorePlace,
  type StoreRead,
  type StoreStatistics,
  StoreStatus,
} from './chunk-store.ts';
import { ControlEntry } from './control-entry.ts';
import { BlockFlag } from './formats/chunk-page.ts';
import {
  decodeEntry,
  GROUP_ENTRIES_AT,
  hasData,
  IntentEntry,
  IntentOp,
} from './formats/intent-group.ts';
import type { EntryOwner, IntentGroup } from './intent-arena.ts';
import { IntentLog } from './intent-log.ts';
import { Later } from './later.ts';
import { fillEntry } from './mutation-entry.ts';
import { PlaceKeeper } from './place-keeper.ts';
import { Scrubber } from './scrubber.ts';
import { SLOT_BYTES, type StoreOptions } from './store-options.ts';
import { type RecoveredStore, recoverStore } from './store-recovery.ts';

const NONE = -1;
/** Rows that each call of `checkInvariants` looks at. */
const CHECKED_ROWS = 4;

/**
 * Settles when the store serves, under a new incarnation; one above `known` if something was lost.
 * Throws as `recoverStore`.
 */
export async function openChunkStore(
  world: World,
  options: StoreOptions,
  known = 0,
): Promise<FileChunkStore> {
  return new FileChunkStore(world, options, await recoverStore(world, options, known));
}

export class FileChunkStore implements ChunkStore {
  readonly incarnation: number;
  readonly intact: boolean;
  readonly losses: readonly string[];
  readonly #world: World;
  readonly #options: StoreOptions;
  readonly #recovered: RecoveredStore;
  readonly #log: IntentLog;
  readonly #keeper: PlaceKeeper;
  readonly #reader: BlockReader;
  readonly #later: Later;
  readonly #scrubber: Scrubber;
  readonly #parked = new Fifo<StoreMutation | ControlEntry>();
  readonly #entry = new IntentEntry();
  #roundDue = false;
  #checked = 0;
  #whenIdle: (() => void) | null = null;
  #isClosing = false;

  constructor(world: World, options: StoreOptions, recovered: RecoveredStore) {
    const { disks, table, superblock, sequence } = recovered;
    this.incarnation = superblock.incarnation;
    this.losses = recovered.losses;
    this.intact = recovered.losses.length === 0;
    this.#world = world;
    this.#options = options;
    this.#recovered = recovered;
    this.#later = new Later(world);
    const start = { ...superblock, nextSeq: superblock.replayFrom };
    this.#log = new IntentLog(world, options, disks.logGeometry, disks.log, start, {
      groupDurable: (group) => this.#groupDurable(group),
      groupFailed: (group) => this.#groupFailed(group),
      roomAgain: () => this.#unpark(),
      segmentsNeeded: () => this.#keeper.wake(),
    });
    this.#keeper = new PlaceKeeper(
      world,
      options.retryNs,
      disks,
      recovered,
      this.#log,
      { superblock, sequence },
      {
        roundEnded: () => this.#unpark(),
        thrown: (reason) => {
          this.#later.call(() => {
            throw reason;
          });
        },
      },
    );
    this.#reader = new BlockReader(world, disks, table, this.#log.arena, this.#later);
    this.#scrubber = new Scrubber(table, (read) => this.read(read));
  }

  hasRoom(place: StorePlace): boolean {
    return hasRoomFor(place, this.#recovered, () => this.decommit());
  }

  mutate(mutation: StoreMutation): void {
    const { block, blocks, op, data } = mutation;
    invariant((block % CHUNK_BLOCKS) + blocks <= CHUNK_BLOCKS, 'no mutation spans chunks');
    invariant(op !== IntentOp.writeIf || blocks === 1, 'a conditional write is of one block');
    const bytes = hasData(op) ? blocks * PAGE_BYTES : 0;
    invariant(data.length === bytes, 'a mutation has the data of its blocks');
    if (!this.#sumsHold(mutation)) this.#refuse(mutation, StoreStatus.ioError);
    else this.#submit(mutation);
  }

  read(read: StoreRead): void {
    const { block, blocks, data } = read;
    invariant((block % CHUNK_BLOCKS) + blocks <= CHUNK_BLOCKS, 'no read spans chunks');
    invariant(data.length === blocks * PAGE_BYTES, 'a read has room for its blocks');
    this.#reader.read(read);
  }

  facts(place: Omit<StorePlace, 'blocks'>): BlockFacts {
    const { table } = this.#recovered;
    const row = table.rowFor(this.#newest(place), place.epoch, place.block % CHUNK_BLOCKS);
    return row === NONE ? UNKNOWN : factsOf(table, row, place.block % CHUNK_BLOCKS);
  }

  commit(gmap: number, group: number, through: BlockVersion): void {
    const { table, pairs } = this.#recovered;
    const pair = pairs.find(gmap, group);
    if (pair === NONE) return;
    for (let row = table.dirty.first(pair); row !== NONE; ) {
      const next = table.dirty.next(row);
      for (let block = 0; block < CHUNK_BLOCKS; block++) {
        const isDirty = (table.flags(row, block) & BlockFlag.dirty) !== 0;
        if (isDirty && table.isUpTo(row, block, through.term, through.n)) {
          table.clearDirty(row, block);
        }
      }
      row = next;
    }
  }

  dirtyBlocks(gmap: number, group: number): readonly DirtyBlock[] {
    const { table, pairs } = this.#recovered;
    const found: DirtyBlock[] = [];
    const pair = pairs.find(gmap, group);
    if (pair === NONE) return found;
    for (let row = table.dirty.first(pair); row !== NONE; row = table.dirty.next(row)) {
      for (let block = 0; block < CHUNK_BLOCKS; block++) {
        const isDirty = (table.flags(row, block) & BlockFlag.dirty) !== 0;
        if (isDirty) found.push(this.#scrubber.nameOf(row, block));
      }
    }
    return found;
  }

  blocksOf(gmap: number, group: number): readonly DirtyBlock[] {
    return this.#scrubber.blocksOf(this.#recovered.pairs.find(gmap, group));
  }

  arrived(member: number, place: StorePlace, version: BlockVersion): void {
    const { table } = this.#recovered;
    const { gmap, group, vdisk, epoch } = place;
    const chunk = Math.floor(place.block / CHUNK_BLOCKS);
    const row = table.index.exact(gmap, group, vdisk, epoch, chunk);
    if (row === NONE) return;
    for (let i = 0; i < place.blocks; i++) {
      const block = (place.block % CHUNK_BLOCKS) + i;
      // Of a block of which nothing is known here, nothing is newer either.
      if (table.isUpTo(row, block, version.term, version.n)) table.clearMissing(row, block, member);
    }
  }

  missingOf(gmap: number, group: number, member: number, limit: number): readonly DirtyBlock[] {
    const { table, pairs } = this.#recovered;
    const found: DirtyBlock[] = [];
    const pair = pairs.find(gmap, group);
    if (pair === NONE) return found;
    for (let row = table.missing.first(pair); row !== NONE; row = table.missing.next(row)) {
      for (let block = 0; block < CHUNK_BLOCKS; block++) {
        if (found.length === limit) return found;
        if ((table.missingOf(row, block) & (1 << member)) === 0) continue;
        found.push(this.#scrubber.nameOf(row, block));
      }
    }
    return found;
  }

  async mark(
    gmap: number,
    group: number,
    member: number,
    blocks: readonly DirtyBlock[],
  ): Promise<void> {
    const marking = blocks.map(({ vdisk, epoch, block }) => {
      const place = { vdisk, epoch, block };
      return this.#control(new ControlEntry(IntentOp.mark, gmap, group, member, null, place));
    });
    await Promise.all(marking);
  }

  markAll(gmap: number, group: number, member: number): Promise<void> {
    return this.#control(new ControlEntry(IntentOp.markAll, gmap, group, member));
  }

  pairNote(gmap: number, group: number): PairNote {
    const { pairs } = this.#recovered;
    return pairs.note(pairs.find(gmap, group));
  }

  setPair(gmap: number, group: number, note: PairNote): Promise<void> {
    return this.#control(new ControlEntry(IntentOp.setPair, gmap, group, 0, note));
  }

  lastN(gmap: number, group: number, term: Term): number {
    const { pairs } = this.#recovered;
    return pairs.lastN(pairs.find(gmap, group), term);
  }

  decommit(): void {
    const { table, slots } = this.#recovered;
    for (const row of table.emptied) {
      // What is on its way keeps it, and is looked at next time.
      if (table.busy[row] !== 0) continue;
      table.emptied.delete(row);
      const slot = table.slotOf(row);
      if (slot === 0 || table.chunkHasData(row)) continue;
      slots.release(table.slotDiskOf(row), slot);
      table.setSlot(row, 0, 0);
    }
  }

  scrub(limit: number): Promise<ScrubStep> {
    return this.#scrubber.step(limit);
  }

  statistics(): StoreStatistics {
    const { table, slots } = this.#recovered;
    return {
      chunks: table.used,
      usedBytes: slots.used * SLOT_BYTES,
      freeBytes: slots.free * SLOT_BYTES,
      logBytes: this.#log.bytes,
      dirty: table.dirtyBlocks,
      missing: table.missingBlocks,
    };
  }

  checkInvariants(isFull = false): void {
    const { table, slots } = this.#recovered;
    let owners = 0;
    for (let i = 0; i < (isFull ? table.rows : CHECKED_ROWS); i++) {
      this.#checked = (this.#checked + 1) % table.rows;
      const row = this.#checked;
      const slot = table.slotOf(row);
      if (!table.isUsed(row)) {
        invariant(slot === 0, 'a row that is free has no slot');
        continue;
      }
      if (slot !== 0) owners++;
      const isOwner = slot === 0 || slots.ownerOf(table.slotDiskOf(row), slot) === row;
      invariant(isOwner || !this.intact, 'a slot is that of one chunk');
      for (let block = 0; block < CHUNK_BLOCKS; block++) {
        const holds = table.holdsData(row, block);
        invariant(!holds || slot !== 0, 'data have a slot');
        const inRam = table.inRam[row * CHUNK_BLOCKS + block] !== 0;
        invariant(holds || !inRam, 'what is not in its place yet is data');
      }
    }
    const addsUp = !isFull || !this.intact || owners === slots.used;
    invariant(addsUp, 'each slot that is not free is that of a chunk');
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#reader.close();
    if (!this.#log.isIdle || this.#parked.length > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await this.#keeper.settle();
    const { data, log } = this.#recovered.disks;
    for (const one of data) await one?.disk.close();
    await log.close();
  }

  #submit(what: StoreMutation | ControlEntry): void {
    if (this.#isClosing) return;
    if (this.#parked.length > 0 || !this.#begin(what)) this.#park(what);
  }

  #park(what: StoreMutation | ControlEntry): void {
    this.#parked.push(what);
    this.#keeper.wake();
    if (this.#keeper.failed !== DiskStatus.ok) this.#later.call(() => this.#unpark());
  }

  /** Goes on with what waits; refuses it while a disk fails. */
  #unpark(): void {
    for (;;) {
      const first = this.#parked.peek();
      if (first === undefined) break;
      if (!this.#begin(first)) {
        if (this.#keeper.failed === DiskStatus.ok) break;
        const isFull = this.#keeper.failed === DiskStatus.noSpace;
        this.#refuse(first, isFull ? StoreStatus.noSpace : StoreStatus.ioError);
      }
      this.#parked.shift();
    }
    if (this.#whenIdle === null || this.#parked.length > 0 || !this.#log.isIdle) return;
    this.#whenIdle();
    this.#whenIdle = null;
  }

  #refuse(owner: EntryOwner, status: StoreStatus): void {
    this.#later.call(() => owner.storeDone(status));
  }

  /** False: there is no room for it now. Else it is in the log, or refused. */
  #begin(what: StoreMutation | ControlEntry): boolean {
    if (this.#log.latched) {
      this.#refuse(what, StoreStatus.ioError);
      return true;
    }
    if (this.#recovered.pairs.findOrCreate(what.gmap, what.group) === NONE) {
      this.#refuse(what, StoreStatus.noSpace);
      return true;
    }
    return what instanceof ControlEntry ? this.#beginControl(what) : this.#beginMutation(what);
  }

  #beginControl(what: ControlEntry): boolean {
    const { table } = this.#recovered;
    const entry = this.#entry;
    what.fill(entry);
    if (what.op !== IntentOp.mark) return this.#log.append(entry, what) !== NONE;
    const row = this.#rowFor(entry);
    if (row === NONE) {
      this.#refuse(what, StoreStatus.noSpace);
      return true;
    }
    entry.rowDisk = table.diskOf(row);
    entry.row = table.numberOf(row);
    if (this.#log.append(entry, what) === NONE) return false;
    table.busy[row] = (table.busy[row] as number) + 1;
    return true;
  }

  #beginMutation(mutation: StoreMutation): boolean {
    const { table } = this.#recovered;
    const entry = this.#entry;
    fillEntry(entry, mutation);
    const row = this.#rowFor(entry);
    if (row === NONE || (hasData(entry.op) && !this.#hasSlot(row))) {
      this.#refuse(mutation, StoreStatus.noSpace);
      return true;
    }
    entry.rowDisk = table.diskOf(row);
    entry.row = table.numberOf(row);
    entry.slotDisk = table.slotDiskOf(row);
    entry.slot = hasData(entry.op) ? table.slotOf(row) : 0;
    const page = this.#log.append(entry, mutation);
    if (page === NONE) return false;
    this.#log.arena.bytes.set(mutation.data, page * PAGE_BYTES);
    table.busy[row] = (table.busy[row] as number) + 1;
    return true;
  }

  /** Row of the chunk in the entry's epoch; a new one if it has none; -1: there is none left. */
  #rowFor(entry: IntentEntry): number {
    const { table, pairs, disks } = this.#recovered;
    const { gmap, group, vdisk, epoch } = entry;
    const chunk = Math.floor(entry.block / CHUNK_BLOCKS);
    const known = table.index.exact(gmap, group, vdisk, epoch, chunk);
    if (known !== NONE) return known;
    for (let i = 0; i < disks.data.length; i++) {
      const row = table.freeRow((chunk + i) % disks.data.length);
      if (row === NONE) continue;
      table.create(row, entry, pairs.find(gmap, group));
      return row;
    }
    return NONE;
  }

  #hasSlot(row: number): boolean {
    const { table, slots } = this.#recovered;
    if (table.slotOf(row) !== 0) return true;
    if (slots.free === 0) this.decommit();
    if (!slots.take(row)) return false;
    table.setSlot(row, slots.disk, slots.slot);
    // If nothing comes of it, it is given back.
    table.emptied.add(row);
    return true;
  }

  #sumsHold({ op, blocks, crcs, data }: StoreMutation): boolean {
    if (!hasData(op)) return true;
    for (let i = 0; i < blocks; i++) {
      if (this.#world.digest.crc32(data, i * PAGE_BYTES, PAGE_BYTES) !== crcs[i]) return false;
    }
    return true;
  }

  async #control(entry: ControlEntry): Promise<void> {
    this.#submit(entry);
    const status = await entry.done;
    if (status === StoreStatus.ok) return;
    throw new StorageError('E_STORE_IO', `the store cannot keep what it is told: status ${status}`);
  }

  #groupDurable(group: IntentGroup): void {
    const { table, pairs } = this.#recovered;
    this.#forEachEntry(group, (entry, page) => {
      this.#leave(entry);
      const isApplied = applyEntry(table, pairs, entry, page);
      invariant(isApplied, 'what was begun has its place');
    });
    this.#keeper.add(group);
    const isWanted = this.#parked.length > 0 || this.#log.arena.isHalfFull || this.#log.isHalfFull;
    if (isWanted) this.#keeper.wake();
    else this.#wakeLater();
  }

  #groupFailed(group: IntentGroup): void {
    this.#forEachEntry(group, (entry) => this.#leave(entry));
  }

  #leave(entry: IntentEntry): void {
    if (entry.op === IntentOp.setPair || entry.op === IntentOp.markAll) return;
    const { table } = this.#recovered;
    const row = table.rowOf(entry.rowDisk, entry.row);
    table.busy[row] = (table.busy[row] as number) - 1;
  }

  #forEachEntry(group: IntentGroup, visit: (entry: IntentEntry, page: number) => void): void {
    const entry = this.#entry;
    let page = group.start + 1;
    for (let i = 0, at = GROUP_ENTRIES_AT; i < group.entries; i++) {
      at = decodeEntry(group.view, at, entry);
      visit(entry, page);
      if (hasData(entry.op)) page += entry.blocks;
    }
  }

  #wakeLater(): void {
    if (this.#roundDue) return;
    this.#roundDue = true;
    const { clock, timers } = this.#world;
    timers.at((clock.nowNs() + this.#options.applyDelayNs) as Nanos, () => {
      this.#roundDue = false;
      this.#keeper.wake();
    });
  }

  #newest({ gmap, group, vdisk, block }: Omit<StorePlace, 'blocks'>): number {
    const { index } = this.#recovered.table;
    return index.newest(gmap, group, vdisk, Math.floor(block / CHUNK_BLOCKS));
  }
}
