/** Walks and diffs: what they read, in which order, and how they end. */
import test from 'ava';
import { EMPTY_ROOT, type TreeRoot } from '../../../src/parallax/formats/tree-root.ts';
import { TreeStatus } from '../../../src/parallax/tree/node-loader.ts';
import { diffTrees, type NamedNode, walkTree } from '../../../src/parallax/tree/walk.ts';
import { TreeBench, type TreeBenchOptions } from '../../helpers/tree-bench.ts';

const DATA = 2 ** 40;
const LEAVES = 300;

/** One block in each of 300 leaves, below two nodes: a tree of 303 nodes and three levels. */
async function wideTree(
  options: TreeBenchOptions = {},
): Promise<{ bench: TreeBench; root: TreeRoot }> {
  const bench = new TreeBench({ cacheNodes: 64, reads: 8, ...options });
  const mapped = Array.from({ length: LEAVES }, (_, i): [number, number] => [i * 256, DATA + i]);
  const { root } = await bench.map(EMPTY_ROOT, 1, mapped);
  bench.restart();
  bench.pool.readBlocks.length = 0;
  return { bench, root };
}

test('a diff reads only nodes that the two trees do not share', async (t) => {
  const { bench, root } = await wideTree();
  const { root: newer } = await bench.map(root, 2, [
    [5, DATA + 900],
    [299 * 256 + 1, DATA + 901],
  ]);
  bench.restart();
  bench.pool.readBlocks.length = 0;
  const ranges: number[][] = [];
  const stats = await diffTrees(bench.loader, root, newer, (first, blocks) => {
    ranges.push([first, blocks]);
  });
  t.deepEqual(ranges, [
    [5, 1],
    [299 * 256 + 1, 1],
  ]);
  // Two leaves, two nodes above them and a root, of each tree.
  t.is(bench.pool.reads, 10);
  t.is(new Set(bench.pool.readBlocks).size, 10);
  t.deepEqual(stats, { nodes: 10, shared: 298 + 2 });
});

test('a diff of a tree and itself reads nothing', async (t) => {
  const { bench, root } = await wideTree();
  const stats = await diffTrees(bench.loader, root, root, () => t.fail());
  t.deepEqual(stats, { nodes: 0, shared: 1 });
  t.is(bench.pool.reads, 0);
});

test('a walk past what a snapshot has visits what is new, nodes before their blocks', async (t) => {
  const { bench, root } = await wideTree();
  const { root: newer } = await bench.map(root, 2, [[256, DATA + 900]]);
  const seen: string[] = [];
  await walkTree(
    bench.loader,
    newer,
    {
      node: ({ level, first, birth }) => seen.push(`node ${level} at ${first} born ${birth}`),
      data: (index, { block, birth }) => {
        seen.push(`block ${block - DATA} at ${index} born ${birth}`);
      },
    },
    { except: root },
  );
  t.deepEqual(seen, [
    'node 3 at 0 born 2',
    'node 2 at 0 born 2',
    'node 1 at 256 born 2',
    'block 900 at 256 born 2',
  ]);
});

test('a walk over a range reads no leaf outside of it', async (t) => {
  const { bench, root } = await wideTree();
  const seen: number[] = [];
  const from = 10 * 256;
  const data = (index: number): void => {
    seen.push(index);
  };
  await walkTree(bench.loader, root, { data }, { from, to: from + 513 });
  t.deepEqual(seen, [from, from + 256, from + 512]);
  t.is(bench.pool.reads, 2 + 3);
});

test('a walk reads ahead, each node once, even through a cache that is far too small', async (t) => {
  for (const cacheNodes of [64, 40]) {
    const { bench, root } = await wideTree({ cacheNodes });
    bench.pool.inFlightMax = 0;
    let blocks = 0;
    await walkTree(bench.loader, root, {
      data: () => {
        blocks++;
      },
    });
    t.is(blocks, LEAVES);
    t.is(bench.pool.reads, 303);
    t.true(bench.pool.inFlightMax >= 4);
    t.true(bench.loader.stats().readAhead > 290);
  }
});

test('a visitor that gives a promise holds the walk up', async (t) => {
  const { bench, root } = await wideTree();
  let busy = false;
  let blocks = 0;
  await walkTree(bench.loader, root, {
    data: async () => {
      t.false(busy);
      busy = true;
      await Promise.resolve();
      await Promise.resolve();
      busy = false;
      blocks++;
    },
  });
  t.is(blocks, LEAVES);
});

test('an unreadable node ends a walk, or is told with its range and left out', async (t) => {
  const { bench, root } = await wideTree();
  const leaves: NamedNode[] = [];
  const node = (one: NamedNode): void => {
    if (one.level === 1) leaves.push(one);
  };
  await walkTree(bench.loader, root, { node, data: () => undefined });
  bench.restart();
  bench.pool.corrupt(leaves[7]?.block ?? 0);
  bench.pool.unreadable.add(leaves[9]?.block ?? 0);
  const seen = new Set<number>();
  const data = (index: number): void => {
    seen.add(index);
  };
  await t.throwsAsync(walkTree(bench.loader, root, { data }), { code: 'E_NODE_DAMAGED' });
  await t.throwsAsync(
    diffTrees(bench.loader, EMPTY_ROOT, root, () => undefined),
    {
      code: 'E_NODE_DAMAGED',
    },
  );
  seen.clear();
  const told: string[] = [];
  const unreadable = ({ level, first }: NamedNode, status: TreeStatus): void => {
    told.push(`${level} ${first} ${status}`);
  };
  await walkTree(bench.loader, root, { data, unreadable });
  t.deepEqual(told, [`1 ${7 * 256} ${TreeStatus.damaged}`, `1 ${9 * 256} ${TreeStatus.ioError}`]);
  t.is(seen.size, LEAVES - 2);
});

test('a cancelled walk ends at its next node', async (t) => {
  const { bench, root } = await wideTree();
  const cancel = { cancelled: false };
  let blocks = 0;
  const data = (): void => {
    blocks++;
    cancel.cancelled = blocks === 5;
  };
  await t.throwsAsync(walkTree(bench.loader, root, { data }, { cancel }), { code: 'E_CANCELLED' });
  t.is(blocks, 5);
});

test('a story over cached nodes lets others run now and then', async (t) => {
  const { bench, root } = await wideTree({ cacheNodes: 600 });
  await bench.content(root);
  bench.turns = 0;
  await bench.content(root);
  t.is(bench.turns, 2);
});
