/**
 * Hears of what clients ask an export for: each request that is valid, when it has been taken, and
 * again when it is answered. Requests that move no data (block status, cache) are left out.
 */
import type { RequestKind } from '../world/history.ts';

export interface TappedRequest {
  readonly op: RequestKind;
  /** Bytes; both 0 of a flush. */
  readonly offset: number;
  readonly lengthBytes: number;
  readonly fua: boolean;
}

/** One that never ends has lost its client before it was whole. */
export interface TappedCall {
  ended(isOk: boolean): void;
}

export interface RequestTap {
  begun(request: TappedRequest): TappedCall;
}
