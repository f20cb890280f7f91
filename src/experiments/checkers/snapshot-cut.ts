/**
 * C10, snapshot cut: a snapshot shows the disk as it was at one moment between the request for it
 * and its acknowledgement.
 *
 * It is a prefix of the disk's order (`cut.ts`) with both ends held: every write that was
 * acknowledged before the snapshot was asked for is in it, and no write that was submitted after
 * the snapshot was acknowledged. Where the order tap says at which number the snapshot was taken,
 * it is just that prefix.
 */
import type { Verdict } from './check.ts';
import { judgeCut, type WriteOrder } from './cut.ts';

export interface SnapshotFacts {
  readonly disk: string;
  readonly name: string;
  readonly requestedNs: number;
  readonly acknowledgedNs: number;
  /** Number of the last write in it, as the order tap tells; null: it does not. */
  readonly takenAt: number | null;
}

/** When a numbered write was submitted, and known to be done (Infinity: it never was). */
export interface NumberedWrite {
  readonly sequence: number;
  readonly invokeNs: number;
  readonly doneNs: number;
}

/** `shown`: number of the write that each unit of the snapshot holds, 0, or `NOT_JUDGED`. */
export function judgeSnapshotCut(
  order: WriteOrder,
  shown: Uint32Array,
  writes: readonly NumberedWrite[],
  snapshot: SnapshotFacts,
  place: (unit: number) => string,
): Verdict {
  let atLeast = snapshot.takenAt ?? 0;
  let below = snapshot.takenAt === null ? Number.POSITIVE_INFINITY : snapshot.takenAt + 1;
  for (const { sequence, invokeNs, doneNs } of writes) {
    if (doneNs < snapshot.requestedNs) atLeast = Math.max(atLeast, sequence);
    if (invokeNs > snapshot.acknowledgedNs) below = Math.min(below, sequence);
  }
  return judgeCut(order, shown, {
    name: 'snapshot-cut',
    clause: 'C10',
    disk: `snapshot ${snapshot.name} of ${snapshot.disk}`,
    rule: 'prefix',
    bounds: { atLeast, below },
    place,
  });
}
