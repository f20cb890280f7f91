/**
 * The label of a pool file: its block 0, where a pool on Petal would have conditional blocks. It
 * binds the file to the directory that holds those, so that one is never used with another's.
 *
 * Offset  Size  Field (little-endian)
 *      0     4  magic, "SDPF"
 *      4     2  version of this format
 *      6     2  0
 *      8     4  CRC-32 of all 4096 bytes, this field zero
 *     12     4  0
 *     16    16  uuid of the store
 *     32     6  size of the pool in blocks, extent 0 included
 *     38        zeros, up to 4096
 */

import { getU48, setU48, UUID_BYTES } from '../../base/formats/field-bytes.ts';
import { beginFrame, type Damage, frameDamage, seal, viewOf } from '../../base/formats/sealed.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { Digest } from '../../world/world.ts';

const FRAME = { magic: 0x4650_4453, version: 1 } as const;

export interface PoolLabel {
  readonly uuid: Uint8Array;
  readonly sizeBlocks: number;
}

export function encodePoolLabel(digest: Digest, label: PoolLabel): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const view = viewOf(bytes);
  beginFrame(view, 0, FRAME);
  bytes.set(label.uuid, 16);
  setU48(view, 32, label.sizeBlocks);
  seal(digest, bytes, view, 0, BLOCK_BYTES);
  return bytes;
}

export function decodePoolLabel(digest: Digest, bytes: Uint8Array): PoolLabel | Damage {
  const view = viewOf(bytes);
  const damage = frameDamage(digest, bytes, view, 0, bytes.length, FRAME);
  if (damage !== null) return damage;
  return { uuid: bytes.slice(16, 16 + UUID_BYTES), sizeBlocks: getU48(view, 32) };
}
