import test from 'ava';
import { type FrontPage, FrontPages } from '../../src/guests/front-pages.ts';
import { TwoDomains } from '../helpers/domains.ts';

function bench(options: { persistent?: boolean; trusted?: boolean } = {}, guestPages = 8) {
  const domains = new TwoDomains(guestPages, 16, 64);
  const { world, grants, frames, driver } = domains;
  const pages = new FrontPages(world.memory, grants, frames, driver.domain, {
    persistent: true,
    trusted: true,
    ...options,
  });
  const lend = (readonly = false): FrontPage => {
    const page = pages.lend(readonly);
    if (page === null) throw new Error('no page');
    return page;
  };
  return { domains, pages, lend };
}

test('persistent pages keep their grants and come back last in, first out', (t) => {
  const { pages, lend, domains } = bench();
  const [first, second] = [lend(), lend()];
  const refs = [first.ref, second.ref];
  pages.giveBack(first);
  pages.giveBack(second);
  t.is(lend(), second);
  t.is(lend(), first);
  t.deepEqual([first.ref, second.ref], refs);
  t.is(domains.grants.inUse, 2, 'two pages served four requests');
});

test('other pages are granted for one request, for just what it needs', (t) => {
  const { pages, lend, domains } = bench({ persistent: false });
  const toRead = lend(true);
  t.true(domains.mapper.map(domains.guest.domain, toRead.ref, true) < 0, 'read-only');
  const toWrite = lend(false);
  const handle = domains.mapper.map(domains.guest.domain, toWrite.ref, true);
  t.true(handle >= 0);
  domains.mapper.unmap(handle);
  pages.giveBack(toRead);
  pages.giveBack(toWrite);
  t.deepEqual([domains.grants.inUse, pages.lent, domains.frames.freePages], [0, 0, 8]);
});

test('a persistent page is granted for both ways, whatever is asked first', (t) => {
  const { lend, domains } = bench();
  t.true(domains.mapper.map(domains.guest.domain, lend(true).ref, true) >= 0);
});

test('a page that the back end keeps mapped is set aside and never used again', (t) => {
  const { pages, lend, domains } = bench({ persistent: false });
  const page = lend();
  const handle = domains.mapper.map(domains.guest.domain, page.ref, true);
  pages.giveBack(page);
  t.is(pages.stuck, 1);
  const others = Array.from({ length: 7 }, () => lend());
  t.false(others.some(({ frame }) => frame === page.frame));
  t.is(pages.lend(false), null);
  for (const other of others) pages.giveBack(other);
  t.false(pages.close());
  domains.mapper.unmap(handle);
  t.true(pages.close());
  t.deepEqual([domains.frames.freePages, domains.grants.inUse], [8, 0]);
});

test('a page that was set aside serves again once the back end lets go and none is left', (t) => {
  const { pages, lend, domains } = bench({ persistent: false }, 2);
  const page = lend();
  const handle = domains.mapper.map(domains.guest.domain, page.ref, true);
  pages.giveBack(page);
  t.not(pages.lend(false), null);
  t.is(pages.lend(false), null);
  domains.mapper.unmap(handle);
  t.not(pages.lend(false), null);
  t.is(pages.stuck, 0);
});

test('a back end that is not trusted never sees what an earlier request left in a page', (t) => {
  for (const persistent of [true, false]) {
    const { pages, lend, domains } = bench({ trusted: false, persistent });
    const page = lend();
    const { u8 } = domains.world.memory;
    u8.fill(0x5e, page.address, page.address + 4096);
    pages.giveBack(page);
    const again = Array.from({ length: 8 }, () => lend());
    for (const { address } of again) {
      t.true(u8.subarray(address, address + 4096).every((byte) => byte === 0));
    }
  }
});

test('when frames or grants run out there is no page, and nothing is lost', (t) => {
  const { pages, lend, domains } = bench({}, 3);
  const all = [lend(), lend(), lend()];
  t.is(pages.lend(false), null);
  t.is(pages.lent, 3);
  for (const page of all) pages.giveBack(page);
  t.true(pages.close());
  t.is(domains.frames.freePages, 3);
});
