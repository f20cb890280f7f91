/** 48-bit numbers, little-endian, as stored formats hold them: no BigInt on the way. */
import { invariant } from '../../base/invariant.ts';

const U16_ABOVE_U32 = 2 ** 32;

export function getU48(view: DataView, at: number): number {
  return view.getUint16(at + 4, true) * U16_ABOVE_U32 + view.getUint32(at, true);
}

export function setU48(view: DataView, at: number, value: number): void {
  invariant(value >= 0 && value < 2 ** 48, 'the number fits 48 bits');
  const high = Math.floor(value / U16_ABOVE_U32);
  view.setUint32(at, value - high * U16_ABOVE_U32, true);
  view.setUint16(at + 4, high, true);
}
