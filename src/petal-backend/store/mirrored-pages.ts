/**
 * Pages that are kept twice on a disk, so that neither a crash nor the rot of one copy loses one.
 *
 * Promised: whatever happens while pages are written, each page has at least one whole copy, of its
 * state when `writeMirrored` last settled with `ok` or of a later one. The order that makes it so:
 * one copy is written and flushed, then the other; a copy of which anything is in doubt (a write or
 * flush failed, or a start found it not whole, or older) is always the first to be written.
 *
 * Not done: telling a copy that rotted while the other was being written for the first time from
 * one that was torn then; what such a page says is still in the log.
 */

import type { Frame } from '../../base/formats/sealed.ts';
import { PAGE_BYTES } from '../../base/units.ts';
import { isZeros } from '../../base/zeros.ts';
import { diskCall, flushDisk } from '../../world/disk-story.ts';
import { type Disk, DiskStatus, type World } from '../../world/world.ts';
import { mirroredDamage, mirroredSequence, sealMirrored } from './formats/mirrored-frame.ts';

const BATCH_PAGES = 64;
const SIDES = [0, 1] as const;
type Side = (typeof SIDES)[number];

export interface MirroredPlace {
  readonly disk: Disk;
  /** By which its pages name the disk. */
  readonly number: number;
  readonly frame: Frame;
  readonly count: number;
  /** Where each copy of page 0 is, bytes. */
  readonly copies: readonly [number, number];
}

/** What of the pages was not whole. */
export interface MirroredLoad {
  /** Pages of which no copy can be believed, each with what is wrong. */
  readonly lost: readonly { readonly page: number; readonly problem: string }[];
  /** A later version of this program wrote one; the end of a sentence. */
  readonly newer: string | null;
  /** Highest sequence that was seen. */
  readonly sequence: number;
}

export class MirroredPages {
  readonly place: MirroredPlace;
  /** Of each page: 0, or one more than the side that must be written first. */
  readonly suspect: Uint8Array;

  constructor(place: MirroredPlace) {
    this.place = place;
    this.suspect = new Uint8Array(place.count);
  }

  /**
   * Reads all pages into `bytes` at `offset`, where zeros are; they stay where a page was never
   * written, or is lost.
   */
  async load(world: World, bytes: Uint8Array, offset: number): Promise<MirroredLoad> {
    const lost: { page: number; problem: string }[] = [];
    let newer: string | null = null;
    let sequence = 0;
    for (let first = 0; first < this.place.count; first += BATCH_PAGES) {
      const pages = Math.min(BATCH_PAGES, this.place.count - first);
      const sides: (Uint8Array | null)[][] = [];
      for (const side of SIDES) sides.push(await this.#readBatch(side, first, pages));
      for (let i = 0; i < pages; i++) {
        const copies = SIDES.map((side) => this.#judge(world, first + i, sides[side]?.[i] ?? null));
        newer ??= copies.find((copy) => copy.newer)?.problem ?? null;
        const chosen = this.#choose(first + i, copies);
        sequence = Math.max(sequence, ...copies.map((copy) => copy.sequence));
        if (typeof chosen === 'string') lost.push({ page: first + i, problem: chosen });
        else if (chosen !== NOTHING) bytes.set(chosen, offset + (first + i) * PAGE_BYTES);
      }
    }
    return { lost, newer, sequence };
  }

  /** Null: the disk does not give the page. */
  async #readBatch(side: Side, first: number, pages: number): Promise<(Uint8Array | null)[]> {
    const { disk, copies } = this.place;
    const position = copies[side] + first * PAGE_BYTES;
    const all = new Uint8Array(pages * PAGE_BYTES);
    const whole = (await diskCall(disk, 'read', position, all)) === DiskStatus.ok;
    const found: (Uint8Array | null)[] = [];
    for (let i = 0; i < pages; i++) {
      const page = all.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES);
      const at = position + i * PAGE_BYTES;
      const given = whole || (await diskCall(disk, 'read', at, page)) === DiskStatus.ok;
      found.push(given ? page : null);
    }
    return found;
  }

  #judge(world: World, page: number, bytes: Uint8Array | null): Copy {
    const { frame, number } = this.place;
    const none = { bytes: null, sequence: 0, isBlank: false, newer: false };
    if (bytes === null) return { ...none, problem: 'the disk does not give it' };
    const damage = mirroredDamage(world.digest, bytes, frame, number, page);
    if (damage === null) {
      return { ...none, bytes, sequence: mirroredSequence(bytes), problem: null };
    }
    const isBlank = isZeros(bytes);
    return { ...none, isBlank, newer: damage.newer, problem: damage.problem };
  }

  /** The page, or what is wrong with it. */
  #choose(page: number, copies: readonly Copy[]): Uint8Array | string {
    const [one, other] = copies as [Copy, Copy];
    if (one.bytes !== null && (other.bytes === null || other.sequence < one.sequence)) {
      this.suspect[page] = 2;
      return one.bytes;
    }
    if (other.bytes !== null) {
      this.suspect[page] = other.sequence === one.sequence ? 0 : 1;
      return other.bytes;
    }
    if (one.isBlank && other.isBlank) return NOTHING;
    // The first writing of the page did not end: the log still has what it says.
    const torn = one.isBlank ? other : other.isBlank ? one : null;
    this.suspect[page] = torn === other ? 2 : 1;
    if (torn !== null && torn.problem !== null && !torn.newer && torn.problem !== UNREADABLE) {
      return NOTHING;
    }
    return (one.isBlank ? other : one).problem as string;
  }
}

interface Copy {
  readonly bytes: Uint8Array | null;
  readonly sequence: number;
  readonly isBlank: boolean;
  readonly newer: boolean;
  readonly problem: string | null;
}

const NOTHING = new Uint8Array(PAGE_BYTES);
const UNREADABLE = 'the disk does not give it';

/** Some pages of one place, and who makes their bytes. */
export interface MirroredPart {
  readonly pages: MirroredPages;
  readonly numbers: readonly number[];
  /** Writes everything but the frame into 4096 bytes at `at`. */
  fill(page: number, bytes: Uint8Array, at: number): void;
}

/**
 * Writes the pages, one copy after the other; both get the next sequence. Anything but
 * `ok`: some copies are in doubt, and no page is lost; try again, with these pages among them.
 */
export async function writeMirrored(
  world: World,
  parts: readonly MirroredPart[],
  nextSequence: () => number,
): Promise<DiskStatus> {
  const sequence = nextSequence();
  const disks = new Set(parts.map(({ pages }) => pages.place.disk));
  for (const isLast of [false, true]) {
    world.crashPoint(isLast ? 'store.between-copies' : 'store.before-pages');
    for (const part of parts) {
      const status = await writeSide(world, part, sequence);
      if (status !== DiskStatus.ok) return status;
    }
    for (const disk of disks) {
      const status = await flushDisk(disk);
      if (status !== DiskStatus.ok) return status;
    }
    for (const { pages, numbers } of parts) {
      for (const page of numbers) {
        pages.suspect[page] = isLast ? 0 : 3 - (pages.suspect[page] as number);
      }
    }
  }
  world.crashPoint('store.after-pages');
  return DiskStatus.ok;
}

async function writeSide(world: World, part: MirroredPart, sequence: number): Promise<DiskStatus> {
  const { pages, numbers } = part;
  const { disk, number, frame, copies } = pages.place;
  for (let first = 0; first < numbers.length; first += BATCH_PAGES) {
    const batch = numbers.slice(first, first + BATCH_PAGES);
    const bytes = new Uint8Array(batch.length * PAGE_BYTES);
    const writes = batch.map((page, i) => {
      const at = i * PAGE_BYTES;
      part.fill(page, bytes, at);
      sealMirrored(world.digest, bytes, at, frame, {
        sequence,
        disk: number,
        page,
      });
      pages.suspect[page] = pages.suspect[page] === 2 ? 2 : 1;
      const side = ((pages.suspect[page] as number) - 1) as Side;
      return diskCall(disk, 'write', copies[side] + page * PAGE_BYTES, bytes, at, PAGE_BYTES);
    });
    const failed = (await Promise.all(writes)).find((status) => status !== DiskStatus.ok);
    if (failed !== undefined) return failed;
  }
  return DiskStatus.ok;
}
