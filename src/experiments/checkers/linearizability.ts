/**
 * C1, per-block linearizability: while nothing is lost, each place of a disk behaves as if every
 * operation on it happened at one moment between its submission and its acknowledgement.
 *
 * Linearizability is local: a history has it if each place alone has it. So each unit of the
 * operation table is judged by itself, with the zones of `zones.ts`, in about linear time.
 *
 * A crash that may lose acknowledged writes divides the history. What was written before it is,
 * for those who read after it, the beginning: any of it may be there, but no more once something
 * new has been seen or acknowledged. Which of it may be there is asked by the clauses on flushes,
 * cuts and stability.
 *
 * A write that failed or was never answered may have happened at any later time, or not at all: it
 * stays open. (That nothing of a dead guest happens after its successor looked is `stability.ts`.)
 * A request that was replayed, and executed twice, is one operation: nothing of it may be seen
 * beyond its acknowledgement that a single execution could not have left.
 *
 * The verdict names two witnesses, a real operation each, out of the two clusters that must each
 * come before the other. What is not judged: requests over several units as one; `no-invention.ts`
 * looks at torn blocks, and larger requests are promised whole only across a crash.
 */
import { HistoryKind, HistoryStatus } from '../../world/history.ts';
import { broken, holds, type Verdict } from './check.ts';
import type { OperationTable } from './operations.ts';
import { isAfter, type Recovery } from './recovery.ts';
import type { RecoveredDisk } from './stability.ts';
import { operationText, timelineOf, valueText } from './words.ts';
import { type ClusterName, type ZoneConflict, ZoneJudge } from './zones.ts';

const NAME = 'linearizability';

export function judgeLinearizability(disks: readonly RecoveredDisk[]): Verdict {
  let operations = 0;
  let units = 0;
  for (const { table, recoveries } of disks) {
    const losses = recoveries.filter(({ losing }) => losing);
    const found = findConflict(table, losses);
    if (found !== null) return broken(NAME, textOf(table, found.unit, found.conflict));
    operations += table.operations;
    units += table.units;
  }
  return holds(
    NAME,
    `C1: ${operations} operations on ${units} places of ${disks.length} disks could have ` +
      'happened one after the other',
  );
}

/** The first unit that is wrong; null if none is. `losses`: in order of time. */
export function findConflict(
  table: OperationTable,
  losses: readonly Recovery[] = [],
): { readonly unit: number; readonly conflict: ZoneConflict } | null {
  const { entries, starts, units } = table;
  const judge = new ZoneJudge();
  for (let unit = 0; unit < units; unit++) {
    const end = starts[unit + 1] as number;
    let first = starts[unit] as number;
    for (const loss of losses) {
      const next = firstAfter(table, first, end, loss);
      const conflict = judge.judge(entries, first, next, loss !== losses[0]);
      if (conflict !== null) return { unit, conflict };
      first = next;
    }
    const conflict = judge.judge(entries, first, end, losses.length > 0);
    if (conflict !== null) return { unit, conflict };
  }
  return null;
}

/** The first entry of those [`first`, `end`) that was submitted after the loss. */
function firstAfter(table: OperationTable, first: number, end: number, loss: Recovery): number {
  for (let entry = first; entry < end; entry++) {
    const at = table.recordAt(entry);
    if (isAfter(loss, at, table.record(at).invokeNs)) return entry;
  }
  return end;
}

interface Ends {
  readonly what: string;
  /** The operation of the cluster that was acknowledged first, and the one submitted last. */
  readonly firstDone: number;
  readonly lastBegun: number;
}

function textOf(table: OperationTable, unit: number, conflict: ZoneConflict): string {
  const { disk } = table;
  const head = `C1 is broken on ${disk.name}: `;
  switch (conflict.kind) {
    case 'future': {
      const { write } = clusterOf(table, unit, conflict.value);
      return (
        `${head}a read found a write that had not begun.\n` +
        `${operationText(disk, conflict.read, conflict.value)}; but ` +
        `${operationText(disk, write)}\n${timelineOf(table, unit, [conflict.read, write])}`
      );
    }
    case 'crossed': {
      const a = endsOf(table, unit, conflict.a);
      const b = endsOf(table, unit, conflict.b);
      const witnesses = [a.firstDone, a.lastBegun, b.firstDone, b.lastBegun];
      return (
        `${head}${a.what} was there before ${b.what} and again after it.\n` +
        `First: ${operationText(disk, a.firstDone)}; then ${operationText(disk, b.lastBegun)}.\n` +
        `But also: ${operationText(disk, b.firstDone)}; ` +
        `then ${operationText(disk, a.lastBegun)}.\n` +
        timelineOf(table, unit, witnesses)
      );
    }
    case 'inherited': {
      const { firstDone } = endsOf(table, unit, { value: conflict.after });
      return (
        `${head}what was there before a crash is back, though ${valueText(conflict.after)} had ` +
        `replaced it since.\n${operationText(disk, firstDone)}; then ` +
        `${operationText(disk, conflict.read)}\n` +
        timelineOf(table, unit, [firstDone, conflict.read])
      );
    }
    case 'no-zeros': {
      const { firstDone, lastBegun } = endsOf(table, unit, { value: conflict.after });
      return (
        `${head}a read found zeros where ${valueText(conflict.after)} was, and nothing that ` +
        `zeroes can have happened since.\n${operationText(disk, firstDone)}; then ` +
        `${operationText(disk, conflict.read, 0)}\n` +
        timelineOf(table, unit, [firstDone, lastBegun, conflict.read])
      );
    }
  }
}

function endsOf(table: OperationTable, unit: number, name: ClusterName): Ends {
  if ('record' in name) {
    const { record } = name;
    return { what: 'zeros', firstDone: record, lastBegun: record };
  }
  return { what: valueText(name.value), ...clusterOf(table, unit, name.value) };
}

/** The operations of a unit with a value: its write, and the two that say where it must stand. */
function clusterOf(
  table: OperationTable,
  unit: number,
  value: number,
): Omit<Ends, 'what'> & { write: number } {
  const { starts } = table;
  let write = -1;
  let firstDone = -1;
  let lastBegun = -1;
  let doneNs = Number.POSITIVE_INFINITY;
  let begunNs = Number.NEGATIVE_INFINITY;
  for (let entry = starts[unit] as number; entry < (starts[unit + 1] as number); entry++) {
    if (table.valueAt(entry) !== value) continue;
    const at = table.recordAt(entry);
    const { kind, status, invokeNs, ackNs } = table.record(at);
    if (kind === HistoryKind.write) write = at;
    if (status === HistoryStatus.ok && ackNs < doneNs) {
      doneNs = ackNs;
      firstDone = at;
    }
    if (invokeNs > begunNs) {
      begunNs = invokeNs;
      lastBegun = at;
    }
  }
  return { write, firstDone, lastBegun };
}
