/**
 * From a private copy of a ring entry to a request that may be executed: every check on what a
 * guest claims, in one place and in this order:
 *
 *   operation known -> indirect operation -> number of segments -> each segment's sectors ->
 *   mode, bounds, alignment, overflow -> id not in flight
 *
 * (`req_prod` was checked before the copy, grants are mapped after.) The first failed check decides
 * the answer. Nothing here reads guest memory, except the segment pages of an indirect request,
 * which are copied to private memory once and decoded from there.
 *
 * Sources: blkif.h; the order after xen-blkback's dispatch and the fixes of XSA-155.
 */

import { SECTOR_BYTES, SECTORS_PER_PAGE } from '../base/units.ts';
import {
  BlkifOp,
  BlkifStatus,
  type EntryWords,
  entryByte1,
  entryDiscardSectors,
  entryHalf1,
  entryIdHigh,
  entryIdLow,
  entryIndirectRef,
  entryOp,
  entrySector,
  entrySegmentRange,
  entrySegmentRef,
} from '../ring/entries.ts';
import {
  MAX_DIRECT_SEGMENTS,
  MAX_INDIRECT_PAGES,
  SEGMENTS_PER_INDIRECT_PAGE,
} from '../ring/layout.ts';
import { type DeviceInfo, DeviceOp } from '../world/block-device.ts';
import { Phase, type RequestRecord } from './request.ts';

/** Copies the first `count` segment descriptors of an indirect request into private memory. */
export interface SegmentFetcher {
  /** False when a page could not be mapped. Afterwards `segmentWord` reads the private copy. */
  fetch(refs: Uint32Array, pages: number, count: number): boolean;
  /** Word `at` of the descriptors: 2 words each, reference and range. */
  segmentWord(at: number): number;
}

export interface Negotiated {
  readonly info: DeviceInfo;
  /** 0: the front end did not negotiate indirect requests. */
  readonly maxIndirectSegments: number;
}

const indirectRefs = new Uint32Array(MAX_INDIRECT_PAGES);

/** Fills `record` from `entry`. Returns `okay`, or the status to answer at once. */
export function decodeRequest(
  entry: EntryWords,
  record: RequestRecord,
  disk: Negotiated,
  fetcher: SegmentFetcher,
): BlkifStatus {
  record.idLow = entryIdLow(entry);
  record.idHigh = entryIdHigh(entry);
  record.lba = entrySector(entry);
  record.sectors = 0;
  record.segmentCount = 0;
  record.barrier = false;
  record.todo = Phase.transfer;
  record.echoOp = entryOp(entry);
  switch (record.echoOp) {
    case BlkifOp.read:
      record.transferOp = DeviceOp.read;
      return decodeDirect(entry, record, disk);
    case BlkifOp.write:
      record.transferOp = DeviceOp.write;
      return decodeDirect(entry, record, disk);
    case BlkifOp.writeBarrier:
      record.transferOp = DeviceOp.write;
      record.barrier = true;
      return decodeFlush(entry, record, disk, Phase.flushBefore | Phase.flushAfter);
    case BlkifOp.flush:
      record.transferOp = DeviceOp.write;
      return decodeFlush(entry, record, disk, Phase.flushBefore);
    case BlkifOp.discard:
      return decodeDiscard(entry, record, disk);
    case BlkifOp.indirect:
      return decodeIndirect(entry, record, disk, fetcher);
    default:
      return BlkifStatus.notSupported;
  }
}

function decodeDirect(entry: EntryWords, record: RequestRecord, disk: Negotiated): BlkifStatus {
  const segments = entryByte1(entry);
  if (segments < 1 || segments > MAX_DIRECT_SEGMENTS) return BlkifStatus.error;
  for (let i = 0; i < segments; i++) {
    const range = entrySegmentRange(entry, i);
    if (!addSegment(record, i, entrySegmentRef(entry, i), range)) return BlkifStatus.error;
  }
  record.segmentCount = segments;
  return checkRange(record, disk.info);
}

/** FLUSH and BARRIER: zero segments are legal, and then nothing is transferred. */
function decodeFlush(
  entry: EntryWords,
  record: RequestRecord,
  disk: Negotiated,
  flushes: number,
): BlkifStatus {
  if (!disk.info.flush) return BlkifStatus.notSupported;
  if (entryByte1(entry) === 0) {
    record.todo = flushes;
    record.lba = 0;
    return BlkifStatus.okay;
  }
  record.todo = flushes | Phase.transfer;
  return decodeDirect(entry, record, disk);
}

function decodeDiscard(entry: EntryWords, record: RequestRecord, disk: Negotiated): BlkifStatus {
  record.transferOp = DeviceOp.discard;
  if (!disk.info.discard) return BlkifStatus.notSupported;
  record.sectors = entryDiscardSectors(entry);
  return checkRange(record, disk.info);
}

function decodeIndirect(
  entry: EntryWords,
  record: RequestRecord,
  disk: Negotiated,
  fetcher: SegmentFetcher,
): BlkifStatus {
  const op = entryByte1(entry);
  record.echoOp = op;
  if (disk.maxIndirectSegments === 0) return BlkifStatus.notSupported;
  if (op !== BlkifOp.read && op !== BlkifOp.write) return BlkifStatus.error;
  record.transferOp = op === BlkifOp.read ? DeviceOp.read : DeviceOp.write;
  const segments = entryHalf1(entry);
  if (segments < 1 || segments > disk.maxIndirectSegments) return BlkifStatus.error;
  const pages = Math.ceil(segments / SEGMENTS_PER_INDIRECT_PAGE);
  for (let i = 0; i < pages; i++) indirectRefs[i] = entryIndirectRef(entry, i);
  if (!fetcher.fetch(indirectRefs, pages, segments)) return BlkifStatus.error;
  for (let i = 0; i < segments; i++) {
    const range = fetcher.segmentWord(2 * i + 1);
    if (!addSegment(record, i, fetcher.segmentWord(2 * i), range)) return BlkifStatus.error;
  }
  record.segmentCount = segments;
  return checkRange(record, disk.info);
}

function addSegment(record: RequestRecord, at: number, ref: number, range: number): boolean {
  const first = range & 0xff;
  const last = (range >>> 8) & 0xff;
  if (first > last || last >= SECTORS_PER_PAGE) return false;
  record.segmentRefs[at] = ref;
  record.segmentFirst[at] = first;
  record.segmentSectors[at] = last - first + 1;
  record.sectors += last - first + 1;
  return true;
}

function checkRange(record: RequestRecord, info: DeviceInfo): BlkifStatus {
  if (record.transferOp !== DeviceOp.read && info.readonly) return BlkifStatus.error;
  if (record.sectors < 1) return BlkifStatus.error;
  if (record.sectors > info.sectors || record.lba > info.sectors - record.sectors) {
    return BlkifStatus.error;
  }
  if (info.sectorSizeBytes === SECTOR_BYTES) return BlkifStatus.okay;
  return isAligned(record, info.sectorSizeBytes / SECTOR_BYTES)
    ? BlkifStatus.okay
    : BlkifStatus.error;
}

function isAligned(record: RequestRecord, unit: number): boolean {
  if (record.lba % unit !== 0 || record.sectors % unit !== 0) return false;
  for (let i = 0; i < record.segmentCount; i++) {
    if ((record.segmentFirst[i] as number) % unit !== 0) return false;
    if ((record.segmentSectors[i] as number) % unit !== 0) return false;
  }
  return true;
}
