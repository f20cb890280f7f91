/**
 * The toolstack of one host: makes domains and disks, starts actors, and is told when one is gone.
 *
 * It is the only one that decides what comes after a crash. When a driver VM dies:
 * ```
 * 1 its exit is observed: nothing of it runs, its disk operations are settled
 * 2 mappings it held are ended, so that guests can take their pages back
 * 3 `backend-alive` = 0 in each front end's directory: they read their last responses
 * restart:
 * 4 a new domain, with a number never used before, and its actor
 * 5 for each disk: `ring-epoch` + 1, a new back end directory, and in one transaction the keys that
 *   send the front end there
 * 6 when all have connected, the frames of the dead domain are free (until then a guest may still
 *   ring its bell); those of one that died before it was connected to any are free at once
 * ```
 * Grants name a domain, so what was granted to the dead driver VM is of no use to its successor,
 * nor the other way round; that and the ring epoch keep the two apart.
 *
 * The same code runs over threads and in the simulator: it knows actors only through `Spawner`.
 */
import { StorageError } from '../base/errors.ts';
import { invariant, present } from '../base/invariant.ts';
import { type DomainId, type FrontId, MS, type Nanos, SECTOR_BYTES } from '../base/units.ts';
import type { ActorHandle, ExitReport, Spawner } from '../world/actor.ts';
import type { Link, World } from '../world/world.ts';
import { diskKeys, VIRTUAL_DEVICE } from './disk-keys.ts';
import { type DomainLayout, Machine } from './machine.ts';
import { FrontendExtra } from './stordom-keys.ts';
import {
  BackendKey,
  backendPath,
  frontendPath,
  parseState,
  waitForState,
  XenbusState,
} from './xenbus.ts';
import type { XenstoreClient } from './xenstore/client.ts';
import { domainPath } from './xenstore/paths.ts';
import { permit } from './xenstore/permissions.ts';
import { XenstoreServer, type XenstoreServerOptions } from './xenstore/server.ts';

export type DeviceKind = 'null' | 'memory' | 'file' | 'pattern' | 'vdi';

export interface DiskSpec {
  readonly kind: DeviceKind;
  /** `file`: its name in the host's folder. `vdi`: name of the image. Others: not used. */
  readonly name: string;
  readonly sectors: number;
  readonly writable: boolean;
  readonly weight: number;
  /** 0: no limit. */
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
  /** No filters in the path. */
  readonly bare: boolean;
}

/** Numbers that must not be used twice, also after a host lost its power. */
export interface Ids {
  nextFrontId: number;
  nextDiskId: number;
}

export interface GuestSpec {
  readonly name: string;
  /** Number of a disk that existed before; absent: a disk of a new number. */
  readonly diskId?: number;
  /**
   * It goes on for whoever had the disk before: what that one was told and is gone is not accepted
   * by its coming.
   */
  readonly goesOn?: boolean;
  readonly heapBytes: number;
  readonly grantEntries: number;
  readonly disk: DiskSpec;
  /** Makes the actor's configuration once its domain is there. Structured-cloneable. */
  readonly config: (layout: DomainLayout, frontId: FrontId) => unknown;
}

export interface DriverSpec {
  readonly heapBytes: number;
  /** Its links to others than the store of its host; each other end is given away at each start. */
  readonly links?: Readonly<Record<string, (far: Link) => void>>;
  readonly config: (layout: DomainLayout) => unknown;
}

export interface GuestDomain {
  readonly spec: GuestSpec;
  readonly layout: DomainLayout;
  readonly frontId: FrontId;
  /** Number of its disk, kept when a successor takes the disk over. */
  readonly diskId: number;
  readonly handle: ActorHandle;
  /** Extra domain whose frames are the contents of a `memory` disk. */
  readonly diskLayout: DomainLayout | null;
  /** Size of its disk, as it was last changed. */
  sectors: number;
  ringEpoch: number;
  exit: ExitReport | null;
}

export interface DriverDomain {
  readonly spec: DriverSpec;
  readonly layout: DomainLayout;
  readonly handle: ActorHandle;
  exit: ExitReport | null;
  /** A guest may have been connected to it, and may ring its bell after its death. */
  wasMet: boolean;
}

/** Who wants to know; for the story of a run. */
export interface ToolstackEvents {
  driverExited(driver: DriverDomain, atNs: Nanos): void;
  guestExited(guest: GuestDomain, atNs: Nanos): void;
  /** A story of the toolstack itself failed: a bug. */
  failed(thrown: unknown): void;
}

const DRIVER_GRANT_ENTRIES = 512;
const XENSTORE_LINK = 'xenstore';
/** How often it asks whether a dead guest's pages were let go. */
const LET_GO_LOOK_NS = MS;

export class Toolstack {
  readonly host: string;
  readonly machine: Machine;
  readonly xenstore: XenstoreServer;
  readonly #world: World;
  readonly #spawner: Spawner;
  readonly #ids: Ids;
  readonly #events: ToolstackEvents;
  /** The host lost its power: what is left of this toolstack does nothing any more. */
  #dark = false;
  readonly #store: XenstoreClient;
  readonly #guests = new Map<string, GuestDomain>();
  #driver: DriverDomain | null = null;
  /** Dead driver VMs whose frames may still be touched by a guest's bell. */
  readonly #buried: DomainLayout[] = [];
  /** Settles when the exit of the driver VM of now has been handled. */
  #burial: Promise<void> = Promise.resolve();
  /** The same for each guest. */
  readonly #guestBurials = new Map<GuestDomain, Promise<void>>();
  #lastWork: Promise<void> = Promise.resolve();

  constructor(
    host: string,
    world: World,
    spawner: Spawner,
    events: ToolstackEvents,
    xenstoreOptions: XenstoreServerOptions = {},
    ids: Ids = { nextFrontId: 1, nextDiskId: 1 },
  ) {
    this.host = host;
    this.#world = world;
    this.#spawner = spawner;
    this.#ids = ids;
    this.#events = events;
    this.machine = new Machine(world.memory);
    this.xenstore = new XenstoreServer(world, xenstoreOptions);
    this.#store = this.xenstore.local();
  }

  get driver(): DriverDomain | null {
    return this.#driver;
  }

  guest(name: string): GuestDomain {
    return present(this.#guests.get(name), 'a guest is created before it is named');
  }

  hasGuest(name: string): boolean {
    return this.#guests.has(name);
  }

  guests(): readonly GuestDomain[] {
    return [...this.#guests.values()];
  }

  /** Starts the driver VM. Guests created before and after connect to it. */
  startDriver(spec: DriverSpec): Promise<DriverDomain> {
    return this.#exclusive(() => this.#startDriver(spec));
  }

  /** Starts the successor of a dead driver VM, with the same configuration. */
  restartDriver(): Promise<DriverDomain> {
    return this.#exclusive(async () => {
      const dead = present(this.#driver, 'a driver VM was started before it is restarted');
      await this.#burial;
      invariant(dead.exit !== null, 'the exit of a driver VM is handled before its restart');
      if (dead.wasMet) this.#buried.push(dead.layout);
      else this.machine.destroyDomain(dead.layout);
      return this.#startDriver(dead.spec);
    });
  }

  async #startDriver(spec: DriverSpec): Promise<DriverDomain> {
    invariant(this.#driver === null || this.#driver.exit !== null, 'a host has one driver VM');
    const layout = this.machine.createDomain(spec.heapBytes, DRIVER_GRANT_ENTRIES);
    await this.#makeHome(layout.domain);
    await this.#store.mkdir(`${domainPath(layout.domain)}/backend/vbd`);
    this.#mustBeUp();
    const handle = this.#spawner.spawn({
      kind: 'driver-vm',
      name: `${this.host}/driver-vm`,
      host: this.host,
      bellAddress: layout.eventPageAddress,
      links: [XENSTORE_LINK, ...Object.keys(spec.links ?? {})],
      config: spec.config(layout),
    });
    for (const [name, serve] of Object.entries(spec.links ?? {})) {
      serve(present(handle.links.get(name), 'an actor has the links that it was started with'));
    }
    const driver: DriverDomain = { spec, layout, handle, exit: null, wasMet: true };
    this.#driver = driver;
    this.#introduce(layout.domain, handle);
    this.#burial = handle.exited.then((report) => this.#driverGone(driver, report));
    this.#follow(this.#burial);
    for (const guest of this.#guests.values()) await this.#connectDisk(guest, driver);
    return driver;
  }

  /** Settles when every living guest's disk is connected to the driver VM of now. */
  async allConnected(): Promise<void> {
    const driver = present(this.#driver, 'a driver VM was started');
    for (const guest of this.#guests.values()) {
      if (guest.exit !== null) continue;
      const path = `${frontendPath(guest.layout.domain, VIRTUAL_DEVICE)}/state`;
      const wait = await waitForState(
        this.#store,
        path,
        (state) => state === XenbusState.connected,
      );
      await Promise.race([wait.reached, guest.handle.exited, driver.handle.exited]);
      await wait.stop();
    }
    // The RAM of a host that lost its power belongs to its next toolstack.
    if (this.#dark || driver.exit !== null) return;
    for (const layout of this.#buried.splice(0)) this.machine.destroyDomain(layout);
  }

  /** Creates a domain with its disk and starts its actor. */
  createGuest(spec: GuestSpec): Promise<GuestDomain> {
    return this.#exclusive(() => {
      const { kind, sectors } = spec.disk;
      const diskLayout =
        kind === 'memory' ? this.machine.createDomain(sectors * SECTOR_BYTES, 0) : null;
      return this.#startGuest(spec, diskLayout);
    });
  }

  /**
   * A new guest takes over the disk of a dead one: same disk, new domain, new connection lifetime.
   */
  restartGuest(name: string, config: GuestSpec['config']): Promise<GuestDomain> {
    return this.#exclusive(async () => {
      const dead = this.guest(name);
      await this.#destroyGuest(dead);
      const disk = { ...dead.spec.disk, sectors: dead.sectors };
      return this.#startGuest({ ...dead.spec, disk, diskId: dead.diskId, config }, dead.diskLayout);
    });
  }

  /**
   * Ends a guest that is alive or dead and takes everything of it back, its disk's contents too.
   */
  destroyGuest(name: string): Promise<void> {
    return this.#exclusive(async () => {
      const guest = this.guest(name);
      guest.handle.kill();
      await this.#destroyGuest(guest);
      if (guest.diskLayout !== null) this.machine.destroyDomain(guest.diskLayout);
      this.#guests.delete(name);
    });
  }

  /** Changes the size of a guest's disk while it is used. */
  async resizeDisk(name: string, sectors: number): Promise<void> {
    const guest = this.guest(name);
    const driver = present(this.#driver, 'a driver VM serves the disk');
    await driver.handle.call('resize', this.#backPath(guest, driver), sectors);
    guest.sectors = sectors;
  }

  /** Path of a guest's disk in the store, as the driver VM's control plane names it. */
  diskPath(name: string): string {
    return this.#backPath(this.guest(name), present(this.#driver, 'a driver VM serves the disk'));
  }

  async #startGuest(spec: GuestSpec, diskLayout: DomainLayout | null): Promise<GuestDomain> {
    const frontId = this.#ids.nextFrontId++ as FrontId;
    const layout = this.machine.createDomain(spec.heapBytes, spec.grantEntries);
    await this.#makeHome(layout.domain);
    this.#mustBeUp();
    const handle = this.#spawner.spawn({
      kind: 'guest',
      name: spec.name,
      host: this.host,
      bellAddress: layout.eventPageAddress,
      links: [XENSTORE_LINK],
      config: spec.config(layout, frontId),
    });
    const guest: GuestDomain = {
      spec,
      layout,
      frontId,
      diskId: spec.diskId ?? this.#ids.nextDiskId++,
      handle,
      diskLayout,
      sectors: spec.disk.sectors,
      // The first connection of a disk, which is new to all, would be number 1.
      ringEpoch: spec.goesOn === true ? 1 : 0,
      exit: null,
    };
    this.#guests.set(spec.name, guest);
    this.#introduce(layout.domain, handle);
    const burial = handle.exited.then((report) => this.#guestGone(guest, report));
    this.#guestBurials.set(guest, burial);
    this.#follow(burial);
    if (this.#driver !== null && this.#driver.exit === null) {
      await this.#connectDisk(guest, this.#driver);
    }
    return guest;
  }

  /** Creating and restarting change the same keys: one after the other. */
  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lastWork.then(() => {
      this.#mustBeUp();
      return work();
    });
    this.#lastWork = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  /**
   * Ends a story that outlived the power of its host. To be called after an `await`, before the RAM
   * is divided or an actor started: both are the business of the next toolstack.
   */
  #mustBeUp(): void {
    if (this.#dark) throw new StorageError('E_HOST_DOWN', `host ${this.host} lost its power`);
  }

  /** A story that nobody waits for: its failure must be heard all the same. */
  #follow(story: Promise<void>): void {
    story.catch((thrown: unknown) => this.#events.failed(thrown));
  }

  #introduce(domain: DomainId, handle: ActorHandle): void {
    const link = present(handle.links.get(XENSTORE_LINK), 'an actor is started with its links');
    this.xenstore.attach(domain, link);
  }

  async #makeHome(domain: DomainId): Promise<void> {
    const home = domainPath(domain);
    await this.#store.mkdir(home);
    await this.#store.setPermissions(home, [permit('n', domain)]);
  }

  /** Writes both ends' keys so that the guest's front end meets this driver VM. */
  async #connectDisk(guest: GuestDomain, driver: DriverDomain): Promise<void> {
    if (guest.exit !== null) return;
    guest.ringEpoch++;
    const front = frontendPath(guest.layout.domain, VIRTUAL_DEVICE);
    const back = this.#backPath(guest, driver);
    await this.#store.transaction(async (inside) => {
      await inside.mkdir(back);
      await inside.setPermissions(back, [
        permit('n', driver.layout.domain),
        permit('r', guest.layout.domain),
      ]);
      // What the guest wrote for an earlier driver VM could be read by that one only.
      if ((await inside.read(front)) !== null) await inside.rm(front);
      await inside.mkdir(front);
      await inside.setPermissions(front, [
        permit('n', guest.layout.domain),
        permit('r', driver.layout.domain),
      ]);
      await inside.writeMany(diskKeys({ back, front, guest, driver: driver.layout.domain }));
    });
    // A guest that died meanwhile must not be left with a directory that says it lives.
    if (this.#isGone(guest)) {
      await this.#store.rm(domainPath(guest.layout.domain));
    }
  }

  #isGone(guest: GuestDomain): boolean {
    return guest.exit !== null;
  }

  #backPath(guest: GuestDomain, driver: DriverDomain): string {
    return backendPath(driver.layout.domain, guest.layout.domain, VIRTUAL_DEVICE);
  }

  /**
   * The host lost its power, and this toolstack with it: exits are noted, and nothing follows from
   * them. The host's next toolstack begins with empty RAM.
   */
  goDark(): void {
    this.#dark = true;
  }

  /** Steps 1 to 3 of a crash. */
  async #driverGone(driver: DriverDomain, report: ExitReport): Promise<void> {
    if (this.#dark) return;
    this.xenstore.release(driver.layout.domain);
    this.machine.releaseMappingsOf(driver.layout.domain);
    driver.exit = report;
    this.#events.driverExited(driver, this.#world.clock.nowNs());
    for (const guest of this.#guests.values()) {
      if (guest.exit !== null) continue;
      const front = frontendPath(guest.layout.domain, VIRTUAL_DEVICE);
      await this.#store.write(`${front}/${FrontendExtra.backendAlive}`, 0);
    }
    driver.wasMet = await this.#wasMet(driver);
    await this.#store.rm(domainPath(driver.layout.domain));
  }

  /** A guest rings no bell before the back end has said that it is connected. */
  async #wasMet(driver: DriverDomain): Promise<boolean> {
    for (const guest of this.#guests.values()) {
      const path = `${this.#backPath(guest, driver)}/${BackendKey.state}`;
      const state = parseState(await this.#store.read(path));
      if (state >= XenbusState.connected) return true;
    }
    return false;
  }

  async #guestGone(guest: GuestDomain, report: ExitReport): Promise<void> {
    guest.exit = report;
    if (this.#dark) return;
    this.xenstore.release(guest.layout.domain);
    this.#events.guestExited(guest, this.#world.clock.nowNs());
    await this.#store.rm(domainPath(guest.layout.domain));
  }

  /**
   * Waits for a guest's exit and until the driver VM holds nothing of it; takes its frames back.
   */
  async #destroyGuest(guest: GuestDomain): Promise<void> {
    await this.#guestBurials.get(guest);
    this.#guestBurials.delete(guest);
    const driver = this.#driver;
    if (driver !== null && driver.exit === null) {
      const path = `${this.#backPath(guest, driver)}/${BackendKey.state}`;
      const wait = await waitForState(
        this.#store,
        path,
        (state) => state === XenbusState.closed || state === XenbusState.unknown,
      );
      await Promise.race([wait.reached, driver.handle.exited]);
      await wait.stop();
      await this.#removeBack(this.#backPath(guest, driver));
    }
    this.#mustBeUp();
    this.machine.retireDomain(guest.layout);
    if (driver !== null) await this.#untilLetGo(guest, driver);
    this.#mustBeUp();
    this.machine.destroyDomain(guest.layout);
  }

  /** At once, because a driver VM that dies takes its directory along, and this path's parent. */
  async #removeBack(back: string): Promise<void> {
    await this.#store.transaction(async (inside) => {
      if ((await inside.read(back)) !== null) await inside.rm(back);
    });
  }

  /**
   * Settles when the driver VM has none of a retired guest's pages mapped, or is gone. It is asked:
   * the use bits in the guest's grant table are the guest's to scribble on, and a state that reads
   * Closed may be older than a connection that was being made when the guest died.
   */
  async #untilLetGo(guest: GuestDomain, driver: DriverDomain): Promise<void> {
    while (driver.exit === null) {
      try {
        if ((await driver.handle.call('mappingsOf', guest.layout.domain)) === 0) return;
        await this.#world.timers.sleep(LET_GO_LOOK_NS);
      } catch (thrown) {
        if (!(thrown instanceof StorageError) || thrown.code !== 'E_ACTOR_GONE') throw thrown;
        await driver.handle.exited;
        return;
      }
    }
  }
}
