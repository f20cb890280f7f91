import test from 'ava';
import { type DomainId, type FrameNo, type GrantRef, PAGE_BYTES } from '../../src/base/units.ts';
import { FIRST_FREE_REF } from '../../src/ring/grant-table.ts';
import { GrantStatus } from '../../src/ring/ports.ts';
import { TwoDomains } from '../helpers/domains.ts';
import { check, forSeeds } from '../helpers/property.ts';

test('a table gives out every entry but the reserved ones, then says that it is full', (t) => {
  const { grants, driver, guest } = new TwoDomains(16, 16, 512);
  const refs = new Set<number>();
  for (let i = FIRST_FREE_REF; i < 512; i++) {
    refs.add(grants.grant(driver.domain, guest.heapFrame, false) as GrantRef);
  }
  t.is(refs.size, 504);
  t.true([...refs].every((ref) => ref >= FIRST_FREE_REF && ref < 512));
  t.is(grants.grant(driver.domain, guest.heapFrame, false), null);
  t.true(grants.end([...refs][9] as GrantRef));
  t.is(grants.inUse, 503);
  t.not(grants.grant(driver.domain, guest.heapFrame, false), null);
});

test('what is mapped shows the page itself, both ways, inside the page only', (t) => {
  const domains = new TwoDomains(16, 16, 64);
  const { mapper, guest, driver, world } = domains;
  const { u8 } = world.memory;
  const { frame, ref } = domains.grantPage();
  const handle = mapper.map(guest.domain, ref, true);
  const own = driver.heapFrame * PAGE_BYTES;
  u8[frame * PAGE_BYTES + 4095] = 77;
  t.is(mapper.copyIn(handle, 4095, own, 1), GrantStatus.okay);
  t.is(u8[own], 77);
  u8[own] = 78;
  t.is(mapper.copyOut(handle, 0, own, 1), GrantStatus.okay);
  t.is(u8[frame * PAGE_BYTES], 78);
  for (const [offset, length] of [
    [4096, 1],
    [0, 4097],
    [-1, 1],
    [1, 4096],
    [0, -1],
  ] as const) {
    t.is(mapper.copyIn(handle, offset, own, length), GrantStatus.badCopyArgument);
    t.is(mapper.copyOut(handle, offset, own, length), GrantStatus.badCopyArgument);
  }
});

test('only the domain named may map, only as allowed, and each refusal has its code', (t) => {
  const domains = new TwoDomains(16, 16, 64);
  const { mapper, guest, driver, grants } = domains;
  const stranger = domains.machine.createDomain(PAGE_BYTES, 64);
  const { ref } = domains.grantPage(true);
  t.is(mapper.map(guest.domain, ref, true), GrantStatus.permissionDenied);
  t.is(
    domains.mapperOf(stranger.domain).map(guest.domain, ref, false),
    GrantStatus.permissionDenied,
  );
  t.is(mapper.map(99 as DomainId, ref, false), GrantStatus.badDomain);
  for (const bad of [0, 7, 40, 512, 2 ** 31, -1, 9.5]) {
    t.is(mapper.map(guest.domain, bad as GrantRef, false), GrantStatus.badGrantRef, `${bad}`);
  }
  const foreign = grants.grant(driver.domain, driver.heapFrame, false) as GrantRef;
  t.is(mapper.map(guest.domain, foreign, false), GrantStatus.badPage);
  t.true(grants.end(foreign), 'a refused mapping leaves no use bit behind');
  const handle = mapper.map(guest.domain, ref, false);
  t.is(mapper.copyOut(handle, 0, driver.heapFrame * PAGE_BYTES, 1), GrantStatus.permissionDenied);
  t.is(mapper.unmap(handle), GrantStatus.okay);
  t.is(mapper.unmap(handle), GrantStatus.badHandle);
  t.is(mapper.copyIn(handle, 0, driver.heapFrame * PAGE_BYTES, 1), GrantStatus.badHandle);
  t.is(mapper.unmap(-1), GrantStatus.badHandle);
});

test('a mapper that is full says so and maps again after one was given back', (t) => {
  const domains = new TwoDomains(16, 16, 64);
  const mapper = domains.mapperOf(domains.driver.domain, 2);
  const { ref } = domains.grantPage();
  const handles = [1, 2].map(() => mapper.map(domains.guest.domain, ref, false));
  t.is(mapper.map(domains.guest.domain, ref, false), GrantStatus.noSpace);
  mapper.unmap(handles[0] as number);
  t.true(mapper.map(domains.guest.domain, ref, false) >= 0);
});

test('a grant cannot be taken back while any mapping of it is left, and can right after', (t) => {
  t.notThrows(() =>
    forSeeds(50, (random) => {
      const domains = new TwoDomains(16, 16, 64);
      const pages = Array.from({ length: 4 }, () => domains.grantPage());
      const held: { page: number; handle: number }[] = [];
      for (let step = 0; step < 200; step++) {
        if (random.chance(0.5)) {
          const page = random.below(4);
          const ref = pages[page]?.ref as GrantRef;
          const handle = domains.mapper.map(domains.guest.domain, ref, random.chance(0.5));
          check(handle >= 0, 'a grant may be mapped many times');
          held.push({ page, handle });
        } else if (held.length > 0) {
          const [one] = held.splice(random.below(held.length), 1);
          if (one !== undefined) domains.mapper.unmap(one.handle);
        }
        const page = random.below(4);
        const { ref, frame } = pages[page] as { ref: GrantRef; frame: FrameNo };
        const ended = domains.grants.end(ref);
        check(ended === !held.some((one) => one.page === page), 'ends when nobody has it mapped');
        if (ended) {
          const again = domains.grants.grant(domains.driver.domain, frame, false) as GrantRef;
          pages[page] = { ref: again, frame };
        }
        check(domains.mapper.mappedCount === held.length, 'mappings are counted');
      }
    }),
  );
});

test('ending a grant twice is a bug that is caught', (t) => {
  const domains = new TwoDomains(16, 16, 64);
  const { ref } = domains.grantPage();
  t.true(domains.grants.end(ref));
  t.throws(() => domains.grants.end(ref), { message: /a grant is ended once/ });
});

test('a mapping keeps its page though the guest writes another frame into the entry', (t) => {
  const domains = new TwoDomains(16, 16, 64);
  const { mapper, guest, driver, world, entries } = domains;
  const { frame, ref } = domains.grantPage();
  const handle = mapper.map(guest.domain, ref, true);
  entries.setFrame(ref, driver.heapFrame + 1);
  world.memory.u8[frame * PAGE_BYTES] = 5;
  const own = driver.heapFrame * PAGE_BYTES;
  t.is(mapper.copyIn(handle, 0, own, 1), GrantStatus.okay);
  t.is(world.memory.u8[own], 5);
});

test('pages of a ring are mapped side by side, all or none', (t) => {
  const domains = new TwoDomains(32, 16, 64);
  const { mapper, guest, driver, grants, frames } = domains;
  const first = frames.mustTake(4, 'a ring');
  const refs = [0, 1, 2, 3].map(
    (page) => grants.grant(driver.domain, (first + page) as FrameNo, false) as GrantRef,
  );
  const mapped = mapper.mapSideBySide(guest.domain, refs);
  if (typeof mapped === 'number') return t.fail(`status ${mapped}`);
  t.is(mapped.view.baseBytes, first * PAGE_BYTES);
  t.is(mapper.mappedCount, 4);
  mapper.unmapAll(mapped);
  const wrong = [[], [refs[1], refs[0]], [refs[0], refs[2]], [refs[0], 50], [refs[0], refs[0]]];
  for (const list of wrong) {
    t.true((mapper.mapSideBySide(guest.domain, list as GrantRef[]) as number) < 0, list.join(' '));
    t.is(mapper.mappedCount, 0);
  }
  t.true(refs.every((ref) => grants.end(ref)));
});
