/** What a clean slab is made of, how it is tuned, and what it tells of itself. */
import type { Disk, World } from '../../world/world.ts';
import type { Arena } from '../arena.ts';
import type { EvictionKind } from './eviction.ts';

export interface SlabParts {
  readonly world: World;
  /** Its size decides how many slots there are; the slab closes it. */
  readonly disk: Disk;
  /** One block for the table, one for each write in flight. */
  readonly arena: Arena;
  /** 16 bytes: which store the blocks are of. */
  readonly store: Uint8Array;
  /** A story of the slab threw: a bug. */
  readonly failed: (thrown: unknown) => void;
}

export interface SlabOptions {
  readonly policy: EvictionKind;
  /** Links, as a share of the slots. */
  readonly linkShare: number;
  /** From a first change to the checkpoint that holds it. */
  readonly checkpointNs: number;
  readonly readNowPerStep: number;
  readonly slowReadNs: number;
  readonly readsInFlight: number;
}

export const DEFAULT_SLAB: SlabOptions = {
  policy: 's3-fifo',
  linkShare: 1,
  checkpointNs: 10e9,
  readNowPerStep: 16,
  slowReadNs: 200_000,
  readsInFlight: 64,
};

export interface SlabStats {
  readonly slots: number;
  readonly used: number;
  readonly links: number;
  /** Lookups that found a slot. */
  readonly hits: number;
  /** Lookups that found the pool block only. */
  readonly mapped: number;
  readonly misses: number;
  readonly inserted: number;
  /** Inserts that were not done, because too much was going on. */
  readonly dropped: number;
  readonly evicted: number;
  /** Reads whose CRC was wrong, and blocks whose slot had another CRC than the tree. */
  readonly mismatched: number;
  readonly retired: number;
  readonly damagedTableBlocks: number;
  readonly damagedSuperblocks: number;
  readonly tableBlocksWritten: number;
  /** Why the slab is off; null while it is on. */
  readonly disabled: string | null;
  readonly indexBytes: number;
}
