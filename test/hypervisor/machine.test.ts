import test from 'ava';
import { BufferMemory } from '../../src/base/shared-memory.ts';
import type { GrantRef } from '../../src/base/units.ts';
import { type DomainId, PAGE_BYTES } from '../../src/base/units.ts';
import {
  DomainDirectory,
  type DomainLayout,
  MAX_DOMAINS,
  Machine,
} from '../../src/hypervisor/machine.ts';
import { GrantStatus } from '../../src/ring/ports.ts';
import { TwoDomains } from '../helpers/domains.ts';
import { check, forSeeds } from '../helpers/property.ts';

const FRAMES = 400;

test('frames of living domains never overlap, are zero at birth, and come back at death', (t) => {
  t.notThrows(() =>
    forSeeds(60, (random) => {
      const memory = BufferMemory.ofBytes(FRAMES * PAGE_BYTES);
      const machine = new Machine(memory);
      const elsewhere = new DomainDirectory(memory);
      const alive: DomainLayout[] = [];
      const numbers = new Set<DomainId>();
      for (let step = 0; step < 120; step++) {
        if (random.chance(0.55)) {
          let layout: DomainLayout;
          try {
            layout = machine.createDomain(random.between(1, 60) * PAGE_BYTES, random.below(1500));
          } catch (thrown) {
            check((thrown as { code: string }).code === 'E_HOST_MEMORY_FULL', 'says why');
            continue;
          }
          const end = layout.firstFrame + layout.frameCount;
          check(layout.firstFrame >= 2 && end <= FRAMES, 'inside the RAM, behind the directory');
          check(!numbers.has(layout.domain), 'a number is never used twice');
          for (const other of alive) {
            const apart = other.firstFrame >= end;
            check(apart || other.firstFrame + other.frameCount <= layout.firstFrame, 'no overlap');
          }
          const bytes = memory.u8.subarray(layout.firstFrame * PAGE_BYTES, end * PAGE_BYTES);
          check(
            Buffer.from(bytes).every((byte) => byte === 0),
            'a new domain sees zeros',
          );
          bytes.fill(0xdd);
          numbers.add(layout.domain);
          alive.push(layout);
        } else if (alive.length > 0) {
          const [dead] = alive.splice(random.below(alive.length), 1) as [DomainLayout];
          machine.destroyDomain(dead);
          check(elsewhere.layoutOf(dead.domain) === null, 'the dead are in no directory');
        }
        for (const layout of alive) {
          const found = elsewhere.layoutOf(layout.domain);
          check(JSON.stringify(found) === JSON.stringify(layout), 'all workers see the same');
        }
      }
      for (const layout of alive) machine.destroyDomain(layout);
      machine.createDomain((FRAMES - 3) * PAGE_BYTES, 0);
    }),
  );
});

test('a host that is full names the largest run that is left', (t) => {
  const machine = new Machine(BufferMemory.ofBytes(20 * PAGE_BYTES));
  machine.createDomain(10 * PAGE_BYTES, 0);
  t.throws(() => machine.createDomain(10 * PAGE_BYTES, 0), {
    code: 'E_HOST_MEMORY_FULL',
    message: /no room for a domain of 11 frames: the largest free run has 7/,
  });
});

test('a host too small for a single domain is refused with what it needs', (t) => {
  t.throws(() => new Machine(BufferMemory.ofBytes(2 * PAGE_BYTES)), {
    code: 'E_MEMORY_TOO_SMALL',
    message: /8192 bytes is too small: at least 12288 bytes are needed/,
  });
});

test('64 domains and no more; a place of a dead one serves again', (t) => {
  const machine = new Machine(BufferMemory.ofBytes(1000 * PAGE_BYTES));
  const layouts = Array.from({ length: MAX_DOMAINS }, () => machine.createDomain(PAGE_BYTES, 0));
  t.throws(() => machine.createDomain(PAGE_BYTES, 0), { code: 'E_TOO_MANY_DOMAINS' });
  machine.destroyDomain(layouts[20] as DomainLayout);
  t.is(Number(machine.createDomain(PAGE_BYTES, 0).domain), MAX_DOMAINS + 1);
  t.throws(() => machine.destroyDomain(layouts[20] as DomainLayout), { message: /destroyed once/ });
});

test('a retired domain is unknown to all, and its frames stay its own until it is destroyed', (t) => {
  const domains = new TwoDomains(16, 16, 64);
  const { machine, guest, mapper } = domains;
  const { ref } = domains.grantPage();
  const handle = mapper.map(guest.domain, ref, true);
  machine.retireDomain(guest);
  t.is(machine.layoutOf(guest.domain), null);
  t.is(mapper.map(guest.domain, ref, true), GrantStatus.badDomain);
  t.is(mapper.mappingsOf(guest.domain), 1, 'what was mapped before is still held');
  t.not(machine.createDomain(16 * PAGE_BYTES, 64).firstFrame, guest.firstFrame);
  mapper.unmap(handle);
  t.is(mapper.mappingsOf(guest.domain), 0);
  machine.destroyDomain(guest);
  t.is(machine.createDomain(16 * PAGE_BYTES, 64).firstFrame, guest.firstFrame);
});

test('mappings of a dead domain end, and those of the living stay', (t) => {
  const domains = new TwoDomains(16, 16, 64);
  const { machine, guest, driver, mapper, grants } = domains;
  const other = machine.createDomain(PAGE_BYTES, 64);
  const mine = domains.grantPage();
  const theirs = grants.grant(other.domain, mine.frame, false) as GrantRef;
  mapper.map(guest.domain, mine.ref, true);
  domains.mapperOf(other.domain).map(guest.domain, theirs, true);
  machine.releaseMappingsOf(driver.domain);
  t.true(grants.end(mine.ref));
  t.false(grants.end(theirs));
  machine.releaseMappingsOf(other.domain);
  t.true(grants.end(theirs));
});
