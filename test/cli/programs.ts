/** Programs of others, where they are. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Looks where administrators' programs are, too: not everybody's PATH goes there. */
export function programPath(name: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;
}

export function isInstalled(program: string): boolean {
  return programPath(program) !== null;
}
