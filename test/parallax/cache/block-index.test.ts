import test from 'ava';
import { InvariantError } from '../../../src/base/invariant.ts';
import { BlockIndex } from '../../../src/parallax/cache/block-index.ts';
import { check, forSeeds } from '../../helpers/property.ts';

test('an index finds what a map finds, full and empty, over any order of changes', (t) => {
  forSeeds(60, (random) => {
    const slots = random.between(1, 40);
    const index = new BlockIndex(slots, random.nextU32());
    const model = new Map<string, number>();
    const free = Array.from({ length: slots }, (_, slot) => slot);
    const keyOf = (): [number, number] => [random.below(3) * 0x7fff_ffff, random.below(30)];
    for (let step = 0; step < 600; step++) {
      const [high, low] = keyOf();
      const key = `${high}/${low}`;
      const known = model.get(key);
      check(index.find(high, low) === (known ?? -1), `step ${step}: ${key} is where the map says`);
      if (known !== undefined && random.chance(0.6)) {
        index.remove(known);
        check(!index.holds(known), 'a removed slot is not held');
        model.delete(key);
        free.push(known);
      } else if (known === undefined && free.length > 0) {
        const slot = free.pop() as number;
        index.insert(high, low, slot);
        check(index.holds(slot), 'an inserted slot is held');
        model.set(key, slot);
      }
      check(index.count === model.size, 'keys are counted');
    }
    for (const [key, slot] of model) {
      const [high, low] = key.split('/').map(Number) as [number, number];
      check(index.find(high, low) === slot, `${key} is still there at the end`);
    }
  });
  t.pass();
});

test('a full index of neighbouring blocks keeps its probes short, whatever the salt', (t) => {
  for (const salt of [0, 1, 0xffff_ffff]) {
    const slots = 100_000;
    const index = new BlockIndex(slots, salt);
    for (let slot = 0; slot < slots; slot++) index.insert(1 + (slot % 3), slot, slot);
    const missing = Array.from({ length: 1000 }, (_, i) => index.find(9, i));
    t.true(missing.every((slot) => slot === -1));
    for (let slot = 0; slot < slots; slot += 2) index.remove(slot);
    for (let slot = 0; slot < slots; slot++) {
      if (index.find(1 + (slot % 3), slot) !== (slot % 2 === 0 ? -1 : slot)) t.fail(`slot ${slot}`);
    }
    t.true(index.sizeBytes < slots * 19, 'it costs less than 19 bytes a slot');
  }
});

test('removing a slot that is not in the index, and a second key for a full one, are refused', (t) => {
  const index = new BlockIndex(2, 0);
  index.insert(0, 5, 0);
  t.throws(() => index.remove(1), { instanceOf: InvariantError });
  index.insert(0, 6, 1);
  t.throws(() => index.insert(0, 7, 0), { instanceOf: InvariantError });
});
