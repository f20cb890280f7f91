/**
 * A store as one sees it who is not attached to it: names, root blocks, snapshots, and the trees
 * they are the roots of, as they are published. For commands that look, also while driver VMs serve
 * the store: a published root stands for one content for ever, so whatever they publish meanwhile
 * disturbs nobody who reads below a root.
 *
 * It has no caches but one of nodes, and changes nothing but names and root blocks of new images.
 */
import { StorageError, UsageError } from '../../base/errors.ts';
import { formatUuid } from '../../base/formats/field-bytes.ts';
import type { BlockPool } from '../../world/block-pool.ts';
import type { Directory } from '../../world/directory.ts';
import type { World } from '../../world/world.ts';
import type { Arena } from '../arena.ts';
import type { RootBlock } from '../formats/root-block.ts';
import type { SnapshotRecord } from '../formats/snapshot-record.ts';
import type { Superblock } from '../formats/superblock.ts';
import type { OpenedPool } from '../pool/store-pool.ts';
import { NodeCache } from '../tree/node-cache.ts';
import { NodeLoader } from '../tree/node-loader.ts';
import { readSnapshots, type SnapshotList } from '../tree/snapshot-log.ts';
import { Images } from './images.ts';
import { Registry } from './registry.ts';

export interface StoreViewPlace {
  readonly store: string;
  readonly directory: Directory;
  /** RAM for nodes: the more, the fewer are read twice. */
  readonly nodes: Arena;
  /** RAM for nodes that are being read. */
  readonly reads: Arena;
}

export class StoreView {
  readonly world: World;
  readonly pool: BlockPool;
  readonly superblock: Superblock;
  readonly uuid: string;
  readonly images: Images;
  readonly loader: NodeLoader;

  /** The pool is closed with it. */
  constructor(
    world: World,
    { directory, store, nodes, reads }: StoreViewPlace,
    { pool, superblock }: OpenedPool,
  ) {
    this.world = world;
    this.pool = pool;
    this.superblock = superblock;
    this.uuid = formatUuid(superblock.uuid);
    this.images = new Images(world, pool, new Registry(directory, store), this.uuid);
    const cache = new NodeCache({ memory: world.memory, arena: nodes });
    this.loader = new NodeLoader({ world, pool, cache, arena: reads, onDamage: () => undefined });
  }

  /** The snapshots of an image, deleted ones too, and what of them cannot be read. */
  snapshots({ snapshotRoot: root, snapshotCount: count }: RootBlock): Promise<SnapshotList> {
    return readSnapshots(this.loader, { root, count });
  }

  close(): Promise<void> {
    return this.pool.close();
  }
}

/** The snapshot of that name. Throws `UsageError` with the names there are if there is none. */
export function requireSnapshot(
  { records, damage }: SnapshotList,
  image: string,
  name: string,
): SnapshotRecord {
  const there = records.filter(({ deleted }) => !deleted);
  const found = there.find((record) => record.name === name);
  if (found !== undefined) return found;
  const fields = { image, name };
  if (damage.length > 0) {
    const text =
      `snapshot "${name}" of ${image} cannot be found, and some snapshots cannot be read: ` +
      damage.map(({ problem }) => problem).join('; ');
    throw new StorageError('E_SNAPSHOTS_DAMAGED', text, { fields });
  }
  const names = there.map((record) => record.name);
  const known = names.length === 0 ? 'it has none' : `there are: ${names.join(', ')}`;
  throw new UsageError('E_NO_SNAPSHOT', `${image} has no snapshot "${name}"; ${known}`, { fields });
}

/** Throws `UsageError` if a snapshot has that name. */
export function requireFreeSnapshotName(list: SnapshotList, image: string, name: string): void {
  if (!list.records.some((record) => !record.deleted && record.name === name)) return;
  throw new UsageError('E_NAME_TAKEN', `${image} has a snapshot "${name}" already`, {
    fields: { image, name },
  });
}
