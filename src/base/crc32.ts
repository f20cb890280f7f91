/**
 * CRC-32 as zlib computes it (polynomial 0xEDB88320, reflected), in plain JavaScript: for a few
 * bytes in the middle of a hot loop, where calling out costs more than the sum. Long runs of bytes
 * go to `World.digest`.
 */
const table = new Int32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let value = byte;
  for (let bit = 0; bit < 8; bit++)
    value = (value & 1) === 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  table[byte] = value;
}

/** Starts a sum; pass the state on to `crc32Word` and finish with `crc32End`. */
export const CRC32_START = -1;

/** Adds the four bytes of a little-endian 32-bit word. */
export function crc32Word(state: number, word: number): number {
  let crc = state;
  crc = (table[(crc ^ word) & 0xff] as number) ^ (crc >>> 8);
  crc = (table[(crc ^ (word >>> 8)) & 0xff] as number) ^ (crc >>> 8);
  crc = (table[(crc ^ (word >>> 16)) & 0xff] as number) ^ (crc >>> 8);
  return (table[(crc ^ (word >>> 24)) & 0xff] as number) ^ (crc >>> 8);
}

export function crc32End(state: number): number {
  return ~state >>> 0;
}
