/**
 * Looks at a file before lmdb opens it: lmdb maps what it is given and trusts it, so that a text,
 * or a table that was cut short, ends the process with a signal instead of an error.
 *
 * lmdb's first two pages each begin with a page header of 24 bytes and a meta record, of which this
 * reads (offsets in the page, native order, which is little-endian wherever this runs):
 *
 *   24  u32  magic 0xBEEFC0DE         88  u64  root page of the free list, all ones: none
 *   48  u32  page size, bytes        136  u64  root page of the table, all ones: none
 *                                    152  u64  number of the commit; the larger one counts
 *
 * Pages past the end of the file can be legal (never used ones are not written); roots cannot.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { dirname } from 'node:path';

const MAGIC = 0xbeef_c0de;
const META_BYTES = 160;
const PAGE_BYTES_MIN = 256;
const PAGE_BYTES_MAX = 65_536;
const NO_PAGE = 2n ** 64n - 1n;

/** What is wrong with the file, as the end of a sentence; null if lmdb may open it. */
export function lmdbFileProblem(path: string): string | null {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') return (thrown as Error).message;
    // lmdb will make it. It would make the folder too, where a slip of the pen leads.
    return existsSync(dirname(path)) ? null : 'its folder is not there';
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return 'it is not a file';
    return stat.size === 0 ? null : contentProblem(fd, stat.size);
  } finally {
    closeSync(fd);
  }
}

function contentProblem(fd: number, sizeBytes: number): string | null {
  const first = metaAt(fd, 0);
  if (first === null) return 'it does not begin as an lmdb file does';
  const pageBytes = first.readUInt32LE(48);
  const isSize = pageBytes >= PAGE_BYTES_MIN && pageBytes <= PAGE_BYTES_MAX;
  const second = isSize ? metaAt(fd, pageBytes) : null;
  if (second === null) return 'its second page is not that of an lmdb file';
  const newest = second.readBigUInt64LE(152) > first.readBigUInt64LE(152) ? second : first;
  const pages = BigInt(Math.floor(sizeBytes / pageBytes));
  for (const root of [newest.readBigUInt64LE(88), newest.readBigUInt64LE(136)]) {
    if (root !== NO_PAGE && root >= pages) return `it is cut short: page ${root} is not there`;
  }
  return null;
}

function metaAt(fd: number, position: number): Buffer | null {
  const meta = Buffer.alloc(META_BYTES);
  const count = readSync(fd, meta, 0, META_BYTES, position);
  return count === META_BYTES && meta.readUInt32LE(24) === MAGIC ? meta : null;
}
