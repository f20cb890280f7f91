import test, { type ExecutionContext } from 'ava';
import { EVICTION_KINDS, type EvictionKind } from '../../../src/parallax/cache/eviction.ts';
import { check, forSeeds } from '../../helpers/property.ts';
import { originalPath, unpack } from '../../traces/trace-files.ts';
import { arcPages, hitPercent, KeyCache } from './cache-model.ts';

test('LRU evicts what was used the longest time ago, as a list of its keys does', (t) => {
  forSeeds(30, (random) => {
    const slots = random.between(1, 20);
    const cache = new KeyCache('lru', slots);
    let model: number[] = [];
    for (let step = 0; step < 500; step++) {
      const key = random.below(30);
      check(cache.use(0, key) === model.includes(key), `step ${step}: key ${key}`);
      model = [...model.filter((other) => other !== key), key].slice(-slots);
    }
  });
  t.pass();
});

for (const kind of EVICTION_KINDS) {
  test(`${kind} gives away each slot it was given once, also when entries are removed`, (t) => {
    forSeeds(40, (random) => {
      const slots = random.between(1, 12);
      const { index, policy } = new KeyCache(kind, slots);
      const free = Array.from({ length: slots }, (_, slot) => slot);
      for (let step = 0; step < 800; step++) {
        const key = random.below(24);
        const found = index.find(0, key);
        if (found >= 0 && random.chance(0.3)) {
          policy.removed(found);
          index.remove(found);
          free.push(found);
        } else if (found >= 0) {
          policy.hit(found);
        } else {
          let slot = free.pop() ?? -1;
          if (slot < 0) {
            slot = policy.victim(0, key);
            check(index.holds(slot), `step ${step}: the victim is in the cache`);
            index.remove(slot);
          }
          index.insert(0, key, slot);
          policy.inserted(slot, 0, key);
        }
      }
      for (let left = index.count; left > 0; left--) {
        const slot = policy.victim(0, 99);
        check(index.holds(slot), 'every slot is given away');
        index.remove(slot);
      }
      check(policy.victim(0, 99) === -1, 'an empty cache has no victim');
    });
    t.pass();
  });
}

/** A hot set that is used all the time, then one long scan; the hot set's hits right after it. */
function hotHitsAfterScan(kind: EvictionKind): number {
  const cache = new KeyCache(kind, 1000);
  const hot = 600;
  for (let round = 0; round < 10; round++) {
    for (let key = 0; key < hot; key++) cache.use(1, key);
  }
  for (let key = 0; key < 20_000; key++) cache.use(2, key);
  let hits = 0;
  for (let key = 0; key < hot; key++) if (cache.use(1, key)) hits++;
  return hits / hot;
}

test('a long scan takes the hot blocks from LRU, and not from S3-FIFO and ARC', (t) => {
  t.is(hotHitsAfterScan('lru'), 0);
  // The bounded search for a victim gives up twice while the scan begins.
  t.is(hotHitsAfterScan('s3-fifo'), 598 / 600);
  t.is(hotHitsAfterScan('arc'), 1);
});

test('the search for a victim ends, though every entry of a large cache was used', (t) => {
  const slots = 20_000;
  const cache = new KeyCache('s3-fifo', slots);
  for (let round = 0; round < 5; round++) {
    for (let key = 0; key < slots; key++) cache.use(0, key);
  }
  // The first victim is found after 256 looks: had it looked on, it would be the oldest entry.
  const victim = cache.policy.victim(0, slots);
  t.is(victim, 255);
});

/** A test over an original trace, skipped visibly where the trace is not. */
function overOriginal(
  name: string,
  title: string,
  run: (t: ExecutionContext, path: string) => void,
): void {
  const path = originalPath(name);
  const missing = ` (skipped: STORDOM_SHARED has no traces folder with ${name})`;
  if (path === null) test.skip(`${title}${missing}`, () => undefined);
  else test(title, (t) => run(t, path));
}

const OLTP_PAGES = [1000, 2000, 5000, 10_000, 15_000];
const OLTP: Readonly<Record<EvictionKind, readonly number[]>> = {
  lru: [32.8309, 42.4697, 53.6505, 60.7022, 64.6343],
  's3-fifo': [40.8064, 46.9634, 55.8614, 62.5891, 65.9682],
  arc: [38.9451, 46.0758, 55.2516, 61.873, 65.4007],
};

const OLTP_TITLE = 'hit ratios of the OLTP trace: those of LRU are the published ones';
overOriginal('arc/OLTP.lis.gz', OLTP_TITLE, (t, path) => {
  const pages = arcPages(path);
  t.is(pages.length, 914_145);
  for (const kind of EVICTION_KINDS) {
    const found = OLTP_PAGES.map((slots) => Number(hitPercent(kind, slots, pages).toFixed(4)));
    t.deepEqual(found, OLTP[kind], kind);
  }
});

const P3_TITLE = 'hit ratios of the P3 trace with a small and a large LRU are the published ones';
overOriginal('arc/P3.lis.gz', P3_TITLE, (t, path) => {
  const pages = arcPages(path);
  t.is(pages.length, 3_912_296);
  const found = [1024, 524_288].map((slots) => hitPercent('lru', slots, pages).toFixed(4));
  t.deepEqual(found, ['1.0493', '79.6203']);
});

/**
 * Misses of a cache of so many bytes over a trace of objects with sizes, 24 bytes a record:
 * `{u32 time, u64 object, u32 bytes, i64 next}`.
 */
function bytesMissed(trace: DataView, cacheBytes: number, hits: boolean): number {
  const records = trace.byteLength / 24;
  const cache = new KeyCache('lru', records);
  const sizes = new Uint32Array(records);
  const free: number[] = Array.from({ length: records }, (_, i) => records - 1 - i);
  let usedBytes = 0;
  let misses = 0;
  for (let at = 0; at < trace.byteLength; at += 24) {
    const low = trace.getUint32(at + 4, true);
    const high = trace.getUint32(at + 8, true);
    const bytes = trace.getUint32(at + 12, true);
    const found = cache.index.find(high, low);
    if (found >= 0) {
      if (hits) cache.policy.hit(found);
      continue;
    }
    misses++;
    while (usedBytes + bytes > cacheBytes) {
      const victim = cache.policy.victim(high, low);
      cache.index.remove(victim);
      usedBytes -= sizes[victim] as number;
      free.push(victim);
    }
    const slot = free.pop() as number;
    sizes[slot] = bytes;
    usedBytes += bytes;
    cache.index.insert(high, low, slot);
    cache.policy.inserted(slot, high, low);
  }
  return misses;
}

const CLOUD = 'cloudphysics/cloudPhysicsIO.oracleGeneral.bin.gz';
const CLOUD_TITLE = 'misses of cloudPhysicsIO in bytes, LRU and FIFO, are the published ones';
overOriginal(CLOUD, CLOUD_TITLE, (t, path) => {
  const bytes = unpack(path);
  const trace = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sizes = [1, 2, 3, 4, 5, 6, 7, 8].map((step) => step * 128 * 2 ** 20);
  t.deepEqual(
    sizes.map((size) => bytesMissed(trace, size, true)),
    [93374, 89783, 83572, 81722, 72494, 72104, 71972, 71704],
  );
  t.deepEqual(
    sizes.map((size) => bytesMissed(trace, size, false)),
    [93403, 89386, 84387, 84025, 72498, 72228, 72182, 72140],
  );
});
