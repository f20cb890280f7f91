/**
 * The intent log: group commit of mutations with their data.
 *
 * Promised: whoever is told `ok` is in a group that was written and flushed after it was written,
 * and so is every group before it. A group is there after a crash as a whole or not at all: its
 * page of entries has a sum, its data have theirs in the entries.
 *
 * Groups fill in RAM; one batch of them is on its way at a time: written one after the other into
 * one segment, then flushed. Meanwhile the next group fills. An idle log begins when whoever
 * mutates has ended its step (`begin`, by a timer that is due at once), so that what came together
 * is committed together. The disk works on the next batch while the owners of this one hear of it.
 *
 * A failed write or flush: nothing that is not durable of that segment is trusted. All groups that
 * are not durable are written again, to another segment, which they all fit into in time; nobody
 * hears of it. If that fails `ATTEMPTS` times the log is latched: owners are told `ioError` (their
 * mutations are not applied; a later recovery may still find them, whole, if the disk has them and
 * nothing came after), and so is everybody until an empty group can be written again.
 *
 * Segments are used again when all their groups are in their place (`release`). A group has its
 * place in the log only from when it is written, so a full log holds up the writing, the arena
 * fills, and mutations wait in order; nothing that frees the log needs room in it.
 */
import { invariant } from '../../base/invariant.ts';
import { type Nanos, PAGE_BYTES } from '../../base/units.ts';
import { type Disk, type DiskIo, DiskStatus, type World } from '../../world/world.ts';
import { StoreStatus } from './chunk-store.ts';
import { encodeIntentHeader, type IntentEntry, IntentHeader } from './formats/intent-group.ts';
import { type EntryOwner, IntentArena, type IntentGroup } from './intent-arena.ts';
import { type LogGeometry, maxGroupPages, type StoreOptions } from './store-options.ts';

const ATTEMPTS = 3;
const NONE = -1;

export interface IntentLogOwner {
  /** Its entries are durable; their owners hear of it after this. */
  groupDurable(group: IntentGroup): void;
  /** It will never be durable; its owners hear of it after this. */
  groupFailed(group: IntentGroup): void;
  /** There may be room for what was refused. */
  roomAgain(): void;
  /** There is no segment left: groups that are durable must come into their place. */
  segmentsNeeded(): void;
}

export interface IntentLogStart {
  readonly incarnation: number;
  readonly salt: number;
  /** Number of the first group. */
  readonly nextSeq: number;
}

export class IntentLog {
  readonly arena: IntentArena;
  readonly #world: World;
  readonly #options: StoreOptions;
  readonly #geometry: LogGeometry;
  readonly #disk: Disk;
  readonly #start: IntentLogStart;
  readonly #owner: IntentLogOwner;
  readonly #header = new IntentHeader();
  readonly #io: DiskIo;
  readonly #flushIo: DiskIo;
  /** Not durable yet, in order; the first `#written` of them are written. */
  #pending: IntentGroup[] = [];
  #written = 0;
  #busy = false;
  #begins = false;
  /** Segments that can be written to, and of the others the last group that may be needed. */
  readonly #free: number[];
  readonly #lastSeq: number[];
  #current = NONE;
  #fillPages = 0;
  #serial = 0;
  #attempts = 0;
  #nextSeq: number;
  latched = false;
  /** All groups up to here are durable, and the sum of the last one. */
  durableSeq: number;
  durableCrc = 0;
  groups = 0;
  relocations = 0;

  constructor(
    world: World,
    options: StoreOptions,
    geometry: LogGeometry,
    disk: Disk,
    start: IntentLogStart,
    owner: IntentLogOwner,
  ) {
    this.#world = world;
    this.#options = options;
    this.#geometry = geometry;
    this.#disk = disk;
    this.#start = start;
    this.#owner = owner;
    this.#nextSeq = start.nextSeq;
    this.durableSeq = start.nextSeq - 1;
    this.arena = new IntentArena(options.arenaBytes, maxGroupPages(options));
    this.#free = Array.from({ length: geometry.segments }, (_, segment) => segment);
    this.#lastSeq = this.#free.map(() => 0);
    const unused = { buffer: this.arena.bytes, bufferOffset: 0, lengthBytes: 0, position: 0 };
    this.#io = { ...unused, diskDone: (status) => this.#writeDone(status) };
    this.#flushIo = { ...unused, diskDone: (status) => this.#flushDone(status) };
  }

  get isIdle(): boolean {
    return !this.#busy && this.#pending.length === 0;
  }

  /** Bytes of segments that hold groups which may be needed. */
  get bytes(): number {
    const segments = this.#geometry.segments - this.#free.length;
    return segments * this.#geometry.segmentPages * PAGE_BYTES;
  }

  /** Fewer than half of the segments are free. */
  get isHalfFull(): boolean {
    return this.#free.length * 2 < this.#geometry.segments;
  }

  /** Page of the arena for the entry's data, or -1: there is no room, `roomAgain` will say. */
  append(entry: IntentEntry, owner: EntryOwner): number {
    let group = this.#pending.at(-1);
    if (group !== undefined && group.isOpen && !group.fits(entry)) this.#close(group);
    if (group === undefined || !group.isOpen) {
      const opened = this.arena.open(this.#nextSeq);
      if (opened === null) return NONE;
      this.#nextSeq++;
      this.#pending.push(opened);
      group = opened;
    }
    const page = group.add(entry, owner);
    this.#beginSoon();
    return page;
  }

  /** Groups before `groupSeq` are in their place, durably: their segments are free. */
  release(groupSeq: number): void {
    for (let segment = 0; segment < this.#lastSeq.length; segment++) {
      const isHeld = segment === this.#current || (this.#lastSeq[segment] as number) >= groupSeq;
      if (isHeld || this.#free.includes(segment)) continue;
      this.#free.push(segment);
    }
    this.#owner.roomAgain();
    this.#pump();
  }

  #beginSoon(): void {
    if (this.#begins || this.#busy) return;
    this.#begins = true;
    const { clock, timers } = this.#world;
    timers.at(clock.nowNs(), () => {
      this.#begins = false;
      this.#pump();
    });
  }

  #close(group: IntentGroup): void {
    group.isOpen = false;
  }

  /** Begins the next disk operation, if none is in flight and one is wanted. */
  #pump(): void {
    if (this.#busy) return;
    const next = this.#pending[this.#written];
    if (next === undefined) {
      if (this.#written > 0) this.#flush();
      return;
    }
    const fits = this.#current !== NONE && this.#fits(next);
    // A segment is flushed before the next one begins: only the last one ends in torn groups.
    if (!fits && this.#written > 0) return this.#flush();
    if (!fits && !this.#takeSegment()) return this.#owner.segmentsNeeded();
    this.#write(next);
  }

  #fits(group: IntentGroup): boolean {
    return this.#fillPages + group.pages <= this.#geometry.segmentPages;
  }

  #takeSegment(): boolean {
    const segment = this.#free.shift();
    if (segment === undefined) {
      this.#current = NONE;
      return false;
    }
    this.#current = segment;
    this.#fillPages = 0;
    this.#serial++;
    return true;
  }

  #write(group: IntentGroup): void {
    if (group.isOpen) this.#close(group);
    const before = this.#pending[this.#written - 1];
    const header = this.#header;
    header.entries = group.entries;
    header.incarnation = this.#start.incarnation;
    header.salt = this.#start.salt;
    header.serial = this.#serial;
    header.segment = this.#current;
    header.page = this.#fillPages;
    header.groupSeq = group.groupSeq;
    header.durableSeq = this.durableSeq;
    header.dataPages = group.pages - 1;
    header.beforeCrc = before === undefined ? this.durableCrc : before.crc;
    encodeIntentHeader(group.table, header, this.#world.digest);
    group.crc = header.crc;
    group.segment = this.#current;
    this.#world.crashPoint('store.before-write');
    const { segmentsAt, segmentPages } = this.#geometry;
    const io = this.#io;
    io.bufferOffset = group.start * PAGE_BYTES;
    io.lengthBytes = group.pages * PAGE_BYTES;
    io.position = segmentsAt + (this.#current * segmentPages + this.#fillPages) * PAGE_BYTES;
    this.#fillPages += group.pages;
    this.#lastSeq[this.#current] = group.groupSeq;
    this.#busy = true;
    this.#disk.write(io);
  }

  #writeDone(status: DiskStatus): void {
    this.#busy = false;
    if (status !== DiskStatus.ok) return this.#abandon();
    this.#world.crashPoint('store.after-write');
    this.#written++;
    const next = this.#pending[this.#written];
    // What has gathered meanwhile and is full shares the flush; what still fills has the next one.
    if (next !== undefined && !next.isOpen && this.#fits(next)) this.#write(next);
    else this.#flush();
  }

  #flush(): void {
    this.#world.crashPoint('store.before-flush');
    this.#busy = true;
    if (this.#options.plantedBug === 'no-flush') this.#flushDone(DiskStatus.ok);
    else this.#disk.flush(this.#flushIo);
  }

  #flushDone(status: DiskStatus): void {
    this.#busy = false;
    if (status !== DiskStatus.ok) return this.#abandon();
    this.#world.crashPoint('store.after-flush');
    const done = this.#pending.splice(0, this.#written);
    this.#written = 0;
    this.#attempts = 0;
    this.latched = false;
    for (const group of done) {
      this.durableSeq = group.groupSeq;
      this.durableCrc = group.crc;
      this.groups++;
      this.#owner.groupDurable(group);
    }
    this.#pump();
    for (const group of done) for (const owner of group.owners) owner.storeDone(StoreStatus.ok);
    this.#owner.roomAgain();
  }

  /** Nothing of the segment that is not durable can be trusted: all of it goes elsewhere. */
  #abandon(): void {
    invariant(this.#current !== NONE, 'what failed was in a segment');
    this.#world.log.note(`log segment ${this.#current} is left after a failed write or flush`);
    this.#world.crashPoint('store.before-relocate');
    this.#lastSeq[this.#current] = this.durableSeq;
    this.#current = NONE;
    this.#written = 0;
    this.#attempts++;
    this.relocations++;
    // Segments that only ever failed are free again, behind all others.
    this.#owner.segmentsNeeded();
    if (this.#attempts >= ATTEMPTS) this.#latch();
    else this.#pump();
  }

  #latch(): void {
    const failed = this.#pending;
    this.#pending = [];
    this.latched = true;
    this.#nextSeq = this.durableSeq + 1;
    const [first] = failed;
    if (first !== undefined) this.arena.dropFrom(first);
    for (const group of failed) this.#owner.groupFailed(group);
    const { clock, timers } = this.#world;
    timers.at((clock.nowNs() + this.#options.retryNs) as Nanos, () => this.#probe());
    for (const group of failed) {
      for (const owner of group.owners) owner.storeDone(StoreStatus.ioError);
    }
    this.#owner.roomAgain();
  }

  /** An empty group: if it becomes durable the log goes on. */
  #probe(): void {
    const group = this.arena.open(this.#nextSeq);
    if (group === null) {
      // What is durable comes into its place meanwhile.
      const { clock, timers } = this.#world;
      timers.at((clock.nowNs() + this.#options.retryNs) as Nanos, () => this.#probe());
      return;
    }
    this.#nextSeq++;
    this.#pending.push(group);
    this.#pump();
  }
}
