/**
 * The titles of tests, read from the source: for their being unique, and for documents that cite
 * them.
 */
import { lineAt, mask } from './mask.ts';
import type { ProjectFile } from './project-files.ts';

export interface TestTitle {
  readonly path: string;
  readonly line: number;
  /** As written; `${...}` stands for what is filled in when the test runs. */
  readonly title: string;
}

/** By `test`, by a name for some tests (`longTest`), or by `where('program')`. */
const DECLARED = /\b(?:test|\w+Test|where\([^)]*\))(?:\.(?:serial|failing))*\(\s*(['"`])/g;

/** Titles given as a string or template where the test is declared. */
export function titlesOf({ path, text }: ProjectFile): TestTitle[] {
  const code = mask(text, { keepLiterals: false });
  const uncommented = mask(text, { keepLiterals: true });
  const titles: TestTitle[] = [];
  for (const match of code.matchAll(DECLARED)) {
    const from = match.index + match[0].length;
    const end = code.indexOf(match[1] as string, from);
    titles.push({ path, line: lineAt(text, match.index), title: uncommented.slice(from, end) });
  }
  return titles;
}

/** Each title that stands twice, with both places. */
export function repeatedTitles(titles: readonly TestTitle[]): string[] {
  const first = new Map<string, TestTitle>();
  const problems: string[] = [];
  for (const title of titles) {
    const known = first.get(title.title);
    if (known === undefined) first.set(title.title, title);
    else {
      const places = `${known.path}:${known.line} and ${title.path}:${title.line}`;
      problems.push(`"${title.title}" names a test at ${places}`);
    }
  }
  return problems;
}

/** Whether a title with `${...}` in it can become `text`. */
export function titleFits(title: string, text: string): boolean {
  const parts = title
    .replaceAll('\\', '')
    .split(/\$\{[^}]*\}/)
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.+')}$`).test(text);
}
