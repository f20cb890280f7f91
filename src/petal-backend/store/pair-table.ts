/**
 * What the store knows of each pair as a whole, in RAM as it lies on the log disk.
 *
 * Highest numbers are kept of the eight highest terms of a pair. Of an older term that was seen and
 * forgotten nobody may give a number any more, and `lastN` says so by the highest number there is.
 */
import { getU48, setU48 } from '../../base/formats/field-bytes.ts';
import { PAGE_BYTES, type Term } from '../../base/units.ts';
import type { PairNote } from './chunk-store.ts';
import { type IntentEntry, PAIR_MEMBERS } from './formats/intent-group.ts';
import {
  PAIR_TERMS,
  PAIRS_PER_PAGE,
  PairField,
  pairRowAt,
  TERM_BYTES,
} from './formats/pair-page.ts';

const NONE = -1;
const N_MAX = 2 ** 48 - 1;
const GROUPS = 2 ** 16;

export class PairTable {
  readonly bytes: Uint8Array;
  readonly capacity: number;
  readonly #view: DataView;
  readonly #pairs = new Map<number, number>();
  readonly #dirtyPages = new Set<number>();

  constructor(pages: number) {
    this.bytes = new Uint8Array(pages * PAGE_BYTES);
    this.#view = new DataView(this.bytes.buffer);
    this.capacity = pages * PAIRS_PER_PAGE;
  }

  /** Makes the pairs of the pages known. */
  link(): void {
    for (let pair = 0; pair < this.capacity; pair++) {
      const at = pairRowAt(pair);
      if (this.#view.getUint32(at + PairField.state, true) !== 1) continue;
      const gmap = this.#view.getUint32(at + PairField.gmap, true);
      this.#pairs.set(keyOf(gmap, this.#view.getUint32(at + PairField.group, true)), pair);
    }
  }

  /** -1: nothing was ever heard of it. */
  find(gmap: number, group: number): number {
    return this.#pairs.get(keyOf(gmap, group)) ?? NONE;
  }

  /** -1: there is no room for another one. */
  findOrCreate(gmap: number, group: number): number {
    const known = this.find(gmap, group);
    if (known !== NONE || this.#pairs.size === this.capacity) return known;
    let pair = 0;
    while (this.#view.getUint32(pairRowAt(pair) + PairField.state, true) === 1) pair++;
    const at = pairRowAt(pair);
    this.#view.setUint32(at + PairField.gmap, gmap, true);
    this.#view.setUint32(at + PairField.group, group, true);
    this.#view.setUint32(at + PairField.state, 1, true);
    this.#pairs.set(keyOf(gmap, group), pair);
    this.#touch(pair);
    return pair;
  }

  note(pair: number): PairNote {
    if (pair === NONE) return NOTHING_KNOWN;
    const at = pairRowAt(pair);
    const markedSince: Term[] = [];
    for (let member = 0; member < PAIR_MEMBERS; member++) {
      const word = at + PairField.markedSince + 4 * member;
      markedSince.push(this.#view.getUint32(word, true) as Term);
    }
    return { lastTerm: this.#view.getUint32(at + PairField.lastTerm, true) as Term, markedSince };
  }

  setNote(pair: number, entry: IntentEntry): void {
    const at = pairRowAt(pair);
    this.#view.setUint32(at + PairField.lastTerm, entry.term, true);
    for (let member = 0; member < PAIR_MEMBERS; member++) {
      const word = at + PairField.markedSince + 4 * member;
      this.#view.setUint32(word, entry.words[member] as number, true);
    }
    this.#touch(pair);
  }

  /** Nothing here can be believed complete: no pair has anything to build upon. */
  forgetNotes(): void {
    for (const pair of this.#pairs.values()) {
      const at = pairRowAt(pair) + PairField.lastTerm;
      this.bytes.fill(0, at, at + 4 * (1 + PAIR_MEMBERS));
      this.#touch(pair);
    }
  }

  lastN(pair: number, term: number): number {
    if (pair === NONE) return 0;
    let lowest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < PAIR_TERMS; i++) {
      const at = termAt(pair, i);
      const known = this.#view.getUint32(at, true);
      if (known === term) return getU48(this.#view, at + 4);
      lowest = Math.min(lowest, known);
    }
    return term < lowest ? N_MAX : 0;
  }

  raise(pair: number, term: number, n: number): void {
    let lowestAt = termAt(pair, 0);
    for (let i = 0; i < PAIR_TERMS; i++) {
      const at = termAt(pair, i);
      const known = this.#view.getUint32(at, true);
      if (known === term && term !== 0) {
        if (getU48(this.#view, at + 4) >= n) return;
        setU48(this.#view, at + 4, n);
        this.#touch(pair);
        return;
      }
      if (known < this.#view.getUint32(lowestAt, true)) lowestAt = at;
    }
    if (this.#view.getUint32(lowestAt, true) >= term) return;
    this.#view.setUint32(lowestAt, term, true);
    setU48(this.#view, lowestAt + 4, n);
    this.#touch(pair);
  }

  takeDirtyPages(): number[] {
    const pages = [...this.#dirtyPages];
    this.#dirtyPages.clear();
    return pages;
  }

  get hasDirtyPages(): boolean {
    return this.#dirtyPages.size > 0;
  }

  giveBackPages(pages: readonly number[]): void {
    for (const page of pages) this.#dirtyPages.add(page);
  }

  #touch(pair: number): void {
    this.#dirtyPages.add(Math.floor(pair / PAIRS_PER_PAGE));
  }
}

const NOTHING_KNOWN: PairNote = { lastTerm: 0 as Term, markedSince: [0, 0, 0] as Term[] };

function keyOf(gmap: number, group: number): number {
  return gmap * GROUPS + group;
}

function termAt(pair: number, i: number): number {
  return pairRowAt(pair) + PairField.terms + TERM_BYTES * i;
}
