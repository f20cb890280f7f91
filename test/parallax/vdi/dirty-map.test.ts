import test from 'ava';
import type { Prng } from '../../../src/base/prng.ts';
import {
  ALL_BATCHES,
  DirtyMap,
  IN_MEMORY,
  maskOf,
  WHOLE,
  ZEROS,
} from '../../../src/parallax/vdi/dirty-map.ts';
import { check, forSeeds } from '../../helpers/property.ts';

interface Value {
  readonly batch: number;
  /** Of the sector itself. */
  readonly segment: number;
  readonly offset: number;
}

/** Every value that each sector has in each batch, newest batch last. */
type Model = Map<number, Value[]>;

function newest(model: Model, block: number, sector: number, lastBatch: number): Value | null {
  const values = model.get(block * 8 + sector) ?? [];
  return values.findLast(({ batch }) => batch <= lastBatch) ?? null;
}

function put(model: Model, block: number, sector: number, value: Value): void {
  const values = (model.get(block * 8 + sector) ?? []).filter(({ batch }) => batch !== value.batch);
  model.set(block * 8 + sector, [...values, value]);
}

/** What the map says of one sector, or null. */
function sectorOf(map: DirtyMap, sector: number): Omit<Value, 'batch'> | null {
  for (let at = 0; at < map.found; at++) {
    if (((map.foundMask[at] as number) & (1 << sector)) === 0) continue;
    const segment = map.foundSegment[at] as number;
    const into = (sector - (map.foundFirst[at] as number)) * 512;
    return { segment, offset: segment === ZEROS ? 0 : (map.foundOffset[at] as number) + into };
  }
  return null;
}

function compare(map: DirtyMap, model: Model, block: number, wanted: number, last: number): void {
  const missing = map.cover(block, wanted, last);
  let covered = 0;
  for (let at = 0; at < map.found; at++) {
    const mask = map.foundMask[at] as number;
    check((covered & mask) === 0, 'a sector is found once');
    covered |= mask;
  }
  check((covered | missing) === wanted && (covered & missing) === 0, 'found or missing');
  for (let sector = 0; sector < 8; sector++) {
    if ((wanted & (1 << sector)) === 0) continue;
    const expected = newest(model, block, sector, last);
    const found = sectorOf(map, sector);
    check((expected === null) === (found === null), `block ${block} sector ${sector} is there`);
    if (expected === null || found === null) continue;
    check(expected.segment === found.segment, 'the newest segment');
    check(expected.offset === found.offset, 'the newest offset');
  }
}

function anyRun(random: Prng): void {
  const live = new Set<number>();
  const map = new DirtyMap({
    released: (address) => check(live.delete(address), 'memory is released once'),
  });
  const model: Model = new Map();
  let open = 1;
  let oldest = 1;
  let place = 0;
  for (let step = 0; step < 400; step++) {
    const block = random.below(12) * 1_000_003;
    const draw = random.nextUnit();
    if (draw < 0.6) {
      const first = random.below(8);
      const sectors = random.chance(0.4) ? 8 - first : random.between(1, 8 - first);
      const segment = random.pick([ZEROS, IN_MEMORY, 0, 1, 2]);
      place += 4096;
      if (segment === IN_MEMORY) live.add(place);
      map.add(block, first, sectors, open, segment, segment === ZEROS ? 0 : place, place);
      for (let i = 0; i < sectors; i++) {
        const offset = segment === ZEROS ? 0 : place + i * 512;
        put(model, block, first + i, { batch: open, segment, offset });
      }
    } else if (draw < 0.75) {
      open++;
    } else if (draw < 0.85 && oldest < open) {
      const blocks = new Set<number>();
      for (const [key, values] of model) {
        if (values.some(({ batch }) => batch === oldest)) blocks.add(Math.floor(key / 8));
      }
      const expected = [...blocks].sort((a, b) => a - b);
      check(String([...map.blocksOf(oldest)]) === String(expected), 'blocks of the oldest batch');
      map.dropBatch(oldest);
      for (const [key, values] of model) {
        const rest = values.filter(({ batch }) => batch !== oldest);
        if (rest.length === 0) model.delete(key);
        else model.set(key, rest);
      }
      oldest++;
    }
    const last = random.chance(0.5) ? ALL_BATCHES : random.between(oldest, open);
    compare(map, model, block, random.chance(0.5) ? WHOLE : random.between(1, 255), last);
    map.checkInvariants();
  }
  for (; oldest <= open; oldest++) map.dropBatch(oldest);
  check(map.blocks === 0 && map.dirtyBytes === 0 && live.size === 0, 'nothing is left');
}

test('the newest value of every sector in every batch is where it was put', (t) => {
  t.notThrows(() => forSeeds(60, anyRun));
});

test('a block that is written over in one batch stays one piece; in two batches it is two', (t) => {
  const map = new DirtyMap({ released: () => undefined });
  for (let i = 0; i < 10_000; i++) map.add(7, 0, 8, 1, 0, i * 4096, 0);
  t.is(map.dirtyBytes, 4096);
  map.add(7, 0, 8, 2, 0, 1 << 20, 0);
  t.is(map.dirtyBytes, 8192);
  t.is(map.cover(7, WHOLE, 1), 0);
  t.is(map.foundOffset[0], 9_999 * 4096);
  t.is(map.cover(7, WHOLE, 2), 0);
  t.is(map.foundOffset[0], 1 << 20);
});

test('a sub-block write over a whole one leaves the other sectors where they were', (t) => {
  const map = new DirtyMap({ released: () => undefined });
  map.add(3, 0, 8, 1, 0, 0, 11);
  map.add(3, 2, 3, 1, 0, 8192, 22);
  t.is(map.cover(3, WHOLE, ALL_BATCHES), 0);
  t.deepEqual([...map.foundMask.subarray(0, map.found)], [maskOf(2, 3), WHOLE & ~maskOf(2, 3)]);
  t.deepEqual([...map.foundCrc.subarray(0, 2)], [22, 11]);
  t.deepEqual([...map.foundSectors.subarray(0, 2)], [3, 8]);
  t.is(map.dirtyBytes, 4096);
});

test('block numbers up to 2^32 - 1 are told apart', (t) => {
  const map = new DirtyMap({ released: () => undefined });
  const blocks = [0, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
  for (const [i, block] of blocks.entries()) map.add(block, 0, 8, 1, 0, i, 0);
  t.deepEqual([...map.blocksOf(1)], blocks);
  for (const [i, block] of blocks.entries()) {
    t.is(map.cover(block, WHOLE, 1), 0);
    t.is(map.foundOffset[0], i);
  }
});
