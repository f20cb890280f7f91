/** Pool and disk operations as promises, for stories: an object each, never on the data path. */
import type { BlockPool, PoolBlock, PoolStatus } from '../../world/block-pool.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { Disk, DiskStatus } from '../../world/world.ts';

export function poolCall(
  pool: BlockPool,
  op: 'read' | 'write' | 'trim',
  block: PoolBlock,
  buffer: Uint8Array,
): Promise<PoolStatus> {
  return new Promise((poolDone) => {
    const blocks = buffer.length / BLOCK_BYTES;
    pool[op]({ block, blocks, buffer, bufferOffset: 0, poolDone });
  });
}

export function diskCall(
  disk: Disk,
  op: 'read' | 'write' | 'flush',
  position: number,
  buffer: Uint8Array,
): Promise<DiskStatus> {
  return new Promise((diskDone) => {
    disk[op]({ buffer, bufferOffset: 0, lengthBytes: buffer.length, position, diskDone });
  });
}
