/** Keeps nothing and reads as zero: for measuring everything but a device. */
import type { SharedMemory } from '../../base/shared-memory.ts';
import { SECTOR_BYTES } from '../../base/units.ts';
import {
  type BlockDevice,
  type DeviceInfo,
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
} from '../../world/block-device.ts';

export class NullDevice implements BlockDevice {
  readonly info: DeviceInfo;
  readonly #memory: SharedMemory;

  constructor(memory: SharedMemory, sectors: number) {
    this.#memory = memory;
    this.info = {
      kind: 'null',
      sectors,
      sectorSizeBytes: SECTOR_BYTES,
      readonly: false,
      flush: true,
      discard: true,
      ordersItself: false,
    };
  }

  submit(request: DeviceRequest): void {
    if (request.op === DeviceOp.read) {
      this.#memory.clear(request.address, request.sectors * SECTOR_BYTES);
    }
    request.deviceDone(DeviceStatus.ok);
  }

  resize(sectors: number): Promise<void> {
    this.info.sectors = sectors;
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
