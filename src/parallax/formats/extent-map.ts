/**
 * The map of an extent: which of its blocks are free, private to one tree, or shared.
 *
 * It lies in the first four blocks of the extent, twice: copy A in blocks 0 and 1, copy B in blocks
 * 2 and 3. A write goes to the copy that does not hold, so that one that is torn leaves the other;
 * of two sound copies the one with the higher sequence holds. A copy is 8192 bytes:
 *
 * Offset  Size  Field (little-endian)
 *      0     4  magic, "SDXM"
 *      4     2  version of this format
 *      6     2  0
 *      8     4  CRC-32 of all 8192 bytes, this field zero
 *     12     4  number of the extent
 *     16    16  uuid of the store
 *     32     4  session that wrote it
 *     36     4  sequence: 1 for the first map of the extent, one more for each
 *     40     4  free blocks
 *     44    20  0
 *     64  4095  states, 2 bits a block: block 4 + i of the extent in byte i / 4, bits 2 * (i mod 4)
 *               and up: 0 free, 1 private, 2 shared
 *   4159        zeros, up to 8192
 *
 * Not done: the map is not kept while its extent is open. What is allocated is known to the owner
 * alone until the extent fills or is given back; after a crash a sweep finds out.
 */

import { sameBytes, UUID_BYTES } from '../../base/formats/field-bytes.ts';
import {
  beginFrame,
  type Damage,
  damageAt,
  frameDamage,
  seal,
  viewOf,
} from '../../base/formats/sealed.ts';
import { BLOCK_BYTES, EXTENT_BLOCKS } from '../../world/block-pool.ts';
import type { Digest } from '../../world/world.ts';

export const BlockState = { free: 0, private: 1, shared: 2 } as const;
export type BlockState = (typeof BlockState)[keyof typeof BlockState];

export const MAP_COPY_BLOCKS = 2;
export const MAP_COPY_BYTES: number = MAP_COPY_BLOCKS * BLOCK_BYTES;
/** Blocks of an extent before the first one that can be allocated. */
export const MAP_BLOCKS: number = 2 * MAP_COPY_BLOCKS;
export const EXTENT_DATA_BLOCKS: number = EXTENT_BLOCKS - MAP_BLOCKS;
export const STATES_BYTES: number = EXTENT_DATA_BLOCKS / 4;

const FRAME = { magic: 0x4d58_4453, version: 1 } as const;
const STATES_OFFSET = 64;

export interface ExtentMapHeader {
  readonly extent: number;
  readonly store: Uint8Array;
  readonly session: number;
  readonly sequence: number;
}

export interface ExtentMap extends ExtentMapHeader {
  readonly freeBlocks: number;
  /** `STATES_BYTES`, a copy. */
  readonly states: Uint8Array;
}

/** Writes a copy of the map into `target`, which has `MAP_COPY_BYTES`. */
export function encodeExtentMap(
  digest: Digest,
  header: ExtentMapHeader,
  states: Uint8Array,
  target: Uint8Array,
): void {
  target.fill(0);
  const view = viewOf(target);
  beginFrame(view, 0, FRAME);
  view.setUint32(12, header.extent, true);
  target.set(header.store, 16);
  view.setUint32(32, header.session, true);
  view.setUint32(36, header.sequence, true);
  view.setUint32(40, countFree(states) ?? 0, true);
  target.set(states, STATES_OFFSET);
  seal(digest, target, view, 0, target.length);
}

/** Decodes one copy, which must be of this store and this extent. */
export function decodeExtentMap(
  digest: Digest,
  bytes: Uint8Array,
  store: Uint8Array,
  extent: number,
): ExtentMap | Damage {
  const view = viewOf(bytes);
  const damage = frameDamage(digest, bytes, view, 0, bytes.length, FRAME);
  if (damage !== null) return damage;
  if (!sameBytes(bytes.subarray(16, 16 + UUID_BYTES), store)) {
    return damageAt(16, 'it belongs to another store');
  }
  const found = view.getUint32(12, true);
  if (found !== extent) return damageAt(12, `it belongs to extent ${found}`);
  const states = bytes.slice(STATES_OFFSET, STATES_OFFSET + STATES_BYTES);
  const freeBlocks = countFree(states);
  if (freeBlocks === null) return damageAt(STATES_OFFSET, 'it has a block in no state');
  if (freeBlocks !== view.getUint32(40, true))
    return damageAt(40, 'it counts its free blocks wrong');
  const session = view.getUint32(32, true);
  return { extent, store, session, sequence: view.getUint32(36, true), freeBlocks, states };
}

/** Free blocks; null if a state is none of the three. */
function countFree(states: Uint8Array): number | null {
  let free = 0;
  for (const byte of states) {
    for (let shift = 0; shift < 8; shift += 2) {
      const state = (byte >>> shift) & 3;
      if (state === 3) return null;
      if (state === BlockState.free) free++;
    }
  }
  return free;
}
