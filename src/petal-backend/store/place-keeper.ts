/**
 * Brings what is durable in the log into its place, and frees the log.
 *
 * One round: data of durable groups are written to their slots and the data disks flushed; then
 * the groups leave RAM. Then the pages of chunks and pairs that changed are written, twice, and at
 * last the superblock of the log, twice: from then on a recovery begins behind those groups, and
 * their segments are free.
 *
 * Promised: a group is not skipped by a recovery before all that it says was written and flushed
 * after it was durable. Until the flush of the data succeeded RAM has them and reads are served
 * from there, so a block that is torn in its slot is never read; after a failed write or flush of
 * anything the round is done again from what RAM has, from its beginning.
 *
 * Not done: moving a chunk away from a place that its disk does not write any more. Rounds fail
 * then, and `failed` says so: the log fills, mutations are refused, reads go on.
 */

import { setU48 } from '../../base/formats/field-bytes.ts';
import { viewOf } from '../../base/formats/sealed.ts';
import { PAGE_BYTES } from '../../base/units.ts';
import { diskCall, flushDisk } from '../../world/disk-story.ts';
import { type Disk, DiskStatus, type World } from '../../world/world.ts';
import { CHUNK_BLOCKS } from '../wire/messages.ts';
import type { ChunkTable } from './chunk-table.ts';
import { CHUNK_PAGE_DURABLE_AT } from './formats/chunk-page.ts';
import { decodeEntry, GROUP_ENTRIES_AT, hasData, IntentEntry } from './formats/intent-group.ts';
import { PAIR_PAGE_DURABLE_AT } from './formats/pair-page.ts';
import { encodeStoreSuperblock, type StoreSuperblock } from './formats/store-superblock.ts';
import type { IntentGroup } from './intent-arena.ts';
import type { IntentLog } from './intent-log.ts';
import { type MirroredPages, type MirroredPart, writeMirrored } from './mirrored-pages.ts';
import type { PairTable } from './pair-table.ts';
import { SLOT_BYTES } from './store-options.ts';

/** A data disk that is in use. */
export interface DataDisk {
  readonly disk: Disk;
  /** By which it was laid out. */
  readonly sizeBytes: number;
  readonly slotsAt: number;
  readonly pages: MirroredPages;
  readonly superblock: MirroredPages;
}

/** Everything of a store that lies on disks. */
export interface StoreDisks {
  /** Null: it is not ours, or not to be used. */
  readonly data: readonly (DataDisk | null)[];
  readonly log: Disk;
  readonly logSuperblock: MirroredPages;
  readonly pairPages: MirroredPages;
}

/** Numbers each writing of a page. */
export class PageSequence {
  #last: number;
  readonly next = (): number => ++this.#last;

  constructor(last: number) {
    this.#last = last;
  }
}

/** Byte of the disk at which a block of a slot is; `slot`: its number plus one. */
export function blockPosition(disk: DataDisk, slot: number, block: number): number {
  return disk.slotsAt + (slot - 1) * SLOT_BYTES + block * PAGE_BYTES;
}

/**
 * All pages that have changed, as parts to write; taken from the tables, which may take them back.
 */
export class ChangedPages {
  readonly parts: MirroredPart[] = [];
  readonly #table: ChunkTable;
  readonly #pairs: PairTable;
  readonly #chunkPages: number[];
  readonly #pairPages: number[];

  constructor(disks: StoreDisks, table: ChunkTable, pairs: PairTable, durableSeq: () => number) {
    this.#table = table;
    this.#pairs = pairs;
    this.#chunkPages = table.takeDirtyPages();
    this.#pairPages = pairs.takeDirtyPages();
    for (const [at, data] of disks.data.entries()) {
      const first = table.firstPage[at] as number;
      const end = table.firstPage[at + 1] as number;
      const own = this.#chunkPages.filter((page) => page >= first && page < end);
      if (data === null || own.length === 0) continue;
      this.parts.push({
        pages: data.pages,
        numbers: own.map((page) => page - first),
        fill: (page, bytes, offset) => {
          copyPage(table.bytes, first + page, bytes, offset, CHUNK_PAGE_DURABLE_AT, durableSeq());
        },
      });
    }
    if (this.#pairPages.length === 0) return;
    this.parts.push({
      pages: disks.pairPages,
      numbers: this.#pairPages,
      fill: (page, bytes, offset) => {
        copyPage(pairs.bytes, page, bytes, offset, PAIR_PAGE_DURABLE_AT, durableSeq());
      },
    });
  }

  /** They could not be written. */
  giveBack(): void {
    this.#table.giveBackPages(this.#chunkPages);
    this.#pairs.giveBackPages(this.#pairPages);
  }
}

function copyPage(
  from: Uint8Array,
  page: number,
  to: Uint8Array,
  at: number,
  durableAt: number,
  durableSeq: number,
): void {
  to.set(from.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES), at);
  setU48(viewOf(to), at + durableAt, durableSeq);
}

export function superblockPart(pages: MirroredPages, superblock: StoreSuperblock): MirroredPart {
  const fill = (_page: number, bytes: Uint8Array, at: number): void =>
    encodeStoreSuperblock(bytes.subarray(at, at + PAGE_BYTES), superblock);
  return { pages, numbers: [0], fill };
}

export interface PlaceKeeperOwner {
  /** Groups have left RAM, or a round has failed, or the first one after that succeeded. */
  roundEnded(): void;
  /** A round ended in what is not the disks' fault. */
  thrown(reason: unknown): void;
}

/** Rounds that fail one after the other before anybody is refused because of it. */
const ATTEMPTS = 3;

export class PlaceKeeper {
  readonly #world: World;
  readonly #retryNs: number;
  readonly #disks: StoreDisks;
  readonly #table: ChunkTable;
  readonly #pairs: PairTable;
  readonly #log: IntentLog;
  readonly #superblock: StoreSuperblock;
  readonly #sequence: PageSequence;
  readonly #owner: PlaceKeeperOwner;
  readonly #entry = new IntentEntry();
  /** Durable, not in their place yet. */
  #groups: IntentGroup[] = [];
  #running: Promise<void> | null = null;
  #again = false;
  #closing = false;
  #replayFrom: number;
  #beforeCrc = 0;
  #failures = 0;
  /** Why rounds fail, if they have for some time. */
  failed: DiskStatus = DiskStatus.ok;
  rounds = 0;

  constructor(
    world: World,
    retryNs: number,
    disks: StoreDisks,
    tables: { readonly table: ChunkTable; readonly pairs: PairTable },
    log: IntentLog,
    start: { readonly superblock: StoreSuperblock; readonly sequence: PageSequence },
    owner: PlaceKeeperOwner,
  ) {
    this.#world = world;
    this.#retryNs = retryNs;
    this.#disks = disks;
    this.#table = tables.table;
    this.#pairs = tables.pairs;
    this.#log = log;
    this.#superblock = start.superblock;
    this.#replayFrom = start.superblock.replayFrom;
    this.#sequence = start.sequence;
    this.#owner = owner;
  }

  add(group: IntentGroup): void {
    this.#groups.push(group);
  }

  /** Does a round, unless one runs: then another one follows it. */
  wake(): void {
    if (this.#closing) return;
    if (this.#running === null)
      this.#running = this.#run().catch((reason: unknown) => this.#owner.thrown(reason));
    else this.#again = true;
  }

  /** Brings what is durable into its place for the last time. False: a disk fails. */
  async settle(): Promise<boolean> {
    this.#closing = true;
    await this.#running;
    const hasWork = this.#groups.length > 0 || this.#hasPages;
    return !hasWork || (await this.#round()) === DiskStatus.ok;
  }

  get #hasPages(): boolean {
    return this.#table.hasDirtyPages || this.#pairs.hasDirtyPages;
  }

  async #run(): Promise<void> {
    do {
      this.#again = false;
      const status = await this.#round();
      this.#failures = status === DiskStatus.ok ? 0 : this.#failures + 1;
      this.failed = this.#failures < ATTEMPTS ? DiskStatus.ok : status;
      this.#owner.roundEnded();
      if (status === DiskStatus.ok) continue;
      this.#world.log.note(`what is in the log cannot be put in its place: status ${status}`);
      if (this.#closing) break;
      await this.#world.timers.sleep(this.#retryNs);
      this.#again = true;
    } while (this.#again && !this.#closing);
    this.#running = null;
  }

  async #round(): Promise<DiskStatus> {
    const groups = this.#groups.slice();
    let status = await this.#writeData(groups);
    if (status !== DiskStatus.ok) return status;
    for (const group of groups) this.#leaveRam(group);
    this.#groups.splice(0, groups.length);
    const last = groups.at(-1);
    if (last !== undefined) {
      this.#replayFrom = last.groupSeq + 1;
      this.#beforeCrc = last.crc;
    }
    this.#owner.roundEnded();
    const changed = new ChangedPages(this.#disks, this.#table, this.#pairs, () => {
      return this.#log.durableSeq;
    });
    status = await writeMirrored(this.#world, changed.parts, this.#sequence.next);
    if (status === DiskStatus.ok) status = await this.#writeSuperblock();
    if (status !== DiskStatus.ok) {
      changed.giveBack();
      return status;
    }
    this.rounds++;
    this.#log.release(this.#replayFrom);
    return DiskStatus.ok;
  }

  async #writeData(groups: readonly IntentGroup[]): Promise<DiskStatus> {
    const touched = new Set<Disk>();
    this.#world.crashPoint('store.before-data');
    for (const group of groups) {
      const writes: Promise<DiskStatus>[] = [];
      this.#forEachEntry(group, (entry, row, page) => {
        const data = this.#disks.data[entry.slotDisk];
        if (data === undefined || data === null) return;
        const first = entry.block % CHUNK_BLOCKS;
        for (let from = 0; from < entry.blocks; ) {
          let to = from;
          while (to < entry.blocks && this.#isNewest(row, first + to, page + to)) to++;
          if (to > from) {
            const at = blockPosition(data, entry.slot, first + from);
            const { bytes } = this.#log.arena;
            const offset = (page + from) * PAGE_BYTES;
            const length = (to - from) * PAGE_BYTES;
            writes.push(diskCall(data.disk, 'write', at, bytes, offset, length));
            touched.add(data.disk);
          }
          from = to + 1;
        }
      });
      const failed = (await Promise.all(writes)).find((status) => status !== DiskStatus.ok);
      if (failed !== undefined) return failed;
      // Writes may be done by this thread: whoever waits for an answer comes in between.
      await this.#world.timers.sleep(0);
    }
    this.#world.crashPoint('store.before-data-flush');
    for (const disk of touched) {
      const status = await flushDisk(disk);
      if (status !== DiskStatus.ok) return status;
    }
    this.#world.crashPoint('store.after-data');
    return DiskStatus.ok;
  }

  async #writeSuperblock(): Promise<DiskStatus> {
    const superblock = {
      ...this.#superblock,
      replayFrom: this.#replayFrom,
      beforeCrc: this.#beforeCrc,
      durableSeq: this.#log.durableSeq,
    };
    const part = superblockPart(this.#disks.logSuperblock, superblock);
    return writeMirrored(this.#world, [part], this.#sequence.next);
  }

  #isNewest(row: number, block: number, page: number): boolean {
    return this.#table.inRam[row * CHUNK_BLOCKS + block] === page + 1;
  }

  #leaveRam(group: IntentGroup): void {
    this.#forEachEntry(group, (entry, row, page) => {
      const first = entry.block % CHUNK_BLOCKS;
      for (let i = 0; i < entry.blocks; i++) {
        if (this.#isNewest(row, first + i, page + i)) {
          this.#table.inRam[row * CHUNK_BLOCKS + first + i] = 0;
        }
      }
    });
    this.#log.arena.releaseOldest(group);
  }

  /** `page`: where in the arena the entry's data begin. */
  #forEachEntry(
    group: IntentGroup,
    visit: (entry: IntentEntry, row: number, page: number) => void,
  ): void {
    const entry = this.#entry;
    let page = group.start + 1;
    for (let i = 0, at = GROUP_ENTRIES_AT; i < group.entries; i++) {
      at = decodeEntry(group.view, at, entry);
      if (!hasData(entry.op)) continue;
      visit(entry, this.#table.rowOf(entry.rowDisk, entry.row), page);
      page += entry.blocks;
    }
  }
}
