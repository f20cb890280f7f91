/**
 * After the directory was lost and came back from a copy: it must not give anything again that was
 * given before, and must not believe that who was in sync then is in sync now.
 *
 * 1. Nobody serves: the first txn records the act and puts the pool into `restoring`.
 * 2. Every server reports what its disks say of its pairs: the highest term it has seen, and the
 *    last one in which it was in sync with all its data, which it noted before it acknowledged
 *    anything by it. Members with the highest of these have every acknowledged write, *if all
 *    members have reported*; who has not may have been the one that went on alone. Then the pair is
 *    left to an operator who says `lossy`.
 * 3. Terms, incarnations, map versions, numbers of maps and disks, sessions and fences are raised
 *    above all that servers or roots have seen. Every attachment ends: hosts attach anew, with a
 *    fence above any that was given.
 * 4. The last txn makes the pool `ready`.
 *
 * Begun again after a failure in between it raises everything once more, which does no harm.
 * Generations are in root blocks, which lie in the pool and were not lost with the directory.
 */
import { StorageError } from '../../base/errors.ts';
import { isDamage } from '../../base/formats/sealed.ts';
import {
  decodeSessionRecord,
  encodeSessionRecord,
  SessionRecordKind,
} from '../../base/formats/session-record.ts';
import { type Incarnation, type MapVersion, type Term, u32 } from '../../base/units.ts';
import {
  type Change,
  type Comparison,
  DIRECTORY_TXN_KEYS,
  type DirectoryEntry,
} from '../../world/directory.ts';
import { serverKey, vdiskKey } from './keys.ts';
import { isRefusal, restorePair } from './pair-transitions.ts';
import {
  checkText,
  forcedBecomes,
  forcedIsNew,
  type OperatorAct,
  type PoolPlace,
  pairBecomes,
  pairIs,
  poolBecomes,
  poolIs,
  type Stored,
  type Txn,
} from './pool-transitions.ts';
import {
  encodeRecord,
  ForcedKind,
  type ForcedRecord,
  type Member,
  type PairRecord,
  type PoolRecord,
  PoolState,
  type ServerRecord,
  serverKind,
  type VdiskRecord,
  vdiskKind,
} from './records.ts';

/** What a server's disks say of one of its pairs. */
export interface PairReport extends Member {
  readonly gmap: number;
  readonly group: number;
  readonly termSeen: Term;
  /** Last term in which it was in sync with all its data; 0: never. */
  readonly lastTerm: Term;
}

export interface StoreSeen {
  readonly store: string;
  readonly session: number;
  readonly fence: number;
}

/** The highest numbers that any server or root has seen. */
export interface Seen {
  readonly pairs: readonly PairReport[];
  readonly stores: readonly StoreSeen[];
  readonly mapVersions: ReadonlyMap<number, MapVersion>;
  readonly incarnations: ReadonlyMap<number, Incarnation>;
  readonly lastServer: number;
  readonly lastGmap: number;
  readonly lastVdisk: number;
  readonly lastForced: number;
}

/** What the restored directory holds. */
export interface Restored {
  readonly pool: Stored<PoolRecord>;
  readonly pairs: readonly Stored<PairRecord>[];
  readonly servers: readonly Stored<ServerRecord>[];
  readonly vdisks: readonly Stored<VdiskRecord>[];
  /** All entries below `next/` and `attach/` of the pool's stores. */
  readonly sessions: readonly DirectoryEntry[];
}

/** First txn of a restore: from then on no server serves by this directory. */
export function beginRestore(
  at: PoolPlace,
  pool: Stored<PoolRecord>,
  seen: Seen,
  act: OperatorAct,
): Txn {
  checkText('operator', act.operator);
  checkText('reason', act.reason);
  const n = Math.max(pool.record.lastForced, seen.lastForced) + 1;
  const forced: ForcedRecord = {
    n,
    kind: ForcedKind.restore,
    ...act,
    gmap: 0,
    group: 0,
    termBefore: u32<Term>(0),
    termAfter: u32<Term>(0),
    kept: 0,
    lost: [],
  };
  const next: PoolRecord = {
    ...pool.record,
    state: PoolState.restoring,
    lastServer: Math.max(pool.record.lastServer, seen.lastServer),
    lastGmap: Math.max(pool.record.lastGmap, seen.lastGmap),
    lastVdisk: Math.max(pool.record.lastVdisk, seen.lastVdisk),
    lastForced: n,
  };
  return {
    comparisons: [poolIs(at, pool), forcedIsNew(at, n)],
    changes: [poolBecomes(at, next), forcedBecomes(at, forced)],
  };
}

/**
 * The txns that raise everything, in any order. Each holds only while the pool is `restoring` as it
 * was read. Throws if a pair cannot be decided: `lossy` decides it by who has reported.
 */
export function raiseAbove(
  at: PoolPlace,
  restored: Restored,
  seen: Seen,
  lossy: boolean,
): readonly Txn[] {
  const { pool } = restored;
  if (pool.record.state !== PoolState.restoring) {
    throw new StorageError('E_NOT_RESTORING', `pool ${at.pool} is in use: begin a restore first`);
  }
  const steps: { readonly comparison: Comparison; readonly change: Change }[] = [];
  for (const stored of restored.pairs) {
    const reports = seen.pairs.filter(
      ({ gmap, group }) => gmap === stored.record.gmap && group === stored.record.group,
    );
    const record = restoredPair(stored.record, reports, pool.record.lastForced, lossy);
    steps.push({ comparison: pairIs(at, stored), change: pairBecomes(at, record) });
  }
  for (const { record, version } of restored.servers) {
    const key = serverKey(at.pool, record.server);
    const known = Math.max(record.incarnation, seen.incarnations.get(record.server) ?? 0);
    const next = { ...record, incarnation: u32<Incarnation>(known) };
    const value = encodeRecord(at.digest, serverKind, next);
    steps.push({ comparison: { key, version }, change: { key, value } });
  }
  for (const { record, version } of restored.vdisks) {
    const key = vdiskKey(at.pool, record.vdisk);
    const known = Math.max(record.mapVersion, seen.mapVersions.get(record.vdisk) ?? 0);
    const next = { ...record, mapVersion: u32<MapVersion>(known + 1) };
    const value = encodeRecord(at.digest, vdiskKind, next);
    steps.push({ comparison: { key, version }, change: { key, value } });
  }
  steps.push(...sessionSteps(at, restored.sessions, seen.stores));
  return inTxns(poolIs(at, pool), steps);
}

/** Last txn of a restore. */
export function endRestore(at: PoolPlace, pool: Stored<PoolRecord>): Txn {
  const next = { ...pool.record, state: PoolState.ready };
  return { comparisons: [poolIs(at, pool)], changes: [poolBecomes(at, next)] };
}

function restoredPair(
  pair: PairRecord,
  reports: readonly PairReport[],
  forced: number,
  lossy: boolean,
): PairRecord {
  const missing = pair.members.filter((member) => !reports.some(({ server }) => server === member));
  if (missing.length > 0 && !lossy) {
    throw undecided(pair, `server ${missing.join(', ')} has not said what it has; say lossy if`);
  }
  const termSeen = reports.reduce<number>((top, report) => Math.max(top, report.termSeen), 0);
  const lastTerm = reports.reduce<number>((top, report) => Math.max(top, report.lastTerm), 0);
  const inSync = reports
    .filter((report) => lastTerm > 0 && report.lastTerm === lastTerm)
    .map(({ server, incarnation }): Member => ({ server, incarnation }));
  const step = restorePair(inSync, u32<Term>(termSeen), forced)(pair);
  if (isRefusal(step)) throw undecided(pair, `${step.refused}; bring back a server, or`);
  return step;
}

function undecided({ gmap, group }: PairRecord, why: string): StorageError {
  return new StorageError(
    'E_RESTORE_UNDECIDED',
    `who is in sync for pair ${group} of map ${gmap} cannot be told: ${why} what it had may be lost`,
    { fields: { gmap, group } },
  );
}

/** Sessions and fences go on above what was seen, and every attachment ends. */
function sessionSteps(
  { digest }: PoolPlace,
  entries: readonly DirectoryEntry[],
  stores: readonly StoreSeen[],
): { comparison: Comparison; change: Change }[] {
  const kind = SessionRecordKind.next;
  const steps: { comparison: Comparison; change: Change }[] = [];
  for (const { key, version } of entries.filter((entry) => entry.key.startsWith('attach/'))) {
    steps.push({ comparison: { key, version }, change: { key, value: null } });
  }
  const named = new Set([
    ...stores.map(({ store }) => `next/${store}`),
    ...entries.map(({ key }) => key).filter((key) => key.startsWith('next/')),
  ]);
  for (const key of named) {
    const entry = entries.find((one) => one.key === key);
    const last = entry === undefined ? null : decodeSessionRecord(digest, kind, entry.value);
    if (last !== null && isDamage(last)) {
      throw new StorageError('E_DIRECTORY_DAMAGED', `"${key}" is damaged: ${last.problem}`);
    }
    const known = stores.find(({ store }) => `next/${store}` === key);
    const raised = {
      session: Math.max(last?.session ?? 0, known?.session ?? 0) + 1,
      fence: Math.max(last?.fence ?? 0, known?.fence ?? 0) + 1,
    };
    const value = encodeSessionRecord(digest, kind, raised);
    steps.push({ comparison: { key, version: entry?.version ?? 0 }, change: { key, value } });
  }
  return steps;
}

function inTxns(
  always: Comparison,
  steps: readonly { readonly comparison: Comparison; readonly change: Change }[],
): Txn[] {
  const txns: Txn[] = [];
  const size = DIRECTORY_TXN_KEYS - 1;
  for (let from = 0; from < steps.length; from += size) {
    const some = steps.slice(from, from + size);
    txns.push({
      comparisons: [always, ...some.map(({ comparison }) => comparison)],
      changes: some.map(({ change }) => change),
    });
  }
  return txns;
}
