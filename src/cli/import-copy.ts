/**
 * Copies a raw file into an image: the file is read in large pieces, several at a time, and what is
 * not zeros is written to the image as any guest writes, several requests in flight.
 */
import type { FileHandle } from 'node:fs/promises';
import { StorageError } from '../base/errors.ts';
import { PAGE_BYTES, SECTOR_BYTES } from '../base/units.ts';
import { isZeros } from '../base/zeros.ts';
import type { ServedImage } from '../parallax/vdi/served-image.ts';
import {
  type BlockDevice,
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
  NO_ORIGIN,
} from '../world/block-device.ts';
import type { EngineRoom } from './store-engine.ts';

const PIECE_BYTES = 2 ** 20;
const PIECES_IN_FLIGHT = 8;
export const IMPORT_BUFFER_BYTES: number = PIECE_BYTES * PIECES_IN_FLIGHT;
/** No guest's front end has this number. */
const FRONT_ID = 0;

/**
 * Writes the file's first `sizeBytes` bytes; settles with how many of them were in blocks that are
 * not all zeros. `onProgress` hears how many were read.
 */
export async function copyIn(
  file: FileHandle,
  sizeBytes: number,
  image: ServedImage,
  { world, bufferAddress }: EngineRoom,
  onProgress: (bytes: number) => void,
): Promise<number> {
  const device = image.deviceFor(FRONT_ID, () => undefined);
  const { u8 } = world.memory;
  let next = 0;
  let read = 0;
  let copied = 0;
  const copyPieces = async (address: number): Promise<void> => {
    while (next < sizeBytes) {
      const position = next;
      const length = Math.min(PIECE_BYTES, sizeBytes - position);
      next += length;
      await readWhole(file, u8, address, length, position);
      const whole = Math.ceil(length / PAGE_BYTES) * PAGE_BYTES;
      u8.fill(0, address + length, address + whole);
      for (const { from, to } of dataRuns(u8, address, whole)) {
        await write(device, address + from, position + from, to - from);
        copied += to - from;
      }
      read += length;
      onProgress(read);
    }
  };
  const addresses = Array.from({ length: PIECES_IN_FLIGHT }, (_, i) => i * PIECE_BYTES);
  await Promise.all(addresses.map((at) => copyPieces(bufferAddress + at)));
  await device.close();
  return copied;
}

async function readWhole(
  file: FileHandle,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
): Promise<void> {
  for (let done = 0; done < length; ) {
    const left = length - done;
    const { bytesRead } = await file.read(buffer, offset + done, left, position + done);
    if (bytesRead === 0) {
      const text = `the file ended at byte ${position + done}: it was cut while it was read`;
      throw new StorageError('E_IMPORT_FILE', text);
    }
    done += bytesRead;
  }
}

/** Ranges of whole blocks that are not all zeros, of the `length` bytes at `address`. */
function dataRuns(u8: Uint8Array, address: number, length: number): { from: number; to: number }[] {
  const runs: { from: number; to: number }[] = [];
  for (let at = 0; at < length; at += PAGE_BYTES) {
    if (isZeros(u8.subarray(address + at, address + at + PAGE_BYTES))) continue;
    const last = runs[runs.length - 1];
    if (last !== undefined && last.to === at) last.to = at + PAGE_BYTES;
    else runs.push({ from: at, to: at + PAGE_BYTES });
  }
  return runs;
}

function write(
  device: BlockDevice,
  address: number,
  position: number,
  bytes: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const request: DeviceRequest = {
      op: DeviceOp.write,
      lba: position / SECTOR_BYTES,
      sectors: bytes / SECTOR_BYTES,
      address,
      origin: NO_ORIGIN,
      queue: 0,
      deviceDone: (status) => {
        if (status === DeviceStatus.ok) resolve();
        else reject(new StorageError('E_IMPORT_WRITE', `byte ${position} could not be written`));
      },
    };
    device.submit(request);
  });
}
