/** The examples of every `vdi` command, run as printed on one store, in an order that works. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { longTest } from '../helpers/long-tests.ts';
import { examplesOf, inShell, workFolder } from './helpers.ts';
import { corruptLog, rawImage, writeAndDie } from './store-bench.ts';

const { folder, remove } = workFolder();
test.after.always(remove);

/** In the order in which their examples run. */
const COMMANDS = [
  'init',
  'create',
  'import',
  'ls',
  'snapshot',
  'snapshots',
  'clone',
  'diff',
  'export',
  'resize',
  'policy',
  'rename',
  'accept-loss',
  'move',
  'takeover',
  'orphan',
  'orphan ls',
  'orphan keep',
  'orphan drop',
  'rm',
];

async function prepare(t: ExecutionContext): Promise<void> {
  writeFileSync(join(folder, 'disk.img'), rawImage(1, 256));
  const run = async (line: string): Promise<void> => {
    const { code, stderr } = await inShell(folder, ['vdi', ...line.split(' ')]);
    t.is(code, 0, `${line}: ${stderr}`);
  };
  await run('import disk.img disk --store my-store');
  await run('snapshot disk first --store my-store');
  await run('snapshot disk second --store my-store');
  await run('create old-disk --size 1g --store my-store');
  await run('create broken --size 1m --host h1 --store my-store');
  await run('create left --size 1m --host h2 --store my-store');
  await run('create right --size 1m --host h2 --store my-store');
  const store = join(folder, 'my-store');
  await writeAndDie(store, 'h1', 7, ['broken']);
  await writeAndDie(store, 'h2', 7, ['left', 'right', 'left']);
  corruptLog(store, 'h1', 1);
  corruptLog(store, 'h2', 1);
  for (const name of ['stray', 'lost', 'gone', 'gone-too']) {
    await run(`create ${name} --size 1m --host of-${name} --store my-store`);
    await writeAndDie(store, `of-${name}`, 7, [name]);
    if (name !== 'stray') await run(`takeover ${name} --to h6 --force --store my-store`);
  }
  await run('create beside --size 1m --host of-lost --store my-store');
  await run('snapshot beside first --store my-store');
}

for (const command of COMMANDS) {
  test(`help: vdi ${command} ends with two examples of its own`, async (t) => {
    t.is((await examplesOf(folder, `vdi ${command}`)).length, 2);
  });
}

longTest('help: the examples of the vdi commands run as printed, in this order', async (t) => {
  await prepare(t);
  for (const command of COMMANDS) {
    for (const example of await examplesOf(folder, `vdi ${command}`)) {
      const { code, stdout, stderr } = await inShell(folder, example.split(' '));
      t.is(code, 0, `${example}: ${stdout}${stderr}`);
    }
  }
});

test('help: every vdi command has its examples run', async (t) => {
  const { stdout } = await inShell(folder, ['vdi', '--help']);
  const [, listed = ''] = /Commands:\n([\s\S]*?)\n\n/.exec(stdout) ?? [];
  const names = [...listed.matchAll(/^ {2}([\w-]+)/gm)].map(([, name]) => name ?? '');
  const own = COMMANDS.filter((command) => !command.includes(' '));
  t.deepEqual(names.filter((name) => name !== 'help').sort(), own.sort());
});
