/** Crashes as checkers see them: moments after which what was under way before is settled. */
import {
  type History,
  HistoryKind,
  type HistoryRecord,
  HistoryStatus,
} from '../../world/history.ts';

/**
 * Something that a disk depends on was gone from `lostNs` until `servingNs`. What had been
 * answered by `servingNs` is settled: nothing of it happens any more. Where the guest itself died,
 * so is all that its earlier incarnations had asked for: every record before `successorRecord` (0:
 * it lived on). With `losing`, the crash is one after which acknowledged writes may be missing;
 * which ones may, is asked by the clauses on flushes and cuts. A `deep` loss (of a host with its
 * disks, or of what a policy keeps in memory) takes what an earlier recovery had found, and by the
 * policy of the disk also what a flush had covered.
 */
export interface Recovery {
  readonly lostNs: number;
  readonly servingNs: number;
  readonly successorRecord: number;
  readonly losing: boolean;
  readonly deep?: { readonly keepsFlushed: boolean };
}

/** Whether nothing of an operation can happen after the recovery. */
export function isSettled(recovery: Recovery, at: number, ackNs: number): boolean {
  if (at < recovery.successorRecord) return true;
  return ackNs !== 0 && ackNs <= recovery.servingNs;
}

/** Whether a request was submitted after the recovery. */
export function isAfter(recovery: Recovery, at: number, invokeNs: number): boolean {
  return at >= recovery.successorRecord && invokeNs >= recovery.servingNs;
}

/** Whether an operation was under way while something was gone. */
export function wasUnderWay(recovery: Recovery, { invokeNs, ackNs }: HistoryRecord): boolean {
  return invokeNs <= recovery.servingNs && (ackNs === 0 || ackNs >= recovery.lostNs);
}

/** When an operation was known to be done; never, if it failed or was not answered. */
export function doneNs({ status, ackNs }: HistoryRecord): number {
  return status === HistoryStatus.ok ? ackNs : Number.POSITIVE_INFINITY;
}

export function isZeroing(kind: HistoryKind): boolean {
  return kind === HistoryKind.zero || kind === HistoryKind.discard;
}

/** The record of each write index: one more than its number, 0 for an index that nobody used. */
export function recordsOfWrites(history: History): Uint32Array {
  let last = 0;
  for (let at = 0; at < history.length; at++) {
    const { kind, index } = history.record(at);
    if (kind === HistoryKind.write) last = Math.max(last, index);
  }
  const records = new Uint32Array(last + 1);
  for (let at = 0; at < history.length; at++) {
    const { kind, index } = history.record(at);
    if (kind === HistoryKind.write) records[index] = at + 1;
  }
  return records;
}
