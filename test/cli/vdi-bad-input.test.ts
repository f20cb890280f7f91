/** What `vdi` commands are given and cannot use: exit code 2, and nothing is changed. */
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { inShell, workFolder } from './helpers.ts';

const { folder, remove } = workFolder();
test.after.always(remove);

interface BadInput {
  readonly what: string;
  readonly args: string;
  /** What the message must say: the place, what was expected, what to do. */
  readonly says: readonly string[];
}

test.before(async (t) => {
  for (const args of [
    'init --store s --size 1g',
    'create disk --store s --size 1m',
    'snapshot disk first --store s',
    'snapshot disk golden --template --store s',
    'init --store cut --size 1g',
    'init --store no-pool --size 1g',
  ]) {
    const { code, stderr } = await inShell(folder, ['vdi', ...args.split(' ')]);
    t.is(code, 0, stderr);
  }
  mkdirSync(join(folder, 'empty'));
  mkdirSync(join(folder, 'full'));
  writeFileSync(join(folder, 'full', 'letter.txt'), 'dear');
  writeFileSync(join(folder, 'a-file'), 'text');
  writeFileSync(join(folder, 'nothing'), '');
  mkdirSync(join(folder, 'text'));
  writeFileSync(join(folder, 'text', 'directory.lmdb'), 'a text, and no table\n'.repeat(500));
  truncateSync(join(folder, 'cut', 'pool', 'blocks'), 4096);
});

const CASES: readonly BadInput[] = [
  { what: 'no command', args: '', says: ['Usage: stordom vdi'] },
  { what: 'a misspelt command', args: 'snapshto', says: ['Did you mean', 'snapshot'] },
  { what: 'no store', args: 'ls', says: ["'--store <dir>' not specified"] },
  {
    what: 'a folder that is not there',
    args: 'ls --store nowhere',
    says: ['--store', 'nowhere', 'ENOENT', 'stordom vdi init'],
  },
  {
    what: 'a folder without a store',
    args: 'ls --store empty',
    says: ['empty holds no store', 'directory.lmdb', 'stordom vdi init'],
  },
  { what: 'a file', args: 'ls --store a-file', says: ['a-file is a file', 'expected the folder'] },
  {
    what: 'a directory that is a text',
    args: 'ls --store text',
    says: ['text/directory.lmdb', 'does not begin as an lmdb file'],
  },
  {
    what: 'a pool that was cut off',
    args: 'ls --store cut',
    says: ['"blocks"', '4096 bytes', 'restore it from a copy'],
  },
  {
    what: 'a store that is there already',
    args: 'init --store s',
    says: ['is there already', 'use it, or name another'],
  },
  {
    what: 'a new store among other files',
    args: 'init --store full',
    says: ['full holds 1 files and no store', 'new or empty'],
  },
  {
    what: 'an image in a folder of other files',
    args: 'create a --size 1m --store full',
    says: ['full holds 1 files and no store'],
  },
  {
    what: 'a store of an odd size',
    args: 'init --store odd --size 100m',
    says: ['--size', 'multiple of 64m'],
  },
  {
    what: 'a store too small',
    args: 'init --store odd --size 64m',
    says: ['at least 128 MiB'],
  },
  { what: 'an image without a size', args: 'create a --store s', says: ['--size <size>'] },
  {
    what: 'a size that is none',
    args: 'create a --size big --store s',
    says: ['--size', '"big"', '128m'],
  },
  {
    what: 'a size of half a block',
    args: 'create a --size 5000 --store s',
    says: ['--size', 'multiple of 4k', '10g'],
  },
  {
    what: 'an image too large',
    args: 'create a --size 17t --store s',
    says: ['4k to 16t'],
  },
  {
    what: 'a name that is taken',
    args: 'create disk --size 1m --store s',
    says: ['there is an image "disk" already'],
  },
  {
    what: 'a name with a slash',
    args: 'create a/b --size 1m --store s',
    says: ['"a/b"', 'letters'],
  },
  {
    what: 'a policy that is none',
    args: 'create a --size 1m --policy W9 --store s',
    says: ['"W9"', 'W0, W1, W2'],
  },
  {
    what: 'a host that is no name of a folder',
    args: 'create a --size 1m --host ../../h0 --store s',
    says: ['../../h0', 'host'],
  },
  {
    what: 'an image that is not there',
    args: 'snapshot dsk s --store s',
    says: ['no image "dsk"', 'disk'],
  },
  {
    what: 'a snapshot name that is taken',
    args: 'snapshot disk first --store s',
    says: ['disk has a snapshot "first" already'],
  },
  {
    what: 'a snapshot name that cannot be typed after an @',
    args: 'snapshot disk a@b --store s',
    says: ['"a@b" cannot be the name of a snapshot'],
  },
  {
    what: 'a snapshot where an image is meant',
    args: 'snapshot disk@first s --store s',
    says: ['names a snapshot', 'write disk'],
  },
  {
    what: 'a clone of an image',
    args: 'clone disk copy --store s',
    says: ['expected a snapshot', 'stordom vdi snapshot disk'],
  },
  {
    what: 'a clone of a snapshot that is not there',
    args: 'clone disk@frist copy --store s',
    says: ['disk has no snapshot "frist"', 'first, golden'],
  },
  {
    what: 'a clone with a name that is taken',
    args: 'clone disk@first disk --store s',
    says: ['there is an image "disk" already'],
  },
  {
    what: 'a template that is removed unasked',
    args: 'rm disk@golden --store s',
    says: ['golden is a template', '--force'],
  },
  {
    what: 'an image with a template that is removed unasked',
    args: 'rm disk --store s',
    says: ['golden is a template', '--force'],
  },
  {
    what: 'a rename to a name that is taken',
    args: 'rename disk@first golden --store s',
    says: ['"golden" already'],
  },
  {
    what: 'a smaller size that may not be meant',
    args: 'resize disk --size 512k --store s',
    says: ['--size', 'disk has 1m', '--shrink'],
  },
  {
    what: 'a loss that there is not',
    args: 'accept-loss disk --store s',
    says: ['disk has lost nothing'],
  },
  {
    what: 'an export over a file',
    args: 'export disk a-file --store s',
    says: ['a-file', 'name that is free'],
  },
  {
    what: 'an export into a folder that is not there',
    args: 'export disk nowhere/out.raw --store s',
    says: ['nowhere/out.raw', 'ENOENT'],
  },
  {
    what: 'an import of nothing',
    args: 'import nothing a --store s',
    says: ['nothing: is empty', 'raw image'],
  },
  { what: 'an import of a folder', args: 'import full a --store s', says: ['not a regular file'] },
  {
    what: 'an import of a file that is not there',
    args: 'import nowhere.raw a --store s',
    says: ['nowhere.raw', 'ENOENT'],
  },
  {
    what: 'an import under a name that is taken',
    args: 'import a-file disk --store s',
    says: ['there is an image "disk" already'],
  },
  {
    what: 'a name that leaves no room for the mark of an import',
    args: `import a-file ${'n'.repeat(60)} --store s`,
    says: ['too long for an import', 'at most 53'],
  },
];

for (const { what, args, says } of CASES) {
  test(`vdi, bad input: ${what}`, async (t) => {
    const { code, stdout, stderr } = await inShell(folder, [
      'vdi',
      ...args.split(' ').filter(Boolean),
    ]);
    t.is(code, 2, stderr);
    t.is(stdout, '');
    for (const text of says) t.true(stderr.includes(text), `${text}\n\n${stderr}`);
    t.notRegex(stderr, /\n\s+at /, 'no stack');
  });
}

test.after('nothing was made', async (t) => {
  const { stdout } = await inShell(folder, ['vdi', 'ls', '--json', '--store', 's']);
  const { images } = JSON.parse(stdout) as { images: { name: string; root: object }[] };
  t.is(images.length, 1);
  t.like(images[0], { name: 'disk', root: { snapshots: 2, sizeBytes: 2 ** 20 } });
  t.false(readdirSync(folder).includes('odd'), 'no store of a size that was refused');
});
