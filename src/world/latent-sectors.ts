/**
 * Sectors of a medium that cannot be read until they are written again: what a drive reports as a
 * latent sector error. It strikes data that nobody looked at for a while, and rewriting gives the
 * drive the chance to use a good sector in place of the bad one.
 */
import type { Prng } from '../base/prng.ts';
import { SECTOR_BYTES } from '../base/units.ts';

export class LatentSectors {
  readonly #bad = new Set<number>();

  /** Makes `count` sectors bad, at places drawn from `[0, sectors)`; some may be drawn twice. */
  strike(count: number, sectors: number, random: Prng): void {
    if (sectors === 0) return;
    for (let i = 0; i < count; i++) this.#bad.add(random.below(sectors));
  }

  get count(): number {
    return this.#bad.size;
  }

  /** Whether a read of these bytes touches a bad sector. */
  touches(position: number, lengthBytes: number): boolean {
    if (this.#bad.size === 0) return false;
    const end = Math.ceil((position + lengthBytes) / SECTOR_BYTES);
    for (let sector = Math.floor(position / SECTOR_BYTES); sector < end; sector++) {
      if (this.#bad.has(sector)) return true;
    }
    return false;
  }

  /** These bytes were written: sectors that lie in them whole are good again. */
  rewritten(position: number, lengthBytes: number): void {
    if (this.#bad.size === 0) return;
    const end = Math.floor((position + lengthBytes) / SECTOR_BYTES);
    for (let sector = Math.ceil(position / SECTOR_BYTES); sector < end; sector++) {
      this.#bad.delete(sector);
    }
  }

  clear(): void {
    this.#bad.clear();
  }
}
