/** Digests of the simulated World: Node's own, which are as deterministic as ours and faster. */
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Digest } from '../world.ts';

export const simDigest: Digest = {
  crc32(bytes: Uint8Array, offset: number, lengthBytes: number): number {
    return crc32(bytes.subarray(offset, offset + lengthBytes));
  },
  sha256(bytes: Uint8Array, offset: number, lengthBytes: number): Uint8Array {
    return new Uint8Array(hash('sha256', bytes.subarray(offset, offset + lengthBytes), 'buffer'));
  },
};
