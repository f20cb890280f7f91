/**
 * The store of a run: a pool and a directory that no fault of a host reaches, made before the hosts
 * are opened, with an image for each guest whose disk is one.
 */

import { formatUuid, UUID_BYTES } from '../base/formats/field-bytes.ts';
import { SECTORS_PER_PAGE } from '../base/units.ts';
import { POOL_DISK } from '../parallax/disk-names.ts';
import { HiddenKind } from '../parallax/formats/root-block.ts';
import { fsckStore } from '../parallax/fsck/fsck.ts';
import type { FsckReport } from '../parallax/fsck/report.ts';
import { createEmbeddedStore, openEmbeddedStore } from '../parallax/pool/embedded-store.ts';
import { Images } from '../parallax/store/images.ts';
import { Registry } from '../parallax/store/registry.ts';
import { Policy } from '../parallax/vdi/policy.ts';
import type { ParallaxSizes } from '../parallax/vdi/sizes.ts';
import type { Directory } from '../world/directory.ts';
import { DirectoryServer } from '../world/directory-server.ts';
import type { Link, World } from '../world/world.ts';
import type { GuestTrack } from './guest-track.ts';
import { type GuestScenario, imageName, type StoreScenario } from './scenario.ts';
import { type StoredSnapshot, StoredTrees } from './stored-snapshots.ts';

export const RUN_STORE = 'store';

export class RunStore {
  readonly directory: Directory;
  readonly #server: DirectoryServer;

  readonly #plan: StoreScenario;
  #lastLook: Promise<unknown> = Promise.resolve();

  constructor(directory: Directory, plan: StoreScenario) {
    this.directory = directory;
    this.#plan = plan;
    this.#server = new DirectoryServer(directory);
  }

  get sizes(): ParallaxSizes {
    return this.#plan.sizes;
  }

  /** Serves a driver VM's client. */
  readonly serve = (link: Link): void => {
    this.#server.serve(link);
  };

  /** Makes the store and its images. `world` reaches the pool and is struck by no fault. */
  async create(world: World, guests: readonly GuestScenario[]): Promise<void> {
    const { directory } = this;
    const place = { store: RUN_STORE, directory, diskName: POOL_DISK };
    const random = world.random.fork('store');
    const uuid = Uint8Array.from({ length: UUID_BYTES }, () => random.below(256));
    const createdMs = world.wallMs();
    const sizeBlocks = this.#plan.poolBlocks;
    await createEmbeddedStore(world, place, { uuid, createdMs, sizeBlocks });
    const { pool, superblock } = await openEmbeddedStore(world, place, null);
    const registry = new Registry(directory, RUN_STORE);
    const images = new Images(world, pool, registry, formatUuid(superblock.uuid));
    for (const { name, host, device, diskSectors, writeBack } of guests) {
      if (device !== 'vdi') continue;
      const blocks = Math.ceil(diskSectors / SECTORS_PER_PAGE);
      const policy = writeBack ?? Policy.w2;
      await images.create({ name: imageName(name), sizeBlocks: blocks, policy, host });
    }
    await pool.close();
  }

  /**
   * Every snapshot of a guest's image, as the pool has it now. One look after the other: they use
   * the whole memory of `world`.
   */
  snapshotsOf(world: World, guest: GuestTrack): Promise<StoredSnapshot[]> {
    const looking = this.#lastLook.then(() => this.#readSnapshots(world, guest));
    this.#lastLook = looking.catch(() => undefined);
    return looking;
  }

  async #readSnapshots(world: World, guest: GuestTrack): Promise<StoredSnapshot[]> {
    const { directory } = this;
    const place = { store: RUN_STORE, directory, diskName: POOL_DISK };
    const { pool, superblock } = await openEmbeddedStore(world, place, null);
    try {
      const registry = new Registry(directory, RUN_STORE);
      const images = new Images(world, pool, registry, formatUuid(superblock.uuid));
      const trees = new StoredTrees(world, pool);
      const { vdi } = await registry.byName(imageName(guest.name));
      const found: StoredSnapshot[] = [];
      for (const { id, name, vdiSeq, generation, root } of await trees.records(images, vdi)) {
        const sectors = await trees.sectorsOf(root, guest.disk, guest.scenario.diskSectors);
        found.push({ id, name, vdiSeq, generation, sectors });
      }
      return found;
    } finally {
      await pool.close();
    }
  }

  /**
   * What the orphan holds that the suffix of a guest's image has become; null: there is none. Of
   * several the newest.
   */
  orphanOf(world: World, guest: GuestTrack): Promise<Int32Array | null> {
    const looking = this.#lastLook.then(() => this.#readOrphan(world, guest));
    this.#lastLook = looking.catch(() => undefined);
    return looking;
  }

  async #readOrphan(world: World, guest: GuestTrack): Promise<Int32Array | null> {
    const { directory } = this;
    const place = { store: RUN_STORE, directory, diskName: POOL_DISK };
    const { pool, superblock } = await openEmbeddedStore(world, place, null);
    try {
      const registry = new Registry(directory, RUN_STORE);
      const images = new Images(world, pool, registry, formatUuid(superblock.uuid));
      const { vdi } = await registry.byName(imageName(guest.name));
      for (const named of (await registry.list()).toReversed()) {
        const { image } = await images.read(named.vdi);
        const isOrphan = image.hidden?.kind === HiddenKind.orphanSuffix;
        if (!isOrphan || image.origin?.vdi !== vdi) continue;
        const trees = new StoredTrees(world, pool);
        return await trees.sectorsOf(image.root, guest.disk, guest.scenario.diskSectors);
      }
      return null;
    } finally {
      await pool.close();
    }
  }

  /** Looks at everything that the run has left in the store, data too. Nobody may be using it. */
  async check(world: World): Promise<FsckReport> {
    const place = { store: RUN_STORE, directory: this.directory, diskName: POOL_DISK };
    const { report } = await fsckStore(world, place, { withData: true });
    return report;
  }
}
