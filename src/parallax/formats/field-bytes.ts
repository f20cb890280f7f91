/**
 * Fields that several stored formats share: uuids, gaps that must be zero, and the way damage is
 * named. `byte` counts from the start of the structure.
 */
import { invariant } from '../../base/invariant.ts';
import type { Digest } from '../../world/world.ts';

/** What is wrong with the bytes of a stored structure, for reports; a value, never thrown. */
export interface FormatDamage {
  readonly format: string;
  readonly byte: number;
  /** What was found and what was expected. */
  readonly problem: string;
  /** Not damage at all: a later version of this program wrote it. */
  readonly newer: boolean;
}

export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly damage: FormatDamage };

const U32 = 2 ** 32;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** As `DataView.setUint32`, which would cut a larger number down without a word. */
export function setU32(view: DataView, at: number, value: number): void {
  invariant(Number.isInteger(value) && value >= 0 && value < U32, 'a number fits 32 bits');
  view.setUint32(at, value, true);
}

/** Text of 36 characters, lower case. */
export function getUuid(view: DataView, at: number): string {
  let text = '';
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += '-';
    text += view
      .getUint8(at + i)
      .toString(16)
      .padStart(2, '0');
  }
  return text;
}

export function setUuid(view: DataView, at: number, uuid: string): void {
  invariant(UUID.test(uuid), 'a uuid is 32 hexadecimal digits in five groups');
  const digits = uuid.replaceAll('-', '');
  for (let i = 0; i < 16; i++) {
    view.setUint8(at + i, Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
  }
}

/** First byte in [from, to) that is not zero, or -1. */
export function firstNonZero(bytes: Uint8Array, from: number, to: number): number {
  for (let at = from; at < to; at++) if (bytes[at] !== 0) return at;
  return -1;
}

/** CRC-32 of `lengthBytes` from `offset`, with the four bytes at `offset + crcAt` read as zero. */
export function crcWithout(
  digest: Digest,
  bytes: Uint8Array,
  offset: number,
  lengthBytes: number,
  crcAt: number,
): number {
  const copy = bytes.slice(offset, offset + lengthBytes);
  copy.fill(0, crcAt, crcAt + 4);
  return digest.crc32(copy, 0, lengthBytes);
}

export function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
