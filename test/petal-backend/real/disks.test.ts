/** Servers with several data disks, as processes. */
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { becomesClean, PetalRig } from '../../../bench/petal-rig.ts';
import { openPetalClient } from '../../../src/cli/petal-client.ts';
import { EXTENT_BLOCKS, PoolStatus } from '../../../src/world/block-pool.ts';
import { History } from '../petal-workload.ts';

const CHUNK_BLOCKS = 16;
const CHUNKS = 40;
const CLEAN_MS = 30_000;
const SECTOR = 512;

/** Bytes of a sparse file that are there. */
function bytesIn(path: string): number {
  return statSync(path).blocks * SECTOR;
}

test('two disks a server: chunks are on both, and a server that lost one gets everything back', async (t) => {
  const diskBytes = 128 * 2 ** 20;
  const rig = await PetalRig.open({ servers: 2, copies: 2, disks: 2, diskBytes });
  t.teardown(() => rig.close());
  const client = await openPetalClient(rig.folder, 'h0', () => {});
  t.teardown(() => client.close());
  const history = new History(client.world);
  const chunks = Array.from({ length: CHUNKS }, (_, at) => EXTENT_BLOCKS + at * CHUNK_BLOCKS);
  for (const at of chunks) {
    t.is(await history.write(client.pool, at, CHUNK_BLOCKS), PoolStatus.ok);
  }
  // Served in order it brings all into its place before it ends.
  await rig.end(2, 'SIGTERM');
  for (const disk of ['data-0', 'data-1']) {
    const path = join(rig.path, 's2', disk);
    t.true(bytesIn(path) > (CHUNKS / 4) * CHUNK_BLOCKS * 4096, `${disk}: ${bytesIn(path)} bytes`);
  }
  rmSync(join(rig.path, 's2', 'data-1'));
  rig.start(2);
  await becomesClean(rig, CLEAN_MS);
  t.regex(rig.notes.join('\n'), /data-1 is new/);
  await rig.end(1, 'SIGKILL');
  for (const at of chunks) {
    t.is(await history.read(client.pool, at, CHUNK_BLOCKS), PoolStatus.ok);
  }
  t.is(history.conflict(), null);
});
