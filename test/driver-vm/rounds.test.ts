import test from 'ava';
import { NullDevice } from '../../src/driver-vm/devices/null-device.ts';
import { SAFETY_LOOK_NS } from '../../src/driver-vm/rounds.ts';
import {
  BlkifOp,
  encodeDirect,
  encodeIndirect,
  encodeIndirectRef,
  encodeSegment,
  newEntry,
  segmentRange,
} from '../../src/ring/entries.ts';
import { type BlockDevice, type DeviceRequest } from '../../src/world/block-device.ts';
import { TwoDomains } from '../helpers/domains.ts';
import { BackServer, type MadeRing, makeRing, type ServeOptions } from '../helpers/ring-bench.ts';

const MS = 1e6;
const QUANTUM = 16;

/** A front end that keeps its ring full of reads of one sector. */
class Flood {
  readonly made: MadeRing;
  readonly #ref: number;
  readonly #entry = newEntry();
  #nextId = 0;

  constructor(domains: TwoDomains) {
    this.made = makeRing(domains);
    this.#ref = domains.grantPage().ref;
  }

  /** Puts up to `count` requests; `notify` as a front end does, or never. */
  put(count: number, notify = true): void {
    const { ring, channel } = this.made;
    while (ring.unreadResponses() > 0) ring.take(this.#entry);
    for (let i = 0; i < count && ring.freeSlots > 0; i++) {
      encodeDirect(this.#entry, BlkifOp.read, 1, 0, this.#nextId++, 0);
      encodeSegment(this.#entry, 0, this.#ref, 0, 0);
      ring.put(this.#entry);
    }
    if (ring.push() && notify) channel.notify();
  }
}

interface Guests {
  readonly domains: TwoDomains;
  readonly server: BackServer;
  readonly floods: Flood[];
}

/** One disk and one ring for each of `options`. */
function guestsOf(options: readonly ServeOptions[]): Guests {
  const domains = new TwoDomains(256, 1024);
  const server = new BackServer(domains);
  const floods = options.map((option) => {
    const flood = new Flood(domains);
    const device = new NullDevice(domains.world.memory, 1000);
    server.serve(flood.made, server.disk(device, option), option);
    return flood;
  });
  return { domains, server, floods };
}

function answered(flood: Flood): number {
  return flood.made.ring.unreadResponses();
}

test('rings that always have work share the requests by their weights', (t) => {
  const { domains, server, floods } = guestsOf([{ weight: 1 }, { weight: 2 }, { weight: 1 }]);
  const served = [0, 0, 0];
  for (let turn = 0; turn < 300; turn++) {
    floods.forEach((flood, at) => {
      served[at] = (served[at] ?? 0) + answered(flood);
      flood.put(32);
    });
    server.rounds.step(4 * QUANTUM, domains.world.clock.nowNs());
  }
  const [one = 0, two = 0, three = 0] = served;
  t.true(Math.abs(two / one - 2) < 0.05, `${two} to ${one}`);
  t.true(Math.abs(three / one - 1) < 0.05, `${three} to ${one}`);
});

test('nine flooding rings delay a request of the tenth by at most a quantum each', (t) => {
  const { domains, server, floods } = guestsOf(Array.from({ length: 10 }, () => ({})));
  const quiet = floods[9] as Flood;
  for (let turn = 0; turn < 20; turn++) {
    for (const flood of floods.slice(0, 9)) flood.put(32);
    quiet.put(1);
    let before = 0;
    while (answered(quiet) === 0) {
      t.not(server.rounds.step(8, domains.world.clock.nowNs()), 'idle');
      before += 8;
      for (const flood of floods.slice(0, 9)) flood.put(32);
      if (before > 10 * QUANTUM) return t.fail(`${before} requests came first`);
    }
  }
  t.pass();
});

test('a ring with nothing to do goes idle, and its bell brings it back', (t) => {
  const { server, floods } = guestsOf([{}, {}]);
  server.settle();
  (floods[1] as Flood).put(3);
  t.is(server.rounds.step(64, 0 as never), 'again');
  t.is(answered(floods[1] as Flood), 3);
  t.is(answered(floods[0] as Flood), 0);
});

test('a request whose bell was lost is served at the safety look, 50 ms later at most', (t) => {
  const { domains, server, floods } = guestsOf([{}]);
  const flood = floods[0] as Flood;
  server.settle();
  flood.put(1, false);
  domains.world.advance(SAFETY_LOOK_NS - 1);
  server.settle();
  t.is(answered(flood), 0);
  const deadlineNs = server.rounds.nextDeadlineNs();
  t.true(deadlineNs <= SAFETY_LOOK_NS, 'the driver VM asks to be woken for it');
  domains.world.advance(1);
  server.settle();
  t.is(answered(flood), 1);
});

test('each safety look shows the front end a heartbeat', (t) => {
  const { domains, server, floods } = guestsOf([{}]);
  const { side } = (floods[0] as Flood).made;
  server.settle();
  const before = side.heartbeat;
  for (let i = 0; i < 5; i++) {
    domains.world.advance(SAFETY_LOOK_NS);
    server.settle();
  }
  t.is(side.heartbeat, before + 5);
});

test('pages that a guest has not used for a minute are given back at a safety look', (t) => {
  const { domains, server, floods } = guestsOf([{ persistent: true }]);
  (floods[0] as Flood).put(1);
  server.settle();
  t.is(domains.mapper.mappedCount, 1);
  domains.world.advance(60_000 * MS);
  server.settle();
  t.is(domains.mapper.mappedCount, 1, 'a minute is not over a minute');
  domains.world.advance(SAFETY_LOOK_NS);
  server.settle();
  t.is(domains.mapper.mappedCount, 0);
});

/** Rings the bell with nothing behind it until the port is masked. Returns how often. */
function ringUntilMasked({ domains, server, floods }: Guests): number {
  const { channel } = (floods[0] as Flood).made;
  const before = server.rounds.masked;
  for (let rings = 1; rings <= 200; rings++) {
    channel.notify();
    server.rounds.step(64, domains.world.clock.nowNs());
    if (server.rounds.masked > before) return rings;
  }
  return Number.POSITIVE_INFINITY;
}

test('a bell that rings 65 times for nothing is masked, and then wakes nobody', (t) => {
  const guests = guestsOf([{}, {}]);
  guests.server.settle();
  t.is(ringUntilMasked(guests), 65);
  const { rung } = guests.domains.world;
  rung.length = 0;
  const { channel } = (guests.floods[0] as Flood).made;
  for (let i = 0; i < 100; i++) {
    channel.notify();
    guests.server.rounds.step(64, guests.domains.world.clock.nowNs());
  }
  t.is(rung.length, 0);
  (guests.floods[1] as Flood).put(1);
  t.is(rung.length, 1, 'the bell of another ring does wake');
});

test('work behind a masked bell is served when the mask ends: 1 ms, then longer to 32 ms', (t) => {
  const guests = guestsOf([{}]);
  const { domains, server } = guests;
  server.settle();
  for (const maskMs of [1, 2, 4, 8, 16, 32, 32]) {
    t.is(ringUntilMasked(guests), 65, `before the mask of ${maskMs} ms`);
    const { nowNs } = domains.world;
    t.true(server.rounds.nextDeadlineNs() <= nowNs + maskMs * MS);
    if (maskMs === 32) {
      (guests.floods[0] as Flood).put(1);
      domains.world.advance(maskMs * MS - 1);
      server.rounds.step(64, domains.world.clock.nowNs());
      domains.world.advance(1);
      server.settle();
      t.is(answered(guests.floods[0] as Flood), 1);
      return;
    }
    domains.world.advance(maskMs * MS);
    server.settle();
  }
});

test('real work forgives a bell its empty rings', (t) => {
  const guests = guestsOf([{}]);
  guests.server.settle();
  const flood = guests.floods[0] as Flood;
  for (let i = 0; i < 60; i++) {
    flood.made.channel.notify();
    guests.server.settle();
  }
  flood.put(1);
  guests.server.settle();
  t.is(ringUntilMasked(guests), 65);
});

test('a limited ring is looked at when its limit allows, not before, and asks for that time', (t) => {
  const limit = { requestsPerSecond: 1000, bytesPerSecond: 0 };
  const { domains, server, floods } = guestsOf([{ limit }]);
  const flood = floods[0] as Flood;
  let served = 0;
  for (let turn = 0; turn < 1000; turn++) {
    served += answered(flood);
    flood.put(32);
    server.settle();
    const deadlineNs = server.rounds.nextDeadlineNs();
    t.true(deadlineNs > domains.world.nowNs, 'a deadline that has passed would be a busy wait');
    // A flooding guest puts more at least each millisecond.
    domains.world.advance(Math.min(deadlineNs - domains.world.nowNs, MS));
  }
  const seconds = domains.world.nowNs / 1e9;
  const rate = (served - 100) / seconds;
  t.true(rate > 950 && rate < 1010, `${rate} a second`);
});

/** Takes requests and keeps them. */
class Slow implements BlockDevice {
  readonly info: BlockDevice['info'] = {
    kind: 'slow',
    sectors: 100_000,
    sectorSizeBytes: 512,
    readonly: false,
    flush: true,
    discard: true,
    ordersItself: false,
  };
  readonly taken: DeviceRequest[] = [];
  submit(request: DeviceRequest): void {
    this.taken.push(request);
  }
  resize(): Promise<void> {
    return Promise.resolve();
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Puts reads of 256 sectors each, 32 pages, all into the same page of the guest. */
function putLarge(domains: TwoDomains, made: MadeRing, count: number): void {
  const { ref } = domains.grantPage();
  const descriptors = domains.grantPage();
  const words = domains.world.memory.u32;
  for (let i = 0; i < 32; i++) {
    words[descriptors.frame * 1024 + 2 * i] = ref;
    words[descriptors.frame * 1024 + 2 * i + 1] = segmentRange(0, 7);
  }
  const entry = newEntry();
  for (let id = 0; id < count; id++) {
    encodeIndirect(entry, BlkifOp.read, 32, 0, id, 256 * id);
    encodeIndirectRef(entry, 0, descriptors.ref);
    made.ring.put(entry);
  }
  if (made.ring.push()) made.channel.notify();
}

test('a ring that is held for staging memory goes on in order, and loses nothing', (t) => {
  const domains = new TwoDomains(256, 128);
  const server = new BackServer(domains);
  const made = makeRing(domains);
  const device = new Slow();
  const queue = server.serve(made, server.disk(device));
  putLarge(domains, made, 10);
  server.settle();
  t.true(queue.isHeld && server.rounds.anyHeld);
  const order: number[] = [];
  while (device.taken.length > 0) {
    t.true(device.taken.length <= 2, 'no more than fits is in flight');
    const next = device.taken.shift() as DeviceRequest;
    order.push(next.lba / 256);
    next.deviceDone(0);
    server.settle();
    queue.checkInvariants();
  }
  t.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  t.is(made.ring.unreadResponses(), 10);
});
