/** Whether the store of a run is whole at its end: the verdict of `fsck`, which is told nothing. */
import { formatCount } from '../../base/format-units.ts';
import type { FsckReport } from '../../parallax/fsck/report.ts';
import type { Scenario } from '../scenario.ts';
import { broken, holds, type Verdict } from './check.ts';

/** Findings that a verdict quotes. */
const QUOTED_MAX = 5;

export interface CheckedRun {
  readonly scenario: Pick<Scenario, 'store'>;
  readonly fsck: FsckReport | null;
}

/** Nothing for a run without a store. */
export function judgeStore({ scenario, fsck }: CheckedRun): Verdict[] {
  if (scenario.store === undefined) return [];
  if (fsck === null) {
    return [broken('fsck', 'the store was not looked at, because the run has not ended')];
  }
  if (fsck.ok) {
    const { images, snapshots, nodes, dataBlocks, leakedBlocks } = fsck.totals;
    const [n, d, l] = [nodes, dataBlocks, leakedBlocks].map(formatCount);
    const trees = `${images} images, ${snapshots} snapshots`;
    return [holds('fsck', `${trees}, ${n} nodes and ${d} blocks are whole; ${l} blocks leaked`)];
  }
  const errors = fsck.findings.filter(({ severity }) => severity === 'error');
  const quoted = errors.slice(0, QUOTED_MAX).map(({ where, what }) => `${where}: ${what}`);
  const count = fsck.errors === 1 ? '1 error' : `${formatCount(fsck.errors)} errors`;
  return [broken('fsck', `${count}: ${quoted.join('; ')}`)];
}
