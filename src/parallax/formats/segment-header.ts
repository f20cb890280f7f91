/**
 * The first block of a log segment file: which life of the file its groups belong to.
 *
 * Offset of each field, little-endian; the rest of the 4096 bytes is zero:
 *
 *      0 magic u32 'PLXS'   4 version u16   6 zero u16        8 crc u32
 *     12 incarnation u32   16 number u32   20 serial u32     24 salt u32
 *     28 segmentBytes u32  32 zero to 4096
 *
 * `number` is that of the file's name and stays; `serial` counts the segments of one incarnation in
 * the order of its log, so a file that is used again gets a new one, and a new salt. The CRC is
 * over the whole block.
 */

import { beginFrame, type Damage, frameDamage, seal, viewOf } from '../../base/formats/sealed.ts';
import { PAGE_BYTES } from '../../base/units.ts';
import type { Digest } from '../../world/world.ts';

export const SEGMENT_HEADER_BYTES: number = PAGE_BYTES;
const FRAME = { magic: 0x53584c50, version: 1 } as const;

export interface SegmentHeader {
  readonly incarnation: number;
  readonly number: number;
  readonly serial: number;
  readonly salt: number;
  readonly segmentBytes: number;
}

export function encodeSegmentHeader(header: SegmentHeader, digest: Digest): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  const view = viewOf(bytes);
  beginFrame(view, 0, FRAME);
  view.setUint32(12, header.incarnation, true);
  view.setUint32(16, header.number, true);
  view.setUint32(20, header.serial, true);
  view.setUint32(24, header.salt, true);
  view.setUint32(28, header.segmentBytes, true);
  seal(digest, bytes, view, 0, SEGMENT_HEADER_BYTES);
  return bytes;
}

/** The header in the first block of `bytes`, or what is wrong with it. */
export function decodeSegmentHeader(bytes: Uint8Array, digest: Digest): SegmentHeader | Damage {
  const view = viewOf(bytes);
  const damage = frameDamage(digest, bytes, view, 0, SEGMENT_HEADER_BYTES, FRAME);
  if (damage !== null) return damage;
  return {
    incarnation: view.getUint32(12, true),
    number: view.getUint32(16, true),
    serial: view.getUint32(20, true),
    salt: view.getUint32(24, true),
    segmentBytes: view.getUint32(28, true),
  };
}
