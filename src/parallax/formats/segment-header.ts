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
 * over the whole block with its own field zero; a later version keeps magic, version and CRC where
 * they are, so that a newer file can be told from a damaged one.
 */
import { PAGE_BYTES } from '../../base/units.ts';
import type { Digest } from '../../world/world.ts';

export const SEGMENT_HEADER_BYTES: number = PAGE_BYTES;
export const SEGMENT_MAGIC = 0x53584c50;
export const SEGMENT_VERSION = 1;
const CRC_AT = 8;

export interface SegmentHeader {
  readonly incarnation: number;
  readonly number: number;
  readonly serial: number;
  readonly salt: number;
  readonly segmentBytes: number;
}

export function encodeSegmentHeader(header: SegmentHeader, digest: Digest): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, SEGMENT_MAGIC, true);
  view.setUint16(4, SEGMENT_VERSION, true);
  view.setUint32(12, header.incarnation, true);
  view.setUint32(16, header.number, true);
  view.setUint32(20, header.serial, true);
  view.setUint32(24, header.salt, true);
  view.setUint32(28, header.segmentBytes, true);
  view.setUint32(CRC_AT, digest.crc32(bytes, 0, bytes.length), true);
  return bytes;
}

/** The header, or what is wrong with the block, in words. */
export function decodeSegmentHeader(block: Uint8Array, digest: Digest): SegmentHeader | string {
  const bytes = block.slice(0, SEGMENT_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  if (view.getUint32(0, true) !== SEGMENT_MAGIC) return 'not a segment header: wrong magic';
  const crc = view.getUint32(CRC_AT, true);
  view.setUint32(CRC_AT, 0, true);
  if (digest.crc32(bytes, 0, bytes.length) !== crc) return 'the CRC of the segment header fails';
  const version = view.getUint16(4, true);
  if (version !== SEGMENT_VERSION) return `segment header of version ${version}, expected 1`;
  return {
    incarnation: view.getUint32(12, true),
    number: view.getUint32(16, true),
    serial: view.getUint32(20, true),
    salt: view.getUint32(24, true),
    segmentBytes: view.getUint32(28, true),
  };
}
