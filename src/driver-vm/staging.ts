/**
 * The driver VM's own pages: where payloads wait between a guest's page and the device.
 *
 * A payload is copied out of guest memory once, on arrival, so that what is checked, numbered and
 * stored is the same bytes even while the guest goes on writing into its page (B11).
 *
 * Rings keep pages for as long as they are connected (`takeForRing`), payloads come and go. A guest
 * says how many rings it wants and how large, so the rings of a disk may take at most half of what
 * no ring has yet: those that come after, and the payloads of all, always find something.
 */
import { BuddyAllocator } from '../base/buddy.ts';
import { type FrameNo, PAGE_BYTES, SECTORS_PER_PAGE } from '../base/units.ts';

export class StagingMemory {
  readonly #firstAddress: number;
  readonly #buddy: BuddyAllocator;
  readonly #onGiven: () => void;
  #ringPages = 0;

  /** `onGiven` is called when pages came back: a ring that was held for want of them may go on. */
  constructor(firstFrame: FrameNo, endFrame: FrameNo, onGiven: () => void) {
    this.#onGiven = onGiven;
    this.#firstAddress = firstFrame * PAGE_BYTES;
    this.#buddy = new BuddyAllocator(endFrame - firstFrame);
  }

  get freePages(): number {
    return this.#buddy.freePages;
  }

  /**
   * Whether the rings of one disk may have this many pages in all; those they have now not counted.
   */
  mayReserve(pages: number): boolean {
    return pages <= (this.#buddy.pages - this.#ringPages) / 2;
  }

  /** As `take`, in pages, for as long as a ring is connected. */
  takeForRing(pages: number): number {
    const run = this.#buddy.take(pages);
    if (run >= 0) this.#ringPages += pages;
    return run;
  }

  giveFromRing(run: number, pages: number): void {
    this.#ringPages -= pages;
    this.give(run);
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
