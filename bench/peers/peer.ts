/**
 * What the peers of the ring have in common: the other ways to get a 4 KiB request from one thread
 * to another and back that Node offers.
 *
 * Each does what the ring does for a request, no less and no more: the guest's thread moves 4 KiB
 * between its own buffer and what it passes on, the driver's thread moves 4 KiB between that and a
 * page of its own, and half of the requests are reads. Where the data travels inside a message,
 * cloning it is the copy of the side that sends, and the side that receives puts it where it
 * belongs.
 */
import type { MessagePort } from 'node:worker_threads';
import type { HostMemoryTransfer } from '../../src/world/real/wasm-memory.ts';

export const PEER_KINDS = ['port', 'port-shared', 'comlink', 'piscina'] as const;
export type PeerKind = (typeof PEER_KINDS)[number];

export const BLOCK_BYTES = 4096;
export const PEER_MAX_DEPTH = 128;

/** Words of the buffer that a client shares with the benchmark, as doubles. */
export const PeerWord = { completed: 0 } as const;
export const PEER_WORDS = 8;

/**
 * The shared pages of `port-shared`: for each slot a page that both sides know, a buffer of the
 * guest's own and a page of the driver's own.
 */
export const SHARED_AREAS = 3;

export function sharedPage(slot: number): number {
  return slot * BLOCK_BYTES;
}

export function guestBuffer(slot: number): number {
  return (PEER_MAX_DEPTH + slot) * BLOCK_BYTES;
}

export function driverPage(slot: number): number {
  return (2 * PEER_MAX_DEPTH + slot) * BLOCK_BYTES;
}

export interface ClientBoot {
  readonly kind: PeerKind;
  readonly words: SharedArrayBuffer;
  /** To the server; not used by piscina, which has its own. */
  readonly port: MessagePort;
  readonly memory: HostMemoryTransfer;
}

export interface ServerBoot {
  readonly kind: PeerKind;
  readonly ports: readonly MessagePort[];
  /** One a port. */
  readonly memories: readonly HostMemoryTransfer[];
}

/** A request as it travels. `data` only where it travels inside, and only for a write. */
export interface PeerRequest {
  readonly slot: number;
  readonly write: boolean;
  readonly lba: number;
  readonly data: Uint8Array | null;
}

/** `data` only where it travels inside, and only for a read. */
export interface PeerResponse {
  readonly slot: number;
  readonly status: number;
  readonly data: Uint8Array | null;
}
