/**
 * Rules for the documents: links lead somewhere, commands exist, cited tests exist, and no word of
 * the machine a text was written on is in it.
 */
import { posix } from 'node:path';
import { lineAt } from './mask.ts';
import type { ProjectFile } from './project-files.ts';
import { type TestTitle, titleFits } from './test-titles.ts';

export interface Link {
  readonly text: string;
  readonly target: string;
  readonly line: number;
}

/** Links and pictures of a document, outside of code. */
export function linksOf(text: string): Link[] {
  const prose = withoutCode(text);
  return [...prose.matchAll(/\[([^\]]*)\]\(([^)\s]+)\)/g)].map((match) => ({
    text: text.slice(match.index + 1, match.index + 1 + (match[1] as string).length),
    target: match[2] as string,
    line: lineAt(text, match.index),
  }));
}

/** Links inside the project whose file or heading does not exist. */
export function deadLinks(
  file: ProjectFile,
  documents: ReadonlyMap<string, string>,
  paths: ReadonlySet<string>,
): string[] {
  const problems: string[] = [];
  for (const { target, line } of linksOf(file.text)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [name = '', anchor] = target.split('#');
    const path = name === '' ? file.path : posix.join(posix.dirname(file.path), name);
    const place = `${file.path}:${line}: ${target}`;
    if (!paths.has(path) && !paths.has(`${path.replace(/\/$/, '')}/`)) {
      problems.push(`${place}: there is no ${path}`);
    } else if (anchor !== undefined && !anchorsOf(documents.get(path) ?? '').has(anchor)) {
      problems.push(`${place}: ${path} has no heading #${anchor}`);
    }
  }
  return problems;
}

/** The names by which a document's headings can be linked to, as GitHub makes them. */
export function anchorsOf(text: string): Set<string> {
  const headings = withoutFences(text).matchAll(/^#{1,6}\s+(.*)$/gm);
  return new Set(
    [...headings].map((match) =>
      (match[1] as string)
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .trim()
        .replaceAll(' ', '-'),
    ),
  );
}

/** A link to a test file has a title of a test in it, or the file's name, as its text. */
export function deadCitations(file: ProjectFile, titles: readonly TestTitle[]): string[] {
  const problems: string[] = [];
  for (const { text, target, line } of linksOf(file.text)) {
    if (!target.endsWith('.test.ts')) continue;
    const path = posix.join(posix.dirname(file.path), target);
    const cited = text.replaceAll('`', '');
    if (path.endsWith(cited)) continue;
    const known = titles.some((title) => title.path === path && titleFits(title.title, cited));
    if (!known) problems.push(`${file.path}:${line}: ${path} has no test "${cited}"`);
  }
  return problems;
}

export interface Commands {
  /** Names of scripts in package.json. */
  readonly scripts: ReadonlySet<string>;
  /** Commands of `stordom`. */
  readonly stordom: ReadonlySet<string>;
  /** The text in which every flag of `stordom` is declared. */
  readonly declarations: string;
}

const NPM_OWN = new Set(['ci', 'cit', 'install', 'version']);

/** Commands shown in a document that the project does not have. */
export function deadCommands({ path, text }: ProjectFile, commands: Commands): string[] {
  const problems: string[] = [];
  for (const { command, line } of commandsOf(text)) {
    const reason = command.startsWith('npm')
      ? npmProblem(command, commands)
      : stordomProblem(command, commands);
    if (reason !== null) problems.push(`${path}:${line}: ${command}: ${reason}`);
  }
  return problems;
}

function npmProblem(command: string, commands: Commands): string | null {
  const words = command.split(/\s+/).slice(1);
  const name = words.find((word) => !word.startsWith('-') && word !== 'run') ?? '';
  if (!commands.scripts.has(name) && !NPM_OWN.has(name)) return `there is no script ${name}`;
  if (name !== 'stordom') return null;
  const own = command.split(' -- ')[1];
  return own === undefined ? null : stordomProblem(`stordom ${own}`, commands);
}

function stordomProblem(command: string, commands: Commands): string | null {
  const words = command
    .replace(/^npx\s+/, '')
    .split(/\s+/)
    .slice(1);
  const name = words[0] ?? '--help';
  if (!name.startsWith('-') && !commands.stordom.has(name)) return `there is no command ${name}`;
  const own = new Set(['--help', '--version']);
  for (const word of words) {
    const flag = /^--[a-z][a-z-]*/.exec(word)?.[0];
    if (flag === undefined || own.has(flag)) continue;
    if (!commands.declarations.includes(flag)) return `there is no flag ${flag}`;
  }
  return null;
}

interface ShownCommand {
  readonly command: string;
  readonly line: number;
}

/**
 * Lines of code blocks, and code in a line of text, that begin with one of the project's commands.
 */
export function commandsOf(text: string): ShownCommand[] {
  const found: ShownCommand[] = [];
  const pattern = /(?:^|`)(?:\$ )?((?:npm|npx stordom|stordom)(?: [^`\n#]*)?)/gm;
  for (const match of text.matchAll(pattern)) {
    const command = (match[1] as string).trim();
    const inBlock = !match[0].startsWith('`') && isInFence(text, match.index);
    const inLine = match[0].startsWith('`') && text[match.index + match[0].length] === '`';
    if (!inBlock && !inLine) continue;
    if (command.includes(' ')) found.push({ command, line: lineAt(text, match.index) });
  }
  return found;
}

function isInFence(text: string, position: number): boolean {
  return (text.slice(0, position).match(/^```/gm)?.length ?? 0) % 2 === 1;
}

/** Paths of the machine a text was written on, and places a reader cannot go to. */
const FOREIGN = /(?<![\w.])\/(?:work|tmp|root|home)\/|\blocalhost:\d|\b127\.0\.0\.1:\d/g;

export function foreignWords({ path, text }: ProjectFile): string[] {
  return [...text.matchAll(FOREIGN)].map(
    (match) => `${path}:${lineAt(text, match.index)}: ${match[0]}`,
  );
}

/** The text with code blocks as spaces; positions stay. */
function withoutFences(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, blank);
}

function withoutCode(text: string): string {
  return withoutFences(text).replace(/`[^`\n]*`/g, blank);
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, ' ');
}
