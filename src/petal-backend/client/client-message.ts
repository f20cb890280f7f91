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

const ZEROS = new Uint8Array(BLOCK_BYTES);

export function messageOf(request: MessageParts, route: ClientRoute): PetalMessage {
  const { id, kind, seq, block, blocks, group, crcs, expectedVersion } = request;
  // What is spread comes first: only then is it copied as one.
  const place = { ...route, id, group, block, blocks };
  switch (kind) {
    case 'write':
      return { ...place, kind, seq, crcs };
    case 'trim':
      return { ...place, kind, seq };
    case 'writeIf':
      return { ...place, kind, seq, crcs, expectedVersion };
    case 'read':
    case 'readConditional':
      return { ...place, kind: 'read', conditional: kind === 'readConditional' };
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
  for (let at = 0; at < crcs.length; at++) {
    const crc = crcs[at];
    const sum = digest.crc32(data, at * BLOCK_BYTES, BLOCK_BYTES);
    if (sum !== crc && (crc !== 0 || sum !== digest.crc32(ZEROS, 0, BLOCK_BYTES))) return false;
  }
  return true;
}
