/** The log of an image's snapshots: appended, changed, read, and what damage costs. */
import test from 'ava';
import type { SnapshotRecord } from '../../../src/parallax/formats/snapshot-record.ts';
import { EMPTY_ROOT } from '../../../src/parallax/formats/tree-root.ts';
import {
  appendSnapshots,
  changeSnapshot,
  readSnapshots,
  type SnapshotLog,
} from '../../../src/parallax/tree/snapshot-log.ts';
import { TreeBench } from '../../helpers/tree-bench.ts';

const EMPTY_LOG: SnapshotLog = { root: EMPTY_ROOT, count: 0 };

function record(id: number): SnapshotRecord {
  return {
    id,
    name: `snapshot ${id}`,
    vdiSeq: id * 1000,
    generation: 1,
    birth: id,
    root: { block: 2 ** 40 + id, crc: id, birth: id, flags: 0, height: 3 },
    sizeBlocks: 1000,
    mappedBlocks: 10,
    createdMs: 1_900_000_000_000 + id,
    deleted: false,
    template: false,
    local: id % 2 === 0,
  };
}

function records(from: number, to: number): SnapshotRecord[] {
  return Array.from({ length: to - from + 1 }, (_, i) => record(from + i));
}

test('snapshots that were appended, one or many at a time, are read in order', async (t) => {
  const bench = new TreeBench({ cacheNodes: 16 });
  let log = EMPTY_LOG;
  for (const to of [1, 2, 31, 32, 95, 10_000]) {
    ({ log } = await appendSnapshots(bench.parts, log, records(log.count + 1, to)));
    bench.restart();
    const { records: found, damage } = await readSnapshots(bench.loader, log);
    t.deepEqual(found, records(1, to));
    t.deepEqual(damage, []);
  }
  t.is(log.root.height, 2);
  t.deepEqual(bench.pool.overwritten, []);
});

test('a change is a new block and a new root; the old root still reads as before', async (t) => {
  const bench = new TreeBench();
  const { log } = await appendSnapshots(bench.parts, EMPTY_LOG, records(1, 40));
  bench.superseded.length = 0;
  const change = (old: SnapshotRecord): SnapshotRecord => ({ ...old, deleted: true, name: 'é' });
  const { log: changed, update } = await changeSnapshot(bench.parts, log, 33, change);
  t.is(update.nodesWritten, 1);
  t.deepEqual(
    bench.superseded.map(({ birth }) => birth),
    [1, 1],
    'a block and a leaf, private for ever',
  );
  bench.restart();
  const { records: now } = await readSnapshots(bench.loader, changed);
  t.deepEqual(now[32], { ...record(33), deleted: true, name: 'é' });
  t.is(now.length, 40);
  t.deepEqual((await readSnapshots(bench.loader, log)).records, records(1, 40));
});

test('an append that fails leaves the log as it was and gives its blocks back', async (t) => {
  for (let writes = 0; writes < 3; writes++) {
    const bench = new TreeBench();
    const { log } = await appendSnapshots(bench.parts, EMPTY_LOG, records(1, 40));
    const before = bench.space.allocated;
    bench.space.supersededBlocks.length = 0;
    bench.pool.writesLeft = writes;
    await t.throwsAsync(appendSnapshots(bench.parts, log, records(41, 70)), {
      code: 'E_POOL_WRITE',
    });
    t.true(bench.space.closed.length > 0);
    t.is(new Set(bench.space.supersededBlocks).size, bench.space.allocated - before);
    t.is(bench.space.supersededBlocks.length, bench.space.allocated - before);
    bench.restart();
    t.deepEqual((await readSnapshots(bench.loader, log)).records, records(1, 40));
  }
});

test('a damaged block of the log is named with its snapshots, the others are read', async (t) => {
  const bench = new TreeBench();
  const { log } = await appendSnapshots(bench.parts, EMPTY_LOG, records(1, 70));
  const second = [...bench.pool.blocks.keys()][1] as number;
  bench.pool.corrupt(second, 500);
  const { records: found, damage } = await readSnapshots(bench.loader, log);
  t.deepEqual(found, [...records(1, 31), ...records(63, 70)]);
  t.is(damage.length, 1);
  t.like(damage[0], { firstId: 32, lastId: 62 });
  const same = (old: SnapshotRecord): SnapshotRecord => old;
  await t.throwsAsync(changeSnapshot(bench.parts, log, 40, same), { code: 'E_SNAPSHOTS_DAMAGED' });
  bench.restart();
  bench.pool.unreadable.add(log.root.block);
  const none = await readSnapshots(bench.loader, log);
  t.deepEqual(none.records, []);
  t.like(none.damage[0], { firstId: 1, lastId: 70 });
});

test('a snapshot that is not there is refused, as is a name that is too long', async (t) => {
  const bench = new TreeBench();
  const { log } = await appendSnapshots(bench.parts, EMPTY_LOG, records(1, 3));
  const same = (old: SnapshotRecord): SnapshotRecord => old;
  for (const id of [0, 4]) {
    await t.throwsAsync(changeSnapshot(bench.parts, log, id, same), { code: 'E_NO_SNAPSHOT' });
  }
  const before = bench.space.allocated;
  const long = { ...record(4), name: 'x'.repeat(64) };
  await t.throwsAsync(appendSnapshots(bench.parts, log, [long]), { code: 'E_SNAPSHOT_NAME' });
  t.is(bench.space.allocated, before);
});
