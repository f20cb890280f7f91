/** Making a pool's records in a directory, one txn after the other, and finding them again. */
import { UsageError } from '../../base/errors.ts';
import type { Crc } from '../../base/formats/sealed.ts';
import type { Directory, DirectoryEntry } from '../../world/directory.ts';
import type { GlobalMap } from '../placement.ts';
import { gmapKey, poolKey, serverKey, vdiskKey, vdiskNameKey } from './keys.ts';
import {
  addServer,
  createGmap,
  createPool,
  createVdisk,
  type Plan,
  type ServerFacts,
  type Stored,
} from './pool-transitions.ts';
import {
  decodeRecord,
  gmapKind,
  nameKind,
  type PoolRecord,
  poolKind,
  type RecordKind,
  type ServerRecord,
  serverKind,
  type VdiskMode,
  type VdiskRecord,
  vdiskKind,
} from './records.ts';

export interface NewPool {
  readonly pool: string;
  /** 16 bytes that no other pool has. */
  readonly uuid: Uint8Array;
  readonly createdMs: number;
  /** They become servers 1, 2, ... */
  readonly servers: readonly ServerFacts[];
  readonly copies: number;
  readonly vdisk: {
    readonly name: string;
    readonly mode: VdiskMode;
    readonly sizeBlocks: number;
  };
}

/** A virtual disk, and the map by which it is placed. */
export interface PlacedVdisk {
  readonly map: GlobalMap;
  readonly vdisk: VdiskRecord;
}

/**
 * Makes a pool of new servers with one map and one virtual disk. Rejects with `E_PETAL_POOL_EXISTS`
 * if there is one of that name.
 */
export async function createPetalPool(
  directory: Directory,
  digest: Crc,
  plan: NewPool,
): Promise<PlacedVdisk> {
  const at = { pool: plan.pool, digest };
  const make = async <T>({ next, txn }: Plan<T>): Promise<T> => {
    if (await directory.txn(txn.comparisons, txn.changes)) return next;
    throw new UsageError(
      'E_PETAL_POOL_EXISTS',
      `pool "${plan.pool}" is there already, or somebody makes it now: name another`,
      { fields: { pool: plan.pool } },
    );
  };
  const pool = (): Promise<Stored<PoolRecord>> => readPool(directory, digest, plan.pool);
  await make(createPool(at, plan.uuid, plan.createdMs));
  const servers: Stored<ServerRecord>[] = [];
  for (const facts of plan.servers) {
    const record = await make(addServer(at, await pool(), facts));
    const entry = await directory.get(serverKey(plan.pool, record.server));
    servers.push({ record, version: entry?.version ?? 0 });
  }
  const map = await make(createGmap(at, await pool(), servers, plan.copies));
  const stored = await directory.get(gmapKey(plan.pool, map.gmap));
  const gmap = { record: map, version: stored?.version ?? 0 };
  const vdisk = await make(createVdisk(at, await pool(), gmap, plan.vdisk));
  return { map, vdisk };
}

export async function readPool(
  directory: Directory,
  digest: Crc,
  pool: string,
): Promise<Stored<PoolRecord>> {
  const entry = await directory.get(poolKey(pool));
  return stored(digest, poolKind, entry, `pool "${pool}"`);
}

/** Rejects with `E_PETAL_MISSING` if the pool has no such server. */
export async function readServer(
  directory: Directory,
  digest: Crc,
  pool: string,
  server: number,
): Promise<Stored<ServerRecord>> {
  const entry = await directory.get(serverKey(pool, server));
  return stored(digest, serverKind, entry, `server ${server} of pool "${pool}"`);
}

/** The virtual disk of that name. Rejects with `E_PETAL_MISSING` if there is none. */
export async function findVdisk(
  directory: Directory,
  digest: Crc,
  pool: string,
  name: string,
): Promise<PlacedVdisk> {
  const what = `virtual disk "${name}" of pool "${pool}"`;
  const named = await directory.get(vdiskNameKey(pool, name));
  const { record: number } = stored(digest, nameKind, named, what);
  const found = await directory.get(vdiskKey(pool, number));
  const { record: vdisk } = stored(digest, vdiskKind, found, what);
  const gmap = await directory.get(gmapKey(pool, vdisk.gmap));
  const { record: map } = stored(digest, gmapKind, gmap, `the map of ${what}`);
  return { map, vdisk };
}

function stored<T>(
  digest: Crc,
  kind: RecordKind<T>,
  entry: DirectoryEntry | null,
  what: string,
): Stored<T> {
  if (entry !== null) return { record: decodeRecord(digest, kind, entry), version: entry.version };
  throw new UsageError('E_PETAL_MISSING', `${what} is not in the directory`, { fields: { what } });
}
