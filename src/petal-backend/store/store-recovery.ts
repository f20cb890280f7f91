/**
 * Opens a store: what its disks have, brought to one state, under a new incarnation.
 *
 * In this order, each step durable before the next: 1. all disks are flushed, superblocks and pages
 * are read, and the log is replayed over them: tables in RAM, data into
 *    their slots; the data disks are flushed;
 * 2. if anything that once was there is not, the log's superblock says so (`broken`): whatever
 *    becomes of the evidence in the next steps, this and every later start know it until one ends;
 * 3. disks that are new are laid out; the notes of all pairs are forgotten if something was lost;
 * 4. pages that changed, or of which one copy was in doubt, are written;
 * 5. the superblocks get the new incarnation, those of the data disks first, and at last that of
 *    the log, which ends the old life of the log: none of its groups will be replayed again.
 *
 * Promised: the incarnation is higher than that of every earlier start that ended, if one disk of
 * that time is left. A crash anywhere in here leaves what a crash before it would have left.
 */
import { getU48 } from '../../base/formats/field-bytes.ts';
import { viewOf } from '../../base/formats/sealed.ts';
import { PAGE_BYTES } from '../../base/units.ts';
import { diskCall, flushDisk } from '../../world/disk-story.ts';
import { type Disk, DiskStatus, type World } from '../../world/world.ts';
import { CHUNK_BLOCKS } from '../wire/messages.ts';
import { applyEntry } from './apply-entry.ts';
import { ChunkTable } from './chunk-table.ts';
import {
  CHUNK_PAGE_DURABLE_AT,
  CHUNKS_PER_PAGE,
  ChunkField,
  chunkRowAt,
} from './formats/chunk-page.ts';
import {
  decodeEntry,
  GROUP_ENTRIES_AT,
  hasData,
  IntentEntry,
  type IntentHeader,
  PAIR_MEMBERS,
} from './formats/intent-group.ts';
import { StoreDiskKind, type StoreSuperblock } from './formats/store-superblock.ts';
import { IntentScan } from './intent-scan.ts';
import { type MirroredPages, type MirroredPart, writeMirrored } from './mirrored-pages.ts';
import { PairTable } from './pair-table.ts';
import { blockPosition, ChangedPages, PageSequence, superblockPart } from './place-keeper.ts';
import { Slots } from './slots.ts';
import { newerError, type OpenedDisks, openStoreDisks, storeIoError } from './store-disks.ts';
import { checkOptions, LOG_DISK, type StoreOptions } from './store-options.ts';

const ZERO_PAGES = 64;

/** A store as its disks have it, under its new incarnation. */
export interface RecoveredStore {
  readonly disks: OpenedDisks;
  readonly table: ChunkTable;
  readonly pairs: PairTable;
  readonly slots: Slots;
  readonly superblock: StoreSuperblock;
  readonly sequence: PageSequence;
  readonly replayedGroups: number;
  /** What was lost or damaged, as sentences; none: the store is intact. */
  readonly losses: readonly string[];
}

/**
 * Throws as `openStoreDisks`, and `StorageError` E_STORE_IO if a disk fails meanwhile. A store that
 * has lost something has perhaps lost its number too: its next one is above `known`, which others
 * have seen.
 */
export async function recoverStore(
  world: World,
  options: StoreOptions,
  known: number,
): Promise<RecoveredStore> {
  checkOptions(options);
  return new StoreRecovery(world, options, known, await openStoreDisks(world, options)).run();
}

class StoreRecovery {
  readonly #world: World;
  readonly #options: StoreOptions;
  readonly #known: number;
  readonly #disks: OpenedDisks;
  readonly #table: ChunkTable;
  readonly #pairs: PairTable;
  readonly #slots: Slots;
  readonly #losses: string[];
  readonly #entry = new IntentEntry();
  #sequence: PageSequence;
  #highestSequence: number;
  #durableSeq = 0;
  #lastSeq = 0;
  #replayed = 0;
  #namesNoPlace = false;

  constructor(world: World, options: StoreOptions, known: number, disks: OpenedDisks) {
    this.#world = world;
    this.#options = options;
    this.#known = known;
    this.#disks = disks;
    this.#pairs = new PairTable(options.pairPages);
    const pages = disks.geometries.map((geometry) => geometry?.pages ?? 0);
    this.#table = new ChunkTable(pages, this.#pairs.capacity);
    this.#slots = new Slots(disks.geometries.map((geometry) => geometry?.slots ?? 0));
    this.#losses = [...disks.losses];
    this.#highestSequence = disks.sequence;
    this.#sequence = new PageSequence(disks.sequence);
    if (disks.logSuperblockFound?.broken === true) {
      this.#losses.push('something was lost, and the start that found it did not end');
    }
  }

  async run(): Promise<RecoveredStore> {
    await this.#flushAll();
    await this.#loadPages();
    this.#sequence = new PageSequence(this.#highestSequence);
    this.#link();
    await this.#replay();
    if (this.#options.plantedBug === 'volatile-marks') this.#forgetMarks();
    this.#claimSlots();
    this.#world.crashPoint('store.after-replay');
    const superblock = this.#nextSuperblock();
    if (this.#losses.length > 0) await this.#sayBroken(superblock);
    await this.#layOut();
    if (this.#losses.length > 0) this.#pairs.forgetNotes();
    await this.#writePages();
    await this.#writeSuperblocks(superblock);
    for (const loss of this.#losses) this.#world.log.note(`the store lost something: ${loss}`);
    return {
      disks: this.#disks,
      table: this.#table,
      pairs: this.#pairs,
      slots: this.#slots,
      superblock,
      sequence: this.#sequence,
      replayedGroups: this.#replayed,
      losses: this.#losses,
    };
  }

  #forgetMarks(): void {
    const table = this.#table;
    for (let row = 0; row < table.rows; row++) {
      for (let block = 0; block < CHUNK_BLOCKS; block++) {
        for (let member = 0; member < PAIR_MEMBERS; member++)
          table.clearMissing(row, block, member);
      }
    }
  }

  /**
   * What a killed life left in the page cache can be read, and lost later: not once it was read.
   */
  async #flushAll(): Promise<void> {
    check(await flushDisk(this.#disks.log), this.#disks.log);
    for (const data of this.#disks.data) {
      if (data !== null) check(await flushDisk(data.disk), data.disk);
    }
  }

  async #loadPages(): Promise<void> {
    for (const [disk, data] of this.#disks.data.entries()) {
      if (data === null || this.#disks.blank.includes(disk)) continue;
      const offset = (this.#table.firstPage[disk] as number) * PAGE_BYTES;
      await this.#load(data.pages, this.#table.bytes, offset);
      for (let page = 0; page < data.pages.place.count; page++) {
        this.#vouch(this.#table.bytes, offset + page * PAGE_BYTES + CHUNK_PAGE_DURABLE_AT);
        if (data.pages.suspect[page] === 0) continue;
        this.#table.touch(((this.#table.firstPage[disk] as number) + page) * CHUNKS_PER_PAGE);
      }
    }
    const { pairPages } = this.#disks;
    await this.#load(pairPages, this.#pairs.bytes, 0);
    for (let page = 0; page < pairPages.place.count; page++) {
      this.#vouch(this.#pairs.bytes, page * PAGE_BYTES + CHUNK_PAGE_DURABLE_AT);
      if (pairPages.suspect[page] !== 0) this.#pairs.giveBackPages([page]);
    }
  }

  async #load(pages: MirroredPages, bytes: Uint8Array, offset: number): Promise<void> {
    const { lost, newer, sequence } = await pages.load(this.#world, bytes, offset);
    const { name } = pages.place.disk;
    if (newer !== null) throw newerError(name, newer);
    this.#highestSequence = Math.max(this.#highestSequence, sequence);
    for (const { page, problem } of lost) {
      const [one, other] = pages.place.copies.map((copy) => copy + page * PAGE_BYTES);
      this.#losses.push(`${name}: both copies of a page, at ${one} and ${other}: ${problem}`);
    }
  }

  /** A page says up to where the log was durable when it was written. */
  #vouch(bytes: Uint8Array, at: number): void {
    this.#durableSeq = Math.max(this.#durableSeq, getU48(viewOf(bytes), at));
  }

  #link(): void {
    const { view } = this.#table;
    this.#pairs.link();
    for (let row = 0; row < this.#table.rows; row++) {
      if (!this.#table.isUsed(row)) continue;
      const at = chunkRowAt(row);
      const gmap = view.getUint32(at + ChunkField.gmap, true);
      const pair = this.#pairs.findOrCreate(gmap, view.getUint32(at + ChunkField.group, true));
      if (pair < 0 || !this.#table.link(row, pair)) this.#losses.push(`row ${row} has no place`);
    }
  }

  async #replay(): Promise<void> {
    const { log, logGeometry, logSuperblockFound: superblock } = this.#disks;
    // Numbers of groups go on where the pages say that a log once was.
    this.#lastSeq = this.#durableSeq;
    if (superblock === null) return;
    const scan = new IntentScan(this.#world, log, logGeometry, superblock);
    await scan.run(this.#durableSeq, (group, header) => this.#replayGroup(group, header));
    if (this.#namesNoPlace) this.#losses.push(`${LOG_DISK} names places that are not there`);
    if (scan.damage !== null) this.#losses.push(`${LOG_DISK}: ${scan.damage}`);
    this.#lastSeq = scan.lastSeq;
    this.#durableSeq = Math.max(this.#durableSeq, scan.endSeq);
    this.#replayed = scan.replayed;
    for (const data of this.#disks.data) {
      if (data !== null && scan.replayed > 0) check(await flushDisk(data.disk), data.disk);
    }
  }

  async #replayGroup(group: Uint8Array, header: IntentHeader): Promise<void> {
    const view = viewOf(group);
    const entry = this.#entry;
    let page = 1;
    for (let i = 0, at = GROUP_ENTRIES_AT; i < header.entries; i++) {
      at = decodeEntry(view, at, entry);
      const isApplied = applyEntry(this.#table, this.#pairs, entry, -1);
      if (!isApplied) this.#namesNoPlace = true;
      if (!hasData(entry.op)) continue;
      const data = this.#disks.data[entry.slotDisk];
      if (data !== undefined && data !== null && isApplied) {
        const position = blockPosition(data, entry.slot, entry.block % CHUNK_BLOCKS);
        const [from, length] = [page * PAGE_BYTES, entry.blocks * PAGE_BYTES];
        // Two entries of a group may be of one block: one after the other.
        check(await diskCall(data.disk, 'write', position, group, from, length), data.disk);
      }
      page += entry.blocks;
    }
  }

  /** A chunk has a slot as long as it has data; two chunks never have one. */
  #claimSlots(): void {
    const table = this.#table;
    for (let row = 0; row < table.rows; row++) {
      const slot = table.isUsed(row) ? table.slotOf(row) : 0;
      if (slot === 0) continue;
      const disk = table.slotDiskOf(row);
      if (!table.chunkHasData(row)) table.setSlot(row, 0, 0);
      else if ((this.#disks.data[disk] ?? null) !== null && !this.#slots.claim(disk, slot, row)) {
        this.#losses.push(`slot ${slot - 1} of disk ${disk} is that of two chunks`);
      }
    }
    table.emptied.clear();
  }

  #nextSuperblock(): StoreSuperblock {
    const { segmentBytes, pairPages, server } = this.#options;
    const { dataDisks, incarnation, log, logSuperblockFound } = this.#disks;
    const last = this.#losses.length > 0 ? Math.max(incarnation, this.#known) : incarnation;
    return {
      kind: StoreDiskKind.log,
      server,
      dataDisks,
      incarnation: last + 1,
      sizeBytes: logSuperblockFound?.sizeBytes ?? log.sizeBytes,
      broken: false,
      salt: this.#world.random.nextU32(),
      replayFrom: this.#lastSeq + 1,
      durableSeq: this.#lastSeq,
      segmentBytes,
      pairPages,
      beforeCrc: 0,
    };
  }

  async #sayBroken(next: StoreSuperblock): Promise<void> {
    const { logSuperblockFound: found, logSuperblock, incarnation } = this.#disks;
    const said = { ...(found ?? { ...next, incarnation }), broken: true };
    await this.#write([superblockPart(logSuperblock, said)]);
    this.#world.crashPoint('store.after-broken');
  }

  /** Zeros where superblocks and pages of new disks, and groups of a new log, are going to be. */
  async #layOut(): Promise<void> {
    for (const disk of this.#disks.blank) {
      const data = this.#disks.data[disk] ?? null;
      if (data === null) continue;
      await zero(data.disk, data.pages.place.copies[0], data.slotsAt);
    }
    const { log, logGeometry, logSuperblockFound } = this.#disks;
    // Written, not only zeroed: a log must not need space of its host when it is needed.
    if (logSuperblockFound === null) await zero(log, logGeometry.segmentsAt, log.sizeBytes);
  }

  async #writePages(): Promise<void> {
    // Of a torn tail nothing may say that it was durable, as long as it is looked at by a start.
    const durableSeq = this.#durableSeq;
    const changed = new ChangedPages(this.#disks, this.#table, this.#pairs, () => durableSeq);
    await this.#write(changed.parts);
  }

  async #writeSuperblocks(superblock: StoreSuperblock): Promise<void> {
    const parts: MirroredPart[] = [];
    for (const data of this.#disks.data) {
      if (data === null) continue;
      const own = { ...superblock, ...NO_LOG, sizeBytes: data.sizeBytes };
      parts.push(superblockPart(data.superblock, own));
    }
    await this.#write(parts);
    this.#world.crashPoint('store.after-data-superblocks');
    await this.#write([superblockPart(this.#disks.logSuperblock, superblock)]);
    this.#world.crashPoint('store.after-incarnation');
  }

  async #write(parts: readonly MirroredPart[]): Promise<void> {
    const status = await writeMirrored(this.#world, parts, this.#sequence.next);
    if (status !== DiskStatus.ok) throw storeIoError(`a page was not written, status ${status}`);
  }
}

const NO_LOG = {
  kind: StoreDiskKind.data,
  salt: 0,
  replayFrom: 0,
  durableSeq: 0,
  segmentBytes: 0,
  pairPages: 0,
};

async function zero(disk: Disk, from: number, to: number): Promise<void> {
  const zeros = new Uint8Array(ZERO_PAGES * PAGE_BYTES);
  for (let at = from; at < to; at += zeros.length) {
    const length = Math.min(zeros.length, to - at);
    check(await diskCall(disk, 'write', at, zeros, 0, length), disk);
  }
  check(await flushDisk(disk), disk);
}

function check(status: DiskStatus, disk: Disk): void {
  if (status !== DiskStatus.ok) throw storeIoError(`${disk.name} fails with status ${status}`);
}
