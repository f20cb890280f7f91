/** Reads of the pool as promises, into a part of a buffer. */
import type { BlockPool, PoolStatus } from '../../world/block-pool.ts';

export function readPool(
  pool: BlockPool,
  block: number,
  buffer: Uint8Array,
  bufferOffset: number,
  blocks: number,
): Promise<PoolStatus> {
  return new Promise((poolDone) => {
    pool.read({ block, blocks, buffer, bufferOffset, poolDone });
  });
}
