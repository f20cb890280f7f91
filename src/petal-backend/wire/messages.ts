/**
 * What clients and servers of a Petal pool say to each other, as our own records. How they become
 * bytes is `codec.ts`'s affair; everything else knows these alone.
 *
 * ```
 * client -> primary     write, trim, writeIf        primary -> client   reply
 * client -> either      read                        server  -> client   reply, data behind it
 * primary -> in sync    replicate                   secondary -> primary  replicated
 * returning -> survivor rejoin                      survivor -> returning  repair, then inSync
 * anyone -> anyone      hello, first on every link; probe, to learn what a peer knows of a pair
 * ```
 * Data lies behind the header as it is (`payload` of `Frame`), never inside it. Every message about
 * data names its pair and the term its sender goes by; those of clients also session, fence and the
 * version of the map they were routed by. Whoever receives one checks all of them before anything
 * else; a number that is lower than what the receiver knows is refused, and told.
 *
 * Blocks are 4 KiB and named by their number in their virtual disk. No message spans chunks (16
 * blocks, 64 KiB).
 */
import type { Fence, MapVersion, Session, Term } from '../../base/units.ts';

export const CHUNK_BLOCKS = 16;
export const PETAL_PROTOCOL = 1;

export const PetalStatus = {
  ok: 0,
  /** No copy here can be read, or nothing can be written here. */
  ioError: -5,
  noSpace: -28,
  /** The sender's session is fenced. */
  fenced: -116,
  /** The receiver knows a higher term of the pair; it is in `term`. */
  wrongTerm: -1001,
  /** The receiver may not do this for the pair: not its primary, not in sync, or not a member. */
  notHere: -1002,
  /** The receiver's view of the pair is too old to answer by: try another copy, or again. */
  noLease: -1003,
  /** The block is being written: its primary knows what it holds. */
  dirty: -1004,
  /** The map the sender routed by is not the receiver's. */
  staleMap: -1005,
  /** `writeIf`: the block has another version, which is in `version`. Nothing was written. */
  otherVersion: -1006,
  /** Too much is in flight: later. */
  busy: -1007,
} as const;
export type PetalStatus = (typeof PetalStatus)[keyof typeof PetalStatus];

/** Order of the writes of one block: by term, then by number in it. {0, 0}: never written. */
export interface BlockVersion {
  readonly term: Term;
  /** 48 bit; given by the primary, never twice in a term of a pair. */
  readonly n: number;
}

/**
 * A write of a client, by which a second arrival of it is known. Each block keeps the origin of its
 * newest write: a client has one write of a block in flight, and an older session is fenced, so
 * whatever comes from the same session with that number or a lower one has been done already.
 */
export interface Origin {
  readonly session: Session;
  /** 48 bit, from 1, in the order in which the client first sent them. 0: no client's. */
  readonly seq: number;
}

/** Which pair, and under which term the sender believes to act. */
export interface PairTerm {
  /** Global map that the pair is of, and the position of its first member in the map's tuple. */
  readonly gmap: number;
  readonly group: number;
  readonly term: Term;
}

export interface Place {
  readonly vdisk: number;
  readonly epoch: number;
  readonly block: number;
  readonly blocks: number;
}

interface ClientHeader extends PairTerm, Place {
  readonly id: number;
  readonly session: Session;
  readonly fence: Fence;
  readonly mapVersion: MapVersion;
}

export interface HelloMessage {
  readonly kind: 'hello';
  readonly protocol: number;
  /** Of the pool: 16 bytes. */
  readonly pool: Uint8Array;
  /** `s3`, or a host's name. */
  readonly from: string;
  readonly isServer: boolean;
  readonly incarnation: number;
}

/** `conditional`: one block, and the reply carries the version that `writeIf` compares. */
export interface ReadMessage extends ClientHeader {
  readonly kind: 'read';
  readonly conditional: boolean;
}

/** Data of all blocks follows; `crcs`, of each of them. */
export interface WriteMessage extends ClientHeader {
  readonly kind: 'write';
  readonly seq: number;
  readonly crcs: readonly number[];
}

export interface TrimMessage extends ClientHeader {
  readonly kind: 'trim';
  readonly seq: number;
}

/** One block, whose data follows. */
export interface WriteIfMessage extends ClientHeader {
  readonly kind: 'writeIf';
  readonly seq: number;
  readonly expectedVersion: number;
  readonly crcs: readonly number[];
}

/** Answers any of the four; after a read that went well the data follows. */
export interface ReplyMessage {
  readonly kind: 'reply';
  readonly id: number;
  readonly status: PetalStatus;
  /** What the sender knows of the pair, for a client whose map is a hint. */
  readonly term: Term;
  readonly primary: number;
  /** Requests that wait or run at the sender. */
  readonly queue: number;
  /** Of a conditional block. */
  readonly version: number;
  readonly crcs: readonly number[];
}

export const MutationOp = { write: 1, trim: 2, writeIf: 3 } as const;
export type MutationOp = (typeof MutationOp)[keyof typeof MutationOp];

/** A mutation on its way to a copy. Its data follows unless it is a trim. */
export interface ReplicateMessage extends PairTerm, Place, Origin {
  readonly kind: 'replicate';
  readonly id: number;
  readonly op: MutationOp;
  /** Given when the mutation was first taken; its term may be lower than the sender's by now. */
  readonly version: BlockVersion;
  /** Version of a conditional block after it; else 0. */
  readonly conditionalVersion: number;
  readonly crcs: readonly number[];
  /** Everything up to this version is durable on all that are in sync: no longer dirty. */
  readonly committed: BlockVersion;
}

export interface ReplicatedMessage extends PairTerm {
  readonly kind: 'replicated';
  readonly id: number;
  readonly status: PetalStatus;
}

/** "What do you know of this pair?" Also keeps a quiet link alive. */
export interface ProbeMessage extends PairTerm {
  readonly kind: 'probe';
  readonly id: number;
  /** As of the pair's primary; {0, 0} from anybody else. */
  readonly committed: BlockVersion;
  /** The answer is to tell what is dirty at its sender. */
  readonly wantsDirty: boolean;
  /** Only of blocks behind this one, in the order of their numbers; {0, 0, 0}: from the first. */
  readonly after: DirtyBlock;
}

export interface ProbedMessage extends PairTerm {
  readonly kind: 'probed';
  readonly id: number;
  readonly incarnation: number;
  /** Empty unless it was asked for; as many as fit: if that is the most there can be, ask on. */
  readonly dirty: readonly DirtyBlock[];
}

/** A block that the sender wrote without knowing that all others had it. */
export interface DirtyBlock {
  readonly vdisk: number;
  readonly epoch: number;
  readonly block: number;
}

/** A server that is not in sync asks the primary to bring it up to date. */
export interface RejoinMessage extends PairTerm {
  readonly kind: 'rejoin';
  readonly id: number;
  readonly incarnation: number;
  /** Last term in which it was in sync with all its data; 0: it has nothing to build upon. */
  readonly lastTerm: Term;
}

/**
 * Blocks as the primary has them, for a copy that is behind. `force`: they replace what is there
 * whatever its version, for it was never acknowledged; else only what is older. Data follows, but
 * of blocks that are trimmed or were never written.
 */
export interface RepairMessage extends PairTerm {
  readonly kind: 'repair';
  readonly id: number;
  readonly vdisk: number;
  readonly epoch: number;
  readonly blocks: readonly RepairBlock[];
}

export interface RepairBlock extends Origin {
  readonly block: number;
  readonly version: BlockVersion;
  readonly conditionalVersion: number;
  readonly crc: number;
  /** Its data follows, in the order of the blocks. */
  readonly hasData: boolean;
  readonly force: boolean;
  /** The sender is in sync, but has lost its data: an error until the block is written again. */
  readonly isLost: boolean;
}

/** "What is this block at you?" Asked by who has lost its data. */
export interface FetchMessage extends PairTerm, DirtyBlock {
  readonly kind: 'fetch';
  readonly id: number;
}

/** Of a success one block, as it is at the sender, and its data if it has any. */
export interface FetchedMessage extends PairTerm {
  readonly kind: 'fetched';
  readonly id: number;
  readonly status: PetalStatus;
  readonly blocks: readonly RepairBlock[];
}

/** Answers `rejoin` (refused) and `repair`. */
export interface RepairedMessage extends PairTerm {
  readonly kind: 'repaired';
  readonly id: number;
  readonly status: PetalStatus;
}

export type PetalMessage =
  | HelloMessage
  | ReadMessage
  | WriteMessage
  | TrimMessage
  | WriteIfMessage
  | ReplyMessage
  | ReplicateMessage
  | ReplicatedMessage
  | ProbeMessage
  | ProbedMessage
  | RejoinMessage
  | RepairMessage
  | RepairedMessage
  | FetchMessage
  | FetchedMessage;

/** A message and the data behind it. `payload` is the receiver's own; empty if there is none. */
export interface Frame {
  readonly message: PetalMessage;
  readonly payload: Uint8Array;
}
