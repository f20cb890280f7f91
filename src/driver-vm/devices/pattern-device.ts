/**
 * Every 8 bytes hold their own offset on the disk, big-endian; nothing is stored. A write must
 * carry just that, or it fails: a wrong address anywhere between guest and device is found without
 * keeping a copy of the disk. (After nbdkit's `pattern` plugin.)
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

export class PatternDevice implements BlockDevice {
  readonly info: DeviceInfo;
  readonly #memory: SharedMemory;

  constructor(memory: SharedMemory, sectors: number) {
    this.#memory = memory;
    this.info = {
      kind: 'pattern',
      sectors,
      sectorSizeBytes: SECTOR_BYTES,
      readonly: false,
      flush: true,
      discard: false,
      ordersItself: false,
    };
  }

  submit(request: DeviceRequest): void {
    switch (request.op) {
      case DeviceOp.read:
        this.#fill(request);
        request.deviceDone(DeviceStatus.ok);
        break;
      case DeviceOp.write:
        request.deviceDone(this.#matches(request) ? DeviceStatus.ok : DeviceStatus.ioError);
        break;
      case DeviceOp.flush:
        request.deviceDone(DeviceStatus.ok);
        break;
      case DeviceOp.discard:
        request.deviceDone(DeviceStatus.notSupported);
        break;
    }
  }

  resize(sectors: number): Promise<void> {
    if (sectors > Number.MAX_SAFE_INTEGER / SECTOR_BYTES) {
      return Promise.reject(new StorageError('E_CANNOT_GROW', 'offsets beyond 2^53 bytes'));
    }
    this.info.sectors = sectors;
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #fill(request: DeviceRequest): void {
    const u32 = this.#memory.u32;
    const words = (request.sectors * SECTOR_BYTES) / 4;
    const offset = request.lba * SECTOR_BYTES;
    for (let i = 0; i < words; i++) u32[request.address / 4 + i] = patternWord(offset + 4 * i);
  }

  #matches(request: DeviceRequest): boolean {
    const u32 = this.#memory.u32;
    const words = (request.sectors * SECTOR_BYTES) / 4;
    const offset = request.lba * SECTOR_BYTES;
    for (let i = 0; i < words; i++) {
      if (u32[request.address / 4 + i] !== patternWord(offset + 4 * i)) return false;
    }
    return true;
  }
}

/** The 32-bit word of the pattern at a byte offset, as a little-endian machine loads it. */
export function patternWord(offset: number): number {
  const at = Math.floor(offset / 8) * 8;
  const half = offset % 8 === 0 ? Math.floor(at / 2 ** 32) : at >>> 0;
  return ((half >>> 24) | ((half >>> 8) & 0xff00) | ((half << 8) & 0xff0000) | (half << 24)) >>> 0;
}
