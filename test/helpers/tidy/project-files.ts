/** Reads the project's own files: everything that is committed, nothing that is made or fetched. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface ProjectFile {
  /** From the root of the project, with slashes: `src/base/units.ts`. */
  readonly path: string;
  readonly text: string;
}

const NOT_OURS = new Set(['node_modules', 'build', 'coverage', 'runs', '.git']);
/** Committed, but written by a generator. */
const GENERATED = /\.pb\.(?:js|d\.ts)$/;

/** All files below the folder of the project whose name ends in one of `endings`. */
export function projectFiles(endings: readonly string[]): ProjectFile[] {
  const files: ProjectFile[] = [];
  collect('', endings, files);
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Every path of the project, folders with a slash at their end. */
export function projectPaths(): Set<string> {
  const paths = new Set<string>();
  collectPaths('', paths);
  return paths;
}

function collect(folder: string, endings: readonly string[], files: ProjectFile[]): void {
  for (const entry of readdirSync(folder === '' ? '.' : folder, { withFileTypes: true })) {
    if (NOT_OURS.has(entry.name)) continue;
    const path = folder === '' ? entry.name : join(folder, entry.name);
    if (entry.isDirectory()) collect(path, endings, files);
    else if (entry.isFile() && !GENERATED.test(path) && endings.some((e) => path.endsWith(e))) {
      files.push({ path, text: readFileSync(path, 'utf8') });
    }
  }
}

function collectPaths(folder: string, paths: Set<string>): void {
  for (const entry of readdirSync(folder === '' ? '.' : folder, { withFileTypes: true })) {
    if (NOT_OURS.has(entry.name)) continue;
    const path = folder === '' ? entry.name : join(folder, entry.name);
    paths.add(entry.isDirectory() ? `${path}/` : path);
    if (entry.isDirectory()) collectPaths(path, paths);
  }
}
