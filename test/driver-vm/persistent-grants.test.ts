import test from 'ava';
import { PersistentGrants } from '../../src/driver-vm/persistent-grants.ts';
import { GrantStatus } from '../../src/ring/ports.ts';
import { TwoDomains } from '../helpers/domains.ts';
import { check, forSeeds } from '../helpers/property.ts';

const SECOND = 1e9;

function bench(limit: number, pages: number) {
  const domains = new TwoDomains(Math.max(64, pages), 16);
  const refs = Array.from({ length: pages }, () => domains.grantPage().ref);
  const kept = new PersistentGrants(domains.mapper, domains.guest.domain, limit);
  const use = (ref: number, nowNs: number): void =>
    kept.release(ref, kept.acquire(ref, true, nowNs));
  return { domains, refs, kept, use, ref: (at: number) => refs[at] as number };
}

test('a grant used again is not mapped again, and its owner cannot take it back meanwhile', (t) => {
  const { domains, kept, refs, ref } = bench(10, 1);
  const first = kept.acquire(ref(0), true, 0);
  kept.release(ref(0), first);
  t.is(kept.acquire(ref(0), false, 1), first);
  kept.release(ref(0), first);
  t.deepEqual([kept.size, domains.mapper.mappedCount], [1, 1]);
  t.false(domains.grants.end(refs[0] as (typeof refs)[0]));
  kept.close();
  t.deepEqual([kept.size, domains.mapper.mappedCount], [0, 0]);
  t.true(domains.grants.end(refs[0] as (typeof refs)[0]));
});

test('never more than the limit is kept, and the least recently used go first', (t) => {
  const { kept, use, ref, domains } = bench(40, 60);
  for (let i = 0; i < 40; i++) use(ref(i), i);
  use(ref(0), 100);
  use(ref(40), 101);
  t.is(kept.size, 39, 'a twentieth, two mappings, made room for one');
  const before = domains.mapper.mappedCount;
  use(ref(0), 102);
  t.is(domains.mapper.mappedCount, before, 'the one used just now stayed');
  use(ref(1), 103);
  t.is(kept.size, 40, 'the oldest was given back and is mapped anew');
});

test('a purge takes a twentieth also when all were used at the same moment', (t) => {
  const { kept, use, ref } = bench(40, 41);
  for (let i = 0; i < 40; i++) use(ref(i), 7);
  use(ref(40), 7);
  t.is(kept.size, 39);
});

test('mappings in use are never purged: beyond the limit a page is mapped for one request', (t) => {
  const { kept, ref, domains } = bench(4, 6);
  const held = [0, 1, 2, 3].map((at) => kept.acquire(ref(at), true, 0));
  const extra = kept.acquire(ref(4), true, 1);
  t.true(extra >= 0);
  t.deepEqual([kept.size, domains.mapper.mappedCount], [4, 5]);
  kept.release(ref(4), extra);
  t.is(domains.mapper.mappedCount, 4);
  kept.purgeIdle(1000 * SECOND);
  t.is(kept.size, 4);
  held.forEach((handle, at) => {
    t.is(domains.mapper.copyIn(handle, 0, domains.driver.heapFrame * 4096, 512), 0);
    kept.release(ref(at), handle);
  });
});

test('what was idle for more than a minute is given back, no sooner', (t) => {
  const { kept, use, ref, domains } = bench(10, 3);
  use(ref(0), 0);
  use(ref(1), 30 * SECOND);
  kept.purgeIdle(60 * SECOND);
  t.is(kept.size, 2);
  kept.purgeIdle(61 * SECOND);
  t.is(kept.size, 1);
  kept.purgeIdle(91 * SECOND);
  t.deepEqual([kept.size, domains.mapper.mappedCount], [0, 0]);
});

test('a read-only grant serves one request at a time and only for what it allows', (t) => {
  const domains = new TwoDomains(64, 16);
  const { ref } = domains.grantPage(true);
  const kept = new PersistentGrants(domains.mapper, domains.guest.domain, 10);
  t.is(kept.acquire(ref, true, 0), GrantStatus.permissionDenied);
  const handle = kept.acquire(ref, false, 0);
  t.true(handle >= 0);
  t.is(kept.size, 0);
  kept.release(ref, handle);
  t.is(domains.mapper.mappedCount, 0);
});

test('a reference that was never granted, or is far too large, is refused and leaves no trace', (t) => {
  const { domains, kept } = bench(10, 1);
  for (const bad of [0, 7, 900, 2 ** 16, 2 ** 32 - 1]) {
    t.is(kept.acquire(bad, true, 0), GrantStatus.badGrantRef, `reference ${bad}`);
  }
  t.deepEqual([kept.size, domains.mapper.mappedCount], [0, 0]);
});

test('one page used by more than 65535 segments at once is still in use', (t) => {
  const { kept, ref, domains } = bench(1, 2);
  const handle = kept.acquire(ref(0), true, 0);
  for (let i = 1; i < 65_536; i++) kept.acquire(ref(0), true, 0);
  kept.purgeIdle(1000 * SECOND);
  t.is(kept.size, 1);
  t.is(domains.mapper.copyIn(handle, 0, domains.driver.heapFrame * 4096, 512), 0);
});

test('any mix of uses keeps to the limit, and everything can be given back in the end', (t) => {
  t.notThrows(() =>
    forSeeds(50, (random) => {
      const limit = random.between(1, 30);
      const { kept, ref, domains, refs } = bench(limit, 50);
      const held: { ref: number; handle: number }[] = [];
      for (let step = 0; step < 500; step++) {
        const nowNs = step * random.pick([1, SECOND]);
        if (random.chance(0.5) && held.length < 40) {
          const one = ref(random.below(50));
          held.push({ ref: one, handle: kept.acquire(one, random.chance(0.5), nowNs) });
        } else if (held.length > 0) {
          const [use] = held.splice(random.below(held.length), 1);
          if (use !== undefined) kept.release(use.ref, use.handle);
        }
        if (random.chance(0.05)) kept.purgeIdle(nowNs);
        check(kept.size <= limit, 'the limit holds');
        check(
          held.every(({ handle }) => handle >= 0),
          'a good grant can always be used',
        );
        for (const { handle } of held) {
          const status = domains.mapper.copyIn(handle, 0, domains.driver.heapFrame * 4096, 16);
          check(status === GrantStatus.okay, 'what is in use stays mapped');
        }
      }
      for (const use of held) kept.release(use.ref, use.handle);
      kept.close();
      check(domains.mapper.mappedCount === 0, 'nothing stays mapped');
      check(
        refs.every((one) => domains.grants.end(one)),
        'every page can be taken back',
      );
    }),
  );
});
