/**
 * C2, flush durability: what a flush covered survives the crashes that the disk's policy names.
 *
 * The rule is taken when the flush is *submitted*: it covers every write acknowledged by then, and
 * nothing that was still under way, even if that ended before the flush did. (The first rule is
 * what disks promise; the second is what programs wrongly hope for.) A write with FUA covers
 * itself. Only flushes that were acknowledged before the crash count.
 *
 * After the recovery each place holds something at least as new as the newest covered write. New
 * is meant by time: a value is too old if its write had ended before a covered write began. Zeros
 * are as new as the last thing that may have zeroed the place; a discard obliges to nothing.
 */
import {
  HistoryFlag,
  HistoryKind,
  type HistoryRecord,
  HistoryStatus,
} from '../../world/history.ts';
import { broken, holds, type Verdict } from './check.ts';
import { DAMAGE, type OperationTable } from './operations.ts';
import { doneNs, isAfter, isZeroing, type Recovery, recordsOfWrites } from './recovery.ts';
import type { RecoveredDisk } from './stability.ts';
import { operationText, sectorsText, timelineOf } from './words.ts';

const NAME = 'flush-durability';

interface Flush {
  readonly record: number;
  readonly invokeNs: number;
  /** When the last flush that failed before it was submitted: what is older it does not cover. */
  readonly voidedNs: number;
}

export function judgeFlushDurability(disks: readonly RecoveredDisk[]): Verdict {
  let covered = 0;
  let crashes = 0;
  for (const { table, recoveries } of disks) {
    const records = recordsOfWrites(table.disk.history);
    for (const recovery of recoveries) {
      if (recovery.deep?.keepsFlushed === false) continue;
      crashes++;
      const flush = lastFlush(table, recovery);
      const since = lastLoss(recoveries, recovery);
      const end = nextDeepLoss(recoveries, recovery);
      for (let unit = 0; unit < table.units; unit++) {
        const need = needOf(table, unit, recovery, flush, since);
        if (need < 0) continue;
        covered++;
        const old = tooOld(table, unit, recovery, need, records, end);
        if (old >= 0) return broken(NAME, textOf(table, unit, need, old, flush));
      }
    }
  }
  if (crashes === 0) return holds(NAME, 'C2: nothing crashed, so no flush was put to the test');
  return holds(
    NAME,
    `C2: after ${crashes} crashes, ${covered} places held what a flush or FUA had covered, ` +
      'or newer',
  );
}

/** First record after the last crash before this one that may have lost acknowledged writes. */
function lastLoss(recoveries: readonly Recovery[], { lostNs }: Recovery): number {
  return recoveries.reduce(
    (since, other) =>
      other.losing && other.lostNs < lostNs ? Math.max(since, other.successorRecord) : since,
    0,
  );
}

/** First record after the next loss that takes what was flushed too: no read from there counts. */
function nextDeepLoss(recoveries: readonly Recovery[], { lostNs }: Recovery): number {
  const deep = recoveries.filter((other) => {
    return other.deep?.keepsFlushed === false && other.lostNs >= lostNs;
  });
  return Math.min(...deep.map(({ successorRecord }) => successorRecord));
}

/** The flush that covers most: the one submitted last, of those acknowledged before the crash. */
function lastFlush({ disk }: OperationTable, { lostNs }: Recovery): Flush | null {
  let last: Flush | null = null;
  let voidedNs = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < disk.history.length; at++) {
    const { kind, status, invokeNs, ackNs } = disk.history.record(at);
    if (kind !== HistoryKind.flush || ackNs > lostNs) continue;
    if (status === HistoryStatus.error) voidedNs = Math.max(voidedNs, invokeNs);
    if (status !== HistoryStatus.ok) continue;
    if (last === null || invokeNs >= last.invokeNs) last = { record: at, invokeNs, voidedNs };
  }
  return last;
}

/** Record of the covered write of a unit that was submitted last; -1: none. */
function needOf(
  table: OperationTable,
  unit: number,
  { lostNs }: Recovery,
  flush: Flush | null,
  since: number,
): number {
  const { starts } = table;
  let need = -1;
  let needNs = Number.NEGATIVE_INFINITY;
  for (let entry = starts[unit] as number; entry < (starts[unit + 1] as number); entry++) {
    const at = table.recordAt(entry);
    if (at < since) continue;
    const record = table.record(at);
    if (!isCovered(record, lostNs, flush) || record.invokeNs < needNs) continue;
    need = at;
    needNs = record.invokeNs;
  }
  return need;
}

function isCovered(record: HistoryRecord, lostNs: number, flush: Flush | null): boolean {
  const { kind, flags, status, ackNs } = record;
  if (kind !== HistoryKind.write && kind !== HistoryKind.zero) return false;
  if (status !== HistoryStatus.ok) return false;
  if ((flags & HistoryFlag.fua) !== 0 && ackNs <= lostNs) return true;
  return flush !== null && ackNs <= flush.invokeNs && ackNs > flush.voidedNs;
}

/** Entry of a read after the recovery that found something older than `need`; -1: none. */
function tooOld(
  table: OperationTable,
  unit: number,
  recovery: Recovery,
  need: number,
  records: Uint32Array,
  endRecord: number,
): number {
  const { starts } = table;
  const needNs = table.record(need).invokeNs;
  const end = starts[unit + 1] as number;
  let zerosNs: number | null = null;
  for (let entry = starts[unit] as number; entry < end; entry++) {
    const at = table.recordAt(entry);
    const value = table.valueAt(entry);
    const { kind, invokeNs } = table.record(at);
    if (kind !== HistoryKind.read || value === DAMAGE) continue;
    if (at >= endRecord || !isAfter(recovery, at, invokeNs)) continue;
    if (value === 0) zerosNs ??= lastZeroedNs(table, unit);
    const newestNs = value === 0 ? (zerosNs as number) : writtenNs(table, value, records);
    if (newestNs < needNs) return entry;
  }
  return -1;
}

/** Until when the write of this index may have happened. */
function writtenNs(table: OperationTable, value: number, records: Uint32Array): number {
  const write = (records[value] ?? 0) - 1;
  // An index that nobody wrote is the business of another checker.
  return write < 0 ? Number.POSITIVE_INFINITY : doneNs(table.record(write));
}

/** Until when a unit may have been zeroed. */
function lastZeroedNs(table: OperationTable, unit: number): number {
  const { starts } = table;
  let last = Number.NEGATIVE_INFINITY;
  for (let entry = starts[unit] as number; entry < (starts[unit + 1] as number); entry++) {
    const record = table.record(table.recordAt(entry));
    if (isZeroing(record.kind)) last = Math.max(last, doneNs(record));
  }
  return last;
}

function textOf(
  table: OperationTable,
  unit: number,
  need: number,
  old: number,
  flush: Flush | null,
): string {
  const { disk } = table;
  const read = table.recordAt(old);
  const place = sectorsText(table.firstSectors[unit] as number, table.sectorsOf(unit));
  const record = table.record(need);
  const isFua = (record.flags & HistoryFlag.fua) !== 0;
  const cover =
    isFua || flush === null ? '' : `, covered by the ${operationText(disk, flush.record)},`;
  const found = operationText(disk, read, table.valueAt(old));
  return (
    `C2 is broken on ${disk.name}: ${operationText(disk, need)}${cover} did not survive on ` +
    `${place}: ${found}\n${timelineOf(table, unit, [need, read])}`
  );
}
