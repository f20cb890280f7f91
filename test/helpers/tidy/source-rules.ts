/** Rules for one source file each: a file in, what is wrong with it out, with its line. */
import { lineAt, mask } from './mask.ts';
import type { ProjectFile } from './project-files.ts';

export const FILE_LINES_MAX = 500;
export const LINE_COLUMNS_MAX = 100;

/** Folders whose code runs in both worlds. `worker.ts` files are the doors to the threads. */
const CORE =
  /^src\/(?:base|ring|hypervisor|guests|driver-vm|traces|parallax|petal-backend|exports)\//;
const CORE_PORTS = /^src\/world\/(?:voters\/)?[^/]+\.ts$/;
const SIMULATOR = /^src\/world\/sim\//;

/**
 * What makes two runs of one seed differ, or exists on some machines only. The compiler (`types:
 * []`) and the linter know more names and who declares them; this list holds in `world/sim` too,
 * and it holds where one of those two is switched off by mistake.
 */
const NOT_REPEATABLE = anyOf(
  'Date performance setTimeout setInterval setImmediate crypto Intl WeakRef FinalizationRegistry',
);
const CHANCE = /\bMath\s*\.\s*random\b/g;
const NODE_GLOBAL = anyOf('Buffer process console require globalThis queueMicrotask');
const SLEEP = /\bAtomics\s*\.\s*(?:wait|waitAsync|notify)\b/g;

/** The simulator's pump and the traps it sets: the files whose business these names are. */
const SIM_PUMP = 'src/world/sim/simulator.ts';
const SIM_TRAPS = 'src/world/sim/traps.ts';

/** One of these names as a variable: not a member of something, not a member that is declared. */
function anyOf(names: string): RegExp {
  const either = names.split(' ').join('|');
  return new RegExp(`(?<![\\w.$#])(?:${either})(?![\\w$])(?!\\s*\\??:)`, 'g');
}

export function isCore(path: string): boolean {
  return (CORE.test(path) || CORE_PORTS.test(path)) && !path.endsWith('/worker.ts');
}

export function bannedGlobals({ path, text }: ProjectFile): string[] {
  const bans: RegExp[] = [];
  if (isCore(path)) bans.push(NOT_REPEATABLE, CHANCE, NODE_GLOBAL);
  if (SIMULATOR.test(path) && path !== SIM_TRAPS) bans.push(NOT_REPEATABLE, CHANCE);
  if (SIMULATOR.test(path) && path !== SIM_TRAPS && path !== SIM_PUMP) bans.push(NODE_GLOBAL);
  if (path.startsWith('src/') && !path.startsWith('src/world/')) bans.push(SLEEP);
  const code = mask(text, { keepLiterals: false });
  return bans.flatMap((ban) =>
    [...code.matchAll(ban)].map(
      (match) => `${path}:${lineAt(text, match.index)}: ${match[0]} is not for this folder`,
    ),
  );
}

/** The title of a test is one string, which the formatter does not break. */
const TITLE_LINE =
  /^\s*(?:(?:test(?:\.serial)?|long(?:Serial)?Test)\()?(['"`]).*\1,(?: (?:async )?\(t\) =>.*)?$/;

export function tooLong({ path, text }: ProjectFile): string[] {
  const lines = text.split('\n');
  if (lines[lines.length - 1] === '') lines.pop();
  const problems: string[] = [];
  if (lines.length > FILE_LINES_MAX) problems.push(`${path}: ${lines.length} lines`);
  lines.forEach((line, at) => {
    const columns = path.endsWith('.test.ts') && TITLE_LINE.test(line) ? 0 : line.length;
    if (columns > LINE_COLUMNS_MAX) problems.push(`${path}:${at + 1}: ${columns} columns`);
  });
  return problems;
}

export function exportProblems({ path, text }: ProjectFile): string[] {
  const code = mask(text, { keepLiterals: false });
  const problems: string[] = [];
  for (const match of code.matchAll(/\bexport\s+default\b|\bas\s+default\b/g)) {
    problems.push(`${path}:${lineAt(text, match.index)}: a default export`);
  }
  for (const match of code.matchAll(/\bexport\s+(?:type\s+)?(?:\*|\{[^}]*\})[^;]*?\bfrom\b/g)) {
    problems.push(`${path}:${lineAt(text, match.index)}: passes on what another file exports`);
  }
  return problems;
}

/** A file says first what it is: a doc comment of at least one whole sentence. */
export function headerProblems({ path, text }: ProjectFile): string[] {
  const header = /^\/\*\*([\s\S]*?)\*\//.exec(text)?.[1];
  if (header === undefined) return [`${path}: does not open with a doc comment`];
  const words = header.replace(/^\s*\* ?/gm, '').trim();
  const sentence = /[.:?)](?:\s|$)/.test(words) && words.length >= 20;
  return sentence ? [] : [`${path}: its first comment does not say what it is`];
}

const UNFINISHED = /\b(?:TODO|FIXME|XXX|HACK)\b/g;
const SUPPRESSED =
  /@ts-(?:ignore|nocheck|expect-error)|(?:oxlint|eslint)-disable|biome-ignore lint/g;

/** Comments that put work off, or that switch a check off. */
export function unfinished({ path, text }: ProjectFile): string[] {
  return [UNFINISHED, SUPPRESSED].flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match) => `${path}:${lineAt(text, match.index)}: ${match[0]}`),
  );
}
