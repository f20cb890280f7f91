/**
 * The staging memory that a queue keeps while it is connected: a page for each slot, so that small
 * requests never wait for memory, and room for the segment descriptors of one indirect request.
 */
import { PAGE_BYTES } from '../base/units.ts';
import { OFFERED_INDIRECT_SEGMENTS, SEGMENT_BYTES } from '../ring/layout.ts';
import type { StagingMemory } from './staging.ts';

const DESCRIPTOR_PAGES = Math.ceil((OFFERED_INDIRECT_SEGMENTS * SEGMENT_BYTES) / PAGE_BYTES);

export interface QueuePages {
  readonly slots: number;
  /** Run of one page a slot. */
  readonly ownPages: number;
  /** Run for segment descriptors. */
  readonly descriptors: number;
}

export function queuePageCount(slots: number): number {
  return slots + DESCRIPTOR_PAGES;
}

/** Null, with nothing taken, when there is no run that is long enough now. */
export function takeQueuePages(staging: StagingMemory, slots: number): QueuePages | null {
  const ownPages = staging.takeForRing(slots);
  if (ownPages < 0) return null;
  const descriptors = staging.takeForRing(DESCRIPTOR_PAGES);
  if (descriptors >= 0) return { slots, ownPages, descriptors };
  staging.giveFromRing(ownPages, slots);
  return null;
}

export function giveQueuePages(staging: StagingMemory, pages: QueuePages): void {
  staging.giveFromRing(pages.ownPages, pages.slots);
  staging.giveFromRing(pages.descriptors, DESCRIPTOR_PAGES);
}
