/**
 * A guest's own pages: what it may grant. Runs of pages by buddy, as rings need them side by side.
 */
import { BuddyAllocator } from '../base/buddy.ts';
import { StorageError } from '../base/errors.ts';
import { type FrameNo, PAGE_BYTES } from '../base/units.ts';

export class GuestFrames {
  readonly #first: number;
  readonly #buddy: BuddyAllocator;

  constructor(firstFrame: FrameNo, endFrame: FrameNo) {
    this.#first = firstFrame;
    this.#buddy = new BuddyAllocator(endFrame - firstFrame);
  }

  get freePages(): number {
    return this.#buddy.freePages;
  }

  /** First frame of a run of at least `pages`, or null. */
  take(pages: number): FrameNo | null {
    const run = this.#buddy.take(pages);
    return run < 0 ? null : ((this.#first + run) as FrameNo);
  }

  /** As `take`, for what a guest cannot do without. */
  mustTake(pages: number, what: string): FrameNo {
    const frame = this.take(pages);
    if (frame !== null) return frame;
    throw new StorageError(
      'E_GUEST_MEMORY_FULL',
      `no run of ${pages} pages left for ${what} (${this.freePages} pages free); ` +
        'give the guest more memory',
      { fields: { pages, freePages: this.freePages } },
    );
  }

  give(frame: FrameNo): void {
    this.#buddy.give(frame - this.#first);
  }

  address(frame: FrameNo): number {
    return frame * PAGE_BYTES;
  }
}
