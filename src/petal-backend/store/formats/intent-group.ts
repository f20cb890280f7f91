/**
 * A group of the intent log: what one group commit appends. A page of entries, then their data.
 *
 *     page 0: header, entries, zeros | a page for each block of data, in the order of the entries
 *
 * Header (little-endian):
 *      0 magic u32 'PTIG'   4 version u16          6 entries u16        8 crc u32, of page 0
 *     12 incarnation u32   16 salt u32            20 serial u32 of its segment's use
 *     24 segment u32       28 page in the segment u32
 *     32 groupSeq u48      38 durable groupSeq u48
 *     44 pages of data u32 48 crc of the page 0 of the group before it u32   52 zeros
 *     64 entries, without gaps
 * Entry:
 *      0 op u8 (1 write, 2 trim, 3 writeIf, 4 setPair, 5 markAll, 6 mark, 7 lose)
 *      1 blocks u8
 *      2 flags u8 (1 dirty)   3 members that lack it u8; of markAll and mark the number of a member
 *      4 gmap u32   8 group u32   12 vdisk u32   16 epoch u32   20 block u48
 *     26 disk of the chunk's row u16   28 its number on that disk u32
 *     32 disk of the data u16   34 zero u16   36 slot of the data u32, plus one; 0: none
 *     40 term u32   44 n u48   50 session u32   54 seq u48   60 conditional version u48   66 zero
 *     68 a word for each block: its CRC; none of a trim, mark or lose; of setPair the three
 *        `markedSince`
 *
 * An entry says the whole new state of its blocks and of their chunk, never a change: replaying it
 * over what is newer, and then what came after it, ends where it ended before. The words are the
 * sums of the data too, so nothing is summed twice. The sum of the group before makes a chain: a
 * group that was written twice, because its segment failed, is followed by its own successors only.
 */
import { getU48, setU48 } from '../../../base/formats/field-bytes.ts';
import { beginFrame, type Frame, frameDamage, seal, viewOf } from '../../../base/formats/sealed.ts';
import { PAGE_BYTES } from '../../../base/units.ts';
import type { Digest } from '../../../world/world.ts';
import { CHUNK_BLOCKS } from '../../wire/messages.ts';

export const INTENT_GROUP: Frame = { magic: 0x4749_5450, version: 1 };
export const GROUP_ENTRIES_AT = 64;
const ENTRY_BYTES = 68;
const WORD_BYTES = 4;
const ENTRY_DIRTY = 1;
export const PAIR_MEMBERS = 3;

export const IntentOp = {
  write: 1,
  trim: 2,
  writeIf: 3,
  setPair: 4,
  markAll: 5,
  mark: 6,
  lose: 7,
} as const;
export type IntentOp = (typeof IntentOp)[keyof typeof IntentOp];

/** Filled again for each entry. */
export class IntentEntry {
  op: IntentOp = IntentOp.write;
  blocks = 0;
  dirty = false;
  missing = 0;
  gmap = 0;
  group = 0;
  vdisk = 0;
  epoch = 0;
  block = 0;
  rowDisk = 0;
  row = 0;
  slotDisk = 0;
  /** Plus one; 0: none. */
  slot = 0;
  term = 0;
  n = 0;
  session = 0;
  seq = 0;
  conditional = 0;
  readonly words: Uint32Array = new Uint32Array(CHUNK_BLOCKS);
}

/** Filled again for each group. */
export class IntentHeader {
  entries = 0;
  incarnation = 0;
  salt = 0;
  serial = 0;
  segment = 0;
  page = 0;
  groupSeq = 0;
  durableSeq = 0;
  dataPages = 0;
  beforeCrc = 0;
  /** Of its own page 0. */
  crc = 0;
}

export function hasData(op: IntentOp): boolean {
  return op === IntentOp.write || op === IntentOp.writeIf;
}

function wordsOf(op: IntentOp, blocks: number): number {
  if (op === IntentOp.setPair) return PAIR_MEMBERS;
  return hasData(op) ? blocks : 0;
}

export function entryBytesOf(op: IntentOp, blocks: number): number {
  return ENTRY_BYTES + WORD_BYTES * wordsOf(op, blocks);
}

/** Gives the offset behind it. */
export function encodeEntry(view: DataView, at: number, entry: IntentEntry): number {
  view.setUint8(at, entry.op);
  view.setUint8(at + 1, entry.blocks);
  view.setUint8(at + 2, entry.dirty ? ENTRY_DIRTY : 0);
  view.setUint8(at + 3, entry.missing);
  view.setUint32(at + 4, entry.gmap, true);
  view.setUint32(at + 8, entry.group, true);
  view.setUint32(at + 12, entry.vdisk, true);
  view.setUint32(at + 16, entry.epoch, true);
  setU48(view, at + 20, entry.block);
  view.setUint16(at + 26, entry.rowDisk, true);
  view.setUint32(at + 28, entry.row, true);
  view.setUint16(at + 32, entry.slotDisk, true);
  view.setUint16(at + 34, 0, true);
  view.setUint32(at + 36, entry.slot, true);
  view.setUint32(at + 40, entry.term, true);
  setU48(view, at + 44, entry.n);
  view.setUint32(at + 50, entry.session, true);
  setU48(view, at + 54, entry.seq);
  setU48(view, at + 60, entry.conditional);
  view.setUint16(at + 66, 0, true);
  const words = wordsOf(entry.op, entry.blocks);
  for (let i = 0; i < words; i++) {
    view.setUint32(at + ENTRY_BYTES + WORD_BYTES * i, entry.words[i] as number, true);
  }
  return at + ENTRY_BYTES + WORD_BYTES * words;
}

/** Gives the offset behind it. */
export function decodeEntry(view: DataView, at: number, entry: IntentEntry): number {
  entry.op = view.getUint8(at) as IntentOp;
  entry.blocks = view.getUint8(at + 1);
  entry.dirty = (view.getUint8(at + 2) & ENTRY_DIRTY) !== 0;
  entry.missing = view.getUint8(at + 3);
  entry.gmap = view.getUint32(at + 4, true);
  entry.group = view.getUint32(at + 8, true);
  entry.vdisk = view.getUint32(at + 12, true);
  entry.epoch = view.getUint32(at + 16, true);
  entry.block = getU48(view, at + 20);
  entry.rowDisk = view.getUint16(at + 26, true);
  entry.row = view.getUint32(at + 28, true);
  entry.slotDisk = view.getUint16(at + 32, true);
  entry.slot = view.getUint32(at + 36, true);
  entry.term = view.getUint32(at + 40, true);
  entry.n = getU48(view, at + 44);
  entry.session = view.getUint32(at + 50, true);
  entry.seq = getU48(view, at + 54);
  entry.conditional = getU48(view, at + 60);
  const words = wordsOf(entry.op, entry.blocks);
  for (let i = 0; i < words; i++) {
    entry.words[i] = view.getUint32(at + ENTRY_BYTES + WORD_BYTES * i, true);
  }
  return at + ENTRY_BYTES + WORD_BYTES * words;
}

/** Writes the header into page 0 and sums it; the sum is in `header.crc` then. */
export function encodeIntentHeader(page: Uint8Array, header: IntentHeader, digest: Digest): void {
  const view = viewOf(page);
  beginFrame(view, 0, INTENT_GROUP);
  view.setUint16(6, header.entries, true);
  view.setUint32(12, header.incarnation, true);
  view.setUint32(16, header.salt, true);
  view.setUint32(20, header.serial, true);
  view.setUint32(24, header.segment, true);
  view.setUint32(28, header.page, true);
  setU48(view, 32, header.groupSeq);
  setU48(view, 38, header.durableSeq);
  view.setUint32(44, header.dataPages, true);
  view.setUint32(48, header.beforeCrc, true);
  page.fill(0, 52, GROUP_ENTRIES_AT);
  seal(digest, page, view, 0, PAGE_BYTES);
  header.crc = view.getUint32(8, true);
}

/** Reads page 0 of a group into `header`. Null if it is whole, else what is wrong. */
export function decodeIntentHeader(
  page: Uint8Array,
  header: IntentHeader,
  digest: Digest,
): string | null {
  const view = viewOf(page);
  const damage = frameDamage(digest, page, view, 0, PAGE_BYTES, INTENT_GROUP);
  if (damage !== null) return damage.problem;
  header.entries = view.getUint16(6, true);
  header.crc = view.getUint32(8, true);
  header.incarnation = view.getUint32(12, true);
  header.salt = view.getUint32(16, true);
  header.serial = view.getUint32(20, true);
  header.segment = view.getUint32(24, true);
  header.page = view.getUint32(28, true);
  header.groupSeq = getU48(view, 32);
  header.durableSeq = getU48(view, 38);
  header.dataPages = view.getUint32(44, true);
  header.beforeCrc = view.getUint32(48, true);
  return null;
}

/** Whether all data of a group whose page 0 is whole are what their sums say. */
export function dataHolds(bytes: Uint8Array, header: IntentHeader, digest: Digest): boolean {
  const view = viewOf(bytes);
  const entry = new IntentEntry();
  let page = 1;
  for (let i = 0, at = GROUP_ENTRIES_AT; i < header.entries; i++) {
    at = decodeEntry(view, at, entry);
    if (!hasData(entry.op)) continue;
    for (let b = 0; b < entry.blocks; b++, page++) {
      if (digest.crc32(bytes, page * PAGE_BYTES, PAGE_BYTES) !== entry.words[b]) return false;
    }
  }
  return page === header.dataPages + 1;
}
