/**
 * A store in a folder of this machine.
 *
 * ```
 * DIR/directory.lmdb        the directory: names, root blocks, who holds what
 * DIR/directory.lmdb-lock   lmdb's own
 * DIR/pool/blocks           the pool, as large as the store and sparse
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
import { createEmbeddedStore, type EmbeddedPlace } from '../parallax/pool/embedded-store.ts';
import { checkStoreSize } from '../parallax/pool/store.ts';
import { StoreView } from '../parallax/store/store-view.ts';
import { startClock } from '../world/real/clock.ts';
import { LmdbDirectory } from '../world/real/lmdb-directory.ts';
import { type RealWorld, toolstackWorld } from '../world/real/real-world.ts';
import { createHostMemory } from '../world/real/wasm-memory.ts';
import { makeFolder } from './files.ts';

/** A store by itself has no name: that of its folder is enough. */
export const STORE_NAME = 'store';
export const DEFAULT_HOST = 'h0';
export const DEFAULT_STORE_BYTES: number = 2 ** 40;
const DIRECTORY_FILE = 'directory.lmdb';
const VIEW_NODE_PAGES = 1024;
const VIEW_READ_PAGES = 64;
const VIEW_BYTES = 5 * 2 ** 20;
const SEED_END = 2 ** 32;

export class StoreFolder {
  readonly path: string;
  readonly directory: LmdbDirectory;
  readonly #worlds: RealWorld[] = [];

  /** Opens the store of a folder. Throws `UsageError` if there is none. */
  static async open(path: string): Promise<StoreFolder> {
    const folder = resolve(path);
    if (!(await hasStore(folder))) throw await noStore(folder);
    await mustBeWritable(folder);
    return new StoreFolder(folder);
  }

  /** Makes a store in a new or empty folder, or goes on making one that was begun. */
  static async create(path: string, sizeBytes: number): Promise<StoreFolder> {
    const folder = resolve(path);
    checkStoreSize(STORE_NAME, sizeBytes / PAGE_BYTES);
    if (!(await hasStore(folder))) await mustBeFree(folder);
    await makeFolder(join(folder, 'pool'), '--store');
    await makeFolder(join(folder, 'hosts'), '--store');
    const store = new StoreFolder(folder);
    try {
      const place = { store: STORE_NAME, directory: store.directory, diskName: POOL_DISK };
      const uuid = Buffer.from(randomUUID().replaceAll('-', ''), 'hex');
      const sizeBlocks = sizeBytes / PAGE_BYTES;
      const facts = { uuid, createdMs: Date.now(), sizeBlocks };
      const world = store.worldOf(DEFAULT_HOST, createHostMemory(PAGE_BYTES * 16), () => {});
      await createEmbeddedStore(world, place, facts);
      return store;
    } catch (thrown) {
      await store.close();
      throw thrown;
    }
  }

  private constructor(path: string) {
    this.path = path;
    this.directory = new LmdbDirectory(join(path, DIRECTORY_FILE));
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

  /** Bytes that the pool's file takes on this machine. */
  async poolBytes(): Promise<number> {
    return (await stat(join(this.path, 'pool', POOL_DISK))).blocks * 512;
  }

  /** Where its blocks are. */
  get place(): EmbeddedPlace {
    return { store: STORE_NAME, directory: this.directory, diskName: POOL_DISK };
  }

  /** The store as it is published. Closed by its user. */
  async view(): Promise<StoreView> {
    const memory = createHostMemory(VIEW_BYTES);
    const world = this.worldOf(DEFAULT_HOST, memory, () => {});
    return StoreView.open(world, {
      ...this.place,
      nodes: { address: 0, bytes: VIEW_NODE_PAGES * PAGE_BYTES },
      reads: { address: VIEW_NODE_PAGES * PAGE_BYTES, bytes: VIEW_READ_PAGES * PAGE_BYTES },
    });
  }

  /** Makes the folder of a host's disk, if it is not there. */
  async prepareHost(host: string): Promise<void> {
    await mkdir(this.hostFolder(host), { recursive: true });
  }

  async close(): Promise<void> {
    for (const world of this.#worlds) await world.bury();
    await this.directory.close();
  }
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
