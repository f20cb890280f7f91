/**
 * What reads found, sector by sector, where one number does not say it.
 *
 * Most reads find one write index in all their sectors, and that number stands in the record of
 * the read itself. The others point into this buffer with a negative index, at runs of
 * neighbouring sectors that held the same value:
 *
 * ```
 * header, 64 bytes {u32 unused, u32 used}, then runs of two doubles: [sectors, value]
 * record.index >= 0     every sector held that write index (0: zeros)
 * record.index  < 0     the runs begin at -1 - record.index, and end where they make up the read
 * UNRECORDED            the buffer was full: only the guest itself has judged the read
 * ```
 * A value is a write index, 0, or a `StampFault`. Runs are written behind `used` while a read is
 * being looked at, and published when it has been seen whole: a guest killed in between leaves
 * nothing.
 */
import { invariant } from '../base/invariant.ts';

const HEADER_BYTES = 64;
const RUN_DOUBLES = 2;
export const RUN_BYTES: number = RUN_DOUBLES * 8;

/** Index of a read whose finding had no room: farther down than any run can be. */
export const UNRECORDED: number = -(2 ** 40);

/** Sectors of a read that held one value. */
export interface FindingRun {
  readonly sectors: number;
  readonly value: number;
}

export function findingsBufferFor(runs: number): SharedArrayBuffer {
  return new SharedArrayBuffer(HEADER_BYTES + runs * RUN_BYTES);
}

export class Findings {
  readonly buffer: SharedArrayBuffer;
  readonly capacity: number;
  readonly #doubles: Float64Array;
  readonly #used: Int32Array;
  /**
   * The read being looked at: its first run, its runs that are closed, and the one that is open.
   */
  #first = 0;
  #closed = 0;
  #value = 0;
  #sectors = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.capacity = Math.floor((buffer.byteLength - HEADER_BYTES) / RUN_BYTES);
    this.#doubles = new Float64Array(buffer, HEADER_BYTES);
    this.#used = new Int32Array(buffer, 0, HEADER_BYTES / 4);
  }

  /** Runs in the buffer. */
  get length(): number {
    return Atomics.load(this.#used, 1);
  }

  /** The runs so far, `RUN_BYTES` each: a view, not a copy. */
  bytes(): Uint8Array {
    return new Uint8Array(this.buffer, HEADER_BYTES, this.length * RUN_BYTES);
  }

  /** A read has arrived; what was begun and not ended is forgotten. */
  begin(): void {
    this.#first = this.length;
    this.#closed = 0;
    this.#sectors = 0;
  }

  /** The next sector of the read holds `value`. */
  sector(value: number): void {
    if (this.#sectors > 0 && value !== this.#value) this.#close();
    this.#value = value;
    this.#sectors++;
  }

  /** The read was seen whole. Returns the index for its record. */
  end(): number {
    invariant(this.#sectors > 0, 'a read has a sector');
    if (this.#closed === 0 && this.#value >= 0) return this.#value;
    this.#close();
    if (this.#first + this.#closed > this.capacity) return UNRECORDED;
    Atomics.store(this.#used, 1, this.#first + this.#closed);
    return -1 - this.#first;
  }

  /** The runs of a read of `sectors` sectors whose record has this index; none if unrecorded. */
  runs(index: number, sectors: number): FindingRun[] {
    if (index >= 0) return [{ sectors, value: index }];
    if (index === UNRECORDED) return [];
    const runs: FindingRun[] = [];
    let left = sectors;
    for (let at = -1 - index; left > 0; at++) {
      invariant(at < this.length, 'the runs of a finding make up its read');
      const run = {
        sectors: this.#doubles[at * RUN_DOUBLES] as number,
        value: this.#doubles[at * RUN_DOUBLES + 1] as number,
      };
      left -= run.sectors;
      runs.push(run);
    }
    return runs;
  }

  #close(): void {
    const at = this.#first + this.#closed;
    if (at < this.capacity) {
      this.#doubles[at * RUN_DOUBLES] = this.#sectors;
      this.#doubles[at * RUN_DOUBLES + 1] = this.#value;
    }
    this.#closed++;
    this.#sectors = 0;
  }
}
