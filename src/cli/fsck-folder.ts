/**
 * The folder of a store, opened for looking at it alone: nothing is made, locked or changed, and
 * the store may be running. A store on Petal servers is looked at through them: if nobody serves
 * it they are started for as long as it takes.
 *
 * ```
 * DIR/directory.lmdb        names, root blocks, who holds what
 * DIR/pool/blocks           the pool
 * DIR/hosts/<host>/         the own disk of a host: log-*, ckpt-*, slab
 * ```
 */
import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UsageError } from '../base/errors.ts';
import { PAGE_BYTES } from '../base/units.ts';
import { POOL_DISK } from '../parallax/disk-names.ts';
import type { CheckedStore } from '../parallax/fsck/fsck.ts';
import { startClock } from '../world/real/clock.ts';
import { LmdbDirectory } from '../world/real/lmdb-directory.ts';
import { type RealWorld, toolstackWorld } from '../world/real/real-world.ts';
import { createHostMemory } from '../world/real/wasm-memory.ts';
import { unknownName } from './flags.ts';
import { PetalFolder, poolServers } from './petal-folder.ts';
import type { StoreUser } from './store-folder.ts';
import { FileStorePool, PetalStorePool, type StorePool } from './store-pool.ts';

const DIRECTORY_FILE = 'directory.lmdb';
/** What a store is called that was not finished far enough to say so. */
const STORE_NAME = 'store';

export class FsckFolder {
  readonly directory: LmdbDirectory;
  /** Those that have a disk here. */
  readonly hosts: readonly string[];
  readonly #path: string;
  readonly #worlds: RealWorld[] = [];
  #pool: StorePool | null = null;

  /** Throws `UsageError` if there is no store in the folder. */
  static async open(path: string): Promise<FsckFolder> {
    const folder = resolve(path);
    const file = join(folder, DIRECTORY_FILE);
    const isThere = await stat(file).then(
      (stats) => stats.isFile(),
      () => false,
    );
    if (!isThere) throw noStore(folder);
    const hosts = await foldersIn(join(folder, 'hosts'));
    const directory = new LmdbDirectory(file, true);
    if ((await poolServers(directory)).length === 0)
      return new FsckFolder(folder, directory, hosts);
    // Servers answer who is attached, which only who may write to the directory can be.
    await directory.close();
    return new FsckFolder(folder, new LmdbDirectory(file), hosts);
  }

  private constructor(path: string, directory: LmdbDirectory, hosts: readonly string[]) {
    this.#path = path;
    this.directory = directory;
    this.hosts = hosts;
  }

  /** The one store that the directory knows of. */
  async storeName(): Promise<string> {
    const entries = await this.directory.list('cond/');
    const names = new Set(entries.map(({ key }) => key.split('/')[1] ?? ''));
    if (names.size <= 1) return [...names][0] ?? STORE_NAME;
    const listed = [...names].join(', ');
    throw new UsageError(
      'E_STORE_SEVERAL',
      `--store: ${this.#path} holds ${names.size} stores (${listed}), expected one; name a ` +
        'folder that stordom made for a store',
      { fields: { path: this.#path } },
    );
  }

  /** The hosts to look at: one, or all. */
  chosenHosts(host: string | undefined): readonly string[] {
    if (host === undefined) return this.hosts;
    if (this.hosts.includes(host)) return [host];
    throw unknownName('--host', host, this.hosts);
  }

  /** A world on the pool and on the disks of a host; null: on no host's. */
  worldOf(host: string | null): RealWorld {
    const world = toolstackWorld({
      name: `${host ?? 'store'}/fsck`,
      memory: createHostMemory(PAGE_BYTES * 16),
      seed: 1,
      clockZero: startClock(),
      folder: host === null ? this.#path : join(this.#path, 'hosts', host),
      poolFolder: join(this.#path, 'pool'),
      onNote: () => {},
    });
    this.#worlds.push(world);
    return world;
  }

  /** The store of that name, for `checkStore` in that world. */
  async storeToCheck(world: RealWorld, store: string, user: StoreUser): Promise<CheckedStore> {
    const { directory } = this;
    const pool = await this.#poolOf(store, user);
    return { store, directory, open: (findings) => pool.lookForCheck(world, findings) };
  }

  async close(): Promise<void> {
    for (const world of this.#worlds) await world.bury();
    await this.#pool?.close();
    await this.directory.close();
  }

  async #poolOf(store: string, user: StoreUser): Promise<StorePool> {
    const { directory } = this;
    if ((await poolServers(directory)).length === 0) {
      return new FileStorePool({ store, directory, diskName: POOL_DISK });
    }
    const folder = await PetalFolder.open(this.#path);
    this.#pool = await PetalStorePool.reach(folder, directory, user);
    return this.#pool;
  }
}

/** A store whose hosts are elsewhere has none here. */
async function foldersIn(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw thrown;
  }
}

function noStore(folder: string): UsageError {
  return new UsageError(
    'E_STORE_MISSING',
    `--store: ${folder} holds no store (no file ${DIRECTORY_FILE}); name the folder of a store`,
    { fields: { folder } },
  );
}
