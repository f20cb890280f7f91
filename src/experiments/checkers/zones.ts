/**
 * Whether the operations on one place could have happened one after the other: the zones of
 * Gibbons and Korach ("Testing shared memories", 1997), for a register whose values say who wrote
 * them.
 *
 * A *cluster* is a write with all reads that found its value. Let `f` be the earliest
 * acknowledgement in it and `s` the latest submission. Cluster A must come before B as soon as
 * some operation of A ended before some operation of B began: `fA < sB`. The operations of a
 * cluster stand together in any order that is right, so the history is wrong if two clusters must
 * each come before the other:
 *
 * ```
 * conflict of A and B:   fA < sB  and  fB < sA
 * f < s   forward zone [f, s]: the value was there all that time. Two of them may not overlap.
 * f >= s  backward zone [s, f]: all of it fits at one moment. It may not lie inside a forward zone.
 * ```
 * That no two clusters conflict is also enough (their theorem). The other way to be wrong is a
 * read that ended before the write of its value began. Sorted by `f`, forward zones are compared
 * with their neighbours only; clusters arrive in order of submission, so the sort has little to
 * move.
 *
 * Equal times say nothing about order. An operation of unknown outcome (failed, or never answered)
 * has no end: `f` is infinite until a read found its value, and an unread one conflicts with
 * nothing.
 *
 * **Zeros** are the one value that many operations write: writes of zeros, discards (which leave
 * zeros or what was there before), and the beginning. So which of them a read of zeros saw is not
 * known. Such a read is a cluster by itself, and so is an acknowledged write of zeros; a discard
 * forces nothing. Besides, a read of zeros needs a *source*: if W are the clusters that must come
 * before the read, some source must have begun before the read ended, and ended after the latest
 * submission among W. With zeros in play the test accepts a few histories that are wrong (two
 * reads of zeros may need one source at two moments); it never refuses one that is right. Without
 * them it is exact.
 */
import { invariant } from '../../base/invariant.ts';
import { HistoryKind } from '../../world/history.ts';
import { DAMAGE, ENTRY_DOUBLES, KINDS } from './operations.ts';

/** Why a place is wrong, told by the values involved. */
export type ZoneConflict =
  /** A read of `value` ended before its write began. */
  | { readonly kind: 'future'; readonly read: number; readonly value: number }
  /**
   * Two clusters must each come before the other. For zeros, the record that is its own cluster.
   */
  | { readonly kind: 'crossed'; readonly a: ClusterName; readonly b: ClusterName }
  /** A read of what was there at the beginning, after `after` had come. */
  | { readonly kind: 'inherited'; readonly read: number; readonly after: number }
  /** A read of zeros that nothing can have zeroed since `after` was there. */
  | { readonly kind: 'no-zeros'; readonly read: number; readonly after: number };

export type ClusterName = { readonly value: number } | { readonly record: number };

const FIRST_CAPACITY = 64;

/** Judges one place after another; holds only scratch space. */
export class ZoneJudge {
  /** Entries of the operation table. */
  #entries: Float64Array = new Float64Array(0);
  #capacity = FIRST_CAPACITY;
  /** Clusters of writes, in order of submission. */
  #values = new Float64Array(FIRST_CAPACITY);
  #begins = new Float64Array(FIRST_CAPACITY);
  #f = new Float64Array(FIRST_CAPACITY);
  #s = new Float64Array(FIRST_CAPACITY);
  /** Cluster numbers: those with forward zones first, then scratch for all of them, by `f`. */
  #sorted = new Int32Array(FIRST_CAPACITY);
  #clusters = 0;
  #forwards = 0;
  /** Where in the entries the operations on zeros are. */
  readonly #zeroReads: number[] = [];
  readonly #zeroWrites: number[] = [];
  readonly #discards: number[] = [];
  /** The same of reads of values whose write has not come yet. */
  readonly #early: number[] = [];
  #future: ZoneConflict | null = null;

  /**
   * Judges the entries [`first`, `end`) of an operation table, which are in order of submission.
   * `inherits`: values that are not written among them were there at the beginning.
   */
  judge(entries: Float64Array, first: number, end: number, inherits: boolean): ZoneConflict | null {
    this.#entries = entries;
    this.#reset(end - first);
    const future = this.#collect(first, end);
    if (future !== null) return future;
    if (inherits) {
      const back = this.#inherited();
      if (back !== null) return back;
    }
    this.#sortForward();
    return this.#overlap() ?? this.#containment() ?? this.#zeros();
  }

  #reset(operations: number): void {
    this.#clusters = 0;
    this.#forwards = 0;
    this.#zeroReads.length = 0;
    this.#zeroWrites.length = 0;
    this.#discards.length = 0;
    this.#early.length = 0;
    this.#future = null;
    if (operations <= this.#capacity) return;
    this.#capacity = Math.max(operations, 2 * this.#capacity);
    this.#values = new Float64Array(this.#capacity);
    this.#begins = new Float64Array(this.#capacity);
    this.#f = new Float64Array(this.#capacity);
    this.#s = new Float64Array(this.#capacity);
    this.#sorted = new Int32Array(this.#capacity);
  }

  /** Makes clusters of the operations. A read may stand before its write: it comes at the end. */
  #collect(first: number, end: number): ZoneConflict | null {
    const entries = this.#entries;
    const last = end * ENTRY_DOUBLES;
    for (let at = first * ENTRY_DOUBLES; at < last; at += ENTRY_DOUBLES) {
      const kind = (entries[at] as number) & (KINDS - 1);
      if (entries[at + 1] === 0) this.#keepZero(kind, at);
      else if (kind !== HistoryKind.read) this.#addWrite(at);
      else if (!this.#addRead(at)) this.#early.push(at);
    }
    for (const at of this.#early) this.#addRead(at);
    return this.#future;
  }

  /** What was there at the beginning may not be found when another value had come before. */
  #inherited(): ZoneConflict | null {
    let earliest = -1;
    for (let at = 0; at < this.#clusters; at++) {
      if (earliest < 0 || (this.#f[at] as number) < (this.#f[earliest] as number)) earliest = at;
    }
    if (earliest < 0) return null;
    const firstNs = this.#f[earliest] as number;
    for (const at of this.#early) {
      const value = this.#entries[at + 1] as number;
      if (value === DAMAGE || this.#clusterOf(value) >= 0 || this.#invokeOf(at) <= firstNs)
        continue;
      const after = this.#values[earliest] as number;
      return { kind: 'inherited', read: this.#recordOf(at), after };
    }
    return null;
  }

  #keepZero(kind: number, at: number): void {
    if (kind === HistoryKind.read) this.#zeroReads.push(at);
    else if (kind === HistoryKind.discard) this.#discards.push(at);
    else this.#zeroWrites.push(at);
  }

  #addWrite(at: number): void {
    const entries = this.#entries;
    const cluster = this.#clusters++;
    const value = entries[at + 1] as number;
    invariant(
      cluster === 0 || value > (this.#values[cluster - 1] as number),
      'write indexes ascend in a history',
    );
    const invokeNs = entries[at + 2] as number;
    this.#values[cluster] = value;
    this.#begins[cluster] = invokeNs;
    this.#s[cluster] = invokeNs;
    this.#f[cluster] = entries[at + 3] as number;
  }

  /** False if no write of its value is known so far. */
  #addRead(at: number): boolean {
    const entries = this.#entries;
    const value = entries[at + 1] as number;
    const cluster = value === DAMAGE ? -1 : this.#clusterOf(value);
    if (cluster < 0) return false;
    const invokeNs = entries[at + 2] as number;
    const doneNs = entries[at + 3] as number;
    if (doneNs < (this.#begins[cluster] as number)) {
      this.#future ??= { kind: 'future', read: this.#recordOf(at), value };
    }
    if (doneNs < (this.#f[cluster] as number)) this.#f[cluster] = doneNs;
    if (invokeNs > (this.#s[cluster] as number)) this.#s[cluster] = invokeNs;
    return true;
  }

  /**
   * Cluster of a value; -1 if it was not written here, which is the business of another checker.
   */
  #clusterOf(value: number): number {
    const values = this.#values;
    let low = 0;
    let high = this.#clusters - 1;
    // Nearly every read finds the write before it.
    if (high >= 0 && values[high] === value) return high;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((values[middle] as number) <= value) low = middle;
      else high = middle - 1;
    }
    return this.#clusters > 0 && values[low] === value ? low : -1;
  }

  #sortForward(): void {
    for (let at = 0; at < this.#clusters; at++) {
      if ((this.#f[at] as number) < (this.#s[at] as number)) this.#insert(at, this.#forwards++);
    }
  }

  /** Inserts a cluster into the first `count` of `#sorted`, which are in order of `f`. */
  #insert(cluster: number, count: number): void {
    const sorted = this.#sorted;
    const f = this.#f;
    const own = f[cluster] as number;
    let at = count;
    for (; at > 0 && (f[sorted[at - 1] as number] as number) > own; at--) {
      sorted[at] = sorted[at - 1] as number;
    }
    sorted[at] = cluster;
  }

  #overlap(): ZoneConflict | null {
    for (let at = 1; at < this.#forwards; at++) {
      const before = this.#sorted[at - 1] as number;
      const after = this.#sorted[at] as number;
      if ((this.#f[after] as number) < (this.#s[before] as number)) {
        return this.#crossed(after, { value: this.#values[before] as number });
      }
    }
    return null;
  }

  #containment(): ZoneConflict | null {
    if (this.#forwards === 0) return null;
    for (let at = 0; at < this.#clusters; at++) {
      const low = this.#s[at] as number;
      const high = this.#f[at] as number;
      if (high < low) continue;
      const around = this.#forwardAround(low, high);
      if (around >= 0) return this.#crossed(around, { value: this.#values[at] as number });
    }
    for (const zeros of [this.#zeroReads, this.#zeroWrites]) {
      for (const at of zeros) {
        const around = this.#forwardAround(this.#invokeOf(at), this.#doneOf(at));
        if (around >= 0) return this.#crossed(around, { record: this.#recordOf(at) });
      }
    }
    return null;
  }

  /**
   * The cluster whose forward zone has [`low`, `high`] inside; -1: none. The zones are disjoint.
   */
  #forwardAround(low: number, high: number): number {
    let from = 0;
    let to = this.#forwards;
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#f[this.#sorted[middle] as number] as number) < low) from = middle + 1;
      else to = middle;
    }
    if (from === 0) return -1;
    const cluster = this.#sorted[from - 1] as number;
    return high < (this.#s[cluster] as number) ? cluster : -1;
  }

  /** Whether each read of zeros has a source. */
  #zeros(): ZoneConflict | null {
    if (this.#zeroReads.length === 0 || this.#clusters === 0) return null;
    for (let at = 0; at < this.#clusters; at++) this.#insert(at, at);
    // Clusters that must come before a read are the first ones by `f`.
    const latest = new Int32Array(this.#clusters);
    for (let at = 0; at < this.#clusters; at++) {
      const own = this.#sorted[at] as number;
      const before = at === 0 ? own : (latest[at - 1] as number);
      latest[at] = (this.#s[own] as number) > (this.#s[before] as number) ? own : before;
    }
    const sources = [...this.#zeroWrites, ...this.#discards].sort((a, b) => a - b);
    const ends: number[] = [];
    for (const at of sources) {
      ends.push(Math.max(this.#doneOf(at), ends[ends.length - 1] ?? Number.NEGATIVE_INFINITY));
    }
    for (const read of this.#zeroReads) {
      const count = this.#clustersBefore(this.#invokeOf(read));
      if (count === 0) continue;
      const after = latest[count - 1] as number;
      const begun = this.#begunBy(sources, this.#doneOf(read));
      if (begun > 0 && (ends[begun - 1] as number) >= (this.#s[after] as number)) continue;
      const value = this.#values[after] as number;
      return { kind: 'no-zeros', read: this.#recordOf(read), after: value };
    }
    return null;
  }

  /** How many clusters, in order of `f`, have an end before `timeNs`. */
  #clustersBefore(timeNs: number): number {
    let from = 0;
    let to = this.#clusters;
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#f[this.#sorted[middle] as number] as number) < timeNs) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** How many sources, in order of submission, began no later than `timeNs`. */
  #begunBy(sources: readonly number[], timeNs: number): number {
    let from = 0;
    let to = sources.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#invokeOf(sources[middle] as number) <= timeNs) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  #crossed(cluster: number, b: ClusterName): ZoneConflict {
    return { kind: 'crossed', a: { value: this.#values[cluster] as number }, b };
  }

  #invokeOf(at: number): number {
    return this.#entries[at + 2] as number;
  }

  #doneOf(at: number): number {
    return this.#entries[at + 3] as number;
  }

  #recordOf(at: number): number {
    return Math.floor((this.#entries[at] as number) / KINDS);
  }
}
