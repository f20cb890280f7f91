/**
 * Digests by libraries. All of them read shared memory in place.
 *
 * Node 20 is built without the processor's instructions for CRC-32: its zlib takes 0.8 us for
 * 4 KiB, and the native module 0.25 us. Where there is no build of the module for the machine, zlib
 * gives the same sums.
 */
import { createHash } from 'node:crypto';
import { crc32 as zlibCrc32 } from 'node:zlib';
import type { Digest } from '../world.ts';

const crc32: (bytes: Uint8Array) => number = await import('@node-rs/crc32').then(
  (native) => native.crc32,
  () => zlibCrc32,
);

export const nodeDigest: Digest = {
  crc32: (bytes, offset, lengthBytes) => crc32(bytes.subarray(offset, offset + lengthBytes)),
  sha256: (bytes, offset, lengthBytes) =>
    createHash('sha256')
      .update(bytes.subarray(offset, offset + lengthBytes))
      .digest(),
};
