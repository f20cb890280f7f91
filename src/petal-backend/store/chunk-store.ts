/**
 * What a Petal server keeps on its own disks: blocks of virtual disks with their versions, which of
 * them are dirty, and which of them its peers lack.
 *
 * The store is local and knows no protocol: it keeps what it is told, durably, and tells it again
 * after any crash. Mutations are completions; all of them are durable (logged and synced, group
 * commit) when they are done, and atomic: after a crash a mutation is there with all that it says
 * or not at all, and whatever was done is there. Reads give the newest mutation that was *begun*
 * before them and has been done; a read of a block with a mutation in flight is the caller's
 * mistake.
 */
import type { Term } from '../../base/units.ts';
import type { BlockVersion, DirtyBlock, Origin } from '../wire/messages.ts';

/** A place: blocks of one chunk of a virtual disk, in one epoch. */
export interface StorePlace {
  readonly gmap: number;
  readonly group: number;
  readonly vdisk: number;
  readonly epoch: number;
  readonly block: number;
  readonly blocks: number;
}

export const StoreStatus = {
  ok: 0,
  /** The disk does not give it, or it is not what its CRC says: `damaged` holds which blocks. */
  ioError: -5,
  noSpace: -28,
} as const;
export type StoreStatus = (typeof StoreStatus)[keyof typeof StoreStatus];

/**
 * Those of the wire (`MutationOp`), and `lose`: the block has this version, and its data are
 * nowhere. It is damaged until it is written.
 */
export const StoreOp = {
  write: 1,
  trim: 2,
  writeIf: 3,
  lose: 7,
} as const;
export type StoreOp = (typeof StoreOp)[keyof typeof StoreOp];

/** Borrowed by the store from the call to `storeDone`, which comes once, never inside the call. */
export interface StoreMutation extends StorePlace, Origin, BlockVersion {
  readonly op: StoreOp;
  /**
   * Of every block, of kind write and writeIf. The store compares them with the data and refuses
   * (`ioError`) what does not hold.
   */
  readonly crcs: readonly number[];
  /** Of kind writeIf, or lose: version of the block from now on. */
  readonly conditionalVersion: number;
  /** Members of the pair (bit = place among its members) that will not have it. */
  readonly missing: number;
  /** Others may not have it yet: it is dirty until `commit`. */
  readonly dirty: boolean;
  /** Data of all blocks; empty for a trim, or what is lost. */
  readonly data: Uint8Array;
  storeDone(status: StoreStatus): void;
}

/**
 * What is known of one block without reading it, as a read of the place's epoch would see it: of
 * the newest epoch up to that one in which it was mutated.
 */
export interface BlockFacts {
  readonly version: BlockVersion;
  readonly conditionalVersion: number;
  readonly crc: number;
  /** Of the newest write; {0, 0} if it was no client's. */
  readonly origin: Origin;
  /** False: it was trimmed or never written, and reads as zeros. */
  readonly hasData: boolean;
  /** It was written, and its data are nowhere. */
  readonly isLost: boolean;
  readonly dirty: boolean;
  /** Members that are marked as lacking it (bit = place among its pair's members). */
  readonly missing: number;
}

/** A block of which this server's data are not what was written. */
export interface DamagedBlock extends DirtyBlock {
  readonly gmap: number;
  readonly group: number;
}

export interface ScrubStep {
  readonly damaged: readonly DamagedBlock[];
  /** Chunks that were read. */
  readonly chunks: number;
  /** All chunks have been looked at since the last step that said so. */
  readonly isRoundDone: boolean;
}

export interface StoreRead extends StorePlace {
  /** Filled with the blocks; `blocks * 4096` bytes. */
  readonly data: Uint8Array;
  /** `damaged`: bit n is set if block n of the place cannot be read or is not what was written. */
  storeDone(status: StoreStatus, damaged: number): void;
}

/** What a pair's record of its own says, beside the directory's: durable with `setPair`. */
export interface PairNote {
  /** Last term in which this server was in sync with all its data. 0: never. */
  readonly lastTerm: Term;
  /** For each member: since which term its missing blocks are marked; 0: they are not. */
  readonly markedSince: readonly Term[];
}

export interface ChunkStore {
  /** Raised, and durable, before `open` settled. Never 0. */
  readonly incarnation: number;
  /**
   * False: the log or a part of the disk was lost, or everything is new; nothing here may be
   * believed complete. `open` has set all pair notes to 0 then, durably, so that a later start,
   * which finds everything whole, has nothing to build upon either.
   */
  readonly intact: boolean;
  /** What was lost or damaged, as sentences; empty if intact. */
  readonly losses: readonly string[];
  /** Whether there is room for data of that place; `mutate` may find none all the same. */
  hasRoom(place: StorePlace): boolean;
  mutate(mutation: StoreMutation): void;
  read(read: StoreRead): void;
  facts(place: Omit<StorePlace, 'blocks'>): BlockFacts;
  /** Everything dirty of the pair with a version up to this is so no more. Lazily durable. */
  commit(gmap: number, group: number, through: BlockVersion): void;
  /** Blocks that are dirty, in any order. */
  dirtyBlocks(gmap: number, group: number): readonly DirtyBlock[];
  /** Everything of the pair of which something is known, in any order. */
  blocksOf(gmap: number, group: number): readonly DirtyBlock[];
  /** The member has these blocks as they are here, at this version. Lazily durable. */
  arrived(member: number, place: StorePlace, version: BlockVersion): void;
  /** Some blocks that the member lacks, at most `limit`; none: it lacks nothing that is marked. */
  missingOf(gmap: number, group: number, member: number, limit: number): readonly DirtyBlock[];
  /** Marks these blocks as missing at the member. Durable when it settles. */
  mark(gmap: number, group: number, member: number, blocks: readonly DirtyBlock[]): Promise<void>;
  /** Marks all that there is of the pair as missing at the member. Durable when it settles. */
  markAll(gmap: number, group: number, member: number): Promise<void>;
  pairNote(gmap: number, group: number): PairNote;
  setPair(gmap: number, group: number, note: PairNote): Promise<void>;
  /**
   * Highest n of the pair in this term that was ever mutated; 0: none. Known of the eight highest
   * terms; of a lower one it is 2^48 - 1: no number may be given in it any more.
   */
  lastN(gmap: number, group: number, term: Term): number;
  /**
   * Gives back the space of whole chunks that hold nothing. What is known of their blocks stays (1
   * % of the space), for a late duplicate of an older write must still be known as one.
   */
  decommit(): void;
  /** Reads up to `limit` chunks, going on where it ended, and says what is not what was written. */
  scrub(limit: number): Promise<ScrubStep>;
  statistics(): StoreStatistics;
  /** `isFull`: of everything there is, else of a part of it, another one each time. */
  checkInvariants(isFull?: boolean): void;
  /**
   * Ends when all is in its place, or a disk fails. What waits is done before; what is asked for
   * from now on is neither done nor answered, for who asks belongs to a life that ends.
   */
  close(): Promise<void>;
}

export interface StoreStatistics {
  readonly chunks: number;
  readonly usedBytes: number;
  readonly freeBytes: number;
  readonly logBytes: number;
  readonly dirty: number;
  /** Blocks that any member lacks. */
  readonly missing: number;
}
