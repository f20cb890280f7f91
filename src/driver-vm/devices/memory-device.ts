/**
 * A disk in host RAM that does not belong to the driver VM: the toolstack gives it a run of frames
 * of its own, so that the contents outlive a killed driver VM, as a disk would. A flush has nothing
 * to do; the host's power going away takes everything.
 */
import { StorageError } from '../../base/errors.ts';
import type { SharedMemory } from '../../base/shared-memory.ts';
import { SECTOR_BYTES } from '../../base/units.ts';
import {
  type BlockDevice,
  type DeviceInfo,
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
} from '../../world/block-device.ts';

export class MemoryDevice implements BlockDevice {
  readonly info: DeviceInfo;
  readonly #memory: SharedMemory;
  readonly #address: number;
  readonly #capacitySectors: number;

  /** `address`: first byte of `capacitySectors` sectors in `memory` that nobody else uses. */
  constructor(
    memory: SharedMemory,
    address: number,
    capacitySectors: number,
    sectors: number = capacitySectors,
  ) {
    this.#memory = memory;
    this.#address = address;
    this.#capacitySectors = capacitySectors;
    this.info = {
      kind: 'memory',
      sectors,
      sectorSizeBytes: SECTOR_BYTES,
      readonly: false,
      flush: true,
      discard: true,
      ordersItself: false,
    };
  }

  submit(request: DeviceRequest): void {
    const at = this.#address + request.lba * SECTOR_BYTES;
    const lengthBytes = request.sectors * SECTOR_BYTES;
    switch (request.op) {
      case DeviceOp.read:
        this.#memory.copy(request.address, at, lengthBytes);
        break;
      case DeviceOp.write:
        this.#memory.copy(at, request.address, lengthBytes);
        break;
      case DeviceOp.discard:
        this.#memory.clear(at, lengthBytes);
        break;
      case DeviceOp.flush:
        break;
    }
    request.deviceDone(DeviceStatus.ok);
  }

  /** Within the frames it was given. */
  resize(sectors: number): Promise<void> {
    if (sectors > this.#capacitySectors) {
      const message = `a memory disk of ${this.#capacitySectors} sectors cannot grow to ${sectors}`;
      return Promise.reject(new StorageError('E_CANNOT_GROW', message));
    }
    this.info.sectors = sectors;
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
