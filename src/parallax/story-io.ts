/** Pool operations as promises, for stories: an object each, never on the data path. */
import type { BlockPool, PoolBlock, PoolStatus } from '../world/block-pool.ts';
import { BLOCK_BYTES } from '../world/block-pool.ts';

/** Settles with the outcome of one operation on whole blocks; by default all that fill `buffer`. */
export function poolCall(
  pool: BlockPool,
  op: 'read' | 'write' | 'trim',
  block: PoolBlock,
  buffer: Uint8Array,
  bufferOffset = 0,
  blocks: number = buffer.length / BLOCK_BYTES,
): Promise<PoolStatus> {
  return new Promise((poolDone) => {
    pool[op]({ block, blocks, buffer, bufferOffset, poolDone });
  });
}
