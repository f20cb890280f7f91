/**
 * Collects records, in any order and with any zero of time, and seals them into a trace.
 *
 * Times given to `append` are nanoseconds from a moment of the reader's choice near the first
 * record (a Unix time in nanoseconds would not be exact in a double); they may be negative. `seal`
 * sorts by time if needed, makes the first record's time 0, copies into columns of the exact size,
 * and counts the facts.
 */
import { invariant } from '../base/invariant.ts';
import { SECTOR_BYTES } from '../base/units.ts';
import { RequestKind } from '../world/history.ts';
import { timeOrder } from './time-order.ts';
import type { Trace, TraceColumns, TraceOrigin } from './trace.ts';
import { allocateColumns, copyColumns } from './trace.ts';
import { factsOf } from './trace-facts.ts';

interface SealOptions {
  /** Whether the columns live in a SharedArrayBuffer, which worker threads can share. */
  readonly shared: boolean;
}

const CAPACITY_MIN = 1_024;
const SECTOR_MASK: number = SECTOR_BYTES - 1;

export class TraceBuilder {
  readonly #origin: TraceOrigin;
  readonly #notes: string[];
  #exportBytes: number | null;
  #columns: TraceColumns;
  #used = 0;

  /** `capacity` is a guess at the number of records; the builder grows beyond it. */
  constructor(origin: TraceOrigin, capacity: number = CAPACITY_MIN) {
    this.#origin = origin;
    this.#notes = [...origin.notes];
    this.#exportBytes = origin.exportBytes;
    this.#columns = allocateColumns(Math.max(CAPACITY_MIN, Math.ceil(capacity)), false);
  }

  get requests(): number {
    return this.#used;
  }

  /** Adds a record that `recordProblem` finds nothing wrong with; returns its number. */
  append(
    t: number,
    op: RequestKind,
    offset: number,
    lengthBytes: number,
    latency: number,
    device: number,
    flags: number,
  ): number {
    const flush = op === RequestKind.flush;
    invariant(flush || lengthBytes > 0, 'a record that is not a flush has a length');
    invariant((lengthBytes & SECTOR_MASK) === 0, 'a record is whole sectors');
    if (this.#used === this.#columns.requests) this.#grow();
    const at = this.#used++;
    const columns = this.#columns;
    columns.t[at] = t;
    columns.op[at] = op;
    columns.offset[at] = flush ? 0 : offset;
    columns.length[at] = flush ? 0 : lengthBytes;
    columns.latency[at] = latency;
    columns.device[at] = device;
    columns.flags[at] = flags;
    return at;
  }

  /** Issue time of a record, as given to `append`. */
  timeOf(record: number): number {
    invariant(record < this.#used, 'a time is asked of a record that was appended');
    return this.#columns.t[record] as number;
  }

  setLatency(record: number, latency: number): void {
    invariant(record < this.#used, 'a latency belongs to a record that was appended');
    this.#columns.latency[record] = latency;
  }

  setExportBytes(exportBytes: number): void {
    this.#exportBytes = exportBytes;
  }

  /** Adds one plain sentence on what was lost or made up. */
  note(sentence: string): void {
    this.#notes.push(sentence);
  }

  /** Makes the trace. The builder is not used afterwards. */
  seal(options: SealOptions): Trace {
    const columns = allocateColumns(this.#used, options.shared);
    const sorted = timeOrder(this.#columns.t.subarray(0, this.#used));
    if (sorted === null) {
      copyColumns(columns, this.#columns, 0, this.#used);
    } else {
      gather(columns, this.#columns, sorted.order);
      this.note(
        `The source goes back in time ${sorted.stepsBack} times: the records were sorted by time.`,
      );
    }
    rebase(columns.t);
    const { format, source, clockGranularityNs } = this.#origin;
    const exportBytes = this.#exportBytes;
    const notes = this.#notes;
    const facts = factsOf(columns, { format, source, clockGranularityNs, exportBytes, notes });
    return { ...columns, facts };
  }

  #grow(): void {
    const wider = allocateColumns(this.#columns.requests * 2, false);
    copyColumns(wider, this.#columns, 0, this.#used);
    this.#columns = wider;
  }
}

function gather(target: TraceColumns, source: TraceColumns, order: Uint32Array): void {
  for (let at = 0; at < order.length; at++) {
    const from = order[at] as number;
    target.t[at] = source.t[from] as number;
    target.op[at] = source.op[from] as number;
    target.offset[at] = source.offset[from] as number;
    target.length[at] = source.length[from] as number;
    target.latency[at] = source.latency[from] as number;
    target.device[at] = source.device[from] as number;
    target.flags[at] = source.flags[from] as number;
  }
}

/** Makes the first time 0. */
export function rebase(t: Float64Array): void {
  const start = t[0] ?? 0;
  if (start === 0) return;
  for (let i = 0; i < t.length; i++) t[i] = (t[i] as number) - start;
}
