/**
 * What a server does for a primary: keeps copies of its mutations, and of blocks that it lacks.
 *
 * A copy is made if it is newer than what is here: a message that comes twice, or late, changes
 * nothing and is answered like the first. Only a repair that is told to replaces what is newer,
 * because that was never acknowledged and the primary's copy is what holds.
 */

import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { ChunkStore, StoreMutation, StoreOp } from '../store/chunk-store.ts';
import { StoreStatus } from '../store/chunk-store.ts';
import {
  type BlockVersion,
  PetalStatus,
  type RepairMessage,
  type ReplicateMessage,
} from '../wire/messages.ts';
import type { BlockLocks, LockOwner } from './block-locks.ts';
import { storeOpOf } from './story-blocks.ts';

const NO_DATA = new Uint8Array(0);

export type CopyDone = (status: PetalStatus) => void;

/** One mutation of the own store on behalf of a primary. */
class Copy implements StoreMutation, LockOwner {
  readonly #copies: Copies;
  readonly #force: boolean;
  readonly #done: CopyDone;
  readonly gmap: number;
  readonly group: number;
  readonly vdisk: number;
  readonly epoch: number;
  readonly block: number;
  readonly blocks: number;
  readonly session: StoreMutation['session'];
  readonly seq: number;
  readonly term: StoreMutation['term'];
  readonly n: number;
  readonly op: StoreOp;
  readonly crcs: readonly number[];
  readonly conditionalVersion: number;
  readonly missing = 0;
  readonly dirty: boolean;
  readonly data: Uint8Array;

  constructor(copies: Copies, what: CopyOf, data: Uint8Array, done: CopyDone) {
    this.#copies = copies;
    this.#force = what.force;
    this.#done = done;
    this.gmap = what.gmap;
    this.group = what.group;
    this.vdisk = what.vdisk;
    this.epoch = what.epoch;
    this.block = what.block;
    this.blocks = what.blocks;
    this.session = what.session;
    this.seq = what.seq;
    this.term = what.version.term;
    this.n = what.version.n;
    this.op = what.op;
    this.crcs = what.crcs;
    this.conditionalVersion = what.conditionalVersion;
    this.dirty = what.dirty;
    this.data = data;
  }

  locked(): void {
    this.#copies.begin(this, this.#force);
  }

  storeDone(status: StoreStatus): void {
    this.end(petalStatusOf(status));
  }

  end(status: PetalStatus): void {
    this.#copies.release(this);
    this.#done(status);
  }
}

interface CopyOf extends Omit<ReplicateMessage, 'kind' | 'id' | 'committed' | 'op'> {
  readonly op: StoreOp;
  readonly force: boolean;
  readonly dirty: boolean;
}

export class Copies {
  readonly #store: ChunkStore;
  readonly #locks: BlockLocks;
  /** Of a mutation that not all others are known to have. */
  readonly #isDirty: boolean;

  constructor(store: ChunkStore, locks: BlockLocks, isDirty: boolean) {
    this.#store = store;
    this.#locks = locks;
    this.#isDirty = isDirty;
  }

  replicate(message: ReplicateMessage, data: Uint8Array, done: CopyDone): void {
    this.#take(new Copy(this, { ...message, force: false, dirty: this.#isDirty }, data, done));
  }

  /** Makes every block of a repair; done when all are, with the worst that happened. */
  repair(message: RepairMessage, data: Uint8Array, done: CopyDone): void {
    let left = message.blocks.length;
    let worst: PetalStatus = PetalStatus.ok;
    const ended: CopyDone = (status) => {
      if (status !== PetalStatus.ok) worst = status;
      if (--left === 0) done(worst);
    };
    let at = 0;
    for (const one of message.blocks) {
      const bytes = one.hasData ? data.subarray(at, at + BLOCK_BYTES) : NO_DATA;
      at += bytes.length;
      const op = storeOpOf(one);
      const { gmap, group, term, vdisk, epoch } = message;
      const { block, version, session, seq, conditionalVersion, force } = one;
      const place = { gmap, group, term, vdisk, epoch, block, blocks: 1 };
      const crcs = one.hasData ? [one.crc] : [];
      const what = { ...place, version, session, seq, conditionalVersion, op, crcs };
      this.#take(new Copy(this, { ...what, force, dirty: false }, bytes, ended));
    }
    if (message.blocks.length === 0) done(PetalStatus.ok);
  }

  begin(copy: Copy, force: boolean): void {
    if (!force && this.#hasAll(copy)) return copy.end(PetalStatus.ok);
    this.#store.mutate(copy);
  }

  release(copy: Copy): void {
    this.#locks.release(copy);
  }

  #take(copy: Copy): void {
    if (this.#locks.acquire(copy)) copy.locked();
  }

  /** Every block is as new as the copy is, or newer. */
  #hasAll(copy: Copy): boolean {
    const { gmap, group, vdisk, epoch, block, blocks } = copy;
    for (let at = 0; at < blocks; at++) {
      const facts = this.#store.facts({ gmap, group, vdisk, epoch, block: block + at });
      if (isNewer(copy, facts.version)) return false;
    }
    return true;
  }
}

export function isNewer(one: BlockVersion, other: BlockVersion): boolean {
  return one.term > other.term || (one.term === other.term && one.n > other.n);
}

export function petalStatusOf(status: StoreStatus): PetalStatus {
  switch (status) {
    case StoreStatus.ok:
      return PetalStatus.ok;
    case StoreStatus.noSpace:
      return PetalStatus.noSpace;
    case StoreStatus.ioError:
      return PetalStatus.ioError;
  }
}
