/**
 * The way of a mutation: from a request that may run to an acknowledgement.
 *
 * ```
 * submit    known already (the log has it from a former life)?  answer it, and that is all
 * park      no room: behind what waits already. Reads are not held up by this
 * append    the payload is copied into the log's open group; or, by policy, into memory
 * number    its vdiSeq is taken, and the order tap hears of it: before any disk does
 * logged    as durable as the policy says: enter it in the dirty map, in the order of numbers
 * answer    now, or when the batch is under a published root (W0)
 * ```
 * Pieces become visible to reads at `logged`, not before: whoever reads a value may rely on it as
 * on an acknowledgement. Overlapping requests do not meet here, because the back end runs them one
 * after the other.
 *
 * There is no room when the log has none, when more is dirty than may be, or when memory for
 * payloads of a policy without log is out. Above half of what may be dirty, mutations are spread
 * over time so that a guest slows down to the speed of destage rather than running into a wall.
 *
 * A mutation that the log cannot keep is answered with an error and leaves no trace in the map; its
 * outcome is unknown until the disk is opened again, as for any failed write.
 */
import { Fifo } from '../../base/fifo.ts';
import { fail, invariant } from '../../base/invariant.ts';
import { SECTOR_BYTES, SECTORS_PER_PAGE } from '../../base/units.ts';
import { DeviceOp, type DeviceRequest, DeviceStatus } from '../../world/block-device.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { PlantedBug } from '../../world/faults.ts';
import type { World } from '../../world/world.ts';
import type { MemoryCache } from '../cache/memory-cache.ts';
import { MutationKind } from '../formats/log-group.ts';
import type { DirtyLog } from '../log/dirty-log.ts';
import { LogStatus } from '../log/mutation.ts';
import type { BatchMark } from './batches.ts';
import { IN_MEMORY, ZEROS } from './dirty-map.ts';
import { MutationRecord } from './mutation-record.ts';
import type { PayloadMemory } from './payload-memory.ts';
import type { Policy } from './policy.ts';
import type { Throttle } from './throttle.ts';
import type { Vdi } from './vdi.ts';

export interface WritePathParts {
  readonly world: World;
  readonly vdi: Vdi;
  readonly log: DirtyLog;
  readonly cache: MemoryCache;
  readonly payloads: PayloadMemory;
  readonly throttle: Throttle;
  readonly plantedBug: PlantedBug;
  /** Destage may have work now. */
  readonly onDirty: () => void;
  /** A mutation is parked until something of this disk is published. */
  readonly onNoRoom: () => void;
  /** A mutation is parked until something that is in the log, of whatever disk, is published. */
  readonly onLogFull: () => void;
}

/** Who hears the number that a guest's mutation gets, before the log has it. */
export type Numbered = (request: DeviceRequest, vdiSeq: number, generation: number) => void;

export class WritePath {
  readonly #parts: WritePathParts;
  readonly #free: MutationRecord[] = [];
  /** In the order in which they will be numbered. */
  readonly #parked = new Fifo<MutationRecord>();
  /** Answered when their batch is under a published root. */
  readonly #unpublished = new Fifo<MutationRecord>();
  readonly #fronts = new Map<number, Numbered>();
  /** The planted bug `late-snapshot`: a mark that waits for the next write. */
  #lateMark: BatchMark | null = null;
  /** Of guests' mutations that the log has and that are not in the dirty map yet. */
  #loggingBytes = 0;
  /** Records of all kinds that the log has been given and has not answered. */
  #logging = 0;
  #whenSettled: (() => void)[] = [];

  constructor(parts: WritePathParts) {
    this.#parts = parts;
  }

  get parked(): number {
    return this.#parked.length;
  }

  /** What will be dirty as soon as the log has it. */
  get loggingBytes(): number {
    return this.#loggingBytes;
  }

  /** Mutations of this front end are told to `numbered` when they get their numbers. */
  addFront(frontId: number, numbered: Numbered): void {
    this.#fronts.set(frontId, numbered);
  }

  /** A write or a discard that nothing in flight overlaps. */
  submit(request: DeviceRequest, frontId: number): void {
    const { vdi, log } = this.#parts;
    if (vdi.state !== 'serving') {
      request.deviceDone(DeviceStatus.ioError);
      return;
    }
    const { frontSeq, partOffset } = request.origin;
    if (frontSeq !== 0 && log.answered(frontId, frontSeq, partOffset)) {
      request.deviceDone(DeviceStatus.ok);
      return;
    }
    const record = this.#take(
      request.op === DeviceOp.write ? MutationKind.write : MutationKind.discard,
    );
    record.request = request;
    record.frontId = frontId;
    record.frontSeq = frontSeq;
    record.partOffset = partOffset;
    record.unitSectors = request.origin.unitSectors;
    record.writeIndex = request.origin.writeIndex;
    record.lba = request.lba;
    record.sectors = request.sectors;
    record.address = request.address;
    this.#enter(record);
  }

  /**
   * A record of the disk's own takes its place in the order; `settled` hears its number when it is
   * durable, or 0 if it cannot be kept.
   */
  append(
    kind: MutationKind,
    mark: BatchMark | null,
    detail: number,
    settled: (vdiSeq: number) => void,
  ): void {
    const record = this.#take(kind);
    record.mark = mark;
    record.detail = detail;
    record.settled = settled;
    record.needsSync = true;
    this.#enter(record);
  }

  /** There may be room now for what is parked. */
  pump(): void {
    for (let record = this.#parked.peek(); record !== undefined; record = this.#parked.peek()) {
      if (!this.#start(record)) return;
      this.#parked.shift();
    }
  }

  logged(record: MutationRecord, status: LogStatus): void {
    this.#logging--;
    if (record.request !== null) this.#loggingBytes -= record.sectors * SECTOR_BYTES;
    if (status === LogStatus.ok) this.#enterDirty(record);
    else this.#enterVoid(record);
    this.#answer(record, status === LogStatus.ok);
    // What was parked for the sake of these alone is not waited for by any publish.
    if (this.#loggingBytes === 0 && this.#parked.length > 0) this.pump();
    if (this.#logging === 0) for (const settle of this.#whenSettled.splice(0)) settle();
  }

  /** Settles when the log has answered everything that it was given. */
  async settled(): Promise<void> {
    if (this.#logging > 0) await new Promise<void>((resolve) => this.#whenSettled.push(resolve));
  }

  /** Everything up to the watermark is under a published root. */
  published(): void {
    const { vdi } = this.#parts;
    for (let first = this.#unpublished.peek(); first !== undefined; ) {
      if (first.vdiSeq > vdi.watermark) break;
      this.#answer(this.#unpublished.shift(), true);
      first = this.#unpublished.peek();
    }
    this.pump();
  }

  /** The disk serves no more: whatever waits is answered with an error. */
  failAll(): void {
    for (const record of this.#parked.drain()) this.#answer(record, false);
    for (const record of this.#unpublished.drain()) this.#answer(record, false);
  }

  #enter(record: MutationRecord): void {
    if (this.#parked.length > 0 || !this.#start(record)) this.#parked.push(record);
  }

  /** False: there is no room now, and it keeps its place. */
  #start(record: MutationRecord): boolean {
    const { vdi, log, throttle } = this.#parts;
    if (vdi.state !== 'serving') {
      this.#answer(record, false);
      return true;
    }
    const bytes = record.sectors * SECTOR_BYTES;
    if (record.request !== null) {
      const may = throttle.mayTake(bytes);
      if (may !== 'now') return may === 'later' ? false : this.#noRoom();
    }
    record.vdi = vdi.id;
    record.generation = vdi.image.generation;
    record.vdiSeq = vdi.nextSeq;
    if (!vdi.clauses.logged) return this.#keepInMemory(record);
    record.needsSync ||= vdi.clauses.syncBeforeAck && this.#parts.plantedBug !== 'ack-before-sync';
    if (!log.append(record)) {
      record.vdiSeq = 0;
      if (!log.latched) {
        this.#parts.onLogFull();
        return false;
      }
      this.#answer(record, false);
      return true;
    }
    this.#logging++;
    if (record.request !== null) this.#loggingBytes += bytes;
    this.#numbered(record);
    throttle.taken(bytes);
    return true;
  }

  /** It stays parked; destage is told that somebody waits for what only it can free. */
  #noRoom(): false {
    this.#parts.onNoRoom();
    return false;
  }

  /**
   * The number is taken, and nothing of it is on any disk yet: the order tap hears of it. What the
   * disk itself puts into the order ends an epoch, for a recovery too that finds it in the log
   * though nobody was told that it is there.
   */
  #numbered(record: MutationRecord): void {
    const { vdi } = this.#parts;
    vdi.nextSeq++;
    const { request, frontId, vdiSeq, generation } = record;
    if (request === null) {
      vdi.listener?.epochEnded(vdiSeq, generation, record.mark === null);
      return;
    }
    this.#fronts.get(frontId)?.(request, vdiSeq, generation);
    this.#parts.world.crashPoint('log.after-append');
  }

  /** A policy without log: the payload waits in memory for its batch. */
  #keepInMemory(record: MutationRecord): boolean {
    const { payloads, throttle } = this.#parts;
    if (record.kind === MutationKind.write) {
      const blocks = lastBlock(record) - firstBlock(record) + 1;
      if (payloads.free < blocks) {
        record.vdiSeq = 0;
        return this.#noRoom();
      }
    }
    this.#numbered(record);
    throttle.taken(record.sectors * SECTOR_BYTES);
    this.#enterDirty(record);
    this.#answer(record, true);
    return true;
  }

  /**
   * The log has refused it, and may have it all the same. Its number was given and stands for
   * nothing in this life: the watermark goes past it like past any other, or the log would keep it
   * for an image that nobody writes to any more.
   */
  #enterVoid({ vdiSeq }: MutationRecord): void {
    const { vdi, world, onDirty } = this.#parts;
    invariant(vdiSeq > vdi.dirtySeq, 'mutations are refused in the order of the disk');
    vdi.dirtySeq = vdiSeq;
    vdi.batches.add(vdiSeq, 0, world.clock.nowNs());
    onDirty();
  }

  /** The mutation counts: what it wrote is in the map, and its number in a batch. */
  #enterDirty(record: MutationRecord): void {
    const { vdi, world } = this.#parts;
    const nowNs = world.clock.nowNs();
    invariant(record.vdiSeq > vdi.dirtySeq, 'mutations are acknowledged in the order of the disk');
    vdi.dirtySeq = record.vdiSeq;
    if (record.request !== null) {
      for (let block = firstBlock(record); block <= lastBlock(record); block++) {
        this.#enterBlock(record, block);
      }
      const late = this.#lateMark;
      this.#lateMark = null;
      if (late === null) vdi.batches.add(record.vdiSeq, record.sectors * SECTOR_BYTES, nowNs);
      else vdi.batches.mark(late, record.vdiSeq, nowNs);
    } else if (record.mark !== null) {
      this.#enterMark(record, record.mark, nowNs);
    } else {
      vdi.batches.endEpoch(record.vdiSeq, nowNs);
    }
    this.#parts.onDirty();
  }

  #enterMark({ vdiSeq, generation }: MutationRecord, mark: BatchMark, nowNs: number): void {
    const { vdi, plantedBug } = this.#parts;
    if (mark.kind === 'snapshot') {
      vdi.listener?.snapshotTaken(mark.id, vdiSeq, generation);
      if (plantedBug === 'late-snapshot') {
        this.#lateMark = mark;
        return;
      }
    }
    vdi.batches.mark(mark, vdiSeq, nowNs);
    if (mark.kind === 'snapshot') return;
    const policy = mark.policy as Policy;
    vdi.setPolicy(policy);
    vdi.listener?.policyChanged(policy, vdiSeq, generation);
  }

  #enterBlock(record: MutationRecord, block: number): void {
    const { vdi, cache, payloads, world } = this.#parts;
    const begin = Math.max(record.lba, block * SECTORS_PER_PAGE);
    const end = Math.min(record.lba + record.sectors, (block + 1) * SECTORS_PER_PAGE);
    const first = begin - block * SECTORS_PER_PAGE;
    const sectors = end - begin;
    const batch = vdi.batches.openNumber;
    if (record.kind !== MutationKind.write) {
      vdi.dirty.add(block, first, sectors, batch, ZEROS, 0, 0);
      cache.invalidate(vdi.id, block);
      return;
    }
    const into = (begin - record.lba) * SECTOR_BYTES;
    const source = record.address + into;
    if (vdi.clauses.logged) {
      const crc = record.pieceCrcs[block - firstBlock(record)] as number;
      vdi.dirty.add(block, first, sectors, batch, record.segment, record.offset + into, crc);
    } else {
      const address = payloads.take();
      const crc = world.digest.crc32(world.memory.u8, source, sectors * SECTOR_BYTES);
      world.memory.copy(address, source, sectors * SECTOR_BYTES);
      vdi.dirty.add(block, first, sectors, batch, IN_MEMORY, address, crc);
    }
    this.#enterCache(block, first, sectors, source);
  }

  #enterCache(block: number, first: number, sectors: number, source: number): void {
    const { vdi, cache, world } = this.#parts;
    if (sectors === SECTORS_PER_PAGE) {
      world.memory.copy(cache.insert(vdi.id, block), source, BLOCK_BYTES);
    } else {
      cache.update(vdi.id, block, first, sectors, source);
    }
  }

  #answer(record: MutationRecord, ok: boolean): void {
    const { vdi } = this.#parts;
    if (ok && vdi.clauses.publishBeforeAck && record.vdiSeq > vdi.watermark) {
      this.#unpublished.push(record);
      return;
    }
    const { request, settled, vdiSeq } = record;
    record.clear();
    this.#free.push(record);
    settled?.(ok ? vdiSeq : 0);
    request?.deviceDone(ok ? DeviceStatus.ok : DeviceStatus.ioError);
  }

  #take(kind: MutationKind): MutationRecord {
    const record = this.#free.pop() ?? new MutationRecord(this, this.#parts.log.maxPieces);
    record.kind = kind;
    record.needsSync = false;
    record.frontId = 0;
    record.frontSeq = 0;
    record.partOffset = 0;
    record.unitSectors = 0;
    record.writeIndex = 0;
    record.lba = 0;
    record.sectors = 0;
    record.detail = 0;
    return record;
  }
}

function firstBlock({ lba }: MutationRecord): number {
  return Math.floor(lba / SECTORS_PER_PAGE);
}

function lastBlock({ lba, sectors }: MutationRecord): number {
  if (sectors === 0) return fail('a mutation of a guest has sectors');
  return Math.floor((lba + sectors - 1) / SECTORS_PER_PAGE);
}
