/** A tree's cache, loader and reader over a pool in memory, and what tests ask of them. */

import type { Arena } from '../../src/parallax/arena.ts';
import type { TreeRoot } from '../../src/parallax/formats/tree-root.ts';
import { ChangeList } from '../../src/parallax/tree/change-list.ts';
import { NodeCache } from '../../src/parallax/tree/node-cache.ts';
import { type NodeDamage, NodeLoader, TreeStatus } from '../../src/parallax/tree/node-loader.ts';
import { type Lookup, TreeReader } from '../../src/parallax/tree/tree-reader.ts';
import {
  type UpdateParts,
  type UpdateResult,
  updateTree,
} from '../../src/parallax/tree/update-tree.ts';
import { walkTree } from '../../src/parallax/tree/walk.ts';
import { CoreWorld } from './core-world.ts';
import { MemoryPool, MemorySpace } from './memory-pool.ts';

const PAGE = 4096;

export interface TreeBenchOptions {
  readonly seed?: number;
  readonly cacheNodes?: number;
  readonly reads?: number;
  readonly writePages?: number;
}

export interface Superseded {
  readonly block: number;
  readonly birth: number;
  readonly flags: number;
}

export interface Found {
  readonly status: TreeStatus;
  readonly block: number;
  readonly crc: number;
  readonly birth: number;
  readonly flags: number;
}

/** A lookup that keeps its result. */
export class TestLookup implements Lookup {
  root: TreeRoot;
  index: number;
  block = -1;
  crc = -1;
  birth = -1;
  flags = -1;
  /** Null until it is done later. */
  status: TreeStatus | null = null;
  done: (() => void) | null = null;

  constructor(root: TreeRoot, index: number) {
    this.root = root;
    this.index = index;
  }

  lookupDone(status: TreeStatus): void {
    this.status = status;
    this.done?.();
  }
}

export class TreeBench {
  readonly world: CoreWorld;
  readonly pool: MemoryPool;
  readonly space: MemorySpace = new MemorySpace();
  readonly superseded: Superseded[] = [];
  readonly damage: NodeDamage[] = [];
  /** Crash points that were passed. */
  readonly crashPoints: string[] = [];
  /** Times that a story let others run. */
  turns = 0;
  cache: NodeCache;
  loader: NodeLoader;
  reader: TreeReader;
  readonly #cacheNodes: number;
  readonly #reads: number;
  readonly #arena: Arena;

  constructor(options: TreeBenchOptions = {}) {
    this.#cacheNodes = options.cacheNodes ?? 64;
    this.#reads = options.reads ?? 8;
    const writePages = options.writePages ?? 8;
    const pages = this.#cacheNodes + this.#reads + writePages;
    this.world = new CoreWorld(pages * PAGE, options.seed ?? 1);
    this.pool = new MemoryPool(options.seed ?? 1);
    [this.cache, this.loader, this.reader] = this.#open();
    this.#arena = {
      address: (this.#cacheNodes + this.#reads) * PAGE,
      bytes: writePages * PAGE,
    };
  }

  get parts(): UpdateParts {
    return {
      loader: this.loader,
      space: this.space,
      arena: this.#arena,
      superseded: (block, birth, flags) => this.superseded.push({ block, birth, flags }),
    };
  }

  /** Forgets everything that is cached, as a restart does. */
  restart(): void {
    [this.cache, this.loader, this.reader] = this.#open();
  }

  update(root: TreeRoot, birth: number, changes: ChangeList): Promise<UpdateResult> {
    return updateTree(this.parts, root, birth, changes);
  }

  /** Maps each index to `block`, with the CRC `crcOf(block)`. */
  map(
    root: TreeRoot,
    birth: number,
    mapped: readonly (readonly [number, number])[],
  ): Promise<UpdateResult> {
    const changes = new ChangeList();
    for (const [index, block] of mapped) changes.map(index, block, crcOf(block), 0);
    return this.update(root, birth, changes);
  }

  async find(root: TreeRoot, index: number): Promise<Found> {
    const lookup = new TestLookup(root, index);
    let status: TreeStatus = TreeStatus.ok;
    await new Promise<void>((resolve) => {
      lookup.done = resolve;
      if (this.reader.lookup(lookup)) resolve();
    });
    status = lookup.status ?? TreeStatus.ok;
    const { block, crc, birth, flags } = lookup;
    return { status, block, crc, birth, flags };
  }

  /** Everything a tree maps. */
  async content(root: TreeRoot): Promise<Map<number, number>> {
    const content = new Map<number, number>();
    await walkTree(this.loader, root, {
      data: (index, { block }) => {
        content.set(index, block);
      },
    });
    return content;
  }

  #open(): [NodeCache, NodeLoader, TreeReader] {
    const { world, pool } = this;
    const arena = { address: 0, bytes: this.#cacheNodes * PAGE };
    const cache = new NodeCache({ memory: world.memory, arena });
    const loader = new NodeLoader({
      world: {
        memory: world.memory,
        digest: world.digest,
        timers: {
          ...world.timers,
          sleep: () => {
            this.turns++;
            return Promise.resolve();
          },
        },
        crashPoint: (name) => {
          this.crashPoints.push(name);
        },
      },
      pool,
      cache,
      arena: { address: arena.bytes, bytes: this.#reads * PAGE },
      onDamage: (damage) => this.damage.push(damage),
    });
    return [cache, loader, new TreeReader(loader)];
  }
}

/** A CRC that tests give to data blocks they do not store. */
export function crcOf(block: number): number {
  return Math.imul(block, 0x9e37_79b1) >>> 0;
}
