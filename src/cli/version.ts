/** The version of this program, from its package.json. */
import { readFileSync } from 'node:fs';

/** From build/src/cli to the package. */
const PACKAGE = new URL('../../../package.json', import.meta.url);

export function stordomVersion(): string {
  const facts = JSON.parse(readFileSync(PACKAGE, 'utf8')) as { version: string };
  return facts.version;
}
