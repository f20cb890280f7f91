/**
 * A store in a folder of this machine.
 *
 * ```
 * DIR/directory.lmdb        the directory: names, root blocks, who holds what
 * DIR/directory.lmdb-lock   lmdb's own
 * DIR/pool/blocks           the pool, as large as the store and sparse; or, on Petal servers,
 * DIR/s1/, DIR/owners.lmdb  and the like: the folder is that of a Petal pool (`petal-folder.ts`),
 *                           whose directory is the store's
 * DIR/hosts/<host>/         a host's own disk: its log (log-*, ckpt-*) and its slab
 * DIR/control.sock          while it is served: where `stordom ctl` asks
 * ```
 * There is nothing else to a store: copied as a whole while it is stopped, it is a copy of it.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UsageError } from '../base/errors.ts';
import type { SharedMemory } from '../base/shared-memory.ts';
import { PAGE_BYTES } from '../base/units.ts';
import { POOL_DISK } from '../parallax/disk-names.ts';
import { checkStoreSize } from '../parallax/pool/store.ts';
import { StoreView } from '../parallax/store/store-view.ts';
import { serverName } from '../petal-backend/server/ports.ts';
import { startClock } from '../world/real/clock.ts';
import { LmdbDirectory } from '../world/real/lmdb-directory.ts';
import { type RealWorld, toolstackWorld } from '../world/real/real-world.ts';
import { createHostMemory } from '../world/real/wasm-memory.ts';
import { makeFolder } from './files.ts';
import { diskBytesFor, PetalFolder, poolServers, VDISK_NAME } from './petal-folder.ts';
import type { OwnerClaim } from './store-owner.ts';
import { FileStorePool, PetalStorePool, type StorePool } from './store-pool.ts';

/** A store by itself has no name: that of its folder is enough. */
export const STORE_NAME: string = VDISK_NAME;
export const DEFAULT_HOST = 'h0';
const DIRECTORY_FILE = 'directory.lmdb';
const COPIES = 2;
const DATA_DISK = 'data-0';
const VIEW_NODE_PAGES = 1024;
const VIEW_READ_PAGES = 64;
const VIEW_BYTES = 5 * 2 ** 20;
const SEED_END = 2 ** 32;

/** Who opens a store. */
export interface StoreUser extends OwnerClaim {
  /** Sentences for people: what becomes of servers. */
  readonly onNote: (text: string) => void;
}

export interface NewStore {
  readonly sizeBytes: number;
  /** So many servers keep its blocks; null: a file does. */
  readonly petal: number | null;
}

export class StoreFolder {
  readonly path: string;
  readonly directory: LmdbDirectory;
  /** How many servers its blocks are on; 0: they are in a file. */
  readonly servers: number;
  readonly #user: StoreUser;
  readonly #worlds: RealWorld[] = [];
  #pool: Promise<StorePool> | null = null;

  /** Opens the store of a folder. Throws `UsageError` if there is none. */
  static async open(path: string, user: StoreUser): Promise<StoreFolder> {
    const folder = resolve(path);
    if (!(await hasStore(folder))) throw await noStore(folder);
    await mustBeWritable(folder);
    return StoreFolder.#at(folder, user);
  }

  /** Makes a store in a new or empty folder, or goes on making one that was begun. */
  static async create(path: string, made: NewStore, user: StoreUser): Promise<StoreFolder> {
    const { sizeBytes, petal } = made;
    const folder = resolve(path);
    checkStoreSize(STORE_NAME, sizeBytes / PAGE_BYTES);
    if (!(await hasStore(folder))) {
      if (petal === null) await mustBeFree(folder);
      else await createServers(folder, petal, sizeBytes);
    }
    await makeFolder(join(folder, 'hosts'), '--store');
    const store = await StoreFolder.#at(folder, user);
    try {
      if (petal !== null) store.checkServers(petal);
      if (store.servers === 0) await makeFolder(store.poolFolder, '--store');
      await store.#create(sizeBytes / PAGE_BYTES);
      return store;
    } catch (thrown) {
      await store.close();
      throw thrown;
    }
  }

  static async #at(path: string, user: StoreUser): Promise<StoreFolder> {
    const directory = new LmdbDirectory(join(path, DIRECTORY_FILE));
    try {
      const { length } = await poolServers(directory);
      return new StoreFolder(path, directory, length, user);
    } catch (thrown) {
      await directory.close();
      throw thrown;
    }
  }

  private constructor(path: string, directory: LmdbDirectory, servers: number, user: StoreUser) {
    this.path = path;
    this.directory = directory;
    this.servers = servers;
    this.#user = user;
  }

  /** Refuses `--petal N` where the store is not on so many servers. */
  checkServers(wanted: number): void {
    const { servers } = this;
    if (servers === wanted) return;
    const why =
      servers === 0
        ? `${this.path} keeps its blocks in a file; make another store on servers (stordom vdi ` +
          `create NAME --size 10g --store DIR --petal ${wanted}) and bring images there with ` +
          'stordom vdi export and import, or leave --petal out'
        : `the store is on ${servers} servers, not on ${wanted}; leave --petal out`;
    throw new UsageError('E_PETAL_SERVERS', `--petal: ${why}`, { fields: { servers, wanted } });
  }

  /** Its blocks. Starts the servers that they are on, unless somebody serves them. */
  pool(): Promise<StorePool> {
    this.#pool ??= this.#reach();
    return this.#pool;
  }

  async #reach(): Promise<StorePool> {
    const { directory } = this;
    const place = { store: STORE_NAME, directory, diskName: POOL_DISK };
    if (this.servers === 0) return new FileStorePool(place);
    const folder = await PetalFolder.open(this.path);
    return PetalStorePool.reach(folder, directory, this.#user);
  }

  async #create(sizeBlocks: number): Promise<void> {
    const uuid = Buffer.from(randomUUID().replaceAll('-', ''), 'hex');
    const world = this.worldOf(DEFAULT_HOST, createHostMemory(PAGE_BYTES * 16), () => {});
    const pool = await this.pool();
    await pool.create(world, { uuid, createdMs: Date.now(), sizeBlocks });
  }

  /** A world on the disks of a host and of the pool. It ends with this folder, or by its `bury`. */
  worldOf(
    host: string,
    memory: SharedMemory,
    onNote: (text: string) => void,
    onActivity: () => void = () => {},
  ): RealWorld {
    const options = {
      name: `${host}/stordom`,
      memory,
      // Names of what is made (uuids, salts) come from it: no two commands may draw the same.
      seed: randomInt(SEED_END),
      clockZero: startClock(),
      folder: this.hostFolder(host),
      poolFolder: this.poolFolder,
      onNote,
    };
    const world = toolstackWorld(options, onActivity);
    this.#worlds.push(world);
    return world;
  }

  hostFolder(host: string): string {
    return join(this.path, 'hosts', host);
  }

  get poolFolder(): string {
    return join(this.path, 'pool');
  }

  /** Hosts that have a disk here. */
  async hosts(): Promise<readonly string[]> {
    return (await readdir(join(this.path, 'hosts'))).sort();
  }

  /** Bytes that the pool's files take on this machine. */
  async poolBytes(): Promise<number> {
    const folder = this.servers === 0 ? 'pool' : '.';
    const disks =
      this.servers === 0
        ? [POOL_DISK]
        : Array.from({ length: this.servers }, (_, at) => join(serverName(at + 1), DATA_DISK));
    const files = disks.map((disk) => stat(join(this.path, folder, disk)).catch(() => null));
    return (await Promise.all(files)).reduce((sum, file) => sum + (file?.blocks ?? 0) * 512, 0);
  }

  /** The store as it is published. Closed by its user. */
  async view(): Promise<StoreView> {
    const memory = createHostMemory(VIEW_BYTES);
    const world = this.worldOf(DEFAULT_HOST, memory, () => {});
    const pool = await this.pool();
    const place = {
      store: STORE_NAME,
      directory: this.directory,
      nodes: { address: 0, bytes: VIEW_NODE_PAGES * PAGE_BYTES },
      reads: { address: VIEW_NODE_PAGES * PAGE_BYTES, bytes: VIEW_READ_PAGES * PAGE_BYTES },
    };
    return new StoreView(world, place, await pool.look(world));
  }

  /** Makes the folder of a host's disk, if it is not there. */
  async prepareHost(host: string): Promise<void> {
    await mkdir(this.hostFolder(host), { recursive: true });
  }

  async close(): Promise<void> {
    for (const world of this.#worlds) await world.bury();
    const pool = await this.#pool?.catch(() => null);
    await pool?.close();
    await this.directory.close();
  }
}

async function createServers(folder: string, servers: number, sizeBytes: number): Promise<void> {
  const diskBytes = diskBytesFor(servers, COPIES, sizeBytes);
  await PetalFolder.create(folder, { servers, copies: COPIES, disks: 1, diskBytes });
}

/** Whether a store is, or was begun, in a folder. */
export async function hasStore(path: string): Promise<boolean> {
  try {
    return (await stat(join(resolve(path), DIRECTORY_FILE))).isFile();
  } catch {
    return false;
  }
}

async function noStore(folder: string): Promise<UsageError> {
  const remedy = 'name the folder of a store, or make one with stordom vdi init --store DIR';
  const fields = { folder };
  try {
    if ((await stat(folder)).isDirectory()) {
      const text = `--store: ${folder} holds no store (no ${DIRECTORY_FILE}); ${remedy}`;
      return new UsageError('E_STORE_MISSING', text, { fields });
    }
    const text = `--store: ${folder} is a file, expected the folder of a store; ${remedy}`;
    return new UsageError('E_STORE_MISSING', text, { fields });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const text = `--store: ${folder} cannot be looked into (${code}); ${remedy}`;
    return new UsageError('E_STORE_MISSING', text, { fields, cause });
  }
}

async function mustBeWritable(folder: string): Promise<void> {
  for (const path of [folder, join(folder, DIRECTORY_FILE), join(folder, 'pool', POOL_DISK)]) {
    try {
      await access(path, constants.R_OK | constants.W_OK);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      // A pool that is missing is told of by who opens it, with what was expected.
      if (code === 'ENOENT') continue;
      throw new UsageError(
        'E_STORE_NOT_WRITABLE',
        `--store: ${path} may not be read and written by this user (${code}); expected a store ` +
          'of yours, because also a look at it takes a lock; change its owner or its mode',
        { fields: { path, errno: code ?? null }, cause },
      );
    }
  }
}

async function mustBeFree(folder: string): Promise<void> {
  let names: readonly string[] = [];
  try {
    names = await readdir(folder);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    const text = `--store: ${folder} cannot be used (${code}); expected a folder, or a free name`;
    throw new UsageError('E_STORE_FOLDER', text, { fields: { folder }, cause: thrown });
  }
  if (names.every((name) => name === 'pool' || name === 'hosts')) return;
  throw new UsageError(
    'E_STORE_FOLDER',
    `--store: ${folder} holds ${names.length} files and no store; expected a folder that is new ` +
      'or empty, or one with a store; name another one',
    { fields: { folder, entries: names.length } },
  );
}
