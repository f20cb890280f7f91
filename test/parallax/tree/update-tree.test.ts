/** Updates: what they write, and what is left when anything fails or the host dies on the way. */
import test from 'ava';
import { StorageError } from '../../../src/base/errors.ts';
import { EMPTY_ROOT, type TreeRoot } from '../../../src/parallax/formats/tree-root.ts';
import { ChangeList } from '../../../src/parallax/tree/change-list.ts';
import { updateTree } from '../../../src/parallax/tree/update-tree.ts';
import { crcOf, TreeBench, type TreeBenchOptions } from '../../helpers/tree-bench.ts';

const DATA = 2 ** 40;

/** A tree of three levels: blocks in 40 leaves below four nodes. */
async function grownTree(
  options: TreeBenchOptions = {},
): Promise<{ bench: TreeBench; root: TreeRoot }> {
  const bench = new TreeBench(options);
  const mapped: [number, number][] = [];
  for (let leaf = 0; leaf < 40; leaf++) {
    const first = (leaf % 4) * 65_536 + Math.floor(leaf / 4) * 256;
    mapped.push([first, DATA + 2 * leaf], [first + 200, DATA + 2 * leaf + 1]);
  }
  mapped.sort((a, b) => a[0] - b[0]);
  const { root } = await bench.map(EMPTY_ROOT, 1, mapped);
  return { bench, root };
}

/** Touches 20 leaves, empties one, takes a whole subtree away and grows the tree by two levels. */
function bigChange(): ChangeList {
  const changes = new ChangeList();
  for (let leaf = 0; leaf < 9; leaf++) changes.map(leaf * 256 + 7, DATA + 1000 + leaf, crcOf(1), 0);
  changes.unmap(9 * 256, 256);
  for (let leaf = 0; leaf < 10; leaf++) {
    changes.map(65_536 + leaf * 256, DATA + 1100 + leaf, crcOf(1), 0);
  }
  changes.unmap(2 * 65_536, 65_536);
  changes.map(2 ** 33, DATA + 1200, crcOf(1), 0);
  return changes;
}

test('every changed node is written once, unchanged ones never, and the whole tree grows', async (t) => {
  const { bench, root } = await grownTree();
  t.is(root.height, 3);
  t.is(bench.pool.blocks.size, 40 + 4 + 1);
  const result = await bench.update(root, 2, bigChange());
  t.is(result.root.height, 5);
  // 19 leaves and the new one, two nodes above them, the old root, and for the new block one node
  // of each of the levels 2, 3 and 4; above the old root one of level 4; the new root.
  t.is(result.nodesWritten, 19 + 2 + 1 + 1 + 4 + 1);
  t.is(bench.pool.blocks.size, 45 + result.nodesWritten);
  t.deepEqual(bench.pool.overwritten, []);
  t.is(result.mappedDelta, 9 + 1 - 2 - 20);
  t.is((await bench.content(root)).size, 80);
  t.is((await bench.content(result.root)).size, 80 + result.mappedDelta);
  t.is(result.root.birth, 2);
});

test('what is replaced is told with the birth it had', async (t) => {
  const { bench, root } = await grownTree();
  bench.superseded.length = 0;
  await bench.map(root, 1, [[0, DATA + 900]]);
  t.is(bench.superseded.length, 4, 'a data block, a leaf, a node and the root');
  t.true(bench.superseded.every(({ birth }) => birth === 1));
  const next = await bench.map(root, 2, [[0, DATA + 901]]);
  bench.superseded.length = 0;
  await bench.map(next.root, 2, [
    [0, DATA + 902],
    [200, DATA + 903],
  ]);
  const births = bench.superseded.map(({ birth }) => birth).sort((a, b) => a - b);
  t.deepEqual(births, [1, 2, 2, 2, 2], 'only block 200 is still shared with the snapshot');
});

test('a tree from which everything is taken is empty, and its blocks were all told', async (t) => {
  const { bench, root } = await grownTree();
  bench.superseded.length = 0;
  const changes = new ChangeList();
  changes.truncate(0);
  const { root: empty, nodesWritten, mappedDelta } = await bench.update(root, 1, changes);
  t.deepEqual(empty, EMPTY_ROOT);
  t.is(nodesWritten, 0);
  t.is(mappedDelta, -80);
  t.is(bench.superseded.length, 80 + 45);
});

test('an image that shrinks keeps what lies below its new end', async (t) => {
  const { bench, root } = await grownTree();
  const changes = new ChangeList();
  changes.truncate(65_536 + 100);
  const { root: shrunk } = await bench.update(root, 1, changes);
  const kept = [...(await bench.content(root)).keys()].filter((index) => index < 65_636);
  t.deepEqual([...(await bench.content(shrunk)).keys()], kept);
});

test('changes that change nothing write nothing and keep the root', async (t) => {
  const { bench, root } = await grownTree();
  const changes = new ChangeList();
  changes.map(0, DATA, crcOf(DATA), 0);
  changes.unmap(1, 199);
  changes.unmap(5 * 65_536, 2 ** 45);
  const result = await bench.update(root, 2, changes);
  t.is(result.root, root);
  t.is(result.nodesWritten, 0);
  t.deepEqual((await bench.update(EMPTY_ROOT, 1, new ChangeList())).root, EMPTY_ROOT);
});

test('other flags or another CRC of the same block keep its birth and supersede no data', async (t) => {
  const { bench, root } = await grownTree();
  bench.superseded.length = 0;
  const changes = new ChangeList();
  changes.map(0, DATA, 99, 3);
  const { root: next, mappedDelta } = await bench.update(root, 2, changes);
  t.deepEqual(await bench.find(next, 0), { status: 0, block: DATA, crc: 99, birth: 1, flags: 3 });
  t.is(mappedDelta, 0);
  t.false(bench.superseded.some(({ block }) => block >= DATA));
});

test('nodes of neighbouring ids are written in one operation', async (t) => {
  const { bench, root } = await grownTree({ writePages: 128, cacheNodes: 256 });
  const before = bench.pool.writes;
  await bench.update(root, 2, bigChange());
  t.is(bench.pool.writes - before, 1, 'all nodes of a small batch are one run');
  t.deepEqual(bench.crashPoints.slice(-2), ['tree.before-node-write', 'tree.after-node-write']);
});

/** Fails or ends an update at its n-th write for every n; `after` judges what is left. */
async function atEachWrite(
  crashes: boolean,
  after: (bench: TreeBench, root: TreeRoot, settled: boolean, thrown: unknown) => Promise<void>,
): Promise<number> {
  for (let writes = 0; ; writes++) {
    const { bench, root } = await grownTree({ writePages: 2, seed: writes + 1 });
    bench.space.supersededBlocks.length = 0;
    bench.space.runMax = 1;
    bench.restart();
    bench.pool.writesLeft = writes;
    bench.pool.crashes = crashes;
    let settled = false;
    let thrown: unknown = null;
    const update = bench.update(root, 2, bigChange()).then(
      () => {
        settled = true;
      },
      (error: unknown) => {
        settled = true;
        thrown = error;
      },
    );
    await Promise.race([update, manyTurns()]);
    if (settled && thrown === null) return writes;
    bench.pool.writesLeft = Number.POSITIVE_INFINITY;
    bench.pool.crashes = false;
    await after(bench, root, settled, thrown);
  }
}

/** Settles after every microtask that can follow now. */
function manyTurns(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() => setImmediate(resolve));
  });
}

test('a crash after any number of node writes leaves the old tree whole', async (t) => {
  const steps = await atEachWrite(true, async (bench, root, settled) => {
    t.false(settled, 'a dead host hears nothing');
    t.deepEqual(bench.pool.overwritten, []);
    bench.restart();
    const content = await bench.content(root);
    t.is(content.size, 80);
    t.is(content.get(0), DATA);
    // The successor does the same batch again, in new blocks.
    const again = await bench.update(root, 2, bigChange());
    t.is((await bench.content(again.root)).size, 80 + again.mappedDelta);
  });
  t.is(steps, 28);
});

test('a write that fails at any step rejects, closes its extent and gives every new block back', async (t) => {
  const steps = await atEachWrite(false, async (bench, root, settled, thrown) => {
    t.true(settled);
    t.true(thrown instanceof StorageError && thrown.code === 'E_POOL_WRITE');
    t.true(bench.space.closed.length > 0);
    const given = bench.space.allocated - 45;
    t.is(new Set(bench.space.supersededBlocks).size, given);
    t.is(bench.space.supersededBlocks.length, given, 'each once');
    t.is((await bench.content(root)).size, 80);
  });
  t.is(steps, 28);
});

test('a node that cannot be read at any step rejects, and the old tree stands', async (t) => {
  const { bench, root } = await grownTree({ cacheNodes: 256 });
  const nodes = [...bench.pool.blocks.keys()];
  let failures = 0;
  for (const node of nodes) {
    for (const kind of ['unreadable', 'damaged'] as const) {
      bench.restart();
      bench.space.supersededBlocks.length = 0;
      const before = bench.space.allocated;
      if (kind === 'unreadable') bench.pool.unreadable.add(node);
      else bench.pool.corrupt(node);
      const code = await bench.update(root, 2, bigChange()).then(
        () => 'none',
        (error: unknown) => (error as StorageError).code,
      );
      if (kind === 'unreadable') bench.pool.unreadable.delete(node);
      else bench.pool.corrupt(node);
      if (code === 'none') continue;
      failures++;
      t.is(code, kind === 'damaged' ? 'E_NODE_DAMAGED' : 'E_NODE_UNREADABLE');
      t.is(bench.space.supersededBlocks.length, bench.space.allocated - before);
    }
  }
  // Of 45 nodes only the ten leaves and the one node of the last subtree are not looked into.
  t.is(failures, 2 * (45 - 11));
  bench.restart();
  t.is((await bench.content(root)).size, 80);
});

test('a pool that is full, or a cancellation, ends the update and leaves nothing behind', async (t) => {
  const { bench, root } = await grownTree({ writePages: 2 });
  bench.space.left = 5;
  const before = bench.space.allocated;
  bench.space.supersededBlocks.length = 0;
  await t.throwsAsync(bench.update(root, 2, bigChange()), { code: 'E_POOL_FULL' });
  t.is(bench.space.supersededBlocks.length, bench.space.allocated - before);
  bench.space.left = Number.POSITIVE_INFINITY;
  const cancel = { cancelled: false };
  const update = updateTree({ ...bench.parts, cancel }, root, 2, bigChange());
  cancel.cancelled = true;
  await t.throwsAsync(update, { code: 'E_CANCELLED' });
  t.is((await bench.content(root)).size, 80);
});

test('an update that fails rejects only when none of its writes is in flight any more', async (t) => {
  const { bench, root } = await grownTree({ writePages: 40 });
  bench.restart();
  bench.pool.unreadable.add([...bench.pool.blocks.keys()][30] as number);
  bench.pool.holdWrites = true;
  bench.space.runMax = 1;
  let settled = false;
  const update = t
    .throwsAsync(bench.update(root, 2, bigChange()), { code: 'E_NODE_UNREADABLE' })
    .then(() => {
      settled = true;
    });
  await manyTurns();
  t.true(bench.pool.writesInFlight > 0);
  t.false(settled, 'the arena is still being written from');
  bench.pool.releaseWrites();
  await update;
  t.is(bench.pool.writesInFlight, 0);
});
