/**
 * A simulated disk: the one model of volatile and durable bytes that everything is tested against.
 *
 * A disk belongs to a host and outlives the actors that use it. Its states:
 * - *in flight*: submitted, nothing of it is visible;
 * - *volatile*: done, visible to every read, lost or torn or kept by draw when the power goes;
 * - *durable*: covered by a flush that was SUBMITTED after the write was done. A write that was
 *   still in flight then is not covered, even if it is done before the flush is.
 *
 * The durable image lies below; above it lies the overlay with all volatile writes, which is what
 * reads see. The list of volatile writes, in the order in which they were done, is kept beside it,
 * so that a cut can apply any part of them to the durable image. It is bounded as a drive's cache
 * is: beyond `volatileBytes` the oldest become durable by themselves.
 *
 * Death of a process (`settleOf`) keeps what is done, as the page cache does; what it had in
 * flight is applied, dropped or torn by draw, at once. Loss of power (`powerCut`) does the same
 * to everything in flight and then draws for every volatile write; one cut in ten keeps them all.
 * Size and existence of a disk are durable at once.
 *
 * A read is judged and copied when it is done, so it sees what was done before; operations in
 * flight together have no order. Not modelled: seeks, and bytes that change under an operation.
 */
import { invariant } from '../../base/invariant.ts';
import type { Prng } from '../../base/prng.ts';
import { PAGE_BYTES, SECTOR_BYTES } from '../../base/units.ts';
import { LatentSectors } from '../latent-sectors.ts';
import { misplaced } from '../misplaced.ts';
import { type DiskIo, DiskStatus } from '../world.ts';
import { type DiskFault, DiskFaults } from './disk-faults.ts';
import { DiskPages } from './disk-pages.ts';
import { tearByPages, tearBySectors, type VolatileWrite } from './disk-tearing.ts';
import { type DiskModel, DiskOp, DiskTiming } from './disk-timing.ts';
import { EventKind } from './event-queue.ts';
import type { Incarnation } from './incarnation.ts';
import type { Kernel } from './kernel.ts';

/** An open disk: who submits operations. */
export interface OperationOwner {
  readonly incarnation: Incarnation;
  /** `ok`, or why an operation submitted now is refused. */
  permission(op: DiskOp): DiskStatus;
  /** Called when an operation is over, before its submitter hears of it. */
  operationDone(): void;
}

const KEEP_ALL_CHANCE = 1 / 10;
const LENGTH_RANGE = 2 ** 40;

/** One operation in flight; used again for the next one. */
class InFlight {
  op: DiskOp = DiskOp.read;
  io: DiskIo | null = null;
  owner: OperationOwner | null = null;
  /** As permitted when it was submitted. */
  permission: DiskStatus = DiskStatus.ok;
  /** Volatile writes that a flush covers: those numbered below this. */
  coveredEnd = 0;
  /** Where it is in the list of operations in flight. */
  index = 0;
  /** The disk lost power under it. */
  cut = false;
  readonly complete: () => void;

  constructor(disk: { complete(operation: InFlight): void }) {
    this.complete = () => disk.complete(this);
  }
}

export class SimDisk {
  readonly name: string;
  readonly readOnly: boolean;
  readonly faults: DiskFaults = new DiskFaults();
  readonly latent: LatentSectors = new LatentSectors();
  readonly timing: DiskTiming;
  /** Bytes in written pages at the most: a write that needs more fails with `noSpace`. */
  capacityBytes: number = Number.POSITIVE_INFINITY;
  readonly #kernel: Kernel;
  readonly #crashRandom: Prng;
  readonly #faultRandom: Prng;
  readonly #durable = new DiskPages(null);
  readonly #overlay = new DiskPages(this.#durable);
  /** In the order in which they were done; the first one has number `#firstVolatile`. */
  #volatile: VolatileWrite[] = [];
  #firstVolatile = 0;
  #volatileBytes = 0;
  #writtenPages = 0;
  #sizeBytes: number;
  readonly #inFlight: InFlight[] = [];
  readonly #spare: InFlight[] = [];

  constructor(
    kernel: Kernel,
    path: string,
    name: string,
    sizeBytes: number,
    model: DiskModel,
    readOnly: boolean,
  ) {
    this.#kernel = kernel;
    this.name = name;
    this.#sizeBytes = sizeBytes;
    this.readOnly = readOnly;
    const random = kernel.stream(`disk/${path}`);
    this.timing = new DiskTiming(model, random.fork('timing'));
    this.#crashRandom = random.fork('crash');
    this.#faultRandom = random.fork('fault');
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Bytes that a cut of power could take. */
  get volatileBytes(): number {
    return this.#volatileBytes;
  }

  /** Bytes of the pages that hold data. */
  get writtenBytes(): number {
    return this.#writtenPages * PAGE_BYTES;
  }

  get inFlightCount(): number {
    return this.#inFlight.length;
  }

  /** Takes an operation; `diskDone` is called in an event of its own, also if it is refused. */
  submit(op: DiskOp, io: DiskIo, owner: OperationOwner): void {
    const operation = this.#spare.pop() ?? new InFlight(this);
    operation.op = op;
    operation.io = io;
    operation.owner = owner;
    operation.cut = false;
    operation.permission = owner.permission(op);
    operation.coveredEnd = this.#firstVolatile + this.#volatile.length;
    operation.index = this.#inFlight.push(operation) - 1;
    const flushing = op === DiskOp.flush;
    const transferBytes = flushing ? this.#volatileBytes : op === DiskOp.zero ? 0 : io.lengthBytes;
    const { incarnation } = owner;
    const doneNs = this.timing.doneNs(op, transferBytes, incarnation.nowNs());
    const length = flushing ? 0 : io.lengthBytes;
    const a = flushing ? operation.coveredEnd : io.position;
    const b = op * LENGTH_RANGE + length;
    this.#kernel.schedule(doneNs, EventKind.disk, incarnation, operation.complete, a, b);
  }

  /** Reads inline what is visible now. The caller pays the time. */
  readNow(buffer: Uint8Array, offset: number, lengthBytes: number, position: number): DiskStatus {
    const status = this.#rangeStatus(position, lengthBytes);
    if (status !== DiskStatus.ok) return status;
    const fault = this.faults.strike(DiskOp.read, position, lengthBytes);
    return this.#readVisible(fault, buffer, offset, lengthBytes, position);
  }

  /** Ends an operation whose time has come. */
  complete(operation: InFlight): void {
    const { op, io, owner, coveredEnd, permission, cut } = operation;
    invariant(io !== null && owner !== null, 'an operation in flight has an owner');
    this.#forget(operation);
    let status: DiskStatus = cut ? DiskStatus.ioError : permission;
    if (status === DiskStatus.ok) status = this.#perform(op, io, coveredEnd);
    owner.operationDone();
    io.diskDone(status);
  }

  /** Settles what a dead incarnation had in flight: each operation applied, dropped or torn. */
  settleOf(incarnation: Incarnation): void {
    const ofTheDead = this.#inFlight.filter((one) => one.owner?.incarnation === incarnation);
    for (const operation of ofTheDead) {
      this.#settle(operation);
      this.#forget(operation);
    }
  }

  /** The power goes: every byte that is not durable is kept, dropped or torn by draw. */
  powerCut(): void {
    for (const operation of this.#inFlight) {
      if (!operation.cut) this.#settle(operation);
      operation.cut = true;
    }
    const keepAll = this.#crashRandom.chance(KEEP_ALL_CHANCE);
    for (const write of this.#volatile) {
      const kept = keepAll ? [write] : tearByPages(write, this.#crashRandom);
      for (const piece of kept) apply(this.#durable, piece);
    }
    this.#dropVolatile(this.#volatile.length);
    this.#overlay.clear();
    this.#countWrittenPages();
    this.timing.reset();
  }

  /** One sector in `everyNth` cannot be read from now on, until it is written again. */
  strikeLatent(everyNth: number): void {
    const sectors = Math.floor(this.#sizeBytes / SECTOR_BYTES);
    this.latent.strike(Math.ceil(sectors / everyNth), sectors, this.#faultRandom);
  }

  /** Changes one bit where it lies, durable or not. Null if the place holds nothing but zeroes. */
  rot(position: number, lengthBytes: number): number | null {
    const at = position + this.#faultRandom.below(lengthBytes);
    if (this.#overlay.page(Math.floor(at / PAGE_BYTES)) === null) return null;
    const flipped = 1 << this.#faultRandom.below(8);
    const visible = this.peek('visible', at, 1);
    visible[0] = (visible[0] as number) ^ flipped;
    const durable = this.peek('durable', at, 1);
    durable[0] = (durable[0] as number) ^ flipped;
    this.#durable.write(durable, 0, 1, at);
    // While anything is volatile a flush would write the sound byte over the rotten one.
    if (this.#volatile.length > 0) {
      this.#addVolatile({ position: at, lengthBytes: 1, bytes: visible, bytesOffset: 0 });
    }
    return at;
  }

  /** Grows or shrinks, durably. New bytes read as zero, also those that were cut off before. */
  resize(sizeBytes: number): void {
    const shrinks = sizeBytes < this.#sizeBytes;
    this.#sizeBytes = sizeBytes;
    if (!shrinks) return;
    this.#volatile = this.#volatile.map((write) => {
      const lengthBytes = Math.max(0, Math.min(write.lengthBytes, sizeBytes - write.position));
      return { ...write, lengthBytes };
    });
    this.#volatileBytes = this.#volatile.reduce((sum, write) => sum + write.lengthBytes, 0);
    this.#durable.truncate(sizeBytes);
    this.#overlay.truncate(sizeBytes);
    this.#countWrittenPages();
  }

  /** Copies the image out for a check: what is visible, or what is durable. */
  peek(image: 'visible' | 'durable', position: number, lengthBytes: number): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    (image === 'visible' ? this.#overlay : this.#durable).read(bytes, 0, lengthBytes, position);
    return bytes;
  }

  #perform(op: DiskOp, io: DiskIo, coveredEnd: number): DiskStatus {
    if (op === DiskOp.flush) return this.#flush(coveredEnd);
    const status = this.#rangeStatus(io.position, io.lengthBytes);
    if (status !== DiskStatus.ok) return status;
    const { buffer, bufferOffset, lengthBytes, position } = io;
    const fault = this.faults.strike(op, position, lengthBytes);
    if (op === DiskOp.read) {
      return this.#readVisible(fault, buffer, bufferOffset, lengthBytes, position);
    }
    if (fault?.kind === 'error') return fault.status;
    if (op === DiskOp.write && this.#lacksSpace(position, lengthBytes)) return DiskStatus.noSpace;
    this.#store(writeOf(op, io), fault);
    return fault?.kind === 'torn-write' ? fault.status : DiskStatus.ok;
  }

  #readVisible(
    fault: DiskFault | null,
    buffer: Uint8Array,
    offset: number,
    lengthBytes: number,
    position: number,
  ): DiskStatus {
    if (fault?.kind === 'error') return fault.status;
    if (this.latent.touches(position, lengthBytes)) return DiskStatus.ioError;
    this.#overlay.read(buffer, offset, lengthBytes, position);
    if (fault?.kind === 'bit-rot') this.#flipBit(buffer, offset, lengthBytes);
    return DiskStatus.ok;
  }

  #store(write: VolatileWrite, fault: DiskFault | null): void {
    if (fault?.kind === 'lost-write') return;
    if (fault?.kind === 'misdirected') {
      const position = misplaced(write, this.#sizeBytes, this.#faultRandom);
      this.#addVolatile({ ...write, position });
      return;
    }
    if (fault?.kind === 'torn-write') {
      for (const piece of tearBySectors(write, this.#faultRandom)) this.#addVolatile(piece);
      return;
    }
    if (fault?.kind === 'bit-rot' && write.bytes !== null) {
      this.#flipBit(write.bytes, write.bytesOffset, write.lengthBytes);
    }
    this.#addVolatile(write);
  }

  #addVolatile(write: VolatileWrite): void {
    if (write.lengthBytes === 0) return;
    this.#writtenPages += this.#missingPages(write.position, write.lengthBytes, write.bytes);
    apply(this.#overlay, write);
    this.latent.rewritten(write.position, write.lengthBytes);
    this.#volatile.push(write);
    this.#volatileBytes += write.lengthBytes;
    if (this.#volatileBytes > this.timing.model.volatileBytes) this.#destageHalf();
  }

  /** Makes the oldest half of the volatile bytes durable; rarely, so that it costs little. */
  #destageHalf(): void {
    let bytes = this.#volatileBytes;
    let count = 0;
    while (bytes > this.timing.model.volatileBytes / 2) {
      bytes -= (this.#volatile[count++] as VolatileWrite).lengthBytes;
    }
    this.#makeDurable(this.#firstVolatile + count);
  }

  #flush(coveredEnd: number): DiskStatus {
    const fault = this.faults.strike(DiskOp.flush, 0, 0);
    if (fault?.kind === 'error') return fault.status;
    if (fault?.kind !== 'flush-lie') this.#makeDurable(coveredEnd);
    return DiskStatus.ok;
  }

  /** Makes the volatile writes numbered below `end` durable, in the order they were done. */
  #makeDurable(end: number): void {
    const count = end - this.#firstVolatile;
    if (count <= 0) return;
    for (let i = 0; i < count; i++) apply(this.#durable, this.#volatile[i] as VolatileWrite);
    this.#dropVolatile(count);
    if (this.#volatile.length === 0) this.#overlay.clear();
  }

  #dropVolatile(count: number): void {
    const dropped = this.#volatile.splice(0, count);
    for (const write of dropped) this.#volatileBytes -= write.lengthBytes;
    this.#firstVolatile += count;
  }

  /** What becomes of an operation whose submitter will never hear of it. */
  #settle(operation: InFlight): void {
    const { op, io } = operation;
    invariant(io !== null, 'an operation in flight has a request');
    if (op === DiskOp.read || operation.permission !== DiskStatus.ok) return;
    const outcome = this.#crashRandom.below(3);
    if (op === DiskOp.flush) {
      if (outcome === 0) this.#makeDurable(operation.coveredEnd);
      return;
    }
    if (outcome === 2) return;
    if (this.#rangeStatus(io.position, io.lengthBytes) !== DiskStatus.ok) return;
    if (op === DiskOp.write && this.#lacksSpace(io.position, io.lengthBytes)) return;
    const write = writeOf(op, io);
    const pieces = outcome === 0 ? [write] : tearByPages(write, this.#crashRandom);
    for (const piece of pieces) this.#addVolatile(piece);
  }

  #forget(operation: InFlight): void {
    const last = this.#inFlight.pop() as InFlight;
    if (last !== operation) {
      this.#inFlight[operation.index] = last;
      last.index = operation.index;
    }
    operation.io = null;
    operation.owner = null;
    this.#spare.push(operation);
  }

  #rangeStatus(position: number, lengthBytes: number): DiskStatus {
    const inside = position >= 0 && lengthBytes >= 0 && position + lengthBytes <= this.#sizeBytes;
    return inside ? DiskStatus.ok : DiskStatus.outOfRange;
  }

  #lacksSpace(position: number, lengthBytes: number): boolean {
    if (this.capacityBytes === Number.POSITIVE_INFINITY) return false;
    const missing = this.#missingPages(position, lengthBytes, ALL_NEW);
    return (this.#writtenPages + missing) * PAGE_BYTES > this.capacityBytes;
  }

  /** Pages that a write of these bytes adds; a zeroing adds none and gives whole pages back. */
  #missingPages(position: number, lengthBytes: number, bytes: Uint8Array | null): number {
    const first = Math.floor(position / PAGE_BYTES);
    const end = Math.ceil((position + lengthBytes) / PAGE_BYTES);
    let missing = 0;
    for (let number = first; number < end; number++) {
      const there = this.#overlay.page(number) !== null;
      if (bytes !== null && !there) missing++;
      if (bytes === null && there && isWhole(number, position, lengthBytes)) missing--;
    }
    return missing;
  }

  #countWrittenPages(): void {
    const numbers = new Set<number>();
    for (const number of this.#durable.numbers()) numbers.add(number);
    for (const number of this.#overlay.numbers()) numbers.add(number);
    this.#writtenPages = 0;
    for (const number of numbers) if (this.#overlay.page(number) !== null) this.#writtenPages++;
  }

  #flipBit(bytes: Uint8Array, offset: number, lengthBytes: number): void {
    if (lengthBytes === 0) return;
    const at = offset + this.#faultRandom.below(lengthBytes);
    bytes[at] = (bytes[at] as number) ^ (1 << this.#faultRandom.below(8));
  }
}

/** Stands for the bytes of a write where only their being there counts. */
const ALL_NEW = new Uint8Array(0);

/** Takes a private copy of what an operation writes: its buffer goes back to the caller. */
function writeOf(op: DiskOp, io: DiskIo): VolatileWrite {
  const { position, lengthBytes } = io;
  if (op === DiskOp.zero) return { position, lengthBytes, bytes: null, bytesOffset: 0 };
  const bytes = io.buffer.slice(io.bufferOffset, io.bufferOffset + lengthBytes);
  return { position, lengthBytes, bytes, bytesOffset: 0 };
}

function apply(image: DiskPages, write: VolatileWrite): void {
  image.write(write.bytes, write.bytesOffset, write.lengthBytes, write.position);
}

function isWhole(number: number, position: number, lengthBytes: number): boolean {
  return number * PAGE_BYTES >= position && (number + 1) * PAGE_BYTES <= position + lengthBytes;
}
