import test from 'ava';
import { InvariantError } from '../../../src/base/invariant.ts';
import { BufferMemory } from '../../../src/base/shared-memory.ts';
import { EVICTION_KINDS } from '../../../src/parallax/cache/eviction.ts';
import { MemoryCache } from '../../../src/parallax/cache/memory-cache.ts';
import { check, forSeeds } from '../../helpers/property.ts';

const BLOCK = 4096;
const ARENA = 2 * BLOCK;

function made(
  frames: number,
  kind: (typeof EVICTION_KINDS)[number] = 's3-fifo',
): { memory: BufferMemory; cache: MemoryCache } {
  const memory = BufferMemory.ofBytes(ARENA + frames * BLOCK);
  const arena = { address: ARENA, bytes: frames * BLOCK };
  return { memory, cache: new MemoryCache(memory, arena, 5, kind) };
}

test('a memory cache holds the newest content of each block, or nothing', (t) => {
  let hits = 0;
  forSeeds(60, (random, seed) => {
    const frames = random.between(1, 12);
    const { memory, cache } = made(frames, EVICTION_KINDS[seed % 3]);
    /** Newest content of each block, one byte a sector; whether it is cached is the cache's. */
    const truth = new Map<string, number[]>();
    for (let step = 0; step < 500; step++) {
      const vdi = random.between(1, 3);
      const block = random.below(10) * 0x0fff_ffff;
      const key = `${vdi}/${block}`;
      const content = truth.get(key) ?? Array.from({ length: 8 }, () => 0);
      truth.set(key, content);
      const draw = random.below(10);
      if (draw < 5) {
        const address = cache.find(vdi, block);
        if (address >= 0) {
          hits++;
          check(address >= ARENA && address % BLOCK === 0, 'a frame lies in the arena');
          for (let at = 0; at < BLOCK; at += 128) {
            check(memory.u8[address + at] === content[at >> 9], `step ${step}: ${key} is newest`);
          }
        } else {
          const frame = cache.insert(vdi, block);
          for (const [sector, fill] of content.entries()) {
            memory.u8.fill(fill, frame + sector * 512, frame + sector * 512 + 512);
          }
        }
      } else if (draw < 8) {
        const first = random.below(8);
        const sectors = random.between(1, 8 - first);
        const fill = random.below(256);
        memory.u8.fill(fill, 0, sectors * 512);
        content.fill(fill, first, first + sectors);
        cache.update(vdi, block, first, sectors, 0);
      } else if (draw === 8) {
        content.fill(random.below(256));
        cache.invalidate(vdi, block);
        check(cache.find(vdi, block) === -1, 'an invalidated block is gone');
      } else {
        for (const [other, values] of truth) {
          if (other.startsWith(`${vdi}/`)) values.fill(random.below(256));
        }
        cache.invalidateVdi(vdi);
      }
    }
    check(cache.stats().used <= frames, 'no more blocks than frames');
  });
  t.true(hits > 1500, `only ${hits} hits were judged`);
});

test('a VDI is invalidated in one step and its frames are used again', (t) => {
  const { cache } = made(64);
  for (let block = 0; block < 64; block++) cache.insert(1, block);
  cache.invalidateVdi(1);
  for (let block = 0; block < 64; block++) t.is(cache.find(1, block), -1);
  for (let block = 0; block < 64; block++) cache.insert(2, block);
  for (let block = 0; block < 64; block++) t.not(cache.find(2, block), -1);
  t.like(cache.stats(), { frames: 64, used: 64, evicted: 64, hits: 64, misses: 64, inserted: 128 });
});

test('an update reaches only what is cached, and stays inside its block', (t) => {
  const { memory, cache } = made(2);
  t.false(cache.update(1, 7, 0, 8, 0));
  const address = cache.insert(1, 7);
  memory.u8.fill(1, address, address + BLOCK);
  memory.u8.fill(2, 0, 1024);
  t.true(cache.update(1, 7, 3, 2, 0));
  t.deepEqual(
    [2, 3, 4, 5].map((sector) => memory.u8[address + sector * 512]),
    [1, 2, 2, 1],
  );
  t.throws(() => cache.update(1, 7, 7, 2, 0), { instanceOf: InvariantError });
  t.is(cache.insert(1, 7), address, 'a block has one frame');
});

test('what is easily read again is wanted where there is room, or when it comes back soon', (t) => {
  const { cache } = made(4);
  for (let block = 0; block < 4; block++) {
    t.true(cache.wants(1, block), 'there is a free frame');
    cache.insert(1, block);
  }
  t.false(cache.wants(1, 100), 'it is asked for once');
  t.true(cache.wants(1, 100), 'it is asked for again');
  const hot = 200;
  cache.wants(1, hot);
  for (let block = 1000; block < 2000; block++) cache.wants(1, block);
  t.false(cache.wants(1, hot), 'many others were asked for since');
  cache.invalidate(1, 0);
  t.true(cache.wants(1, 300), 'a frame is free again');
});
