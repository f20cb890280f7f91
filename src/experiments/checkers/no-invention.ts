/**
 * C4, no invention: every sector that was read is zero or carries the stamp of a write that was
 * submitted to that very sector of that disk; and nothing smaller than the atomic unit is torn.
 *
 * 1. Damage (no stamp, a stamp of another place, a stamp torn inside its sector) is never allowed:
 *    whatever failed, a sector is old or new.
 * 2. The write index was given to a write of this disk, and that write covers the sector.
 * 3. One read of a 4 KiB block shows it whole. Values `a` and `b` in one block contradict that if
 *    the write of each covers the sector of the other: whichever came last would have replaced
 *    both. Zeros are older than any write in a block where nothing ever wrote zeros or discarded.
 *
 * Allowed to be torn: a write that failed or was never answered, and one that was under way while a
 * driver VM was gone, until it is replayed, and one that a loss of power may have torn. Whether a
 * value is too old or too new is not asked here (C1); requests larger than a block may be seen in
 * part while they are under way.
 *
 * Linear in the records; sectors are looked at one by one only where a read found several values.
 */
import { SECTORS_PER_PAGE } from '../../base/units.ts';
import { HistoryKind, type HistoryRecord, HistoryStatus } from '../../world/history.ts';
import { broken, holds, type Verdict } from './check.ts';
import type { OperationTable } from './operations.ts';
import { isZeroing, type Recovery, recordsOfWrites, wasUnderWay } from './recovery.ts';
import type { RecoveredDisk } from './stability.ts';
import { operationText, sectorsText, timelineOf, valueText } from './words.ts';

const NAME = 'no-invention';

export function judgeNoInvention(disks: readonly RecoveredDisk[]): Verdict {
  let sectors = 0;
  for (const disk of disks) {
    const judge = new InventionJudge(disk);
    const problem = judge.judge();
    if (problem !== null) return broken(NAME, problem);
    sectors += judge.sectors;
  }
  return holds(NAME, `C4: ${sectors} sectors that were read held zeros or what was written there`);
}

class InventionJudge {
  readonly #table: OperationTable;
  readonly #recoveries: readonly Recovery[];
  readonly #writes: Uint32Array;
  /** Blocks that something zeroed, found out when a torn block is suspected. */
  #zeroed: Set<number> | null = null;
  sectors = 0;

  constructor({ table, recoveries }: RecoveredDisk) {
    this.#table = table;
    this.#recoveries = recoveries;
    this.#writes = recordsOfWrites(table.disk.history);
  }

  judge(): string | null {
    const { history } = this.#table.disk;
    for (let at = 0; at < history.length; at++) {
      const record = history.record(at);
      if (record.kind !== HistoryKind.read || record.status !== HistoryStatus.ok) continue;
      const problem = this.#judgeRead(at, record);
      if (problem !== null) return problem;
    }
    return null;
  }

  #judgeRead(at: number, record: HistoryRecord): string | null {
    const runs = this.#table.disk.history.found(record);
    let sector = record.lba;
    for (const { sectors, value } of runs) {
      const problem = this.#judgeRun(at, sector, sectors, value);
      if (problem !== null) return problem;
      sector += sectors;
      this.sectors += sectors;
    }
    if (runs.length < 2) return null;
    const values = runs.flatMap((run) => Array.from({ length: run.sectors }, () => run.value));
    return this.#judgeBlocks(at, record.lba, values);
  }

  #judgeRun(at: number, sector: number, sectors: number, value: number): string | null {
    if (value === 0) return null;
    const where = sectorsText(sector, sectors);
    if (value < 0) return this.#text(at, sector, `${valueText(value)} in ${where}`);
    const write = this.#writeOf(value);
    if (write === null) {
      return this.#text(at, sector, `write ${value} in ${where}, which nobody submitted`);
    }
    if (write.lba <= sector && sector + sectors <= write.lba + write.sectors) return null;
    const other = sectorsText(write.lba, write.sectors);
    return this.#text(at, sector, `write ${value} in ${where}, which went to ${other}`, value);
  }

  /** Rule 3, for each block of a read that found several values. */
  #judgeBlocks(at: number, lba: number, values: readonly number[]): string | null {
    for (let i = 0; i < values.length; i++) {
      const block = Math.floor((lba + i) / SECTORS_PER_PAGE);
      for (let j = i + 1; j < values.length; j++) {
        if (Math.floor((lba + j) / SECTORS_PER_PAGE) !== block) break;
        const a = values[i] as number;
        const b = values[j] as number;
        if (a === b || !this.#covers(a, lba + j) || !this.#covers(b, lba + i)) continue;
        const here = `${valueText(a)} in sector ${lba + i}`;
        const beside = `${valueText(b)} in sector ${lba + j}`;
        const what = `${here} beside ${beside}, though each covers both: the block is torn`;
        return this.#text(at, lba + i, what, a, b);
      }
    }
    return null;
  }

  /** Whether the write of a value must have changed this sector, whole, if it happened at all. */
  #covers(value: number, sector: number): boolean {
    if (value === 0) return !this.#zeroedBlocks().has(Math.floor(sector / SECTORS_PER_PAGE));
    const write = this.#writeOf(value);
    if (write === null || write.status !== HistoryStatus.ok) return false;
    const at = (this.#writes[value] ?? 0) - 1;
    if (this.#recoveries.some(({ losing, successorRecord }) => losing && at < successorRecord)) {
      return false;
    }
    if (this.#recoveries.some((recovery) => wasUnderWay(recovery, write))) return false;
    return write.lba <= sector && sector < write.lba + write.sectors;
  }

  #writeOf(value: number): HistoryRecord | null {
    const at = this.#writes[value] ?? 0;
    return at === 0 ? null : this.#table.record(at - 1);
  }

  #zeroedBlocks(): ReadonlySet<number> {
    if (this.#zeroed !== null) return this.#zeroed;
    const blocks = new Set<number>();
    const { history } = this.#table.disk;
    for (let at = 0; at < history.length; at++) {
      const { kind, lba, sectors } = history.record(at);
      if (!isZeroing(kind)) continue;
      const last = Math.floor((lba + sectors - 1) / SECTORS_PER_PAGE);
      for (let block = Math.floor(lba / SECTORS_PER_PAGE); block <= last; block++)
        blocks.add(block);
    }
    this.#zeroed = blocks;
    return blocks;
  }

  #text(at: number, sector: number, what: string, ...values: number[]): string {
    const { disk } = this.#table;
    const writes = values.map((value) => (this.#writes[value] ?? 0) - 1).filter((one) => one >= 0);
    const said = writes.map((write) => `; ${operationText(disk, write)}`).join('');
    const [unit] = this.#table.unitsIn(sector, 1);
    const around = unit === undefined ? '' : `\n${timelineOf(this.#table, unit, [at, ...writes])}`;
    const head = `C4 is broken on ${disk.name}: a read found ${what}.`;
    return `${head}\n${operationText(disk, at)}${said}${around}`;
  }
}
