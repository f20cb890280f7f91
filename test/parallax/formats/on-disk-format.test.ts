/** docs/on-disk-format.md against the formats and the golden files: nothing is left out of it. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import test from 'ava';

const FORMATS = [
  'src/base/formats',
  'src/parallax/formats',
  'src/petal-backend/store/formats',
] as const;
/** Formats that lie beside what uses them. */
const FORMAT_FILES = [
  'src/petal-backend/directory/records.ts',
  'src/world/voters/voter-disk.ts',
] as const;
const GOLDEN = 'test/fixtures/v1';
const page = readFileSync('docs/on-disk-format.md', 'utf8');

function formatPaths(): string[] {
  const inFolders = FORMATS.flatMap((folder) =>
    readdirSync(folder).map((name) => `${folder}/${name}`),
  );
  return [...inFolders, ...FORMAT_FILES];
}

/** The magics that a source file declares, as the four characters they are on a disk. */
function magicsOf(source: string): string[] {
  return [...source.matchAll(/0x((?:[0-9a-f]{2}_?){4})\b/gi)]
    .map(([, digits]) => Number.parseInt((digits as string).replaceAll('_', ''), 16))
    .map((word) => String.fromCharCode(...[0, 8, 16, 24].map((shift) => (word >>> shift) & 0xff)))
    .filter((text) => /^[A-Z]{4}$/.test(text));
}

function inOrder(names: readonly (string | undefined)[]): string[] {
  return names.map(String).sort((one, other) => one.localeCompare(other));
}

/** What of `names` the page does not have in code or as a link. */
function missing(names: readonly string[], text: string): string[] {
  return names.filter((name) => !text.includes(`\`${name}\``));
}

test('docs/on-disk-format.md names every file of a stored format and every golden file', (t) => {
  const formats = formatPaths().map((path) => basename(path));
  t.true(formats.length > 10);
  t.deepEqual(missing(formats, page), []);
  const golden = readdirSync(GOLDEN, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
  t.true(golden.length > 10);
  t.deepEqual(missing(golden, page), []);
  const named = [...page.matchAll(/`([a-z-]+\.(?:bin|hex))`/g)].map(([, name]) => name as string);
  t.deepEqual(
    named.filter((name) => !golden.includes(name)),
    [],
    'golden files that the page names and nobody has',
  );
});

test('docs/on-disk-format.md has every magic that the formats declare, and no other', (t) => {
  const declared = formatPaths().flatMap((path) => magicsOf(readFileSync(path, 'utf8')));
  t.true(declared.length >= 14);
  t.deepEqual(missing(declared, page), []);
  const rows = [...page.matchAll(/^\| \[[^|]*\| `([A-Z]{4})` \|/gm)].map(([, magic]) => magic);
  t.deepEqual(inOrder(rows), inOrder(declared));
});

test('a format, a golden file or a magic that the page leaves out would be found', (t) => {
  t.deepEqual(missing(['pool-label.ts', 'new.ts'], '[`pool-label.ts`](x)'), ['new.ts']);
  t.deepEqual(magicsOf('const MAGIC = 0x4650_4453; const MASK = 0xffff_ffff;'), ['SDPF']);
});
