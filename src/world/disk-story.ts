/** Disk operations as promises, for stories: an object each, never on the data path. */
import type { Disk, DiskStatus } from './world.ts';

const NO_BYTES = new Uint8Array(0);

/** Settles with the outcome of one operation; by default on as many bytes as `buffer` has. */
export function diskCall(
  disk: Disk,
  op: 'read' | 'write' | 'zero',
  position: number,
  buffer: Uint8Array,
  bufferOffset = 0,
  lengthBytes: number = buffer.length,
): Promise<DiskStatus> {
  return new Promise((diskDone) => {
    disk[op]({ buffer, bufferOffset, lengthBytes, position, diskDone });
  });
}

export function flushDisk(disk: Disk): Promise<DiskStatus> {
  return new Promise((diskDone) => {
    disk.flush({ buffer: NO_BYTES, bufferOffset: 0, lengthBytes: 0, position: 0, diskDone });
  });
}
