/**
 * Rings between a guest and a driver domain in one thread: the pages and both ends of each, a
 * driver VM that serves them (`BackServer`), or one that does what a test says (`ScriptedBack`).
 */
import { present } from '../../src/base/invariant.ts';
import {
  type EventPort,
  type FrameNo,
  type Generation,
  type GrantRef,
  u32,
} from '../../src/base/units.ts';
import { BackQueue, type PublishMode } from '../../src/driver-vm/back-queue.ts';
import { DiskOrder } from '../../src/driver-vm/order.ts';
import { PersistentGrants } from '../../src/driver-vm/persistent-grants.ts';
import { takeQueuePages } from '../../src/driver-vm/queue-pages.ts';
import { Rounds } from '../../src/driver-vm/rounds.ts';
import { StagingMemory } from '../../src/driver-vm/staging.ts';
import { type DiskLimit, NO_LIMIT, TokenBucket } from '../../src/driver-vm/token-bucket.ts';
import { Vbd } from '../../src/driver-vm/vbd.ts';
import { BackRing } from '../../src/ring/back-ring.ts';
import { EventPage, MemoryEventChannel } from '../../src/ring/event-page.ts';
import { FrontRing } from '../../src/ring/front-ring.ts';
import type { RingView } from '../../src/ring/ports.ts';
import { SidePage, sidePages } from '../../src/ring/side-page.ts';
import type { BlockDevice } from '../../src/world/block-device.ts';
import type { OrderTap } from '../../src/world/history.ts';
import type { TwoDomains } from './domains.ts';

/** One ring as the front end makes it. */
export interface MadeRing {
  readonly order: number;
  readonly view: RingView;
  readonly sideView: RingView;
  readonly ring: FrontRing;
  readonly side: SidePage;
  readonly port: EventPort;
  readonly channel: MemoryEventChannel;
  readonly refs: readonly GrantRef[];
  readonly ringFrame: FrameNo;
  readonly sideFrame: FrameNo;
}

export function makeRing(domains: TwoDomains, order = 0, startIndex = 0): MadeRing {
  const { frames, grants, guestEvents, world, directory, driver } = domains;
  const ringFrame = frames.mustTake(2 ** order, 'a ring');
  const sideFrame = frames.mustTake(sidePages(order), 'a side page');
  const refs: GrantRef[] = [];
  const grantRun = (first: FrameNo, pages: number): void => {
    for (let page = 0; page < pages; page++) {
      const ref = grants.grant(driver.domain, (first + page) as FrameNo, false);
      if (ref === null) throw new Error('the grant table of the test is full');
      refs.push(ref);
    }
  };
  grantRun(ringFrame, 2 ** order);
  grantRun(sideFrame, sidePages(order));
  const view = domains.viewAt(ringFrame);
  const sideView = domains.viewAt(sideFrame);
  const side = new SidePage(sideView);
  side.initialise(1, 1);
  const port = guestEvents.allocate(driver.domain);
  return {
    order,
    view,
    sideView,
    ring: new FrontRing(view, order, startIndex),
    side,
    port,
    channel: new MemoryEventChannel(world.memory, directory, world.wake, guestEvents, port),
    refs,
    ringFrame,
    sideFrame,
  };
}

/** Takes a ring's pages back once its back end is gone. */
export function takeBack(domains: TwoDomains, made: MadeRing): void {
  for (const ref of made.refs) {
    if (!domains.grants.end(ref)) throw new Error('a dead back end has a ring page mapped');
  }
  domains.guestEvents.close(made.port);
  domains.frames.give(made.ringFrame);
  domains.frames.give(made.sideFrame);
}

export interface ServeOptions {
  readonly weight?: number;
  readonly limit?: DiskLimit;
  readonly tap?: OrderTap;
  readonly persistent?: boolean;
  readonly publish?: PublishMode;
  readonly maxIndirectSegments?: number;
}

/** The serving part of a driver VM, without the store. */
export class BackServer {
  readonly events: EventPage;
  readonly rounds: Rounds;
  readonly staging: StagingMemory;
  readonly #domains: TwoDomains;

  constructor(domains: TwoDomains) {
    this.#domains = domains;
    const { driver, world } = domains;
    this.events = new EventPage(world.memory, driver.eventPageAddress);
    this.rounds = new Rounds(this.events);
    this.staging = new StagingMemory(driver.heapFrame, driver.heapEndFrame, () => {
      if (this.rounds.anyHeld) this.rounds.lookAtAll();
    });
  }

  disk(device: BlockDevice, options: ServeOptions = {}): Vbd {
    const nowNs = this.#domains.world.nowNs;
    return new Vbd({
      name: 'disk',
      device,
      order: new DiskOrder(options.tap ?? null, 1, 1, u32<Generation>(1), false),
      bucket: new TokenBucket(options.limit ?? NO_LIMIT, nowNs),
      maxIndirectSegments: options.maxIndirectSegments ?? 256,
      weight: options.weight ?? 1,
    });
  }

  serve(made: MadeRing, vbd: Vbd, options: ServeOptions = {}): BackQueue {
    const { world, mapper, guest, directory, guestEvents, driver } = this.#domains;
    const port = this.events.allocate(guest.domain);
    this.events.connect(port, guest.domain, made.port);
    guestEvents.connect(made.port, driver.domain, port);
    const queue = new BackQueue({
      world,
      vbd,
      index: vbd.queues.length,
      ring: new BackRing(made.view, made.order),
      side: new SidePage(made.sideView),
      channel: new MemoryEventChannel(world.memory, directory, world.wake, this.events, port),
      grants: mapper,
      granter: guest.domain,
      persistent: options.persistent === true ? new PersistentGrants(mapper, guest.domain) : null,
      staging: this.staging,
      pages: present(takeQueuePages(this.staging, made.ring.slots), 'the heap holds every ring'),
      publish: options.publish ?? 'each',
    });
    vbd.queues.push(queue);
    this.rounds.add(queue, vbd, port);
    return queue;
  }

  /** Steps until there is nothing to do now. */
  settle(budget = 64): void {
    const { clock } = this.#domains.world;
    for (let i = 0; i < 100_000; i++) {
      if (this.rounds.step(budget, clock.nowNs()) === 'idle') return;
    }
    throw new Error('the driver VM never becomes idle');
  }
}
