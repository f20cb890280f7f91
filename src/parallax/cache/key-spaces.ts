/**
 * Gives each VDI a number to stand for it in cache keys, and another one when all its entries must
 * go.
 *
 * So everything cached of a VDI is dropped in one step, however much it is: entries under the old
 * number cannot be found any more, and leave as the policy's victims. Numbers are not used twice;
 * they come from a range that its owner may extend.
 */
import { invariant } from '../../base/invariant.ts';

/** No VDI has this number. */
export const NO_SPACE = 0;

export class KeySpaces {
  readonly #spaceOf = new Map<number, number>();
  #next: number;
  #end: number;
  /** The last answer of `of`: requests come in bursts of one VDI. */
  #askedVdi = 0;
  #answer = NO_SPACE;

  /** Numbers are given from `first` on, and are below `end`. */
  constructor(first: number, end: number) {
    invariant(first > NO_SPACE && end <= 2 ** 32, 'the number of a VDI in keys fits 32 bits');
    this.#next = first;
    this.#end = end;
  }

  /** The first number that was not given to anybody. */
  get next(): number {
    return this.#next;
  }

  extend(end: number): void {
    invariant(end >= this.#end && end <= 2 ** 32, 'a range of numbers only grows');
    this.#end = end;
  }

  /** The number of a VDI, `NO_SPACE` if it has none. */
  of(vdi: number): number {
    if (vdi === this.#askedVdi) return this.#answer;
    this.#askedVdi = vdi;
    this.#answer = this.#spaceOf.get(vdi) ?? NO_SPACE;
    return this.#answer;
  }

  /** Gives a VDI a new number in place of the one it may have; `NO_SPACE` if none is left. */
  renew(vdi: number): number {
    this.drop(vdi);
    if (this.#next >= this.#end) return NO_SPACE;
    return this.adopt(vdi, this.#next++);
  }

  /** Gives a VDI, which has none, a number that it had before. */
  adopt(vdi: number, space: number): number {
    invariant(vdi >= 1 && vdi < 2 ** 32, 'a VDI is named by a number of 32 bits');
    this.#spaceOf.set(vdi, space);
    this.#askedVdi = 0;
    return space;
  }

  /** Takes a VDI's number away. */
  drop(vdi: number): void {
    this.#spaceOf.delete(vdi);
    this.#askedVdi = 0;
  }
}
