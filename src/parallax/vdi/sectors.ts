/** Copies of some sectors of a block. */
import type { SharedMemory } from '../../base/shared-memory.ts';
import { SECTOR_BYTES, SECTORS_PER_PAGE } from '../../base/units.ts';

/**
 * Copies the sectors of `mask` from a block whose sector 0 is at `source` to one whose sector 0 is,
 * or would be, at `target`. `source` -1: zeros.
 */
export function copySectors(
  memory: SharedMemory,
  mask: number,
  source: number,
  target: number,
): void {
  for (let sector = 0; sector < SECTORS_PER_PAGE; sector++) {
    if ((mask & (1 << sector)) === 0) continue;
    const begin = sector;
    while (sector + 1 < SECTORS_PER_PAGE && (mask & (1 << (sector + 1))) !== 0) sector++;
    const offset = begin * SECTOR_BYTES;
    const lengthBytes = (sector + 1 - begin) * SECTOR_BYTES;
    if (source < 0) memory.clear(target + offset, lengthBytes);
    else memory.copy(target + offset, source + offset, lengthBytes);
  }
}
