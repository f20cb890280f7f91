/** Who may change a store: one living process at a time. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { StoreOwner } from '../../src/cli/store-owner.ts';
import { LmdbDirectory } from '../../src/world/real/lmdb-directory.ts';
import { identityOf, isRunning } from '../../src/world/real/process-identity.ts';

const CLAIM = { command: 'stordom test', serves: true, patienceMs: 0 };
const KEY = 'owner/main';

function directoryOf(t: ExecutionContext): LmdbDirectory {
  const folder = mkdtempSync(join(tmpdir(), 'stordom-owner-'));
  const directory = new LmdbDirectory(join(folder, 'directory.lmdb'));
  t.teardown(async () => {
    await directory.close();
    rmSync(folder, { recursive: true });
  });
  return directory;
}

/** An entry as a process with that identity would have left it. */
async function leave(directory: LmdbDirectory, fields: object): Promise<void> {
  const value = Buffer.from(JSON.stringify({ v: 1, command: 'x', serves: true, ...fields }));
  await directory.txn([], [{ key: KEY, value }]);
}

/** A process that has ended, and one that runs. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await new Promise((resolve) => child.once('close', resolve));
  return child.pid ?? 0;
}

test('a process is known by its number and its start', async (t) => {
  const self = identityOf(process.pid);
  t.not(self, null);
  if (self === null) return;
  t.true(isRunning(self));
  t.false(isRunning({ ...self, started: 'at another time' }));
  t.is(identityOf(await deadPid()), null);
});

test('a store that was claimed is refused with the owner, until it is given back', async (t) => {
  const directory = directoryOf(t);
  t.is(await StoreOwner.find(directory, 'main'), null);
  const owner = await StoreOwner.claim(directory, 'main', CLAIM);
  t.like(await StoreOwner.find(directory, 'main'), { pid: process.pid, command: 'stordom test' });
  await t.throwsAsync(StoreOwner.claim(directory, 'main', CLAIM), {
    code: 'E_STORE_IN_USE',
    message: new RegExp(`process ${process.pid} \\(stordom test\\)`),
  });
  await owner.release();
  t.is(await StoreOwner.find(directory, 'main'), null);
  await (await StoreOwner.claim(directory, 'main', CLAIM)).release();
});

test('a short command is waited for, one that serves is not', async (t) => {
  const directory = directoryOf(t);
  const patient = { ...CLAIM, patienceMs: 60_000 };
  const serving = await StoreOwner.claim(directory, 'main', CLAIM);
  await t.throwsAsync(StoreOwner.claim(directory, 'main', patient), { code: 'E_STORE_IN_USE' });
  await serving.release();
  const short = await StoreOwner.claim(directory, 'main', { ...CLAIM, serves: false });
  const next = StoreOwner.claim(directory, 'main', patient);
  await short.release();
  await (await next).release();
});

test('the claim of a dead process is taken over, also when its number is used again', async (t) => {
  const directory = directoryOf(t);
  await leave(directory, { pid: await deadPid(), started: 'once' });
  await (await StoreOwner.claim(directory, 'main', CLAIM)).release();
  await leave(directory, { pid: process.pid, started: 'by another process of this number' });
  t.is(await StoreOwner.find(directory, 'main'), null);
  await (await StoreOwner.claim(directory, 'main', CLAIM)).release();
});

test('of many who find the same dead owner one wins', async (t) => {
  const directory = directoryOf(t);
  await leave(directory, { pid: await deadPid(), started: 'once' });
  const claims = Array.from({ length: 20 }, () => StoreOwner.claim(directory, 'main', CLAIM));
  const settled = await Promise.allSettled(claims);
  t.is(settled.filter(({ status }) => status === 'fulfilled').length, 1);
});

test('who gives back too late takes nothing from its successor', async (t) => {
  const directory = directoryOf(t);
  const first = await StoreOwner.claim(directory, 'main', CLAIM);
  await leave(directory, { pid: await deadPid(), started: 'once' });
  await StoreOwner.claim(directory, 'main', CLAIM);
  await first.release();
  t.like(await StoreOwner.find(directory, 'main'), { pid: process.pid });
});

test('a claim of a later format, or one that is none, is named', async (t) => {
  const directory = directoryOf(t);
  await leave(directory, { v: 2 });
  await t.throwsAsync(StoreOwner.find(directory, 'main'), { code: 'E_STORE_VERSION' });
  await leave(directory, { pid: 'one' });
  await t.throwsAsync(StoreOwner.find(directory, 'main'), { code: 'E_DIRECTORY_DAMAGED' });
});
