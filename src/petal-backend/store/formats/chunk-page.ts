/**
 * A page of chunks: what a store knows of seven chunks and their blocks, kept apart from the data,
 * and twice. It lies in RAM as it lies on the disk.
 *
 *      0 frame of a mirrored page (`mirrored-frame.ts`), magic 'PTCP'; its own u16 is zero
 *     24 durable group u48: the log was durable up to here when this was written
 *     30 zeros
 *     64 seven chunks of 576 bytes
 * Chunk:
 *      0 gmap u32   4 group u32   8 vdisk u32   12 epoch u32   16 chunk u32 (block / 16)
 *     20 disk of the data u16   22 state u16 (0 free, 1 in use)
 *     24 slot of the data u32, plus one; 0: it has none   28 zeros
 *     64 sixteen blocks of 32 bytes
 * Block:
 *      0 term u32   4 n u48   10 crc u32   14 session u32   18 seq u48   24 conditional version u48
 *     30 flags u8 (1 known: it was mutated in this epoch; 2 has data; 4 dirty; 8 its data
 *       are lost)
 *     31 members that lack it u8, a bit each
 * Data of block b of a chunk is at byte 65536 * slot + 4096 * b behind the pages of its disk.
 */

import type { Frame } from '../../../base/formats/sealed.ts';
import { PAGE_BYTES } from '../../../base/units.ts';
import { ROWS_AT } from './mirrored-frame.ts';

export const CHUNK_PAGE: Frame = { magic: 0x5043_5450, version: 1 };
export const CHUNKS_PER_PAGE = 7;
export const CHUNK_PAGE_DURABLE_AT = 24;
const BLOCKS_AT = 64;
const BLOCK_BYTES = 32;
const CHUNK_BYTES = 576;

/** Offsets in a chunk's row. */
export const ChunkField = {
  gmap: 0,
  group: 4,
  vdisk: 8,
  epoch: 12,
  chunk: 16,
  disk: 20,
  state: 22,
  slot: 24,
} as const;

/** Offsets in a block's row. */
export const BlockField = {
  term: 0,
  n: 4,
  crc: 10,
  session: 14,
  seq: 18,
  conditional: 24,
  flags: 30,
  missing: 31,
} as const;

export const BlockFlag = { known: 1, hasData: 2, dirty: 4, lost: 8 } as const;

/** Where the row of a chunk begins, counted from the first page. */
export function chunkRowAt(record: number): number {
  const page = Math.floor(record / CHUNKS_PER_PAGE);
  return page * PAGE_BYTES + ROWS_AT + (record - page * CHUNKS_PER_PAGE) * CHUNK_BYTES;
}

export function blockRowAt(record: number, block: number): number {
  return chunkRowAt(record) + BLOCKS_AT + block * BLOCK_BYTES;
}
