/**
 * What `cut.ts` asks for, from what a run records: the order of a disk's writes from the order
 * tap, and which of them each place held from reads.
 *
 * A write that was executed twice, because its device has no log and it was replayed, has two
 * numbers; what it left is what its last execution left, so the last number counts. Writes of
 * zeros and discards have no write index: a place that shows zeros though one of them touched it
 * is not judged. Epochs are counted in the order in which the guest submitted, since flushes have
 * no number.
 */
import { HistoryKind, HistoryStatus, type OrderTap } from '../../world/history.ts';
import { NOT_JUDGED, type WriteOrder } from './cut.ts';
import { DAMAGE, type OperationTable } from './operations.ts';
import { isZeroing, recordsOfWrites } from './recovery.ts';
import type { NumberedWrite } from './snapshot-cut.ts';

export interface DiskOrder {
  readonly order: WriteOrder;
  /** Number of each write index; 0: it has none. */
  readonly sequenceOf: Uint32Array;
  readonly writes: readonly NumberedWrite[];
}

/** `frontIds`: those of all incarnations of the guest. */
export function orderOfDisk(
  table: OperationTable,
  tap: OrderTap,
  frontIds: ReadonlySet<number>,
): DiskOrder {
  const { history } = table.disk;
  const records = recordsOfWrites(history);
  const sequenceOf = new Uint32Array(records.length);
  for (let at = 0; at < tap.length; at++) {
    const { frontId, writeIndex, vdiSeq } = tap.record(at);
    if (frontIds.has(frontId) && writeIndex > 0) sequenceOf[writeIndex] = vdiSeq;
  }
  const flushesBefore = flushCounts(table);
  const writes: NumberedWrite[] = [];
  const entries: { readonly sequence: number; readonly unit: number; readonly epoch: number }[] =
    [];
  for (let index = 1; index < records.length; index++) {
    const sequence = sequenceOf[index] as number;
    const at = (records[index] as number) - 1;
    if (sequence === 0 || at < 0) continue;
    const { lba, sectors, status, invokeNs, ackNs } = history.record(at);
    const doneNs = status === HistoryStatus.ok ? ackNs : Number.POSITIVE_INFINITY;
    writes.push({ sequence, invokeNs, doneNs });
    const epoch = flushesBefore[at] as number;
    for (const unit of table.unitsIn(lba, sectors)) entries.push({ sequence, unit, epoch });
  }
  entries.sort((a, b) => a.sequence - b.sequence);
  const order: WriteOrder = {
    sequences: Uint32Array.from(entries, ({ sequence }) => sequence),
    units: Uint32Array.from(entries, ({ unit }) => unit),
    epochs: Uint32Array.from(entries, ({ epoch }) => epoch),
  };
  return { order, sequenceOf, writes };
}

/**
 * What each unit held by the last read of it from record `from` on; units not read are not judged.
 */
export function imageFrom(
  table: OperationTable,
  { sequenceOf }: DiskOrder,
  from: number,
): Uint32Array {
  const image = new Uint32Array(table.units).fill(NOT_JUDGED);
  for (let unit = 0; unit < table.units; unit++) {
    let zeroed = false;
    for (
      let entry = table.starts[unit] as number;
      entry < (table.starts[unit + 1] as number);
      entry++
    ) {
      const at = table.recordAt(entry);
      const value = table.valueAt(entry);
      const { kind } = table.record(at);
      if (isZeroing(kind)) zeroed = true;
      if (kind !== HistoryKind.read || at < from || value === DAMAGE) continue;
      image[unit] = value === 0 && zeroed ? NOT_JUDGED : (sequenceOf[value] ?? NOT_JUDGED);
    }
  }
  return image;
}

/** Acknowledged flushes that were submitted before each record. */
function flushCounts({ disk }: OperationTable): Uint32Array {
  const counts = new Uint32Array(disk.history.length);
  let flushes = 0;
  for (let at = 0; at < counts.length; at++) {
    counts[at] = flushes;
    const { kind, status } = disk.history.record(at);
    if (kind === HistoryKind.flush && status === HistoryStatus.ok) flushes++;
  }
  return counts;
}
