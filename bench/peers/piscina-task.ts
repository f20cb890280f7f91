/** The driver's side of piscina: one task a request. */
import type { PeerRequest, PeerResponse } from './peer.ts';
import { PageStore } from './store.ts';

const store = new PageStore();

export function serve(request: PeerRequest): PeerResponse {
  return store.serve(request);
}
