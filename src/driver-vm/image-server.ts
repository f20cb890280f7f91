/**
 * The images of a driver VM's store: Parallax, started with the driver VM and stepped with it.
 *
 * The start is a story (attach, raise generations, recover the log): until it has ended, disks that
 * are images wait in their handshake, and guests stall. If it fails for a reason that may pass (the
 * directory or the pool does not answer) it is tried again, and the notes say why.
 */
import { StorageError, toErrorRecord } from '../base/errors.ts';
import { type Nanos, NEVER } from '../base/units.ts';
import type { SlabStats } from '../parallax/cache/slab-options.ts';
import { Parallax } from '../parallax/engine.ts';
import type { LogStatistics } from '../parallax/log/dirty-log.ts';
import type { PoolOpener } from '../parallax/pool/store-pool.ts';
import type { BlockRun, ExtentKind } from '../parallax/vdi/extents.ts';
import type { ReadCounters } from '../parallax/vdi/read-path.ts';
import type { Attaching, ImageStatus, ServedImage } from '../parallax/vdi/served-image.ts';
import type { ParallaxSizes } from '../parallax/vdi/sizes.ts';
import type { Numbered } from '../parallax/vdi/write-path.ts';
import type { BlockDevice } from '../world/block-device.ts';
import type { Directory } from '../world/directory.ts';
import type { PlantedBug } from '../world/faults.ts';
import type { World } from '../world/world.ts';
import type { PetalPlace } from './petal-opener.ts';

export interface DriverStore {
  readonly name: string;
  /** This host, as the store knows it. */
  readonly host: string;
  readonly sizes: ParallaxSizes;
  /** Its pool is Petal's; a file unless said. */
  readonly petal?: PetalPlace;
}

/** What the parts of a store that its images share have done since the driver VM started. */
export interface StoreStatus {
  readonly log: LogStatistics;
  readonly slab: SlabStats;
  readonly reads: ReadCounters;
}

export interface ImageServerParts {
  readonly world: World;
  readonly directory: Directory;
  readonly openPool: PoolOpener;
  readonly store: DriverStore;
  /** RAM for Parallax. */
  readonly address: number;
  readonly bytes: number;
  readonly plantedBug: PlantedBug;
  readonly failed: (thrown: unknown) => void;
  /** See `EngineParts`. */
  readonly together: (answer: () => void) => void;
}

/** Between two tries to start. */
const RETRY_NS = 100e6;
/** A disk that cannot be read may come back in that many tries; then what it keeps back is lost. */
const STRICT_TRIES = 50;
/** Failures of a start that may pass by themselves. */
const PASSING = new Set([
  'E_DIRECTORY',
  'E_POOL_IO',
  'E_POOL_UNKNOWN',
  'E_ATTACH_CONTENTION',
  'E_ROOT_BUSY',
  'E_IMAGE_CLOSING',
  'E_LOG_NO_SPACE',
  'E_LOG_UNREADABLE',
  'E_LOG_SYNC',
]);

export class ImageServer {
  readonly #parts: ImageServerParts;
  readonly #started: Promise<Parallax>;
  #engine: Parallax | null = null;

  constructor(parts: ImageServerParts) {
    this.#parts = parts;
    this.#started = this.#start();
    this.#started.catch(parts.failed);
  }

  /** The image as a disk of one front end; settles when Parallax has started. */
  async open(
    name: string,
    frontId: number,
    numbered: Numbered,
    how: Attaching,
  ): Promise<BlockDevice> {
    for (;;) {
      try {
        return (await this.#image(name)).deviceFor(frontId, numbered, how);
      } catch (thrown) {
        await this.#mayPass(`the image ${name}`, thrown);
      }
    }
  }

  /** The operator accepts that what was acknowledged and is gone is gone. */
  async acceptLoss(name: string): Promise<void> {
    (await this.#image(name)).acceptLoss();
  }

  /** From here on it is of that one; see `Parallax.handOver`. */
  async handOver(name: string, to: string): Promise<void> {
    const engine = await this.#started;
    await this.#untilPassed(name, () => engine.handOver(name, to));
  }

  /** From here on the image is of this host; see `Parallax.takeOver`. */
  async takeOver(name: string): Promise<void> {
    const engine = await this.#started;
    await this.#untilPassed(name, async () => {
      await engine.takeOver(name);
    });
  }

  get isServing(): boolean {
    return this.#engine !== null;
  }

  /** At the end of each step of the driver VM. */
  step(): void {
    this.#engine?.step();
  }

  nextDeadlineNs(): Nanos {
    return this.#engine?.hasWork === true ? (0 as Nanos) : NEVER;
  }

  checkInvariants(): void {
    this.#engine?.checkInvariants();
  }

  status(): readonly ImageStatus[] {
    return this.#engine?.served().map((image) => image.status()) ?? [];
  }

  /** null: it has not started yet. */
  storeStatus(): StoreStatus | null {
    const engine = this.#engine;
    if (engine === null) return null;
    const { log, slab, reads } = engine;
    return { log: log.statistics(), slab: slab.stats(), reads: { ...reads.counters } };
  }

  /** Settles with the id of the snapshot; see `ServedImage.snapshot`. */
  async snapshot(image: string, name: string, local: boolean): Promise<number> {
    return (await this.#image(image)).snapshot(name, local);
  }

  /** See `extentsOf`. */
  async extents(name: string, kind: ExtentKind, from: number, to: number): Promise<BlockRun[]> {
    return (await this.#image(name)).extents(kind, from, to);
  }

  /** Takes an image away, with its snapshots. No disk has it open. */
  async remove(name: string): Promise<void> {
    await (await this.#started).remove(name);
  }

  /** Publishes everything and leaves the store. No disk is open any more, and none will be. */
  async close(): Promise<void> {
    const engine = await this.#started;
    await engine.close();
    this.#engine = null;
  }

  async #untilPassed(name: string, work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await work();
      } catch (thrown) {
        await this.#mayPass(`the image ${name}`, thrown);
      }
    }
  }

  async #image(name: string): Promise<ServedImage> {
    const engine = await this.#started;
    return engine.image(name);
  }

  async #start(): Promise<Parallax> {
    const { store, address, bytes, ...rest } = this.#parts;
    const { name, host, sizes } = store;
    const parts = { ...rest, store: name, host, sizes, address, bytes };
    for (let tries = 1; ; tries++) {
      const toleratesUnreadable = tries > STRICT_TRIES;
      try {
        this.#engine = await Parallax.start({ ...parts, toleratesUnreadable });
        return this.#engine;
      } catch (thrown) {
        await this.#mayPass(`the store ${name}`, thrown);
      }
    }
  }

  /** Settles when something that failed may be tried again; rejects if there is no use in that. */
  async #mayPass(what: string, thrown: unknown): Promise<void> {
    if (!(thrown instanceof StorageError) || !PASSING.has(thrown.code)) throw thrown;
    const { world } = this.#parts;
    world.log.note(`${what} cannot be used yet: ${toErrorRecord(thrown).message}`);
    await world.timers.sleep(RETRY_NS);
  }
}
