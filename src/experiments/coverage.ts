/**
 * What a run put to the test. A check that never bites proves nothing, so every run says which of
 * the moments happened that the checks are for (`sometimes`), and for which clauses a violation
 * could have shown (`stakes`): a crash only counts for a clause if it fell where that clause can be
 * broken.
 *
 * A sweep adds these up; a moment that never happened in a whole sweep is a missing test.
 */
import { type History, HistoryFlag, HistoryKind, HistoryStatus } from '../world/history.ts';
import type { GuestTrack } from './guest-track.ts';
import type { HostKeeper } from './host-keeper.ts';
import {
  POLICY_CLAUSES,
  POLICY_MOMENTS,
  type PolicyClause,
  policyStakes,
} from './policy-stakes.ts';
import { POOL_CLAUSES, POOL_MOMENTS, type PoolClause, poolStakes } from './pool-stakes.ts';
import type { Run } from './runner.ts';

const DISK_MOMENTS = [
  'a driver VM died with requests of its guests unanswered',
  'a driver VM died again before its successor served',
  'overlapping writes were unanswered when a driver VM died',
  'a guest was killed with writes unanswered',
  'a guest was killed twice',
  'the power was cut with writes acknowledged and not flushed',
  'the power was cut after a flush was acknowledged',
  'writes that a flush or FUA had covered were on a disk when the power was cut',
  'flushed writes and writes after them were on a disk when the power was cut',
  'the power was cut twice',
  'a flush was unanswered when a driver VM died',
  'a write that was never answered, or not flushed, was found not to have happened',
  'a request ended with an error',
  'a flush failed',
  'a durable write (FUA) was acknowledged',
  'several rings of one disk were used',
  'ring indices passed 2^32',
  'a request was too large for the ring and went in parts',
  'a guest was ejected for garbage in its rings while requests of it were under way',
] as const;
/** Moments, each a sentence that a run makes true or not. */
export const MOMENTS: readonly [
  ...typeof DISK_MOMENTS,
  ...typeof POLICY_MOMENTS,
  ...typeof POOL_MOMENTS,
] = [...DISK_MOMENTS, ...POLICY_MOMENTS, ...POOL_MOMENTS];
export type Moment = (typeof MOMENTS)[number];

const DISK_CLAUSES = [
  'C1 linearizability',
  'C2 flush durability',
  'C4 no invention',
  'C5 stability',
  'C9 liveness',
  'ring order after a restart',
  'fate sharing',
] as const;
/** Clauses, by the names the checkers use. */
export const CLAUSES: readonly [
  ...typeof DISK_CLAUSES,
  ...typeof POLICY_CLAUSES,
  ...typeof POOL_CLAUSES,
] = [...DISK_CLAUSES, ...POLICY_CLAUSES, ...POOL_CLAUSES];
export type Clause = (typeof CLAUSES)[number];

export interface Coverage {
  /** How often each fault struck, by phase: `kill-driver/replay`. */
  readonly struck: Readonly<Record<string, number>>;
  readonly moments: readonly Moment[];
  readonly stakes: readonly Clause[];
}

export function coverageOf(run: Run): Coverage {
  const moments = new Set<Moment>();
  for (const host of run.hosts) {
    outageMoments(host, run.guests, moments);
  }
  for (const guest of run.guests) guestMoments(guest, moments);
  const policies = policyStakes(run);
  const pool = poolStakes(run);
  for (const moment of [...policies.moments, ...pool.moments]) moments.add(moment);
  return {
    struck: Object.fromEntries(run.struck),
    moments: MOMENTS.filter((moment) => moments.has(moment)),
    stakes: stakesOf(run, moments, new Set([...policies.clauses, ...pool.clauses])),
  };
}

function outageMoments(
  host: HostKeeper,
  guests: readonly GuestTrack[],
  moments: Set<Moment>,
): void {
  for (const { killedAtNs, diedAgain } of host.outages) {
    if (diedAgain) moments.add('a driver VM died again before its successor served');
    for (const guest of guests) {
      if (!guest.wasOn(host.name, killedAtNs)) continue;
      const { history } = guest;
      const open = unansweredAt(history, killedAtNs);
      if (open.length > 0) moments.add('a driver VM died with requests of its guests unanswered');
      if (open.some((at) => history.record(at).kind === HistoryKind.flush)) {
        moments.add('a flush was unanswered when a driver VM died');
      }
      if (overlapAmong(history, open)) {
        moments.add('overlapping writes were unanswered when a driver VM died');
      }
    }
  }
}

function guestMoments(guest: GuestTrack, moments: Set<Moment>): void {
  const { history, scenario, kills, lives } = guest;
  const { front } = scenario;
  powerCutMoments(history, moments);
  for (let at = 0; at < history.length; at++) {
    const { kind, status, flags, sectors, ackNs } = history.record(at);
    if (status === HistoryStatus.error) moments.add('a request ended with an error');
    if (status === HistoryStatus.error && kind === HistoryKind.flush) moments.add('a flush failed');
    const largest = 8 * Math.max(11, front.indirectSegments);
    if (sectors > largest && kind !== HistoryKind.discard) {
      moments.add('a request was too large for the ring and went in parts');
    }
    const done = status === HistoryStatus.ok && ackNs !== 0;
    if (done && kind === HistoryKind.write && (flags & HistoryFlag.fua) !== 0) {
      moments.add('a durable write (FUA) was acknowledged');
    }
  }
  if (kills > 1) moments.add('a guest was killed twice');
  if (lives.length > 1 && history.length > 0 && hasUnansweredWrite(guest)) {
    moments.add('a guest was killed with writes unanswered');
  }
  if (guest.struckAtNs !== null && unansweredAt(history, guest.struckAtNs).length > 0) {
    moments.add('a guest was ejected for garbage in its rings while requests of it were under way');
  }
  if (front.queues > 1) moments.add('several rings of one disk were used');
  if (front.startIndex > 0 && history.length > 2 ** 32 - front.startIndex) {
    moments.add('ring indices passed 2^32');
  }
  if (guest.stats.get('reverted') > 0) {
    moments.add('a write that was never answered, or not flushed, was found not to have happened');
  }
}

/** What a disk had to lose and to keep each time its power was cut. */
function powerCutMoments(history: History, moments: Set<Moment>): void {
  let since = 0;
  for (let at = 0; at < history.length; at++) {
    if (history.record(at).kind !== HistoryKind.powerCut) continue;
    const { flushed, byFlush, byFua, volatile } = keptBetween(history, since, at);
    if (volatile > 0) moments.add('the power was cut with writes acknowledged and not flushed');
    if (flushed) moments.add('the power was cut after a flush was acknowledged');
    if (byFlush + byFua > 0) {
      moments.add('writes that a flush or FUA had covered were on a disk when the power was cut');
    }
    if (byFlush > 0 && volatile > 0) {
      moments.add('flushed writes and writes after them were on a disk when the power was cut');
    }
    if (since > 0) moments.add('the power was cut twice');
    since = at + 1;
  }
}

/** Acknowledged writes of the records `[from, to)`: covered by a flush, by FUA, by nothing. */
function keptBetween(
  history: History,
  from: number,
  to: number,
): { flushed: boolean; byFlush: number; byFua: number; volatile: number } {
  let flushNs = Number.NEGATIVE_INFINITY;
  for (let at = from; at < to; at++) {
    const { kind, status, invokeNs } = history.record(at);
    const done = kind === HistoryKind.flush && status === HistoryStatus.ok;
    if (done) flushNs = Math.max(flushNs, invokeNs);
  }
  let byFlush = 0;
  let byFua = 0;
  let volatile = 0;
  for (let at = from; at < to; at++) {
    const { kind, status, flags, ackNs } = history.record(at);
    if (kind !== HistoryKind.write || status !== HistoryStatus.ok) continue;
    if ((flags & HistoryFlag.fua) !== 0) byFua++;
    else if (ackNs <= flushNs) byFlush++;
    else volatile++;
  }
  return { flushed: flushNs > Number.NEGATIVE_INFINITY, byFlush, byFua, volatile };
}

function hasUnansweredWrite({ history, lives }: GuestTrack): boolean {
  const end = lives[lives.length - 1]?.firstRecord ?? 0;
  for (let at = 0; at < end; at++) {
    const { kind, ackNs } = history.record(at);
    if (kind === HistoryKind.write && ackNs === 0) return true;
  }
  return false;
}

/** Records that were submitted and not answered at a moment. */
function unansweredAt(history: History, atNs: number): number[] {
  const open: number[] = [];
  for (let at = 0; at < history.length; at++) {
    const { invokeNs, ackNs } = history.record(at);
    if (invokeNs <= atNs && (ackNs === 0 || ackNs > atNs)) open.push(at);
  }
  return open;
}

function overlapAmong(history: History, records: readonly number[]): boolean {
  const writes = records
    .map((at) => history.record(at))
    .filter(({ kind }) => kind === HistoryKind.write)
    .sort((a, b) => a.lba - b.lba);
  return writes.some((write, i) => {
    const before = writes[i - 1];
    return before !== undefined && before.lba + before.sectors > write.lba;
  });
}

function stakesOf(
  run: Run,
  moments: ReadonlySet<Moment>,
  ofStore: ReadonlySet<PolicyClause | PoolClause>,
): Clause[] {
  const outages = run.hosts.flatMap((host) => host.outages);
  const at: Record<Exclude<Clause, PolicyClause | PoolClause>, boolean> = {
    'C1 linearizability': run.guests.some(({ scenario }) => scenario.pace.depth > 1),
    'C2 flush durability': moments.has(
      'writes that a flush or FUA had covered were on a disk when the power was cut',
    ),
    'C4 no invention': outages.length > 0 || run.guests.some(({ kills }) => kills > 0),
    'C5 stability':
      moments.has('a guest was killed with writes unanswered') ||
      moments.has('the power was cut with writes acknowledged and not flushed'),
    'C9 liveness': moments.has('a driver VM died with requests of its guests unanswered'),
    'ring order after a restart': moments.has(
      'overlapping writes were unanswered when a driver VM died',
    ),
    'fate sharing': outages.length > 0,
  };
  return CLAUSES.filter((clause) => {
    return isOfStore(clause) ? ofStore.has(clause) : at[clause];
  });
}

function isOfStore(clause: Clause): clause is PolicyClause | PoolClause {
  return ([...POLICY_CLAUSES, ...POOL_CLAUSES] as readonly string[]).includes(clause);
}
