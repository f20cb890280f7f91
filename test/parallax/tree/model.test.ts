/**
 * Trees against a Map: random batches of writes and discards, snapshots in between, over images of
 * every height, with a cache far smaller than the tree and completions in any order.
 */
import test from 'ava';
import fc from 'fast-check';
import { EMPTY_ROOT, type TreeRoot } from '../../../src/parallax/formats/tree-root.ts';
import { ChangeList } from '../../../src/parallax/tree/change-list.ts';
import { diffTrees, walkTree } from '../../../src/parallax/tree/walk.ts';
import { check } from '../../helpers/property.ts';
import { crcOf, TreeBench } from '../../helpers/tree-bench.ts';

interface Mapping {
  readonly block: number;
  readonly birth: number;
}
type Model = Map<number, Mapping>;

/** Bases of clusters, so that batches share leaves and nodes at every level up to 48 bits. */
const BASES: readonly number[] = [
  0,
  255,
  65_536 - 3,
  2 ** 24 - 5,
  2 ** 31 - 2,
  2 ** 32 - 4,
  2 ** 32 + 70_000,
  5 * 2 ** 40 + 123,
  2 ** 48 - 600,
];

const change = fc.record({
  base: fc.constantFrom(...BASES),
  offset: fc.integer({ min: 0, max: 599 }),
  blocks: fc.constantFrom(1, 1, 1, 2, 40, 256, 300, 70_000, 2 ** 33),
  unmap: fc.boolean(),
});
const batch = fc.record({
  changes: fc.array(change, { maxLength: 30 }),
  bases: fc.integer({ min: 1, max: BASES.length }),
  snapshot: fc.boolean(),
});
const story = fc.record({
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  batches: fc.array(batch, { minLength: 1, maxLength: 6 }),
  cacheNodes: fc.constantFrom(8, 9, 20, 200),
  reads: fc.constantFrom(1, 3, 8),
  writePages: fc.constantFrom(2, 3, 16),
  runMax: fc.constantFrom(1, 3, 1000),
});
type Batch = typeof batch extends fc.Arbitrary<infer T> ? T : never;

/** Sorted, disjoint changes out of a batch; the model is changed with them. */
function changesOf(one: Batch, model: Model, birth: number, nextBlock: () => number): ChangeList {
  const list = new ChangeList(4);
  const sorted = one.changes
    .map((item) => ({
      ...item,
      index: (BASES[BASES.indexOf(item.base) % one.bases] as number) + item.offset,
    }))
    .sort((a, b) => a.index - b.index);
  let end = 0;
  for (const item of sorted) {
    if (item.index < end) continue;
    if (item.unmap) {
      const blocks = Math.min(item.blocks, 2 ** 48 - item.index);
      list.unmap(item.index, blocks);
      end = item.index + blocks;
      for (const index of model.keys()) if (index >= item.index && index < end) model.delete(index);
    } else {
      const block = nextBlock();
      list.map(item.index, block, crcOf(block), 7);
      model.set(item.index, { block, birth });
      end = item.index + 1;
    }
  }
  return list;
}

function sortedEntries(model: Model): [number, number][] {
  return [...model]
    .map(([index, { block }]): [number, number] => [index, block])
    .sort((a, b) => a[0] - b[0]);
}

/** Changed ranges of two models, as `diffTrees` tells them. */
function modelDiff(older: Model, newer: Model): [number, number, boolean][] {
  const indices = [...new Set([...older.keys(), ...newer.keys()])].sort((a, b) => a - b);
  const ranges: [number, number, boolean][] = [];
  for (const index of indices) {
    const now = newer.get(index)?.block ?? 0;
    if ((older.get(index)?.block ?? 0) === now) continue;
    const last = ranges[ranges.length - 1];
    if (last !== undefined && last[0] + last[1] === index && last[2] === now > 0) last[1]++;
    else ranges.push([index, 1, now > 0]);
  }
  return ranges;
}

test('a tree is a map: every root, old or new, gives what was in it, and diffs are those of the maps', async (t) => {
  await fc.assert(
    fc.asyncProperty(story, async ({ seed, batches, runMax, ...sizes }) => {
      const bench = new TreeBench({ seed, ...sizes });
      bench.space.runMax = runMax;
      let block = 2 ** 40;
      let root: TreeRoot = EMPTY_ROOT;
      let birth = 1;
      let mapped = 0;
      const model: Model = new Map();
      const old: { root: TreeRoot; model: Model }[] = [{ root, model: new Map() }];
      for (const one of batches) {
        const before = new Map(model);
        const told = bench.superseded.length;
        const changes = changesOf(one, model, birth, () => block++);
        const result = await bench.update(root, birth, changes);
        root = result.root;
        mapped += result.mappedDelta;
        check(mapped === model.size, 'mapped blocks are counted');
        checkData(before, model, bench, told);
        old.push({ root, model: new Map(model) });
        if (one.snapshot) birth++;
        bench.cache.checkInvariants();
      }
      check(bench.pool.overwritten.length === 0, 'nothing is overwritten');
      bench.restart();
      for (const { root: root_, model: model_ } of old) await checkRoot(bench, root_, model_);
      await checkDiffs(bench, old);
      await checkNothingLeaks(bench, root);
    }),
    { numRuns: 150 },
  );
  t.pass();
});

/** Of the data blocks that an update replaced, each is told once, with its birth. */
function checkData(before: Model, after: Model, bench: TreeBench, told: number): void {
  const expected = [...before]
    .filter(([index, { block }]) => after.get(index)?.block !== block)
    .map(([, { block, birth }]) => `${block} ${birth}`);
  const found = bench.superseded
    .slice(told)
    .filter(({ block }) => block >= 2 ** 40)
    .map(({ block, birth }) => `${block} ${birth}`);
  check(expected.sort().join() === found.sort().join(), 'replaced blocks are told');
}

async function checkRoot(bench: TreeBench, root: TreeRoot, model: Model): Promise<void> {
  const walked = [...(await bench.content(root))];
  check(JSON.stringify(walked) === JSON.stringify(sortedEntries(model)), 'a walk sees the map');
  const probes = new Set<number>();
  for (const base of BASES) for (const near of [-1, 0, 1]) probes.add(Math.max(0, base + near));
  for (const index of model.keys()) {
    probes.add(index);
    probes.add(Math.max(0, index - 256));
  }
  const found = await Promise.all([...probes].map((index) => bench.find(root, index)));
  [...probes].forEach((index, i) => {
    const expected = model.get(index);
    check(found[i]?.status === 0, 'a lookup works');
    check(found[i]?.block === (expected?.block ?? 0), `block ${index} is where the map says`);
    check(found[i]?.birth === (expected?.birth ?? 0), `block ${index} has its birth`);
    check(found[i]?.crc === (expected === undefined ? 0 : crcOf(expected.block)), 'and its CRC');
    check(found[i]?.flags === (expected === undefined ? 0 : 7), 'and its flags');
  });
}

async function checkDiffs(
  bench: TreeBench,
  old: readonly { root: TreeRoot; model: Model }[],
): Promise<void> {
  for (const older of old) {
    for (const newer of old) {
      const ranges: [number, number, boolean][] = [];
      await diffTrees(bench.loader, older.root, newer.root, (first, blocks, mapped) => {
        ranges.push([first, blocks, mapped]);
      });
      const expected = modelDiff(older.model, newer.model);
      check(JSON.stringify(ranges) === JSON.stringify(expected), 'a diff is that of the maps');
    }
  }
}

/** Every node that was allocated is either in a tree or was told to be superseded. */
async function checkNothingLeaks(bench: TreeBench, root: TreeRoot): Promise<void> {
  const nodes = new Set<number>();
  await walkTree(bench.loader, root, {
    node: ({ block }) => {
      nodes.add(block);
    },
    data: () => undefined,
  });
  for (const { block } of bench.superseded) {
    if (block < 2 ** 40) check(!nodes.has(block), 'what is superseded is not in the tree');
  }
  const gone = bench.superseded.filter(({ block }) => block < 2 ** 40).length;
  const unused = bench.space.supersededBlocks.length;
  check(nodes.size + gone + unused === bench.space.allocated, 'every node is accounted for');
}
