/** What the snapshots of an image hold, sector by sector, read from the pool by nobody's host. */
import { StorageError } from '../base/errors.ts';
import { readStamp } from '../base/stamps.ts';
import { PAGE_BYTES, SECTOR_BYTES, SECTORS_PER_PAGE } from '../base/units.ts';
import type { SnapshotRecord } from '../parallax/formats/snapshot-record.ts';
import type { TreeRoot } from '../parallax/formats/tree-root.ts';
import type { Images } from '../parallax/store/images.ts';
import { NodeCache } from '../parallax/tree/node-cache.ts';
import { NodeLoader } from '../parallax/tree/node-loader.ts';
import { readSnapshots } from '../parallax/tree/snapshot-log.ts';
import { TreeReader } from '../parallax/tree/tree-reader.ts';
import { BaseReader } from '../parallax/vdi/base-reader.ts';
import { DeviceStatus } from '../world/block-device.ts';
import type { BlockPool } from '../world/block-pool.ts';
import type { World } from '../world/world.ts';

export interface StoredSnapshot {
  readonly id: number;
  readonly name: string;
  readonly vdiSeq: number;
  readonly generation: number;
  /** What each sector holds: a write index, 0 for zeros, or a `StampFault`. */
  readonly sectors: Int32Array;
}

const NODE_PAGES = 32;
const LOADER_PAGES = 8;
/** What RAM is given in, for threads. */
const RAM_STEP_BYTES = 65_536;
/** RAM that a reader needs. */
export const READER_BYTES: number =
  Math.ceil(((NODE_PAGES + LOADER_PAGES + 1) * PAGE_BYTES) / RAM_STEP_BYTES) * RAM_STEP_BYTES;

/** Reads trees of a pool; caches nothing between two readers. `world.memory` is its own. */
export class StoredTrees {
  readonly #world: World;
  readonly #loader: NodeLoader;
  readonly #base: BaseReader;
  readonly #scratch: number;

  constructor(world: World, pool: BlockPool) {
    const { memory } = world;
    this.#world = world;
    const arena = { address: 0, bytes: NODE_PAGES * PAGE_BYTES };
    const loading = { address: arena.bytes, bytes: LOADER_PAGES * PAGE_BYTES };
    this.#scratch = loading.address + loading.bytes;
    this.#loader = new NodeLoader({
      world,
      pool,
      cache: new NodeCache({ memory, arena }),
      arena: loading,
      onDamage: () => undefined,
    });
    this.#base = new BaseReader(world, pool, new TreeReader(this.#loader));
  }

  /** Records of all snapshots of an image. Rejects with `StorageError` if one cannot be read. */
  async records(images: Images, vdi: number): Promise<readonly SnapshotRecord[]> {
    const { image } = await images.read(vdi);
    const log = { root: image.snapshotRoot, count: image.snapshotCount };
    const { records, damage } = await readSnapshots(this.#loader, log);
    const [first] = damage;
    if (first !== undefined) throw new StorageError('E_SNAPSHOT_LOG', first.problem);
    return records;
  }

  /** What a tree holds of disk number `disk`, `sectors` long. */
  async sectorsOf(root: TreeRoot, disk: number, sectors: number): Promise<Int32Array> {
    const held = new Int32Array(sectors);
    const { u32 } = this.#world.memory;
    for (let lba = 0; lba < sectors; lba += SECTORS_PER_PAGE) {
      const index = lba / SECTORS_PER_PAGE;
      const status = await this.#base.read(root, index, this.#scratch);
      if (status !== DeviceStatus.ok) {
        throw new StorageError('E_SNAPSHOT_READ', `block ${index} of a snapshot cannot be read`);
      }
      for (let i = 0; i < Math.min(SECTORS_PER_PAGE, sectors - lba); i++) {
        held[lba + i] = readStamp(u32, (this.#scratch + i * SECTOR_BYTES) / 4, disk, lba + i);
      }
    }
    return held;
  }
}
