/**
 * A log group: what one group commit appends to a segment. Packed, and padded once to 4 KiB.
 *
 *     header 64 B | payload, 512 B sectors | runs, 28 B each | extents, 32 B each | zeros
 *
 * The tables follow the payload, because a mutation is told where its payload lies when it is
 * appended, before anybody knows how many will join its group. The header is in one 512-byte
 * sector, so it is torn as a whole or not at all.
 *
 * Header (little-endian):
 *      0 magic u32 'PLXG'   4 version u16        6 runs u16           8 header CRC u32
 *     12 payload CRC u32   16 tables CRC u32    20 incarnation u32   24 segment serial u32
 *     28 salt u32          32 group bytes u32   36 payload bytes u32 40 extents u16   42 zero u16
 *     44 groupSeq u48      50 durable groupSeq u48                   56 zero u64
 * The header CRC is over the 64 bytes with its own field zero, the tables CRC over everything from
 * the end of the payload to the end of the group, so every byte is under one of the three.
 *
 * Run: consecutive entries of one VDI and one front end.
 *      0 vdi u32   4 generation u32   8 firstVdiSeq u48   14 n u16   16 frontId u32
 *     20 firstFrontSeq u48   26 zero u16
 * The i-th entry of a run has vdiSeq = firstVdiSeq + i. Its frontSeq is that of the entry before,
 * plus one unless the extent says `samePart`.
 *
 * Extent: one entry.
 *      0 lba u48 (512 B sectors)   6 kind u8   7 flags u8 (1: samePart)   8 sectors u32
 *     12 partOffset u32   16 unitSectors u32   20 writeIndex u48   26 detail u48
 * An extent of kind write owns the next sectors * 512 bytes of the payload.
 */
import { crc32Append } from '../../base/crc32.ts';
import { getU48, setU48 } from '../../base/formats/field-bytes.ts';
import { beginFrame, frameDamage, seal } from '../../base/formats/sealed.ts';
import { PAGE_BYTES, SECTOR_BYTES } from '../../base/units.ts';
import type { Digest } from '../../world/world.ts';

export const GROUP_MAGIC = 0x47584c50;
export const GROUP_HEADER_BYTES = 64;
export const RUN_BYTES = 28;
export const EXTENT_BYTES = 32;
export const EXTENT_SAME_PART = 1;
const FRAME = { magic: GROUP_MAGIC, version: 1 } as const;

export const MutationKind = {
  write: 1,
  discard: 2,
  zero: 3,
  snapshot: 4,
  flush: 5,
  policy: 6,
} as const;
export type MutationKind = (typeof MutationKind)[keyof typeof MutationKind];

/** Fields of a header: one record, filled again for each group. */
export class GroupHeader {
  incarnation = 0;
  serial = 0;
  salt = 0;
  groupSeq = 0;
  durableGroupSeq = 0;
  groupBytes = 0;
  payloadBytes = 0;
  runs = 0;
  extents = 0;
  payloadCrc = 0;
  tablesCrc = 0;
}

/** One entry as it is read back; filled again for each. */
export class LogEntry {
  vdi = 0;
  generation = 0;
  vdiSeq = 0;
  kind: MutationKind = MutationKind.write;
  lba = 0;
  sectors = 0;
  frontId = 0;
  frontSeq = 0;
  partOffset = 0;
  unitSectors = 0;
  writeIndex = 0;
  detail = 0;
  /** Handle of the segment and place of the payload in it; set by who knows them. */
  segment = 0;
  offset = 0;
  /** Of its whole payload; set by who has read it. */
  crc = 0;
}

/** Whole size of a group of so much. */
export function groupBytesOf(payloadBytes: number, runs: number, extents: number): number {
  const bytes = GROUP_HEADER_BYTES + payloadBytes + runs * RUN_BYTES + extents * EXTENT_BYTES;
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

/** Bytes of the log that an entry of this kind carries. */
export function payloadBytesOf(kind: MutationKind, sectors: number): number {
  return kind === MutationKind.write ? sectors * SECTOR_BYTES : 0;
}

export function encodeRun(view: DataView, at: number, first: LogEntryFields, count: number): void {
  view.setUint32(at, first.vdi, true);
  view.setUint32(at + 4, first.generation, true);
  setU48(view, at + 8, first.vdiSeq);
  view.setUint16(at + 14, count, true);
  view.setUint32(at + 16, first.frontId, true);
  setU48(view, at + 20, first.frontSeq);
  view.setUint16(at + 26, 0, true);
}

export function encodeExtent(
  view: DataView,
  at: number,
  entry: LogEntryFields,
  flags: number,
): void {
  setU48(view, at, entry.lba);
  view.setUint8(at + 6, entry.kind);
  view.setUint8(at + 7, flags);
  view.setUint32(at + 8, entry.sectors, true);
  view.setUint32(at + 12, entry.partOffset, true);
  view.setUint32(at + 16, entry.unitSectors, true);
  setU48(view, at + 20, entry.writeIndex);
  setU48(view, at + 26, entry.detail);
}

/** What both a mutation and an entry read back have. */
export type LogEntryFields = Omit<LogEntry, 'segment' | 'offset' | 'crc'>;

/** Writes the header at `at`; its two body CRCs are in `header` already. */
export function encodeGroupHeader(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  header: GroupHeader,
  digest: Digest,
): void {
  beginFrame(view, at, FRAME);
  view.setUint16(at + 6, header.runs, true);
  view.setUint32(at + 12, header.payloadCrc, true);
  view.setUint32(at + 16, header.tablesCrc, true);
  view.setUint32(at + 20, header.incarnation, true);
  view.setUint32(at + 24, header.serial, true);
  view.setUint32(at + 28, header.salt, true);
  view.setUint32(at + 32, header.groupBytes, true);
  view.setUint32(at + 36, header.payloadBytes, true);
  view.setUint16(at + 40, header.extents, true);
  view.setUint16(at + 42, 0, true);
  setU48(view, at + 44, header.groupSeq);
  setU48(view, at + 50, header.durableGroupSeq);
  view.setUint32(at + 56, 0, true);
  view.setUint32(at + 60, 0, true);
  seal(digest, bytes, view, at, GROUP_HEADER_BYTES);
}

/** Reads the header at `at` into `header`. Null if it is whole, else what is wrong. */
export function decodeGroupHeader(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  header: GroupHeader,
  digest: Digest,
): string | null {
  const damage = frameDamage(digest, bytes, view, at, GROUP_HEADER_BYTES, FRAME);
  if (damage !== null) return `a group header: ${damage.problem}`;
  header.runs = view.getUint16(at + 6, true);
  header.payloadCrc = view.getUint32(at + 12, true);
  header.tablesCrc = view.getUint32(at + 16, true);
  header.incarnation = view.getUint32(at + 20, true);
  header.serial = view.getUint32(at + 24, true);
  header.salt = view.getUint32(at + 28, true);
  header.groupBytes = view.getUint32(at + 32, true);
  header.payloadBytes = view.getUint32(at + 36, true);
  header.extents = view.getUint16(at + 40, true);
  header.groupSeq = getU48(view, at + 44);
  header.durableGroupSeq = getU48(view, at + 50);
  const { payloadBytes, runs, extents, groupBytes } = header;
  if (groupBytesOf(payloadBytes, runs, extents) !== groupBytes) return 'lengths that do not add up';
  return null;
}

const checked: LogEntry = new LogEntry();

/**
 * Checks what lies behind a whole header: null if it is as it was written. The CRC of each entry's
 * payload goes into `crcs`, so that it need not be computed again.
 */
export function checkGroupBody(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  header: GroupHeader,
  crcs: Uint32Array,
  digest: Digest,
): string | null {
  const { payloadBytes, groupBytes } = header;
  const tablesAt = GROUP_HEADER_BYTES + payloadBytes;
  if (digest.crc32(bytes, at + tablesAt, groupBytes - tablesAt) !== header.tablesCrc) {
    return 'the CRC of the group tables fails';
  }
  let count = 0;
  let payloadCrc = 0;
  forEachEntry(view, at, header, checked, ({ kind, sectors, offset }) => {
    const lengthBytes = payloadBytesOf(kind, sectors);
    const crc = lengthBytes === 0 ? 0 : digest.crc32(bytes, at + offset, lengthBytes);
    crcs[count++] = crc;
    payloadCrc = crc32Append(payloadCrc, crc, lengthBytes / SECTOR_BYTES);
  });
  if (payloadCrc !== header.payloadCrc) {
    return 'the CRC of the group payload fails';
  }
  return null;
}

/**
 * Calls `visit` for each entry of a group whose tables are whole, in log order. `offset` of the
 * entry is that of its payload, counted from the beginning of the group.
 */
export function forEachEntry(
  view: DataView,
  at: number,
  header: GroupHeader,
  entry: LogEntry,
  visit: (entry: LogEntry) => void,
): void {
  let runAt = at + GROUP_HEADER_BYTES + header.payloadBytes;
  let extentAt = runAt + header.runs * RUN_BYTES;
  let offset = GROUP_HEADER_BYTES;
  for (let run = 0; run < header.runs; run++, runAt += RUN_BYTES) {
    const count = view.getUint16(runAt + 14, true);
    let frontSeq = getU48(view, runAt + 20);
    for (let i = 0; i < count; i++, extentAt += EXTENT_BYTES) {
      const flags = view.getUint8(extentAt + 7);
      if (i > 0 && (flags & EXTENT_SAME_PART) === 0) frontSeq++;
      entry.vdi = view.getUint32(runAt, true);
      entry.generation = view.getUint32(runAt + 4, true);
      entry.vdiSeq = getU48(view, runAt + 8) + i;
      entry.frontId = view.getUint32(runAt + 16, true);
      entry.frontSeq = frontSeq;
      decodeExtent(view, extentAt, entry);
      entry.offset = offset;
      offset += payloadBytesOf(entry.kind, entry.sectors);
      visit(entry);
    }
  }
}

function decodeExtent(view: DataView, at: number, entry: LogEntry): void {
  entry.lba = getU48(view, at);
  entry.kind = view.getUint8(at + 6) as MutationKind;
  entry.sectors = view.getUint32(at + 8, true);
  entry.partOffset = view.getUint32(at + 12, true);
  entry.unitSectors = view.getUint32(at + 16, true);
  entry.writeIndex = getU48(view, at + 20);
  entry.detail = getU48(view, at + 26);
}
