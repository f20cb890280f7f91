/**
 * The driver VM's own pages: where payloads wait between a guest's page and the device.
 *
 * A payload is copied out of guest memory once, on arrival, so that what is checked, numbered and
 * stored is the same bytes even while the guest goes on writing into its page (B11).
 */
import { BuddyAllocator } from '../base/buddy.ts';
import { type FrameNo, PAGE_BYTES, SECTORS_PER_PAGE } from '../base/units.ts';

export class StagingMemory {
  readonly #firstAddress: number;
  readonly #buddy: BuddyAllocator;
  readonly #onGiven: () => void;

  /** `onGiven` is called when pages came back: a ring that was held for want of them may go on. */
  constructor(firstFrame: FrameNo, endFrame: FrameNo, onGiven: () => void) {
    this.#onGiven = onGiven;
    this.#firstAddress = firstFrame * PAGE_BYTES;
    this.#buddy = new BuddyAllocator(endFrame - firstFrame);
  }

  get freePages(): number {
    return this.#buddy.freePages;
  }

  /** Number of a run that holds `sectors`, or -1 when there is none now. */
  take(sectors: number): number {
    return this.#buddy.take(Math.ceil(sectors / SECTORS_PER_PAGE));
  }

  give(run: number): void {
    this.#buddy.give(run);
    this.#onGiven();
  }

  address(run: number): number {
    return this.#firstAddress + run * PAGE_BYTES;
  }
}
