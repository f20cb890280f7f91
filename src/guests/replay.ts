/**
 * The replay workload: the requests of a trace on a disk, each sector stamped, each read checked.
 *
 * ```
 * [recheck ->] replay -> flush -> read back -> done
 * ```
 * A guest that takes over from one that was killed begins with `recheck`: it reads everything that
 * was ever touched, and what it finds there decides which of the unanswered writes happened. The
 * read back at the end reads it all again.
 *
 * Requests that overlap may be outstanding together, as long as they travel on one queue, because a
 * queue keeps them in order; so overlapping writes of one queue are in flight all the time, which
 * is what makes a replay in the wrong order visible. A request that overlaps one on another queue
 * waits. Requests over 1 MiB are cut, as Linux cuts them.
 *
 * A violation is recorded in words, with the sector, what was expected and what was found. The run
 * goes on: the next ones help to understand the first.
 */
import { StorageError } from '../base/errors.ts';
import { invariant, present } from '../base/invariant.ts';
import { readStamp, StampFault, type StampSource, writeStamps } from '../base/stamps.ts';
import { type Nanos, NEVER, SECTOR_BYTES, SECTORS_PER_PAGE } from '../base/units.ts';
import { type TraceColumns, TraceFlag } from '../traces/trace.ts';
import { type History, HistoryFlag, HistoryStatus, RequestKind } from '../world/history.ts';
import type { World } from '../world/world.ts';
import type { Blkfront } from './blkfront.ts';
import type { DiskModel } from './disk-model.ts';
import type { GuestFrames } from './frames.ts';
import { FrontOp, FrontStatus } from './front-request.ts';
import { GuestPhase, type GuestStats } from './guest-stats.ts';
import { type Pace, Pacer } from './pace.ts';
import { ReplaySlot } from './replay-slot.ts';
import type { Workload } from './workload.ts';

export interface ReplayParts {
  readonly world: World;
  readonly frames: GuestFrames;
  readonly trace: TraceColumns;
  readonly pace: Pace;
  readonly history: History;
  readonly model: DiskModel;
  readonly stats: GuestStats;
  readonly stampSource: StampSource;
  /** This guest continues one that was killed: check first, then go on at the cursor. */
  readonly resumed: boolean;
  /** Latency from the intended start of each request. */
  readonly recordResponse: (latencyNs: number) => void;
}

export interface ReplayResult {
  /** The disk failed for good (policy `fail`): nothing could be read back. */
  readonly diskFailed: boolean;
  readonly violations: readonly string[];
  readonly sectorsVerified: number;
  readonly readBackSectors: number;
}

/** Longest request, in sectors: 1 MiB, the unit that is whole after a crash. */
const MAX_SECTORS = 2048;
const READ_BACK_BLOCKS = 32;
/** Requests of a region keep together: each 128 KiB of the disk belong to one queue. */
const REGION_SECTORS = 256;
const MAX_VIOLATIONS = 20;
/** A read back that fails is tried again after this long, this often. */
const RETRY_NS = 10e6;
const MAX_RETRIES = 500;

export class Replay implements Workload {
  readonly #parts: ReplayParts;
  readonly #pacer: Pacer;
  readonly #slots: ReplaySlot[] = [];
  readonly #free: ReplaySlot[] = [];
  readonly #retries: ReplaySlot[] = [];
  #disk: Blkfront | null = null;
  #phase: GuestPhase = GuestPhase.connecting;
  /** Sectors of the record at the cursor that are already submitted. */
  #cut = 0;
  #readBackBlock = 0;
  /** The flush between replay and read back was submitted. */
  #flushed = false;
  #retryAtNs: Nanos = NEVER;
  #wakeNs: Nanos = NEVER;
  #nowNs: Nanos = 0 as Nanos;
  #acknowledgedWrites = 0;
  readonly #violations: string[] = [];
  #sectorsVerified = 0;
  #readBackSectors = 0;

  constructor(parts: ReplayParts) {
    this.#parts = parts;
    this.#pacer = new Pacer(parts.pace);
    for (let i = 0; i < this.#pacer.depth; i++) {
      const slot = new ReplaySlot((done, status) => this.#done(done, status));
      this.#slots.push(slot);
      this.#free.push(slot);
    }
  }

  begin(disk: Blkfront): void {
    this.#disk = disk;
    if (this.#parts.resumed) this.#enter(GuestPhase.recheck);
    else this.#beginReplay();
  }

  pump(budget: number, nowNs: Nanos): number {
    if (this.#disk === null) return 0;
    this.#nowNs = nowNs;
    this.#wakeNs = NEVER;
    if (this.#disk.state === 'failed') return this.#giveUp();
    let submitted = 0;
    for (let phase: GuestPhase | null = null; phase !== this.#phase; ) {
      phase = this.#phase;
      submitted += this.#pumpPhase(budget - submitted);
    }
    return submitted;
  }

  #pumpPhase(budget: number): number {
    switch (this.#phase) {
      case GuestPhase.recheck:
      case GuestPhase.readBack:
        return this.#pumpReadBack(budget);
      case GuestPhase.replay:
        return this.#pumpTrace(budget);
      case GuestPhase.flush:
        return this.#pumpFlush();
      case GuestPhase.connecting:
      case GuestPhase.done:
        return 0;
    }
  }

  nextDeadlineNs(): Nanos {
    return Math.min(this.#wakeNs, this.#retryAtNs) as Nanos;
  }

  finished(): boolean {
    return this.#phase === GuestPhase.done;
  }

  result(): ReplayResult {
    return {
      diskFailed: this.#disk?.state === 'failed',
      violations: this.#violations,
      sectorsVerified: this.#sectorsVerified,
      readBackSectors: this.#readBackSectors,
    };
  }

  checkInvariants(): void {
    invariant(
      this.#phase !== GuestPhase.done || this.#free.length === this.#slots.length,
      'a finished replay has nothing in flight',
    );
  }

  /**
   * A disk that failed for good answers nothing any more: the guest ends when all has come back.
   */
  #giveUp(): number {
    for (const slot of this.#retries.splice(0)) this.#release(slot, this.#parts.frames);
    if (this.#inFlight === 0 && this.#phase !== GuestPhase.done) this.#enter(GuestPhase.done);
    return 0;
  }

  get #inFlight(): number {
    return this.#slots.length - this.#free.length;
  }

  #enter(phase: GuestPhase): void {
    this.#phase = phase;
    this.#readBackBlock = 0;
    this.#parts.stats.set('phase', phase);
    this.#parts.world.log.event('guest.phase', phase);
  }

  #beginReplay(): void {
    const cursor = this.#parts.stats.get('cursor');
    const { trace, world } = this.#parts;
    this.#enter(GuestPhase.replay);
    if (cursor < trace.requests) {
      this.#pacer.begin(
        world.clock.nowNs(),
        present(trace.t[cursor], 'the cursor is in the trace'),
      );
    }
  }

  #pumpTrace(budget: number): number {
    const { trace, stats } = this.#parts;
    let submitted = 0;
    while (submitted < budget && this.#free.length > 0) {
      const cursor = stats.get('cursor');
      if (cursor >= trace.requests) {
        if (this.#inFlight === 0) this.#enter(GuestPhase.flush);
        break;
      }
      const dueNs = this.#pacer.dueNs(trace.t[cursor] as number, this.#nowNs);
      if (dueNs > this.#nowNs) {
        this.#wakeNs = dueNs;
        break;
      }
      if (!this.#submitRecord(cursor, dueNs)) break;
      submitted++;
    }
    return submitted;
  }

  /** Submits the record at the cursor, or its next piece. False when it must wait. */
  #submitRecord(cursor: number, dueNs: Nanos): boolean {
    const { trace, stats, model } = this.#parts;
    const kind = trace.op[cursor] as RequestKind;
    const slot = present(this.#free[this.#free.length - 1], 'a slot is free');
    const whole = (trace.length[cursor] as number) / SECTOR_BYTES;
    slot.kind = kind;
    slot.lba = (trace.offset[cursor] as number) / SECTOR_BYTES + this.#cut;
    slot.sectors = Math.min(whole - this.#cut, MAX_SECTORS);
    if (kind === RequestKind.flush) slot.lba = slot.sectors = 0;
    invariant(slot.lba + slot.sectors <= model.sectors, 'a fitted trace stays on its disk');
    slot.queue = Math.floor(slot.lba / REGION_SECTORS);
    slot.fua = ((trace.flags[cursor] as number) & TraceFlag.fua) !== 0;
    slot.dueNs = dueNs;
    if (this.#mustWait(slot) || !this.#takeBuffer(slot)) return false;
    this.#free.pop();
    if (this.#pacer.isLate(dueNs, this.#nowNs) && this.#cut === 0) stats.add('lateStarts', 1);
    this.#cut += slot.sectors;
    if (this.#cut >= whole) {
      this.#cut = 0;
      stats.set('cursor', cursor + 1);
    }
    this.#submit(slot);
    return true;
  }

  /** False when others must give their pages back first. */
  #takeBuffer(slot: ReplaySlot): boolean {
    if (slot.takeBuffer(this.#parts.frames)) return true;
    if (this.#inFlight > 0) return false;
    throw new StorageError(
      'E_GUEST_MEMORY_FULL',
      `a request of ${slot.sectors} sectors needs a larger buffer than the guest has`,
      { fields: { sectors: slot.sectors, freePages: this.#parts.frames.freePages } },
    );
  }

  /** A request may not run beside one that it overlaps on another queue. */
  #mustWait(slot: ReplaySlot): boolean {
    const queues = present(this.#disk, 'the disk is connected').queueCount;
    if (queues === 1 || slot.sectors === 0) return false;
    for (const other of this.#slots) {
      if (!other.busy || other.queue % queues === slot.queue % queues) continue;
      if (slot.lba < other.lba + other.sectors && other.lba < slot.lba + slot.sectors) return true;
    }
    return false;
  }

  /** Fills the data, records the invocation, hands the request to the disk. */
  #submit(slot: ReplaySlot): void {
    const { model, history, stampSource, world } = this.#parts;
    const { lba, sectors, kind } = slot;
    slot.busy = true;
    slot.writeIndex = 0;
    slot.flushesBefore = this.#acknowledgedWrites;
    model.touch(lba, sectors);
    switch (kind) {
      case RequestKind.read:
        slot.op = FrontOp.read;
        slot.expect(model);
        break;
      case RequestKind.write:
        slot.op = FrontOp.write;
        slot.writeIndex = model.nextWriteIndex();
        writeStamps(world.memory.u32, slot.address / 4, lba, sectors, slot.writeIndex, stampSource);
        model.changed(lba, sectors, slot.writeIndex);
        break;
      case RequestKind.zero:
        slot.op = FrontOp.write;
        world.memory.clear(slot.address, sectors * SECTOR_BYTES);
        model.changed(lba, sectors, 0);
        break;
      case RequestKind.discard:
        slot.op = FrontOp.discard;
        model.changed(lba, sectors, 0);
        break;
      case RequestKind.flush:
        slot.op = FrontOp.flush;
        break;
    }
    const index = kind === RequestKind.flush ? this.#acknowledgedWrites : slot.writeIndex;
    const flags = slot.fua ? HistoryFlag.fua : 0;
    slot.record = history.invoke(kind, flags, lba, sectors, world.recordClock.nowNs(), index);
    present(this.#disk, 'the disk is connected').submit(slot);
  }

  #done(slot: ReplaySlot, status: FrontStatus): void {
    const { history, stats, world, stampSource, frames } = this.#parts;
    const ackNs = world.recordClock.nowNs();
    const ok = status === FrontStatus.ok;
    let index = slot.kind === RequestKind.flush ? slot.flushesBefore : slot.writeIndex;
    if (ok && slot.kind === RequestKind.read) index = this.#verify(slot);
    history.acknowledge(slot.record, ok ? HistoryStatus.ok : HistoryStatus.error, ackNs, index);
    // Intended starts are times of the guest's own clock, and so is what is counted from them.
    const nowNs = world.clock.nowNs();
    this.#parts.recordResponse(nowNs - (slot.readBack ? slot.submittedNs : slot.dueNs));
    if (ok && slot.kind === RequestKind.write) this.#acknowledgedWrites++;
    if (ok && slot.kind === RequestKind.flush) stampSource.flushes++;
    if (!ok) stats.add('errors', 1);
    stats.add('completed', 1);
    slot.busy = false;
    if (slot.readBack && !ok) this.#retryLater(slot);
    else this.#release(slot, frames);
  }

  #release(slot: ReplaySlot, frames: GuestFrames): void {
    slot.giveBuffer(frames);
    slot.readBack = false;
    slot.retries = 0;
    this.#free.push(slot);
  }

  /** Checks every sector of a read. Returns what its record says of the finding. */
  #verify(slot: ReplaySlot): number {
    const { world, model, stampSource } = this.#parts;
    const words = world.memory.u32;
    // A read that was replayed may find what was submitted after it and done before the crash.
    const end = slot.replayed ? this.#parts.history.length : slot.record;
    const findings = present(this.#parts.history.findings, 'a replay keeps what its reads found');
    findings.begin();
    for (let i = 0; i < slot.sectors; i++) {
      const sector = slot.lba + i;
      const at = (slot.address + i * SECTOR_BYTES) / 4;
      const found = readStamp(words, at, stampSource.disk, sector);
      findings.sector(found);
      const expected = slot.expected[i] as number;
      if (found !== expected) {
        const allowed = found >= 0 && model.allows(sector, found, end);
        if (!allowed) this.#violation(sector, expected, found, slot);
        else if (slot.readBack) this.#parts.stats.add('reverted', 1);
      }
      if (slot.readBack && found >= 0) model.freeze(sector, found);
    }
    this.#sectorsVerified += slot.sectors;
    if (slot.readBack) {
      this.#readBackSectors += slot.sectors;
      this.#parts.stats.add('readBackSectors', slot.sectors);
    }
    return findings.end();
  }

  #violation(sector: number, expected: number, found: number, slot: ReplaySlot): void {
    this.#parts.stats.add('violations', 1);
    this.#parts.world.log.event('guest.violation', sector, found);
    if (this.#violations.length >= MAX_VIOLATIONS) return;
    const where = slot.readBack ? 'read back' : 'read';
    this.#violations.push(
      `${where} of sector ${sector}: expected ${wording(expected)}, found ${wording(found)} ` +
        `(history record ${slot.record})`,
    );
  }

  #pumpFlush(): number {
    if (this.#inFlight > 0) return 0;
    if (this.#flushed) {
      this.#enter(GuestPhase.readBack);
      return 0;
    }
    this.#flushed = true;
    const slot = present(this.#free.pop(), 'nothing is in flight');
    slot.kind = RequestKind.flush;
    slot.lba = slot.sectors = slot.queue = 0;
    slot.fua = false;
    slot.dueNs = this.#nowNs;
    this.#submit(slot);
    return 1;
  }

  #pumpReadBack(budget: number): number {
    let submitted = this.#pumpRetries();
    while (submitted < budget && this.#free.length > 0) {
      const run = this.#parts.model.nextTouched(this.#readBackBlock, READ_BACK_BLOCKS);
      if (run === null) {
        if (this.#inFlight === 0) this.#endReadBack();
        break;
      }
      const slot = present(this.#free[this.#free.length - 1], 'a slot is free');
      slot.kind = RequestKind.read;
      slot.lba = run.block * SECTORS_PER_PAGE;
      slot.sectors = Math.min(run.blocks * SECTORS_PER_PAGE, this.#parts.model.sectors - slot.lba);
      slot.queue = Math.floor(slot.lba / REGION_SECTORS);
      slot.fua = false;
      slot.dueNs = this.#nowNs;
      if (!this.#takeBuffer(slot)) break;
      this.#free.pop();
      slot.readBack = true;
      this.#readBackBlock = run.block + run.blocks;
      this.#submit(slot);
      submitted++;
    }
    return submitted;
  }

  #endReadBack(): void {
    if (this.#phase === GuestPhase.recheck) this.#beginReplay();
    else this.#enter(GuestPhase.done);
  }

  #retryLater(slot: ReplaySlot): void {
    if (++slot.retries > MAX_RETRIES) {
      this.#violations.push(`read back of sector ${slot.lba} failed ${slot.retries} times`);
      this.#parts.stats.add('violations', 1);
      this.#release(slot, this.#parts.frames);
      return;
    }
    this.#retries.push(slot);
    this.#retryAtNs = (this.#parts.world.clock.nowNs() + RETRY_NS) as Nanos;
  }

  #pumpRetries(): number {
    if (this.#retries.length === 0 || this.#nowNs < this.#retryAtNs) return 0;
    this.#retryAtNs = NEVER;
    const again = this.#retries.splice(0);
    for (const slot of again) this.#submit(slot);
    return again.length;
  }
}

function wording(index: number): string {
  if (index === StampFault.garbage) return 'no stamp at all';
  if (index === StampFault.misplaced) return 'a stamp of another place';
  if (index === StampFault.torn) return 'a torn sector';
  return index === 0 ? 'zeros' : `write ${index}`;
}
