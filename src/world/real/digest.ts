/** Digests by Node's own zlib and crypto. Both read shared memory in place. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Digest } from '../world.ts';

export const nodeDigest: Digest = {
  crc32: (bytes, offset, lengthBytes) => crc32(bytes.subarray(offset, offset + lengthBytes)),
  sha256: (bytes, offset, lengthBytes) =>
    createHash('sha256')
      .update(bytes.subarray(offset, offset + lengthBytes))
      .digest(),
};
