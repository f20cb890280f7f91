/**
 * Golden files: bytes of a stored format as text that can be checked by eye. A line is an offset, a
 * colon, and up to 16 bytes; lines of zeros are left out.
 */
import { readFileSync } from 'node:fs';
import { simDigest } from '../../src/world/sim/sim-digest.ts';

const LINE_BYTES = 16;

/** The bytes of test/fixtures/v1/`name`.hex. */
export function goldenBytes(name: string, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  for (const line of goldenText(name).split('\n')) {
    const [offset, digits] = line.split(': ');
    if (offset === undefined || digits === undefined) continue;
    const at = Number.parseInt(offset, 16);
    digits.split(' ').forEach((pair, i) => {
      bytes[at + i] = Number.parseInt(pair, 16);
    });
  }
  return bytes;
}

export function goldenText(name: string): string {
  return readFileSync(`test/fixtures/v1/${name}.hex`, 'utf8');
}

/** How a golden file shows these bytes. */
export function toGolden(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += LINE_BYTES) {
    const line = bytes.subarray(at, at + LINE_BYTES);
    if (line.every((byte) => byte === 0)) continue;
    const digits = [...line].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    text += `${at.toString(16).padStart(4, '0')}: ${digits}\n`;
  }
  return text;
}

/** A copy whose CRC, at its place in every stored structure, fits the first `lengthBytes`. */
export function resealed(bytes: Uint8Array, lengthBytes: number = bytes.length): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  view.setUint32(8, 0, true);
  view.setUint32(8, simDigest.crc32(copy, 0, lengthBytes), true);
  return copy;
}
