/** Whether a run's Petal pool came together again: all in sync, and every copy the same. */
import { formatCount, formatDuration } from '../../base/format-units.ts';
import type { PetalHealth } from '../petal-keeper.ts';
import type { Scenario } from '../scenario.ts';
import { broken, holds, type Verdict } from './check.ts';

export interface PooledRun {
  readonly scenario: Pick<Scenario, 'store'>;
  readonly health: PetalHealth | null;
}

const QUOTED_MAX = 5;

/** Nothing for a run without a Petal pool. */
export function judgePetalPool({ scenario, health }: PooledRun): Verdict[] {
  const petal = scenario.store?.petal;
  if (petal === undefined) return [];
  if (health === null) {
    return [broken('pool-clean', 'nobody looked at the servers, because the run has not ended')];
  }
  const { cleanAfterNs, unclean, copies } = health;
  if (cleanAfterNs === null) {
    const within = formatDuration(petal.cleanWithinNs);
    const what = unclean.slice(0, QUOTED_MAX).join('; ');
    return [broken('pool-clean', `${within} after the last fault was over: ${what}`)];
  }
  const after = formatDuration(cleanAfterNs);
  const clean = holds('pool-clean', `all servers were in sync and nothing dirty after ${after}`);
  const { blocks, differences } = copies;
  if (differences.length > 0) return [clean, broken('pool-copies', differences.join('; '))];
  return [clean, holds('pool-copies', `${formatCount(blocks)} blocks are the same in each copy`)];
}
