/**
 * A disk over one file, by positional callback I/O.
 *
 * Each operation borrows a record from a free list for its time in flight; the record keeps one
 * bound callback for its whole life, so an I/O allocates nothing but what Node itself makes. Short
 * reads and writes are continued until the length is done. A read that meets the end of the file
 * is an I/O error: the file has lost bytes since it was opened.
 *
 * Durability: `write` is done when the page cache has the bytes; `flush` is fdatasync, which also
 * makes the size durable where reading the data back needs it.
 *
 * A disk that was opened with `writesInline` copies small writes to the page cache within the call
 * and completes them when the caller has returned: two changes of thread less for each write.
 *
 * `zero` writes zeros from one shared array. Node offers no hole punching (no fallocate, no
 * FALLOC_FL_PUNCH_HOLE), so zeroed ranges keep their space on the file system.
 *
 * Death of the incarnation: `bury` stops all completions at once, and settles when the kernel is
 * done with what was in flight. When the whole thread is killed, Node itself waits for its file
 * operations before the thread's exit is reported, which gives the same promise.
 */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { StorageError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import { type Disk, type DiskIo, type DiskOpenOptions, DiskStatus } from '../world.ts';

const ZEROS: Uint8Array = new Uint8Array(128 * 1024);

const closeFile: (fd: number) => Promise<void> = promisify(fs.close);
const truncateFile: (fd: number, sizeBytes: number) => Promise<void> = promisify(fs.ftruncate);

/** A write up to this size takes some tens of microseconds. */
const INLINE_BYTES_MAX = 192 * 1024;

const Kind = { read: 0, write: 1, zero: 2, flush: 3, refused: 4, writeInline: 5 } as const;
type Kind = (typeof Kind)[keyof typeof Kind];

export class FileDisk implements Disk {
  readonly name: string;
  readonly writable: boolean;
  readonly #fd: number;
  readonly #path: string;
  readonly #writesInline: boolean;
  readonly #onCompletion: () => void;
  readonly #free: Operation[] = [];
  #sizeBytes: number;
  #inFlight = 0;
  #abandoned = false;
  #closing: Promise<void> | null = null;
  #whenSettled: (() => void)[] = [];

  /** Owns `fd`. `onCompletion` is told after each completion: the actor may have work now. */
  constructor(
    name: string,
    path: string,
    fd: number,
    sizeBytes: number,
    options: Pick<DiskOpenOptions, 'writable' | 'writesInline'>,
    onCompletion: () => void,
  ) {
    this.name = name;
    this.writable = options.writable;
    this.#writesInline = options.writesInline ?? false;
    this.#fd = fd;
    this.#path = path;
    this.#sizeBytes = sizeBytes;
    this.#onCompletion = onCompletion;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get closed(): boolean {
    return this.#closing !== null && this.#inFlight === 0;
  }

  /** Operations in flight, a resize or a close included. */
  get inFlight(): number {
    return this.#inFlight;
  }

  read(io: DiskIo): void {
    this.#begin(io, this.#inside(io) ? Kind.read : Kind.refused, DiskStatus.outOfRange);
  }

  write(io: DiskIo): void {
    const isInline = this.#writesInline && io.lengthBytes <= INLINE_BYTES_MAX;
    this.#beginMutation(io, isInline ? Kind.writeInline : Kind.write);
  }

  zero(io: DiskIo): void {
    this.#beginMutation(io, Kind.zero);
  }

  flush(io: DiskIo): void {
    this.#begin(io, Kind.flush, DiskStatus.ok);
  }

  readNow(
    buffer: Uint8Array,
    bufferOffset: number,
    lengthBytes: number,
    position: number,
  ): DiskStatus {
    invariant(this.#closing === null, 'nobody uses a disk after closing it');
    if (!this.#holds(position, lengthBytes)) return DiskStatus.outOfRange;
    let done = 0;
    try {
      while (done < lengthBytes) {
        const left = lengthBytes - done;
        const count = fs.readSync(this.#fd, buffer, bufferOffset + done, left, position + done);
        if (count === 0) return DiskStatus.ioError;
        done += count;
      }
    } catch (thrown) {
      return statusOf(thrown as NodeJS.ErrnoException);
    }
    return DiskStatus.ok;
  }

  async resize(sizeBytes: number): Promise<void> {
    invariant(this.#closing === null, 'nobody uses a disk after closing it');
    invariant(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0, 'a size is a whole number');
    if (this.#abandoned) return forever();
    this.#inFlight += 1;
    try {
      await truncateFile(this.#fd, sizeBytes);
      this.#sizeBytes = sizeBytes;
    } catch (cause) {
      if (this.#abandoned) return forever();
      throw new StorageError('E_DISK_RESIZE', `cannot resize ${this.#path} to ${sizeBytes} bytes`, {
        fields: { path: this.#path, sizeBytes },
        cause,
      });
    } finally {
      this.#ended();
    }
    if (this.#abandoned) return forever();
  }

  /** Waits for what is in flight, then gives the file back. Closing twice does nothing. */
  async close(): Promise<void> {
    this.#closing ??= this.#closeWhenSettled();
    await this.#closing;
    if (this.#abandoned) return forever();
  }

  /**
   * Ends the disk of a dead incarnation. From here on no completion reaches anybody; settles when
   * its I/O is over and the file is closed.
   */
  bury(): Promise<void> {
    this.#abandoned = true;
    this.#closing ??= this.#closeWhenSettled();
    return this.#closing;
  }

  async #closeWhenSettled(): Promise<void> {
    await this.#settled();
    this.#inFlight += 1;
    try {
      await closeFile(this.#fd);
    } finally {
      this.#ended();
    }
  }

  #settled(): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenSettled.push(resolve));
  }

  #beginMutation(io: DiskIo, kind: Kind): void {
    if (!this.writable) this.#begin(io, Kind.refused, DiskStatus.notWritable);
    else this.#begin(io, this.#inside(io) ? kind : Kind.refused, DiskStatus.outOfRange);
  }

  #begin(io: DiskIo, kind: Kind, refusal: DiskStatus): void {
    if (this.#abandoned) return;
    invariant(this.#closing === null, 'nobody uses a disk after closing it');
    this.#inFlight += 1;
    const operation = this.#free.pop() ?? new Operation(this.#fd, this.#complete);
    operation.begin(io, kind, refusal);
  }

  readonly #complete = (operation: Operation, io: DiskIo, status: DiskStatus): void => {
    this.#free.push(operation);
    try {
      if (!this.#abandoned) io.diskDone(status);
    } finally {
      this.#ended();
    }
  };

  #ended(): void {
    this.#inFlight -= 1;
    if (this.#inFlight === 0 && this.#whenSettled.length > 0) {
      for (const resolve of this.#whenSettled.splice(0)) resolve();
    }
    if (!this.#abandoned) this.#onCompletion();
  }

  #inside(io: DiskIo): boolean {
    return this.#holds(io.position, io.lengthBytes);
  }

  #holds(position: number, lengthBytes: number): boolean {
    return position >= 0 && lengthBytes >= 0 && position + lengthBytes <= this.#sizeBytes;
  }
}

/** One operation in flight; reused. */
class Operation {
  readonly #fd: number;
  readonly #complete: (operation: Operation, io: DiskIo, status: DiskStatus) => void;
  #io: DiskIo | null = null;
  #kind: Kind = Kind.read;
  #status: DiskStatus = DiskStatus.ok;
  #done = 0;

  constructor(
    fd: number,
    complete: (operation: Operation, io: DiskIo, status: DiskStatus) => void,
  ) {
    this.#fd = fd;
    this.#complete = complete;
  }

  begin(io: DiskIo, kind: Kind, refusal: DiskStatus): void {
    this.#io = io;
    this.#kind = kind;
    this.#status = refusal;
    this.#done = 0;
    if (kind === Kind.flush) fs.fdatasync(this.#fd, this.#onFlushed);
    else if (kind === Kind.refused) setImmediate(this.#onDecided);
    else if (io.lengthBytes === 0) this.#refuse(DiskStatus.ok);
    else if (kind === Kind.writeInline) this.#writeInline(io);
    else this.#continue(io);
  }

  #writeInline(io: DiskIo): void {
    this.#status = DiskStatus.ok;
    try {
      while (this.#done < io.lengthBytes) {
        const left = io.lengthBytes - this.#done;
        const offset = io.bufferOffset + this.#done;
        const position = io.position + this.#done;
        this.#done += fs.writeSync(this.#fd, io.buffer, offset, left, position);
      }
    } catch (thrown) {
      this.#status = statusOf(thrown as NodeJS.ErrnoException);
    }
    process.nextTick(this.#onDecided);
  }

  /** Ends an operation that needs no I/O, but never inside the call that began it. */
  #refuse(status: DiskStatus): void {
    this.#status = status;
    setImmediate(this.#onDecided);
  }

  #continue(io: DiskIo): void {
    const left = io.lengthBytes - this.#done;
    const offset = io.bufferOffset + this.#done;
    const position = io.position + this.#done;
    if (this.#kind === Kind.read) {
      fs.read(this.#fd, io.buffer, offset, left, position, this.#onMoved);
    } else if (this.#kind === Kind.write) {
      fs.write(this.#fd, io.buffer, offset, left, position, this.#onMoved);
    } else {
      fs.write(this.#fd, ZEROS, 0, Math.min(left, ZEROS.length), position, this.#onMoved);
    }
  }

  readonly #onMoved = (error: NodeJS.ErrnoException | null, count: number): void => {
    const io = this.#borrowed();
    if (error !== null) return this.#end(io, statusOf(error));
    this.#done += count;
    if (count === 0) this.#end(io, DiskStatus.ioError);
    else if (this.#done < io.lengthBytes) this.#continue(io);
    else this.#end(io, DiskStatus.ok);
  };

  readonly #onFlushed = (error: NodeJS.ErrnoException | null | undefined): void => {
    this.#end(this.#borrowed(), error ? statusOf(error) : DiskStatus.ok);
  };

  readonly #onDecided = (): void => {
    this.#end(this.#borrowed(), this.#status);
  };

  #borrowed(): DiskIo {
    invariant(this.#io !== null, 'an operation in flight has its request');
    return this.#io;
  }

  #end(io: DiskIo, status: DiskStatus): void {
    this.#io = null;
    this.#complete(this, io, status);
  }
}

/** The disk status of a failed system call. What is not known to be better is a medium error. */
export function statusOf(error: NodeJS.ErrnoException): DiskStatus {
  switch (error.code ?? '') {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return DiskStatus.noSpace;
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
    case 'EBADF':
      return DiskStatus.notWritable;
    default:
      return DiskStatus.ioError;
  }
}

/** What a dead incarnation waits for. */
export function forever(): Promise<never> {
  return new Promise<never>(() => {});
}
