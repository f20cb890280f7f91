/** The index of blocks and the cache of nodes. */
import test from 'ava';
import { BufferMemory } from '../../../src/base/shared-memory.ts';
import { BlockIndex } from '../../../src/parallax/tree/block-index.ts';
import { NodeCache } from '../../../src/parallax/tree/node-cache.ts';
import { check, forSeeds } from '../../helpers/property.ts';

const PAGE = 4096;

function cacheOf(frames: number, innerShareMax?: number): NodeCache {
  const memory = BufferMemory.ofBytes((frames + 1) * PAGE);
  const arena = { address: PAGE, bytes: frames * PAGE };
  return new NodeCache(
    innerShareMax === undefined ? { memory, arena } : { memory, arena, innerShareMax },
  );
}

test('an index of blocks is a map, whatever is set and deleted, up to 48 bits', (t) => {
  forSeeds(40, (random) => {
    const capacity = random.between(1, 60);
    const index = new BlockIndex(capacity);
    const model = new Map<number, number>();
    // Few ids, of which many fall on the same slots: blocks that differ in high words only.
    const id = (): number => random.below(40) * 2 ** 32 * random.below(3) + random.below(30);
    for (let step = 0; step < 2000; step++) {
      const block = id();
      if (random.chance(0.5) && (model.size < capacity || model.has(block))) {
        const value = random.below(1000);
        index.set(block, value);
        model.set(block, value);
      } else if (random.chance(0.5)) {
        check(index.delete(block) === (model.get(block) ?? -1), 'delete gives what was there');
        model.delete(block);
      }
      check(index.get(block) === (model.get(block) ?? -1), 'get gives what was set');
      check(index.count === model.size, 'keys are counted');
    }
    for (const [block, value] of model) check(index.get(block) === value, 'all are there');
  });
  t.pass();
});

test('leaves never push inner nodes out, and inner nodes keep to their share', (t) => {
  const cache = cacheOf(16, 0.25);
  for (let inner = 1; inner <= 4; inner++) cache.put(inner, inner, 2, 0);
  for (let leaf = 100; leaf < 200; leaf++) cache.put(leaf, leaf, 1, 0);
  for (let inner = 1; inner <= 4; inner++) t.true(cache.peek(inner, inner) >= 0);
  t.like(cache.stats(), { nodes: 16, innerNodes: 4, evictions: 100 - 12 });
  for (let inner = 5; inner <= 30; inner++) cache.put(inner, inner, 3, 0);
  t.is(cache.stats().innerNodes, 4);
  const leaves = Array.from({ length: 12 }, (_, i) => cache.peek(188 + i, 188 + i));
  t.true(
    leaves.every((frame) => frame >= 0),
    'inner nodes take turns among themselves',
  );
  cache.checkInvariants();
});

test('without inner nodes a cache is all leaves, and inner nodes take their share when they come', (t) => {
  const cache = cacheOf(8, 0.5);
  for (let leaf = 100; leaf < 108; leaf++) cache.put(leaf, 0, 1, 0);
  t.is(cache.stats().nodes, 8);
  for (let inner = 1; inner <= 6; inner++) cache.put(inner, 0, 2, 0);
  t.like(cache.stats(), { nodes: 8, innerNodes: 4 });
  cache.checkInvariants();
});

test('a node that is used outlives one that is not, and one that was replaced goes first', (t) => {
  const cache = cacheOf(8);
  for (let leaf = 1; leaf <= 8; leaf++) cache.put(leaf, 0, 1, 0);
  cache.put(9, 0, 1, 0);
  for (const used of [3, 4, 6, 7, 8, 9]) cache.peek(used, 0);
  cache.fade(7);
  cache.put(10, 0, 1, 0);
  cache.put(11, 0, 1, 0);
  cache.put(12, 0, 1, 0);
  for (const kept of [3, 4, 6, 8, 9, 10, 11, 12]) t.true(cache.peek(kept, 0) >= 0, `${kept}`);
});

test('a node is found by its block and its CRC together, and hits and misses are counted', (t) => {
  const cache = cacheOf(8);
  cache.put(2 ** 40 + 5, 77, 1, 0);
  t.true(cache.find(2 ** 40 + 5, 77) >= 0);
  t.is(cache.find(2 ** 40 + 5, 78), -1);
  t.is(cache.find(5, 77), -1);
  cache.put(2 ** 40 + 5, 78, 2, 0);
  t.is(cache.find(2 ** 40 + 5, 77), -1, 'a reused block replaces the frame');
  t.true(cache.find(2 ** 40 + 5, 78) >= 0);
  t.like(cache.stats(), { hits: 2, misses: 3, nodes: 1, innerNodes: 1 });
  cache.checkInvariants();
});

test('the bytes of a node are copied in', (t) => {
  const memory = BufferMemory.ofBytes(9 * PAGE);
  const cache = new NodeCache({ memory, arena: { address: 0, bytes: 8 * PAGE } });
  memory.u32[8 * 1024 + 3] = 1234;
  cache.put(5, 1, 1, 8 * PAGE);
  memory.u32[8 * 1024 + 3] = 0;
  t.is(memory.u32[cache.wordOf(cache.find(5, 1)) + 3], 1234);
});
