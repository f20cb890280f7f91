/**
 * The shared ring page, byte for byte as Xen's public headers lay it out for x86_64.
 *
 * ```
 * byte  0  req_prod   u32  written by the front     free-running, never masked
 *       4  req_event  u32  written by the back      "notify me when req_prod passes this", from 1
 *       8  rsp_prod   u32  written by the back
 *      12  rsp_event  u32  written by the front     from 1
 *      16  48 bytes private and pad, zero
 *      64  ring[n]    112 bytes each, request and response share a slot; slot = index & (n - 1)
 * ```
 *
 * n is the largest power of two that fits: 32, 64, 128, 256, 512 for 1, 2, 4, 8, 16 pages.
 *
 * Because a response is written over whatever request sat in its slot, the back end must copy a
 * request out before it answers anything, and after a crash the ring alone does not tell which
 * requests were never run: the front end's shadow does.
 *
 * Source: ring.h, blkif.h. The i386 layout (`x86_32-abi`) is refused at the handshake.
 */
import { invariant } from '../base/invariant.ts';
import { PAGE_BYTES } from '../base/units.ts';

export const REQ_PROD_BYTES = 0;
export const REQ_EVENT_BYTES = 4;
export const RSP_PROD_BYTES = 8;
export const RSP_EVENT_BYTES = 12;
export const RING_HEADER_BYTES = 64;
export const SLOT_BYTES = 112;
export const SLOT_WORDS: number = SLOT_BYTES / 4;
export const RESPONSE_BYTES = 16;
export const RESPONSE_WORDS: number = RESPONSE_BYTES / 4;

export const MAX_RING_ORDER = 4;

/** Segments in a direct request (blkif.h BLKIF_MAX_SEGMENTS_PER_REQUEST). */
export const MAX_DIRECT_SEGMENTS = 11;
/** Pages of segment descriptors in an indirect request. */
export const MAX_INDIRECT_PAGES = 8;
export const SEGMENT_BYTES = 8;
export const SEGMENTS_PER_INDIRECT_PAGE: number = PAGE_BYTES / SEGMENT_BYTES;
/** What this back end offers as `feature-max-indirect-segments`; Linux offers the same. */
export const OFFERED_INDIRECT_SEGMENTS = 256;

/** Slots in a ring of `2 ** order` pages. */
export function ringSlots(order: number): number {
  invariant(order >= 0 && order <= MAX_RING_ORDER, 'a ring has 1, 2, 4, 8 or 16 pages');
  const fitting = Math.floor((PAGE_BYTES * 2 ** order - RING_HEADER_BYTES) / SLOT_BYTES);
  return 2 ** Math.floor(Math.log2(fitting));
}

invariant(ringSlots(0) === 32 && ringSlots(4) === 512, 'ring sizes are those of ring.h');
