/**
 * The disk of an export: a guest whose workload is what clients ask for.
 *
 * An export is a domain like any other guest, with a front end and rings of its own; this is what
 * stands in the place of its workload. Clients of all connections share it. Each transfer is one
 * request to the front end with a buffer in the domain's RAM, at most `TRANSFER_BYTES_MAX` long,
 * which is what the driver VM keeps whole over a crash; a client's longer request is several.
 *
 * Buffers are bounded: when there is none, whoever wants one waits in line, and its connection
 * reads no more. The more is lent, the less one connection may hold (`mayHold`), so that one that
 * has stopped half-way through its payload cannot take them all.
 *
 * Nothing is submitted before the disk was connected once; after that a dead driver VM only makes
 * requests wait: the front end sends them again to its successor.
 */
import { Fifo } from '../base/fifo.ts';
import { invariant } from '../base/invariant.ts';
import type { SharedMemory } from '../base/shared-memory.ts';
import { type FrameNo, type Nanos, NEVER, PAGE_BYTES, SECTOR_BYTES } from '../base/units.ts';
import type { Blkfront } from '../guests/blkfront.ts';
import type { GuestFrames } from '../guests/frames.ts';
import type { BackFeatures } from '../guests/front-queue.ts';
import { FrontOp, FrontRequest, type FrontStatus } from '../guests/front-request.ts';
import type { Workload } from '../guests/workload.ts';

export const TRANSFER_BYTES_MAX = 1_048_576;
/** Transfers that are kept for later use. */
const SPARE_TRANSFERS = 1024;

/** What of a front end an export uses. */
export type ExportFront = Pick<Blkfront, 'features' | 'inFlight' | 'kick' | 'state' | 'submit'>;

/** Whose transfer it is. */
export interface TransferOwner {
  /** It is answered; the owner gives it back when it has used the data. */
  transferDone(transfer: Transfer, status: FrontStatus): void;
}

/** One request to the front end, and its buffer; a flush or a discard has none. */
export class Transfer extends FrontRequest {
  owner: TransferOwner | null = null;
  /** Of the data, and of the buffer too. */
  lengthBytes = 0;
  /** Where in the client's request it begins, bytes. */
  offsetBytes = 0;
  isDone = false;
  frame: FrameNo | null = null;

  override frontDone(status: FrontStatus): void {
    this.isDone = true;
    this.owner?.transferDone(this, status);
  }
}

/** Somebody who waits for a buffer. */
export interface BufferWaiter {
  /** There may be one now: tries again, and says whether it still waits. */
  buffersFreed(): boolean;
}

/** Of a step: whoever has something to send sends it now. */
export interface StepListener {
  stepEnded(): void;
}

export interface ExportDiskResult {
  readonly transfers: number;
}

export class ExportDisk implements Workload {
  readonly memory: SharedMemory;
  readonly #frames: GuestFrames;
  readonly #bufferPages: number;
  readonly #wake: () => void;
  #disk: ExportFront | null = null;
  readonly #spare: Transfer[] = [];
  readonly #waiting = new Fifo<BufferWaiter>();
  #touched: StepListener[] = [];
  #transfers = 0;
  #isEnding = false;

  /** `frames`: for buffers, all of them free. `wake` has the domain's loop take a step soon. */
  constructor(memory: SharedMemory, frames: GuestFrames, wake: () => void) {
    this.memory = memory;
    this.#frames = frames;
    this.#bufferPages = frames.freePages;
    this.#wake = wake;
  }

  /** What the disk can do; null until it was connected once. */
  get features(): BackFeatures | null {
    return this.#disk?.features ?? null;
  }

  /** Requests that the front end has not answered. */
  get inFlight(): number {
    return this.#disk?.inFlight ?? 0;
  }

  get isWaiting(): boolean {
    return this.#disk === null || this.#disk.state !== 'connected';
  }

  /**
   * Whether a connection that holds buffers of `heldBytes` may hold one more. If not, it waits for
   * its own to come back, and in nobody's way.
   */
  mayHold(heldBytes: number, lengthBytes: number): boolean {
    return heldBytes === 0 || heldBytes + lengthBytes <= (this.#frames.freePages * PAGE_BYTES) / 4;
  }

  /** Somebody waits for a buffer. */
  get isShort(): boolean {
    return this.#waiting.length > 0;
  }

  /** At least half of the buffers are free: one may be kept until its client has read it. */
  get hasPlenty(): boolean {
    return 2 * this.#frames.freePages >= this.#bufferPages;
  }

  /**
   * A transfer with a buffer of `lengthBytes`, or null: then `waiter` is in line, and is asked
   * again when buffers may be free.
   */
  takeWithBuffer(lengthBytes: number, owner: TransferOwner, waiter: BufferWaiter): Transfer | null {
    invariant(lengthBytes > 0 && lengthBytes <= TRANSFER_BYTES_MAX, 'a buffer is short');
    const isFirst = this.#waiting.peek() === waiter;
    const isTurn = isFirst || this.#waiting.length === 0;
    const frame = isTurn ? this.#frames.take(Math.ceil(lengthBytes / PAGE_BYTES)) : null;
    if (frame === null) {
      if (!isFirst) this.#waiting.push(waiter);
      return null;
    }
    const transfer = this.take(owner);
    transfer.frame = frame;
    transfer.address = this.#frames.address(frame);
    transfer.lengthBytes = lengthBytes;
    return transfer;
  }

  /** A transfer without a buffer. */
  take(owner: TransferOwner): Transfer {
    const transfer = this.#spare.pop() ?? new Transfer();
    transfer.owner = owner;
    transfer.lengthBytes = 0;
    transfer.offsetBytes = 0;
    transfer.isDone = false;
    transfer.fua = false;
    return transfer;
  }

  /** It is not needed any more: it was answered, or never submitted. */
  give(transfer: Transfer): void {
    if (transfer.frame !== null) this.#frames.give(transfer.frame);
    transfer.frame = null;
    transfer.owner = null;
    if (this.#spare.length < SPARE_TRANSFERS) this.#spare.push(transfer);
    if (this.#waiting.length > 0) this.#wake();
  }

  submit(transfer: Transfer, op: FrontOp, offsetBytes: number, lengthBytes: number): void {
    const disk = this.#disk;
    invariant(disk !== null, 'clients are let in when the disk was connected');
    transfer.op = op;
    transfer.lba = offsetBytes / SECTOR_BYTES;
    transfer.sectors = op === FrontOp.flush ? 0 : lengthBytes / SECTOR_BYTES;
    this.#transfers++;
    disk.submit(transfer);
  }

  /** After a batch of `submit`: publishes it, and has the loop look after it. */
  kick(): void {
    this.#disk?.kick();
    this.#wake();
  }

  /** Has `listener` told when the step ends in which requests of its own were answered. */
  touch(listener: StepListener): void {
    this.#touched.push(listener);
  }

  /** The domain ends when everything is answered. */
  endWhenIdle(): void {
    this.#isEnding = true;
    this.#wake();
  }

  begin(disk: ExportFront): void {
    this.#disk = disk;
  }

  pump(_budget: number, _nowNs: Nanos): number {
    let served = 0;
    while (this.#waiting.length > 0 && this.#waiting.peek()?.buffersFreed() === false) {
      this.#waiting.shift();
      served++;
    }
    if (this.#touched.length === 0) return served;
    const touched = this.#touched;
    this.#touched = [];
    for (const listener of touched) listener.stepEnded();
    return served;
  }

  nextDeadlineNs(): Nanos {
    return NEVER;
  }

  finished(): boolean {
    return this.#isEnding && this.inFlight === 0;
  }

  result(): ExportDiskResult {
    return { transfers: this.#transfers };
  }

  checkInvariants(): void {
    invariant(this.#frames.freePages <= this.#bufferPages, 'a buffer is given back once');
  }
}
