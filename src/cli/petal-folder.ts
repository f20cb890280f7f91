/**
 * A Petal pool in a folder of this machine.
 *
 * ```
 * DIR/directory.lmdb          records of the pool; written by the process that serves the directory
 * DIR/unfinished.lmdb         the same while the pool is made
 * DIR/owners.lmdb             which process has which part of the pool
 * DIR/<server>/log, data-N    disks of a server: s1, s2, ...
 * DIR/directory.sock          where the directory answers
 * DIR/<server>.sock           where a server does, unless it was told another place
 * DIR/<server>.control        where a server is asked how it is
 * ```
 * The directory has a process of its own, though lmdb lets several write to one file: a writer that
 * is stopped in the middle (a debugger, `kill -STOP`) holds lmdb's lock, and a pool in which one
 * server stands still must be able to go on without it.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { StorageError, UsageError } from '../base/errors.ts';
import { PAGE_BYTES } from '../base/units.ts';
import type { PetalServerConfig } from '../petal-backend/create-petal-server.ts';
import { serverPrefix } from '../petal-backend/directory/keys.ts';
import { createPetalPool, readPool, readServer } from '../petal-backend/directory/pool-setup.ts';
import {
  decodeRecord,
  type ServerRecord,
  serverKind,
  VdiskMode,
} from '../petal-backend/directory/records.ts';
import type { ServerReport } from '../petal-backend/server/petal-server-actor.ts';
import { DEFAULT_SERVER_OPTIONS, serverName } from '../petal-backend/server/ports.ts';
import { EXTENT_BLOCKS } from '../world/block-pool.ts';
import type { Directory } from '../world/directory.ts';
import { askControlSocket } from '../world/real/control-socket.ts';
import { nodeDigest } from '../world/real/digest.ts';
import { LmdbDirectory, syncFolder } from '../world/real/lmdb-directory.ts';
import type { SocketAddress } from '../world/real/sockets.ts';
import { makeFolder } from './files.ts';
import { formatAddress, parseAddress, unixAddress } from './socket-address.ts';
import { type OwnerClaim, type OwnerRecord, StoreOwner } from './store-owner.ts';

/** A pool by itself has no name: that of its folder is enough. */
export const POOL_NAME = 'pool';
/** Its one virtual disk is called as the store in a folder is, whose blocks may be there. */
export const VDISK_NAME = 'store';
const DIRECTORY_FILE = 'directory.lmdb';
const UNFINISHED_FILE = 'unfinished.lmdb';
const OWNERS_FILE = 'owners.lmdb';
const DIRECTORY_PART = 'directory';
const LOG_BYTES = 64 * 2 ** 20;
const SEGMENT_BYTES = 8 * 2 ** 20;
const ARENA_BYTES = 32 * 2 ** 20;
const PAIR_PAGES = 1;
const APPLY_DELAY_NS = 200e6;
const RETRY_NS = 1e9;
/** Of what the disks hold, as the size of the virtual disk: the rest is room to work. */
const USED_SHARE = 0.9;
export const PETAL_SERVERS_MAX = 32;
export const DISK_UNIT_BYTES: number = 64 * 2 ** 20;
/** Of a server that is asked how it is. */
const ANSWER_MS = 2000;

export interface NewPetalPool {
  readonly servers: number;
  readonly copies: number;
  /** Of each server. */
  readonly disks: number;
  readonly diskBytes: number;
}

/** A part of a pool that is this process's own. */
export interface PetalClaim {
  /** Who has another part; null: nobody. */
  ownerOf(part: number | null): Promise<OwnerRecord | null>;
  release(): Promise<void>;
}

export class PetalFolder {
  readonly path: string;

  /** Throws `UsageError` if there is no pool in that folder. */
  static async open(path: string): Promise<PetalFolder> {
    const folder = resolve(path);
    const isThere = await stat(join(folder, DIRECTORY_FILE)).then(
      (found) => found.isFile(),
      () => false,
    );
    if (isThere) return new PetalFolder(folder);
    throw new UsageError(
      'E_PETAL_FOLDER',
      `--store: ${folder} holds no Petal pool (no ${DIRECTORY_FILE}); name the folder of one, or ` +
        'make one with stordom petal create --store DIR --servers 4',
      { fields: { folder } },
    );
  }

  /** The folder of servers whose directory is served from somewhere else. */
  static async beside(path: string): Promise<PetalFolder> {
    await makeFolder(resolve(path), '--store');
    return new PetalFolder(resolve(path));
  }

  /** Makes a pool in a new or empty folder. Gives the bytes of its virtual disk. */
  static async create(path: string, pool: NewPetalPool): Promise<number> {
    const folder = resolve(path);
    const sizeBlocks = sizeOf(pool);
    await mustBeEmpty(folder);
    await makeFolder(folder, '--store');
    await removeUnfinished(folder);
    const unfinished = join(folder, UNFINISHED_FILE);
    const directory = new LmdbDirectory(unfinished);
    try {
      const servers = Array.from({ length: pool.servers }, (_, at) => ({
        address: `unix:${serverName(at + 1)}.sock`,
        site: 'here',
        disks: [LOG_BYTES, ...Array.from({ length: pool.disks }, () => pool.diskBytes)],
      }));
      await createPetalPool(directory, nodeDigest, {
        pool: POOL_NAME,
        uuid: Buffer.from(randomUUID().replaceAll('-', ''), 'hex'),
        createdMs: Date.now(),
        servers,
        copies: pool.copies,
        vdisk: { name: VDISK_NAME, mode: VdiskMode.shared, sizeBlocks },
      });
    } finally {
      await directory.close();
    }
    await rename(unfinished, join(folder, DIRECTORY_FILE));
    syncFolder(folder);
    await removeUnfinished(folder);
    return sizeBlocks * PAGE_BYTES;
  }

  private constructor(path: string) {
    this.path = path;
  }

  /** To look at: also beside the process that serves it. Closed by who asked. */
  readDirectory(): LmdbDirectory {
    return new LmdbDirectory(join(this.path, DIRECTORY_FILE), true);
  }

  /** To serve it: by one process, which has claimed it. */
  openDirectory(): LmdbDirectory {
    return new LmdbDirectory(join(this.path, DIRECTORY_FILE));
  }

  get directoryAddress(): SocketAddress {
    return parseAddress('unix:directory.sock', '--store', this.path);
  }

  /** As it is kept in the directory: below this folder, a socket is named from there. */
  addressText(address: SocketAddress): string {
    if (address.kind === 'unix' && dirname(address.path) === this.path) {
      return `unix:${basename(address.path)}`;
    }
    return formatAddress(address);
  }

  controlPath(server: number): string {
    return unixAddress(join(this.path, `${serverName(server)}.control`), '--store').path;
  }

  /** What a server of this machine says of itself; null: it does not answer. */
  async reportOf(server: number): Promise<ServerReport | null> {
    const asked = askControlSocket(this.controlPath(server), 'report', [], ANSWER_MS);
    return (await asked.catch(() => null)) as ServerReport | null;
  }

  async serverFolder(server: number): Promise<string> {
    const folder = join(this.path, serverName(server));
    await mkdir(folder, { recursive: true });
    return folder;
  }

  /** Where a server can be dialled, as the directory has it. */
  async addressOf(directory: Directory, server: number): Promise<SocketAddress> {
    const { record } = await readServer(directory, nodeDigest, POOL_NAME, server);
    return parseAddress(record.address, `the address of ${serverName(server)}`, this.path);
  }

  /** Claims a server, or the directory (null), for this process until `release`. */
  async claim(part: number | null, claim: OwnerClaim): Promise<PetalClaim> {
    const owners = new LmdbDirectory(join(this.path, OWNERS_FILE));
    try {
      const owner = await StoreOwner.claim(owners, partName(part), claim);
      return {
        ownerOf: (other) => StoreOwner.find(owners, partName(other)),
        release: async () => {
          await owner.release();
          await owners.close();
        },
      };
    } catch (thrown) {
      await owners.close();
      throw thrown;
    }
  }

  /** The processes that have those parts; null: nobody has it. */
  async ownersOf(parts: readonly (number | null)[]): Promise<(OwnerRecord | null)[]> {
    const isThere = await stat(join(this.path, OWNERS_FILE)).catch(() => null);
    if (isThere === null) return parts.map(() => null);
    const owners = new LmdbDirectory(join(this.path, OWNERS_FILE), true);
    try {
      return await Promise.all(parts.map((part) => StoreOwner.find(owners, partName(part))));
    } finally {
      await owners.close();
    }
  }
}

/** The servers of the pool in this directory; none: it has no pool. */
export async function poolServers(directory: Directory): Promise<ServerRecord[]> {
  const entries = await directory.list(serverPrefix(POOL_NAME));
  return entries.map((entry) => decodeRecord(nodeDigest, serverKind, entry));
}

/** What a server of the pool is started with. */
export async function serverConfig(
  directory: Directory,
  { server, disks }: ServerRecord,
): Promise<PetalServerConfig> {
  const { record: pool } = await readPool(directory, nodeDigest, POOL_NAME);
  const [logBytes = LOG_BYTES, ...data] = disks;
  const dataBytes = data[0];
  if (dataBytes === undefined) {
    const text = `server ${server} has no data disk in the directory: make the pool anew`;
    throw new StorageError('E_DIRECTORY_DAMAGED', text, { fields: { server } });
  }
  return {
    pool: POOL_NAME,
    server,
    store: {
      server: serverUuid(pool.uuid, server),
      dataDisks: data.length,
      dataBytes,
      logBytes,
      segmentBytes: SEGMENT_BYTES,
      arenaBytes: ARENA_BYTES,
      pairPages: PAIR_PAGES,
      applyDelayNs: APPLY_DELAY_NS,
      retryNs: RETRY_NS,
    },
    options: DEFAULT_SERVER_OPTIONS,
  };
}

/** Disks name the server they are of, and servers of two pools may have the same number. */
function serverUuid(pool: Uint8Array, server: number): Uint8Array {
  const text = new TextEncoder().encode(`${Buffer.from(pool).toString('hex')}/${server}`);
  return nodeDigest.sha256(text, 0, text.length).subarray(0, pool.length);
}

function sizeOf({ servers, copies, disks, diskBytes }: NewPetalPool): number {
  if (copies > servers) {
    throw new UsageError(
      'E_PETAL_COPIES',
      `--copies: ${copies} copies need as many servers, and there are ${servers}; write for ` +
        `example --servers ${copies}`,
      { fields: { copies, servers } },
    );
  }
  const blocks = (servers * disks * diskBytes * USED_SHARE) / copies / PAGE_BYTES;
  return Math.floor(blocks / EXTENT_BLOCKS) * EXTENT_BLOCKS;
}

/** What the disk of each server must have for a virtual disk of that size. */
export function diskBytesFor(servers: number, copies: number, sizeBytes: number): number {
  const bytes = (sizeBytes * copies) / servers / USED_SHARE;
  return Math.ceil(bytes / DISK_UNIT_BYTES) * DISK_UNIT_BYTES;
}

function partName(part: number | null): string {
  return part === null ? DIRECTORY_PART : serverName(part);
}

async function removeUnfinished(folder: string): Promise<void> {
  for (const end of ['', '-lock']) {
    await rm(join(folder, `${UNFINISHED_FILE}${end}`), { force: true });
  }
}

async function mustBeEmpty(folder: string): Promise<void> {
  const names = await readdir(folder).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT') return [];
    const text =
      `--store: ${folder} cannot be used (${thrown.code}); expected a folder, or a ` + 'free name';
    throw new UsageError('E_PETAL_FOLDER', text, { fields: { folder }, cause: thrown });
  });
  if (names.every((name) => name.startsWith(UNFINISHED_FILE))) return;
  throw new UsageError(
    'E_PETAL_FOLDER',
    `--store: ${folder} is not empty; expected a new or empty folder, for a pool begins with ` +
      'nothing; name another one',
    { fields: { folder, entries: names.length } },
  );
}
