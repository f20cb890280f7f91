/**
 * The embedded pool: plain blocks in one file, conditional blocks in the directory.
 *
 * Block n of the pool is at byte n * 4096 of the file; of extent 0, which is the directory's, only
 * block 0 is used, for the label. The file has its full size from the beginning and is sparse: it
 * grows on the medium as blocks are written. (Growing its length instead would be a trap: a resize
 * sets a length, and each host that has the file open knows its own, so that two of them that grew
 * it at the same time could cut off each other's blocks.)
 *
 * A write is acknowledged when a flush that was submitted after the write was done has succeeded.
 * One flush is in flight at a time; the writes that are done meanwhile wait for the next one, which
 * covers them all. States of a write: parked (too many in flight), on the disk, written, covered by
 * the flush in flight, over.
 *
 * A flush that fails says that bytes were lost, not which: pages that the file system could not
 * write may be dropped, and a later flush then succeeds without them. So every write that was
 * begun before the flush failed fails too, in whatever state it is. What such blocks hold is
 * unknown for ever; who allocates must not hand them out again.
 *
 * A trim does nothing: Node has no call that gives back a part of a file, and writing zeros would
 * take the space that the hint is about.
 *
 * Fencing: a fenced attachment is refused as soon as its guard knows. A zombie that does not know
 * yet writes plain blocks in extents that were its own, where nobody else allocates; its `writeIf`
 * is refused in the directory.
 */
import { Fifo } from '../../base/fifo.ts';
import { invariant } from '../../base/invariant.ts';
import {
  BLOCK_BYTES,
  type BlockPool,
  type ConditionalBlock,
  EXTENT_BLOCKS,
  type PoolBlock,
  type PoolIo,
  PoolStatus,
  type WriteIfResult,
} from '../../world/block-pool.ts';
import type { Directory } from '../../world/directory.ts';
import { type Disk, type DiskIo, DiskStatus, type World } from '../../world/world.ts';
import type { FenceGuard } from './attach.ts';
import { ConditionalBlocks } from './conditional-blocks.ts';

export interface FilePoolOptions {
  readonly store: string;
  readonly directory: Directory;
  /** The pool's own from now on: closed with it. */
  readonly disk: Disk;
  /** Not more than the disk has. */
  readonly sizeBlocks: number;
  /** null: unattached, for looking at a store. */
  readonly guard: FenceGuard | null;
  /** Reads and writes on the disk at the same time; the others wait in order. */
  readonly inFlightMax?: number;
}

const DEFAULT_IN_FLIGHT_MAX = 128;
const NO_BYTES: Uint8Array = new Uint8Array(0);

const Kind = { read: 0, write: 1, answer: 2 } as const;
type Kind = (typeof Kind)[keyof typeof Kind];

/** One operation; used again for the next one. */
class Operation implements DiskIo {
  buffer: Uint8Array = NO_BYTES;
  bufferOffset = 0;
  lengthBytes = 0;
  position = 0;
  kind: Kind = Kind.read;
  io: PoolIo | null = null;
  /** What an operation that needs no disk is answered. */
  answer: PoolStatus = PoolStatus.ok;
  /** Flushes that had failed when it was begun. */
  failedFlushes = 0;
  readonly #pool: { transferred(operation: Operation, status: DiskStatus): void };

  constructor(pool: { transferred(operation: Operation, status: DiskStatus): void }) {
    this.#pool = pool;
  }

  diskDone(status: DiskStatus): void {
    this.#pool.transferred(this, status);
  }
}

export class FilePool implements BlockPool {
  readonly sizeBlocks: number;
  readonly #disk: Disk;
  readonly #timers: World['timers'];
  readonly #clock: World['clock'];
  readonly #guard: FenceGuard | null;
  readonly #conditional: ConditionalBlocks;
  readonly #inFlightMax: number;
  readonly #free: Operation[] = [];
  readonly #parked = new Fifo<Operation>();
  /** Operations that need no disk, to be answered in an event of their own. */
  readonly #answers = new Fifo<Operation>();
  #answering = false;
  /** Writes that are done and that no flush in flight covers. */
  readonly #written = new Fifo<Operation>();
  readonly #covered = new Fifo<Operation>();
  readonly #flushIo: DiskIo;
  #flushing = false;
  #failedFlushes = 0;
  #onDisk = 0;
  /** Operations that have begun and not been answered. */
  #begun = 0;
  #conditionalCalls = 0;
  #closing: Promise<void> | null = null;
  #whenQuiet: (() => void) | null = null;

  constructor(world: Pick<World, 'clock' | 'timers' | 'digest'>, options: FilePoolOptions) {
    const { disk, directory, store, guard } = options;
    invariant(options.sizeBlocks * BLOCK_BYTES <= disk.sizeBytes, 'a pool fits its file');
    this.sizeBlocks = options.sizeBlocks;
    this.#disk = disk;
    this.#timers = world.timers;
    this.#clock = world.clock;
    this.#guard = guard;
    this.#conditional = new ConditionalBlocks(directory, world.digest, store, guard);
    this.#inFlightMax = options.inFlightMax ?? DEFAULT_IN_FLIGHT_MAX;
    this.#flushIo = {
      buffer: NO_BYTES,
      bufferOffset: 0,
      lengthBytes: 0,
      position: 0,
      diskDone: (status) => this.#flushed(status),
    };
  }

  read(io: PoolIo): void {
    this.#begin(Kind.read, io);
  }

  write(io: PoolIo): void {
    this.#begin(Kind.write, io);
  }

  trim(io: PoolIo): void {
    this.#begin(Kind.answer, io);
  }

  readConditional(block: PoolBlock): Promise<ConditionalBlock> {
    this.#checkConditional(block);
    return this.#counted(this.#conditional.readConditional(block));
  }

  writeIf(block: PoolBlock, expectedVersion: number, data: Uint8Array): Promise<WriteIfResult> {
    this.#checkConditional(block);
    return this.#counted(this.#conditional.writeIf(block, expectedVersion, data));
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeWhenQuiet();
    return this.#closing;
  }

  checkInvariants(): void {
    const waiting = this.#parked.length + this.#answers.length;
    const flushed = this.#written.length + this.#covered.length;
    invariant(this.#begun === this.#onDisk + waiting + flushed, 'an operation is answered once');
  }

  /** A read or a write is over on the disk. Called by its operation. */
  transferred(operation: Operation, status: DiskStatus): void {
    this.#onDisk -= 1;
    if (operation.kind === Kind.read || status !== DiskStatus.ok) {
      this.#finish(operation, poolStatus(status));
    } else if (operation.failedFlushes !== this.#failedFlushes) {
      this.#finish(operation, PoolStatus.ioError);
    } else {
      this.#written.push(operation);
      this.#flushIfIdle();
    }
    while (this.#parked.length > 0 && this.#onDisk < this.#inFlightMax) {
      this.#submit(this.#parked.shift());
    }
  }

  #begin(kind: Kind, io: PoolIo): void {
    invariant(this.#closing === null, 'nobody uses a pool after closing it');
    invariant(io.blocks > 0 && io.block >= EXTENT_BLOCKS, 'plain blocks are behind extent 0');
    invariant(io.block + io.blocks <= this.sizeBlocks, 'an operation is inside the pool');
    const operation = this.#free.pop() ?? new Operation(this);
    operation.io = io;
    operation.buffer = io.buffer;
    operation.bufferOffset = io.bufferOffset;
    operation.lengthBytes = io.blocks * BLOCK_BYTES;
    operation.position = io.block * BLOCK_BYTES;
    operation.kind = kind;
    operation.failedFlushes = this.#failedFlushes;
    this.#begun += 1;
    const fenced = this.#guard !== null && this.#guard.fenced;
    if (fenced || kind === Kind.answer) {
      this.#answerLater(operation, fenced ? PoolStatus.fenced : PoolStatus.ok);
    } else if (this.#onDisk < this.#inFlightMax) {
      this.#submit(operation);
    } else {
      this.#parked.push(operation);
    }
  }

  #submit(operation: Operation): void {
    this.#onDisk += 1;
    if (operation.kind === Kind.read) this.#disk.read(operation);
    else this.#disk.write(operation);
  }

  #answerLater(operation: Operation, answer: PoolStatus): void {
    operation.answer = answer;
    this.#answers.push(operation);
    if (this.#answering) return;
    this.#answering = true;
    this.#timers.at(this.#clock.nowNs(), this.#giveAnswers);
  }

  readonly #giveAnswers = (): void => {
    this.#answering = false;
    // What comes of these answers stands behind them, and waits for a timer of its own.
    for (let left = this.#answers.length; left > 0; left--) {
      const operation = this.#answers.shift();
      this.#finish(operation, operation.answer);
    }
  };

  #flushIfIdle(): void {
    if (this.#flushing || this.#written.length === 0) return;
    while (this.#written.length > 0) this.#covered.push(this.#written.shift());
    this.#flushing = true;
    this.#disk.flush(this.#flushIo);
  }

  #flushed(status: DiskStatus): void {
    const outcome = poolStatus(status);
    if (outcome !== PoolStatus.ok) {
      this.#failedFlushes += 1;
      while (this.#written.length > 0) this.#covered.push(this.#written.shift());
    }
    while (this.#covered.length > 0) this.#finish(this.#covered.shift(), outcome);
    this.#flushing = false;
    this.#flushIfIdle();
    this.#tellIfQuiet();
  }

  #finish(operation: Operation, status: PoolStatus): void {
    const io = operation.io;
    invariant(io !== null, 'an operation that ends has begun');
    operation.io = null;
    operation.buffer = NO_BYTES;
    this.#free.push(operation);
    this.#begun -= 1;
    io.poolDone(status);
    this.#tellIfQuiet();
  }

  #checkConditional(block: PoolBlock): void {
    invariant(this.#closing === null, 'nobody uses a pool after closing it');
    invariant(block >= 0 && block < EXTENT_BLOCKS, 'conditional blocks are those of extent 0');
  }

  async #counted<T>(call: Promise<T>): Promise<T> {
    this.#conditionalCalls += 1;
    try {
      return await call;
    } finally {
      this.#conditionalCalls -= 1;
      this.#tellIfQuiet();
    }
  }

  get #quiet(): boolean {
    return this.#begun === 0 && this.#conditionalCalls === 0 && !this.#flushing;
  }

  #tellIfQuiet(): void {
    if (this.#whenQuiet === null || !this.#quiet) return;
    this.#whenQuiet();
    this.#whenQuiet = null;
  }

  async #closeWhenQuiet(): Promise<void> {
    if (!this.#quiet) {
      await new Promise<void>((resolve) => {
        this.#whenQuiet = resolve;
      });
    }
    await this.#disk.close();
  }
}

function poolStatus(status: DiskStatus): PoolStatus {
  if (status === DiskStatus.ok) return PoolStatus.ok;
  return status === DiskStatus.noSpace ? PoolStatus.noSpace : PoolStatus.ioError;
}
