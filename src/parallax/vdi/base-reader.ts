/**
 * Reads single blocks of a published tree, for stories. Guests' reads have a path of their own
 * (`read-path.ts`), without promises.
 */

import { DeviceStatus } from '../../world/block-device.ts';
import { BLOCK_BYTES, type BlockPool, PoolStatus } from '../../world/block-pool.ts';
import type { World } from '../../world/world.ts';
import type { TreeRoot } from '../formats/tree-root.ts';
import { poolCall } from '../story-io.ts';
import { TreeStatus } from '../tree/node-loader.ts';
import type { Lookup, TreeReader } from '../tree/tree-reader.ts';

export class BaseReader {
  readonly #world: World;
  readonly #pool: BlockPool;
  readonly #reader: TreeReader;

  constructor(world: World, pool: BlockPool, reader: TreeReader) {
    this.#world = world;
    this.#pool = pool;
    this.#reader = reader;
  }

  /**
   * Block `index` of the tree, checked, to the page at `address`; zeros where nothing is mapped.
   */
  async read(root: TreeRoot, index: number, address: number): Promise<DeviceStatus> {
    const { memory, digest } = this.#world;
    const entry = new StoryLookup(root, index);
    const status = this.#reader.lookup(entry) ? TreeStatus.ok : await entry.done;
    if (status !== TreeStatus.ok) return DeviceStatus.ioError;
    if (entry.block === 0) {
      memory.clear(address, BLOCK_BYTES);
      return DeviceStatus.ok;
    }
    const read = await poolCall(this.#pool, 'read', entry.block, memory.u8, address, 1);
    if (read !== PoolStatus.ok) return DeviceStatus.ioError;
    const isSame = digest.crc32(memory.u8, address, BLOCK_BYTES) === entry.crc;
    return isSame ? DeviceStatus.ok : DeviceStatus.ioError;
  }
}

class StoryLookup implements Lookup {
  root: TreeRoot;
  index: number;
  block = 0;
  crc = 0;
  birth = 0;
  flags = 0;
  #settle: (status: TreeStatus) => void = () => undefined;
  readonly done: Promise<TreeStatus> = new Promise((resolve) => {
    this.#settle = resolve;
  });

  constructor(root: TreeRoot, index: number) {
    this.root = root;
    this.index = index;
  }

  lookupDone(status: TreeStatus): void {
    this.#settle(status);
  }
}
