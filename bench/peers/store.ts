/**
 * The driver's side of the peers that carry data inside their messages: one page of its own a slot.
 */
import { BLOCK_BYTES, PEER_MAX_DEPTH, type PeerRequest, type PeerResponse } from './peer.ts';

export class PageStore {
  readonly #pages = Array.from({ length: PEER_MAX_DEPTH }, () => new Uint8Array(BLOCK_BYTES));

  serve(request: PeerRequest): PeerResponse {
    const { slot, write, data } = request;
    const page = this.#pages[slot] as Uint8Array;
    if (!write) return { slot, status: 0, data: page };
    page.set(data as Uint8Array);
    return { slot, status: 0, data: null };
  }
}
