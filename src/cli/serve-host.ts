/**
 * The host of `stordom serve`: a toolstack and the exports on this thread, and a driver VM on a
 * thread of its own, which is started again whenever it is gone.
 *
 * Exports are guests: each has a domain, a front end and a ring, so that a dead driver VM stalls
 * them and their clients' sockets stay open. What the clients asked for meanwhile, and what was
 * unanswered, goes to the successor.
 */
import { StorageError } from '../base/errors.ts';
import { present } from '../base/invariant.ts';
import { PAGE_BYTES, SECTORS_PER_PAGE } from '../base/units.ts';
import { type DriverVmConfig, type DriverVmStatus } from '../driver-vm/driver-vm.ts';
import { ExportDisk } from '../exports/export-disk.ts';
import type { FrontOptions } from '../guests/front-connect.ts';
import { Guest, type GuestConfig } from '../guests/guest.ts';
import { VIRTUAL_DEVICE } from '../hypervisor/disk-keys.ts';
import type { DomainLayout } from '../hypervisor/machine.ts';
import { type DriverDomain, type GuestDomain, Toolstack } from '../hypervisor/toolstack.ts';
import { DEFAULT_SIZES, ramBytes } from '../parallax/vdi/sizes.ts';
import { GRANT_ENTRY_BYTES } from '../ring/grant-table.ts';
import type { ActorHandle, ActorSpec, ExitReport, Spawner } from '../world/actor.ts';
import { DIRECTORY_LINK } from '../world/directory-client.ts';
import { DirectoryServer } from '../world/directory-server.ts';
import { startClock } from '../world/real/clock.ts';
import type { RealWorld } from '../world/real/real-world.ts';
import { toolstackWorld } from '../world/real/real-world.ts';
import { startResident } from '../world/real/resident-actor.ts';
import { type HostPlace, ThreadSpawner } from '../world/real/spawner.ts';
import { createHostMemory, WASM_PAGE_BYTES } from '../world/real/wasm-memory.ts';
import { STORE_NAME, type StoreFolder } from './store-folder.ts';
import type { StorePool } from './store-pool.ts';

const MIB = 2 ** 20;
const DRIVER_WORKER = new URL('../driver-vm/worker.js', import.meta.url);
/** Nobody is started from it: guests live on this thread. */
const GUEST_WORKER = new URL('../guests/worker.js', import.meta.url);
const DRIVER_HEAP_BYTES: number = 32 * MIB;
/** A half for what is granted, a half for buffers. */
const EXPORT_HEAP_BYTES: number = 64 * MIB;
const EXPORT_GRANT_ENTRIES = 8704;
const SPARE_BYTES: number = MIB;
/**
 * One that lives, and some that are dead and have their frames until all exports have left them.
 */
const DRIVERS = 4;
const DEADLINE_NS = 30e9;
const RESTART_MS = 100;
const RESTART_MS_MAX = 5000;
const SEED = 1;

/** As many segments as the back end offers, so that 1 MiB is one request of the ring. */
const FRONT: FrontOptions = {
  queues: 1,
  ringOrder: 4,
  persistent: true,
  trusted: true,
  indirectSegments: 256,
  publish: 'each',
  startIndex: 0,
};

export interface ServedDisk {
  /** Of the domain. */
  readonly name: string;
  readonly image: string;
  readonly isReadOnly: boolean;
  readonly sizeBlocks: number;
}

export interface ServeHostOptions {
  readonly store: StoreFolder;
  readonly pool: StorePool;
  readonly host: string;
  readonly disks: readonly ServedDisk[];
  /** The first of as many numbers as there are disks, which no front end of this host ever had. */
  readonly firstFrontId: number;
  readonly onNote: (text: string) => void;
  /** It cannot go on. */
  readonly failed: (thrown: unknown) => void;
}

/** RAM for so many exports, bytes. */
function hostBytes(exports: number): number {
  const driver = DRIVER_HEAP_BYTES + ramBytes(DEFAULT_SIZES) + 8 * PAGE_BYTES;
  const one = EXPORT_HEAP_BYTES + EXPORT_GRANT_ENTRIES * GRANT_ENTRY_BYTES + 4 * PAGE_BYTES;
  const bytes = SPARE_BYTES + DRIVERS * driver + exports * one;
  return Math.ceil(bytes / WASM_PAGE_BYTES) * WASM_PAGE_BYTES;
}

export class ServeHost {
  readonly #options: ServeHostOptions;
  readonly #world: RealWorld;
  readonly #spawner: ServeSpawner;
  readonly #toolstack: Toolstack;
  readonly #directory: DirectoryServer;
  #restarts = 0;
  #restartMs = RESTART_MS;
  #isEnding = false;
  /** Settles when a driver VM serves; a new one while there is none. */
  #serving: Promise<void> = Promise.resolve();

  constructor(options: ServeHostOptions) {
    const { store, host, failed } = options;
    const onNote = (text: string): void => {
      // What dies at the end dies as it should.
      if (!this.#isEnding) options.onNote(text);
    };
    this.#options = options;
    const memory = createHostMemory(hostBytes(options.disks.length));
    const folder = store.hostFolder(host);
    const place: HostPlace = { memory, folder, poolFolder: store.poolFolder };
    const clockZero = startClock();
    const common = { memory, seed: SEED, clockZero, folder, onNote };
    this.#world = toolstackWorld({ ...common, name: `${host}/dom0` });
    const threads = new ThreadSpawner({
      hosts: new Map([[host, place]]),
      guestWorker: GUEST_WORKER,
      driverWorker: DRIVER_WORKER,
      guestThreads: 1,
      guestMode: 'block',
      driverMode: 'block',
      clockZero,
      seed: SEED,
      onNote: (_actor, text) => onNote(text),
    });
    this.#spawner = new ServeSpawner(threads, (spec, make) =>
      startResident(spec, { place, seed: SEED, clockZero, onNote }, make),
    );
    this.#directory = new DirectoryServer(store.directory);
    const events = {
      driverExited: (driver: DriverDomain) => this.#driverExited(driver),
      guestExited: ({ exit }: GuestDomain) => this.#exportExited(exit),
      failed,
    };
    const ids = { nextFrontId: options.firstFrontId, nextDiskId: 1 };
    this.#toolstack = new Toolstack(host, this.#world, this.#spawner, events, {}, ids);
  }

  get world(): RealWorld {
    return this.#world;
  }

  /** Times that the driver VM was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Settles when every disk is connected. Rejects if the store cannot be served. */
  async start(): Promise<ReadonlyMap<string, ExportDisk>> {
    const { host, disks, pool } = this.#options;
    const { petal, links } = await pool.forDriver(host);
    const onPetal = petal === null ? {} : { petal };
    const store = { name: STORE_NAME, host, sizes: DEFAULT_SIZES, ...onPetal };
    const config = (layout: DomainLayout): DriverVmConfig => ({
      layout,
      tap: null,
      publish: 'each',
      plantedBug: 'none',
      store,
    });
    await this.#toolstack.startDriver({
      heapBytes: DRIVER_HEAP_BYTES + ramBytes(DEFAULT_SIZES),
      links: { ...links, [DIRECTORY_LINK]: (link) => this.#directory.serve(link) },
      config,
    });
    for (const disk of disks) await this.#createDomain(disk);
    await this.#toolstack.allConnected();
    await this.#noteLosses();
    return this.#spawner.disks;
  }

  /** As `kill -9` of a driver VM. False: there is none now. */
  killDriver(): boolean {
    const { driver } = this.#toolstack;
    if (driver === null || driver.exit !== null) return false;
    driver.handle.kill();
    return true;
  }

  /** null: there is no driver VM now. */
  async status(): Promise<DriverVmStatus | null> {
    const driver = this.#toolstack.driver;
    if (driver === null || driver.exit !== null) return null;
    return (await driver.handle.call('status')) as DriverVmStatus;
  }

  /**
   * Calls a method of the driver VM, of that which is started next if there is none. With
   * `isRepeatable` it is asked again if it dies over it.
   */
  async ask(method: string, args: readonly unknown[], isRepeatable: boolean): Promise<unknown> {
    const call = (driver: DriverDomain): Promise<unknown> => driver.handle.call(method, ...args);
    return this.#called(call, isRepeatable);
  }

  /** Gives an image another size, and its exports too. May be asked for again. */
  async resize(image: string, sectors: number): Promise<void> {
    for (const disk of this.#options.disks) {
      if (disk.image !== image) continue;
      await this.#called(() => this.#toolstack.resizeDisk(disk.name, sectors), true);
    }
  }

  /** Requests of an export that its front end has not answered. */
  inFlight(domain: string): number {
    return this.#spawner.disks.get(domain)?.inFlight ?? 0;
  }

  async #called(
    call: (driver: DriverDomain) => Promise<unknown>,
    isRepeatable: boolean,
  ): Promise<unknown> {
    for (;;) {
      await this.#serving;
      const driver = present(this.#toolstack.driver, 'a driver VM was started');
      try {
        return await call(driver);
      } catch (thrown) {
        const isGone = thrown instanceof StorageError && thrown.code === 'E_ACTOR_GONE';
        if (!isGone || !isRepeatable || this.#isEnding) throw thrown;
        await driver.handle.exited;
        await this.#world.timers.sleep(RESTART_MS * 1e6);
      }
    }
  }

  /**
   * Everything is published and the store is left, without the images that were made to serve. No
   * client is connected any more.
   */
  async close(drop: readonly string[]): Promise<void> {
    await this.#serving;
    this.#isEnding = true;
    for (const { name } of this.#options.disks) {
      if (this.#toolstack.hasGuest(name)) await this.#toolstack.destroyGuest(name);
    }
    const { driver } = this.#toolstack;
    if (driver !== null && driver.exit === null) {
      for (const image of drop) await driver.handle.call('removeImage', image);
      await driver.handle.call('closeStore');
    }
    await this.abandon();
  }

  /** Ends everything at once, as the end of the process would. */
  async abandon(): Promise<void> {
    this.#isEnding = true;
    this.#toolstack.goDark();
    await this.#spawner.close();
    await this.#world.bury();
  }

  async #createDomain({ name, image, isReadOnly, sizeBlocks }: ServedDisk): Promise<void> {
    await this.#toolstack.createGuest({
      name,
      goesOn: true,
      heapBytes: EXPORT_HEAP_BYTES,
      grantEntries: EXPORT_GRANT_ENTRIES,
      disk: {
        kind: 'vdi',
        name: image,
        sectors: sizeBlocks * SECTORS_PER_PAGE,
        writable: !isReadOnly,
        weight: 1,
        requestsPerSecond: 0,
        bytesPerSecond: 0,
        bare: true,
      },
      config: (layout): GuestConfig<null> => ({
        layout,
        disk: {
          virtualDevice: VIRTUAL_DEVICE,
          policy: 'stall',
          deadlineNs: DEADLINE_NS,
          front: FRONT,
        },
        plantedBug: 'none',
        workload: null,
      }),
    });
  }

  #driverExited({ exit }: DriverDomain): void {
    if (this.#isEnding) return;
    const { failed, onNote } = this.#options;
    if (exit?.reason === 'failed') {
      onNote(`the driver VM has failed: ${exit.error.message}`);
      if (this.#spawner.isConnected === false) {
        return failed(new StorageError(exit.error.code, exit.error.message));
      }
    }
    onNote('the driver VM is gone; clients wait for its successor');
    this.#serving = this.#restart();
    this.#serving.catch(failed);
  }

  async #restart(): Promise<void> {
    await this.#world.timers.sleep(this.#restartMs * 1e6);
    if (this.#isEnding) return;
    this.#restartMs = Math.min(2 * this.#restartMs, RESTART_MS_MAX);
    const driver = await this.#toolstack.restartDriver();
    this.#restarts++;
    await this.#toolstack.allConnected();
    if (driver.exit !== null || this.#isEnding) return;
    this.#restartMs = RESTART_MS;
    this.#options.onNote('the driver VM serves again');
    await this.#noteLosses();
  }

  /** Says which disks answer with errors until somebody has accepted what they lack. */
  async #noteLosses(): Promise<void> {
    const status = await this.status().catch(() => null);
    for (const { name, state } of status?.images ?? []) {
      if (state !== 'lost' && state !== 'damaged') continue;
      this.#options.onNote(
        `image ${name} is ${state}: it lacks what was acknowledged, and answers with errors; ` +
          `go on with what is there by stordom ctl accept-loss ${name}`,
      );
    }
  }

  /** An export that ends by itself is a bug. */
  #exportExited(exit: ExitReport | null): void {
    if (this.#isEnding || exit?.reason !== 'failed') return;
    this.#options.failed(new Error(`an export has failed: ${exit.error.stack}`));
  }
}

type StartResident = (spec: ActorSpec, make: Parameters<typeof startResident>[2]) => ActorHandle;

/** Exports live on this thread, everybody else on one of its own. */
class ServeSpawner implements Spawner {
  readonly disks: Map<string, ExportDisk> = new Map();
  readonly #threads: ThreadSpawner;
  readonly #startResident: StartResident;
  readonly #residents: ActorHandle[] = [];

  constructor(threads: ThreadSpawner, start: StartResident) {
    this.#threads = threads;
    this.#startResident = start;
  }

  /** Every disk was connected once. */
  get isConnected(): boolean {
    return [...this.disks.values()].every(({ features }) => features !== null);
  }

  spawn(spec: ActorSpec): ActorHandle {
    if (spec.kind !== 'guest') return this.#threads.spawn(spec);
    const handle = this.#startResident(spec, (world, loop) => {
      const config = spec.config as GuestConfig<null>;
      return new Guest(world, config, ({ frames }) => {
        const disk = new ExportDisk(world.memory, frames, () => loop.look());
        this.disks.set(spec.name, disk);
        return disk;
      });
    });
    this.#residents.push(handle);
    return handle;
  }

  async close(): Promise<void> {
    for (const resident of this.#residents) resident.kill();
    await Promise.all(this.#residents.map(({ exited }) => exited));
    await this.#threads.close();
  }
}
