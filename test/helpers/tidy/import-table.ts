/**
 * Who may import whom, as data, and the check of it.
 *
 * `TIERS` reads from left to right: a folder imports from its own and from every folder of a tier
 * to the left, never from another folder of its own tier. Inside `src/world` the ports stand alone,
 * and the two worlds know the ports but not each other.
 */
import { posix } from 'node:path';
import { lineAt, mask } from './mask.ts';
import type { ProjectFile } from './project-files.ts';

const TIERS: readonly (readonly string[])[] = [
  ['base'],
  ['world', 'ring'],
  ['traces', 'hypervisor', 'parallax', 'petal-backend'],
  ['guests', 'driver-vm'],
  ['exports'],
  ['experiments'],
  ['report'],
  ['cli'],
];

/** Files that start threads or talk to the machine, beside `src/world/real` and `src/cli`. */
const TOUCHES_THE_MACHINE: readonly RegExp[] = [
  /^src\/[^/]+\/worker\.ts$/,
  /^src\/experiments\/thread-(?:stage|folders)\.ts$/,
];

/** What else may be imported from outside the project, and where. */
const OTHER_EXTERNALS: readonly { readonly name: string; readonly where: RegExp }[] = [
  { name: 'node:crypto', where: /^src\/world\/sim\/sim-digest\.ts$/ },
  { name: 'node:zlib', where: /^src\/world\/sim\/sim-digest\.ts$/ },
  { name: '#petal-wire', where: /^src\/petal-backend\/wire\// },
  { name: 'protobufjs/minimal.js', where: /^src\/petal-backend\/wire\// },
];

/** Only these start the simulator. */
const MAY_IMPORT_SIM = /^src\/(?:world\/sim|experiments|cli)\//;

export interface ImportStatement {
  readonly source: string;
  readonly line: number;
}

/** Every module that a file names: static, dynamic, re-export and type imports. */
export function importsOf(text: string): ImportStatement[] {
  const uncommented = mask(text, { keepLiterals: true });
  const code = mask(text, { keepLiterals: false });
  const found: ImportStatement[] = [];
  for (const match of code.matchAll(/\b(?:from|import)\s*\(?\s*(['"`])/g)) {
    const from = match.index + match[0].length;
    const source = uncommented.slice(from, uncommented.indexOf(match[1] as string, from));
    found.push({ source, line: lineAt(text, match.index) });
  }
  return found;
}

/** What is wrong with the imports of a file below `src/`. */
export function importProblems(file: ProjectFile): string[] {
  const problems: string[] = [];
  for (const { source, line } of importsOf(file.text)) {
    const reason = source.startsWith('.')
      ? internalProblem(file.path, posix.join(posix.dirname(file.path), source))
      : externalProblem(file.path, source);
    if (reason !== null) problems.push(`${file.path}:${line}: imports ${source}: ${reason}`);
  }
  return problems;
}

function externalProblem(path: string, source: string): string | null {
  if (touchesTheMachine(path)) return null;
  if (OTHER_EXTERNALS.some(({ name, where }) => name === source && where.test(path))) return null;
  return 'only world/real, worker.ts files, cli and the stage of threads import packages';
}

function touchesTheMachine(path: string): boolean {
  if (path.startsWith('src/world/real/') || path.startsWith('src/cli/')) return true;
  return TOUCHES_THE_MACHINE.some((pattern) => pattern.test(path));
}

function internalProblem(importer: string, imported: string): string | null {
  if (!imported.endsWith('.ts')) return 'an import names a file and ends in .ts';
  const [from, to] = [folderOf(importer), folderOf(imported)];
  if (from === null || to === null) return 'both ends of an import are in a folder below src/';
  const [tierFrom, tierTo] = [tierOf(from), tierOf(to)];
  if (tierFrom < 0) return `folder ${from} is not in the import table`;
  if (tierTo < 0) return `folder ${to} is not in the import table`;
  if (from !== to && tierTo >= tierFrom) return `${from} may not import ${to}`;
  return worldProblem(importer, imported);
}

function worldProblem(importer: string, imported: string): string | null {
  if (imported.startsWith('src/world/real/') && !touchesTheMachine(importer)) {
    return 'only worker.ts files, cli and the stage of threads know the world of threads';
  }
  if (imported.startsWith('src/world/sim/') && !MAY_IMPORT_SIM.test(importer)) {
    return 'only experiments and cli know the simulator';
  }
  if (importer.startsWith('src/world/real/') && imported.startsWith('src/world/sim/')) {
    return 'the two worlds do not know each other';
  }
  return null;
}

function folderOf(path: string): string | null {
  return /^src\/([^/]+)\//.exec(path)?.[1] ?? null;
}

function tierOf(folder: string): number {
  return TIERS.findIndex((tier) => tier.includes(folder));
}
