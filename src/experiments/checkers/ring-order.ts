/**
 * Ring order: overlapping requests of one queue take effect in the order in which they were put on
 * it.
 *
 * This is more than C1 asks: two writes that are under way together may take effect either way
 * there, but not here, and a replay in the wrong order shows in nothing else. It holds for a guest
 * that never has overlapping requests under way on two queues, as the workloads here do; then the
 * operations on a place took effect in the order of their records.
 *
 * So a read finds the last mutation before it that took effect:
 * - one that was acknowledged did, whether that was before the read or after it;
 * - one that failed or was never answered did or did not, and a discard left zeros or what was
 *   there: what they left is allowed, and so is what was there before them;
 * - a read that was under way while its driver VM was gone may have been sent again, and then also
 *   finds what was submitted behind it before it was answered;
 * - after a crash that may lose acknowledged writes, any of them may be there.
 *
 * Linear in the operations; a value is looked up among the mutations of its place.
 */
import {
  HistoryKind,
  type HistoryRecord,
  HistoryStatus,
  isLossRecord,
} from '../../world/history.ts';
import { broken, holds, type Verdict } from './check.ts';
import { DAMAGE, type OperationTable } from './operations.ts';
import { isAfter, isZeroing, type Recovery, recordsOfWrites, wasUnderWay } from './recovery.ts';
import type { RecoveredDisk } from './stability.ts';
import { operationText, timelineOf } from './words.ts';

const NAME = 'ring-order';

export function judgeRingOrder(disks: readonly RecoveredDisk[]): Verdict {
  let reads = 0;
  for (const { table, recoveries } of disks) {
    const judge = new RingOrderJudge(table, recoveries);
    for (let unit = 0; unit < table.units; unit++) {
      const problem = judge.judgeUnit(unit);
      if (problem !== null) return broken(NAME, problem);
    }
    reads += judge.reads;
  }
  return holds(
    NAME,
    `${reads} reads found what the last request before them on their ring had left`,
  );
}

class RingOrderJudge {
  readonly #table: OperationTable;
  readonly #recoveries: readonly Recovery[];
  readonly #writes: Uint32Array;
  /** Records of the mutations of the unit of now, in order. */
  readonly #mutations: number[] = [];
  /**
   * For each count of mutations: place of the last one that surely took effect, or zeroed; -1:
   * none.
   */
  readonly #lastCertain: number[] = [];
  readonly #lastZeroing: number[] = [];
  reads = 0;

  constructor(table: OperationTable, recoveries: readonly Recovery[]) {
    this.#table = table;
    this.#recoveries = recoveries;
    this.#writes = recordsOfWrites(table.disk.history);
  }

  judgeUnit(unit: number): string | null {
    const { starts } = this.#table;
    const end = starts[unit + 1] as number;
    this.#collect(starts[unit] as number, end);
    let before = 0;
    for (let entry = starts[unit] as number; entry < end; entry++) {
      const at = this.#table.recordAt(entry);
      if (this.#mutations[before] === at) {
        before++;
        continue;
      }
      const value = this.#table.valueAt(entry);
      if (value === DAMAGE) continue;
      this.reads++;
      const read = this.#table.record(at);
      const certain = this.#certainFor(at, read, before);
      if (!this.#allows(value, certain, this.#behind(before, read))) {
        return this.#text(unit, at, value, certain);
      }
    }
    return null;
  }

  #collect(first: number, end: number): void {
    this.#mutations.length = 0;
    this.#lastCertain.length = 0;
    this.#lastZeroing.length = 0;
    let certain = -1;
    let zeroing = -1;
    for (let entry = first; entry < end; entry++) {
      const at = this.#table.recordAt(entry);
      const { kind, status } = this.#table.record(at);
      if (kind === HistoryKind.read || isLossRecord(kind)) continue;
      this.#lastCertain.push(certain);
      this.#lastZeroing.push(zeroing);
      const place = this.#mutations.push(at) - 1;
      if (status === HistoryStatus.ok && kind !== HistoryKind.discard) certain = place;
      if (isZeroing(kind)) zeroing = place;
    }
    this.#lastCertain.push(certain);
    this.#lastZeroing.push(zeroing);
  }

  /** How many mutations a read may have been executed behind; `before` of them it surely was. */
  #behind(before: number, read: HistoryRecord): number {
    if (!this.#recoveries.some((recovery) => wasUnderWay(recovery, read))) return before;
    let behind = before;
    for (; behind < this.#mutations.length; behind++) {
      const { invokeNs } = this.#table.record(this.#mutations[behind] as number);
      if (invokeNs > read.ackNs) break;
    }
    return behind;
  }

  /** Place of the last mutation that a read must have been executed behind; -1: none. */
  #certainFor(at: number, { invokeNs }: HistoryRecord, before: number): number {
    const certain = this.#lastCertain[before] as number;
    if (certain < 0) return certain;
    const record = this.#mutations[certain] as number;
    const writtenNs = this.#table.record(record).invokeNs;
    const lost = this.#recoveries.some(
      (recovery) =>
        recovery.losing && isAfter(recovery, at, invokeNs) && !isAfter(recovery, record, writtenNs),
    );
    return lost ? -1 : certain;
  }

  #allows(value: number, certain: number, behind: number): boolean {
    if (value === 0) return (this.#lastZeroing[behind] as number) >= certain;
    const write = (this.#writes[value] ?? 0) - 1;
    const place = this.#placeOf(write);
    // What was not written here at all is the business of another checker.
    return place < 0 || (place >= certain && place < behind);
  }

  #placeOf(record: number): number {
    let from = 0;
    let to = this.#mutations.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#mutations[middle] as number) < record) from = middle + 1;
      else to = middle;
    }
    return this.#mutations[from] === record ? from : -1;
  }

  #text(unit: number, at: number, value: number, certain: number): string {
    const { disk } = this.#table;
    const last = certain < 0 ? [] : [this.#mutations[certain] as number];
    const instead = last.map((record) => `; but ${operationText(disk, record)}`).join('');
    return (
      `the order of the ring is broken on ${disk.name}: a read found what was replaced ` +
      `before it, or what came behind it.\n${operationText(disk, at, value)}${instead}\n` +
      timelineOf(this.#table, unit, [at, ...last])
    );
  }
}
