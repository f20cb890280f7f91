/**
 * Ring entries as blkif.h lays them out, in private memory.
 *
 * ```
 * read, write, barrier, flush (112 bytes)      discard (32 bytes)          indirect (64 bytes)
 *  0 operation u8                               0 operation u8 = 5          0 operation u8 = 6
 *  1 nr_segments u8                             1 flag u8, bit 0 secure     1 indirect_op u8
 *  2 handle u16                                 2 handle u16                2 nr_segments u16
 *  8 id u64                                     8 id u64                    8 id u64
 * 16 sector_number u64                         16 sector_number u64        16 sector_number u64
 * 24 seg[11] of 8 bytes                        24 nr_sectors u64           24 handle u16
 *    0 gref u32                                                            28 indirect_grefs[8] u32
 *    4 first_sect u8, 5 last_sect u8
 *
 * response (16 bytes): 0 id u64, 8 operation u8, 10 status i16; the pad is zeroed (XSA-216)
 * ```
 *
 * A slot is read once, into a private `Uint32Array` of 28 words, by `FrontRing` and `BackRing`
 * alone; everything else decodes that copy. Sector addresses are u64 on the wire and doubles here:
 * a value over 2^53 decodes to `OUT_OF_RANGE`, which no device contains.
 */
import { MAX_DIRECT_SEGMENTS, SLOT_WORDS } from './layout.ts';

export const BlkifOp = {
  read: 0,
  write: 1,
  writeBarrier: 2,
  flush: 3,
  discard: 5,
  indirect: 6,
} as const;
export type BlkifOp = (typeof BlkifOp)[keyof typeof BlkifOp];

export const BlkifStatus = { okay: 0, error: -1, notSupported: -2 } as const;
export type BlkifStatus = (typeof BlkifStatus)[keyof typeof BlkifStatus];

/** A u64 that does not fit a double exactly. Larger than any device. */
export const OUT_OF_RANGE: number = Number.MAX_SAFE_INTEGER;

const OPERATION = 0;
const ID_LOW = 2;
const ID_HIGH = 3;
const SECTOR_LOW = 4;
const SEGMENTS = 6;
const DISCARD_COUNT_LOW = 6;
const INDIRECT_HANDLE = 6;
const INDIRECT_GREFS = 7;

export type EntryWords = Uint32Array;

export function newEntry(): EntryWords {
  return new Uint32Array(SLOT_WORDS);
}

export function entryOp(entry: EntryWords): number {
  return word(entry, OPERATION) & 0xff;
}

/** `nr_segments` of a direct request, or the flag byte of a discard, or `indirect_op`. */
export function entryByte1(entry: EntryWords): number {
  return (word(entry, OPERATION) >>> 8) & 0xff;
}

/** `handle` of a direct request, or `nr_segments` of an indirect one. */
export function entryHalf1(entry: EntryWords): number {
  return word(entry, OPERATION) >>> 16;
}

export function entryIdLow(entry: EntryWords): number {
  return word(entry, ID_LOW);
}

export function entryIdHigh(entry: EntryWords): number {
  return word(entry, ID_HIGH);
}

export function entrySector(entry: EntryWords): number {
  return u64(entry, SECTOR_LOW);
}

export function entryDiscardSectors(entry: EntryWords): number {
  return u64(entry, DISCARD_COUNT_LOW);
}

export function entrySegmentRef(entry: EntryWords, segment: number): number {
  return word(entry, SEGMENTS + 2 * segment);
}

/** The word behind a segment's reference: first_sect in bits 0-7, last_sect in bits 8-15. */
export function entrySegmentRange(entry: EntryWords, segment: number): number {
  return word(entry, SEGMENTS + 2 * segment + 1);
}

export function entryIndirectRef(entry: EntryWords, page: number): number {
  return word(entry, INDIRECT_GREFS + page);
}

/** How many words of a slot mean something, judged by its first word. */
export function meaningfulWords(firstWord: number): number {
  const op = firstWord & 0xff;
  if (op === BlkifOp.indirect) return 16;
  if (op === BlkifOp.discard) return 8;
  return SEGMENTS + 2 * Math.min((firstWord >>> 8) & 0xff, MAX_DIRECT_SEGMENTS);
}

export function encodeDirect(
  entry: EntryWords,
  op: number,
  segments: number,
  handle: number,
  id: number,
  sector: number,
): void {
  entry[OPERATION] = op | (segments << 8) | (handle << 16);
  encodeHead(entry, id, sector);
}

export function encodeSegment(
  entry: EntryWords,
  segment: number,
  ref: number,
  first: number,
  last: number,
): void {
  entry[SEGMENTS + 2 * segment] = ref;
  entry[SEGMENTS + 2 * segment + 1] = segmentRange(first, last);
}

/** The second word of a segment descriptor, with its pad zeroed. */
export function segmentRange(first: number, last: number): number {
  return first | (last << 8);
}

export function encodeIndirect(
  entry: EntryWords,
  indirectOp: number,
  segments: number,
  handle: number,
  id: number,
  sector: number,
): void {
  entry[OPERATION] = BlkifOp.indirect | (indirectOp << 8) | (segments << 16);
  encodeHead(entry, id, sector);
  entry[INDIRECT_HANDLE] = handle;
  entry.fill(0, INDIRECT_GREFS, INDIRECT_GREFS + 9);
}

export function encodeIndirectRef(entry: EntryWords, page: number, ref: number): void {
  entry[INDIRECT_GREFS + page] = ref;
}

export function encodeDiscard(
  entry: EntryWords,
  handle: number,
  id: number,
  sector: number,
  sectors: number,
): void {
  entry[OPERATION] = BlkifOp.discard | (handle << 16);
  encodeHead(entry, id, sector);
  entry[DISCARD_COUNT_LOW] = sectors >>> 0;
  entry[DISCARD_COUNT_LOW + 1] = Math.floor(sectors / 2 ** 32);
}

/** Response fields of a private copy. */
export function responseOp(entry: EntryWords): number {
  return word(entry, 2) & 0xff;
}

/** Sign-extended; anything but the three known values means an error (and a hostile back). */
export function responseStatus(entry: EntryWords): number {
  return word(entry, 2) >> 16;
}

export function responseId(entry: EntryWords): number {
  const high = word(entry, 1);
  return high === 0 ? word(entry, 0) : OUT_OF_RANGE;
}

/** True when the pad bytes of a response are zero, as they must be (XSA-216). */
export function responsePadClean(entry: EntryWords): boolean {
  return (word(entry, 2) & 0xff00) === 0 && word(entry, 3) === 0;
}

function encodeHead(entry: EntryWords, id: number, sector: number): void {
  entry[1] = 0;
  entry[ID_LOW] = id >>> 0;
  entry[ID_HIGH] = 0;
  entry[SECTOR_LOW] = sector >>> 0;
  entry[SECTOR_LOW + 1] = Math.floor(sector / 2 ** 32);
}

function word(entry: EntryWords, at: number): number {
  return entry[at] as number;
}

function u64(entry: EntryWords, low: number): number {
  const high = word(entry, low + 1);
  return high >= 2 ** 21 ? OUT_OF_RANGE : high * 2 ** 32 + word(entry, low);
}
