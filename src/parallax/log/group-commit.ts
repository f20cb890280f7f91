/**
 * Group commit: groups fill in RAM and go to the disk one after the other.
 *
 * One disk operation is in flight at a time, a write or an fdatasync, and the open group fills
 * meanwhile. When it ends, whatever has gathered goes out at once; an idle log sends a group out
 * when its owner's step ends (`step`), not at the first mutation: so a batch of requests that came
 * with one doorbell shares one commit, and a lone request waits for nobody. The deeper the queue,
 * the larger the groups become by themselves; no timer and no size decides.
 *
 * Members of a durable group hear of it when the next group has gone to the disk: the disk works
 * while the driver VM answers and takes what the answered send next.
 *
 * Written groups stay in RAM until an fdatasync covers them, also those whose mutations asked for
 * none and were acknowledged long ago: after a failed fdatasync the kernel may have dropped their
 * pages, and RAM is the only place that still has them. When half of the arena is taken by such
 * groups, one is issued for that reason alone. So what W1 and W3 can lose at a power cut is at most
 * the arena, and a failed fdatasync loses nothing.
 *
 * A failed write or sync: its segment is abandoned, and every group in RAM, in order, is given a
 * place in a new segment, which holds them all. Nothing is acknowledged meanwhile that needs a
 * sync. If there is no new segment the log is *stranded* and waits for one; if making one fails it
 * is *latched*: whoever waits is told `ioError`, nothing more is taken, but the groups stay, are
 * appended when a segment can be had again, and keep their numbers. Then the latch opens.
 *
 * All writes of a segment are synced before the next segment gets its first group, so only the last
 * segment of a chain can end in groups that are not durable.
 */

import { Fifo } from '../../base/fifo.ts';
import { fail, invariant } from '../../base/invariant.ts';
import type { Nanos } from '../../base/units.ts';
import { type DiskIo, DiskStatus, type World } from '../../world/world.ts';
import { groupBytesOf, MutationKind } from '../formats/log-group.ts';
import { SEGMENT_HEADER_BYTES } from '../formats/segment-header.ts';
import { type Group, payloadOf } from './group.ts';
import { GroupArena } from './group-arena.ts';
import { type LogOptions, maxPayloadBytes } from './log-options.ts';
import { LogStatus, type Mutation, type SyncWaiter } from './mutation.ts';
import type { LogSegment, Placement, PlacementTable } from './segment.ts';
import type { SegmentStore } from './segment-store.ts';

/** Whom the groups belong to. */
export interface CommitOwner {
  /** A group is durable; its members hear of it after this. */
  groupDurable(group: Group): void;
  /** There may be room again after an append was refused. */
  roomAgain(): void;
  /** There is no spare segment and one is needed. */
  segmentNeeded(): void;
  /** Calls `answer`, in which many members hear of their group: they may be answered as one. */
  together(answer: () => void): void;
}

export class GroupCommit {
  readonly arena: GroupArena;
  readonly #world: World;
  readonly #options: LogOptions;
  readonly #maxPayloadBytes: number;
  readonly #store: SegmentStore;
  readonly #table: PlacementTable;
  readonly #owner: CommitOwner;
  readonly #waiters = new Fifo<SyncWaiter>();
  /** VDIs with a written member that waits for a sync: no later member overtakes it. */
  readonly #blocked = new Set<number>();
  readonly #answerDurable = (): void => this.#answerGroups();
  readonly #writeIo: DiskIo;
  readonly #flushIo: DiskIo;
  #current: Placement | null = null;
  #busy = false;
  #stranded = false;
  #wantsRoom = false;
  #nextGroupSeq = 1;
  #durableGroupSeq = 0;
  /** Groups at the head of the arena that are durable and whose members have not heard of it. */
  #unansweredGroups = 0;
  /** Somebody needs every group up to this to be durable. */
  #needDurable = 0;
  latched = false;
  groupsWritten = 0;
  bytesWritten = 0;
  payloadBytes = 0;
  syncs = 0;
  relocations = 0;

  constructor(
    world: World,
    options: LogOptions,
    store: SegmentStore,
    table: PlacementTable,
    owner: CommitOwner,
  ) {
    this.#world = world;
    this.#options = options;
    this.#maxPayloadBytes = maxPayloadBytes(options);
    this.#store = store;
    this.#table = table;
    this.#owner = owner;
    this.arena = new GroupArena(world, options);
    const buffer = world.memory.u8;
    const unused = { buffer, bufferOffset: 0, lengthBytes: 0, position: 0 };
    this.#writeIo = { ...unused, diskDone: (status) => this.#writeDone(status) };
    this.#flushIo = { ...unused, diskDone: (status) => this.#flushDone(status) };
  }

  get durableGroupSeq(): number {
    return this.#durableGroupSeq;
  }

  get isIdle(): boolean {
    return !this.#busy && this.arena.groups.length === 0;
  }

  /** A step would begin something. */
  get hasWork(): boolean {
    const first = this.arena.groups[0];
    if (first === undefined || this.#busy || this.#stranded) return false;
    return (
      first.state !== 'written' || this.#nextToWrite() !== null || this.#syncsFirst(first, null)
    );
  }

  append(mutation: Mutation): boolean {
    if (this.latched) {
      this.#wantsRoom = true;
      return false;
    }
    const payloadBytes = payloadOf(mutation);
    invariant(payloadBytes <= this.#maxPayloadBytes, 'a mutation fits into one group');
    let group = this.arena.openGroup;
    if (group !== null && !group.fits(mutation, payloadBytes)) {
      this.#seal(group);
      group = null;
    }
    group ??= this.#open(payloadBytes, !isGuests(mutation.kind));
    if (group === null) {
      this.#wantsRoom = true;
      this.#pump();
      return false;
    }
    group.add(mutation, payloadBytes);
    this.payloadBytes += payloadBytes;
    return true;
  }

  /** The step of whoever appends has ended: an idle log sends out what there is. */
  step(): void {
    this.#pump();
  }

  /** True: everything appended is durable. False: `waiter` will hear when it is. */
  sync(waiter: SyncWaiter): boolean {
    if (this.arena.groups.length === 0 && !this.latched) return true;
    waiter.groupSeq = this.#nextGroupSeq - 1;
    this.#waiters.push(waiter);
    this.syncSoon();
    return false;
  }

  /** Makes everything appended so far durable, for nobody in particular. */
  syncSoon(): void {
    this.#needDurable = this.#nextGroupSeq - 1;
  }

  /** There is a spare segment now. */
  segmentReady(): void {
    if (this.#stranded) this.#relocate();
    this.#tellRoom();
    this.#pump();
  }

  /** Files were freed, though perhaps none that is ready. */
  roomMade(): void {
    this.#tellRoom();
  }

  /** No segment can be made. If groups have nowhere to go, everybody who waits is told so. */
  segmentFailed(): void {
    if (!this.#stranded || this.latched) return;
    this.latched = true;
    const open = this.arena.openGroup;
    if (open !== null) this.#seal(open);
    this.syncSoon();
    for (const group of this.arena.groups) group.answerAll(LogStatus.ioError);
    for (const waiter of this.#waiters.drain()) waiter.synced(LogStatus.ioError);
    this.#tellRoom();
  }

  /** Whether a group in RAM has, or had until it failed, its place in this segment. */
  holds(segment: LogSegment): boolean {
    if (segment.movedThrough > this.#durableGroupSeq) return true;
    return this.arena.groups.some((group) => group.segment === segment);
  }

  /** Address in RAM of what is at `offset` of a segment and not durable yet. */
  addressOf(segment: LogSegment, offset: number): number {
    for (const group of this.arena.groups) {
      const inside = offset - group.offset;
      if (group.segment === segment && inside >= 0 && inside < group.bytes) {
        return group.address + inside;
      }
    }
    return fail('what is not durable is in RAM');
  }

  #seal(group: Group): void {
    group.seal();
    group.segment.fillBytes = group.offset + group.bytes;
    if (group.needsSync) this.#needDurable = Math.max(this.#needDurable, group.groupSeq);
  }

  #open(payloadBytes: number, mayUseReserve: boolean): Group | null {
    const needBytes = groupBytesOf(payloadBytes, 1, 1);
    if (this.#stranded) return null;
    const { segmentBytes, reserveBytes } = this.#options;
    let leftBytes = this.#current === null ? 0 : segmentBytes - this.#current.segment.fillBytes;
    const roomBytes = leftBytes + this.#store.roomBytes;
    if (!mayUseReserve && roomBytes < needBytes + reserveBytes) return null;
    if (leftBytes < needBytes) {
      if (!this.#switchSegment()) return null;
      leftBytes = segmentBytes - SEGMENT_HEADER_BYTES;
    }
    const group = this.arena.open(needBytes, leftBytes);
    if (group === null) {
      this.syncSoon();
      return null;
    }
    const placement = this.#current as Placement;
    group.groupSeq = this.#nextGroupSeq++;
    group.placement = placement;
    group.offset = placement.segment.fillBytes;
    if (placement.segment.firstGroupSeq === 0) placement.segment.firstGroupSeq = group.groupSeq;
    return group;
  }

  #switchSegment(): boolean {
    if (this.#current !== null) this.#current.segment.open = false;
    this.#current = null;
    const segment = this.#store.takeSpare();
    if (segment !== null) this.#current = this.#table.place(segment);
    this.#owner.segmentNeeded();
    return segment !== null;
  }

  /** Begins the next disk operation, if none is in flight and one is wanted. */
  #pump(): void {
    if (this.#busy || this.#stranded) return;
    // Those before it are durable, and their members are just being told.
    const first = this.arena.groups[this.#unansweredGroups];
    if (first === undefined) return;
    const next = this.#nextToWrite();
    if (first.state === 'written' && this.#syncsFirst(first, next)) this.#flush(first.segment);
    else if (next !== null) this.#write(next);
  }

  #nextToWrite(): Group | null {
    for (const group of this.arena.groups) if (group.state !== 'written') return group;
    return null;
  }

  #syncsFirst(written: Group, next: Group | null): boolean {
    if (next !== null && next.segment !== written.segment) return true;
    if (this.#needDurable < written.groupSeq) return false;
    // A full group that waits for the same sync is written first: one sync serves both.
    const joins = next !== null && next.state === 'sealed' && next.groupSeq <= this.#needDurable;
    return !joins;
  }

  #write(group: Group): void {
    if (group.state === 'open') this.#seal(group);
    group.writeHeader(this.#durableGroupSeq);
    this.#world.crashPoint('log.before-write');
    const io = this.#writeIo;
    io.bufferOffset = group.address;
    io.lengthBytes = group.bytes;
    io.position = group.offset;
    this.#busy = true;
    group.segment.disk.write(io);
  }

  #writeDone(status: DiskStatus): void {
    const group = this.#nextToWrite();
    invariant(group !== null, 'a write that is done was that of the first unwritten group');
    if (status !== DiskStatus.ok) return this.#abandon(group.segment);
    group.state = 'written';
    this.groupsWritten++;
    this.bytesWritten += group.bytes;
    this.#world.crashPoint('log.after-write');
    if (this.arena.isHalfFull) this.#needDurable = Math.max(this.#needDurable, group.groupSeq);
    this.#busy = false;
    this.#pump();
    if (this.#unansweredGroups > 0) this.#tellDurable();
    this.#owner.together(() => group.answerUnsynced(this.#blocked));
  }

  #flush(segment: LogSegment): void {
    this.#world.crashPoint('log.before-sync');
    this.#busy = true;
    if (this.#options.plantedBug === 'unsynced-log') {
      const { clock, timers } = this.#world;
      timers.at((clock.nowNs() + 50_000) as Nanos, () => this.#flushDone(DiskStatus.ok));
      return;
    }
    segment.disk.flush(this.#flushIo);
  }

  #flushDone(status: DiskStatus): void {
    const { groups } = this.arena;
    const from = this.#unansweredGroups;
    const segment = (groups[from] as Group).segment;
    if (status !== DiskStatus.ok) return this.#abandon(segment);
    this.syncs++;
    this.#world.crashPoint('log.after-sync');
    for (let at = from; at < groups.length; at++) {
      const group = groups[at] as Group;
      if (group.state !== 'written') break;
      this.#unansweredGroups++;
      this.#durableGroupSeq = group.groupSeq;
      segment.durableBytes = group.offset + group.bytes;
      this.#owner.groupDurable(group);
    }
    this.#blocked.clear();
    this.#busy = false;
    // The disk goes on while the members hear of it: they do so when it has the next group.
    const next = this.#nextToWrite();
    if (next !== null) this.#write(next);
    else this.#tellDurable();
  }

  /** Members of durable groups hear of it, and whoever waits for what that frees. */
  #tellDurable(): void {
    this.#owner.together(this.#answerDurable);
    if (this.latched && this.arena.groups.length === 0) this.latched = false;
    this.#answerWaiters();
    this.#tellRoom();
    this.#pump();
  }

  #answerGroups(): void {
    for (; this.#unansweredGroups > 0; this.#unansweredGroups--) {
      (this.arena.groups[0] as Group).answerAll(LogStatus.ok);
      this.arena.releaseOldest();
    }
  }

  #answerWaiters(): void {
    for (;;) {
      const waiter = this.#waiters.peek();
      if (waiter === undefined || waiter.groupSeq > this.#durableGroupSeq) return;
      this.#waiters.shift().synced(LogStatus.ok);
    }
  }

  /** Nothing of the segment that is not durable can be trusted: all of it goes elsewhere. */
  #abandon(segment: LogSegment): void {
    if (this.#unansweredGroups > 0) this.#answerGroups();
    this.#world.log.note(`log segment ${segment.number} is abandoned after a failed write or sync`);
    segment.abandoned = true;
    segment.open = false;
    segment.movedThrough = this.#nextGroupSeq - 1;
    if (segment.durableBytes === SEGMENT_HEADER_BYTES) segment.tops.clear();
    for (const group of this.arena.groups) if (group.state === 'written') group.state = 'sealed';
    this.#blocked.clear();
    this.#busy = false;
    this.#relocate();
    this.#pump();
  }

  /** Gives every group in RAM a place in a segment to which nothing was written yet. */
  #relocate(): void {
    this.#world.crashPoint('log.before-relocate');
    const target = this.#unwrittenSegment();
    this.#stranded = target === null;
    this.#owner.segmentNeeded();
    if (target === null) {
      this.#current = null;
      return;
    }
    this.relocations++;
    const placement = this.#table.place(target);
    let at = SEGMENT_HEADER_BYTES;
    let before: Placement | null = null;
    for (const group of this.arena.groups) {
      if (group.placement !== before && group.placement !== null) {
        before = group.placement;
        before.cutOffset = group.offset;
        before.next = placement;
        before.nextBase = at;
      }
      group.placement = placement;
      group.offset = at;
      if (group.state === 'open') continue;
      at += group.bytes;
      group.countTops();
    }
    target.fillBytes = at;
    target.firstGroupSeq = (this.arena.groups[0] as Group).groupSeq;
    this.#current = placement;
  }

  #unwrittenSegment(): LogSegment | null {
    const current = this.#current?.segment ?? null;
    if (current === null || current.abandoned) return this.#store.takeSpare();
    return current;
  }

  #tellRoom(): void {
    if (!this.#wantsRoom) return;
    this.#wantsRoom = false;
    this.#owner.roomAgain();
  }
}

/** What guests ask for, and so may fill the log with. */
function isGuests(kind: MutationKind): boolean {
  return kind === MutationKind.write || kind === MutationKind.discard || kind === MutationKind.zero;
}
