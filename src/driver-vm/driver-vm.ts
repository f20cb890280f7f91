/**
 * The driver VM: the domain that owns the disks of a host and serves them to its guests.
 *
 * It learns of its disks from the store, as a Xen driver domain does: the toolstack makes a
 * directory below `backend/vbd`, a watch fires, a `BackDisk` opens the device and meets the guest's
 * front end. Requests never pass through the store or the control plane: only rings.
 *
 * It may be killed at any instruction. Nothing here is needed by its successor: the rings' owners
 * replay, the devices keep what they have.
 */
import { invariant } from '../base/invariant.ts';
import {
  type DomainId,
  type FrameNo,
  frameToAddress,
  type Nanos,
  NEVER,
  PAGE_BYTES,
} from '../base/units.ts';
import { DomainDirectory, type DomainLayout } from '../hypervisor/machine.ts';
import { parseState, XenbusState } from '../hypervisor/xenbus.ts';
import { XenstoreClient } from '../hypervisor/xenstore/client.ts';
import { POOL_DISK } from '../parallax/disk-names.ts';
import { embeddedOpener } from '../parallax/pool/embedded-store.ts';
import type { PoolOpener } from '../parallax/pool/store-pool.ts';
import type { BlockRun, ExtentKind } from '../parallax/vdi/extents.ts';
import type { ImageStatus } from '../parallax/vdi/served-image.ts';
import { ramBytes } from '../parallax/vdi/sizes.ts';
import { EventPage } from '../ring/event-page.ts';
import { MemoryGrantMapper } from '../ring/grant-mapper.ts';
import type { HostedActor, StepResult } from '../world/actor.ts';
import type { Directory } from '../world/directory.ts';
import { DIRECTORY_LINK, DirectoryClient } from '../world/directory-client.ts';
import type { PlantedBug } from '../world/faults.ts';
import { OrderTap } from '../world/history.ts';
import type { World } from '../world/world.ts';
import { BackDisk } from './back-connect.ts';
import type { PublishMode, QueueCounters } from './back-queue.ts';
import type { Delays } from './filters/delay-filter.ts';
import type { ErrorRule } from './filters/error-filter.ts';
import type { MediumTrouble } from './filters/medium-filter.ts';
import type { DeviceStats } from './filters/stats-filter.ts';
import { type DriverStore, ImageServer, type StoreStatus } from './image-server.ts';
import { petalOpener } from './petal-opener.ts';
import { RingAttacher } from './ring-attach.ts';
import { Rounds } from './rounds.ts';
import { StagingMemory } from './staging.ts';
import type { DiskLimit } from './token-bucket.ts';

export interface DriverVmConfig {
  readonly layout: DomainLayout;
  /** null: nobody asks for the order of mutations. */
  readonly tap: SharedArrayBuffer | null;
  readonly publish: PublishMode;
  readonly plantedBug: PlantedBug;
  /** The store whose images it serves; none unless said. */
  readonly store?: DriverStore;
}

export interface DiskStatus {
  readonly path: string;
  readonly state: number;
  readonly ringEpoch: number;
  readonly queues: readonly (QueueCounters & { readonly halted: string | null })[];
  readonly device: DeviceStats | null;
}

export interface DriverVmStatus {
  readonly disks: readonly DiskStatus[];
  readonly stagingFreePages: number;
  readonly mappedGrants: number;
  /** Notifications sent to guests. */
  readonly notifications: number;
  /** Images of its store that it serves. */
  readonly images: readonly ImageStatus[];
  /** It has no store, or has started to serve it. */
  readonly isServing: boolean;
  /** Times a doorbell that rang for nothing was masked. */
  readonly maskedPorts: number;
}

/**
 * What the toolstack may ask of a driver VM while it serves. Paths name disks as the store does.
 */
export interface DriverVmControl {
  status(): DriverVmStatus;
  /**
   * How many pages of a guest this driver VM has mapped: a dead guest's pages are its until then.
   */
  mappingsOf(guest: DomainId): number;
  setLimit(path: string, limit: DiskLimit): void;
  setWeight(path: string, weight: number): void;
  /** Settles when the device has its new size and the front end was told. */
  resize(path: string, sectors: number): Promise<void>;
  /** Serves an image again that had lost what was acknowledged, by its policy. */
  acceptLoss(image: string): Promise<void>;
  setErrors(path: string, rules: readonly ErrorRule[]): void;
  setDelays(path: string, delays: Delays): void;
  setMedium(path: string, trouble: MediumTrouble | null): void;
  /** Takes an image of its store over from the host that has it. */
  takeOver(image: string): Promise<void>;
  /** Publishes all of an image, and gives it to another host. No guest has it as its disk. */
  handOver(image: string, to: string): Promise<void>;
  /** null: it has no store, or none yet. */
  storeStatus(): StoreStatus | null;
  /** Takes a snapshot of an image of its store; settles with its id when it is as safe as asked. */
  snapshot(image: string, name: string, local: boolean): Promise<number>;
  /** Runs of blocks of an image, from one up to another at most; see `extentsOf`. */
  extents(image: string, kind: ExtentKind, from: number, to: number): Promise<BlockRun[]>;
  /** Takes an image of its store away. No guest has it as its disk. */
  removeImage(image: string): Promise<void>;
  /** Publishes what its images have and leaves the store. Its guests are gone. */
  closeStore(): Promise<void>;
}

/** Mappings a driver VM may hold: persistent pages, rings and what is in flight of all guests. */
const MAX_MAPPINGS = 32_768;

export class DriverVm implements HostedActor {
  readonly #world: World;
  readonly #store: XenstoreClient;
  readonly #self: DomainId;
  readonly #attacher: RingAttacher;
  readonly #rounds: Rounds;
  readonly #events: EventPage;
  readonly #grants: MemoryGrantMapper;
  readonly #staging: StagingMemory;
  readonly #tap: OrderTap | null;
  readonly #config: DriverVmConfig;
  /** null: it has no store. */
  readonly #images: ImageServer | null;
  readonly #disks = new Map<string, BackDisk>();
  #looking = false;
  #lookAgain = false;
  #failure: unknown = null;

  constructor(world: World, config: DriverVmConfig) {
    const { layout } = config;
    this.#world = world;
    this.#config = config;
    this.#self = layout.domain;
    this.#store = new XenstoreClient(world.net.link('xenstore'));
    this.#events = new EventPage(world.memory, layout.eventPageAddress);
    this.#rounds = new Rounds(this.#events);
    const directory = new DomainDirectory(world.memory);
    this.#grants = new MemoryGrantMapper(world.memory, directory, layout.domain, MAX_MAPPINGS);
    const imagePages = config.store === undefined ? 0 : ramBytes(config.store.sizes) / PAGE_BYTES;
    const imageFrame = (layout.heapEndFrame - imagePages) as FrameNo;
    invariant(imageFrame > layout.heapFrame, 'the heap of a driver VM has room for its images');
    this.#staging = new StagingMemory(layout.heapFrame, imageFrame, () => {
      if (this.#rounds.anyHeld) this.#wakeSelf();
    });
    this.#images = this.#serveImages(imageFrame, imagePages);
    this.#tap = config.tap === null ? null : new OrderTap(config.tap);
    this.#attacher = new RingAttacher({
      world,
      self: layout.domain,
      directory,
      events: this.#events,
      grants: this.#grants,
      staging: this.#staging,
      rounds: this.#rounds,
      publish: config.publish,
      plantedBug: config.plantedBug,
    });
  }

  async start(): Promise<void> {
    await this.#store.watch(`/local/domain/${this.#self}/backend/vbd`, () => this.#look());
  }

  step(budget: number): StepResult {
    if (this.#failure !== null) throw this.#failure;
    const result = this.#rounds.step(budget, this.#world.clock.nowNs());
    this.#images?.step();
    return result;
  }

  nextDeadlineNs(): Nanos {
    if (this.#failure !== null) return 0 as Nanos;
    const ringsNs = this.#rounds.nextDeadlineNs();
    return Math.min(ringsNs, this.#images?.nextDeadlineNs() ?? NEVER) as Nanos;
  }

  checkInvariants(): void {
    for (const disk of this.#disks.values()) {
      for (const queue of disk.vbd?.queues ?? []) queue.checkInvariants();
    }
    invariant(this.#grants.mappedCount >= 0, 'mappings are counted');
    this.#images?.checkInvariants();
  }

  /** A driver VM serves until it is killed. */
  finished(): boolean {
    return false;
  }

  result(): unknown {
    return null;
  }

  readonly control: DriverVmControl & HostedActor['control'] = {
    status: () => this.#status(),
    mappingsOf: (guest: DomainId) => this.#grants.mappingsOf(guest),
    setLimit: (path: string, limit: DiskLimit) => {
      const { vbd } = this.#diskAt(path);
      vbd?.bucket.set(limit, this.#world.clock.nowNs());
      this.#wakeSelf();
    },
    setWeight: (path: string, weight: number) => {
      const { vbd } = this.#diskAt(path);
      if (vbd !== null) vbd.weight = Math.max(1, Math.floor(weight));
    },
    resize: async (path: string, sectors: number) => {
      const disk = this.#diskAt(path);
      await disk.vbd?.device.resize(sectors);
      await disk.announceSize();
    },
    acceptLoss: (image: string) => this.#imageServer().acceptLoss(image),
    takeOver: (image: string) => this.#imageServer().takeOver(image),
    handOver: (image: string, to: string) => this.#imageServer().handOver(image, to),
    setErrors: (path: string, rules: readonly ErrorRule[]) => {
      this.#diskAt(path).stack?.setErrors(rules);
    },
    setDelays: (path: string, delays: Delays) => {
      this.#diskAt(path).stack?.setDelays(delays);
    },
    setMedium: (path: string, trouble: MediumTrouble | null) => {
      this.#diskAt(path).stack?.setMedium(trouble);
    },
    storeStatus: () => this.#images?.storeStatus() ?? null,
    snapshot: (image: string, name: string, local: boolean) => {
      invariant(this.#images !== null, 'a snapshot is asked of a driver VM with a store');
      return this.#images.snapshot(image, name, local);
    },
    extents: (image: string, kind: ExtentKind, from: number, to: number) =>
      this.#imageServer().extents(image, kind, from, to),
    removeImage: (image: string) => this.#imageServer().remove(image),
    closeStore: () => this.#imageServer().close(),
  };

  #serveImages(firstFrame: FrameNo, pages: number): ImageServer | null {
    const { store, plantedBug } = this.#config;
    if (store === undefined) return null;
    const world = this.#world;
    const directory = new DirectoryClient(world.net.link(DIRECTORY_LINK), world);
    return new ImageServer({
      world,
      directory,
      openPool: poolOpenerOf(world, directory, store),
      store,
      address: frameToAddress(firstFrame),
      bytes: pages * PAGE_BYTES,
      plantedBug,
      failed: (thrown) => this.#fail(thrown),
      together: (answer) => this.#rounds.together(answer),
    });
  }

  #imageServer(): ImageServer {
    invariant(this.#images !== null, 'the toolstack names an image of this driver VM');
    return this.#images;
  }

  #diskAt(path: string): BackDisk {
    const disk = this.#disks.get(path);
    invariant(disk !== undefined, 'the toolstack names a disk that this driver VM serves');
    return disk;
  }

  /** Something changed below `backend/vbd`: looks for disks that are new. One look at a time. */
  #look(): void {
    this.#lookAgain = true;
    if (this.#looking) return;
    this.#looking = true;
    this.#lookUntilQuiet().catch((thrown: unknown) => this.#fail(thrown));
  }

  async #lookUntilQuiet(): Promise<void> {
    while (this.#lookAgain) {
      this.#lookAgain = false;
      const top = `/local/domain/${this.#self}/backend/vbd`;
      for (const guest of await this.#childrenOf(top)) {
        for (const device of await this.#childrenOf(`${top}/${guest}`)) {
          await this.#addDisk(`${top}/${guest}/${device}`);
        }
      }
    }
    this.#looking = false;
  }

  async #addDisk(path: string): Promise<void> {
    if (this.#disks.has(path)) return;
    // A directory that says `closed` is of a disk that was just given up, on its way out.
    const state = parseState(await this.#store.read(`${path}/state`));
    if (state === XenbusState.unknown || state === XenbusState.closed) return;
    const disk = new BackDisk({
      world: this.#world,
      store: this.#store,
      path,
      attacher: this.#attacher,
      tap: this.#tap,
      images: this.#images,
      plantedBug: this.#config.plantedBug,
      onClosed: (closed) => this.#disks.delete(closed.path),
      onError: (thrown) => this.#fail(thrown),
    });
    this.#disks.set(path, disk);
    await disk.start();
  }

  async #childrenOf(path: string): Promise<readonly string[]> {
    const there = (await this.#store.read(path)) !== null;
    return there ? this.#store.directory(path) : [];
  }

  #fail(thrown: unknown): void {
    this.#failure ??= thrown;
    this.#wakeSelf();
  }

  /** Has `step` called soon, from inside a completion or a story. */
  #wakeSelf(): void {
    this.#rounds.lookAtAll();
    this.#events.touchBell();
    this.#world.wake.ring(this.#events.bellAddress);
  }

  #status(): DriverVmStatus {
    let notifications = 0;
    const disks: DiskStatus[] = [];
    for (const disk of this.#disks.values()) {
      notifications += disk.notifications;
      disks.push({
        path: disk.path,
        state: disk.state,
        ringEpoch: disk.ringEpoch,
        queues: (disk.vbd?.queues ?? []).map((queue) => ({
          ...queue.counters,
          halted: queue.halted,
        })),
        device: disk.stack?.stats() ?? null,
      });
    }
    return {
      disks,
      stagingFreePages: this.#staging.freePages,
      mappedGrants: this.#grants.mappedCount,
      notifications,
      images: this.#images?.status() ?? [],
      isServing: this.#images?.isServing ?? true,
      maskedPorts: this.#rounds.masked,
    };
  }
}

function poolOpenerOf(
  world: World,
  directory: Directory,
  { name, petal }: DriverStore,
): PoolOpener {
  if (petal !== undefined) return petalOpener(world, directory, petal);
  return embeddedOpener(world, { store: name, directory, diskName: POOL_DISK });
}
