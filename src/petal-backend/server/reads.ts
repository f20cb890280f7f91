/**
 * Reads of clients, at any server that is in sync.
 *
 * What a read gives must never be taken back by a later one. So a secondary reads only what is
 * clean: a block that its primary has not yet told to be on every copy may still be lost. The
 * primary waits for what is under way, by the lock of the block. Both answer only while their view
 * of the pair is leased: else somebody may have gone on without them.
 */

import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { World } from '../../world/world.ts';
import { type ChunkStore, type StoreRead, StoreStatus } from '../store/chunk-store.ts';
import { PetalStatus, type ReadMessage } from '../wire/messages.ts';
import type { BlockLocks, LockOwner } from './block-locks.ts';
import type { Pair } from './pair.ts';

export interface ReadAnswer {
  readonly status: PetalStatus;
  readonly version: number;
  readonly crcs: readonly number[];
  readonly data: Uint8Array;
}

export interface ReadParts {
  readonly world: World;
  readonly store: ChunkStore;
  readonly locks: BlockLocks;
  readonly answer: (to: string, id: number, pair: Pair, answer: ReadAnswer) => void;
}

const NO_DATA = new Uint8Array(0);
const NO_CRCS: readonly number[] = [];

class Read implements StoreRead, LockOwner {
  readonly #reads: Reads;
  readonly client: string;
  readonly message: ReadMessage;
  readonly pair: Pair;
  readonly data: Uint8Array;
  readonly gmap: number;
  readonly group: number;
  readonly vdisk: number;
  readonly epoch: number;
  readonly block: number;
  readonly blocks: number;

  constructor(reads: Reads, client: string, message: ReadMessage, pair: Pair) {
    this.#reads = reads;
    this.client = client;
    this.message = message;
    this.pair = pair;
    this.gmap = message.gmap;
    this.group = message.group;
    this.vdisk = message.vdisk;
    this.epoch = message.epoch;
    this.block = message.block;
    this.blocks = message.blocks;
    this.data = new Uint8Array(message.blocks * BLOCK_BYTES);
  }

  locked(): void {
    this.#reads.begin(this);
  }

  storeDone(status: StoreStatus): void {
    this.#reads.done(this, status);
  }
}

export class Reads {
  readonly #parts: ReadParts;

  constructor(parts: ReadParts) {
    this.#parts = parts;
  }

  take(client: string, message: ReadMessage, pair: Pair): void {
    // A secondary refuses at once what its primary is changing: nobody has to wait for that here.
    const refusal = this.#refusal(pair, message);
    const read = new Read(this, client, message, pair);
    if (refusal !== null) return this.#refuse(read, refusal);
    if (this.#parts.locks.acquire(read)) this.begin(read);
  }

  begin(read: Read): void {
    const refusal = this.#refusal(read.pair, read.message);
    if (refusal === null) return this.#parts.store.read(read);
    this.#parts.locks.release(read);
    this.#refuse(read, refusal);
  }

  done(read: Read, status: StoreStatus): void {
    const { store, locks, answer } = this.#parts;
    const { client, message, pair, data, gmap, group, vdisk, epoch, block } = read;
    // It may have been told meanwhile that it is out, or its lease may have ended.
    const refusal = this.#refusal(pair, message);
    const crcs: number[] = [];
    let version = 0;
    for (let at = 0; at < read.blocks; at++) {
      const facts = store.facts({ gmap, group, vdisk, epoch, block: block + at });
      crcs.push(facts.crc);
      version = facts.conditionalVersion;
    }
    locks.release(read);
    if (refusal !== null) return this.#refuse(read, refusal);
    // The client goes to the other copy.
    if (status !== StoreStatus.ok) return this.#refuse(read, PetalStatus.ioError);
    answer(client, message.id, pair, { status: PetalStatus.ok, version, crcs, data });
  }

  /** Why this server may not answer now; null: it may. */
  #refusal(
    pair: Pair,
    { gmap, group, vdisk, epoch, block, blocks }: ReadMessage,
  ): PetalStatus | null {
    const { world, store } = this.#parts;
    const nowNs = world.clock.nowNs();
    const { role } = pair;
    if (role === 'outside') return PetalStatus.notHere;
    if (!pair.hasLease(nowNs)) return PetalStatus.noLease;
    if (role === 'primary' && !pair.holdsBack(nowNs)) return null;
    for (let at = 0; at < blocks; at++) {
      if (store.facts({ gmap, group, vdisk, epoch, block: block + at }).dirty) {
        return PetalStatus.dirty;
      }
    }
    return null;
  }

  #refuse({ client, message, pair }: Read, status: PetalStatus): void {
    this.#parts.answer(client, message.id, pair, {
      status,
      version: 0,
      crcs: NO_CRCS,
      data: NO_DATA,
    });
  }
}
