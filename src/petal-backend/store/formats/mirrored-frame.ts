/**
 * What every page that a store keeps twice begins with: superblocks, pages of chunks, pages of
 * pairs. 4096 bytes, little-endian:
 *
 *      0 magic u32   4 version u16   6 the structure's own u16   8 crc u32, of the whole page
 *     12 sequence u48   18 disk u16   20 page u32
 *
 * `sequence` grows with each writing of pages: of two copies that are whole the one with the higher
 * number counts; if they are the same, either (what changed between the two is in the log). `disk`
 * and `page` say where it belongs, so that a page that landed elsewhere is not believed.
 */
import { getU48, setU48 } from '../../../base/formats/field-bytes.ts';
import {
  beginFrame,
  type Damage,
  damageAt,
  type Frame,
  frameDamage,
  seal,
  viewOf,
} from '../../../base/formats/sealed.ts';
import { PAGE_BYTES } from '../../../base/units.ts';
import type { Digest } from '../../../world/world.ts';

const SEQUENCE_AT = 12;
const DISK_AT = 18;
const PAGE_AT = 20;
/** What pages of rows begin with: the frame, and their own fields. */
export const ROWS_AT = 64;

/** Frames and sums the page that is at `at` of `bytes`. */
export function sealMirrored(
  digest: Digest,
  bytes: Uint8Array,
  at: number,
  frame: Frame,
  place: { readonly sequence: number; readonly disk: number; readonly page: number },
): void {
  const page = bytes.subarray(at, at + PAGE_BYTES);
  const view = viewOf(page);
  beginFrame(view, 0, frame);
  setU48(view, SEQUENCE_AT, place.sequence);
  view.setUint16(DISK_AT, place.disk, true);
  view.setUint32(PAGE_AT, place.page, true);
  seal(digest, page, view, 0, PAGE_BYTES);
}

/** What is wrong with the page, which belongs to `disk` and `page`; null if nothing is. */
export function mirroredDamage(
  digest: Digest,
  bytes: Uint8Array,
  frame: Frame,
  disk: number,
  page: number,
): Damage | null {
  const view = viewOf(bytes);
  const damage = frameDamage(digest, bytes, view, 0, PAGE_BYTES, frame);
  if (damage !== null) return damage;
  const isHere = view.getUint16(DISK_AT, true) === disk && view.getUint32(PAGE_AT, true) === page;
  return isHere ? null : damageAt(DISK_AT, 'it is a page of another place');
}

export function mirroredSequence(bytes: Uint8Array): number {
  return getU48(viewOf(bytes), SEQUENCE_AT);
}
