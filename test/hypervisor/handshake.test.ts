/**
 * The handshake, against front ends that take every legal short cut, events that come late, twice
 * or merged, and deaths of either side at any event of it. The scripted front end is a guest
 * without a program: the test writes its keys and its ring.
 */
import test, { type ExecutionContext } from 'ava';
import { type FrameNo, type GrantRef, NEVER } from '../../src/base/units.ts';
import { GuestFrames } from '../../src/guests/frames.ts';
import { VIRTUAL_DEVICE } from '../../src/hypervisor/disk-keys.ts';
import { DomainDirectory } from '../../src/hypervisor/machine.ts';
import { type GuestDomain } from '../../src/hypervisor/toolstack.ts';
import { backendPath, frontendPath, parseState, XenbusState } from '../../src/hypervisor/xenbus.ts';
import type { XenstoreClient } from '../../src/hypervisor/xenstore/client.ts';
import {
  BlkifOp,
  encodeDirect,
  encodeSegment,
  newEntry,
  responseStatus,
} from '../../src/ring/entries.ts';
import { EventPage, MemoryEventChannel } from '../../src/ring/event-page.ts';
import { FrontRing } from '../../src/ring/front-ring.ts';
import { GrantEntries, GrantTable } from '../../src/ring/grant-table.ts';
import { SidePage } from '../../src/ring/side-page.ts';
import type { HostedActor } from '../../src/world/actor.ts';
import { type Probe, SimBench, type SimBenchOptions } from '../helpers/sim-bench.ts';

const { initialising, initWait, initialised, connected, closing, closed } = XenbusState;

function idle(): HostedActor {
  return {
    start: () => Promise.resolve(),
    step: () => 'idle',
    nextDeadlineNs: () => NEVER,
    checkInvariants: () => undefined,
    finished: () => false,
    result: () => null,
    control: {},
  };
}

interface Ring {
  readonly refs: readonly GrantRef[];
  readonly keys: [string, string | number][];
  readonly ring: FrontRing;
  readonly channel: MemoryEventChannel;
}

class ScriptedFront {
  readonly bench: SimBench;
  readonly guest: GuestDomain;
  readonly path: string;
  readonly back: string;
  readonly store: XenstoreClient;
  readonly grants: GrantTable;
  readonly #frames: GuestFrames;

  constructor(bench: SimBench, guest: GuestDomain) {
    this.bench = bench;
    this.guest = guest;
    const { layout } = guest;
    this.store = bench.toolstack.xenstore.local();
    this.path = frontendPath(layout.domain, VIRTUAL_DEVICE);
    this.back = backendPath(this.#driver.domain, layout.domain, VIRTUAL_DEVICE);
    const { memory } = bench.world;
    this.grants = new GrantTable(
      new GrantEntries(memory, layout.grantTableAddress, layout.grantEntryCount),
    );
    this.#frames = new GuestFrames(layout.heapFrame, layout.heapEndFrame);
  }

  get #driver() {
    const driver = this.bench.toolstack.driver;
    if (driver === null) throw new Error('no driver VM');
    return driver.layout;
  }

  /** Makes a ring as the handshake of this epoch needs it. */
  makeRing(): Ring {
    const { memory, wake } = this.bench.world;
    const { u8, i32, u32 } = memory;
    const grant = (): { frame: FrameNo; ref: GrantRef } => {
      const frame = this.#frames.mustTake(1, 'a page');
      const ref = this.grants.grant(this.#driver.domain, frame, false);
      if (ref === null) throw new Error('no grant');
      return { frame, ref };
    };
    const [page, side] = [grant(), grant()];
    const view = (frame: FrameNo) => ({ u8, i32, u32, baseBytes: frame * 4096 });
    new SidePage(view(side.frame)).initialise(this.guest.ringEpoch, this.guest.frontId);
    const events = new EventPage(memory, this.guest.layout.eventPageAddress);
    const port = events.allocate(this.#driver.domain);
    const directory = new DomainDirectory(memory);
    return {
      refs: [page.ref, side.ref],
      keys: [
        [`${this.path}/ring-ref`, page.ref],
        [`${this.path}/side-ref0`, side.ref],
        [`${this.path}/event-channel`, port],
        [`${this.path}/front-epoch`, this.guest.ringEpoch],
      ],
      ring: new FrontRing(view(page.frame), 0),
      channel: new MemoryEventChannel(memory, directory, wake, events, port),
    };
  }

  /** Writes the ring's keys and a state at once. */
  async offer(ring: Ring, state: XenbusState): Promise<void> {
    await this.store.writeMany([...ring.keys, [`${this.path}/state`, state]]);
  }

  async setState(state: XenbusState): Promise<void> {
    await this.store.write(`${this.path}/state`, state);
  }

  /** Waits until the back end is in `state`; false after a second. */
  async backIs(state: XenbusState): Promise<boolean> {
    for (let i = 0; i < 1000; i++) {
      if (parseState(await this.store.read(`${this.back}/state`)) === state) return true;
      await this.bench.sleep(1e6);
    }
    return false;
  }

  /** Status of one read over the ring; null if it is not answered within 100 ms. */
  async serves({ ring, channel }: Ring): Promise<number | null> {
    const frame = this.#frames.mustTake(1, 'a page');
    const ref = this.grants.grant(this.#driver.domain, frame, false) as GrantRef;
    const entry = newEntry();
    encodeDirect(entry, BlkifOp.read, 1, 0, 5, 0);
    encodeSegment(entry, 0, ref, 0, 7);
    ring.put(entry);
    if (ring.push()) channel.notify();
    for (let i = 0; i < 100 && ring.unreadResponses() === 0; i++) await this.bench.sleep(1e6);
    if (ring.unreadResponses() === 0) return null;
    ring.take(entry);
    return responseStatus(entry);
  }

  /** Whether the back end holds none of the ring's pages. */
  takesBack(ring: Ring): boolean {
    return ring.refs.every((ref) => this.grants.end(ref));
  }
}

async function scripted(
  t: ExecutionContext,
  story: (front: ScriptedFront) => Promise<void>,
): Promise<void> {
  const bench = new SimBench({ guest: idle });
  await bench.run(t, async () => {
    await bench.startDriver();
    const front = new ScriptedFront(bench, await bench.createGuest('g0'));
    t.true(await front.backIs(initWait));
    await story(front);
  });
}

test('a front end that goes from 1 to 4 at once is connected', (t) =>
  scripted(t, async (front) => {
    const ring = front.makeRing();
    await front.offer(ring, connected);
    t.true(await front.backIs(connected));
    t.is(await front.serves(ring), 0);
  }));

test('states 3 and 4, seen as one, or each written twice, connect once', (t) =>
  scripted(t, async (front) => {
    const ring = front.makeRing();
    await Promise.all([
      front.offer(ring, initialised),
      front.setState(connected),
      front.setState(connected),
    ]);
    t.true(await front.backIs(connected));
    await front.setState(initialised);
    await front.setState(initialised);
    await front.setState(connected);
    await front.bench.sleep(20e6);
    t.is(await front.serves(ring), 0);
    const status = await front.bench.status();
    t.is(status.mappedGrants, 2, 'the ring and its side page, once');
  }));

test('closing in order gives every page back, and 1 begins again', (t) =>
  scripted(t, async (front) => {
    for (let round = 0; round < 3; round++) {
      const ring = front.makeRing();
      await front.offer(ring, initialised);
      t.true(await front.backIs(connected));
      await front.setState(connected);
      t.is(await front.serves(ring), 0);
      await front.setState(closing);
      t.true(await front.backIs(closing));
      t.true(front.takesBack(ring), 'pages are free when the back end is closing');
      await front.setState(closed);
      t.true(await front.backIs(closed));
      t.is((await front.bench.status()).mappedGrants, 0);
      await front.setState(initialising);
      t.true(await front.backIs(initWait));
    }
  }));

test('a front end that skips closing, or starts over without a word, is served again', (t) =>
  scripted(t, async (front) => {
    for (const way of [closed, initialising, closed]) {
      const ring = front.makeRing();
      await front.offer(ring, connected);
      t.true(await front.backIs(connected));
      t.is(await front.serves(ring), 0);
      await front.setState(way);
      t.true(await front.backIs(way === closed ? closed : initWait));
      t.true(front.takesBack(ring));
      await front.setState(initialising);
      t.true(await front.backIs(initWait));
    }
  }));

test('a front end that is refused is told why, and may begin again', (t) =>
  scripted(t, async (front) => {
    const ring = front.makeRing();
    const bad = { ...ring, keys: [...ring.keys] };
    bad.keys[2] = [`${front.path}/event-channel`, 'x'];
    await front.offer(bad, initialised);
    t.true(await front.backIs(closed));
    const reason = await front.store.read(`${front.back}/error`);
    t.regex(reason ?? '', /event-channel is "x"; expected a decimal number from 1 to 255/);
    t.true(front.takesBack(ring), 'nothing stays mapped');
    await front.setState(initialising);
    t.true(await front.backIs(initWait));
    const good = front.makeRing();
    await front.offer(good, initialised);
    t.true(await front.backIs(connected));
    t.is(await front.serves(good), 0);
  }));

test('keys of another epoch are left alone until the right ones come', (t) =>
  scripted(t, async (front) => {
    front.guest.ringEpoch = 5;
    const late = front.makeRing();
    late.keys[3] = [`${front.path}/front-epoch`, 0];
    front.guest.ringEpoch = 1;
    const ring = front.makeRing();
    ring.keys[1] = late.keys[1] as [string, number];
    await front.offer(ring, initialised);
    t.true(await front.backIs(closed), 'a side page of another epoch is refused');
    t.regex((await front.store.read(`${front.back}/error`)) ?? '', /not of this epoch/);
  }));

/** A guest meets its driver VM and its data is right; whatever happened before. */
async function works(probe: Probe, fill: number): Promise<boolean> {
  if ((await probe.write(0, 40, fill)) !== 0) return false;
  return probe.holds(0, 40, fill);
}

/** Brings up two guests on the way; `strike` arms what goes wrong. */
async function survives(
  t: ExecutionContext,
  options: SimBenchOptions,
  strike: (bench: SimBench) => void,
): Promise<void> {
  const bench = new SimBench(options);
  const { toolstack } = bench;
  await bench.run(t, async () => {
    strike(bench);
    await bench.startDriver();
    await bench.createGuest('g0', { front: { queues: 2 } });
    await bench.createGuest('g1', { disk: { kind: 'file' } });
    await bench.sleep(150e6);
    if (toolstack.driver?.exit !== null) await toolstack.restartDriver();
    const g0 = toolstack.guest('g0');
    if (g0.exit !== null) await toolstack.restartGuest('g0', g0.spec.config);
    t.true(await works(bench.probe('g1'), 1), `seed ${options.seed}`);
    t.true(await works(bench.probe('g0'), 2), `seed ${options.seed}`);
    await toolstack.destroyGuest('g0');
    t.true(await works(bench.probe('g1'), 3), `seed ${options.seed}`);
    const { disks } = await bench.status();
    t.is(disks.length, 1, 'a guest that is gone leaves no disk behind');
  });
}

test('events that come late, twice and merged do not disturb the handshake', async (t) => {
  for (let seed = 1; seed <= 15; seed++) {
    await survives(t, { seed, disturbed: true }, () => undefined);
  }
});

test('a driver VM that dies at any event of the handshake is replaced and serves', async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    await survives(t, { seed, disturbed: seed % 2 === 0 }, ({ simulator }) => {
      simulator.armKillAtEvent('h0/driver-vm', 1 + 3 * seed);
    });
  }
});

test('a guest that dies at any event of the handshake harms nobody and can be replaced', async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    await survives(t, { seed, disturbed: seed % 2 === 0 }, ({ simulator }) => {
      simulator.armKillAtEvent('g0', 1 + 2 * seed);
    });
  }
});
