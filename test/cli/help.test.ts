import test from 'ava';
import { stordom, workFolder } from './helpers.ts';

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
  test(`help: ${command || 'stordom'} ends with two examples that run as printed`, async (t) => {
    const { code, stdout } = await stordom(folder, [
      ...command.split(' ').filter(Boolean),
      '--help',
    ]);
    t.is(code, 0);
    const [examples = ''] = /Examples:\n(.*\n)+$/.exec(stdout) ?? [];
    const lines = examples.trim().split('\n').slice(1);
    t.is(lines.length, 2, stdout);
    for (const line of lines) {
      const words = line.trim().split(' ');
      t.deepEqual(words.slice(0, 2), ['$', 'stordom']);
      const args = words.slice(2);
      t.true(args.join(' ').startsWith(command), 'an example of this command');
      if (ELSEWHERE.test(args.join(' '))) continue;
      const ended = await stordom(folder, args);
      t.is(ended.code, 0, `${line}: ${ended.stdout}${ended.stderr}`);
    }
  });
}

test('help: every command that there is has been looked at', async (t) => {
  const { stdout } = await stordom(folder, ['--help']);
  const [, listed = ''] = /Commands:\n([\s\S]*?)\n\n/.exec(stdout) ?? [];
  const names = [...listed.matchAll(/^ {2}(\w+)/gm)].map(([, name]) => name);
  t.deepEqual(
    names.filter((name) => name !== 'help' && !COMMANDS.includes(name ?? '')),
    [],
  );
});

test('help: flags for tests alone are not shown', async (t) => {
  for (const command of ['replay', 'sim']) {
    const { stdout } = await stordom(folder, [command, '--help']);
    t.notRegex(stdout, /--plant/);
  }
});
