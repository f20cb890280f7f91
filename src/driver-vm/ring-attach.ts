/**
 * From checked keys to rings that are served, and back: mapping the pages, binding the event
 * channel, making the queue, entering it in the rounds.
 */
import { StorageError } from '../base/errors.ts';
import { present } from '../base/invariant.ts';
import { type DomainId, type EventPort, type GrantRef, MS } from '../base/units.ts';
import type { DomainDirectory } from '../hypervisor/machine.ts';
import { BackRing } from '../ring/back-ring.ts';
import { EventPage, MemoryEventChannel } from '../ring/event-page.ts';
import { ringSlots } from '../ring/layout.ts';
import type { GrantMapper, MappedPages } from '../ring/ports.ts';
import { SidePage } from '../ring/side-page.ts';
import type { World } from '../world/world.ts';
import { BackQueue, type PublishMode } from './back-queue.ts';
import { PersistentGrants } from './persistent-grants.ts';
import { giveQueuePages, type QueuePages, queuePageCount, takeQueuePages } from './queue-pages.ts';
import type { QueueKeys, RingKeys } from './ring-keys.ts';
import type { Rounds } from './rounds.ts';
import type { StagingMemory } from './staging.ts';
import type { Vbd } from './vbd.ts';

export interface ConnectedRings {
  readonly vbd: Vbd;
  readonly pages: MappedPages[];
  readonly ports: EventPort[];
  readonly channels: MemoryEventChannel[];
}

export interface AttacherParts {
  readonly world: World;
  /** The driver domain. */
  readonly self: DomainId;
  readonly directory: DomainDirectory;
  readonly events: EventPage;
  readonly grants: GrantMapper;
  readonly staging: StagingMemory;
  readonly rounds: Rounds;
  readonly publish: PublishMode;
}

/** How often it looks whether there is room for a ring that has to wait for it. */
const ROOM_LOOK_NS = MS;

export class RingAttacher {
  readonly #parts: AttacherParts;

  constructor(parts: AttacherParts) {
    this.#parts = parts;
  }

  /**
   * Throws `StorageError`, with everything given back, when a page or channel is not what it should
   * be or the rings want more of the driver VM's memory than is this disk's share. Waits while the
   * payloads of others are in the way.
   */
  async attach(
    vbd: Vbd,
    guest: DomainId,
    ringEpoch: number,
    keys: RingKeys,
  ): Promise<ConnectedRings> {
    const spare = await this.#takePages(guest, keys);
    const rings: ConnectedRings = { vbd, pages: [], ports: [], channels: [] };
    try {
      for (const queue of keys.queues)
        this.#attachQueue(rings, guest, ringEpoch, keys, queue, spare);
    } catch (thrown) {
      this.#parts.rounds.remove(vbd);
      for (const queue of vbd.queues) {
        queue.halt('the disk could not be connected');
        queue.close();
      }
      vbd.queues.length = 0;
      for (const pages of spare) giveQueuePages(this.#parts.staging, pages);
      this.#release(rings);
      throw thrown;
    }
    return rings;
  }

  /** Stops serving the rings; settles when nothing of them runs and all pages are given back. */
  async detach(rings: ConnectedRings, reason: string): Promise<void> {
    this.#parts.rounds.remove(rings.vbd);
    await rings.vbd.stopQueues(reason);
    this.#release(rings);
  }

  #attachQueue(
    rings: ConnectedRings,
    guest: DomainId,
    ringEpoch: number,
    keys: RingKeys,
    queueKeys: QueueKeys,
    spare: QueuePages[],
  ): void {
    const { world, grants, staging, rounds, publish } = this.#parts;
    const view = this.#map(rings, guest, queueKeys.ringRefs, 'ring').view;
    const side = this.#mapSide(rings, guest, ringEpoch, queueKeys);
    const channel = this.#bind(rings, guest, queueKeys.eventChannel);
    const queue = new BackQueue({
      world,
      vbd: rings.vbd,
      index: rings.vbd.queues.length,
      ring: new BackRing(view, keys.order),
      side,
      channel,
      grants,
      granter: guest,
      persistent: keys.persistent ? new PersistentGrants(grants, guest) : null,
      staging,
      pages: present(spare.pop(), 'pages were taken for every queue'),
      publish,
    });
    rings.vbd.queues.push(queue);
    rounds.add(queue, rings.vbd, rings.ports[rings.ports.length - 1] as EventPort);
  }

  /** Staging memory for all queues, or for none. */
  async #takePages(guest: DomainId, keys: RingKeys): Promise<QueuePages[]> {
    const { staging, world } = this.#parts;
    const slots = ringSlots(keys.order);
    const wanted = keys.queues.length * queuePageCount(slots);
    if (!staging.mayReserve(wanted)) {
      throw new StorageError(
        'E_STAGING_FULL',
        `the rings of domain ${guest} want ${wanted} pages of the driver VM, more than half ` +
          'of what other rings left; ask for fewer or smaller rings, or give the driver VM ' +
          'more memory',
        { fields: { guest, wanted } },
      );
    }
    for (;;) {
      const taken: QueuePages[] = [];
      while (taken.length < keys.queues.length) {
        const pages = takeQueuePages(staging, slots);
        if (pages === null) break;
        taken.push(pages);
      }
      if (taken.length === keys.queues.length) return taken;
      for (const pages of taken) giveQueuePages(staging, pages);
      await world.timers.sleep(ROOM_LOOK_NS);
    }
  }

  #map(
    rings: ConnectedRings,
    guest: DomainId,
    refs: readonly GrantRef[],
    what: string,
  ): MappedPages {
    const mapped = this.#parts.grants.mapSideBySide(guest, refs);
    if (typeof mapped === 'number') {
      throw new StorageError('E_RING_GRANT', `cannot map the ${what} pages of domain ${guest}`, {
        fields: { guest, grantStatus: mapped, refs: refs.join(' ') },
      });
    }
    rings.pages.push(mapped);
    return mapped;
  }

  #mapSide(
    rings: ConnectedRings,
    guest: DomainId,
    ringEpoch: number,
    keys: QueueKeys,
  ): SidePage | null {
    if (keys.sideRefs.length === 0) return null;
    const side = new SidePage(this.#map(rings, guest, keys.sideRefs, 'side').view);
    if (!side.wellFormed || side.ringEpoch !== ringEpoch) {
      throw new StorageError(
        'E_SIDE_PAGE',
        `the side page of domain ${guest} is not of this epoch`,
        {
          fields: { guest, expectedEpoch: ringEpoch, foundEpoch: side.ringEpoch },
        },
      );
    }
    return side;
  }

  #bind(rings: ConnectedRings, guest: DomainId, remotePort: EventPort): MemoryEventChannel {
    const { world, self, directory, events } = this.#parts;
    const guestPage = directory.eventPageOf(guest);
    if (guestPage === null) {
      throw new StorageError('E_EVENT_CHANNEL', `domain ${guest} is gone`, { fields: { guest } });
    }
    const remote = new EventPage(world.memory, guestPage);
    if (remote.remoteDomain(remotePort) !== self) {
      throw new StorageError(
        'E_EVENT_CHANNEL',
        `event channel ${remotePort} of domain ${guest} was not made for domain ${self}`,
        { fields: { guest, port: remotePort } },
      );
    }
    const port = events.allocate(guest);
    events.connect(port, guest, remotePort);
    remote.connect(remotePort, self, port);
    rings.ports.push(port);
    const channel = new MemoryEventChannel(world.memory, directory, world.wake, events, port);
    rings.channels.push(channel);
    return channel;
  }

  #release(rings: ConnectedRings): void {
    for (const pages of rings.pages.splice(0)) this.#parts.grants.unmapAll(pages);
    for (const port of rings.ports.splice(0)) this.#parts.events.close(port);
  }
}
