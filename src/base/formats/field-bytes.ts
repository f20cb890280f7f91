/** Fields that several stored formats share. Numbers are little-endian: no BigInt on the way. */
import { invariant } from '../invariant.ts';

const U32 = 2 ** 32;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** Where the groups of digits of a uuid end. */
const UUID_GROUPS = [8, 12, 16, 20, 32];

export const UUID_BYTES = 16;

/** As `DataView.setUint32`, which would cut a larger number down without a word. */
export function setU32(view: DataView, at: number, value: number): void {
  invariant(Number.isInteger(value) && value >= 0 && value < U32, 'a number fits 32 bits');
  view.setUint32(at, value, true);
}

export function getU48(view: DataView, at: number): number {
  return view.getUint16(at + 4, true) * U32 + view.getUint32(at, true);
}

export function setU48(view: DataView, at: number, value: number): void {
  invariant(value >= 0 && value < 2 ** 48, 'the number fits 48 bits');
  const high = Math.floor(value / U32);
  view.setUint32(at, value - high * U32, true);
  view.setUint16(at + 4, high, true);
}

/** A uuid as people write it: 36 characters, lower case. */
export function formatUuid(uuid: Uint8Array): string {
  const digits = [...uuid].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return UUID_GROUPS.map((end, at) => digits.slice(UUID_GROUPS[at - 1] ?? 0, end)).join('-');
}

/** The 16 bytes of a uuid that `formatUuid` gave. */
export function uuidBytes(text: string): Uint8Array {
  invariant(UUID.test(text), 'a uuid is 32 hexadecimal digits in five groups');
  const digits = text.replaceAll('-', '');
  return Uint8Array.from({ length: UUID_BYTES }, (_, at) =>
    Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16),
  );
}

export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

/** First byte in [from, to) that is not zero, or -1. */
export function firstNonZero(bytes: Uint8Array, from: number, to: number): number {
  for (let at = from; at < to; at++) if (bytes[at] !== 0) return at;
  return -1;
}
