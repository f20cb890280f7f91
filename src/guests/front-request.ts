/**
 * A request as a guest makes it: what a file system hands to its disk. Owned and reused by whoever
 * makes it; the front end borrows it, and its data, from `submit` until `frontDone`.
 *
 * It may be larger than the ring carries: the front end sends it in parts. Everything needed to
 * send any part again is here or in the data, which is why a front end can start over on a new
 * ring.
 */
export const FrontOp = { read: 0, write: 1, flush: 2, discard: 3, barrier: 4 } as const;
export type FrontOp = (typeof FrontOp)[keyof typeof FrontOp];

export const FrontStatus = {
  ok: 0,
  /** Refused or failed; for a mutation: it may have happened or not. */
  error: -1,
  notSupported: -2,
} as const;
export type FrontStatus = (typeof FrontStatus)[keyof typeof FrontStatus];

export abstract class FrontRequest {
  op: FrontOp = FrontOp.read;
  lba = 0;
  sectors = 0;
  /** Byte address of the data in the guest's RAM, contiguous. */
  address = 0;
  /** The n-th write of this disk, for the order tap; 0 for anything else. */
  writeIndex = 0;
  /** A write that is acknowledged only when it is durable. */
  fua = false;
  /** Which queue it travels on; taken modulo the number of queues. */
  queue = 0;

  /** Below: the front end's. */
  frontSeq = 0;
  submittedNs = 0;
  /** Sectors handed to the ring so far; parts are sent in order. */
  sentSectors = 0;
  partsInFlight = 0;
  status: FrontStatus = FrontStatus.ok;
  /** It was on a ring whose back end died, so it may have been executed before. */
  replayed = false;
  /** It was counted as over its deadline. */
  late = false;
  /** All parts were made (a flush has one part of no sectors). */
  allSent = false;

  /** Called once, when every part is answered. The request may be submitted again inside. */
  abstract frontDone(status: FrontStatus): void;
}
