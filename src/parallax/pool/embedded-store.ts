/**
 * A store in one file of the pool's folder and a directory: what a single machine uses.
 *
 * The superblock is in the directory, a label with the same uuid in the file. Both are looked at
 * when the store is opened, so that a file and a directory that do not belong together are refused
 * before anything is read as data.
 */
import { StorageError, UsageError } from '../../base/errors.ts';
import { sameBytes } from '../../base/formats/field-bytes.ts';
import { isDamage } from '../../base/formats/sealed.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { Directory } from '../../world/directory.ts';
import { diskCall, flushDisk } from '../../world/disk-story.ts';
import { type Disk, DiskStatus, type World } from '../../world/world.ts';
import { decodePoolLabel, encodePoolLabel } from '../formats/pool-label.ts';
import type { Superblock } from '../formats/superblock.ts';
import type { FenceGuard } from './attach.ts';
import { ConditionalBlocks } from './conditional-blocks.ts';
import { FilePool } from './file-pool.ts';
import { checkStoreName } from './keys.ts';
import { createStore, openStore, otherStoreError, type StoreFacts } from './store.ts';
import type { PoolOpener } from './store-pool.ts';

export interface EmbeddedPlace {
  readonly store: string;
  readonly directory: Directory;
  /** Name of the file among `world.poolDisks`. */
  readonly diskName: string;
}

type PoolWorld = Pick<World, 'clock' | 'timers' | 'digest' | 'poolDisks'>;

/** Creates the store, or goes on creating one that was begun. */
export async function createEmbeddedStore(
  world: PoolWorld,
  place: EmbeddedPlace,
  facts: StoreFacts,
): Promise<Superblock> {
  checkStoreName('store', place.store);
  const { digest } = world;
  const conditional = new ConditionalBlocks(place.directory, digest, place.store, null);
  return await createStore(conditional, digest, place.store, facts, (superblock) =>
    prepareFile(world, place, superblock),
  );
}

/** Opens the store's pool for an attachment, or, without a guard, for looking at it. */
export async function openEmbeddedStore(
  world: PoolWorld,
  place: EmbeddedPlace,
  guard: FenceGuard | null,
): Promise<{ readonly pool: FilePool; readonly superblock: Superblock }> {
  const { store, directory, diskName } = place;
  checkStoreName('store', store);
  const conditional = new ConditionalBlocks(directory, world.digest, store, null);
  const superblock = await openStore(conditional, world.digest, store);
  const disk = await world.poolDisks.open(diskName, { writable: guard !== null });
  try {
    await checkFile(world, place, disk, superblock);
  } catch (thrown) {
    await disk.close();
    throw thrown;
  }
  const { sizeBlocks } = superblock;
  const pool = new FilePool(world, { store, directory, disk, sizeBlocks, guard });
  return { pool, superblock };
}

/** The store's pool, as an engine is given it. */
export function embeddedOpener(world: PoolWorld, place: EmbeddedPlace): PoolOpener {
  return (guard) => openEmbeddedStore(world, place, guard);
}

/** Makes the file, sparse, and labels it, unless an earlier try has. */
async function prepareFile(
  world: PoolWorld,
  place: EmbeddedPlace,
  superblock: Superblock,
): Promise<void> {
  const createBytes = superblock.sizeBlocks * BLOCK_BYTES;
  const disk = await world.poolDisks.open(place.diskName, { writable: true, createBytes });
  try {
    const found = await readLabel(disk, place);
    if (found.some((byte) => byte !== 0)) checkLabel(world, place, found, superblock);
    const label = encodePoolLabel(world.digest, superblock);
    await must(diskCall(disk, 'write', 0, label), place);
    await must(flushDisk(disk), place);
  } finally {
    await disk.close();
  }
}

async function checkFile(
  world: PoolWorld,
  place: EmbeddedPlace,
  disk: Disk,
  superblock: Superblock,
): Promise<void> {
  if (disk.sizeBytes < superblock.sizeBlocks * BLOCK_BYTES) {
    const { store, diskName } = place;
    throw new UsageError(
      'E_STORE_DAMAGED',
      `file "${diskName}" of store "${store}" has ${disk.sizeBytes} bytes, the store ` +
        `${superblock.sizeBlocks * BLOCK_BYTES}: it was cut off; restore it from a copy`,
      { fields: { store, diskName, sizeBytes: disk.sizeBytes } },
    );
  }
  checkLabel(world, place, await readLabel(disk, place), superblock);
}

function checkLabel(
  world: PoolWorld,
  place: EmbeddedPlace,
  bytes: Uint8Array,
  superblock: Superblock,
): void {
  const { store, diskName } = place;
  const label = decodePoolLabel(world.digest, bytes);
  if (isDamage(label)) {
    throw new UsageError(
      'E_STORE_DAMAGED',
      `file "${diskName}" is no pool of store "${store}": its label cannot be read: ` +
        `${label.problem}; name the right file, or restore it from a copy`,
      { fields: { store, diskName } },
    );
  }
  if (!sameBytes(label.uuid, superblock.uuid)) {
    throw otherStoreError(store, superblock.uuid, label.uuid);
  }
}

async function readLabel(disk: Disk, place: EmbeddedPlace): Promise<Uint8Array> {
  const bytes = new Uint8Array(BLOCK_BYTES);
  await must(diskCall(disk, 'read', 0, bytes), place);
  return bytes;
}

async function must(status: Promise<DiskStatus>, place: EmbeddedPlace): Promise<void> {
  const found = await status;
  if (found === DiskStatus.ok) return;
  const { store, diskName } = place;
  const why = found === DiskStatus.noSpace ? 'no space is left' : 'the medium failed';
  throw new StorageError(
    'E_POOL_IO',
    `file "${diskName}" of store "${store}" cannot be read or written: ${why}`,
    { fields: { store, diskName, status: found } },
  );
}
