import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { ROOT } from './helpers.ts';

const folder = mkdtempSync(join(tmpdir(), 'stordom-prepare-'));
test.after.always(() => rmSync(folder, { recursive: true }));

test('prepare: packages behind a link are never touched, even if they do not fit', (t) => {
  const shared = join(folder, 'shared');
  const checkout = join(folder, 'checkout');
  mkdirSync(shared);
  writeFileSync(join(shared, 'somebody-elses'), '');
  mkdirSync(join(checkout, 'scripts'), { recursive: true });
  for (const name of ['package.json', 'package-lock.json', 'scripts/prepare.mjs']) {
    copyFileSync(join(ROOT, name), join(checkout, name));
  }
  symlinkSync(shared, join(checkout, 'node_modules'));
  const script = join(checkout, 'scripts', 'prepare.mjs');
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  t.is(status, 2, stderr);
  t.regex(stderr, /is a link/);
  t.deepEqual(readdirSync(shared), ['somebody-elses']);
});

for (const program of ['bin/stordom.mjs', 'scripts/prepare.mjs']) {
  test(`prepare: ${program} on a Node that is too old says so first`, (t) => {
    const preload = join(folder, `${program.replace('/', '-')}.cjs`);
    writeFileSync(
      preload,
      "Object.defineProperty(process, 'versions', " +
        "{ value: { ...process.versions, node: '20.18.1' } });",
    );
    const args = ['--require', preload, join(ROOT, program)];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    t.is(status, 2);
    t.is(stdout, '');
    t.regex(stderr, /Node 20\.18\.1 is too old; expected 20\.19 or newer; install/);
  });
}
