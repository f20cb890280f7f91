/**
 * A disk in a file (or whatever the world's `Disk` is): requests go to it as they are.
 *
 * A write completes when it is in the page cache: it survives the driver VM's death but not the
 * host's power. A flush is the disk's flush. After one has failed, what was written before it may
 * be lost without a further word (the page cache forgets that it is dirty), so no later flush is
 * answered with success until the device is opened again: a good flush would hide the loss. Writes
 * that are in flight when the driver VM dies may be done, dropped or torn at a sector: the front
 * end replays them.
 */
import { fail } from '../../base/invariant.ts';
import type { SharedMemory } from '../../base/shared-memory.ts';
import { SECTOR_BYTES } from '../../base/units.ts';
import {
  type BlockDevice,
  type DeviceInfo,
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
} from '../../world/block-device.ts';
import { type Disk, type DiskIo, DiskStatus } from '../../world/world.ts';

export class FileDevice implements BlockDevice {
  readonly info: DeviceInfo;
  readonly #disk: Disk;
  readonly #memory: SharedMemory;
  readonly #free: FileIo[] = [];
  #inFlight = 0;
  #flushFailed = false;
  #onIdle: (() => void) | null = null;

  constructor(disk: Disk, memory: SharedMemory, sectors: number) {
    this.#disk = disk;
    this.#memory = memory;
    this.info = {
      kind: 'file',
      sectors,
      sectorSizeBytes: SECTOR_BYTES,
      readonly: !disk.writable,
      flush: true,
      discard: true,
      ordersItself: false,
    };
  }

  submit(request: DeviceRequest): void {
    const io = this.#free.pop() ?? new FileIo(this, this.#memory.u8);
    this.#inFlight++;
    io.request = request;
    io.bufferOffset = request.address;
    io.lengthBytes = request.sectors * SECTOR_BYTES;
    io.position = request.lba * SECTOR_BYTES;
    switch (request.op) {
      case DeviceOp.read:
        this.#disk.read(io);
        break;
      case DeviceOp.write:
        this.#disk.write(io);
        break;
      case DeviceOp.flush:
        this.#disk.flush(io);
        break;
      case DeviceOp.discard:
        this.#disk.zero(io);
        break;
    }
  }

  /** Called by an operation that is over: it is free before its request hears of it. */
  operationDone(io: FileIo, status: DiskStatus): void {
    const request = io.request;
    if (request === null) return fail('a disk operation completes once');
    io.request = null;
    this.#free.push(io);
    this.#inFlight--;
    const isFlush = request.op === DeviceOp.flush;
    if (isFlush && status !== DiskStatus.ok) this.#flushFailed = true;
    const good = status === DiskStatus.ok && !(isFlush && this.#flushFailed);
    request.deviceDone(good ? DeviceStatus.ok : DeviceStatus.ioError);
    if (this.#inFlight === 0 && this.#onIdle !== null) this.#onIdle();
  }

  async resize(sectors: number): Promise<void> {
    await this.#disk.resize(sectors * SECTOR_BYTES);
    this.info.sectors = sectors;
  }

  async close(): Promise<void> {
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    await this.#disk.close();
  }
}

/** A reusable operation; as many exist as were ever in flight at once. */
class FileIo implements DiskIo {
  readonly #device: FileDevice;
  readonly buffer: Uint8Array;
  bufferOffset = 0;
  lengthBytes = 0;
  position = 0;
  request: DeviceRequest | null = null;

  constructor(device: FileDevice, buffer: Uint8Array) {
    this.#device = device;
    this.buffer = buffer;
  }

  diskDone(status: DiskStatus): void {
    this.#device.operationDone(this, status);
  }
}
