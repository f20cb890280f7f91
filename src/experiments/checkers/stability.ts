/**
 * C5, stability: after a recovery a place holds one thing, and reads agree on it for ever.
 *
 * A write that was never answered may have happened or not, and C1 leaves it open. But once the
 * guest that asked for it is dead and its successor has connected, or a driver VM serves again and
 * the write had been reported as failed, it is settled. So after a recovery, all values of settled
 * writes that are seen on one place must be one value, whichever. Any other value must come from a
 * write that was not settled then: one that was replayed, or a new one, and those C1 judges.
 *
 * A guest or a driver VM that dies leaves what is not durable in the disk's cache, and a power cut
 * after its recovery may take that: so such a recovery is judged up to the next power cut. What
 * reads found after a power cut is on the medium, and no later one changes it; a deep loss does,
 * and what reads found after that is in the pool for good.
 *
 * Zeros count as a settled value only where nothing that zeroes was open at the recovery or began
 * after it. Linear in the operations, once for each recovery.
 */
import { HistoryKind } from '../../world/history.ts';
import { broken, holds, type Verdict } from './check.ts';
import { DAMAGE, type OperationTable } from './operations.ts';
import { isAfter, isSettled, isZeroing, type Recovery, recordsOfWrites } from './recovery.ts';
import { operationText, timelineOf } from './words.ts';

const NAME = 'stability';

export interface RecoveredDisk {
  readonly table: OperationTable;
  readonly recoveries: readonly Recovery[];
}

export function judgeStability(disks: readonly RecoveredDisk[]): Verdict {
  let recoveries = 0;
  let places = 0;
  for (const { table, recoveries: own } of disks) {
    const records = recordsOfWrites(table.disk.history);
    for (const recovery of own) {
      recoveries++;
      const endNs = endOf(recovery, own);
      for (let unit = 0; unit < table.units; unit++) {
        const seen = seenAfter(table, records, recovery, unit, endNs);
        if (seen.length > 0) places++;
        if (seen.length > 1) return broken(NAME, textOf(table, unit, recovery, seen));
      }
    }
  }
  if (recoveries === 0) return holds(NAME, 'C5: nothing had to recover');
  return holds(
    NAME,
    `C5: after ${recoveries} recoveries of disks, reads agreed on what ${places} places held`,
  );
}

interface Sighting {
  readonly read: number;
  readonly value: number;
}

/** Reads from then on say nothing of the recovery. */
function endOf(recovery: Recovery, all: readonly Recovery[]): number {
  if (recovery.deep !== undefined) return Number.POSITIVE_INFINITY;
  const ends = all.filter(({ losing, deep, lostNs }) => {
    const takes = deep !== undefined || (losing && !recovery.losing);
    return takes && lostNs >= recovery.lostNs;
  });
  return Math.min(...ends.map(({ lostNs }) => lostNs));
}

/** The first read of each settled value before `endNs`; at most two. */
function seenAfter(
  table: OperationTable,
  records: Uint32Array,
  recovery: Recovery,
  unit: number,
  endNs: number,
): Sighting[] {
  const { starts } = table;
  const end = starts[unit + 1] as number;
  const seen: Sighting[] = [];
  let zerosAreOld: boolean | null = null;
  for (let entry = starts[unit] as number; entry < end && seen.length < 2; entry++) {
    const at = table.recordAt(entry);
    const value = table.valueAt(entry);
    const { kind, invokeNs } = table.record(at);
    if (kind !== HistoryKind.read || value === DAMAGE) continue;
    if (invokeNs >= endNs || !isAfter(recovery, at, invokeNs)) continue;
    if (seen[0]?.value === value) continue;
    if (value === 0) zerosAreOld ??= allZeroingSettled(table, recovery, unit);
    const old = value === 0 ? zerosAreOld : isOld(table, records, recovery, value);
    if (old !== true) continue;
    seen.push({ read: at, value });
  }
  return seen;
}

/** Whether the write of this index was settled at the recovery. */
function isOld(
  table: OperationTable,
  records: Uint32Array,
  recovery: Recovery,
  value: number,
): boolean {
  const write = (records[value] ?? 0) - 1;
  return write >= 0 && isSettled(recovery, write, table.record(write).ackNs);
}

/** Whether zeros in a unit can only come from what was settled at the recovery. */
function allZeroingSettled(table: OperationTable, recovery: Recovery, unit: number): boolean {
  const { starts } = table;
  for (let entry = starts[unit] as number; entry < (starts[unit + 1] as number); entry++) {
    const at = table.recordAt(entry);
    const { kind, ackNs } = table.record(at);
    if (isZeroing(kind) && !isSettled(recovery, at, ackNs)) return false;
  }
  return true;
}

function textOf(
  table: OperationTable,
  unit: number,
  { successorRecord }: Recovery,
  seen: readonly Sighting[],
): string {
  const what = successorRecord > 0 ? 'its guest was started again' : 'its driver VM came back';
  const [first, second] = seen.map(({ read, value }) => operationText(table.disk, read, value));
  return (
    `C5 is broken on ${table.disk.name}: after ${what}, two reads disagree about what had been ` +
    `left there.\n${first}; but ${second}\n` +
    timelineOf(
      table,
      unit,
      seen.map(({ read }) => read),
    )
  );
}
