/**
 * A mutation on its way through the log, as a pooled record. One of a guest has a request behind
 * it; one of the disk's own (a snapshot, a flush that ends an epoch, a change of policy) has a
 * story that waits for it.
 */
import type { DeviceRequest } from '../../world/block-device.ts';
import { MutationKind } from '../formats/log-group.ts';
import type { LogStatus, Mutation } from '../log/mutation.ts';
import type { BatchMark } from './batches.ts';

export interface MutationOwner {
  logged(record: MutationRecord, status: LogStatus): void;
}

export class MutationRecord implements Mutation {
  kind: MutationKind = MutationKind.write;
  vdi = 0;
  generation = 0;
  vdiSeq = 0;
  frontId = 0;
  frontSeq = 0;
  partOffset = 0;
  unitSectors = 0;
  writeIndex = 0;
  lba = 0;
  sectors = 0;
  address = 0;
  detail = 0;
  needsSync = false;
  segment = 0;
  offset = 0;
  readonly pieceCrcs: Uint32Array;
  /** null: it is one of the disk's own. */
  request: DeviceRequest | null = null;
  /** What one of the disk's own decides. */
  mark: BatchMark | null = null;
  /** Told its number, or 0 if it was not kept, if it is one of the disk's own. */
  settled: ((vdiSeq: number) => void) | null = null;
  readonly #owner: MutationOwner;

  /** `maxPieces`: blocks that a mutation may have a part of. */
  constructor(owner: MutationOwner, maxPieces: number) {
    this.#owner = owner;
    this.pieceCrcs = new Uint32Array(maxPieces);
  }

  logged(status: LogStatus): void {
    this.#owner.logged(this, status);
  }

  /** Before it goes back to the pool: it must not keep anything alive. */
  clear(): void {
    this.vdiSeq = 0;
    this.request = null;
    this.mark = null;
    this.settled = null;
  }
}
