import test from 'ava';
import { BuddyAllocator } from '../../src/base/buddy.ts';
import type { Prng } from '../../src/base/prng.ts';
import { check, forSeeds } from '../helpers/property.ts';

function runPages(count: number): number {
  let pages = 1;
  while (pages < count) pages *= 2;
  return pages;
}

test('runs never overlap, are aligned, inside, and counted, whatever is taken and given', (t) => {
  const property = (random: Prng): void => {
    const pages = random.between(1, 700);
    const buddy = new BuddyAllocator(pages);
    const owner = new Int32Array(pages).fill(-1);
    const runs: { page: number; length: number }[] = [];
    let free = pages;
    for (let step = 0; step < 400; step++) {
      if (random.chance(0.55)) {
        const count = random.between(1, random.chance(0.2) ? 300 : 9);
        const page = buddy.take(count);
        if (page < 0) continue;
        const length = runPages(count);
        check(page % length === 0, 'a run is aligned to its own size');
        check(page + length <= pages, 'a run is inside');
        for (let i = 0; i < length; i++) {
          check(owner[page + i] === -1, `page ${page + i} was handed out twice`);
          owner[page + i] = step;
        }
        runs.push({ page, length });
        free -= length;
      } else if (runs.length > 0) {
        const [run] = runs.splice(random.below(runs.length), 1);
        if (run === undefined) continue;
        buddy.give(run.page);
        owner.fill(-1, run.page, run.page + run.length);
        free += run.length;
      }
      check(buddy.freePages === free, 'free pages are counted');
    }
  };
  t.notThrows(() => forSeeds(200, property));
});

test('after everything was given back, in any order, the largest run is there again', (t) => {
  t.notThrows(() =>
    forSeeds(200, (random) => {
      const pages = random.between(1, 600);
      const buddy = new BuddyAllocator(pages);
      const largest = 2 ** Math.floor(Math.log2(pages));
      const taken: number[] = [];
      for (let page = buddy.take(1); page >= 0; page = buddy.take(1)) taken.push(page);
      check(taken.length === pages, 'every page can be had by itself');
      while (taken.length > 0) {
        const [page] = taken.splice(random.below(taken.length), 1);
        if (page !== undefined) buddy.give(page);
      }
      check(buddy.freePages === pages, 'all pages are free');
      check(buddy.take(largest) >= 0, `a run of ${largest} of ${pages} pages is whole again`);
    }),
  );
});

test('a run that is too large for what is free is refused and takes nothing', (t) => {
  const buddy = new BuddyAllocator(8);
  const first = buddy.take(1);
  t.is(buddy.take(8), -1);
  t.is(buddy.take(9), -1);
  t.is(buddy.freePages, 7);
  buddy.give(first);
  t.is(buddy.take(8), 0);
});

test('giving back twice, or by a page in the middle, is a bug that is caught', (t) => {
  const buddy = new BuddyAllocator(8);
  const page = buddy.take(4);
  t.throws(() => buddy.give(page + 1), { message: /given back once, by its first page/ });
  buddy.give(page);
  t.throws(() => buddy.give(page), { message: /given back once/ });
  t.throws(() => buddy.give(8), { message: /given back once/ });
});
