/**
 * The project's rules about itself. Each rule is a function from a file to what is wrong with it;
 * each is run over the project, and over a planted violation that it must find.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import {
  anchorsOf,
  type Commands,
  commandsOf,
  deadCitations,
  deadCommands,
  deadLinks,
  foreignWords,
} from './helpers/tidy/doc-rules.ts';
import { importProblems, importsOf } from './helpers/tidy/import-table.ts';
import { mask } from './helpers/tidy/mask.ts';
import { type ProjectFile, projectFiles, projectPaths } from './helpers/tidy/project-files.ts';
import {
  bannedGlobals,
  exportProblems,
  FILE_LINES_MAX,
  headerProblems,
  isCore,
  LINE_COLUMNS_MAX,
  tooLong,
  unfinished,
} from './helpers/tidy/source-rules.ts';
import { repeatedTitles, titleFits, titlesOf } from './helpers/tidy/test-titles.ts';

const source = projectFiles(['.ts', '.mjs']);
const src = source.filter(({ path }) => path.startsWith('src/'));
const tests = source.filter(({ path }) => path.endsWith('.test.ts'));
const documents = projectFiles(['.md']);
const committedText = [...source, ...documents, ...projectFiles(['.json', '.svg', '.ci/run'])];
/** The rules and their planted violations hold the very words they look for. */
const others = committedText.filter(({ path }) => !/^test\/(?:helpers\/)?tidy/.test(path));
const titles = tests.flatMap(titlesOf);

function planted(path: string, text: string): ProjectFile {
  return { path, text };
}

function over(files: readonly ProjectFile[], rule: (file: ProjectFile) => string[]): string[] {
  return files.flatMap(rule);
}

function projectCommands(): Commands {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
    scripts: Record<string, string>;
  };
  const cli = src.filter(({ path }) => path.startsWith('src/cli/'));
  const names = cli.flatMap(({ text }) =>
    [...text.matchAll(/\.command\(\s*'([a-z-]+)/g)].map((match) => match[1] as string),
  );
  return {
    scripts: new Set(Object.keys(manifest.scripts)),
    stordom: new Set(names),
    declarations: cli.map(({ text }) => text).join('\n'),
  };
}

test('the project is found: sources, tests and documents are there to be judged', (t) => {
  t.true(src.length > 100);
  t.true(tests.length > 30);
  t.true(documents.length > 5);
  t.true(titles.length > 200);
});

test('a mask tells code from comments, strings, templates and regular expressions', (t) => {
  const text = "a('x // y', `t ${b('}')} u`, /[/']/g, 4 / 2) // c\n/* d\ne */ f";
  const code = mask(text, { keepLiterals: false });
  t.is(code.length, text.length);
  t.is(code.replace(/\s+/g, ' '), "a(' ', ` ${b(' ')} `, / /g, 4 / 2) f");
  t.is(code.split('\n').length, 3);
  t.true(mask(text, { keepLiterals: true }).startsWith("a('x // y', `t ${b('}')} u`, /[/']/g"));
});

test('every import agrees with the import table', (t) => {
  t.deepEqual(over(src, importProblems), []);
});

test('an import against the table is found, whatever its form', (t) => {
  const against: readonly (readonly [string, string])[] = [
    ['src/ring/a.ts', "import { x } from '../world/world.ts';"],
    ['src/world/a.ts', "import type { X } from '../ring/ports.ts';"],
    ['src/base/a.ts', "export { x } from '../world/world.ts';"],
    ['src/guests/a.ts', "const x = await import('../driver-vm/vbd.ts');"],
    ['src/report/a.ts', "import '../cli/main.ts';"],
    ['src/hypervisor/a.ts', "import { readFile } from 'node:fs';"],
    ['src/driver-vm/a.ts', "import { Piscina } from 'piscina';"],
    ['src/driver-vm/a.ts', "import { BellWake } from '../world/real/wake.ts';"],
    ['src/guests/a.ts', "import { Simulator } from '../world/sim/simulator.ts';"],
    ['src/world/sim/a.ts', "import { BellWake } from '../real/wake.ts';"],
    ['src/world/real/a.ts', "import { Simulator } from '../sim/simulator.ts';"],
    ['src/world/sim/a.ts', "import { readFileSync } from 'node:fs';"],
    ['src/elsewhere/a.ts', "import { x } from '../base/units.ts';"],
    ['src/guests/a.ts', "import { x } from './frames.js';"],
    ['src/guests/a.ts', "import { x } from '../../test/helper.ts';"],
  ];
  for (const [path, text] of against) t.is(importProblems(planted(path, text)).length, 1, text);
  const allowed = "import { hostGuest } from '../world/real/host-worker.ts';";
  t.deepEqual(importProblems(planted('src/guests/worker.ts', allowed)), []);
  t.deepEqual(importsOf("// import 'x';\nconst s = \"from 'y'\";"), []);
});

test('core folders use no clock, chance, timer or Node of their own', (t) => {
  t.deepEqual(over(src, bannedGlobals), []);
  t.true(src.filter(({ path }) => isCore(path)).length > 80);
});

test('a banned global is found in core folders, and allowed where it belongs', (t) => {
  const uses = [
    'const now = Date.now();',
    'const at = new Date();',
    'const draw = Math.random();',
    'const at = performance.now();',
    'setTimeout(() => undefined, 1);',
    'const bytes = Buffer.alloc(1);',
    'process.exit(1);',
    'console.log(1);',
    'Atomics.wait(words, 0, 0);',
    'Atomics.waitAsync(words, 0, 0);',
    'Atomics.notify(words, 0);',
  ];
  for (const use of uses) t.is(bannedGlobals(planted('src/ring/a.ts', use)).length, 1, use);
  t.is(bannedGlobals(planted('src/world/sim/a.ts', 'const now = Date.now();')).length, 1);
  t.is(bannedGlobals(planted('src/cli/a.ts', 'Atomics.notify(words, 0);')).length, 1);
  t.deepEqual(bannedGlobals(planted('src/world/real/a.ts', uses.join('\n'))), []);
  t.deepEqual(bannedGlobals(planted('src/ring/a.ts', "// Date\nthis.process('Date');")), []);
});

test('files and lines are short enough to be read', (t) => {
  const code = source.filter(({ path }) => /^(?:src|test|bench|scripts|bin)\//.test(path));
  t.deepEqual(over(code, tooLong), []);
});

test('a file or line that is too long is found', (t) => {
  const line = 'x'.repeat(LINE_COLUMNS_MAX);
  t.deepEqual(tooLong(planted('src/base/a.ts', `${line}\n`.repeat(FILE_LINES_MAX))), []);
  t.is(tooLong(planted('src/base/a.ts', 'x\n'.repeat(FILE_LINES_MAX + 1))).length, 1);
  t.is(tooLong(planted('src/base/a.ts', `${line}x\n`)).length, 1);
  t.is(tooLong(planted('test/a.test.ts', `${line}x\n`)).length, 1);
  t.deepEqual(tooLong(planted('test/a.test.ts', `test('${line}', (t) => {\n`)), []);
});

test('the linter refuses a function of more than 70 lines in any folder of src', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'stordom-tidy-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'src/base'), { recursive: true });
  const config = JSON.parse(readFileSync('.oxlintrc.json', 'utf8')) as { options: object };
  // The length of a function needs no types, and a planted file has none to find.
  writeFileSync(join(folder, '.oxlintrc.json'), JSON.stringify({ ...config, options: {} }));
  const functionOf = (lines: number): string =>
    `export function long(): void {\n${'  work();\n'.repeat(lines - 2)}}\n`;
  writeFileSync(join(folder, 'src/base/right.ts'), functionOf(70));
  writeFileSync(join(folder, 'src/base/wrong.ts'), functionOf(71));
  const oxlint = join(process.cwd(), 'node_modules/oxlint/bin/oxlint');
  const { stdout } = spawnSync(process.execPath, [oxlint, 'src'], {
    cwd: folder,
    encoding: 'utf8',
  });
  t.regex(stdout, /max-lines-per-function/);
  t.regex(stdout, /wrong\.ts/);
  t.notRegex(stdout, /right\.ts/);
});

test('names are exported where they are made, and none is a default', (t) => {
  t.deepEqual(over(source, exportProblems), []);
});

test('a default export or a barrel is found', (t) => {
  const bad = [
    'export default function f(): void {}',
    'export { f as default };',
    "export * from './units.ts';",
    "export { lba } from './units.ts';",
    "export type { Lba } from './units.ts';",
  ];
  for (const text of bad) t.is(exportProblems(planted('src/base/a.ts', text)).length, 1, text);
  t.deepEqual(exportProblems(planted('src/base/a.ts', "export { f };\nimport x from 'y';")), []);
});

test('every file of src says at its top what it is', (t) => {
  t.deepEqual(over(src, headerProblems), []);
});

test('a file without a word about itself is found', (t) => {
  t.is(headerProblems(planted('src/base/a.ts', "import { x } from './b.ts';")).length, 1);
  t.is(headerProblems(planted('src/base/a.ts', '/** units */\n')).length, 1);
  t.deepEqual(headerProblems(planted('src/base/a.ts', '/** A queue over an array. */\n')), []);
});

test('nothing is put off in a comment and no check is switched off by one', (t) => {
  t.deepEqual(over(others, unfinished), []);
});

test('a note to finish something later is found', (t) => {
  for (const text of ['// TODO: more', '// @ts-ignore', '// oxlint-disable-next-line no-x']) {
    t.is(unfinished(planted('src/base/a.ts', text)).length, 1, text);
  }
});

test('each test has a title of its own', (t) => {
  t.deepEqual(repeatedTitles(titles), []);
});

test('a title that is used twice is found, in two files too', (t) => {
  const one = titlesOf(planted('test/a.test.ts', "test('x', f);\ntest.serial(`y ${z}`, f);"));
  t.deepEqual(
    one.map(({ title }) => title),
    ['x', 'y ${z}'],
  );
  t.is(repeatedTitles([...one, ...titlesOf(planted('test/b.test.ts', "test('x', f);"))]).length, 1);
  t.true(titleFits('y ${z} (it)', 'y 12 (it)'));
  t.false(titleFits('y ${z}', 'x 12'));
});

test('links of the documents lead to files and headings that exist', (t) => {
  const texts = new Map(documents.map(({ path, text }) => [path, text]));
  const paths = projectPaths();
  t.deepEqual(
    over(documents, (file) => deadLinks(file, texts, paths)),
    [],
  );
});

test('a dead link or anchor is found, and code is not taken for a link', (t) => {
  const texts = new Map([['docs/b.md', '# Two words, `code`\n```\n# no heading\n```\n']]);
  const paths = new Set(['docs/', 'docs/a.md', 'docs/b.md']);
  const find = (text: string): string[] => deadLinks(planted('docs/a.md', text), texts, paths);
  t.is(find('[x](c.md)').length, 1);
  t.is(find('![x](../docs/c.svg)').length, 1);
  t.is(find('[x](b.md#one-word)').length, 1);
  t.is(find('[x](b.md#no-heading)').length, 1);
  t.deepEqual(find('[x](b.md#two-words-code) [y](../docs) [z](https://example.org/)'), []);
  t.deepEqual(find('`[x](c.md)`\n```\n[x](c.md)\n```\n'), []);
  t.true(anchorsOf('## 3. One core, two worlds').has('3-one-core-two-worlds'));
});

test('a test that a document cites exists, under that title', (t) => {
  t.deepEqual(
    over(documents, (file) => deadCitations(file, titles)),
    [],
  );
});

test('a citation of a test that is not there is found', (t) => {
  const known = titlesOf(planted('test/a.test.ts', "test('a flush is a flush', f);"));
  const find = (text: string): string[] => deadCitations(planted('docs/a.md', text), known);
  t.is(find('[a flush is no flush](../test/a.test.ts)').length, 1);
  t.is(find('[a flush is a flush](../test/b.test.ts)').length, 1);
  t.deepEqual(find('[a flush is a flush](../test/a.test.ts) [a.test.ts](../test/a.test.ts)'), []);
  const declared = ["test.serial('a', f);", "longTest('b', f);", "where('fio', 'dd')('c', f);"];
  const titled = titlesOf(planted('test/a.test.ts', declared.join('\n')));
  t.deepEqual(
    titled.map(({ title }) => title),
    ['a', 'b', 'c'],
  );
});

test('commands shown in documents exist, with their flags', (t) => {
  t.deepEqual(
    over(documents, (file) => deadCommands(file, projectCommands())),
    [],
  );
});

test('a command or flag that does not exist is found', (t) => {
  const commands: Commands = {
    scripts: new Set(['start', 'stordom']),
    stordom: new Set(['sim']),
    declarations: "'--seeds A..B'",
  };
  const find = (text: string): string[] => deadCommands(planted('a.md', text), commands);
  const bad = [
    'npm run bild',
    'npx stordom simulate',
    'npm run -s stordom -- simulate',
    'npm run -s stordom -- sim --sed 1',
    'npx stordom sim --sed 1',
  ];
  for (const text of bad) {
    t.is(find(`\`${text}\``).length, 1, text);
    t.is(find(`\`\`\`\n${text}  # why\n\`\`\`\n`).length, 1, text);
  }
  t.deepEqual(find('`npm start` `npm cit` `npm run -s stordom -- sim crash --seeds 1..3`'), []);
  t.is(commandsOf('npm run bild outside of code').length, 0);
});

test('no text names a place on the machine it was written on', (t) => {
  t.deepEqual(over(others, foreignWords), []);
  t.notRegex(readFileSync('package-lock.json', 'utf8'), /"resolved":/);
});

test('a path of somebody else is found', (t) => {
  for (const text of ['see /tmp/run', '`/work/main`', '(/root/x)', 'http://localhost:4873']) {
    t.is(foreignWords(planted('a.md', text)).length, 1, text);
  }
  t.deepEqual(foreignWords(planted('a.md', 'src/work/x and https://example.org/home')), []);
});

test('every dependency is pinned to one exact version, and is written about', (t) => {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  const pins = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
  const text = readFileSync('docs/dependencies.md', 'utf8');
  for (const [name, version] of pins) {
    t.regex(version, /^\d+\.\d+\.\d+$/, name);
    t.true(
      text.includes(`\`${name}\` ${version}`),
      `docs/dependencies.md names ${name} ${version}`,
    );
  }
});
