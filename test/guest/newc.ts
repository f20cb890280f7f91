/**
 * The archive that a Linux kernel unpacks as its first root file system: cpio in the form "newc".
 *
 * ```
 * entry:  "070701", 13 numbers of 8 hexadecimal digits, the name and a 0, zeros up to a multiple
 *         of 4 bytes, the content, zeros up to a multiple of 4 bytes
 * end:    an entry called TRAILER!!!
 * ```
 * Folders come before what is in them.
 */
import { posix } from 'node:path';

export interface InitFile {
  /** From the root, without a slash before it. */
  readonly path: string;
  readonly content: Uint8Array;
  readonly isExecutable: boolean;
}

const FOLDER_MODE = 0o040755;
const FILE_MODE = 0o100644;
const PROGRAM_MODE = 0o100755;

/** An archive of the files, of the folders that they are in, and of some empty ones. */
export function newcArchive(files: readonly InitFile[], emptyFolders: readonly string[]): Buffer {
  const folders = new Set<string>();
  for (const path of [...files.map((file) => posix.dirname(file.path)), ...emptyFolders]) {
    for (const folder of withParents(path)) folders.add(folder);
  }
  const entries = [
    ...[...folders].sort().map((path) => ({ path, mode: FOLDER_MODE, content: new Uint8Array() })),
    ...files.map(({ path, content, isExecutable }) => {
      return { path, mode: isExecutable ? PROGRAM_MODE : FILE_MODE, content };
    }),
    { path: 'TRAILER!!!', mode: 0, content: new Uint8Array() },
  ];
  return Buffer.concat(
    entries.flatMap(({ path, mode, content }, at) => {
      const name = Buffer.from(`${path}\0`);
      const links = 1;
      const numbers = [at + 1, mode, 0, 0, links, 0, content.length, 0, 0, 0, 0, name.length, 0];
      const hex = numbers.map((number) => number.toString(16).padStart(8, '0')).join('');
      const header = Buffer.concat([Buffer.from(`070701${hex}`), name]);
      return [header, padding(header.length), content, padding(content.length)];
    }),
  );
}

function withParents(path: string): string[] {
  if (path === '.') return [];
  return [...withParents(posix.dirname(path)), path];
}

function padding(bytes: number): Uint8Array {
  return new Uint8Array(-bytes & 3);
}
