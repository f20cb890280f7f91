/**
 * Stamps: every 512-byte sector that a test guest writes says what it is.
 *
 * ```
 * byte 0  magic u32 'STMP'      16  sector address, low u32
 *      4  crc u32 of bytes 8-31  20  sector address, high u16 | write index, high u16
 *      8  disk u32               24  write index, low u32
 *     12  writer u32             28  flush count of the writer u32
 *     32  120 words that follow from the crc
 * ```
 *
 * A sector is therefore zero (never written), a stamp (then its write index tells which write it
 * came from), or damage, and damage says which: no stamp at all, a stamp of another place, or a
 * stamp whose rest is from another write (torn inside the sector). The checks of a whole run follow
 * from this.
 */
import { CRC32_START, crc32End, crc32Word } from './crc32.ts';
import { SECTOR_BYTES } from './units.ts';

const MAGIC = 0x504d5453;
const WORDS = SECTOR_BYTES / 4;
const HEAD_WORDS = 8;

export const StampFault = {
  /** Neither zero nor a stamp. */
  garbage: -1,
  /** The stamp is good but belongs to another disk or sector. */
  misplaced: -2,
  /** The head is of one write and the rest is not. */
  torn: -3,
} as const;
export type StampFault = (typeof StampFault)[keyof typeof StampFault];

export interface StampSource {
  /** Number of the disk. */
  disk: number;
  /** Who writes: an incarnation of a guest. */
  writer: number;
  flushes: number;
}

/** Stamps `sectors` sectors at word `at` of `words`, the first of them being `lba`. */
export function writeStamps(
  words: Uint32Array,
  at: number,
  lba: number,
  sectors: number,
  writeIndex: number,
  source: StampSource,
): void {
  for (let i = 0; i < sectors; i++) {
    writeStamp(words, at + i * WORDS, lba + i, writeIndex, source);
  }
}

/**
 * What the sector at word `at` holds: 0 for zeros, the write index of a stamp for (`disk`, `lba`),
 * or a `StampFault`.
 */
export function readStamp(words: Uint32Array, at: number, disk: number, lba: number): number {
  if (words[at] !== MAGIC) return isZero(words, at) ? 0 : StampFault.garbage;
  const crc = headCrc(words, at);
  if (words[at + 1] !== crc) return StampFault.garbage;
  const high = words[at + 5] as number;
  const stampLba = (high & 0xffff) * 2 ** 32 + (words[at + 4] as number);
  if (words[at + 2] !== disk || stampLba !== lba) return StampFault.misplaced;
  let fill = crc | 0;
  for (let i = HEAD_WORDS; i < WORDS; i++) {
    fill = nextFill(fill);
    if ((words[at + i] as number) !== fill >>> 0) return StampFault.torn;
  }
  return (high >>> 16) * 2 ** 32 + (words[at + 6] as number);
}

function writeStamp(
  words: Uint32Array,
  at: number,
  lba: number,
  writeIndex: number,
  source: StampSource,
): void {
  words[at] = MAGIC;
  words[at + 2] = source.disk;
  words[at + 3] = source.writer;
  words[at + 4] = lba >>> 0;
  words[at + 5] = Math.floor(lba / 2 ** 32) | (Math.floor(writeIndex / 2 ** 32) << 16);
  words[at + 6] = writeIndex >>> 0;
  words[at + 7] = source.flushes;
  const crc = headCrc(words, at);
  words[at + 1] = crc;
  let fill = crc | 0;
  for (let i = HEAD_WORDS; i < WORDS; i++) {
    fill = nextFill(fill);
    words[at + i] = fill;
  }
}

function headCrc(words: Uint32Array, at: number): number {
  let crc = CRC32_START;
  for (let i = 2; i < HEAD_WORDS; i++) crc = crc32Word(crc, words[at + i] as number);
  return crc32End(crc);
}

/** A linear congruential step (Numerical Recipes): cheap, and different for every head. */
function nextFill(fill: number): number {
  return (Math.imul(fill, 1664525) + 1013904223) | 0;
}

function isZero(words: Uint32Array, at: number): boolean {
  for (let i = 0; i < WORDS; i++) if (words[at + i] !== 0) return false;
  return true;
}
