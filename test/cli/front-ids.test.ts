import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { reserveFrontIds } from '../../src/cli/front-ids.ts';
import { LmdbDirectory } from '../../src/world/real/lmdb-directory.ts';

test('numbers of front ends are given once to a host, also to two that ask at a time', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'stordom-fronts-'));
  const directory = new LmdbDirectory(join(folder, 'directory.lmdb'));
  t.teardown(async () => {
    await directory.close();
    rmSync(folder, { recursive: true });
  });
  t.is(await reserveFrontIds(directory, 's', 'h0', 3), 1);
  t.is(await reserveFrontIds(directory, 's', 'h0', 1), 4);
  t.is(await reserveFrontIds(directory, 's', 'h1', 1), 1, 'each host has its own');
  const firsts = await Promise.all([1, 2, 3].map(() => reserveFrontIds(directory, 's', 'h0', 2)));
  t.deepEqual(new Set(firsts), new Set([5, 7, 9]));
  const key = 'fronts/s/h0';
  const version = (await directory.get(key))?.version ?? 0;
  await directory.txn([{ key, version }], [{ key, value: Buffer.from('{"v":2}') }]);
  await t.throwsAsync(reserveFrontIds(directory, 's', 'h0', 1), { code: 'E_DIRECTORY_DAMAGED' });
});
