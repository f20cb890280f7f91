/** What the images of a driver VM share: pool, log, caches, memory. */
import type { BlockPool } from '../../world/block-pool.ts';
import type { PlantedBug } from '../../world/faults.ts';
import type { World } from '../../world/world.ts';
import type { CleanSlab } from '../cache/clean-slab.ts';
import type { MemoryCache } from '../cache/memory-cache.ts';
import type { DirtyLog } from '../log/dirty-log.ts';
import type { UpdateParts } from '../tree/update-tree.ts';
import type { BaseReader } from './base-reader.ts';
import type { BlockWriter } from './block-writer.ts';
import type { PayloadMemory } from './payload-memory.ts';
import type { PieceReader } from './piece-reader.ts';
import type { PublishTurn } from './publish-turn.ts';
import type { ReadPath } from './read-path.ts';
import type { RunLog } from './run-log.ts';
import type { ParallaxSizes } from './sizes.ts';

export interface ServingParts {
  readonly world: World;
  readonly sizes: ParallaxSizes;
  readonly pool: BlockPool;
  readonly log: DirtyLog;
  readonly cache: MemoryCache;
  readonly slab: CleanSlab;
  readonly reads: ReadPath;
  readonly payloads: PayloadMemory;
  readonly pieces: PieceReader;
  readonly runLog: RunLog;
  readonly base: BaseReader;
  readonly writer: BlockWriter;
  readonly tree: Omit<UpdateParts, 'superseded'>;
  /** One image publishes at a time: the writers and their memory are shared. */
  readonly turn: PublishTurn;
  readonly plantedBug: PlantedBug;
  /** An image has given memory back that others may wait for. */
  readonly roomMade: () => void;
  /** The log has no room: every image may be what holds its segments. */
  readonly logFull: () => void;
  readonly together: (answer: () => void) => void;
  /** A story failed: a bug. */
  readonly failed: (thrown: unknown) => void;
  /** A block or node is named by its image no more; `shared`: a snapshot has it. */
  readonly superseded: (block: number, shared: boolean) => void;
  /** Keeps the name of a snapshot for as long as only its number is in the log. */
  readonly nameSnapshot: (vdi: number, id: number, name: string) => Promise<void>;
}
