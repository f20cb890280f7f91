/**
 * A virtual disk of a Petal pool as the pool of a store: a client with the session and the fence of
 * the attachment, over one link to a switch that the servers are reached by.
 *
 * The virtual disk has the name of the store, for its servers look there who is attached. Every
 * block is in it, conditional ones too: the superblock and the roots of images are compared and
 * written by the primaries of their pairs.
 */
import type { Attachment } from '../parallax/pool/attach.ts';
import { openStore } from '../parallax/pool/store.ts';
import type { OpenedPool, PoolOpener } from '../parallax/pool/store-pool.ts';
import { PetalPool, type PetalPoolOptions } from '../petal-backend/client/petal-pool.ts';
import { findVdisk, type PlacedVdisk } from '../petal-backend/directory/pool-setup.ts';
import type { PeerNet } from '../petal-backend/server/ports.ts';
import { LinkNet, PETAL_LINK } from '../petal-backend/wire/link-net.ts';
import type { Directory } from '../world/directory.ts';
import type { Digest, World } from '../world/world.ts';

/** Structured-cloneable. */
export interface PetalPlace {
  /** Name of the pool in the directory. */
  readonly pool: string;
  readonly options: PetalPoolOptions;
}

/**
 * For a world that has a `PETAL_LINK`, to the switch of the pool. Of several pools that it has
 * opened the last one hears.
 */
export function petalOpener(world: World, directory: Directory, place: PetalPlace): PoolOpener {
  const net = new LinkNet(world.net.link(PETAL_LINK), world);
  return async ({ attachment }) => {
    const pool = await openPetalPool(world, net, directory, place, attachment);
    return openStoreIn(pool, world.digest, attachment.store);
  };
}

/** Closes the pool if there is no store in it that can be used: rejects as `openStore`. */
export async function openStoreIn(
  pool: PetalPool,
  digest: Digest,
  store: string,
): Promise<OpenedPool> {
  try {
    return { pool, superblock: await openStore(pool, digest, store) };
  } catch (thrown) {
    await pool.close();
    throw thrown;
  }
}

/** The virtual disk of an attachment's store, whatever is in it. */
export async function openPetalPool(
  world: World,
  net: PeerNet,
  directory: Directory,
  place: PetalPlace,
  { store, host, session, fence }: Attachment,
): Promise<PetalPool> {
  const find = (): Promise<PlacedVdisk> => findVdisk(directory, world.digest, place.pool, store);
  const { map, vdisk } = await find();
  const { vdisk: number, epoch, mapVersion, sizeBlocks } = vdisk;
  const where = { map, vdisk: number, epoch, mapVersion, sizeBlocks };
  return new PetalPool({
    world,
    net,
    ...where,
    host,
    store,
    session,
    fence,
    options: place.options,
    lookAgain: () => find().then((now) => now.vdisk),
  });
}
