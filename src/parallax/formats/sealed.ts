/**
 * What all stored structures of Parallax have in common: they begin with a u32 magic and a u16
 * version, and hold a CRC-32 (as zlib computes it) over all their bytes with the CRC's own four
 * zero. Everything is little-endian.
 *
 * Damage is an expected outcome: decoders give back a `Damage`, which says in words what is wrong.
 */
import type { Digest } from '../../world/world.ts';

export interface Damage {
  /** The end of a sentence: "its checksum does not hold". */
  readonly damage: string;
}

export function isDamage(value: object): value is Damage {
  return 'damage' in value;
}

/** A view of exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Computes and stores the CRC of `bytes`, whose field for it is at `crcOffset`. */
export function seal(digest: Digest, bytes: Uint8Array, crcOffset: number): void {
  const view = viewOf(bytes);
  view.setUint32(crcOffset, 0, true);
  view.setUint32(crcOffset, digest.crc32(bytes, 0, bytes.length), true);
}

/** What is wrong with the frame of a structure: its magic, version or CRC; null if nothing is. */
export function sealDamage(
  digest: Digest,
  bytes: Uint8Array,
  magic: number,
  version: number,
  crcOffset: number,
): Damage | null {
  const view = viewOf(bytes);
  if (bytes.length < crcOffset + 4) return { damage: `it has ${bytes.length} bytes only` };
  if (view.getUint32(0, true) !== magic) return { damage: 'it does not begin with its magic' };
  const stored = view.getUint32(crcOffset, true);
  const found = view.getUint16(4, true);
  if (found > version) {
    return { damage: `it has version ${found}, newer than version ${version} of this program` };
  }
  if (found !== version) return { damage: `it has version ${found}, which never was` };
  const copy = bytes.slice();
  viewOf(copy).setUint32(crcOffset, 0, true);
  if (digest.crc32(copy, 0, copy.length) === stored) return null;
  return { damage: 'its checksum does not hold' };
}
