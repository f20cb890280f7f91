/** Single blocks in stories: locked, read and changed by promises. Never for a client's data. */
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import {
  type BlockFacts,
  type ChunkStore,
  type StoreMutation,
  StoreOp,
  type StorePlace,
  StoreStatus,
} from '../store/chunk-store.ts';
import type { DirtyBlock, RepairBlock } from '../wire/messages.ts';
import type { BlockLocks, LockOwner } from './block-locks.ts';

const NO_CRCS: readonly number[] = [];

/** A lock of a story on one block. */
export class HeldBlock implements LockOwner {
  readonly vdisk: number;
  readonly block: number;
  readonly blocks = 1;
  readonly #locks: BlockLocks;
  #settle: () => void = () => undefined;

  constructor(locks: BlockLocks, { vdisk, block }: Pick<DirtyBlock, 'vdisk' | 'block'>) {
    this.#locks = locks;
    this.vdisk = vdisk;
    this.block = block;
  }

  async acquire(): Promise<void> {
    const isHeld = new Promise<void>((resolve) => {
      this.#settle = resolve;
    });
    if (!this.#locks.acquire(this)) await isHeld;
  }

  locked(): void {
    this.#settle();
  }

  release(): void {
    this.#locks.release(this);
  }
}

/** What the store has of a locked block; null: what it has is damaged. */
export function readBlock(store: ChunkStore, place: StorePlace): Promise<Uint8Array | null> {
  const data = new Uint8Array(BLOCK_BYTES);
  return new Promise((resolve) => {
    const storeDone = (status: StoreStatus): void => {
      resolve(status === StoreStatus.ok ? data : null);
    };
    store.read({ ...place, data, storeDone });
  });
}

/** Makes a locked block what another server says that it is. */
export function putBlock(
  store: ChunkStore,
  place: StorePlace,
  block: RepairBlock,
  data: Uint8Array,
  marks: { readonly dirty: boolean; readonly missing: number },
): Promise<StoreStatus> {
  const { version, session, seq, conditionalVersion } = block;
  const crcs = block.hasData ? [block.crc] : NO_CRCS;
  const origin = { session, seq, conditionalVersion, ...version };
  return new Promise((resolve) => {
    const mutation: StoreMutation = {
      ...place,
      ...origin,
      ...marks,
      op: storeOpOf(block),
      crcs,
      data,
      storeDone: resolve,
    };
    store.mutate(mutation);
  });
}

export function storeOpOf({ hasData, isLost, conditionalVersion }: RepairBlock): StoreOp {
  if (isLost) return StoreOp.lose;
  if (!hasData) return StoreOp.trim;
  return conditionalVersion > 0 ? StoreOp.writeIf : StoreOp.write;
}

/** A block as it is here, for another server. */
export function repairBlockOf(
  block: number,
  { version, conditionalVersion, crc, hasData, isLost, origin }: BlockFacts,
): RepairBlock {
  const { session, seq } = origin;
  const force = false;
  return { block, version, conditionalVersion, crc, hasData, isLost, force, session, seq };
}

export function nameOf({ vdisk, epoch, block }: DirtyBlock): string {
  return `${vdisk}/${epoch}/${block}`;
}
