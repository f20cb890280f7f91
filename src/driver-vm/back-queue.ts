/**
 * blkback: one ring of one disk, seen from the driver VM.
 *
 * The path of a request, all of it synchronous but the device:
 * ```
 * 1 take      copy the slot and its side entry once; from here on only the copies count
 * 2 decode    every check of `validate.ts`; a refused request is answered at once
 * 3 ingest    map all pages or none, get staging memory, copy a write's payload, give it its vdiSeq
 * 4 admit     wait behind earlier requests it overlaps (`overlap.ts`)
 * 5 run       flush / transfer / flush, as the operation says; the device completes
 * 6 finish    copy a read's data out, give pages back, put and publish the response
 * ```
 * Steps 1 to 4 happen in ring order. When staging memory is short, step 3 holds the ring: the
 * request stays at its head until memory comes back, nothing is dropped and nothing overtakes.
 *
 * A response is published as soon as its request is finished. Publishing once a batch lets the two
 * sides fall into lock step where both sleep: half the requests a second at depth 32 with one guest
 * (`docs/performance.md`). It stays as a mode so that the benchmark can show that. Answers that a
 * device gives all at once, such as those of a group of the log, are published as one. And while
 * requests are taken off the ring, a bell that is due is rung a few answers later or at the end: a
 * guest that sleeps is not woken, on a busy machine in place of this thread, for each single one.
 *
 * A front end that claims an impossible `req_prod` is halted: its ring is not looked at again, what
 * is in flight ends, other rings go on.
 */
import { invariant } from '../base/invariant.ts';
import { type DomainId, type GrantRef, type Nanos, NEVER, SECTOR_BYTES } from '../base/units.ts';
import { type BackRing, FRONT_LIES } from '../ring/back-ring.ts';
import { BlkifStatus, newEntry } from '../ring/entries.ts';
import { SEGMENT_BYTES } from '../ring/layout.ts';
import type { EventChannel, GrantMapper } from '../ring/ports.ts';
import { SIDE_FLAG_FUA, type SidePage } from '../ring/side-page.ts';
import { DeviceOp, DeviceStatus } from '../world/block-device.ts';
import type { PlantedBug } from '../world/faults.ts';
import type { World } from '../world/world.ts';
import type { PersistentGrants } from './persistent-grants.ts';
import { giveQueuePages, type QueuePages } from './queue-pages.ts';
import { Phase, type RequestOwner, RequestRecord } from './request.ts';
import type { StagingMemory } from './staging.ts';
import { decodeRequest, type SegmentFetcher } from './validate.ts';
import type { Vbd } from './vbd.ts';

export type PublishMode = 'each' | 'batch';

export interface BackQueueParts {
  readonly world: World;
  readonly vbd: Vbd;
  /** Number of this ring among the disk's. */
  readonly index: number;
  readonly ring: BackRing;
  readonly side: SidePage | null;
  readonly channel: EventChannel;
  readonly grants: GrantMapper;
  /** The guest. */
  readonly granter: DomainId;
  /** null when `feature-persistent` was not negotiated. */
  readonly persistent: PersistentGrants | null;
  readonly staging: StagingMemory;
  /** Taken for this queue, which gives them back when it is closed. */
  readonly pages: QueuePages;
  readonly publish: PublishMode;
  readonly plantedBug: PlantedBug;
}

export interface QueueCounters {
  requests: number;
  /** Requests answered with an error because of what the guest asked, not of the device. */
  refused: number;
  errors: number;
  sectorsRead: number;
  sectorsWritten: number;
}

/** What handling one request costs the driver VM in the simulator; measured in threads. */
const REQUEST_COST_NS = 900;
const COPY_COST_NS_PER_SECTOR = 40;
/** A bell that is due waits for so many answers at most, and for no more than are being taken. */
const ANSWERS_A_BELL = 8;

export class BackQueue implements RequestOwner, SegmentFetcher {
  readonly counters: QueueCounters = {
    requests: 0,
    refused: 0,
    errors: 0,
    sectorsRead: 0,
    sectorsWritten: 0,
  };
  readonly #parts: BackQueueParts;
  readonly #ring: BackRing;
  readonly #vbd: Vbd;
  readonly #pool: RequestRecord[] = [];
  readonly #free: number[] = [];
  readonly #active: RequestRecord[] = [];
  readonly #entry = newEntry();
  readonly #pages: QueuePages;
  /** Taken off the ring, decoded, and waiting for staging memory. */
  #held: RequestRecord | null = null;
  #unpublished = 0;
  #draining = false;
  /** Answers are held back until `publishHeld`. */
  #holding = false;
  /** Answers since the bell was due; 0: it is not. */
  #unrung = 0;
  #halted: string | null = null;
  #onDrained: (() => void) | null = null;
  #nowNs: Nanos = 0 as Nanos;
  /** Time of the run, for the order tap. */
  #runNs: Nanos = 0 as Nanos;
  #readyAtNs: Nanos = 0 as Nanos;
  readonly #runReady = (record: RequestRecord): void => record.owner.run(record);

  constructor(parts: BackQueueParts) {
    this.#parts = parts;
    this.#ring = parts.ring;
    this.#vbd = parts.vbd;
    const slots = parts.ring.slots;
    this.#pages = parts.pages;
    for (let slot = 0; slot < slots; slot++) {
      this.#pool.push(
        new RequestRecord(this, parts.index, slot, Math.max(11, parts.vbd.maxIndirectSegments)),
      );
      this.#free.push(slots - 1 - slot);
    }
  }

  /** Why the ring is not served any more; null while it is. */
  get halted(): string | null {
    return this.#halted;
  }

  /** True while the request at the head waits for staging memory. */
  get isHeld(): boolean {
    return this.#held !== null;
  }

  get inFlight(): number {
    return this.#active.length + (this.#held === null ? 0 : 1);
  }

  /** When to look at the ring again although no bell rang. */
  get readyAtNs(): Nanos {
    return this.#readyAtNs;
  }

  /** Takes up to `budget` requests off the ring; returns how many. */
  drain(budget: number, nowNs: Nanos): number {
    this.#nowNs = nowNs;
    this.#readyAtNs = NEVER;
    if (this.#vbd.order.isTapped) this.#runNs = this.#parts.world.recordClock.nowNs();
    this.#vbd.order.givePostponed(this.#runNs);
    if (this.#halted !== null) return 0;
    if (this.#held !== null && !this.#admitHeld()) return 0;
    const waiting = this.#ring.unread();
    if (waiting === FRONT_LIES) {
      this.halt('req_prod claims more requests than the ring has free slots');
      return 0;
    }
    const end = Math.min(waiting, budget);
    let taken = 0;
    this.#draining = true;
    while (taken < end && this.#mayTake(nowNs)) {
      taken++;
      if (!this.#takeOne()) break;
    }
    this.#draining = false;
    if (this.#unpublished > 0) this.#publish();
    else if (this.#unrung > 0) this.#ringBell();
    return taken;
  }

  /** Answers that follow are published by `publishHeld`. */
  holdAnswers(): void {
    this.#holding = true;
  }

  publishHeld(): void {
    this.#holding = false;
    if (this.#unpublished > 0 && this.#halted === null) this.#publish();
  }

  /** Now and then: shows the front end that this back end lives, gives back what was long idle. */
  beat(nowNs: Nanos): void {
    this.#parts.side?.beat();
    this.#parts.persistent?.purgeIdle(nowNs);
  }

  /** Sets the event index and looks once more. True when there is work after all. */
  finalCheck(): boolean {
    if (this.#halted !== null || this.#held !== null) return false;
    if (this.#readyAtNs !== NEVER) return false;
    return this.#ring.finalCheck();
  }

  /** Stops serving the ring for good. What is in flight ends without an answer. */
  halt(reason: string): void {
    if (this.#halted !== null) return;
    this.#halted = reason;
    this.#parts.world.log.note(`${this.#vbd.name}: ring halted: ${reason}`);
    if (this.#held !== null) {
      const record = this.#held;
      this.#held = null;
      this.#unmap(record);
      this.#recycle(record);
    }
  }

  /** Settles when what is in flight has ended. The ring must have been halted. */
  drained(): Promise<void> {
    invariant(this.#halted !== null, 'a ring is halted before it is drained');
    if (this.inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onDrained = resolve;
    });
  }

  /** Gives pages back; nothing may be in flight. */
  close(): void {
    invariant(this.inFlight === 0, 'a ring is closed when nothing is in flight');
    this.#parts.persistent?.close();
    giveQueuePages(this.#parts.staging, this.#pages);
  }

  checkInvariants(): void {
    invariant(
      this.#free.length + this.inFlight === this.#pool.length,
      'each request record is free, held or in flight',
    );
    if (this.#halted === null) {
      invariant(this.#ring.inFlight === this.inFlight, 'the ring and its queue agree on the count');
    }
  }

  #mayTake(nowNs: Nanos): boolean {
    const bucket = this.#vbd.bucket;
    if (!bucket.active) return true;
    const readyAtNs = bucket.readyAtNs(nowNs);
    if (readyAtNs === 0) return true;
    this.#readyAtNs = readyAtNs as Nanos;
    return false;
  }

  /** Steps 1 to 4. False when the ring must be held. */
  #takeOne(): boolean {
    const { world, side } = this.#parts;
    const slot = this.#ring.nextSlot;
    const record = this.#pool[this.#free.pop() as number] as RequestRecord;
    this.#ring.take(this.#entry);
    if (side !== null) side.read(slot, record.side);
    world.crashPoint('back.after-request-copy');
    this.counters.requests++;
    let status = decodeRequest(this.#entry, record, this.#vbd, this);
    if (status === BlkifStatus.okay && this.#idInFlight(record)) status = BlkifStatus.error;
    world.cpu.spend(REQUEST_COST_NS);
    if (status !== BlkifStatus.okay) {
      this.#refuse(record, status);
      return true;
    }
    if ((record.side.flags & SIDE_FLAG_FUA) !== 0 && side !== null) {
      record.todo |= record.mutates ? Phase.flushAfter : 0;
    }
    this.#vbd.bucket.charge(record.sectors * SECTOR_BYTES);
    if (!this.#mapAll(record)) {
      this.#refuse(record, BlkifStatus.error);
      return true;
    }
    // What is claimed costs nothing: only data that is there and allowed is copied.
    if (record.segmentCount > 0) world.cpu.spend(record.sectors * COPY_COST_NS_PER_SECTOR);
    this.#held = record;
    return this.#admitHeld();
  }

  /** Rest of step 3, and step 4, for the request at the head. False while there is no memory. */
  #admitHeld(): boolean {
    const record = this.#held as RequestRecord;
    if (!this.#stage(record)) return false;
    this.#held = null;
    if (record.segmentCount > 0 && record.mutates) {
      if (!this.#copyIn(record)) {
        this.#unmap(record);
        this.#refuse(record, BlkifStatus.error);
        return true;
      }
    }
    const isNumbered = this.#vbd.info.ordersItself || this.#vbd.order.givenLate;
    if (record.sectors > 0 && record.mutates && !isNumbered) {
      record.vdiSeq = this.#vbd.order.give(record.side, this.#parts.index, this.#runNs);
      this.#parts.world.crashPoint('back.after-order-given');
    }
    this.#active.push(record);
    if (this.#vbd.tracker.admit(record)) this.run(record);
    return true;
  }

  /** Step 5: the next thing the device has to do for this request, or its end. */
  run(record: RequestRecord): void {
    const todo = record.todo;
    if ((todo & Phase.flushBefore) !== 0) {
      record.todo = todo & ~Phase.flushBefore;
      record.op = DeviceOp.flush;
    } else if ((todo & Phase.transfer) !== 0) {
      record.todo = todo & ~Phase.transfer;
      record.op = record.transferOp;
    } else if ((todo & Phase.flushAfter) !== 0) {
      record.todo = todo & ~Phase.flushAfter;
      record.op = DeviceOp.flush;
    } else {
      this.#finish(record, BlkifStatus.okay);
      return;
    }
    this.#parts.world.crashPoint('back.before-device-submit');
    this.#vbd.device.submit(record);
  }

  deviceDone(record: RequestRecord, status: DeviceStatus): void {
    if (status === DeviceStatus.ok) this.run(record);
    else this.#finish(record, status);
  }

  /** Step 6. */
  #finish(record: RequestRecord, status: BlkifStatus): void {
    let answer = status;
    if (answer === BlkifStatus.okay) {
      if (record.transferOp === DeviceOp.read) {
        if (!this.#copyOut(record)) answer = BlkifStatus.error;
        this.counters.sectorsRead += record.sectors;
      } else {
        this.counters.sectorsWritten += record.sectors;
      }
    }
    if (answer !== BlkifStatus.okay) this.counters.errors++;
    this.#unmap(record);
    const at = this.#active.indexOf(record);
    this.#active[at] = this.#active[this.#active.length - 1] as RequestRecord;
    this.#active.pop();
    this.#respond(record, answer);
    if (this.#vbd.order.givenLate && record.mutates && record.sectors > 0) {
      this.#vbd.order.postpone(record.side, this.#parts.index);
    }
    this.#vbd.tracker.release(record, this.#runReady);
    this.#recycle(record);
    if (this.#onDrained !== null && this.inFlight === 0) this.#onDrained();
  }

  /** Answers a request that never became active. */
  #refuse(record: RequestRecord, status: BlkifStatus): void {
    this.counters.refused++;
    this.#respond(record, status);
    this.#recycle(record);
  }

  #respond(record: RequestRecord, status: BlkifStatus): void {
    if (this.#halted !== null) return;
    this.#ring.put(record.idLow, record.idHigh, record.echoOp, status);
    this.#parts.world.crashPoint('back.before-response-publish');
    // A completion that comes between two drains is a batch of its own.
    const isOneByOne = this.#parts.publish === 'each' || !this.#draining;
    if (isOneByOne && !this.#holding) this.#publish();
    else this.#unpublished++;
  }

  #publish(): void {
    this.#unpublished = 0;
    if (this.#ring.push() || this.#unrung > 0) this.#unrung++;
    if (this.#unrung >= (this.#draining ? ANSWERS_A_BELL : 1)) this.#ringBell();
    this.#parts.world.crashPoint('back.after-response-publish');
  }

  #ringBell(): void {
    this.#unrung = 0;
    this.#parts.channel.notify();
  }

  #recycle(record: RequestRecord): void {
    if (record.stagingRun >= 0) this.#parts.staging.give(record.stagingRun);
    record.stagingRun = -1;
    this.#free.push(record.slot);
  }

  /** A guest may use any 64-bit id, but each only once at a time. */
  #idInFlight(record: RequestRecord): boolean {
    for (const other of this.#active) {
      if (other.idLow === record.idLow && other.idHigh === record.idHigh) return true;
    }
    return false;
  }

  /** Maps every page or none. */
  #mapAll(record: RequestRecord): boolean {
    const writable = record.transferOp === DeviceOp.read;
    for (record.mapped = 0; record.mapped < record.segmentCount; record.mapped++) {
      const ref = record.segmentRefs[record.mapped] as number;
      const handle = this.#acquire(ref, writable);
      if (handle < 0) {
        this.#unmap(record);
        return false;
      }
      record.handles[record.mapped] = handle;
    }
    return true;
  }

  #acquire(ref: number, writable: boolean): number {
    const { persistent, grants, granter } = this.#parts;
    if (persistent !== null) return persistent.acquire(ref, writable, this.#nowNs);
    return grants.map(granter, ref as GrantRef, writable);
  }

  #release(ref: number, handle: number): void {
    const { persistent, grants } = this.#parts;
    if (persistent !== null) persistent.release(ref, handle);
    else grants.unmap(handle);
  }

  #unmap(record: RequestRecord): void {
    while (record.mapped > 0) {
      record.mapped--;
      if (this.#parts.plantedBug === 'leaked-mapping' && this.counters.requests % 50 === 49)
        continue;
      this.#release(record.segmentRefs[record.mapped] as number, record.handle(record.mapped));
    }
  }

  /** Finds a place for the payload: the record's own page, or a run of pages. */
  #stage(record: RequestRecord): boolean {
    if (record.segmentCount === 0 || record.sectors <= 8) {
      record.address = this.#parts.staging.address(this.#pages.ownPages + record.slot);
      return true;
    }
    record.stagingRun = this.#parts.staging.take(record.sectors);
    if (record.stagingRun < 0) return false;
    record.address = this.#parts.staging.address(record.stagingRun);
    return true;
  }

  /** The planted bug `short-copy`. */
  #isShort(record: RequestRecord): boolean {
    return this.#parts.plantedBug === 'short-copy' && record.segmentCount > 2;
  }

  #copyIn(record: RequestRecord): boolean {
    const copied = record.segmentCount - (this.#isShort(record) ? 1 : 0);
    let address = record.address;
    for (let i = 0; i < copied; i++) {
      const offset = (record.segmentFirst[i] as number) * SECTOR_BYTES;
      const length = (record.segmentSectors[i] as number) * SECTOR_BYTES;
      if (this.#parts.grants.copyIn(record.handle(i), offset, address, length) < 0) return false;
      address += length;
    }
    return true;
  }

  #copyOut(record: RequestRecord): boolean {
    let address = record.address;
    for (let i = 0; i < record.segmentCount; i++) {
      const offset = (record.segmentFirst[i] as number) * SECTOR_BYTES;
      const length = (record.segmentSectors[i] as number) * SECTOR_BYTES;
      if (this.#parts.grants.copyOut(record.handle(i), offset, address, length) < 0) return false;
      address += length;
    }
    return true;
  }

  fetch(refs: Uint32Array, pages: number, count: number): boolean {
    const { grants, staging } = this.#parts;
    let left = count * SEGMENT_BYTES;
    let address = staging.address(this.#pages.descriptors);
    for (let page = 0; page < pages; page++) {
      const ref = refs[page] as number;
      const handle = this.#acquire(ref, false);
      if (handle < 0) return false;
      const length = Math.min(left, 4096);
      const status = grants.copyIn(handle, 0, address, length);
      this.#release(ref, handle);
      if (status < 0) return false;
      left -= length;
      address += length;
    }
    return true;
  }

  segmentWord(at: number): number {
    return this.#parts.world.memory.u32[
      this.#parts.staging.address(this.#pages.descriptors) / 4 + at
    ] as number;
  }
}
