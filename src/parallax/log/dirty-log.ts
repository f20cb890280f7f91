/**
 * The dirty log: everything that guests were promised and that no published root has yet.
 *
 * One log per incarnation of a driver VM serves all its VDIs. What it promises, each sentence held
 * by a test:
 *
 * 1. A mutation with `needsSync` that was `logged` with `ok` is found by every later recovery, with
 *    its number and whole, after a kill of the driver VM and after a loss of power, until its VDI
 *    is `published` up to it.
 * 2. One without `needsSync` is found after a kill. A loss of power may take it, but only together
 *    with everything that was appended after it; never if a `sync` that began later has ended.
 * 3. What a recovery finds is a prefix of what was appended: of each VDI the numbers without a gap,
 *    each entry whole, in the order of append, also across VDIs.
 * 4. `logged` comes once, in the order of append within a VDI.
 * 5. A failed write or fdatasync loses nothing and skips no number; if nothing can be written any
 *    more mutations fail, reads go on, and when space is back the log goes on where it was.
 * 6. A recovery that is interrupted at any point, any number of times, finds the same in the end.
 * 7. Damage inside what was durable is reported and never passed over or cut off silently; bytes
 *    that were changed on the medium are never handed out as an entry.
 * 8. An older incarnation that still runs changes nothing that a newer one has found.
 *
 * How: groups with a header and three CRCs are appended to segments (`formats/log-group.ts`), one
 * commit at a time (`group-commit.ts`); segments are prepared, retired and recycled by
 * `segment-store.ts`; checkpoints name them (`formats/checkpoint.ts`); `recovery.ts` reads it all.
 * An incarnation writes only files that carry its number. What it inherits it reads until retired.
 *
 * Not done: no merging of overwritten data inside the log, no wrapping inside a segment, no
 * copying of live data out of old segments. A VDI that publishes nothing holds the log's tail, and
 * in the end its host's guests: the destage of every VDI has a bound on age for that reason.
 */
import { nanos } from '../../base/units.ts';
import { diskCall } from '../../world/disk-story.ts';
import { type DiskIo, DiskStatus, type World } from '../../world/world.ts';
import { ChainState, type Checkpoint, type CheckpointChain } from '../formats/checkpoint.ts';
import { LogEntry } from '../formats/log-group.ts';
import type { AnsweredWindow } from './answered-window.ts';
import { Checkpointer } from './checkpointer.ts';
import type { Group } from './group.ts';
import { type CommitOwner, GroupCommit } from './group-commit.ts';
import { checkLogOptions, type LogOptions, maxPieces } from './log-options.ts';
import type { Mutation, SyncWaiter } from './mutation.ts';
import type { RecoveredChain, RecoveredLog } from './recovered-log.ts';
import type { LogSegment, PlacementTable } from './segment.ts';
import { SegmentStore } from './segment-store.ts';
import { VdiTable } from './vdi-numbers.ts';

export interface LogStatistics {
  /** Bytes in files of segments. */
  readonly usedBytes: number;
  /** Bytes of groups in segments that are not retired. */
  readonly liveBytes: number;
  /** Bytes of groups not durable yet. */
  readonly volatileBytes: number;
  /** Of mutations, since the incarnation began. */
  readonly payloadBytes: number;
  readonly writtenBytes: number;
  readonly groups: number;
  readonly syncs: number;
  readonly relocations: number;
  readonly checkpoints: number;
  readonly checkpointBytes: number;
}

export class DirtyLog implements CommitOwner {
  readonly #world: World;
  readonly #options: LogOptions;
  readonly #incarnation: number;
  readonly #table: PlacementTable;
  readonly #window: AnsweredWindow;
  #chains: readonly RecoveredChain[];
  #stale: readonly string[];
  readonly #vdis: VdiTable;
  readonly #checkpointer: Checkpointer;
  readonly #store: SegmentStore;
  readonly #commit: GroupCommit;
  readonly #onRoom: () => void;
  readonly #together: (answer: () => void) => void;
  readonly #entry = new LogEntry();
  #bytesAtCheckpoint = 0;
  #checkpointArmed = false;
  #retryArmed = false;
  #closed = false;
  /** What a background story threw: the next step throws it. */
  #thrown: { readonly reason: unknown } | null = null;

  /**
   * `onRoom`: an append that was refused may be tried again. `together` is handed each run of
   * answers of one group and calls it, so that the answers can travel as one.
   */
  constructor(
    world: World,
    options: LogOptions,
    found: RecoveredLog,
    onRoom: () => void,
    together: (answer: () => void) => void = (answer) => answer(),
  ) {
    checkLogOptions(options);
    this.#world = world;
    this.#options = options;
    this.#incarnation = found.incarnation;
    this.#table = found.table;
    this.#window = found.window;
    this.#chains = found.chains;
    this.#stale = found.stale;
    this.#onRoom = onRoom;
    this.#together = together;
    this.#vdis = new VdiTable(options.maxVdis);
    for (const one of found.vdis.values()) {
      const last = Math.max(one.lastVdiSeq, one.reservedVdiSeq);
      this.#vdis.restore(one.vdi, one.generation, last, one.published);
    }
    const build = (sequence: number): Checkpoint => this.#buildCheckpoint(sequence);
    this.#checkpointer = new Checkpointer(world, found.sides, build);
    this.#store = new SegmentStore(
      world,
      options,
      found.incarnation,
      found.table,
      this.#checkpointer,
      {
        live: found.live,
        kept: found.chains.flatMap(({ segments }) => segments),
        first: found.firstSegment,
      },
      this.#rethrowInStep,
    );
    this.#commit = new GroupCommit(world, options, this.#store, found.table, this);
  }

  /**
   * Makes what the recovery found the truth of this incarnation, and a segment to append to.
   * Nothing is appended before. False if the disk has no room for a segment: it is tried again.
   */
  async start(): Promise<boolean> {
    this.#retire();
    if (await this.#settled()) await this.#removeStale();
    this.#world.crashPoint('log.after-cut');
    const ready = await this.#store.prepare();
    if (ready) this.#commit.segmentReady();
    else this.#retryLater();
    return ready;
  }

  /** Mutations cannot be kept: they fail. Reads go on. */
  get latched(): boolean {
    return this.#commit.latched;
  }

  /** Blocks that one mutation may have a part of. */
  get maxPieces(): number {
    return maxPieces(this.#options);
  }

  /** A step would send something out. */
  get hasWork(): boolean {
    return this.#thrown !== null || this.#commit.hasWork;
  }

  /** The highest number that this log, or one before it, may have given to the VDI; 0: none. */
  lastVdiSeq(vdi: number): number {
    return this.#vdis.lastOf(vdi);
  }

  /**
   * Takes a mutation and copies its payload, or says that there is no room: whoever asked keeps it,
   * in order, until `onRoom`. A latched log takes nothing either: then the mutation has failed.
   */
  append(mutation: Mutation): boolean {
    this.#vdis.checkNext(mutation.vdi, mutation.vdiSeq);
    if (!this.#commit.append(mutation)) return false;
    this.#vdis.appended(mutation.vdi, mutation.generation, mutation.vdiSeq);
    this.#armCheckpoint();
    return true;
  }

  /** To be called at the end of each step of the actor: sends out what gathered in it. */
  step(): void {
    if (this.#thrown !== null) throw this.#thrown.reason;
    this.#commit.step();
  }

  /** True: everything appended before is durable. False: the waiter will hear, and not inside. */
  sync(waiter: SyncWaiter): boolean {
    return this.#commit.sync(waiter);
  }

  /** Everything of the VDI up to `vdiSeq` is under a published root. */
  published(vdi: number, vdiSeq: number): void {
    if (this.#vdis.published(vdi, vdiSeq)) this.#retire();
  }

  /** A life of the VDI begins here, of which the root has everything up to `published`. */
  beginVdi(vdi: number, published: number): void {
    this.#vdis.begin(vdi, published);
    this.#retire();
  }

  /**
   * Keeps everything of the VDI, whatever is told to be published: what the log has of it is not of
   * what its root stands for. To be called for each incarnation anew: before `start`, or before a
   * life of the VDI begins.
   */
  holdVdi(vdi: number): void {
    this.#vdis.hold(vdi, true);
  }

  releaseVdi(vdi: number): void {
    this.#vdis.hold(vdi, false);
    this.#retire();
  }

  /** The VDI is deleted: nothing of it in the log is needed. */
  forgetVdi(vdi: number): void {
    this.#vdis.forget(vdi);
    this.#retire();
  }

  /** The front end is gone for good. */
  forgetFront(frontId: number): void {
    this.#window.forget(frontId);
  }

  /** Whether this part of a request is in the log, durably. For replays. */
  answered(frontId: number, frontSeq: number, partOffset: number): boolean {
    return this.#window.has(frontId, frontSeq, partOffset);
  }

  /** The operator accepts what damage has taken: its remains are removed. */
  acceptDamage(): void {
    if (!this.#chains.some(({ state }) => state === ChainState.damaged)) return;
    this.#store.discardEvidence();
    this.#chains = this.#chains.map((chain) => ({ ...chain, state: ChainState.cut }));
    this.#background(this.#settled());
  }

  /** Keeps what is read from being retired; `unpin` when the read has ended. */
  pin(segment: number): void {
    this.#table.pin(segment);
  }

  unpin(segment: number): void {
    this.#table.unpin(segment);
    this.#retire();
  }

  /** Reads payload into the host's RAM, inline. */
  readNow(segment: number, offset: number, lengthBytes: number, address: number): DiskStatus {
    if (this.#readVolatile(segment, offset, lengthBytes, address)) return DiskStatus.ok;
    const { disk } = this.#table.resolve(segment, offset);
    return disk.readNow(this.#world.memory.u8, address, lengthBytes, this.#table.offset);
  }

  /**
   * Reads payload into `io.buffer`, which is the host's RAM; position is set here. True: it is
   * done, and `diskDone` is not called. False: it will be. The caller pins the segment meanwhile.
   */
  read(segment: number, offset: number, io: DiskIo): boolean {
    if (this.#readVolatile(segment, offset, io.lengthBytes, io.bufferOffset)) return true;
    const { disk } = this.#table.resolve(segment, offset);
    io.position = this.#table.offset;
    disk.read(io);
    return false;
  }

  /**
   * Reads payloads and what lies between them to RAM, as one. False: they are not all durable, are
   * not beside each other any more, or the disk does not give them. The caller pins the segment.
   */
  async readSpan(
    segment: number,
    offset: number,
    lengthBytes: number,
    address: number,
  ): Promise<boolean> {
    const { disk, durableBytes } = this.#table.resolve(segment, offset);
    const position = this.#table.offset;
    if (position + lengthBytes > durableBytes) return false;
    const isWhole = this.#table.resolve(segment, offset + lengthBytes - 1).disk === disk;
    if (!isWhole || this.#table.offset !== position + lengthBytes - 1) return false;
    const { u8 } = this.#world.memory;
    return (await diskCall(disk, 'read', position, u8, address, lengthBytes)) === DiskStatus.ok;
  }

  statistics(): LogStatistics {
    const commit = this.#commit;
    let liveBytes = 0;
    for (const segment of this.#store.live) liveBytes += segment.fillBytes;
    return {
      usedBytes: this.#store.files * this.#options.segmentBytes,
      liveBytes,
      volatileBytes: commit.arena.usedBytes,
      payloadBytes: commit.payloadBytes,
      writtenBytes: commit.bytesWritten,
      groups: commit.groupsWritten,
      syncs: commit.syncs,
      relocations: commit.relocations,
      checkpoints: this.#checkpointer.written,
      checkpointBytes: this.#checkpointer.bytes,
    };
  }

  /** A durable checkpoint of now; false if it could not be written. */
  async checkpoint(): Promise<boolean> {
    const written = await this.#checkpointer.write();
    if (written) this.#checkpointWritten();
    else this.#retryLater();
    return written;
  }

  /** The clean end: everything durable, checkpointed, closed. Nobody appends any more. */
  async close(): Promise<void> {
    this.#closed = true;
    if (!this.#commit.isIdle && !this.latched) {
      await new Promise<void>((resolve) => {
        if (this.sync({ groupSeq: 0, synced: () => resolve() })) resolve();
        this.step();
      });
    }
    await this.checkpoint();
    await this.#store.close();
    await this.#checkpointer.close();
  }

  groupDurable(group: Group): void {
    group.forEach(this.#entry, this.#addAnswered);
    const bytes = this.#commit.bytesWritten - this.#bytesAtCheckpoint;
    if (bytes >= this.#options.checkpointEveryBytes) {
      this.#bytesAtCheckpoint = this.#commit.bytesWritten;
      this.#background(this.checkpoint());
    }
  }

  together(answer: () => void): void {
    this.#together(answer);
  }

  roomAgain(): void {
    this.#onRoom();
  }

  segmentNeeded(): void {
    if (!this.#closed && !this.#store.hasSpare) this.#background(this.#prepare());
  }

  readonly #addAnswered = ({ frontId, frontSeq, partOffset }: LogEntry): void => {
    this.#window.add(frontId, frontSeq, partOffset);
  };

  #readVolatile(handle: number, offset: number, lengthBytes: number, address: number): boolean {
    const segment = this.#table.resolve(handle, offset);
    const at = this.#table.offset;
    if (at < segment.durableBytes) return false;
    this.#world.memory.copy(address, this.#commit.addressOf(segment, at), lengthBytes);
    return true;
  }

  readonly #isNeeded = (segment: LogSegment): boolean =>
    this.#vdis.needs(segment) || this.#commit.holds(segment);

  #retire(): void {
    if (!this.#store.retire(this.#isNeeded)) return;
    this.#vdis.dropForgotten(this.#store.live);
    if (this.#checkpointer.sequence > 0) this.#background(this.#settled());
  }

  /** Two checkpoints: after them neither file names what was retired before. */
  async #settled(): Promise<boolean> {
    return (await this.checkpoint()) && (await this.checkpoint());
  }

  /** Files of older incarnations that nothing names any more. */
  async #removeStale(): Promise<void> {
    for (const name of this.#stale) {
      this.#world.crashPoint('log.before-remove');
      await this.#world.disks.remove(name);
    }
    this.#stale = [];
  }

  #checkpointWritten(): void {
    const had = this.#store.hasRetired;
    this.#store.release();
    if (!had) return;
    if (!this.#store.hasSpare && this.#checkpointer.sequence > 1) this.segmentNeeded();
    this.#commit.roomMade();
  }

  async #prepare(): Promise<void> {
    if (await this.#store.prepare()) {
      if (this.#store.hasSpare) this.#commit.segmentReady();
    } else {
      this.#commit.segmentFailed();
      this.#retryLater();
    }
  }

  #armCheckpoint(): void {
    if (this.#checkpointArmed) return;
    this.#checkpointArmed = true;
    const deadlineNs = nanos(this.#world.clock.nowNs() + this.#options.checkpointEveryNs);
    this.#world.timers.at(deadlineNs, () => {
      this.#checkpointArmed = false;
      if (this.#closed) return;
      this.#commit.syncSoon();
      this.#commit.step();
      this.#retire();
      this.#background(this.checkpoint());
    });
  }

  #retryLater(): void {
    if (this.#retryArmed || this.#closed) return;
    this.#retryArmed = true;
    const deadlineNs = nanos(this.#world.clock.nowNs() + this.#options.retryNs);
    this.#world.timers.at(deadlineNs, () => {
      this.#retryArmed = false;
      if (this.#closed) return;
      if (this.#store.hasRetired) this.#background(this.#settled());
      this.segmentNeeded();
    });
  }

  #background(story: Promise<unknown>): void {
    story.catch(this.#rethrowInStep);
  }

  readonly #rethrowInStep = (reason: unknown): void => {
    this.#thrown ??= { reason };
  };

  #buildCheckpoint(sequence: number): Checkpoint {
    const { live, prepared } = this.#store;
    const chains: CheckpointChain[] = [];
    for (const { incarnation, state, cutGroupSeq, segments } of this.#chains) {
      const kept = segments.filter((segment) => segment.quarantined || live.includes(segment));
      if (kept.length === 0 && state !== ChainState.damaged) continue;
      chains.push({ incarnation, state, cutGroupSeq, segments: kept });
    }
    const own = live.filter((segment) => segment.incarnation === this.#incarnation);
    chains.push({
      incarnation: this.#incarnation,
      state: ChainState.open,
      cutGroupSeq: 0,
      segments: [...own, ...prepared],
    });
    return {
      incarnation: this.#incarnation,
      sequence,
      durableGroupSeq: this.#commit.durableGroupSeq,
      vdis: this.#vdis.encode(),
      chains,
      fronts: this.#window.encode(),
    };
  }
}
