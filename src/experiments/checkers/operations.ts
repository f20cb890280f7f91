/**
 * A disk's history turned by 90 degrees: from requests in order of submission to, for each place
 * on the disk, the operations on it in that order. Every checker of values works on this table.
 *
 * A place is a *unit*: a 4 KiB block where every operation covers the whole block with one value,
 * and otherwise its eight sectors, each by itself. So the millions of operations of a block
 * workload stay one entry each, and a request of one sector, or a read that found a torn block,
 * costs its own block only. Blocks that nobody touched have no unit.
 *
 * ```
 * starts   unit -> its first entry                      (counting sort by unit, stable)
 * entries  [record * 8 + kind, value, invokeNs, doneNs]  (32 bytes: half a cache line each)
 * firstSectors   unit -> sector address
 * ```
 * The records of a history lie in order of time, so the operations on one place are far apart
 * there. What the judges of millions need is therefore copied side by side; the rest stays in the
 * record. `doneNs` is the acknowledgement, or infinite if the operation failed or was never
 * answered. The value of a write is its write index, of a read what it found, of what zeroes is 0;
 * write indexes of one disk ascend over all incarnations of its guest, and are never used twice.
 *
 * What is not in the table: flushes; reads that failed or were not answered, because they say
 * nothing; reads whose findings had no room (`unrecorded` counts them). A sector that held damage
 * has the value `DAMAGE`: that it is damage is the business of `no-invention.ts`.
 */
import { invariant } from '../../base/invariant.ts';
import { SECTORS_PER_PAGE } from '../../base/units.ts';
import { UNRECORDED } from '../../world/findings.ts';
import {
  type History,
  HistoryKind,
  type HistoryRecord,
  HistoryStatus,
  isLossRecord,
  RECORD_DOUBLES,
} from '../../world/history.ts';

/** What is judged: a guest's disk over all incarnations of the guest. */
export interface JudgedDisk {
  readonly name: string;
  readonly sectors: number;
  readonly history: History;
  /** Where the records of each incarnation begin. */
  readonly lives: readonly { readonly firstRecord: number }[];
}

/** Value of a sector that was neither zero nor a stamp of this place. */
export const DAMAGE: number = 2 ** 32 - 1;

/** Numbers of an entry. */
export const ENTRY_DOUBLES = 4;
/** Kinds of operations are below this. */
export const KINDS = 8;

const TOUCHED = 1;
const FINE = 2;

export class OperationTable {
  readonly disk: JudgedDisk;
  readonly starts: Uint32Array;
  readonly entries: Float64Array;
  readonly firstSectors: Float64Array;
  /** Unit of each block, or of its first sector; -1: nobody touched it. */
  readonly #unitOfBlock: Int32Array;
  readonly #state: Uint8Array;
  /** Entries placed so far, by unit. */
  readonly #fill: Uint32Array;
  #unrecorded = 0;

  constructor(disk: JudgedDisk) {
    this.disk = disk;
    const blocks = Math.ceil(disk.sectors / SECTORS_PER_PAGE);
    this.#state = new Uint8Array(blocks);
    this.#unitOfBlock = new Int32Array(blocks).fill(-1);
    this.#chooseUnits();
    const units = this.#numberUnits();
    this.firstSectors = this.#sectorsOfUnits(units);
    this.starts = new Uint32Array(units + 1);
    this.#fill = new Uint32Array(units);
    this.entries = new Float64Array(0);
    this.#eachOperation(false);
    let sum = 0;
    for (let unit = 0; unit < units; unit++) {
      this.starts[unit] = sum;
      sum += this.#fill[unit] as number;
      this.#fill[unit] = this.starts[unit] as number;
    }
    this.starts[units] = sum;
    this.entries = new Float64Array(sum * ENTRY_DOUBLES);
    this.#eachOperation(true);
  }

  get units(): number {
    return this.firstSectors.length;
  }

  get operations(): number {
    return this.entries.length / ENTRY_DOUBLES;
  }

  /** Reads that are not in the table because what they found was not kept. */
  get unrecorded(): number {
    return this.#unrecorded;
  }

  sectorsOf(unit: number): number {
    const block = Math.floor((this.firstSectors[unit] as number) / SECTORS_PER_PAGE);
    return ((this.#state[block] as number) & FINE) !== 0 ? 1 : SECTORS_PER_PAGE;
  }

  /** Units that a range of sectors touches, in order. */
  unitsIn(lba: number, sectors: number): number[] {
    const units: number[] = [];
    for (let sector = lba; sector < lba + sectors; ) {
      const block = Math.floor(sector / SECTORS_PER_PAGE);
      const unit = this.#unitOfBlock[block] as number;
      const fine = ((this.#state[block] as number) & FINE) !== 0;
      if (unit >= 0) units.push(fine ? unit + (sector % SECTORS_PER_PAGE) : unit);
      sector = fine ? sector + 1 : (block + 1) * SECTORS_PER_PAGE;
    }
    return units;
  }

  /** The record of the history behind an entry. */
  recordAt(entry: number): number {
    return Math.floor((this.entries[entry * ENTRY_DOUBLES] as number) / KINDS);
  }

  valueAt(entry: number): number {
    return this.entries[entry * ENTRY_DOUBLES + 1] as number;
  }

  record(at: number): HistoryRecord {
    return this.disk.history.record(at);
  }

  #chooseUnits(): void {
    const { doubles, length } = this.disk.history;
    const state = this.#state;
    for (let at = 0; at < length; at++) {
      const base = at * RECORD_DOUBLES;
      if (!isPlaced(doubles[base] as number)) continue;
      const lba = doubles[base + 1] as number;
      const sectors = doubles[base + 2] as number;
      const index = doubles[base + 5] as number;
      const block = blockOf(lba);
      if (sectors === SECTORS_PER_PAGE && block * SECTORS_PER_PAGE === lba && index >= 0) {
        state[block] = (state[block] as number) | TOUCHED;
      } else if (index >= 0) {
        this.#mark(lba, sectors);
      } else {
        this.#markRuns(lba, sectors, index);
      }
    }
  }

  #markRuns(lba: number, sectors: number, index: number): void {
    if (index === UNRECORDED) this.#unrecorded++;
    let sector = lba;
    for (const run of this.disk.history.found({ index, sectors })) {
      this.#mark(sector, run.sectors);
      sector += run.sectors;
    }
  }

  #mark(lba: number, sectors: number): void {
    const end = lba + sectors;
    invariant(end <= this.disk.sectors, 'an operation is on its disk');
    const first = blockOf(lba);
    const last = blockOf(end - 1);
    const state = this.#state;
    for (let block = first; block <= last; block++) {
      state[block] = (state[block] as number) | TOUCHED;
    }
    if (first * SECTORS_PER_PAGE !== lba) state[first] = TOUCHED | FINE;
    if ((last + 1) * SECTORS_PER_PAGE !== end) state[last] = TOUCHED | FINE;
  }

  #numberUnits(): number {
    let units = 0;
    for (let block = 0; block < this.#state.length; block++) {
      if (this.#state[block] === 0) continue;
      this.#unitOfBlock[block] = units;
      units += this.#state[block] === TOUCHED ? 1 : SECTORS_PER_PAGE;
    }
    return units;
  }

  #sectorsOfUnits(units: number): Float64Array {
    const sectors = new Float64Array(units);
    for (let block = 0; block < this.#state.length; block++) {
      const unit = this.#unitOfBlock[block] as number;
      if (unit < 0) continue;
      const count = this.#state[block] === TOUCHED ? 1 : SECTORS_PER_PAGE;
      for (let i = 0; i < count; i++) sectors[unit + i] = block * SECTORS_PER_PAGE + i;
    }
    return sectors;
  }

  /** Counts the entries of each unit, or places them. */
  #eachOperation(place: boolean): void {
    const { doubles, length } = this.disk.history;
    const unitOfBlock = this.#unitOfBlock;
    const state = this.#state;
    const fill = this.#fill;
    const entries = this.entries;
    for (let at = 0; at < length; at++) {
      const base = at * RECORD_DOUBLES;
      const head = doubles[base] as number;
      if (!isPlaced(head)) continue;
      const lba = doubles[base + 1] as number;
      const sectors = doubles[base + 2] as number;
      const index = doubles[base + 5] as number;
      const block = blockOf(lba);
      if (index < 0) {
        this.#placeRuns(at, place);
      } else if (sectors !== SECTORS_PER_PAGE || state[block] !== TOUCHED) {
        this.#placeRange(at, lba, sectors, index, place);
      } else {
        const unit = unitOfBlock[block] as number;
        const entry = fill[unit] as number;
        fill[unit] = entry + 1;
        if (place) writeEntry(entries, entry, at, index, doubles);
      }
    }
  }

  #placeRuns(at: number, place: boolean): void {
    const record = this.record(at);
    let { lba } = record;
    for (const { sectors, value } of this.disk.history.found(record)) {
      this.#placeRange(at, lba, sectors, value >= 0 ? value : DAMAGE, place);
      lba += sectors;
    }
  }

  #placeRange(at: number, lba: number, sectors: number, value: number, place: boolean): void {
    const end = lba + sectors;
    for (let sector = lba; sector < end; ) {
      const block = blockOf(sector);
      const unit = this.#unitOfBlock[block] as number;
      const next = (block + 1) * SECTORS_PER_PAGE;
      if (this.#state[block] === TOUCHED) {
        this.#put(unit, at, value, place);
        sector = next;
        continue;
      }
      for (; sector < end && sector < next; sector++) {
        this.#put(unit + sector - block * SECTORS_PER_PAGE, at, value, place);
      }
    }
  }

  #put(unit: number, at: number, value: number, place: boolean): void {
    const entry = this.#fill[unit] as number;
    this.#fill[unit] = entry + 1;
    if (place) writeEntry(this.entries, entry, at, value, this.disk.history.doubles);
  }
}

function writeEntry(
  entries: Float64Array,
  entry: number,
  at: number,
  value: number,
  doubles: Float64Array,
): void {
  const base = at * RECORD_DOUBLES;
  const head = doubles[base] as number;
  const to = entry * ENTRY_DOUBLES;
  entries[to] = at * KINDS + (head & 0xff);
  entries[to + 1] = value;
  entries[to + 2] = doubles[base + 3] as number;
  entries[to + 3] =
    ((head >>> 16) & 0xff) === HistoryStatus.ok
      ? (doubles[base + 4] as number)
      : Number.POSITIVE_INFINITY;
}

/** Blocks are below 2^31: a small integer, and no call for a remainder in the hot loops. */
function blockOf(sector: number): number {
  return (sector / SECTORS_PER_PAGE) | 0;
}

/** Whether a record with this head stands in the table. */
function isPlaced(head: number): boolean {
  const kind = (head & 0xff) as HistoryKind;
  if (kind === HistoryKind.flush || isLossRecord(kind)) return false;
  return kind !== HistoryKind.read || ((head >>> 16) & 0xff) === HistoryStatus.ok;
}
