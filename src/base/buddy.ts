/**
 * A buddy allocator of pages: runs of 1, 2, 4 ... pages, each aligned to its own size.
 *
 * It hands out places in somebody's RAM; it owns no bytes. Splitting takes the lowest free run that
 * fits, freeing joins a run with its buddy for as long as that is free, so that after everything
 * was given back the whole region is one run again. All state is in typed arrays: no allocation
 * after the constructor.
 */
import { invariant } from './invariant.ts';

const NONE = -1;

export class BuddyAllocator {
  readonly pages: number;
  readonly #orders: number;
  /**
   * First free run of each order; runs are linked through `#next` and `#previous` by first page.
   */
  readonly #heads: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** By first page: order + 1 of a free run that begins there, 0 otherwise. */
  readonly #freeOrder: Uint8Array;
  /** By first page: order + 1 of a run that was handed out, 0 otherwise. */
  readonly #usedOrder: Uint8Array;
  #freePages = 0;

  /** `pages` need not be a power of two. */
  constructor(pages: number) {
    invariant(pages > 0, 'an allocator has pages to hand out');
    this.pages = pages;
    this.#orders = Math.floor(Math.log2(pages)) + 1;
    this.#heads = new Int32Array(this.#orders).fill(NONE);
    this.#next = new Int32Array(pages).fill(NONE);
    this.#previous = new Int32Array(pages).fill(NONE);
    this.#freeOrder = new Uint8Array(pages);
    this.#usedOrder = new Uint8Array(pages);
    let page = 0;
    while (page < pages) {
      let order = this.#orders - 1;
      while (page % 2 ** order !== 0 || page + 2 ** order > pages) order--;
      this.#link(page, order);
      page += 2 ** order;
    }
    this.#freePages = pages;
  }

  get freePages(): number {
    return this.#freePages;
  }

  /** First page of a run of at least `count` pages, or -1 when no run is large enough. */
  take(count: number): number {
    let order = 0;
    while (2 ** order < count) order++;
    let from = order;
    while (from < this.#orders && this.#heads[from] === NONE) from++;
    if (from >= this.#orders) return NONE;
    const page = this.#heads[from] as number;
    this.#unlink(page, from);
    while (from > order) {
      from--;
      this.#link(page + 2 ** from, from);
    }
    this.#usedOrder[page] = order + 1;
    this.#freePages -= 2 ** order;
    return page;
  }

  /** Gives back the run that begins at `page`. */
  give(page: number): void {
    const order = (this.#usedOrder[page] ?? 0) - 1;
    invariant(order >= 0, 'a run is given back once, by its first page');
    this.#usedOrder[page] = 0;
    this.#freePages += 2 ** order;
    let first = page;
    let grown = order;
    while (grown < this.#orders - 1) {
      const buddy = first ^ (2 ** grown);
      if (buddy >= this.pages || this.#freeOrder[buddy] !== grown + 1) break;
      this.#unlink(buddy, grown);
      first = Math.min(first, buddy);
      grown++;
    }
    this.#link(first, grown);
  }

  #link(page: number, order: number): void {
    const head = this.#heads[order] as number;
    this.#next[page] = head;
    this.#previous[page] = NONE;
    if (head !== NONE) this.#previous[head] = page;
    this.#heads[order] = page;
    this.#freeOrder[page] = order + 1;
  }

  #unlink(page: number, order: number): void {
    const next = this.#next[page] as number;
    const previous = this.#previous[page] as number;
    if (previous === NONE) this.#heads[order] = next;
    else this.#next[previous] = next;
    if (next !== NONE) this.#previous[next] = previous;
    this.#freeOrder[page] = 0;
  }
}
