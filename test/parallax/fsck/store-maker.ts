/** Makes stores to check: a real Parallax, driven by hand, in either world. */
import { SECTORS_PER_PAGE } from '../../../src/base/units.ts';
import { POOL_DISK } from '../../../src/parallax/disk-names.ts';
import { Parallax } from '../../../src/parallax/engine.ts';
import { createEmbeddedStore, embeddedOpener } from '../../../src/parallax/pool/embedded-store.ts';
import { Policy } from '../../../src/parallax/vdi/policy.ts';
import { ramBytes, SMALL_SIZES } from '../../../src/parallax/vdi/sizes.ts';
import type { VdiDevice } from '../../../src/parallax/vdi/vdi-device.ts';
import {
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
  NO_ORIGIN,
} from '../../../src/world/block-device.ts';
import { BLOCK_BYTES, EXTENT_BLOCKS } from '../../../src/world/block-pool.ts';
import type { Directory } from '../../../src/world/directory.ts';
import type { World } from '../../../src/world/world.ts';
import { UUID } from '../pool/pool-bench.ts';

export const STORE = 'main';
export const HOST = 'h0';
/** RAM that a world needs to have a store made in it. */
export const MAKER_RAM_BYTES: number = ramBytes(SMALL_SIZES) + 2 * BLOCK_BYTES;
const STEP_NS = 20_000;

export class StoreMaker {
  readonly #world: World;
  readonly #directory: Directory;
  readonly #devices = new Map<string, VdiDevice>();
  readonly #failures: unknown[] = [];
  #engine: Parallax | null = null;
  #stepping: Promise<void> = Promise.resolve();

  constructor(world: World, directory: Directory) {
    this.#world = world;
    this.#directory = directory;
  }

  get engine(): Parallax {
    if (this.#engine === null) throw new Error('the store is stopped');
    return this.#engine;
  }

  async create(extents: number = 3): Promise<void> {
    const place = { store: STORE, directory: this.#directory, diskName: POOL_DISK };
    const facts = { uuid: UUID, createdMs: 1_700_000_000_000, sizeBlocks: extents * EXTENT_BLOCKS };
    await createEmbeddedStore(this.#world, place, facts);
  }

  async start(): Promise<void> {
    const place = { store: STORE, directory: this.#directory, diskName: POOL_DISK };
    const engine = await Parallax.start({
      world: this.#world,
      directory: this.#directory,
      openPool: embeddedOpener(this.#world, place),
      store: STORE,
      host: HOST,
      sizes: SMALL_SIZES,
      address: BLOCK_BYTES,
      bytes: ramBytes(SMALL_SIZES),
      toleratesUnreadable: false,
      plantedBug: 'none',
      failed: (thrown) => this.#failures.push(thrown),
      together: (answer) => answer(),
    });
    this.#engine = engine;
    this.#stepping = this.#step(engine);
  }

  async image(name: string, sizeBlocks: number): Promise<void> {
    await this.engine.images.create({ name, sizeBlocks, policy: Policy.w2, host: HOST });
  }

  /** Writes whole blocks, one after the other, each full of one byte. */
  async write(name: string, blocks: readonly number[], byte: number): Promise<void> {
    const device = await this.#device(name);
    for (const block of blocks) {
      this.#world.memory.u8.fill(byte, 0, BLOCK_BYTES);
      const status = await new Promise<DeviceStatus>((deviceDone) => {
        const request: DeviceRequest = {
          op: DeviceOp.write,
          lba: block * SECTORS_PER_PAGE,
          sectors: SECTORS_PER_PAGE,
          address: 0,
          origin: NO_ORIGIN,
          queue: 0,
          deviceDone,
        };
        device.submit(request);
      });
      if (status !== DeviceStatus.ok) throw new Error(`block ${block} of ${name}: ${status}`);
    }
  }

  async snapshot(name: string, snapshot: string): Promise<void> {
    await (await this.engine.image(name)).snapshot(snapshot, false);
  }

  async drain(name: string): Promise<void> {
    await (await this.engine.image(name)).drain();
  }

  async clone(name: string, snapshot: number, to: string): Promise<void> {
    const source = await this.engine.image(name);
    const { records } = await source.snapshots();
    const record = records.find(({ id }) => id === snapshot);
    if (record === undefined) throw new Error(`there is no snapshot ${snapshot} of ${name}`);
    const spec = { name: to, sizeBlocks: record.sizeBlocks, policy: Policy.w2, host: HOST };
    await this.engine.images.clone(source.vdi.id, record, spec);
  }

  /** Publishes everything and leaves the store. */
  async stop(): Promise<void> {
    await this.engine.close();
    await this.crash();
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  /** Nothing more is done; what is in flight ends as it may. */
  async crash(): Promise<void> {
    this.#engine = null;
    this.#devices.clear();
    await this.#stepping;
  }

  async #device(name: string): Promise<VdiDevice> {
    const known = this.#devices.get(name);
    if (known !== undefined) return known;
    const image = await this.engine.image(name);
    const device = image.deviceFor(1 + this.#devices.size, () => undefined);
    this.#devices.set(name, device);
    return device;
  }

  async #step(engine: Parallax): Promise<void> {
    while (this.#engine === engine) {
      engine.step();
      await this.#world.timers.sleep(STEP_NS);
    }
  }
}

/** Two images, one of two levels, with snapshots, and a clone; 4 nodes and more of each. */
export async function makeSample(maker: StoreMaker): Promise<void> {
  await maker.create();
  await maker.start();
  await maker.image('disk', 700);
  await maker.image('other', 200);
  await maker.write('disk', [0, 1, 2, 255, 256, 300, 699], 1);
  await maker.snapshot('disk', 'first');
  await maker.write('disk', [1, 300, 301], 2);
  await maker.snapshot('disk', 'second');
  await maker.write('disk', [2, 500], 3);
  await maker.write('other', [0, 1, 2, 3, 150], 4);
  await maker.drain('disk');
  await maker.clone('disk', 1, 'copy');
  await maker.write('copy', [0, 600], 5);
  await maker.stop();
}
