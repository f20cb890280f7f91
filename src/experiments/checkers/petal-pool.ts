/**
 * Whether the laws of a run's Petal pool held at every event, and whether it came together again:
 * all in sync, and every copy the same.
 */
import { formatCount, formatDuration } from '../../base/format-units.ts';
import type { PetalHealth } from '../petal-keeper.ts';
import type { PetalScenario } from '../petal-scenario.ts';
import type { LawsReport } from '../petal-watch.ts';
import type { Scenario } from '../scenario.ts';
import { broken, holds, type Verdict } from './check.ts';

export interface PooledRun {
  readonly scenario: Pick<Scenario, 'store'>;
  /** The servers; null: it has none. */
  readonly petal: { readonly laws: LawsReport | null } | null;
  readonly health: PetalHealth | null;
}

const QUOTED_MAX = 5;

/** Nothing for a run without a Petal pool. */
export function judgePetalPool({ scenario, petal, health }: PooledRun): Verdict[] {
  const plan = scenario.store?.petal;
  if (plan === undefined) return [];
  const laws = petal?.laws ?? null;
  return [...(laws === null ? [] : [judgeLaws(laws)]), ...judgeHealth(plan, health)];
}

function judgeLaws({ counts, broken: breach }: LawsReport): Verdict {
  if (breach !== null) {
    return broken('pool-laws', `at ${formatDuration(breach.atNs)}: ${breach.text}`);
  }
  const { answers, acknowledged, compared, records } = counts;
  const [events, looks] = [counts.steps, compared].map(formatCount);
  const seen = `${formatCount(answers)} answers, ${formatCount(acknowledged)} of them of mutations`;
  const text = `${seen}, ${records} changes of pairs and ${looks} looks at all copies of a block`;
  return holds('pool-laws', `I1 to I13 held at each of ${events} events: ${text}`);
}

function judgeHealth(plan: PetalScenario, health: PetalHealth | null): Verdict[] {
  if (health === null) {
    return [broken('pool-clean', 'nobody looked at the servers, because the run has not ended')];
  }
  const { cleanAfterNs, unclean, copies } = health;
  const within = formatDuration(plan.cleanWithinNs);
  if (cleanAfterNs === null) {
    const what = unclean.slice(0, QUOTED_MAX).join('; ');
    return [broken('pool-clean', `${within} after the last fault was over: ${what}`)];
  }
  const after = `after ${formatDuration(cleanAfterNs)} of ${within}`;
  const clean = holds('pool-clean', `all servers were in sync and nothing dirty ${after}`);
  const { blocks, differences } = copies;
  if (differences.length > 0) return [clean, broken('pool-copies', differences.join('; '))];
  return [clean, holds('pool-copies', `${formatCount(blocks)} blocks are the same in each copy`)];
}
