/**
 * Conservation: at a quiet point, what is counted in two places adds up, and every request that was
 * asked has been answered once.
 *
 * A ledger is a total and the parts that make it up (slots of a ring: free and in flight; pages
 * lent: mapped and kept; records of a pool). No part is negative. Ledgers are taken when nothing
 * is under way, by whoever can read the counters; this module knows none of them.
 */
import { HistoryFlag } from '../../world/history.ts';
import { broken, holds, type Verdict } from './check.ts';
import type { JudgedDisk } from './operations.ts';
import { operationText } from './words.ts';

const NAME = 'conservation';

export interface Ledger {
  /** What is counted, and where: `ring slots of g0, queue 1`. */
  readonly name: string;
  readonly total: number;
  readonly parts: Readonly<Record<string, number>>;
}

export function judgeConservation(
  disks: readonly JudgedDisk[],
  ledgers: readonly Ledger[],
): Verdict {
  let requests = 0;
  for (const disk of disks) {
    requests += disk.history.length;
    for (let at = 0; at < disk.history.length; at++) {
      if ((disk.history.record(at).flags & HistoryFlag.answeredTwice) === 0) continue;
      const what = operationText(disk, at);
      return broken(NAME, `conservation is broken on ${disk.name}: ${what}, was answered twice`);
    }
  }
  for (const ledger of ledgers) {
    const problem = problemOf(ledger);
    if (problem !== null) return broken(NAME, `conservation is broken: ${problem}`);
  }
  return holds(
    NAME,
    `none of ${requests} requests was answered twice, and ${ledgers.length} ledgers add up`,
  );
}

function problemOf({ name, total, parts }: Ledger): string | null {
  const entries = Object.entries(parts);
  const said = entries.map(([part, count]) => `${count} ${part}`).join(' + ');
  for (const [part, count] of entries) {
    if (count < 0) return `${name}: ${count} ${part}, of ${said}`;
  }
  const sum = entries.reduce((all, [, count]) => all + count, 0);
  return sum === total ? null : `${name}: ${said} is ${sum}, not ${total}`;
}
