/** The commit of the program, from whatever is there. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { commitText } from '../../src/cli/commit.ts';

function folderOf(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'stordom-commit-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

function git(folder: string, ...args: string[]): string {
  const who = ['-c', 'user.name=t', '-c', 'user.email=t@example.org'];
  return execFileSync('git', ['-C', folder, ...who, ...args], { encoding: 'utf8' }).trim();
}

test('commit: a package that was packed says it by itself', (t) => {
  const folder = folderOf(t);
  writeFileSync(join(folder, 'package.json'), '{"gitHead":"abc123"}');
  t.is(commitText(folder), 'abc123');
});

test('commit: a checkout says its head, and whether tracked files differ from it', (t) => {
  const folder = folderOf(t);
  writeFileSync(join(folder, 'package.json'), '{}');
  git(folder, 'init', '--quiet');
  t.is(commitText(folder), 'unknown', 'before the first commit');
  git(folder, 'add', '.');
  git(folder, 'commit', '--quiet', '--message', 'first');
  const head = git(folder, 'rev-parse', 'HEAD');
  t.is(commitText(folder), head);
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  t.is(commitText(folder), `${head} (modified)`);
});

test('commit: neither packed nor a checkout, it is unknown', (t) => {
  const folder = folderOf(t);
  t.is(commitText(folder), 'unknown');
  writeFileSync(join(folder, 'package.json'), 'no JSON');
  t.is(commitText(folder), 'unknown');
});
