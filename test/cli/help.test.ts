import test from 'ava';
import { longTest } from '../helpers/long-tests.ts';
import { examplesOf, inShell, workFolder } from './helpers.ts';

const { folder, remove } = workFolder();
test.after.always(remove);

const COMMANDS = [
  '',
  'demo',
  'replay',
  'sim',
  'trace',
  'trace info',
  'trace convert',
  'vdi',
  'petal',
  'serve',
  'record',
  'ctl',
  'bench',
  'fsck',
];
/** Those that measure, take long or need a store have tests of their own. */
const ELSEWHERE = /^(demo|serve|record|ctl|bench|fsck|petal)/;

for (const command of COMMANDS) {
  test(`help: ${command || 'stordom'} ends with two examples of its own`, async (t) => {
    t.is((await examplesOf(folder, command)).length, 2);
  });

  if (ELSEWHERE.test(command)) continue;
  longTest(`help: the examples of ${command || 'stordom'} run as printed`, async (t) => {
    for (const example of await examplesOf(folder, command)) {
      if (ELSEWHERE.test(example)) continue;
      const { code, stdout, stderr } = await inShell(folder, example.split(' '));
      t.is(code, 0, `${example}: ${stdout}${stderr}`);
    }
  });
}

test('help: every command that there is has been looked at', async (t) => {
  const { stdout } = await inShell(folder, ['--help']);
  const [, listed = ''] = /Commands:\n([\s\S]*?)\n\n/.exec(stdout) ?? [];
  const names = [...listed.matchAll(/^ {2}(\w+)/gm)].map(([, name]) => name);
  t.deepEqual(
    names.filter((name) => name !== 'help' && !COMMANDS.includes(name ?? '')),
    [],
  );
});

test('help: flags for tests alone are not shown', async (t) => {
  for (const command of ['replay', 'sim']) {
    const { stdout } = await inShell(folder, [command, '--help']);
    t.notRegex(stdout, /--plant/);
  }
});
