/**
 * Reads of clients, at any server that is in sync.
 *
 * What a read gives must never be taken back by a later one. So a secondary reads only what is
 * clean: a block that its primary has not yet told to be on every copy may still be lost. The
 * primary waits for what is under way, by the lock of the block; until what was dirty when its term
 * began has gone to all, it reads only what is clean, too. Both answer only while their view of the
 * pair is leased: else somebody may have gone on without them.
 *
 * What is damaged is made whole from another copy (`healing.ts`), and read again, once. If that
 * does not help, the client is told, who asks the other copies.
 */

import { present } from '../../base/invariant.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { World } from '../../world/world.ts';
import { type ChunkStore, type StoreRead, StoreStatus } from '../store/chunk-store.ts';
import { CHUNK_BLOCKS, type DirtyBlock, PetalStatus, type ReadMessage } from '../wire/messages.ts';
import type { BlockLocks, LockOwner } from './block-locks.ts';
import type { Pair } from './pair.ts';
import type { PetalBug } from './ports.ts';
import type { Seat } from './seat.ts';

export interface ReadAnswer {
  readonly status: PetalStatus;
  readonly version: number;
  readonly crcs: readonly number[];
  /** Only during the call: it is copied. */
  readonly data: Uint8Array;
}

export interface ReadParts {
  readonly world: World;
  readonly store: ChunkStore;
  readonly locks: BlockLocks;
  readonly plantedBug: PetalBug;
  /** Settles when nothing more can be done for the block now. */
  readonly heal: (seat: Seat, block: DirtyBlock) => Promise<unknown>;
  /** A story threw: a bug. */
  readonly failed: (thrown: unknown) => void;
  readonly answer: (to: string, id: number, pair: Pair, answer: ReadAnswer) => void;
}

/** Reads that are kept for later use, 64 KiB each. */
const SPARE_READS = 64;
const NO_DATA = new Uint8Array(0);
const NO_CRCS: readonly number[] = [];

/** A read on its way; used again for the next one when it is answered. */
class Read implements StoreRead, LockOwner {
  readonly #reads: Reads;
  readonly #buffer: Uint8Array = new Uint8Array(CHUNK_BLOCKS * BLOCK_BYTES);
  client = '';
  #message: ReadMessage | null = null;
  #seat: Seat | null = null;
  isSecondTry = false;
  data: Uint8Array = NO_DATA;
  gmap = 0;
  group = 0;
  vdisk = 0;
  epoch = 0;
  block = 0;
  blocks = 0;

  constructor(reads: Reads) {
    this.#reads = reads;
  }

  begin(client: string, message: ReadMessage, seat: Seat): void {
    this.client = client;
    this.#message = message;
    this.#seat = seat;
    this.isSecondTry = false;
    this.gmap = message.gmap;
    this.group = message.group;
    this.vdisk = message.vdisk;
    this.epoch = message.epoch;
    this.block = message.block;
    this.blocks = message.blocks;
    this.data = this.#buffer.subarray(0, message.blocks * BLOCK_BYTES);
  }

  end(): void {
    this.#message = null;
    this.#seat = null;
  }

  get message(): ReadMessage {
    return present(this.#message, 'a read that is not answered has its message');
  }

  get seat(): Seat {
    return present(this.#seat, 'a read that is not answered has its seat');
  }

  get pair(): Pair {
    return this.seat.pair;
  }

  locked(): void {
    this.#reads.begin(this);
  }

  storeDone(status: StoreStatus, damaged: number): void {
    this.#reads.done(this, status, damaged);
  }
}

export class Reads {
  readonly #parts: ReadParts;
  readonly #spare: Read[] = [];

  constructor(parts: ReadParts) {
    this.#parts = parts;
  }

  take(client: string, message: ReadMessage, seat: Seat): void {
    const read = this.#spare.pop() ?? new Read(this);
    read.begin(client, message, seat);
    this.#take(read);
  }

  #take(read: Read): void {
    // A secondary refuses at once what its primary is changing: nobody has to wait for that here.
    const refusal = this.#refusal(read);
    if (refusal !== null) return this.#refuse(read, refusal);
    if (this.#parts.locks.acquire(read)) this.begin(read);
  }

  begin(read: Read): void {
    const refusal = this.#refusal(read);
    if (refusal === null) return this.#parts.store.read(read);
    this.#parts.locks.release(read);
    this.#refuse(read, refusal);
  }

  done(read: Read, status: StoreStatus, damaged: number): void {
    const { world, store, locks, answer, plantedBug } = this.#parts;
    const { client, message, pair, data, gmap, group, vdisk, epoch, block } = read;
    // It may have been told meanwhile that it is out, or its lease may have ended.
    const refusal = this.#refusal(read);
    const crcs: number[] = [];
    let version = 0;
    for (let at = 0; at < read.blocks; at++) {
      const facts = store.facts({ gmap, group, vdisk, epoch, block: block + at });
      const isSummed = plantedBug === 'no-crc';
      const from = at * BLOCK_BYTES;
      crcs.push(isSummed ? world.digest.crc32(data, from, BLOCK_BYTES) : facts.crc);
      version = facts.conditionalVersion;
    }
    locks.release(read);
    if (refusal !== null) return this.#refuse(read, refusal);
    const isWhole = status === StoreStatus.ok || plantedBug === 'no-crc';
    if (!isWhole) return this.#damaged(read, damaged);
    answer(client, message.id, pair, { status: PetalStatus.ok, version, crcs, data });
    this.#ended(read);
  }

  #damaged(read: Read, damaged: number): void {
    if (read.isSecondTry) return this.#refuse(read, PetalStatus.ioError);
    read.isSecondTry = true;
    const { heal, failed } = this.#parts;
    const { seat, vdisk, epoch, block } = read;
    const healing: Promise<unknown>[] = [];
    for (let at = 0; at < read.blocks; at++) {
      if ((damaged & (1 << at)) !== 0)
        healing.push(heal(seat, { vdisk, epoch, block: block + at }));
    }
    Promise.all(healing)
      .then(() => this.#take(read))
      .catch(failed);
  }

  /** Why this server may not answer now; null: it may. */
  #refusal({ seat, gmap, group, vdisk, epoch, block, blocks }: Read): PetalStatus | null {
    const { world, store } = this.#parts;
    const { pair, mutations } = seat;
    const nowNs = world.clock.nowNs();
    const { role } = pair;
    if (role === 'outside') return PetalStatus.notHere;
    if (!pair.hasLease(nowNs)) return PetalStatus.noLease;
    if (role === 'primary' && mutations.isOpen && !pair.holdsBack(nowNs)) return null;
    for (let at = 0; at < blocks; at++) {
      if (store.facts({ gmap, group, vdisk, epoch, block: block + at }).dirty) {
        return PetalStatus.dirty;
      }
    }
    return null;
  }

  #refuse(read: Read, status: PetalStatus): void {
    const { client, message, pair } = read;
    const nothing = { version: 0, crcs: NO_CRCS, data: NO_DATA };
    this.#parts.answer(client, message.id, pair, { status, ...nothing });
    this.#ended(read);
  }

  /** It is answered, and its data are copied. */
  #ended(read: Read): void {
    read.end();
    if (this.#spare.length < SPARE_READS) this.#spare.push(read);
  }
}
