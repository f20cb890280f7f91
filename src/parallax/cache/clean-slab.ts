/**
 * The clean slab: copies of pool blocks in a file on the host's own disk. They outlive driver VMs.
 *
 * A slot is keyed by the number of its pool block, whose content never changes while the block is
 * in use: an entry that is out of date is dead, not wrong, and clones share slots. Links
 * (`SlabLinks`) lead from (VDI, block) to the pool block, so that a hit walks no tree. `KeySpaces`,
 * `SlabSlots` and `SlabTableFile` say how entries die, what states a slot has, and what is on disk.
 *
 * What is promised: a read gives the bytes that the tree's CRC is of, or it is a miss. Every read
 * checks the CRC, not only the first one after a start: the file lies on the same kind of disk as
 * everything else, and the check costs less than the read. Nothing is promised about being there.
 *
 * Who calls what:
 * - a read looks up by (VDI, block); on `MAPPED` it reads the pool without a walk; on `MISS` it
 *   walks the tree, and asks `findBlock` before the pool. What came from the pool is `insert`ed,
 *   what came from a walk is `learn`ed, with the edition from before the walk;
 * - a publish, when the new root is published and readers look at it: `remap` or `forget` for each
 *   block that it changes, then `published`. A write need not be told: until its publish the dirty
 *   map stands before the slab;
 * - the sweep: `forgetBlocks`, before the pool's blocks are used for something else. Where it does
 *   not reach, as on another host, the CRC of the tree that now names the block says no.
 *
 * Failures stay here. A read error costs the slot; a write error or a full disk switches the slab
 * off, with a note: every lookup is a miss then. When the file is being written to as fast as
 * allowed, more inserts are dropped.
 *
 * `readNow` counts on the page cache. The calls of a step are bounded (`beginStep`), and one after
 * which more than `slowReadNs` has passed since the one before is the last: the rest go by `read`.
 */

import { UUID_BYTES } from '../../base/formats/field-bytes.ts';
import { invariant } from '../../base/invariant.ts';
import { type Nanos, NEVER } from '../../base/units.ts';
import { BLOCK_BYTES, type PoolBlock } from '../../world/block-pool.ts';
import { type Disk, DiskStatus, type TimerId, type World } from '../../world/world.ts';
import {
  type RootIdentity,
  type SlabSuperblock,
  SUPERBLOCKS,
  slotsOf,
  tableBlocksOf,
} from '../formats/slab-table.ts';
import { KeySpaces } from './key-spaces.ts';
import { type SlabRead, SlabStatus, SlotRead, SlotWrite } from './slab-io.ts';
import { SlabLinks } from './slab-links.ts';
import { DEFAULT_SLAB, type SlabOptions, type SlabParts, type SlabStats } from './slab-options.ts';
import { NO_LINK, PINS_MAX, SlabSlots, TableMarks } from './slab-slots.ts';
import {
  blankSuperblock,
  firstSpaceAfter,
  readSuperblocks,
  type SlabFinding,
  SlabTableFile,
  type SlabVerdict,
} from './slab-table-file.ts';

/** Of `lookup`: nothing is known. */
export const MISS = -1;
/** Of `lookup`: the pool block is known, in `mappedBlock` and `mappedCrc`, and not in a slot. */
export const MAPPED = -2;

const WHY_OFF: Readonly<Record<Exclude<SlabVerdict, SlabFinding>, string>> = {
  'read error': 'its superblocks cannot be read',
  'write error': 'it cannot be laid out',
  'newer version': 'a newer version of the program wrote it; remove it, or use that version',
};
/** Of the simulator: the CRC of a block. */
const CRC_COST_NS = 1_000;
const MIN_ARENA_BLOCKS = 2;
const MIN_SLOTS = 1;

export class CleanSlab {
  /** Where the last `lookup` that gave `MAPPED` says the block is. */
  mappedBlock: PoolBlock = 0;
  mappedCrc = 0;
  readonly #world: World;
  readonly #disk: Disk;
  readonly #options: SlabOptions;
  readonly #failed: (thrown: unknown) => void;
  readonly #slots: SlabSlots;
  readonly #links: SlabLinks;
  readonly #marks: TableMarks;
  readonly #table: SlabTableFile;
  readonly #firstSlotBlock: number;
  readonly #damagedSuperblocks: number;
  readonly #freeWrites: SlotWrite[] = [];
  readonly #freeReads: SlotRead[] = [];
  #readsLeft = 0;
  /** When the last `readNow` of this step ended; 0: there was none. */
  #lastReadNs: Nanos = 0 as Nanos;
  #disabled: string | null = null;
  #closing = false;
  #writesInFlight = 0;
  /** Called when the last write in flight is over. */
  #whenWritten: () => void = () => undefined;
  #bindingsChanged = false;
  #timer: TimerId | null = null;
  #checkpoint: Promise<void> | null = null;
  #hits = 0;
  #mapped = 0;
  #misses = 0;
  #inserted = 0;
  #dropped = 0;
  #mismatched = 0;

  /** Opens the slab of a store in a file of any content; it is empty if that is no slab of it. */
  static async open(parts: SlabParts, options: Partial<SlabOptions> = {}): Promise<CleanSlab> {
    const { world, disk, arena, store } = parts;
    invariant(store.length === UUID_BYTES, 'a store is named by 16 bytes');
    invariant(arena.bytes >= MIN_ARENA_BLOCKS * BLOCK_BYTES, 'a slab has RAM for two blocks');
    const slots = slotsOf(disk.sizeBytes);
    invariant(slots >= MIN_SLOTS, 'a file for a slab has room for a slot');
    const file = { world, disk, address: arena.address };
    const found = await readSuperblocks(file, store, slots);
    if (typeof found === 'string') {
      // The file is left alone.
      const none = blankSuperblock(store, MIN_SLOTS);
      const slab = new CleanSlab(parts, { ...DEFAULT_SLAB, ...options }, none, 0);
      slab.#disable(WHY_OFF[found]);
      return slab;
    }
    const { superblock, damagedSuperblocks } = found;
    const slab = new CleanSlab(
      parts,
      { ...DEFAULT_SLAB, ...options },
      superblock,
      damagedSuperblocks,
    );
    slab.#links.restoreBindings(superblock.bindings);
    const status = await slab.#table.load(arena.address, Math.floor(arena.bytes / BLOCK_BYTES));
    if (status !== DiskStatus.ok) slab.#disable(`its superblock cannot be written (${status})`);
    slab.#noteDamage();
    return slab;
  }

  private constructor(
    parts: SlabParts,
    options: SlabOptions,
    superblock: SlabSuperblock,
    damagedSuperblocks: number,
  ) {
    const { world, disk, arena } = parts;
    invariant(options.readsInFlight < PINS_MAX, 'reads in flight of a slot can be counted');
    this.#world = world;
    this.#disk = disk;
    this.#options = options;
    this.#failed = parts.failed;
    const { slots } = superblock;
    const salt = world.random.fork('slab-hash').nextU32();
    const firstSpace = firstSpaceAfter(superblock);
    this.#marks = new TableMarks(slots);
    this.#slots = new SlabSlots(slots, options.policy, salt, this.#marks);
    const links = Math.max(1, Math.floor(slots * options.linkShare));
    this.#links = new SlabLinks(links, salt, new KeySpaces(firstSpace, firstSpace));
    const file = { world, disk, address: arena.address };
    this.#table = new SlabTableFile(file, superblock, this.#slots, this.#links, this.#marks);
    this.#firstSlotBlock = SUPERBLOCKS + tableBlocksOf(slots);
    this.#damagedSuperblocks = damagedSuperblocks;
    this.#readsLeft = options.readNowPerStep;
    const frames = Math.floor(arena.bytes / BLOCK_BYTES);
    for (let frame = 1; frame < frames; frame++) {
      const address = arena.address + frame * BLOCK_BYTES;
      this.#freeWrites.push(new SlotWrite(world.memory.u8, address, this.#written));
    }
    for (let i = 0; i < options.readsInFlight; i++) {
      this.#freeReads.push(new SlotRead(world.memory.u8, this.#wasRead));
    }
    this.#marks.onMark = () => this.#arm();
  }

  /** Changes with every publish: what a reader learns is good while it is the same. */
  get edition(): number {
    return this.#links.edition;
  }

  /** The slot to read a VDI's block from, `MAPPED` or `MISS`. */
  lookup(vdi: number, block: number): number {
    const link = this.#disabled === null ? this.#links.find(vdi, block) : -1;
    if (link < 0) {
      this.#misses++;
      return MISS;
    }
    this.#links.touch(link);
    this.mappedBlock = this.#links.blockOf(link);
    this.mappedCrc = this.#links.crcOf(link);
    const hint = this.#links.slotHint(link);
    const slot = this.#slotOf(this.mappedBlock, this.mappedCrc, hint);
    if (slot < 0) {
      this.#mapped++;
      return MAPPED;
    }
    this.#hits++;
    if (slot !== hint) this.#links.noteSlot(link, slot);
    if (this.#slots.linkOf(slot) === NO_LINK) {
      this.#slots.setLink(slot, link);
      this.#marks.mark(slot);
    }
    return slot;
  }

  /** The slot of a pool block whose content has this CRC, or `MISS`. */
  findBlock(block: PoolBlock, crc: number): number {
    return this.#disabled === null ? this.#slotOf(block, crc, MISS) : MISS;
  }

  /** The link of a VDI's block, `NO_LINK` if there is none. */
  linkOf(vdi: number, block: number): number {
    return this.#links.find(vdi, block);
  }

  /** A step begins: `readNow` may be called anew. */
  beginStep(): void {
    this.#readsLeft = this.#options.readNowPerStep;
    this.#lastReadNs = 0 as Nanos;
  }

  /** How many more `readNow` this step may do. */
  get readsLeft(): number {
    return this.#readsLeft;
  }

  /** Reads a slot that was found in this step, now. */
  readNow(slot: number, address: number): SlabStatus {
    if (this.#readsLeft === 0) return SlabStatus.busy;
    // An insert of the same step may have given the slot away.
    if (!this.#slots.isClean(slot)) return SlabStatus.miss;
    this.#readsLeft--;
    const { memory, clock } = this.#world;
    if (this.#lastReadNs === 0) this.#lastReadNs = clock.nowNs();
    const status = this.#disk.readNow(memory.u8, address, BLOCK_BYTES, this.#positionOf(slot));
    const nowNs = clock.nowNs();
    if (nowNs - this.#lastReadNs > this.#options.slowReadNs) this.#readsLeft = 0;
    this.#lastReadNs = nowNs;
    return this.#judge(slot, this.#slots.crcOf(slot), address, status);
  }

  /** Reads a slot that was found in this step; false if it is gone or too much is in flight. */
  read(request: SlabRead): boolean {
    if (!this.#slots.isClean(request.slot)) return false;
    const io = this.#freeReads.pop();
    if (io === undefined) return false;
    const { slot, address } = request;
    this.#slots.pin(slot);
    io.begin(request, this.#slots.crcOf(slot), address, this.#positionOf(slot));
    this.#disk.read(io);
    return true;
  }

  /**
   * Takes in a pool block that was read, or is about to be published, with the CRC of its content
   * at `address`. `link`: what `linkOf` gives for who has it, which is then remembered with the
   * slot. True if it is in the slab, or will be when it is written.
   */
  insert(block: PoolBlock, crc: number, address: number, link: number = NO_LINK): boolean {
    invariant(block > 0 && block < 2 ** 48, 'a block of the pool has a number of 48 bits');
    if (this.#disabled !== null || this.#closing) return false;
    const present = this.#slots.find(block);
    if (present >= 0 && this.#slots.crcOf(present) === crc) return true;
    if (present >= 0) this.#mismatch(present);
    const io = this.#freeWrites.pop();
    const slot = io === undefined ? -1 : this.#slots.take(block, crc);
    if (io === undefined || slot < 0) {
      if (io !== undefined) this.#freeWrites.push(io);
      this.#dropped++;
      return false;
    }
    this.#world.memory.copy(io.bufferOffset, address, BLOCK_BYTES);
    io.begin(slot, this.#positionOf(slot));
    this.#slots.setLink(slot, link);
    this.#inserted++;
    this.#writesInFlight++;
    this.#disk.write(io);
    return true;
  }

  /** A reader found a tree entry; `edition` is from before it looked. Tells whether it is kept. */
  learn(vdi: number, block: number, at: PoolBlock, crc: number, edition: number): boolean {
    if (this.#disabled !== null || edition !== this.#links.edition) return false;
    return this.#link(vdi, block, at, crc);
  }

  /** A publish has put a VDI's block there. */
  remap(vdi: number, block: number, at: PoolBlock, crc: number): void {
    this.#links.beginEdition();
    if (this.#disabled === null) this.#link(vdi, block, at, crc);
  }

  /** A publish has unmapped a VDI's block, or put it somewhere unknown. */
  forget(vdi: number, block: number): void {
    this.#links.beginEdition();
    const link = this.#links.find(vdi, block);
    if (link < 0) return;
    this.#markSlotOf(this.#links.blockOf(link));
    this.#links.remove(link);
  }

  /** The VDI is no more, or not to be remembered. */
  forgetVdi(vdi: number): void {
    this.#links.forgetVdi(vdi);
    this.#noteBindings();
  }

  /** These pool blocks will be used for something else. */
  forgetBlocks(first: PoolBlock, blocks: number): void {
    for (let block = first; block < first + blocks; block++) {
      const slot = this.#slots.find(block);
      if (slot >= 0) this.#slots.drop(slot);
    }
  }

  /**
   * A VDI is opened here. `root`: what its root block said before this start changed it. Without
   * this call the VDI has no links. Tells whether its links from before are true.
   */
  openVdi(vdi: number, root: RootIdentity): boolean {
    const kept = this.#links.open(vdi, root);
    this.#noteBindings();
    return kept;
  }

  /** A planted bug: its places of blocks are taken as they are, whatever root they are of. */
  trustVdi(vdi: number): void {
    this.#links.trust(vdi);
  }

  /** The VDI's root block says this now; `remap` and `forget` have been called for all of it. */
  published(vdi: number, root: RootIdentity): void {
    this.#links.published(vdi, root);
    this.#noteBindings();
  }

  /** Settles when what is true now is on disk, or the slab is off. */
  async checkpoint(): Promise<void> {
    while (this.#checkpoint !== null) await this.#checkpoint;
    if (this.#disabled !== null) return;
    this.#checkpoint = this.#runCheckpoint();
    await this.#checkpoint;
  }

  /** Writes what is true and closes the file. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#disarm();
    if (this.#writesInFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#whenWritten = resolve;
      });
    }
    while (this.#hasChanged() || this.#checkpoint !== null) await this.checkpoint();
    await this.#disk.close();
  }

  stats(): SlabStats {
    return {
      slots: this.#slots.count,
      used: this.#slots.used,
      links: this.#links.used,
      hits: this.#hits,
      mapped: this.#mapped,
      misses: this.#misses,
      inserted: this.#inserted,
      dropped: this.#dropped,
      evicted: this.#slots.evicted,
      mismatched: this.#mismatched,
      retired: this.#slots.retired,
      damagedTableBlocks: this.#table.damagedBlocks,
      damagedSuperblocks: this.#damagedSuperblocks,
      tableBlocksWritten: this.#table.blocksWritten,
      disabled: this.#disabled,
      indexBytes: this.#slots.sizeBytes + this.#links.sizeBytes,
    };
  }

  #slotOf(block: PoolBlock, crc: number, hint: number): number {
    const slot = this.#slots.findClean(block, hint);
    if (slot < 0) return MISS;
    if (this.#slots.crcOf(slot) !== crc) {
      this.#mismatch(slot);
      return MISS;
    }
    this.#slots.hit(slot);
    return slot;
  }

  #mismatch(slot: number): void {
    this.#mismatched++;
    this.#slots.drop(slot);
  }

  #link(vdi: number, block: number, at: PoolBlock, crc: number): boolean {
    const before = this.#links.find(vdi, block);
    if (before >= 0) this.#markSlotOf(this.#links.blockOf(before));
    const link = this.#links.set(vdi, block, at, crc);
    if (link < 0) return false;
    const slot = this.#slots.find(at);
    if (slot >= 0) {
      this.#slots.setLink(slot, link);
      this.#marks.mark(slot);
    }
    return true;
  }

  #markSlotOf(block: PoolBlock): void {
    const slot = this.#slots.find(block);
    if (slot >= 0) this.#marks.mark(slot);
  }

  /** What a read of a slot has found, which held a block with this CRC when it began. */
  #judge(slot: number, crc: number, address: number, status: DiskStatus): SlabStatus {
    if (status !== DiskStatus.ok) {
      this.#slots.retire(slot);
      return SlabStatus.miss;
    }
    const { memory, digest, cpu } = this.#world;
    cpu.spend(CRC_COST_NS);
    if (digest.crc32(memory.u8, address, BLOCK_BYTES) === crc) return SlabStatus.ok;
    if (this.#slots.isClean(slot)) this.#mismatch(slot);
    return SlabStatus.miss;
  }

  readonly #wasRead = (io: SlotRead, status: DiskStatus): void => {
    const { request, slot, crc } = io;
    invariant(request !== null, 'a read in flight has its request');
    const outcome = this.#judge(slot, crc, io.bufferOffset, status);
    this.#slots.unpin(slot);
    io.request = null;
    this.#freeReads.push(io);
    request.slabDone(outcome);
  };

  readonly #written = (io: SlotWrite, status: DiskStatus): void => {
    const { slot } = io;
    this.#freeWrites.push(io);
    if (status === DiskStatus.ok) {
      this.#slots.written(slot);
    } else {
      this.#slots.retire(slot);
      this.#slots.unpin(slot);
      this.#disable(`a write failed (${status})`);
    }
    this.#writesInFlight--;
    if (this.#writesInFlight === 0) this.#whenWritten();
  };

  #positionOf(slot: number): number {
    return (this.#firstSlotBlock + slot) * BLOCK_BYTES;
  }

  #noteBindings(): void {
    this.#bindingsChanged = true;
    this.#arm();
  }

  #hasChanged(): boolean {
    return this.#disabled === null && (this.#bindingsChanged || this.#marks.count > 0);
  }

  /** Sees to it that what has changed is written some time. */
  #arm(): void {
    if (this.#timer !== null || this.#checkpoint !== null) return;
    if (this.#closing || this.#disabled !== null) return;
    const { clock, timers } = this.#world;
    const dueNs = (clock.nowNs() + this.#options.checkpointNs) as Nanos;
    if (dueNs === NEVER) return;
    this.#timer = timers.at(dueNs, () => {
      this.#timer = null;
      this.checkpoint().catch(this.#failed);
    });
  }

  #disarm(): void {
    if (this.#timer !== null) this.#world.timers.cancel(this.#timer);
    this.#timer = null;
  }

  async #runCheckpoint(): Promise<void> {
    this.#disarm();
    this.#bindingsChanged = false;
    const status = await this.#table.checkpoint();
    this.#checkpoint = null;
    if (status !== DiskStatus.ok) this.#disable(`its table cannot be written (${status})`);
    if (this.#hasChanged()) this.#arm();
  }

  #disable(reason: string): void {
    if (this.#disabled !== null) return;
    this.#disabled = reason;
    this.#disarm();
    this.#world.log.note(`the clean slab "${this.#disk.name}" is off: ${reason}`);
  }

  #noteDamage(): void {
    const blocks = this.#table.damagedBlocks + this.#damagedSuperblocks;
    if (blocks === 0) return;
    this.#world.log.note(
      `the clean slab "${this.#disk.name}" has ${blocks} damaged blocks in its table: ` +
        'what they said of its slots is ignored',
    );
  }
}
