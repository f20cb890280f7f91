/**
 * Bells. A bell word is a free-running counter in a host's RAM: who makes work for an actor changes
 * the word first, then wakes the sleeper. An actor reads the word before it looks for work and
 * sleeps only while the word still has that value, so no wake-up is lost whoever is first.
 */
import { invariant } from '../../base/invariant.ts';
import type { SharedMemory } from '../../base/shared-memory.ts';
import type { Wake } from '../world.ts';

export class BellWake implements Wake {
  readonly #words: Int32Array;

  constructor(memory: SharedMemory) {
    this.#words = memory.i32;
  }

  ring(bellAddress: number): void {
    Atomics.notify(this.#words, bellIndex(bellAddress));
  }

  /** Changes the bell word, then wakes: for work that is not in the host's RAM, such as a frame. */
  changeAndRing(bellAddress: number): void {
    Atomics.add(this.#words, bellIndex(bellAddress), 1);
    Atomics.notify(this.#words, bellIndex(bellAddress));
  }
}

/** Index of a bell in the Int32 view of its host's RAM. */
export function bellIndex(bellAddress: number): number {
  invariant(bellAddress >= 0 && bellAddress % 4 === 0, 'a bell is an aligned word of the RAM');
  return bellAddress / 4;
}
