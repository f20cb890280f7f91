/**
 * C9, liveness: once faults have stopped, every request is answered in time.
 *
 * A request that was asked by an incarnation that was killed need not be answered: nobody waits
 * for it. All others must be, at the latest `withinNs` after faults stopped or after their
 * submission, whichever is later. A guest that did not finish although all its requests were
 * answered is stuck in itself.
 */
import { broken, holds, type Verdict } from './check.ts';
import type { JudgedDisk } from './operations.ts';
import { operationText, timeText } from './words.ts';

const NAME = 'liveness';

export interface LivingGuest {
  readonly disk: JudgedDisk;
  readonly finished: boolean;
  /** What it was doing last, in a word. */
  readonly phase: string;
}

export interface LivenessBound {
  /** When the last fault struck, or was healed. */
  readonly quietSinceNs: number;
  readonly withinNs: number;
}

export function judgeLiveness(guests: readonly LivingGuest[], bound: LivenessBound): Verdict {
  const texts: string[] = [];
  let answered = 0;
  for (const { disk, finished, phase } of guests) {
    const { late, unanswered, count } = waitsOf(disk, bound);
    answered += count;
    if (unanswered.length > 0) {
      const oldest = operationText(disk, unanswered[0] as number);
      texts.push(
        `C9 is broken on ${disk.name}: ${unanswered.length} requests were never answered, ` +
          `phase ${phase}; the oldest is ${oldest}`,
      );
    } else if (!finished) {
      texts.push(`${disk.name} did not finish, phase ${phase}, though all it asked was answered`);
    }
    if (late >= 0) {
      texts.push(
        `C9 is broken on ${disk.name}: ${operationText(disk, late)}: more than ` +
          `${timeText(bound.withinNs)} after faults had stopped at ${timeText(bound.quietSinceNs)}`,
      );
    }
  }
  if (texts.length > 0) return broken(NAME, texts.join('\n'));
  return holds(NAME, `C9: every guest finished, and all its ${answered} requests were answered`);
}

interface Waits {
  /** First record that was answered too late; -1: none. */
  readonly late: number;
  readonly unanswered: readonly number[];
  readonly count: number;
}

function waitsOf({ history, lives }: JudgedDisk, { quietSinceNs, withinNs }: LivenessBound): Waits {
  const livingSince = lives[lives.length - 1]?.firstRecord ?? 0;
  const unanswered: number[] = [];
  let late = -1;
  let count = 0;
  for (let at = 0; at < history.length; at++) {
    const { invokeNs, ackNs } = history.record(at);
    if (ackNs === 0) {
      if (at >= livingSince) unanswered.push(at);
      continue;
    }
    count++;
    if (late < 0 && ackNs > Math.max(invokeNs, quietSinceNs) + withinNs) late = at;
  }
  return { late, unanswered, count };
}
