/**
 * Reads dirty data where it lies: in a segment of the log, in memory, or nowhere because it is
 * zeros.
 *
 * Every piece has the CRC of its bytes, taken when they were acknowledged, and it is checked at
 * each reading: what a disk has changed since is an error, and never reaches a guest or the pool.
 * Log segments are expected in the page cache, so they are read inline; callers bound how much they
 * read in one step.
 */
import { PAGE_BYTES, SECTOR_BYTES } from '../../base/units.ts';
import { DiskStatus, type World } from '../../world/world.ts';
import type { DirtyLog } from '../log/dirty-log.ts';
import { type DirtyMap, IN_MEMORY, ZEROS } from './dirty-map.ts';
import type { RunLog } from './run-log.ts';
import { copySectors } from './sectors.ts';

export const PieceStatus = {
  ok: 0,
  /** The disk does not give it now. */
  unreadable: -5,
  /** It is not what was acknowledged: the disk has changed it. */
  changed: -74,
} as const;
export type PieceStatus = (typeof PieceStatus)[keyof typeof PieceStatus];

export class PieceReader {
  readonly #world: World;
  readonly #log: DirtyLog;
  /** Byte address of a page of its own. */
  readonly #scratch: number;
  /** Pieces that could not be read, and that were not what they had been. */
  failed = 0;
  changed = 0;

  constructor(world: World, log: DirtyLog, scratchAddress: number) {
    this.#world = world;
    this.#log = log;
    this.#scratch = scratchAddress;
  }

  /**
   * Copies what `dirty.cover` has just found of a block. `target` is the byte address of the
   * block's sector 0, of which only the sectors found are written. What `run` has of the log is
   * taken from there.
   */
  copyFound(dirty: DirtyMap, target: number, run: RunLog | null = null): PieceStatus {
    const { memory } = this.#world;
    for (let at = 0; at < dirty.found; at++) {
      const mask = dirty.foundMask[at] as number;
      const segment = dirty.foundSegment[at] as number;
      if (segment === ZEROS) {
        copySectors(memory, mask, -1, target);
        continue;
      }
      let source = dirty.foundOffset[at] as number;
      if (segment !== IN_MEMORY) {
        const lengthBytes = (dirty.foundSectors[at] as number) * SECTOR_BYTES;
        source = run?.addressOf(segment, source, lengthBytes) || this.#scratch;
        const status = this.#fetch(dirty, at, source);
        if (status !== PieceStatus.ok) return status;
      }
      const first = dirty.foundFirst[at] as number;
      copySectors(memory, mask, source - first * SECTOR_BYTES, target);
    }
    return PieceStatus.ok;
  }

  /** Checks the whole piece at `address`; what is to be in the scratch page is read before. */
  #fetch(dirty: DirtyMap, at: number, address: number): PieceStatus {
    const { memory, digest } = this.#world;
    const lengthBytes = (dirty.foundSectors[at] as number) * SECTOR_BYTES;
    if (address === this.#scratch) {
      const segment = dirty.foundSegment[at] as number;
      const offset = dirty.foundOffset[at] as number;
      const status = this.#log.readNow(segment, offset, lengthBytes, address);
      if (status !== DiskStatus.ok) {
        this.failed++;
        return PieceStatus.unreadable;
      }
    }
    if (digest.crc32(memory.u8, address, lengthBytes) === dirty.foundCrc[at]) return PieceStatus.ok;
    this.changed++;
    return PieceStatus.changed;
  }
}

/** Whether a page of RAM is all zeros. */
export function isZeroPage(world: World, address: number): boolean {
  const { u32 } = world.memory;
  const end = (address + PAGE_BYTES) / 4;
  for (let at = address / 4; at < end; at++) if (u32[at] !== 0) return false;
  return true;
}
