/**
 * The pool: 4 KiB blocks that outlive every host, as Parallax sees them.
 *
 * A pool is one volume, shared by the hosts of a store. A block is named by its number and is
 * written as a whole. An acknowledged write is durable on every copy that is in sync, and a block
 * is linearizable by itself; between blocks there is no order but that of acknowledgements. Nobody
 * may have two writes of one block in flight.
 *
 * Extents are 64 MiB. Blocks of extent 0 are *conditional*: they are written by `writeIf` alone,
 * which compares their version, so that of two writers who read the same version one loses. All
 * other blocks are plain. A file in the embedded pool and Petal's virtual disk both are pools, and
 * pass one conformance suite.
 */
export const BLOCK_BYTES = 4096;
export const EXTENT_BLOCKS = 16_384;
/** Number of a block; 48 bits. 0 is conditional, so as a child of a tree node it means "none". */
export type PoolBlock = number;

export const PoolStatus = {
  ok: 0,
  /** No copy of the block can be read, or it could not be kept. Never older data. */
  ioError: -5,
  noSpace: -28,
  /** This attachment was fenced: another one of the same host, or an operator, has taken over. */
  fenced: -116,
} as const;
export type PoolStatus = (typeof PoolStatus)[keyof typeof PoolStatus];

/**
 * One operation. Owned and reused by the caller; the pool borrows it, and the bytes it names, from
 * the call until `poolDone`, which it calls exactly once, never inside the call.
 */
export interface PoolIo {
  /** First block; all of them are plain, inside the pool and contiguous. */
  block: PoolBlock;
  blocks: number;
  buffer: Uint8Array;
  /** Offset of the data in `buffer`, bytes. Not used by trim. */
  bufferOffset: number;
  poolDone(status: PoolStatus): void;
}

export interface ConditionalBlock {
  /** 0: it was never written, and is all zeros. */
  readonly version: number;
  /** `BLOCK_BYTES`, the caller's own. */
  readonly data: Uint8Array;
}

export interface WriteIfResult {
  /** False: the block has another version, which is told; nothing was written. */
  readonly written: boolean;
  readonly version: number;
}

export interface BlockPool {
  /** Blocks it may hold, extent 0 included. */
  readonly sizeBlocks: number;
  read(io: PoolIo): void;
  /** Durable when done. What a block that is being written holds is undefined until then. */
  write(io: PoolIo): void;
  /** A hint that nobody needs these blocks: what they hold is undefined until rewritten. */
  trim(io: PoolIo): void;
  readConditional(block: PoolBlock): Promise<ConditionalBlock>;
  /**
   * Writes a conditional block if it still has `expectedVersion`, in one step against all others
   * who do. Rejects with a `StorageError` when it cannot be decided: then it may have been written.
   */
  writeIf(block: PoolBlock, expectedVersion: number, data: Uint8Array): Promise<WriteIfResult>;
  /** Settles when nothing is in flight. */
  close(): Promise<void>;
  /** What was asked is answered, under way or waiting. Between events. */
  checkInvariants(): void;
}
