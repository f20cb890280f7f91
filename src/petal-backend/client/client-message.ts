/** What a client sends of a request, by what it knows of the way. */

import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { Digest } from '../../world/world.ts';
import type { PetalMessage, ReadMessage } from '../wire/messages.ts';

export type RequestKind = 'read' | 'write' | 'trim' | 'readConditional' | 'writeIf';

export interface MessageParts {
  readonly id: number;
  readonly kind: RequestKind;
  readonly seq: number;
  readonly block: number;
  readonly blocks: number;
  readonly group: number;
  readonly crcs: readonly number[];
  readonly expectedVersion: number;
}

/** Where it goes, by whose right, and by which hints. */
export type ClientRoute = Pick<
  ReadMessage,
  'gmap' | 'term' | 'vdisk' | 'epoch' | 'mapVersion' | 'session' | 'fence'
>;

export function messageOf(request: MessageParts, route: ClientRoute): PetalMessage {
  const { id, kind, seq, block, blocks, group, crcs, expectedVersion } = request;
  const place = { ...route, id, group, block, blocks };
  switch (kind) {
    case 'write':
      return { kind, ...place, seq, crcs };
    case 'trim':
      return { kind, ...place, seq };
    case 'writeIf':
      return { kind, ...place, seq, crcs, expectedVersion };
    case 'read':
    case 'readConditional':
      return { kind: 'read', ...place, conditional: kind === 'readConditional' };
  }
}

export function sumsOf(digest: Digest, data: Uint8Array): number[] {
  const sums: number[] = [];
  for (let from = 0; from < data.length; from += BLOCK_BYTES) {
    sums.push(digest.crc32(data, from, BLOCK_BYTES));
  }
  return sums;
}

/** Each block is what its sum says. A block without data has no sum: it is zeros. */
export function isWhole(digest: Digest, data: Uint8Array, crcs: readonly number[]): boolean {
  return crcs.every((crc, at) => {
    const from = at * BLOCK_BYTES;
    if (digest.crc32(data, from, BLOCK_BYTES) === crc) return true;
    return crc === 0 && data.subarray(from, from + BLOCK_BYTES).every((byte) => byte === 0);
  });
}
