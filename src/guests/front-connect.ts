/**
 * The front end's half of the handshake, and of starting over when the driver VM was replaced.
 *
 * ```
 * ring-epoch changes    give up the old rings, state Initialising (1)
 * back InitWait (2)     make rings, side pages, event channels; write their keys in one
 *                       transaction                                    -> state Initialised (3)
 * back Connected (4)    read features and size, hand the rings to blkfront -> state Connected (4)
 * back writes 4 again   read the size again
 * back 5 or 6           the disk is closed: everything fails
 * backend-alive = 0     the toolstack saw the driver VM's exit: give up the rings, wait
 * ```
 * Each `ring-epoch` is one attempt. A later epoch cancels the attempt before it at its next `await`
 * and takes everything back that it had made, so that a driver VM killed in the middle of a
 * handshake leaves nothing behind.
 */
import { StorageError } from '../base/errors.ts';
import type { DomainId, EventPort, FrameNo, GrantRef } from '../base/units.ts';
import type { DomainDirectory } from '../hypervisor/machine.ts';
import { BackendExtra, FrontendExtra } from '../hypervisor/stordom-keys.ts';
import {
  BackendKey,
  FrontendKey,
  parseInRange,
  queuePath,
  waitForState,
  watchState,
  watchValue,
  XenbusState,
} from '../hypervisor/xenbus.ts';
import type { Unwatch, XenstoreClient } from '../hypervisor/xenstore/client.ts';
import { hasErrno } from '../hypervisor/xenstore/errno.ts';
import { EventPage, MemoryEventChannel } from '../ring/event-page.ts';
import { FrontRing } from '../ring/front-ring.ts';
import type { GrantIssuer } from '../ring/ports.ts';
import { SidePage, sidePages } from '../ring/side-page.ts';
import type { PlantedBug } from '../world/faults.ts';
import type { World } from '../world/world.ts';
import type { Blkfront } from './blkfront.ts';
import type { GuestFrames } from './frames.ts';
import { FrontPages } from './front-pages.ts';
import { type BackFeatures, FrontQueue } from './front-queue.ts';

export interface FrontOptions {
  /** Rings wanted; the back end may allow fewer. */
  readonly queues: number;
  readonly ringOrder: number;
  readonly persistent: boolean;
  readonly trusted: boolean;
  /** Segments of an indirect request, at most; 0: do not use them. */
  readonly indirectSegments: number;
  readonly publish: 'each' | 'batch';
  /** Where ring indices begin: 0, or near 2^32 to run through the wrap. */
  readonly startIndex: number;
}

export interface FrontConnectParts {
  readonly world: World;
  readonly store: XenstoreClient;
  readonly path: string;
  readonly self: DomainId;
  readonly directory: DomainDirectory;
  readonly events: EventPage;
  readonly frames: GuestFrames;
  readonly grants: GrantIssuer;
  readonly blkfront: Blkfront;
  readonly options: FrontOptions;
  readonly plantedBug: PlantedBug;
  readonly onError: (thrown: unknown) => void;
}

interface Limits {
  readonly maxIndirectSegments: number;
  readonly maxQueues: number;
  readonly maxRingOrder: number;
}

interface MadeRing {
  /** The driver domain it was made for. */
  back: DomainId;
  readonly ringFrame: FrameNo;
  readonly sideFrame: FrameNo;
  readonly ringRefs: GrantRef[];
  readonly sideRefs: GrantRef[];
  port: EventPort;
  readonly ring: FrontRing;
  readonly side: SidePage;
  readonly channel: MemoryEventChannel;
}

/** Everything one attempt made, to be taken back when it ends. */
interface Attempt {
  readonly epoch: number;
  cancelled: boolean;
  readonly rings: MadeRing[];
  pages: FrontPages | null;
  readonly waits: { stop: () => Promise<void> }[];
  unwatch: Unwatch | null;
}

/** An attempt that a later one has replaced; never leaves this file. */
class Cancelled extends Error {}

export class FrontConnector {
  readonly #parts: FrontConnectParts;
  #attempt: Attempt | null = null;
  /** Rings that the planted bug `naive-reattach` goes on with. */
  #kept: Attempt | null = null;
  /** Pages whose grants a dead back end would not let go, over all attempts. */
  stuckPages = 0;
  /** Notifications sent to the driver VM, over all attempts. */
  #pastNotifications = 0;

  constructor(parts: FrontConnectParts) {
    this.#parts = parts;
  }

  get notifications(): number {
    const rings = this.#attempt?.rings ?? [];
    return rings.reduce((sum, ring) => sum + ring.channel.notifications, this.#pastNotifications);
  }

  /** Follows the toolstack's keys from now on. */
  async start(): Promise<void> {
    const { store, path, onError } = this.#parts;
    await watchValue(store, `${path}/${FrontendExtra.backendAlive}`, {
      onChange: (value) => {
        if (value === '0') this.#giveUpRings();
      },
      onError,
    });
    await watchValue(store, `${path}/${FrontendExtra.ringEpoch}`, {
      onChange: (value) => {
        const epoch = parseInRange(value, 1, 2 ** 32 - 1);
        if (epoch !== null && epoch > (this.#attempt?.epoch ?? 0)) this.#begin(epoch);
      },
      onError,
    });
  }

  #begin(epoch: number): void {
    this.#giveUpRings();
    const attempt: Attempt = {
      epoch,
      cancelled: false,
      rings: [],
      pages: null,
      waits: [],
      unwatch: null,
    };
    this.#attempt = attempt;
    this.#connect(attempt).catch((thrown: unknown) => this.#brokenOff(attempt, thrown));
  }

  /** What an attempt ends with is news only if nothing has replaced it and its driver VM lives. */
  #brokenOff(attempt: Attempt, thrown: unknown): void {
    if (thrown instanceof Cancelled || attempt.cancelled) return;
    const { world, onError } = this.#parts;
    // The driver VM died and its directory with it: the next epoch is on its way.
    if (hasErrno(thrown, 'EACCES')) world.log.note(`broken off at epoch ${attempt.epoch}`);
    else onError(thrown);
  }

  async #connect(attempt: Attempt): Promise<void> {
    const { store, path } = this.#parts;
    const step = async <T>(work: Promise<T>): Promise<T> => {
      const value = await work;
      if (attempt.cancelled) throw new Cancelled();
      return value;
    };
    const back = await step(store.read(`${path}/${FrontendKey.backend}`));
    const backId = await step(store.readNumber(`${path}/${FrontendKey.backendId}`));
    const frontId = await step(store.readNumber(`${path}/${FrontendExtra.frontId}`));
    if (back === null || backId === null || frontId === null) {
      throw new StorageError('E_INCOMPLETE_DEVICE', `${path} lacks keys of the toolstack`);
    }
    await step(store.write(`${path}/${FrontendKey.state}`, XenbusState.initialising));
    await this.#waitFor(attempt, back, (state) => state === XenbusState.initWait);
    const limits = await step(this.#readLimits(back));
    if (this.#kept === null) this.#makeRings(attempt, backId as DomainId, frontId, limits);
    else this.#reuseRings(this.#kept, attempt, backId as DomainId, frontId);
    await step(this.#writeKeys(attempt, limits));
    await step(store.write(`${path}/${FrontendKey.state}`, XenbusState.initialised));
    const state = await this.#waitFor(
      attempt,
      back,
      (seen) => seen === XenbusState.connected || seen >= XenbusState.closing,
    );
    if (state !== XenbusState.connected) throw await this.#refusal(back);
    const features = await step(this.#readFeatures(back, limits));
    this.#handOver(attempt, backId as DomainId, features);
    await step(store.write(`${path}/${FrontendKey.state}`, XenbusState.connected));
    attempt.unwatch = await step(this.#followBack(attempt, back, limits));
  }

  async #waitFor(
    attempt: Attempt,
    back: string,
    accept: (state: XenbusState) => boolean,
  ): Promise<XenbusState> {
    const path = `${back}/${BackendKey.state}`;
    const wait = await waitForState(this.#parts.store, path, accept);
    attempt.waits.push(wait);
    if (attempt.cancelled) {
      await wait.stop();
      throw new Cancelled();
    }
    const state = await wait.reached;
    if (attempt.cancelled) throw new Cancelled();
    return state;
  }

  async #readLimits(back: string): Promise<Limits> {
    const { store, options } = this.#parts;
    const read = async (key: string, max: number): Promise<number | null> =>
      parseInRange(await store.read(`${back}/${key}`), 0, max);
    const offered = (await read(BackendKey.featureMaxIndirectSegments, 4096)) ?? 0;
    return {
      maxIndirectSegments: Math.min(options.indirectSegments, offered),
      maxQueues: Math.max(1, (await read(BackendKey.multiQueueMaxQueues, 1024)) ?? 1),
      maxRingOrder: (await read(BackendKey.maxRingPageOrder, 8)) ?? 0,
    };
  }

  #makeRings(attempt: Attempt, back: DomainId, frontId: number, limits: Limits): void {
    const { options } = this.#parts;
    const queues = Math.min(options.queues, limits.maxQueues);
    const order = Math.min(options.ringOrder, limits.maxRingOrder);
    for (let i = 0; i < queues; i++) {
      attempt.rings.push(this.#makeRing(attempt.epoch, back, frontId, order));
    }
  }

  #makeRing(epoch: number, back: DomainId, frontId: number, order: number): MadeRing {
    const { world, frames, events, directory, options } = this.#parts;
    const ringPages = 2 ** order;
    const ringFrame = frames.mustTake(ringPages, 'a ring');
    const sideFrame = frames.mustTake(sidePages(order), 'a side page');
    const { u8, i32, u32 } = world.memory;
    const view = (frame: FrameNo) => ({ u8, i32, u32, baseBytes: frames.address(frame) });
    const ring = new FrontRing(view(ringFrame), order, options.startIndex);
    const side = new SidePage(view(sideFrame));
    side.initialise(epoch, frontId);
    const port = events.allocate(back);
    return {
      back,
      ringFrame,
      sideFrame,
      ringRefs: this.#grantRun(back, ringFrame, ringPages),
      sideRefs: this.#grantRun(back, sideFrame, sidePages(order)),
      port,
      ring,
      side,
      channel: new MemoryEventChannel(world.memory, directory, world.wake, events, port),
    };
  }

  /**
   * The planted bug `naive-reattach`: what a driver domain's restart looks like when nobody tells
   * the front end. The successor is given the old rings as they are and begins at `rsp_prod`, so
   * requests answered out of order run again and others never do (the shared-slot hazard of blkif).
   */
  #reuseRings(kept: Attempt, attempt: Attempt, back: DomainId, frontId: number): void {
    const { grants, events } = this.#parts;
    for (const ring of kept.rings) {
      grants.handOver(ring.back, back);
      events.close(ring.port);
      ring.back = back;
      ring.port = events.allocate(back);
      ring.channel.rebind(ring.port);
      ring.side.initialise(attempt.epoch, frontId);
      attempt.rings.push(ring);
    }
    kept.pages?.setGrantee(back);
    attempt.pages = kept.pages;
  }

  #grantRun(back: DomainId, first: FrameNo, pages: number): GrantRef[] {
    const refs: GrantRef[] = [];
    for (let page = 0; page < pages; page++) {
      const ref = this.#parts.grants.grant(back, (first + page) as FrameNo, false);
      if (ref === null) {
        throw new StorageError('E_GRANT_TABLE_FULL', 'no grant entry left for a ring page');
      }
      refs.push(ref);
    }
    return refs;
  }

  /** All keys at once: the back end never sees half of them. */
  async #writeKeys(attempt: Attempt, limits: Limits): Promise<void> {
    const { path, options, store } = this.#parts;
    const order = Math.min(options.ringOrder, limits.maxRingOrder);
    const entries: [string, string | number][] = [
      [`${path}/${FrontendKey.protocol}`, 'x86_64-abi'],
      [`${path}/${FrontendKey.featurePersistent}`, options.persistent ? 1 : 0],
      [`${path}/${FrontendKey.ringPageOrder}`, order],
      [`${path}/${FrontendKey.multiQueueNumQueues}`, attempt.rings.length],
      [`${path}/${FrontendExtra.frontEpoch}`, attempt.epoch],
    ];
    attempt.rings.forEach((ring, i) => {
      const base = attempt.rings.length === 1 ? path : `${path}/${queuePath(i)}`;
      ring.ringRefs.forEach((ref, page) => {
        const key = order === 0 ? FrontendKey.ringRef : `${FrontendKey.ringRef}${page}`;
        entries.push([`${base}/${key}`, ref]);
      });
      ring.sideRefs.forEach((ref, page) => {
        entries.push([`${base}/${FrontendExtra.sideRef}${page}`, ref]);
      });
      entries.push([`${base}/${FrontendKey.eventChannel}`, ring.port]);
    });
    await store.writeMany(entries);
  }

  async #readFeatures(back: string, limits: Limits): Promise<BackFeatures> {
    const { store } = this.#parts;
    const flag = async (key: string): Promise<boolean> =>
      (await store.read(`${back}/${key}`)) === '1';
    const number = async (key: string, absent: number): Promise<number> =>
      parseInRange(await store.read(`${back}/${key}`), 0, Number.MAX_SAFE_INTEGER) ?? absent;
    return {
      sectors: await number(BackendKey.sectors, 0),
      sectorSizeBytes: await number(BackendKey.sectorSize, 512),
      readonly: ((await number(BackendKey.info, 0)) & 4) !== 0,
      flush: await flag(BackendKey.featureFlushCache),
      barrier: await flag(BackendKey.featureBarrier),
      discard: await flag(BackendKey.featureDiscard),
      fua: await flag(BackendExtra.featureFua),
      maxIndirectSegments: limits.maxIndirectSegments,
    };
  }

  #handOver(attempt: Attempt, back: DomainId, features: BackFeatures): void {
    const { world, frames, grants, blkfront, options } = this.#parts;
    if (attempt.pages !== null) return this.#wakeSelf();
    const pages = new FrontPages(world.memory, grants, frames, back, {
      persistent: options.persistent,
      trusted: options.trusted,
    });
    attempt.pages = pages;
    const queues = attempt.rings.map(
      ({ ring, side, channel }) =>
        new FrontQueue({
          world,
          ring,
          side,
          channel,
          pages,
          features,
          publish: options.publish,
          partDone: (request, status) => blkfront.partDone(request, status),
        }),
    );
    blkfront.connect(queues, features);
    this.#wakeSelf();
  }

  /** After the connection: size changes and closing. */
  #followBack(attempt: Attempt, back: string, limits: Limits): Promise<Unwatch> {
    const { store, blkfront, onError } = this.#parts;
    const onState = (state: XenbusState): void => {
      if (attempt.cancelled) return;
      if (state === XenbusState.closing || state === XenbusState.closed) {
        blkfront.fail();
        this.#wakeSelf();
      }
    };
    const onTouch = (): void => {
      this.#readFeatures(back, limits).then(
        (features) => {
          if (!attempt.cancelled) blkfront.refreshFeatures(features);
        },
        (thrown: unknown) => this.#brokenOff(attempt, thrown),
      );
    };
    return watchState(store, `${back}/${BackendKey.state}`, onState, onError, onTouch);
  }

  async #refusal(back: string): Promise<StorageError> {
    const reason = await this.#parts.store.read(`${back}/${BackendExtra.error}`);
    return new StorageError(
      'E_BACK_CLOSED',
      `the back end closed the disk: ${reason ?? 'no reason given'}`,
    );
  }

  /** Ends the attempt: reads the last responses, takes back what it had made. */
  #giveUpRings(): void {
    const attempt = this.#attempt;
    if (attempt === null || attempt.cancelled) return;
    attempt.cancelled = true;
    const keeps = this.#parts.plantedBug === 'naive-reattach' && attempt.pages !== null;
    this.#kept = keeps ? attempt : null;
    if (!keeps) this.#parts.blkfront.suspend();
    for (const wait of attempt.waits) wait.stop().catch(this.#parts.onError);
    attempt.unwatch?.().catch(this.#parts.onError);
    if (keeps) return;
    if (attempt.pages !== null && !attempt.pages.close()) this.stuckPages += attempt.pages.stuck;
    for (const made of attempt.rings) this.#takeBack(made);
    this.#wakeSelf();
  }

  #takeBack(made: MadeRing): void {
    const { frames, grants, events } = this.#parts;
    this.#pastNotifications += made.channel.notifications;
    made.channel.notifications = 0;
    let stuck = 0;
    for (const ref of [...made.ringRefs, ...made.sideRefs]) if (!grants.end(ref)) stuck++;
    events.close(made.port);
    this.stuckPages += stuck;
    if (stuck > 0) return;
    frames.give(made.ringFrame);
    frames.give(made.sideFrame);
  }

  /** Stories run between steps; after them the guest must look again. */
  #wakeSelf(): void {
    this.#parts.events.touchBell();
    this.#parts.world.wake.ring(this.#parts.events.bellAddress);
  }
}
