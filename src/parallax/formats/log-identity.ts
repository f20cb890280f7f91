/**
 * Which log the log files of a host are: one block, twice, in the file `identity` beside them.
 *
 * Offset  Size  Field (little-endian)
 *      0     4  magic, "PXLI"
 *      4     2  version of this format
 *      6     2  0
 *      8     4  CRC-32 of all 4096 bytes, this field zero
 *     12     4  0
 *     16    16  uuid of the log
 *     32        zeros, up to 4096
 */

import { formatUuid, UUID_BYTES, uuidBytes } from '../../base/formats/field-bytes.ts';
import { beginFrame, type Damage, frameDamage, seal, viewOf } from '../../base/formats/sealed.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { Digest } from '../../world/world.ts';

const FRAME = { magic: 0x494c_5850, version: 1 } as const;
const UUID_AT = 16;

export function encodeLogIdentity(digest: Digest, uuid: string): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const view = viewOf(bytes);
  beginFrame(view, 0, FRAME);
  bytes.set(uuidBytes(uuid), UUID_AT);
  seal(digest, bytes, view, 0, BLOCK_BYTES);
  return bytes;
}

export function decodeLogIdentity(digest: Digest, bytes: Uint8Array): string | Damage {
  const damage = frameDamage(digest, bytes, viewOf(bytes), 0, bytes.length, FRAME);
  return damage ?? formatUuid(bytes.slice(UUID_AT, UUID_AT + UUID_BYTES));
}
