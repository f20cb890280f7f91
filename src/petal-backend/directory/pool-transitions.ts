/**
 * Changes of a pool as a whole, as pure functions: from what was read, the one txn that makes the
 * change. Each compares the version of every record it changes or relies on, so that of two at the
 * same time one is made, and one that comes late finds its comparison broken.
 */
import { UsageError } from '../../base/errors.ts';
import type { Crc } from '../../base/formats/sealed.ts';
import { type Incarnation, type MapVersion, type PetalEpoch, u32 } from '../../base/units.ts';
import type { Change, Comparison } from '../../world/directory.ts';
import { DIRECTORY_TXN_KEYS } from '../../world/directory.ts';
import { checkGlobalMap, membersOf } from '../placement.ts';
import {
  checkPetalName,
  forcedKey,
  gmapKey,
  pairKey,
  poolKey,
  serverKey,
  vdiskKey,
  vdiskNameKey,
} from './keys.ts';
import { isRefusal, newPair, type PairStep, type PairTransition } from './pair-transitions.ts';
import {
  encodeRecord,
  ForcedKind,
  type ForcedRecord,
  forcedKind,
  type GmapRecord,
  gmapKind,
  type Member,
  nameKind,
  type PairRecord,
  type PoolRecord,
  PoolState,
  pairKind,
  poolKind,
  type ServerRecord,
  serverKind,
  type VdiskMode,
  type VdiskRecord,
  vdiskKind,
} from './records.ts';

export interface Txn {
  readonly comparisons: readonly Comparison[];
  readonly changes: readonly Change[];
}

/** A record as it was read, with the version of its key. */
export interface Stored<T> {
  readonly record: T;
  readonly version: number;
}

/** What a txn makes, and the txn. */
export interface Plan<T> {
  readonly next: T;
  readonly txn: Txn;
}

/** Where a pool is, and what seals its records. */
export interface PoolPlace {
  readonly pool: string;
  readonly digest: Crc;
}

/** Servers of one map: with more, the pairs would not fit the txn that makes them. */
export const GMAP_SERVERS_MAX: number = DIRECTORY_TXN_KEYS - 8;
const TEXT_MAX = 400;
const PRINTABLE = /^[\x20-\x7e]*$/;

export function createPool(at: PoolPlace, uuid: Uint8Array, createdMs: number): Plan<PoolRecord> {
  checkPetalName('pool', at.pool);
  const next: PoolRecord = {
    state: PoolState.ready,
    uuid,
    createdMs,
    lastServer: 0,
    lastGmap: 0,
    lastVdisk: 0,
    lastForced: 0,
  };
  const key = poolKey(at.pool);
  const changes = [{ key, value: encodeRecord(at.digest, poolKind, next) }];
  return { next, txn: { comparisons: [{ key, version: 0 }], changes } };
}

export interface ServerFacts {
  readonly address: string;
  readonly site: string;
  readonly disks: readonly number[];
}

/** A server that the pool has not had before, and that has never been started. */
export function addServer(
  at: PoolPlace,
  pool: Stored<PoolRecord>,
  facts: ServerFacts,
): Plan<ServerRecord> {
  checkText('address', facts.address);
  checkText('site', facts.site);
  const server = pool.record.lastServer + 1;
  const next: ServerRecord = { server, incarnation: u32<Incarnation>(0), ...facts };
  const key = serverKey(at.pool, server);
  return {
    next,
    txn: {
      comparisons: [poolIs(at, pool), { key, version: 0 }],
      changes: [
        poolBecomes(at, { ...pool.record, lastServer: server }),
        { key, value: encodeRecord(at.digest, serverKind, next) },
      ],
    },
  };
}

/**
 * A server starts: its disks say `incarnation` already. Refused if the directory has heard of that
 * one or a later: the disks are older than what the server was.
 */
export function raiseIncarnation(
  at: PoolPlace,
  stored: Stored<ServerRecord>,
  incarnation: Incarnation,
  facts: ServerFacts,
): Plan<ServerRecord> {
  const { server, incarnation: known } = stored.record;
  if (incarnation <= known) {
    throw new UsageError(
      'E_OLD_DISK',
      `server ${server} starts as incarnation ${incarnation}, but has been ${known}: its disks ` +
        'are an older copy. Put back the newer ones, or empty them and let it join anew',
      { fields: { server, incarnation, known } },
    );
  }
  const { address, site, disks } = facts;
  const next: ServerRecord = { server, incarnation, address, site, disks };
  const key = serverKey(at.pool, server);
  const changes = [{ key, value: encodeRecord(at.digest, serverKind, next) }];
  return { next, txn: { comparisons: [{ key, version: stored.version }], changes } };
}

/** A server is reached at another address from now on; it is the same life of it. */
export function moveServer(
  at: PoolPlace,
  stored: Stored<ServerRecord>,
  address: string,
): Plan<ServerRecord> {
  checkText('address', address);
  const next: ServerRecord = { ...stored.record, address };
  const key = serverKey(at.pool, next.server);
  const changes = [{ key, value: encodeRecord(at.digest, serverKind, next) }];
  return { next, txn: { comparisons: [{ key, version: stored.version }], changes } };
}

/** A map over these servers, with a pair for each of its groups. */
export function createGmap(
  at: PoolPlace,
  pool: Stored<PoolRecord>,
  servers: readonly Stored<ServerRecord>[],
  copies: number,
): Plan<GmapRecord> {
  const next: GmapRecord = {
    gmap: pool.record.lastGmap + 1,
    servers: servers.map(({ record }) => record.server),
    copies,
  };
  checkGmapSize(next);
  const incarnations = new Map(
    servers.map(({ record }) => [record.server, record.incarnation] as const),
  );
  const pairs = next.servers.map((_, group) => {
    const members = membersOf(next, group).map((server): Member => {
      // Who has never been started is in sync in its first life: there is nothing to lack yet.
      const incarnation = Math.max(1, incarnations.get(server) as Incarnation);
      return { server, incarnation: u32<Incarnation>(incarnation) };
    });
    return newPair(next.gmap, group, members);
  });
  const key = gmapKey(at.pool, next.gmap);
  return {
    next,
    txn: {
      comparisons: [
        poolIs(at, pool),
        { key, version: 0 },
        // A server that starts meanwhile would be in sync as who it is no more.
        ...servers.map(({ record, version }) => ({
          key: serverKey(at.pool, record.server),
          version,
        })),
      ],
      changes: [
        poolBecomes(at, { ...pool.record, lastGmap: next.gmap }),
        { key, value: encodeRecord(at.digest, gmapKind, next) },
        ...pairs.map((pair) => pairBecomes(at, pair)),
      ],
    },
  };
}

export interface NewVdisk {
  readonly name: string;
  readonly mode: VdiskMode;
  readonly gmap: number;
  readonly sizeBlocks: number;
}

/** A virtual disk by a map that is there. Not made if another one has its name. */
export function createVdisk(
  at: PoolPlace,
  pool: Stored<PoolRecord>,
  gmap: Stored<GmapRecord>,
  vdisk: Omit<NewVdisk, 'gmap'>,
): Plan<VdiskRecord> {
  checkPetalName('virtual disk', vdisk.name);
  checkSize(vdisk.sizeBlocks);
  const next: VdiskRecord = {
    vdisk: pool.record.lastVdisk + 1,
    name: vdisk.name,
    mode: vdisk.mode,
    gmap: gmap.record.gmap,
    epoch: u32<PetalEpoch>(1),
    mapVersion: u32<MapVersion>(1),
    sizeBlocks: vdisk.sizeBlocks,
  };
  const key = vdiskKey(at.pool, next.vdisk);
  const nameKey = vdiskNameKey(at.pool, next.name);
  return {
    next,
    txn: {
      comparisons: [
        poolIs(at, pool),
        { key: gmapKey(at.pool, gmap.record.gmap), version: gmap.version },
        { key, version: 0 },
        { key: nameKey, version: 0 },
      ],
      changes: [
        poolBecomes(at, { ...pool.record, lastVdisk: next.vdisk }),
        { key, value: encodeRecord(at.digest, vdiskKind, next) },
        { key: nameKey, value: encodeRecord(at.digest, nameKind, next.vdisk) },
      ],
    },
  };
}

/** Its number and its blocks are never anybody's again; its map stays, for others use it. */
export function deleteVdisk(at: PoolPlace, stored: Stored<VdiskRecord>): Txn {
  const key = vdiskKey(at.pool, stored.record.vdisk);
  return {
    comparisons: [{ key, version: stored.version }],
    changes: [
      { key, value: null },
      { key: vdiskNameKey(at.pool, stored.record.name), value: null },
    ],
  };
}

/** A new size is a new map version: who still goes by the old one is told. */
export function resizeVdisk(
  at: PoolPlace,
  stored: Stored<VdiskRecord>,
  sizeBlocks: number,
): Plan<VdiskRecord> {
  checkSize(sizeBlocks);
  const mapVersion = u32<MapVersion>(stored.record.mapVersion + 1);
  const next: VdiskRecord = { ...stored.record, sizeBlocks, mapVersion };
  const key = vdiskKey(at.pool, next.vdisk);
  const changes = [{ key, value: encodeRecord(at.digest, vdiskKind, next) }];
  return { next, txn: { comparisons: [{ key, version: stored.version }], changes } };
}

/** The txn of a pair's transition, or why there is none. */
export function pairPlan(
  at: PoolPlace,
  stored: Stored<PairRecord>,
  transition: PairTransition,
): Plan<PairRecord> | Exclude<PairStep, PairRecord> {
  const next = transition(stored.record);
  if (isRefusal(next)) return next;
  return {
    next,
    txn: { comparisons: [pairIs(at, stored)], changes: [pairBecomes(at, next)] },
  };
}

export interface OperatorAct {
  readonly atMs: number;
  readonly operator: string;
  readonly reason: string;
}

/**
 * The txn of an act that an operator forces upon a pair: the pair's next record, and the act's own
 * record, by one txn. `transition` is given the number of the act.
 */
export function forcedPairPlan(
  at: PoolPlace,
  pool: Stored<PoolRecord>,
  stored: Stored<PairRecord>,
  act: OperatorAct,
  transition: (forced: number) => PairTransition,
): Plan<PairRecord> | Exclude<PairStep, PairRecord> {
  checkText('operator', act.operator);
  checkText('reason', act.reason);
  const n = pool.record.lastForced + 1;
  const next = transition(n)(stored.record);
  if (isRefusal(next)) return next;
  const kept = next.inSync.map(({ server }) => server);
  const record: ForcedRecord = {
    n,
    kind: ForcedKind.forceIsr,
    ...act,
    gmap: next.gmap,
    group: next.group,
    termBefore: stored.record.term,
    termAfter: next.term,
    kept: next.primary,
    lost: stored.record.inSync.map(({ server }) => server).filter((one) => !kept.includes(one)),
  };
  return {
    next,
    txn: {
      comparisons: [poolIs(at, pool), pairIs(at, stored), forcedIsNew(at, n)],
      changes: [
        poolBecomes(at, { ...pool.record, lastForced: n }),
        pairBecomes(at, next),
        forcedBecomes(at, record),
      ],
    },
  };
}

export function poolIs(at: PoolPlace, { version }: Stored<PoolRecord>): Comparison {
  return { key: poolKey(at.pool), version };
}

export function poolBecomes(at: PoolPlace, record: PoolRecord): Change {
  return { key: poolKey(at.pool), value: encodeRecord(at.digest, poolKind, record) };
}

export function pairIs(at: PoolPlace, { record, version }: Stored<PairRecord>): Comparison {
  return { key: pairKey(at.pool, record.gmap, record.group), version };
}

export function pairBecomes(at: PoolPlace, record: PairRecord): Change {
  const key = pairKey(at.pool, record.gmap, record.group);
  return { key, value: encodeRecord(at.digest, pairKind, record) };
}

export function forcedIsNew(at: PoolPlace, n: number): Comparison {
  return { key: forcedKey(at.pool, n), version: 0 };
}

export function forcedBecomes(at: PoolPlace, record: ForcedRecord): Change {
  const value = encodeRecord(at.digest, forcedKind, record);
  return { key: forcedKey(at.pool, record.n), value };
}

export function checkText(what: string, text: string): void {
  if (text.length <= TEXT_MAX && PRINTABLE.test(text)) return;
  throw new UsageError(
    'E_PETAL_TEXT',
    `the ${what} must be printable ASCII of at most ${TEXT_MAX} characters`,
    { fields: { what } },
  );
}

function checkGmapSize(map: GmapRecord): void {
  const { servers, copies } = map;
  const fits = servers.length <= GMAP_SERVERS_MAX && copies >= 1 && copies <= 3;
  if (!fits || copies > servers.length || new Set(servers).size !== servers.length) {
    throw new UsageError(
      'E_PETAL_MAP',
      `a map of ${copies} copies over ${servers.length} servers cannot be: expected 1 to 3 ` +
        `copies, each on a server of its own, and at most ${GMAP_SERVERS_MAX} servers, each once`,
      { fields: { copies, servers: servers.length } },
    );
  }
  checkGlobalMap(map);
}

function checkSize(sizeBlocks: number): void {
  if (Number.isSafeInteger(sizeBlocks) && sizeBlocks > 0 && sizeBlocks <= 2 ** 48) return;
  throw new UsageError(
    'E_PETAL_SIZE',
    `${sizeBlocks} blocks is no size of a virtual disk: expected 1 to 2^48`,
    { fields: { sizeBlocks } },
  );
}
