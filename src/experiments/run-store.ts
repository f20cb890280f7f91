/**
 * The store of a run: a pool and a directory that no fault of a host reaches, made before the hosts
 * are opened, with an image for each guest whose disk is one.
 */

import { formatUuid, UUID_BYTES } from '../base/formats/field-bytes.ts';
import { SECTORS_PER_PAGE } from '../base/units.ts';
import { HiddenKind } from '../parallax/formats/root-block.ts';
import type { Findings } from '../parallax/fsck/findings.ts';
import { checkStore } from '../parallax/fsck/fsck.ts';
import type { FsckReport } from '../parallax/fsck/report.ts';
import { Images } from '../parallax/store/images.ts';
import { Registry } from '../parallax/store/registry.ts';
import { Policy } from '../parallax/vdi/policy.ts';
import type { Directory } from '../world/directory.ts';
import { DirectoryServer } from '../world/directory-server.ts';
import type { Link, World } from '../world/world.ts';
import type { GuestTrack } from './guest-track.ts';
import type { RunPool } from './run-pool.ts';
import { type GuestScenario, imageName, type StoreScenario } from './scenario.ts';
import { type StoredSnapshot, StoredTrees } from './stored-snapshots.ts';

export const RUN_STORE = 'store';

export class RunStore {
  readonly directory: Directory;
  readonly plan: StoreScenario;
  readonly #world: World;
  readonly #pool: RunPool;
  readonly #server: DirectoryServer;
  #lastLook: Promise<unknown> = Promise.resolve();

  /** `world` is struck by no fault. */
  constructor(world: World, directory: Directory, pool: RunPool, plan: StoreScenario) {
    this.directory = directory;
    this.plan = plan;
    this.#world = world;
    this.#pool = pool;
    this.#server = new DirectoryServer(directory);
  }

  get digest(): World['digest'] {
    return this.#world.digest;
  }

  /** Serves the directory to a client at the other end. */
  readonly serve = (link: Link): void => {
    this.#server.serve(link);
  };

  /** Makes the store and its images. */
  async create(guests: readonly GuestScenario[]): Promise<void> {
    const world = this.#world;
    const random = world.random.fork('store');
    const uuid = Uint8Array.from({ length: UUID_BYTES }, () => random.below(256));
    const createdMs = world.wallMs();
    await this.#pool.create({ uuid, createdMs, sizeBlocks: this.plan.poolBlocks });
    await this.#looking(async ({ images }) => {
      for (const { name, host, device, diskSectors, writeBack } of guests) {
        if (device !== 'vdi') continue;
        const blocks = Math.ceil(diskSectors / SECTORS_PER_PAGE);
        const policy = writeBack ?? Policy.w2;
        await images.create({ name: imageName(name), sizeBlocks: blocks, policy, host });
      }
    });
  }

  /** Every snapshot of a guest's image, as the pool has it now. */
  snapshotsOf(guest: GuestTrack): Promise<StoredSnapshot[]> {
    return this.#looking(async ({ images, trees }) => {
      const { vdi } = await images.registry.byName(imageName(guest.name));
      const found: StoredSnapshot[] = [];
      for (const { id, name, vdiSeq, generation, root } of await trees.records(images, vdi)) {
        const sectors = await trees.sectorsOf(root, guest.disk, guest.scenario.diskSectors);
        found.push({ id, name, vdiSeq, generation, sectors });
      }
      return found;
    });
  }

  /**
   * What the orphan holds that the suffix of a guest's image has become; null: there is none. Of
   * several the newest.
   */
  orphanOf(guest: GuestTrack): Promise<Int32Array | null> {
    return this.#looking(async ({ images, trees }) => {
      const { vdi } = await images.registry.byName(imageName(guest.name));
      for (const named of (await images.registry.list()).toReversed()) {
        const { image } = await images.read(named.vdi);
        const isOrphan = image.hidden?.kind === HiddenKind.orphanSuffix;
        if (!isOrphan || image.origin?.vdi !== vdi) continue;
        return await trees.sectorsOf(image.root, guest.disk, guest.scenario.diskSectors);
      }
      return null;
    });
  }

  /** Looks at everything that the run has left in the store, data too. Nobody may be using it. */
  async check(): Promise<FsckReport> {
    const open = (findings: Findings) => this.#pool.openForCheck(findings);
    const checked = { store: RUN_STORE, directory: this.directory, open };
    const { report } = await checkStore(this.#world, checked, { withData: true });
    return report;
  }

  /** One look after the other: they use the whole memory of the world. */
  #looking<T>(look: (view: View) => Promise<T>): Promise<T> {
    const looking = this.#lastLook.then(async () => {
      const { pool, superblock } = await this.#pool.look();
      try {
        const world = this.#world;
        const registry = new Registry(this.directory, RUN_STORE);
        const images = new Images(world, pool, registry, formatUuid(superblock.uuid));
        return await look({ images, trees: new StoredTrees(world, pool) });
      } finally {
        await pool.close();
      }
    });
    this.#lastLook = looking.catch(() => undefined);
    return looking;
  }
}

interface View {
  readonly images: Images;
  readonly trees: StoredTrees;
}
