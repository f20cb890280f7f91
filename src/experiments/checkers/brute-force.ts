/**
 * Linearizability by trying every order: slow beyond a handful of operations, and too simple to be
 * wrong. It keeps the fast checker honest on small histories, and speaks the same language: a
 * place of an operation table.
 *
 * Any operation may come next that no remaining operation must precede (none of them ended before
 * it began). An operation of unknown outcome may come at any time after its submission, or never.
 * A discard leaves zeros or nothing changed: both are tried.
 */
import { invariant } from '../../base/invariant.ts';
import { HistoryKind, HistoryStatus } from '../../world/history.ts';
import type { OperationTable } from './operations.ts';

/** Above this many operations on one place, trying every order takes too long. */
export const BRUTE_FORCE_MAX = 8;

interface Step {
  readonly kind: HistoryKind;
  readonly value: number;
  readonly invokeNs: number;
  readonly doneNs: number;
  /** It happened for sure. */
  readonly certain: boolean;
}

/** Whether some order of the operations on a unit explains every read of it. */
export function isLinearizable(table: OperationTable, unit: number): boolean {
  const steps: Step[] = [];
  for (
    let entry = table.starts[unit] as number;
    entry < (table.starts[unit + 1] as number);
    entry++
  ) {
    const at = table.recordAt(entry);
    const { kind, status, invokeNs, ackNs } = table.record(at);
    const certain = status === HistoryStatus.ok;
    const value = table.valueAt(entry);
    const doneNs = certain ? ackNs : Number.POSITIVE_INFINITY;
    steps.push({ kind, value, invokeNs, doneNs, certain });
  }
  invariant(steps.length <= BRUTE_FORCE_MAX, 'every order is tried for few operations only');
  return explains(steps, 0);
}

function explains(left: readonly Step[], held: number): boolean {
  if (left.every(({ certain }) => !certain)) return true;
  for (const step of left) {
    if (left.some(({ doneNs }) => doneNs < step.invokeNs)) continue;
    const others = left.filter((other) => other !== step);
    switch (step.kind) {
      case HistoryKind.read:
        if (step.value === held && explains(others, held)) return true;
        break;
      case HistoryKind.discard:
        if (explains(others, held) || explains(others, 0)) return true;
        break;
      case HistoryKind.write:
      case HistoryKind.zero:
      case HistoryKind.flush:
      case HistoryKind.powerCut:
      case HistoryKind.loss:
        if (explains(others, step.value)) return true;
        break;
    }
  }
  return false;
}
