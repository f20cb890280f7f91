/**
 * C6, convergence: when all is quiet, copies of the same data are the same, byte for byte.
 *
 * Copies are compared by one checksum a region of 1 MiB, so that what is compared is small,
 * whatever the copies are and wherever they are kept: a reader is all that is asked of them. The
 * verdict names the first region that differs, and who has what. Regions that differ are also
 * returned, for whoever can look at the bytes.
 */
import { CRC32_START, crc32End, crc32Word } from '../../base/crc32.ts';
import { invariant } from '../../base/invariant.ts';
import { broken, holds, type Verdict } from './check.ts';

const NAME = 'convergence';
export const REGION_BYTES: number = 2 ** 20;

/** A copy of some data, by whatever way it can be read. */
export interface CopyReader {
  readonly name: string;
  /** A multiple of 4. */
  readonly sizeBytes: number;
  /** Fills `into` from `offsetBytes` on. */
  read(offsetBytes: number, into: Uint8Array): void | Promise<void>;
}

export interface RegionSums {
  readonly name: string;
  readonly sizeBytes: number;
  readonly sums: Uint32Array;
}

export async function sumRegions(copy: CopyReader): Promise<RegionSums> {
  const { name, sizeBytes } = copy;
  invariant(sizeBytes % 4 === 0, 'a copy is made of whole words');
  const sums = new Uint32Array(Math.ceil(sizeBytes / REGION_BYTES));
  const buffer = new ArrayBuffer(REGION_BYTES);
  for (let region = 0; region < sums.length; region++) {
    const offset = region * REGION_BYTES;
    const length = Math.min(REGION_BYTES, sizeBytes - offset);
    await copy.read(offset, new Uint8Array(buffer, 0, length));
    sums[region] = sumOf(new Uint32Array(buffer, 0, length / 4));
  }
  return { name, sizeBytes, sums };
}

/** Regions in which not all copies agree. */
export function divergentRegions(copies: readonly RegionSums[]): number[] {
  const [first, ...others] = copies;
  if (first === undefined) return [];
  const regions: number[] = [];
  for (let region = 0; region < first.sums.length; region++) {
    if (others.some(({ sums }) => sums[region] !== first.sums[region])) regions.push(region);
  }
  return regions;
}

/** `copies`: of the same data, all of them. */
export function judgeConvergence(copies: readonly RegionSums[]): Verdict {
  const [first] = copies;
  const other = copies.find(({ sizeBytes }) => sizeBytes !== first?.sizeBytes);
  if (first !== undefined && other !== undefined) {
    const sizes = `${first.name} has ${first.sizeBytes} bytes, ${other.name} ${other.sizeBytes}`;
    return broken(NAME, `C6 is broken: copies differ in size: ${sizes}`);
  }
  const regions = divergentRegions(copies);
  const [worst] = regions;
  if (worst !== undefined) {
    const who = copies.map(({ name, sums }) => `${name} ${hex(sums[worst] ?? 0)}`).join(', ');
    return broken(
      NAME,
      `C6 is broken: ${regions.length} regions of 1 MiB differ, the first at byte ` +
        `${worst * REGION_BYTES} (checksums: ${who})`,
    );
  }
  return holds(NAME, `C6: ${copies.length} copies agree in ${first?.sums.length ?? 0} regions`);
}

function sumOf(words: Uint32Array): number {
  let crc = CRC32_START;
  for (let at = 0; at < words.length; at++) crc = crc32Word(crc, words[at] as number);
  return crc32End(crc);
}

function hex(sum: number): string {
  return sum.toString(16).padStart(8, '0');
}
