/**
 * A page of pairs: what a store knows of each pair as a whole, kept twice on the log disk. It lies
 * in RAM as it lies on the disk.
 *
 *      0 frame of a mirrored page (`mirrored-frame.ts`), magic 'PTPP', disk 65535; its own u16 zero
 *     24 durable group u48: the log was durable up to here when this was written
 *     30 zeros
 *     64 thirty-one pairs of 128 bytes
 * Pair:
 *      0 gmap u32   4 group u32   8 state u32 (0 free, 1 in use)   12 last term in sync u32
 *     16 since which term the blocks that a member lacks are marked, three u32
 *     28 eight terms of 12 bytes: 0 term u32, 4 highest n in it u48, 10 zeros
 *    124 zeros
 */

import type { Frame } from '../../../base/formats/sealed.ts';
import { PAGE_BYTES } from '../../../base/units.ts';
import { ROWS_AT } from './mirrored-frame.ts';

export const PAIR_PAGE: Frame = { magic: 0x5050_5450, version: 1 };
export const PAIRS_PER_PAGE = 31;
export const PAIR_PAGE_DURABLE_AT = 24;
/** Number by which pages of the log disk name their disk. */
export const LOG_DISK_NUMBER = 65_535;
export const PAIR_TERMS = 8;
export const TERM_BYTES = 12;
const PAIR_BYTES = 128;

/** Offsets in a pair's row. */
export const PairField = {
  gmap: 0,
  group: 4,
  state: 8,
  lastTerm: 12,
  markedSince: 16,
  terms: 28,
} as const;

/** Where the row of a pair begins, counted from the first page. */
export function pairRowAt(pair: number): number {
  const page = Math.floor(pair / PAIRS_PER_PAGE);
  return page * PAGE_BYTES + ROWS_AT + (pair - page * PAIRS_PER_PAGE) * PAIR_BYTES;
}
