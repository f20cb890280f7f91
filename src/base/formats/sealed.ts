/**
 * What all stored structures of ours have in common, and the one way to write and check it.
 *
 * | offset | bytes | what                                                                       |
 * |-------:|------:|----------------------------------------------------------------------------|
 * |      0 |     4 | magic                                                                      |
 * |      4 |     2 | version                                                                    |
 * |      6 |     2 | the structure's own                                                        |
 * |      8 |     4 | CRC-32, as zlib computes it, of the structure with these four bytes zero   |
 *
 * Everything is little-endian. The sum is checked before the version is believed, so a version that
 * only a flipped bit makes new is damage. A later version keeps these twelve bytes, and the rule by
 * which its length is known: then a newer file can be told from a damaged one.
 *
 * Damage is an expected outcome: decoders return a `Damage`, which says in words what is wrong.
 */
/** What of a world's digest is needed here. */
export interface Crc {
  /** CRC-32 as zlib computes it. */
  crc32(bytes: Uint8Array, offset: number, lengthBytes: number): number;
}

export interface Damage {
  /** The end of a sentence: "its checksum does not hold". */
  readonly problem: string;
  /** Where, counted from the start of the structure. */
  readonly byte: number;
  /** Not damage at all: a later version of this program wrote it. */
  readonly newer: boolean;
}

/** What tells one kind of structure from another. */
export interface Frame {
  readonly magic: number;
  /** The one that is written; older ones are read where the decoder says so. */
  readonly version: number;
}

const VERSION_AT = 4;
const CRC_AT = 8;
const CRC_BYTES = 4;

export function isDamage(value: object): value is Damage {
  return 'problem' in value;
}

export function damageAt(byte: number, problem: string): Damage {
  return { problem, byte, newer: false };
}

/** A view of exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function beginFrame(view: DataView, at: number, { magic, version }: Frame): void {
  view.setUint32(at, magic, true);
  view.setUint16(at + VERSION_AT, version, true);
}

/** Stores the sum of the structure in `lengthBytes` from `at`; `view` is of all of `bytes`. */
export function seal(
  digest: Crc,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  lengthBytes: number,
): void {
  view.setUint32(at + CRC_AT, sumWithout(digest, bytes, view, at, lengthBytes, CRC_AT), true);
}

/** What is wrong with the magic, the sum or the version of a structure; null if nothing is. */
export function frameDamage(
  digest: Crc,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  lengthBytes: number,
  { magic, version }: Frame,
): Damage | null {
  if (lengthBytes < CRC_AT + CRC_BYTES) return damageAt(0, `it has ${lengthBytes} bytes only`);
  const begins = view.getUint32(at, true);
  if (begins !== magic) {
    return damageAt(0, `it does not begin with its magic, ${hex(magic)}, but with ${hex(begins)}`);
  }
  const stored = view.getUint32(at + CRC_AT, true);
  const found = sumWithout(digest, bytes, view, at, lengthBytes, CRC_AT);
  if (stored !== found) {
    return damageAt(CRC_AT, `its checksum does not hold: ${hex(stored)}, not ${hex(found)}`);
  }
  const written = view.getUint16(at + VERSION_AT, true);
  if (written === version) return null;
  const says = `it has version ${written}`;
  return written > version
    ? { ...damageAt(VERSION_AT, `${says}, newer than version ${version}`), newer: true }
    : damageAt(VERSION_AT, `${says}, which never was`);
}

/**
 * CRC-32 of `lengthBytes` from `at`, the four bytes at `at + field` read as zero. They are zero
 * for a moment: the bytes belong to the caller alone.
 */
export function sumWithout(
  digest: Crc,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  lengthBytes: number,
  field: number,
): number {
  const stored = view.getUint32(at + field, true);
  view.setUint32(at + field, 0, true);
  const sum = digest.crc32(bytes, at, lengthBytes);
  view.setUint32(at + field, stored, true);
  return sum;
}

export function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
