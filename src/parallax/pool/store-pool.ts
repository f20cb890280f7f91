/**
 * The pool of a store, as Parallax is given it: opened, for one attachment or for nobody's.
 *
 * Parallax knows a pool as a `BlockPool` only. Which pool a store has, and how it is reached, is
 * known to whoever starts Parallax: a file beside a directory (`embedded-store.ts`), or a virtual
 * disk of Petal, whose servers take the session and the fence of the attachment for what they are.
 */
import type { BlockPool } from '../../world/block-pool.ts';
import type { Superblock } from '../formats/superblock.ts';
import type { FenceGuard } from './attach.ts';

export interface OpenedPool {
  /** Closed by whoever has opened it. */
  readonly pool: BlockPool;
  readonly superblock: Superblock;
}

/** Opens the pool of a store for the attachment that the guard watches over. */
export type PoolOpener = (guard: FenceGuard) => Promise<OpenedPool>;
