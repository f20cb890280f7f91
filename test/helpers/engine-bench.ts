/**
 * Parallax alone in the simulator: a pool and a directory that stay, a host whose disks a test may
 * cut the power of, and driver VMs that come and go. Requests go to an image's device directly,
 * without rings.
 */

import { formatUuid } from '../../src/base/formats/field-bytes.ts';
import { NEVER, nanos, SECTOR_BYTES } from '../../src/base/units.ts';
import { POOL_DISK } from '../../src/parallax/disk-names.ts';
import { Parallax } from '../../src/parallax/engine.ts';
import { fsckStore } from '../../src/parallax/fsck/fsck.ts';
import type { FsckReport } from '../../src/parallax/fsck/report.ts';
import {
  createEmbeddedStore,
  type EmbeddedPlace,
  embeddedOpener,
  openEmbeddedStore,
} from '../../src/parallax/pool/embedded-store.ts';
import { Images } from '../../src/parallax/store/images.ts';
import { Registry } from '../../src/parallax/store/registry.ts';
import { Policy } from '../../src/parallax/vdi/policy.ts';
import type { ServedImage } from '../../src/parallax/vdi/served-image.ts';
import { type ParallaxSizes, ramBytes, SMALL_SIZES } from '../../src/parallax/vdi/sizes.ts';
import type { VdiDevice } from '../../src/parallax/vdi/vdi-device.ts';
import type { ActorHandle } from '../../src/world/actor.ts';
import {
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
  NO_ORIGIN,
  type Origin,
} from '../../src/world/block-device.ts';
import { type BlockPool, EXTENT_BLOCKS } from '../../src/world/block-pool.ts';
import type { PlantedBug } from '../../src/world/faults.ts';
import { SimDirectory } from '../../src/world/sim/sim-directory.ts';
import type { SimHost } from '../../src/world/sim/sim-host.ts';
import { Simulator } from '../../src/world/sim/simulator.ts';
import type { World } from '../../src/world/world.ts';
import { scripted } from '../world/sim/helper-actors.ts';

export const STORE = 'store';
const BELL = 64;
/** RAM for the payloads of requests, below the engine's. */
const PAYLOADS = 65_536;
const PAYLOAD_BYTES = 4 * 2 ** 20;
const ENGINE = PAYLOADS + PAYLOAD_BYTES;

export interface EngineBenchOptions {
  readonly seed: number;
  readonly sizes: ParallaxSizes;
  readonly poolExtents: number;
  readonly plantedBug: PlantedBug;
}

/** One life of a driver VM. */
export interface EngineLife {
  readonly world: World;
  readonly engine: Parallax;
  readonly handle: ActorHandle;
  readonly image: (name: string) => Promise<ImageClient>;
}

export class EngineBench {
  readonly simulator: Simulator;
  readonly poolHost: SimHost;
  readonly host: SimHost;
  readonly directory: SimDirectory;
  /** A world that reaches the pool and that nothing strikes. */
  readonly world: World;
  /** As `world`, with RAM for somebody who looks at the store. */
  readonly viewWorld: World;
  readonly #options: EngineBenchOptions;
  /** Every client is a front end of its own. */
  #lastFrontId = 0;

  constructor(options: Partial<EngineBenchOptions> = {}) {
    this.#options = {
      seed: 1,
      sizes: SMALL_SIZES,
      poolExtents: 16,
      plantedBug: 'none',
      ...options,
    };
    this.simulator = new Simulator({ seed: this.#options.seed });
    this.poolHost = this.simulator.addHost('pool', { memoryBytes: 4096 });
    this.host = this.addHost('h0');
    this.directory = new SimDirectory(this.simulator, 'store');
    const aside = this.simulator.addHost('aside', { memoryBytes: 4096, pool: this.poolHost });
    this.world = this.simulator.toolstackWorld('aside', aside);
    const viewer = this.simulator.addHost('viewer', { memoryBytes: 2 ** 20, pool: this.poolHost });
    this.viewWorld = this.simulator.toolstackWorld('viewer', viewer);
  }

  addHost(name: string): SimHost {
    const memoryBytes = ENGINE + ramBytes(this.#options.sizes);
    return this.simulator.addHost(name, { memoryBytes, pool: this.poolHost });
  }

  /** Runs a story to its end; throws what it or any actor threw. */
  async run(story: () => Promise<void>): Promise<void> {
    let over = false;
    let thrown: unknown = null;
    story()
      .catch((reason: unknown) => {
        thrown = reason;
      })
      .finally(() => {
        over = true;
      });
    const { simulator } = this;
    const outcome = await simulator.run({ until: () => over, maxEvents: 20_000_000 });
    const [failure] = outcome.failures;
    if (failure !== undefined) throw new Error(`${failure.actor}: ${failure.error.stack}`);
    if (thrown !== null) throw thrown;
    if (!over) throw new Error(`seed ${simulator.seed}: the story hangs (${outcome.end})`);
  }

  /** Makes the store with an image of each name. */
  async create(
    names: readonly string[],
    sizeBlocks: number,
    policy: Policy = Policy.w2,
  ): Promise<void> {
    const { world } = this;
    const place = this.#place;
    const uuid = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
    const poolBlocks = this.#options.poolExtents * EXTENT_BLOCKS;
    await createEmbeddedStore(world, place, { uuid, createdMs: 0, sizeBlocks: poolBlocks });
    const { images, pool } = await this.look();
    for (const name of names) await images.create({ name, sizeBlocks, policy, host: 'h0' });
    await pool.close();
  }

  /** The store as somebody sees it who serves nothing. */
  async look(): Promise<{ readonly images: Images; readonly pool: BlockPool }> {
    const { world, directory } = this;
    const { pool, superblock } = await openEmbeddedStore(world, this.#place, null);
    const registry = new Registry(directory, STORE);
    return { images: new Images(world, pool, registry, formatUuid(superblock.uuid)), pool };
  }

  /**
   * Starts a driver VM on a host; settles when Parallax serves. `place` is where it runs, if that
   * is not the host of that name: another machine that has taken its name.
   */
  async start(host: string = 'h0', place: string = host): Promise<EngineLife> {
    const life = await this.tryStart(host, place);
    if (life === null) throw new Error(`the driver VM of ${place} died before it served`);
    return life;
  }

  /** The same for a driver VM that may be killed before it serves: then it gives null. */
  async tryStart(host: string = 'h0', place: string = host): Promise<EngineLife | null> {
    const { sizes, plantedBug } = this.#options;
    const name = `${place}/driver-vm`;
    let tell: (life: Omit<EngineLife, 'handle' | 'image'>) => void = () => undefined;
    const started = new Promise<Omit<EngineLife, 'handle' | 'image'>>((resolve) => {
      tell = resolve;
    });
    const failure: { reason: unknown } = { reason: null };
    let engine: Parallax | null = null;
    const script = (world: World): ReturnType<Parameters<typeof scripted>[0]> => ({
      start: async () => {
        engine = await Parallax.start({
          world,
          directory: this.directory,
          openPool: embeddedOpener(world, this.#place),
          store: STORE,
          host,
          sizes,
          address: ENGINE,
          bytes: ramBytes(sizes),
          together: (answer) => answer(),
          toleratesUnreadable: true,
          plantedBug,
          failed: (reason) => {
            failure.reason = reason;
          },
        });
        tell({ world, engine });
      },
      step: () => {
        if (failure.reason !== null) throw failure.reason;
        engine?.step();
        return 'idle';
      },
      nextDeadlineNs: () => (engine?.hasWork === true ? nanos(0) : NEVER),
    });
    const spawner = this.simulator.spawner(scripted(script));
    const handle = spawner.spawn({
      kind: 'driver-vm',
      name,
      host: place,
      bellAddress: BELL,
      links: [],
      config: null,
    });
    const life = await Promise.race([started, handle.exited.then(() => null)]);
    if (life === null) return null;
    const image = async (imageName: string): Promise<ImageClient> => {
      const served = await life.engine.image(imageName);
      return new ImageClient(life.world, served, ++this.#lastFrontId);
    };
    return { ...life, handle, image };
  }

  /** Looks at all of the store, data too. */
  async fsck(): Promise<FsckReport> {
    return (await fsckStore(this.viewWorld, this.#place, { withData: true })).report;
  }

  get #place(): EmbeddedPlace {
    return { store: STORE, directory: this.directory, diskName: POOL_DISK };
  }

  /** Copies the disks of a host, as they can be read now, to another one. */
  async copyDisks(from: SimHost, to: SimHost): Promise<void> {
    const source = this.simulator.toolstackWorld(`copy of ${from.name}`, from);
    const target = this.simulator.toolstackWorld(`copy to ${to.name}`, to);
    for (const name of from.diskNames()) {
      const old = await source.disks.open(name, { writable: false });
      const { sizeBytes } = old;
      const made = await target.disks.open(name, { writable: true, createBytes: sizeBytes });
      const bytes = new Uint8Array(sizeBytes);
      const io = { buffer: bytes, bufferOffset: 0, lengthBytes: sizeBytes, position: 0 };
      const done = (start: (diskDone: () => void) => void): Promise<void> =>
        new Promise((resolve) => start(() => resolve()));
      await done((diskDone) => old.read({ ...io, diskDone }));
      await done((diskDone) => made.write({ ...io, diskDone }));
      await done((diskDone) => made.flush({ ...io, diskDone }));
      await old.close();
      await made.close();
    }
  }

  /** Kills a driver VM and waits until it is gone. */
  async kill({ handle }: EngineLife): Promise<void> {
    handle.kill();
    await handle.exited;
  }

  async powerCut(life: EngineLife): Promise<void> {
    this.host.powerCut();
    await life.handle.exited;
  }
}

/** Requests to one image, one after the other or many at once. */
export class ImageClient {
  readonly served: ServedImage;
  readonly device: VdiDevice;
  readonly #world: World;
  #slot = 0;
  #frontSeq = 0;

  constructor(world: World, served: ServedImage, frontId: number) {
    this.#world = world;
    this.served = served;
    this.device = served.deviceFor(frontId, () => undefined);
  }

  write(lba: number, sectors: number, fill: number, origin?: Origin): Promise<DeviceStatus> {
    const address = this.#place(sectors);
    this.#world.memory.u8.fill(fill, address, address + sectors * SECTOR_BYTES);
    const own = { ...NO_ORIGIN, frontSeq: ++this.#frontSeq };
    return this.#submit(DeviceOp.write, lba, sectors, address, origin ?? own);
  }

  discard(lba: number, sectors: number): Promise<DeviceStatus> {
    return this.#submit(DeviceOp.discard, lba, sectors, 0, NO_ORIGIN);
  }

  flush(): Promise<DeviceStatus> {
    return this.#submit(DeviceOp.flush, 0, 0, 0, NO_ORIGIN);
  }

  /** The first byte of each sector, or the status if it is not ok. */
  async read(lba: number, sectors: number): Promise<number[] | DeviceStatus> {
    const address = this.#place(sectors);
    const status = await this.#submit(DeviceOp.read, lba, sectors, address, NO_ORIGIN);
    if (status !== DeviceStatus.ok) return status;
    return Array.from({ length: sectors }, (_, i) => {
      return this.#world.memory.u8[address + i * SECTOR_BYTES] as number;
    });
  }

  /** Places rotate: as many requests may be in flight as fit. */
  #place(sectors: number): number {
    const pages = Math.ceil((sectors * SECTOR_BYTES) / 4096);
    if ((this.#slot + pages) * 4096 > PAYLOAD_BYTES) this.#slot = 0;
    const address = PAYLOADS + this.#slot * 4096;
    this.#slot += pages;
    return address;
  }

  #submit(
    op: DeviceOp,
    lba: number,
    sectors: number,
    address: number,
    origin: Origin,
  ): Promise<DeviceStatus> {
    return new Promise((resolve) => {
      const request: DeviceRequest = {
        op,
        lba,
        sectors,
        address,
        origin,
        queue: 0,
        deviceDone: resolve,
      };
      this.device.submit(request);
    });
  }
}
