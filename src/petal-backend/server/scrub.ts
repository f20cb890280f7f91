/**
 * Looks for damage that nobody has read yet, chunk by chunk, for as long as the server lives, and
 * has it made whole (`healing.ts`). One step is under way at a time, and the next one begins
 * `scrubPauseNs` after it: so a scrub takes no more than a chunk of the disk a pause.
 */
import type { World } from '../../world/world.ts';
import type { ChunkStore } from '../store/chunk-store.ts';
import type { Healing } from './healing.ts';
import type { ServerOptions } from './ports.ts';
import type { Seat } from './seat.ts';

export interface ScrubParts {
  readonly world: Pick<World, 'clock'>;
  readonly store: ChunkStore;
  readonly healing: Healing;
  readonly options: ServerOptions;
  readonly seatOf: (pair: { readonly gmap: number; readonly group: number }) => Seat | undefined;
}

export class Scrub {
  readonly #parts: ScrubParts;
  #nextNs = 0;

  constructor(parts: ScrubParts) {
    this.#parts = parts;
  }

  /** When the next step is to begin. */
  get nextNs(): number {
    return this.#nextNs;
  }

  /** The next chunk. What a server has that is not in sync is not looked at: others replace it. */
  async step(): Promise<void> {
    const { world, store, healing, options, seatOf } = this.#parts;
    this.#nextNs = Number.POSITIVE_INFINITY;
    const { damaged } = await store.scrub(1);
    for (const block of damaged) {
      const seat = seatOf(block);
      if (seat !== undefined && seat.pair.role !== 'outside') await healing.heal(seat, block);
    }
    this.#nextNs = world.clock.nowNs() + options.scrubPauseNs;
  }
}
