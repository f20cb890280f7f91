/**
 * Pages for the payloads of policies without a log: what was written waits here until it is under a
 * published root. A fixed arena; whoever finds none free waits for destage.
 */
import { invariant } from '../../base/invariant.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { Arena } from '../arena.ts';

export class PayloadMemory {
  readonly #address: number;
  readonly #free: Int32Array;
  #freeCount: number;

  constructor(arena: Arena) {
    const pages = Math.floor(arena.bytes / BLOCK_BYTES);
    this.#address = arena.address;
    this.#free = new Int32Array(pages);
    for (let page = 0; page < pages; page++) this.#free[page] = pages - 1 - page;
    this.#freeCount = pages;
  }

  /** Pages that can be taken. */
  get free(): number {
    return this.#freeCount;
  }

  /** Byte address of a page. There must be one. */
  take(): number {
    invariant(this.#freeCount > 0, 'a page is taken where one is free');
    return this.#address + (this.#free[--this.#freeCount] as number) * BLOCK_BYTES;
  }

  /** `address`: of the page, or of any byte in it. */
  give(address: number): void {
    this.#free[this.#freeCount++] = Math.floor((address - this.#address) / BLOCK_BYTES);
  }
}
