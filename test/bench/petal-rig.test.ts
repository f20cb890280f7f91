/** A pool of real processes that does not come up leaves nothing behind. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { PetalRig } from '../../bench/petal-rig.ts';

test('a pool that is not in sync in time says so, and its processes and its folder are gone', async (t) => {
  const own = mkdtempSync(join(tmpdir(), 'stordom-rig-'));
  t.teardown(() => rmSync(own, { recursive: true, force: true }));
  process.env['TMPDIR'] = own;
  const opening = PetalRig.open({ servers: 2, copies: 2, diskBytes: 2 ** 29, startMs: 1 });
  await t.throwsAsync(opening, { message: /not in sync in 1 ms/ });
  t.deepEqual(readdirSync(own), []);
});
