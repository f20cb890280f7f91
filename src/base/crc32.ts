/**
 * CRC-32 as zlib computes it (polynomial 0xEDB88320, reflected), in plain JavaScript: for a few
 * bytes in the middle of a hot loop, where calling out costs more than the sum. Long runs of bytes
 * go to `World.digest`.
 *
 * Sums of neighbours can be put together without looking at their bytes (`crc32Append`): a sum is a
 * polynomial over GF(2) modulo the one above, and appending n bits multiplies by x to the n-th.
 */
const POLYNOMIAL = 0xedb88320;
/** x to the first; the highest bit is x to the zeroth. */
const X = 0x40000000;
const SECTOR_BITS_LOG2 = 12;

const table = new Int32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let value = byte;
  for (let bit = 0; bit < 8; bit++)
    value = (value & 1) === 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
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

/**
 * The sum of two runs of bytes, one after the other, from theirs; `sectors`: of 512 bytes, in the
 * second run. Four lookups for each bit of `sectors` that is set.
 */
export function crc32Append(first: number, second: number, sectors: number): number {
  let crc = first;
  for (let left = sectors, log2 = 0; left !== 0; left >>>= 1, log2++) {
    if ((left & 1) === 0) continue;
    const shift = shifts[log2] ?? makeShift(log2);
    crc =
      (shift[crc & 0xff] as number) ^
      (shift[256 + ((crc >>> 8) & 0xff)] as number) ^
      (shift[512 + ((crc >>> 16) & 0xff)] as number) ^
      (shift[768 + (crc >>> 24)] as number);
  }
  return (crc ^ second) >>> 0;
}

/** [n]: what each byte of a sum becomes when 2^n sectors are appended; made when first needed. */
const shifts: Int32Array[] = [];

function makeShift(log2: number): Int32Array {
  let factor = X;
  for (let i = 0; i < SECTOR_BITS_LOG2 + log2; i++) factor = multiply(factor, factor);
  const shift = new Int32Array(4 * 256);
  for (let place = 0; place < 4; place++) {
    for (let byte = 0; byte < 256; byte++) {
      shift[place * 256 + byte] = multiply(factor, byte << (8 * place));
    }
  }
  shifts[log2] = shift;
  return shift;
}

/** Product of two polynomials, modulo the one of the sums. */
function multiply(one: number, other: number): number {
  let product = 0;
  let shifted = other;
  for (let bit = 31; bit >= 0; bit--) {
    if (((one >>> bit) & 1) === 1) product ^= shifted;
    shifted = (shifted & 1) === 1 ? (shifted >>> 1) ^ POLYNOMIAL : shifted >>> 1;
  }
  return product;
}
