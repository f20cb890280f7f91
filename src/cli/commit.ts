/**
 * Of which commit this program was built: without it a seed says little, because whatever changes
 * what is drawn changes what a seed is.
 *
 * A package made for a registry carries `gitHead`. In a checkout git is asked, and only about a
 * repository of our own: where the program is installed inside another one, that one's commit says
 * nothing. The tree is looked at when the program runs, not when it was built.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** From build/src/cli to the package. */
const PACKAGE = fileURLToPath(new URL('../../../', import.meta.url));
const GIT_TIMEOUT_MS = 5000;

/** `1a2b3c4...`, `1a2b3c4... (modified)` where tracked files differ from it, or `unknown`. */
export function commitText(folder: string = PACKAGE): string {
  const packed = gitHead(join(folder, 'package.json'));
  if (packed !== null) return packed;
  // A folder in a clone, a file in a linked work tree.
  if (!existsSync(join(folder, '.git'))) return 'unknown';
  const head = git(folder, ['rev-parse', '--verify', 'HEAD']);
  if (head === null) return 'unknown';
  const changed = git(folder, ['status', '--porcelain', '--untracked-files=no']);
  return changed === '' ? head : `${head} (modified)`;
}

function gitHead(path: string): string | null {
  try {
    const { gitHead: head } = JSON.parse(readFileSync(path, 'utf8')) as { gitHead?: unknown };
    return typeof head === 'string' ? head : null;
  } catch {
    return null;
  }
}

/** What git prints, or null: it may be missing, or refuse the folder. */
function git(folder: string, args: readonly string[]): string | null {
  try {
    return execFileSync('git', ['-C', folder, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: GIT_TIMEOUT_MS,
    }).trim();
  } catch {
    return null;
  }
}
