/**
 * The superblock of a store: its conditional block 0.
 *
 * Offset  Size  Field (little-endian)
 *      0     4  magic, "SDSB"
 *      4     2  version of this format
 *      6     2  state: 1 being created, 2 ready
 *      8     4  CRC-32 of all 4096 bytes, this field zero
 *     12     4  blocks of an extent
 *     16    16  uuid of the store
 *     32     6  time of creation, milliseconds since 1970
 *     38     2  0
 *     40     6  size of the pool in blocks, extent 0 included
 *     46     2  version of the format of root blocks
 *     48     2  ... of tree nodes
 *     50     2  ... of extent maps
 *     52     2  ... of records in the directory (attachments, extents, conditional blocks)
 *     54        zeros, up to 4096
 */

import { getU48, setU48, UUID_BYTES } from '../../base/formats/field-bytes.ts';
import {
  beginFrame,
  type Damage,
  damageAt,
  frameDamage,
  seal,
  viewOf,
} from '../../base/formats/sealed.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { Digest } from '../../world/world.ts';

export const SUPERBLOCK_VERSION = 1;
/** Versions of the formats that a store of today holds. */
export const STORE_FORMATS: StoreFormats = { root: 1, node: 1, extentMap: 1, record: 1 };

const FRAME = { magic: 0x4253_4453, version: SUPERBLOCK_VERSION } as const;
const STATES = ['creating', 'ready'] as const;

export interface StoreFormats {
  readonly root: number;
  readonly node: number;
  readonly extentMap: number;
  readonly record: number;
}

export interface Superblock {
  readonly state: (typeof STATES)[number];
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  readonly createdMs: number;
  readonly extentBlocks: number;
  readonly sizeBlocks: number;
  readonly formats: StoreFormats;
}

export function encodeSuperblock(digest: Digest, superblock: Superblock): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const view = viewOf(bytes);
  beginFrame(view, 0, FRAME);
  view.setUint16(6, STATES.indexOf(superblock.state) + 1, true);
  view.setUint32(12, superblock.extentBlocks, true);
  bytes.set(superblock.uuid, 16);
  setU48(view, 32, superblock.createdMs);
  setU48(view, 40, superblock.sizeBlocks);
  view.setUint16(46, superblock.formats.root, true);
  view.setUint16(48, superblock.formats.node, true);
  view.setUint16(50, superblock.formats.extentMap, true);
  view.setUint16(52, superblock.formats.record, true);
  seal(digest, bytes, view, 0, BLOCK_BYTES);
  return bytes;
}

export function decodeSuperblock(digest: Digest, bytes: Uint8Array): Superblock | Damage {
  const view = viewOf(bytes);
  const damage = frameDamage(digest, bytes, view, 0, bytes.length, FRAME);
  if (damage !== null) return damage;
  const stateNumber = view.getUint16(6, true);
  const state = STATES[stateNumber - 1];
  if (state === undefined) return damageAt(6, `it has no state ${stateNumber}`);
  return {
    state,
    uuid: bytes.slice(16, 16 + UUID_BYTES),
    createdMs: getU48(view, 32),
    extentBlocks: view.getUint32(12, true),
    sizeBlocks: getU48(view, 40),
    formats: {
      root: view.getUint16(46, true),
      node: view.getUint16(48, true),
      extentMap: view.getUint16(50, true),
      record: view.getUint16(52, true),
    },
  };
}
