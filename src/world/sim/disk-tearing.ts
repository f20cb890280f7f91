/**
 * Which parts of a write reach the medium when the power goes, or its process dies under it.
 *
 * The unit that is whole or not there at all is the 512-byte sector. Per 4 KiB page of the disk
 * the draw is among kept, dropped and torn, one third each (FoundationDB's model of a kill); in a
 * torn page each sector is kept with a chance of one in four. What is not kept stays as it was:
 * no garbage is made up, because a sector that was never written to must not change.
 */
import type { Prng } from '../../base/prng.ts';
import { PAGE_BYTES, SECTOR_BYTES } from '../../base/units.ts';

/** A write (or a zeroing, without bytes) that was done but may not be durable. Never changed. */
export interface VolatileWrite {
  readonly position: number;
  readonly lengthBytes: number;
  /** Null: zeroes. */
  readonly bytes: Uint8Array | null;
  readonly bytesOffset: number;
}

/** The parts of `write` that are kept: page by page, and in a torn page sector by sector. */
export function tearByPages(write: VolatileWrite, random: Prng): VolatileWrite[] {
  const kept: VolatileWrite[] = [];
  const end = write.position + write.lengthBytes;
  for (let at = write.position; at < end; ) {
    const pageEnd = Math.min(end, (Math.floor(at / PAGE_BYTES) + 1) * PAGE_BYTES);
    const outcome = random.below(3);
    if (outcome === 0) kept.push(part(write, at, pageEnd));
    else if (outcome === 1) keepSectors(write, at, pageEnd, random, 1 / 4, kept);
    at = pageEnd;
  }
  return kept;
}

/** The parts of `write` that are kept when each sector is kept or not by a fair draw. */
export function tearBySectors(write: VolatileWrite, random: Prng): VolatileWrite[] {
  const kept: VolatileWrite[] = [];
  keepSectors(write, write.position, write.position + write.lengthBytes, random, 1 / 2, kept);
  return kept;
}

function keepSectors(
  write: VolatileWrite,
  from: number,
  to: number,
  random: Prng,
  chance: number,
  kept: VolatileWrite[],
): void {
  for (let at = from; at < to; ) {
    const sectorEnd = Math.min(to, (Math.floor(at / SECTOR_BYTES) + 1) * SECTOR_BYTES);
    if (random.chance(chance)) kept.push(part(write, at, sectorEnd));
    at = sectorEnd;
  }
}

function part(write: VolatileWrite, from: number, to: number): VolatileWrite {
  return {
    position: from,
    lengthBytes: to - from,
    bytes: write.bytes,
    bytesOffset: write.bytesOffset + (from - write.position),
  };
}
