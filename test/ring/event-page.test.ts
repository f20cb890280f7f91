import test from 'ava';
import type { EventPort } from '../../src/base/units.ts';
import { EventPage, MAX_EVENT_PORTS, MemoryEventChannel } from '../../src/ring/event-page.ts';
import { TwoDomains } from '../helpers/domains.ts';
import { check, forSeeds } from '../helpers/property.ts';

function bench() {
  const domains = new TwoDomains(16, 16, 64);
  const { world, guest, driver, directory, guestEvents } = domains;
  const events = new EventPage(world.memory, driver.eventPageAddress);
  const guestPort = guestEvents.allocate(driver.domain);
  const port = events.allocate(guest.domain);
  const channel = (page: EventPage, at: EventPort): MemoryEventChannel =>
    new MemoryEventChannel(world.memory, directory, world.wake, page, at);
  const connect = (): void => {
    events.connect(port, guest.domain, guestPort);
    guestEvents.connect(guestPort, driver.domain, port);
  };
  const front = channel(guestEvents, guestPort);
  return { domains, world, events, port, guestPort, front, connect, channel };
}

test('a notification marks the port, changes the bell and rings it, once for each look', (t) => {
  const { front, events, port, world, domains, connect } = bench();
  connect();
  const bell = (): number => world.memory.u32[events.bellAddress / 4] as number;
  const before = bell();
  for (let i = 0; i < 100; i++) front.notify();
  t.deepEqual([bell() - before, world.rung], [1, [domains.driver.eventPageAddress]]);
  t.is(front.notifications, 100);
  t.true(events.isPending(port) && events.anyPending());
  t.true(events.clearPending(port));
  t.false(events.clearPending(port) || events.anyPending());
  front.notify();
  t.is(world.rung.length, 2);
});

test('a masked port is marked without a sound; unmasking leaves the mark to be seen', (t) => {
  const { front, events, port, world, connect } = bench();
  connect();
  events.mask(port);
  front.notify();
  t.deepEqual([world.rung.length, events.isPending(port), events.anyPending()], [0, true, false]);
  events.unmask(port);
  t.true(events.anyPending());
  front.notify();
  t.is(world.rung.length, 0, 'it is still the same news');
});

test('a notification has nowhere to go before the other end is connected, and arrives after', (t) => {
  const { front, world, events, port, connect } = bench();
  front.notify();
  t.is(world.rung.length, 0);
  connect();
  front.notify();
  t.deepEqual([world.rung.length, events.isPending(port)], [1, true]);
});

test('a notification to a domain that is gone is lost without harm', (t) => {
  const { front, world, domains, connect } = bench();
  connect();
  domains.machine.destroyDomain(domains.driver);
  const before = world.memory.u8.slice();
  front.notify();
  t.is(world.rung.length, 0);
  t.is(Buffer.compare(before, world.memory.u8), 0, 'no byte of anybody has changed');
});

test('a closed port says nothing, forgets its marks and may be given out again', (t) => {
  const { front, events, port, world, connect, domains } = bench();
  connect();
  events.mask(port);
  front.notify();
  events.close(port);
  t.is(events.remoteDomain(port), 0);
  t.is(events.allocate(domains.guest.domain), port);
  t.deepEqual([events.isPending(port), world.rung.length], [false, 0]);
});

test('255 ports and no more, each its own, none of them 0', (t) => {
  const { events, port, domains } = bench();
  const ports = new Set<number>([port]);
  for (let i = 2; i < MAX_EVENT_PORTS; i++) ports.add(events.allocate(domains.guest.domain));
  t.is(ports.size, 255);
  t.false(ports.has(0));
  t.throws(() => events.allocate(domains.guest.domain), { message: /at most 255/ });
});

test('a number that is no port leads nowhere', (t) => {
  const { events } = bench();
  for (const bad of [0, -1, 256, 1.5, Number.NaN]) t.is(events.remoteDomain(bad), 0);
});

test('marks, masks and wakes of all ports are independent of each other', (t) => {
  t.notThrows(() =>
    forSeeds(30, (random) => {
      const { events } = bench();
      const pending = new Set<number>();
      const masked = new Set<number>();
      for (let step = 0; step < 500; step++) {
        const port = random.pick([1, 31, 32, 33, 63, 64, 200, 255]) as EventPort;
        const draw = random.below(4);
        if (draw === 0) {
          const wakes = !pending.has(port) && !masked.has(port);
          check(events.raise(port) === wakes, 'wakes when it is news and not masked');
          pending.add(port);
        } else if (draw === 1) check(events.clearPending(port) === pending.delete(port), 'cleared');
        else if (draw === 2) {
          events.mask(port);
          masked.add(port);
        } else {
          events.unmask(port);
          masked.delete(port);
        }
        check(events.isPending(port) === pending.has(port), 'marked');
        const news = [...pending].some((one) => !masked.has(one));
        check(events.anyPending() === news, 'any news');
      }
    }),
  );
});

test('an end that says it looks is rung anew by the next notification', (t) => {
  const { front, connect, channel, events, port, world } = bench();
  connect();
  const back = channel(events, port);
  front.notify();
  front.notify();
  t.is(world.rung.length, 1);
  back.acknowledge();
  front.notify();
  t.is(world.rung.length, 2);
});

test('a page that was written over names no port beyond the last: nothing beside a page changes', (t) => {
  const { domains, world, guestPort, front } = bench();
  const { guestEvents } = domains;
  for (const port of [MAX_EVENT_PORTS, 4097, 0xfffe]) {
    guestEvents.connect(guestPort, domains.driver.domain, port as EventPort);
    const before = world.memory.u8.slice();
    front.notify();
    t.deepEqual(world.memory.u8, before, `port ${port}`);
  }
  t.deepEqual(world.rung, []);
});
