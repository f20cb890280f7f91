/**
 * Where a misdirected write goes: a plausible wrong place on the same disk. A drive, or a driver
 * below it, that mistakes an address mostly has one bit of it wrong, or is off by a few blocks; and
 * what it writes stays aligned as it was.
 */
import type { Prng } from '../base/prng.ts';
import { PAGE_BYTES, SECTOR_BYTES } from '../base/units.ts';

const NEAR_BLOCKS = 8;

/**
 * Byte position of the wrong place, inside of the disk; the right place if the disk has no other.
 */
export function misplaced(
  { position, lengthBytes }: { readonly position: number; readonly lengthBytes: number },
  diskBytes: number,
  random: Prng,
): number {
  const last = diskBytes - lengthBytes;
  const candidates: number[] = [];
  for (let bit = SECTOR_BYTES; bit < diskBytes; bit *= 2) {
    const hasBit = Math.floor(position / bit) % 2 === 1;
    candidates.push(hasBit ? position - bit : position + bit);
  }
  for (let blocks = 1; blocks <= NEAR_BLOCKS; blocks++) {
    candidates.push(position - blocks * PAGE_BYTES, position + blocks * PAGE_BYTES);
  }
  const possible = candidates.filter((at) => at >= 0 && at <= last);
  return possible.length === 0 ? position : random.pick(possible);
}
