/** A disk operation that a story waits for. Not for the data path: it allocates. */
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { DiskIo, DiskStatus } from '../../world/world.ts';

/** Submits one operation on whole blocks, and settles with its outcome. */
export function diskOperation(
  submit: (io: DiskIo) => void,
  buffer: Uint8Array,
  bufferOffset: number,
  firstBlock: number,
  blocks: number,
): Promise<DiskStatus> {
  return new Promise((resolve) => {
    submit({
      buffer,
      bufferOffset,
      lengthBytes: blocks * BLOCK_BYTES,
      position: firstBlock * BLOCK_BYTES,
      diskDone: resolve,
    });
  });
}
