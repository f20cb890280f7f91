/** What a run put to the test of its Petal pool: where K4 was at stake. */

import { membersOf } from '../petal-backend/placement.ts';
import { serverName } from '../petal-backend/server/ports.ts';
import type { ServerDeath } from './petal-keeper.ts';
import type { PetalScenario } from './petal-scenario.ts';
import type { Run } from './runner.ts';

export const POOL_CLAUSES = ['K4 copies of the pool lost'] as const;
export type PoolClause = (typeof POOL_CLAUSES)[number];

export const POOL_MOMENTS = [
  'a server of the pool died with requests of guests unanswered',
  'a server of the pool died again',
  'two servers that keep the same blocks were dead at a time',
  'the pool was not clean yet when all faults were over',
] as const;
export type PoolMoment = (typeof POOL_MOMENTS)[number];

export interface PoolStakes {
  readonly moments: ReadonlySet<PoolMoment>;
  readonly clauses: ReadonlySet<PoolClause>;
}

export function poolStakes({ petal, scenario, guests, health }: Run): PoolStakes {
  const moments = new Set<PoolMoment>();
  const clauses = new Set<PoolClause>();
  const plan = scenario.store?.petal;
  if (petal === null || plan === undefined) return { moments, clauses };
  const { deaths } = petal;
  const struckAWaiter = deaths.some(({ atNs }) => guests.some((guest) => hasOpen(guest, atNs)));
  if (struckAWaiter) {
    moments.add('a server of the pool died with requests of guests unanswered');
    clauses.add('K4 copies of the pool lost');
  }
  if (new Set(deaths.map(({ server }) => server)).size < deaths.length) {
    moments.add('a server of the pool died again');
  }
  const pairs = deaths.flatMap((one, at) => deaths.slice(at + 1).map((other) => [one, other]));
  if (pairs.some(([one, other]) => areBothCopies(plan, one as ServerDeath, other as ServerDeath))) {
    moments.add('two servers that keep the same blocks were dead at a time');
  }
  if ((health?.cleanAfterNs ?? 0) > 0) {
    moments.add('the pool was not clean yet when all faults were over');
  }
  return { moments, clauses };
}

function areBothCopies(plan: PetalScenario, one: ServerDeath, other: ServerDeath): boolean {
  const isTogether = other.atNs < (one.backNs ?? Number.POSITIVE_INFINITY);
  if (!isTogether || one.server === other.server) return false;
  const servers = Array.from({ length: plan.servers }, (_, at) => at + 1);
  const map = { gmap: 1, servers, copies: plan.copies };
  return servers.some((_, group) => {
    const members = membersOf(map, group).map(serverName);
    return members.includes(one.server) && members.includes(other.server);
  });
}

/** Whether a request of the guest was waiting for its answer. */
function hasOpen({ history }: Run['guests'][number], atNs: number): boolean {
  for (let at = 0; at < history.length; at++) {
    const { invokeNs, ackNs } = history.record(at);
    if (invokeNs <= atNs && (ackNs === 0 || ackNs > atNs)) return true;
  }
  return false;
}
