/** Lookups: inline when cached, joined and bounded when not, and failing only where damage is. */
import test from 'ava';
import { EMPTY_ROOT, type TreeRoot } from '../../../src/parallax/formats/tree-root.ts';
import { TreeStatus } from '../../../src/parallax/tree/node-loader.ts';
import { TestLookup, TreeBench, type TreeBenchOptions } from '../../helpers/tree-bench.ts';

const DATA = 2 ** 40;

/** One block in each of `leaves` leaves. */
async function treeOf(
  leaves: number,
  options: TreeBenchOptions = {},
): Promise<{ bench: TreeBench; root: TreeRoot }> {
  const bench = new TreeBench(options);
  const mapped = Array.from({ length: leaves }, (_, i): [number, number] => [i * 256, DATA + i]);
  const { root } = await bench.map(EMPTY_ROOT, 1, mapped);
  bench.restart();
  return { bench, root };
}

/** Starts lookups of the first block of each leaf; one that is done inline has its status set. */
function lookAt(bench: TreeBench, root: TreeRoot, leaves: readonly number[]): TestLookup[] {
  return leaves.map((leaf) => {
    const lookup = new TestLookup(root, leaf * 256);
    if (bench.reader.lookup(lookup)) lookup.status = TreeStatus.ok;
    return lookup;
  });
}

/** Runs the pool until nothing is waited for. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}

test('a lookup whose nodes are cached is done inline, and lookupDone is not called', async (t) => {
  const { bench, root } = await treeOf(3);
  await bench.find(root, 512);
  const reads = bench.pool.reads;
  const lookup = new TestLookup(root, 512);
  t.true(bench.reader.lookup(lookup));
  t.is(lookup.block, DATA + 2);
  await settle();
  t.is(lookup.status, null);
  t.is(bench.pool.reads, reads);
});

test('what is not mapped, and what lies beyond the tree, is found without a read', (t) => {
  const bench = new TreeBench();
  const beyond = new TestLookup({ ...EMPTY_ROOT, block: DATA, height: 2 }, 65_536);
  t.true(bench.reader.lookup(beyond));
  t.is(beyond.block, 0);
  const empty = new TestLookup(EMPTY_ROOT, 2 ** 48 - 1);
  t.true(bench.reader.lookup(empty));
  t.is(empty.block, 0);
  t.throws(() => bench.reader.lookup(new TestLookup(EMPTY_ROOT, 2 ** 48)));
});

test('lookups that need the same node share one read', async (t) => {
  const { bench, root } = await treeOf(4);
  const lookups = lookAt(bench, root, [0, 1, 2, 3, 0, 1, 2, 3]);
  t.true(
    lookups.every(({ status }) => status === null),
    'nothing is done inside lookup',
  );
  await settle();
  t.true(lookups.every(({ status }) => status === TreeStatus.ok));
  t.deepEqual(
    lookups.map(({ block }) => block - DATA),
    [0, 1, 2, 3, 0, 1, 2, 3],
  );
  t.is(bench.pool.reads, 1 + 4);
  t.is(bench.loader.stats().joined, 7 + 4);
});

test('reads in flight are bounded; who comes later stands in line and is served', async (t) => {
  const leaves = Array.from({ length: 40 }, (_, i) => i);
  const { bench, root } = await treeOf(40, { reads: 3 });
  const lookups = lookAt(bench, root, [...leaves, ...leaves]);
  await settle();
  await settle();
  t.true(lookups.every(({ status }, i) => status === 0 && lookups[i]?.block === DATA + (i % 40)));
  t.is(bench.pool.inFlightMax, 3);
  t.is(bench.pool.reads, 41);
});

test('a cache smaller than the tree serves any number of lookups at once', async (t) => {
  const leaves = Array.from({ length: 40 }, (_, i) => i);
  const { bench, root } = await treeOf(40, { reads: 8, cacheNodes: 8 });
  for (let round = 0; round < 5; round++) {
    const lookups = lookAt(bench, root, leaves);
    await settle();
    t.true(lookups.every(({ status, block }, i) => status === 0 && block === DATA + i));
    bench.cache.checkInvariants();
  }
  t.true(bench.cache.stats().evictions > 100);
});

test('a damaged node fails its own range only, is told once a read, and heals when the pool does', async (t) => {
  const { bench, root } = await treeOf(10);
  const level1 = [...bench.pool.blocks.keys()].filter((block) => block !== root.block);
  const victim = level1[3] as number;
  bench.pool.corrupt(victim);
  const lookups = lookAt(bench, root, [0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9]);
  await settle();
  const failed = lookups.filter(({ status }) => status === TreeStatus.damaged);
  t.deepEqual(
    failed.map(({ index }) => index),
    [3 * 256, 3 * 256],
  );
  t.true(lookups.every((one) => failed.includes(one) || one.status === TreeStatus.ok));
  t.is(bench.damage.length, 1);
  t.like(bench.damage[0], { block: victim, level: 1 });
  t.not(bench.damage[0]?.foundCrc, bench.damage[0]?.expectedCrc);
  bench.pool.corrupt(victim);
  t.is((await bench.find(root, 3 * 256)).block, DATA + 3);
});

test('a node the pool cannot read is an I/O error for those who need it, and is asked for again', async (t) => {
  const { bench, root } = await treeOf(4);
  bench.pool.unreadable.add(root.block);
  t.is((await bench.find(root, 0)).status, TreeStatus.ioError);
  bench.pool.unreadable.clear();
  t.is((await bench.find(root, 0)).block, DATA);
  t.deepEqual(bench.damage, []);
});

test('a block that was reclaimed and holds another node is not taken for the old one', async (t) => {
  const { bench, root } = await treeOf(1);
  t.is((await bench.find(root, 0)).block, DATA);
  const { root: other } = await bench.map(EMPTY_ROOT, 5, [[0, DATA + 77]]);
  bench.restart();
  await bench.find(root, 0);
  // The collector gives the block of the old root to a new tree.
  bench.pool.blocks.set(root.block, bench.pool.blocks.get(other.block) as Uint8Array);
  const reused = { ...other, block: root.block };
  t.is((await bench.find(reused, 0)).block, DATA + 77);
  t.is((await bench.find(root, 0)).status, TreeStatus.damaged, 'the old root is gone');
});

test('reading ahead leaves half of the reads to those who wait', async (t) => {
  const { bench, root } = await treeOf(20, { reads: 4 });
  await bench.find(root, 0);
  bench.pool.held = true;
  const nodes = [...bench.pool.blocks].filter(([block]) => block !== root.block).slice(1);
  const asked = nodes.filter(([block, bytes]) => {
    return bench.loader.readAhead(block, bench.world.digest.crc32(bytes, 0, 4096), 1);
  });
  t.is(asked.length, 2);
  const lookups = lookAt(bench, root, [1, 15]);
  bench.pool.completeAll();
  await settle();
  t.true(lookups.every(({ status }) => status === TreeStatus.ok));
});
