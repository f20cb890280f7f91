/** A Petal pool in a directory, for tests: servers, one map, and its pairs. */
import type { Incarnation } from '../../src/base/units.ts';
import { gmapKey, pairKey, poolKey, serverKey } from '../../src/petal-backend/directory/keys.ts';
import {
  addServer,
  createGmap,
  createPool,
  type PoolPlace,
  type Stored,
  type Txn,
} from '../../src/petal-backend/directory/pool-transitions.ts';
import {
  decodeRecord,
  gmapKind,
  type Member,
  pairKind,
  poolKind,
  serverKind,
} from '../../src/petal-backend/directory/records.ts';
import type { Directory } from '../../src/world/directory.ts';
import { simDigest as digest } from '../../src/world/sim/sim-digest.ts';

export const POOL: PoolPlace = { pool: 'p', digest };
export const UUID: Uint8Array = new Uint8Array(16).fill(7);

export async function make(directory: Directory, { comparisons, changes }: Txn): Promise<void> {
  if (!(await directory.txn(comparisons, changes))) throw new Error('a txn was not made');
}

/** The record of a key, which is there. */
export async function stored<T>(
  directory: Directory,
  kind: Parameters<typeof decodeRecord<T>>[1],
  key: string,
): Promise<Stored<T>> {
  const entry = await directory.get(key);
  if (entry === null) throw new Error(`there is no ${key}`);
  return { record: decodeRecord(digest, kind, entry), version: entry.version };
}

/** Servers 1 to `count`, and map 1 over them. */
export async function makePool(directory: Directory, count: number, copies = 2): Promise<void> {
  await make(directory, createPool(POOL, UUID, 1).txn);
  for (let i = 1; i <= count; i++) {
    const pool = await stored(directory, poolKind, poolKey('p'));
    const facts = { address: `s${i}`, site: i % 2 === 0 ? 'even' : 'odd', disks: [2 ** 40] };
    await make(directory, addServer(POOL, pool, facts).txn);
  }
  const pool = await stored(directory, poolKind, poolKey('p'));
  const servers = [];
  for (let i = 1; i <= count; i++) {
    servers.push(await stored(directory, serverKind, serverKey('p', i)));
  }
  await make(directory, createGmap(POOL, pool, servers, copies).txn);
  await stored(directory, gmapKind, gmapKey('p', 1));
  await stored(directory, pairKind, pairKey('p', 1, 0));
}

export function member(server: number, incarnation: number): Member {
  return { server, incarnation: incarnation as Incarnation };
}
