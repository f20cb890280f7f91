/** Doubly linked lists of chunks, one for each pair, in typed arrays: a chunk is in one or none. */
import { invariant } from '../../base/invariant.ts';

const NONE = -1;

export class RecordList {
  readonly #heads: Int32Array;
  readonly #next: Int32Array;
  readonly #before: Int32Array;

  constructor(pairs: number, records: number) {
    this.#heads = new Int32Array(pairs).fill(NONE);
    this.#next = new Int32Array(records).fill(NONE);
    this.#before = new Int32Array(records).fill(NONE);
  }

  /** First of the pair's list, or -1. */
  first(pair: number): number {
    return this.#heads[pair] as number;
  }

  /** The one behind it, or -1. */
  next(record: number): number {
    return this.#next[record] as number;
  }

  add(pair: number, record: number): void {
    const head = this.#heads[pair] as number;
    this.#next[record] = head;
    this.#before[record] = NONE;
    if (head !== NONE) this.#before[head] = record;
    this.#heads[pair] = record;
  }

  remove(pair: number, record: number): void {
    const next = this.#next[record] as number;
    const before = this.#before[record] as number;
    if (next !== NONE) this.#before[next] = before;
    if (before !== NONE) this.#next[before] = next;
    else {
      invariant(this.#heads[pair] === record, 'the first of a list is its head');
      this.#heads[pair] = next;
    }
    this.#next[record] = NONE;
    this.#before[record] = NONE;
  }
}
