/**
 * Opening disks: the part of a disk that belongs to one incarnation of an actor.
 *
 * After the incarnation's death a handle does nothing, and its promises never settle.
 */
import { StorageError, UsageError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import { type Disk, type DiskIo, type DiskOpenOptions, DiskStatus, type Disks } from '../world.ts';
import { DiskOp } from './disk-timing.ts';
import { EventKind } from './event-queue.ts';
import type { Incarnation } from './incarnation.ts';
import type { Kernel } from './kernel.ts';
import type { OperationOwner, SimDisk } from './sim-disk.ts';
import type { SimHost } from './sim-host.ts';

export class SimDisks implements Disks {
  readonly #kernel: Kernel;
  readonly #incarnation: Incarnation;
  readonly #host: SimHost;

  constructor(kernel: Kernel, incarnation: Incarnation, host: SimHost) {
    this.#kernel = kernel;
    this.#incarnation = incarnation;
    this.#host = host;
    incarnation.onDeath(() => host.settleDisks(incarnation));
  }

  open(name: string, options: DiskOpenOptions): Promise<Disk> {
    return later(this.#kernel, this.#incarnation, this.#host.diskModel.metadataNs, () => {
      const disk = this.#find(name, options);
      return new SimDiskHandle(this.#kernel, this.#incarnation, disk, options.writable);
    });
  }

  list(): Promise<readonly string[]> {
    return later(this.#kernel, this.#incarnation, this.#host.diskModel.metadataNs, () =>
      this.#host.diskNames(),
    );
  }

  remove(name: string): Promise<void> {
    return later(this.#kernel, this.#incarnation, this.#host.diskModel.metadataNs, () =>
      this.#host.removeDisk(name),
    );
  }

  #find(name: string, options: DiskOpenOptions): SimDisk {
    const fields = { disk: name, host: this.#host.name };
    const found = this.#host.findDisk(name);
    const { createBytes } = options;
    if (found === undefined) {
      if (createBytes !== undefined) return this.#host.addDisk(name, createBytes);
      const text = `host ${this.#host.name} has no disk "${name}": create it, or name another`;
      throw new UsageError('E_DISK_MISSING', text, { fields });
    }
    if (createBytes !== undefined && found.sizeBytes < createBytes) {
      const text =
        `disk "${name}" has ${found.sizeBytes} bytes, ${createBytes} were expected: ` +
        'grow it, or ask for less';
      throw new UsageError('E_DISK_TOO_SMALL', text, { fields });
    }
    if (options.writable && found.readOnly) {
      const text = `disk "${name}" is read-only: open it for reading`;
      throw new UsageError('E_DISK_NOT_WRITABLE', text, { fields });
    }
    return found;
  }
}

class SimDiskHandle implements Disk, OperationOwner {
  readonly name: string;
  readonly writable: boolean;
  readonly incarnation: Incarnation;
  readonly #kernel: Kernel;
  readonly #disk: SimDisk;
  #open = true;
  #inFlight = 0;
  /** Called when the last operation in flight is over. */
  #whenQuiet: (() => void) | null = null;

  constructor(kernel: Kernel, incarnation: Incarnation, disk: SimDisk, writable: boolean) {
    this.#kernel = kernel;
    this.incarnation = incarnation;
    this.#disk = disk;
    this.name = disk.name;
    this.writable = writable;
  }

  get sizeBytes(): number {
    return this.#disk.sizeBytes;
  }

  read(io: DiskIo): void {
    this.#submit(DiskOp.read, io);
  }

  write(io: DiskIo): void {
    this.#submit(DiskOp.write, io);
  }

  flush(io: DiskIo): void {
    this.#submit(DiskOp.flush, io);
  }

  zero(io: DiskIo): void {
    this.#submit(DiskOp.zero, io);
  }

  readNow(buffer: Uint8Array, offset: number, lengthBytes: number, position: number): DiskStatus {
    const permission = this.permission(DiskOp.read);
    if (permission !== DiskStatus.ok) return permission;
    const { incarnation } = this;
    incarnation.spend(this.#disk.timing.inlineNs(lengthBytes, incarnation.nowNs()));
    return this.#disk.readNow(buffer, offset, lengthBytes, position);
  }

  resize(sizeBytes: number): Promise<void> {
    invariant(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0, 'a size is a whole number');
    return later(this.#kernel, this.incarnation, this.#disk.timing.model.metadataNs, () => {
      if (this.permission(DiskOp.write) !== DiskStatus.ok) {
        const fields = { disk: this.name };
        throw new StorageError('E_DISK_NOT_WRITABLE', `disk "${this.name}" cannot be resized`, {
          fields,
        });
      }
      this.#disk.resize(sizeBytes);
    });
  }

  async close(): Promise<void> {
    this.#open = false;
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#whenQuiet = resolve;
      });
    }
    await later(this.#kernel, this.incarnation, this.#disk.timing.model.metadataNs, () => {});
  }

  permission(op: DiskOp): DiskStatus {
    const allowed =
      this.#open &&
      this.incarnation.alive &&
      (this.writable || op === DiskOp.read || op === DiskOp.flush);
    return allowed ? DiskStatus.ok : DiskStatus.notWritable;
  }

  operationDone(): void {
    this.#inFlight--;
    if (this.#inFlight > 0 || this.#whenQuiet === null) return;
    this.#whenQuiet();
    this.#whenQuiet = null;
  }

  #submit(op: DiskOp, io: DiskIo): void {
    if (!this.incarnation.alive) return;
    this.#inFlight++;
    this.#disk.submit(op, io, this);
  }
}

/** What `make` gives, after some time; never, if the incarnation dies before. */
function later<T>(
  kernel: Kernel,
  incarnation: Incarnation,
  durationNs: number,
  make: () => T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (!incarnation.alive) return;
    const happen = (): void => {
      try {
        resolve(make());
      } catch (thrown) {
        reject(thrown);
      }
    };
    const timeNs = incarnation.nowNs() + durationNs;
    kernel.schedule(timeNs, EventKind.disk, incarnation, happen, 0, 0);
  });
}
