/** What a run comes to, in one line: the first thing every form of a report says. */
import type { RunResult } from '../experiments/result.ts';

export interface Verdict {
  readonly ok: boolean;
  /** `all 5 checks hold`, or what is broken. */
  readonly text: string;
}

export function verdictOf(result: RunResult): Verdict {
  const broken = result.checks.filter((check) => !check.ok).map((check) => check.name);
  const violations = result.guests.reduce((sum, guest) => sum + guest.violations.length, 0);
  const total = result.checks.length;
  const ejected = result.guests.filter(({ ejectedAtNs }) => ejectedAtNs !== undefined);
  const gone = ejected.map(({ name }) => `; ${name} was ejected`).join('');
  if (result.ok) return { ok: true, text: `${holds(total)}${gone}` };
  const parts: string[] = [];
  if (broken.length > 0) {
    parts.push(`${broken.length} of ${total} checks broken: ${broken.join(', ')}`);
  }
  if (violations > 0) parts.push(violations === 1 ? '1 violation' : `${violations} violations`);
  return { ok: false, text: `${parts.join('; ') || 'the run did not succeed'}${gone}` };
}

function holds(total: number): string {
  if (total === 0) return 'finished; nothing was checked';
  return total === 1 ? 'the one check holds' : `all ${total} checks hold`;
}
