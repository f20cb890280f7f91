/**
 * Writers that go on while the other side reads: what a second processor of a hostile guest does.
 *
 * Each swings between two values, so that any mixture of the two can be told from either: a reader
 * that looks twice sees a request that was never made (B10, B11). In threads a mutator would run in
 * a loop; in the simulator and in tests `tick` is called at the named crash points inside the back
 * end's step and between its steps, which are all the places where a difference could be seen.
 */
import type { RingView } from '../ports.ts';

export interface Mutator {
  tick(): void;
}

/** Swings some words of RAM between what they are and other values. */
export class WordMutator implements Mutator {
  readonly #u32: Uint32Array;
  readonly #firstWord: number;
  readonly #values: readonly [Uint32Array, Uint32Array];
  #now = 0;

  /** `other[i]` is the second value of the word at `firstWord + i`. */
  constructor(view: RingView, firstWord: number, other: ArrayLike<number>) {
    this.#u32 = view.u32;
    this.#firstWord = firstWord;
    const first = view.u32.slice(firstWord, firstWord + other.length);
    this.#values = [first, Uint32Array.from(other)];
  }

  tick(): void {
    this.#now = 1 - this.#now;
    this.#u32.set(this.#values[this.#now] as Uint32Array, this.#firstWord);
  }
}

/** Fills a page with one byte, then with another, and so on. */
export class PageMutator implements Mutator {
  readonly #u8: Uint8Array;
  readonly #address: number;
  readonly #lengthBytes: number;
  readonly #fills: readonly [number, number];
  #now = 0;

  constructor(
    view: RingView,
    address: number,
    lengthBytes: number,
    fills: readonly [number, number],
  ) {
    this.#u8 = view.u8;
    this.#address = address;
    this.#lengthBytes = lengthBytes;
    this.#fills = fills;
  }

  tick(): void {
    this.#u8.fill(
      this.#fills[this.#now] as number,
      this.#address,
      this.#address + this.#lengthBytes,
    );
    this.#now = 1 - this.#now;
  }
}

/** Any action as a mutator: an index that races, a grant that comes and goes. */
export class ActionMutator implements Mutator {
  readonly #act: () => void;

  constructor(act: () => void) {
    this.#act = act;
  }

  tick(): void {
    this.#act();
  }
}
