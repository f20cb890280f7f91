/**
 * The primary's way of a mutation: from a client's message to its acknowledgement.
 *
 * ```
 * lock       its blocks: mutations of a block come one after the other
 * known?     the newest write of each block is this one, or a later one of the same session: done,
 *            and told when nobody can show what was before
 * compare    writeIf: the version that the client expects, or another one is told
 * room       the own store has room for it, or the client is told that there is none
 * number     {term, n}; from here on it may have happened, whatever becomes of this server
 * copy       to the own store and to every server in sync, at the same time
 * commit     all of them have it, durably, and nobody who was dropped can show what was before
 * answer     and the locks are given back
 * ```
 * When the term changes meanwhile: if this server is still the primary, who was dropped is waited
 * for no more, but the block is marked as missing there, durably, before the answer; and who has
 * come in is waited for too. If it is the primary no longer, clients are sent away: their mutation
 * happened or not, and the next primary knows by its origin if it did.
 */
import { invariant } from '../../base/invariant.ts';
import type { Term } from '../../base/units.ts';
import type { World } from '../../world/world.ts';
import { type ChunkStore, type StoreMutation, StoreStatus } from '../store/chunk-store.ts';
import {
  type BlockVersion,
  MutationOp,
  type Origin,
  PetalStatus,
  type ReplicateMessage,
  type TrimMessage,
  type WriteIfMessage,
  type WriteMessage,
} from '../wire/messages.ts';
import type { BlockLocks, LockOwner } from './block-locks.ts';
import type { Pair } from './pair.ts';
import { type PeerNet, type PetalBug, type ServerOptions, serverName } from './ports.ts';

export type MutationMessage = WriteMessage | TrimMessage | WriteIfMessage;

export interface Answer {
  readonly status: PetalStatus;
  readonly version: number;
}

export interface MutationParts {
  readonly world: World;
  readonly store: ChunkStore;
  readonly net: PeerNet;
  readonly locks: BlockLocks;
  readonly options: ServerOptions;
  readonly answer: (to: string, id: number, pair: Pair, answer: Answer) => void;
  /** Whether it may be made now; null: that has to be asked. */
  readonly access: (message: MutationMessage) => PetalStatus | null;
  /** A copy could not be made: the server's own store (`server` is this one), or a peer's. */
  readonly failed: (pair: Pair, server: number) => void;
}

/** A member that is being brought up to date, and is sent every write meanwhile. */
export interface Joiner {
  readonly server: number;
  /** Its copy is waited for like that of one in sync. */
  required: boolean;
}

const NO_CRCS: readonly number[] = [];

class Mutation implements StoreMutation, LockOwner {
  readonly gmap: number;
  readonly group: number;
  readonly vdisk: number;
  readonly epoch: number;
  readonly block: number;
  readonly blocks: number;
  readonly session: Origin['session'];
  readonly seq: number;
  readonly op: MutationOp;
  readonly crcs: readonly number[];
  readonly data: Uint8Array;
  term: Term = 0 as Term;
  n = 0;
  conditionalVersion = 0;
  missing = 0;
  dirty = false;
  sentNs = 0;
  /** The own store has it, or could not take it: nothing of it is borrowed any more. */
  isOver = false;
  isStored = false;
  isAnswered = false;
  /** Marked as missing at a member that was dropped while it was under way. */
  marking = 0;
  /** Servers that have told that they have it. */
  readonly has: Set<number> = new Set();

  readonly owner: PrimaryMutations;
  readonly client: string;
  readonly message: MutationMessage;

  constructor(owner: PrimaryMutations, client: string, message: MutationMessage, data: Uint8Array) {
    this.owner = owner;
    this.client = client;
    this.message = message;
    this.gmap = message.gmap;
    this.group = message.group;
    this.vdisk = message.vdisk;
    this.epoch = message.epoch;
    this.block = message.block;
    this.blocks = message.blocks;
    this.session = message.session;
    this.seq = message.seq;
    this.data = data;
    const { kind } = message;
    this.op =
      kind === 'trim' ? MutationOp.trim : kind === 'write' ? MutationOp.write : MutationOp.writeIf;
    this.crcs = message.kind === 'trim' ? NO_CRCS : message.crcs;
  }

  get version(): BlockVersion {
    return { term: this.term, n: this.n };
  }

  locked(): void {
    this.owner.beginLate(this);
  }

  storeDone(status: StoreStatus): void {
    this.owner.stored(this, status);
  }
}

export class PrimaryMutations {
  readonly #parts: MutationParts;
  readonly #pair: Pair;
  /** By n, lowest first. */
  readonly #underWay = new Map<number, Mutation>();
  readonly #joiners = new Map<number, Joiner>();
  /** Never goes back, whatever the term: it names what is under way. */
  #nextN = 1;
  #term: Term = 0 as Term;
  #holdTimer = false;

  constructor(parts: MutationParts, pair: Pair) {
    this.#parts = parts;
    this.#pair = pair;
  }

  get underWay(): number {
    return this.#underWay.size;
  }

  /** Everything with a version up to this is on all that are in sync. */
  get committed(): BlockVersion {
    for (const { term, n } of this.#underWay.values()) return { term, n: n - 1 };
    return { term: this.#term, n: this.#nextN - 1 };
  }

  /** This server may begin to take mutations in this term. */
  openTerm(): void {
    const { gmap, group, term } = this.#pair;
    this.#term = term;
    this.#nextN = Math.max(this.#nextN, this.#parts.store.lastN(gmap, group, term) + 1);
  }

  get isOpen(): boolean {
    return this.#term === this.#pair.term && this.#term > 0;
  }

  take(client: string, message: MutationMessage, data: Uint8Array): void {
    const mutation = new Mutation(this, client, message, data);
    if (this.#parts.locks.acquire(mutation)) this.begin(mutation);
  }

  /** It has waited for its blocks, and its session may have been fenced meanwhile. */
  beginLate(mutation: Mutation): void {
    const access = this.#parts.access(mutation.message) ?? PetalStatus.noLease;
    if (access === PetalStatus.ok) this.begin(mutation);
    else this.#end(mutation, access);
  }

  /** It has its blocks. */
  begin(mutation: Mutation): void {
    const { store, world } = this.#parts;
    const pair = this.#pair;
    if (pair.role !== 'primary' || !this.isOpen) return this.#end(mutation, PetalStatus.notHere);
    const nowNs = world.clock.nowNs();
    const known = this.#known(mutation);
    if (known !== null) {
      // Who was dropped may have sent it on and still show what was before.
      if (pair.holdsBack(nowNs)) return this.#end(mutation, PetalStatus.noLease);
      return this.#end(mutation, known.status, known.version);
    }
    if (mutation.message.kind === 'writeIf') {
      const { conditionalVersion } = store.facts(mutation);
      if (conditionalVersion !== mutation.message.expectedVersion) {
        // To tell the version is to read.
        const mayRead = pair.hasLease(nowNs) && !pair.holdsBack(nowNs);
        if (!mayRead) return this.#end(mutation, PetalStatus.noLease);
        return this.#end(mutation, PetalStatus.otherVersion, conditionalVersion);
      }
      mutation.conditionalVersion = conditionalVersion + 1;
    }
    // Refused before it has a number it has surely not happened, and nobody has to step down.
    if (mutation.op !== MutationOp.trim && !store.hasRoom(mutation)) {
      return this.#end(mutation, PetalStatus.noSpace);
    }
    mutation.term = pair.term;
    mutation.n = this.#nextN++;
    mutation.missing = this.#bug === 'no-marks' ? 0 : pair.missingMask;
    mutation.dirty = true;
    this.#underWay.set(mutation.n, mutation);
    world.crashPoint('petal.before-store');
    store.mutate(mutation);
    this.#sendToAll(mutation);
  }

  stored(mutation: Mutation, status: StoreStatus): void {
    this.#parts.world.crashPoint('petal.after-store');
    mutation.isOver = true;
    if (mutation.isAnswered) return this.#parts.locks.release(mutation);
    if (status !== StoreStatus.ok) {
      const failure = status === StoreStatus.noSpace ? PetalStatus.noSpace : PetalStatus.ioError;
      this.#underWay.delete(mutation.n);
      this.#end(mutation, failure);
      // Others may have it: whoever is the primary next decides for all of them.
      this.closeTerm();
      this.#parts.failed(this.#pair, this.#pair.self);
      return;
    }
    mutation.isStored = true;
    // Who had it earlier was marked as lacking it when the own store took it in.
    for (const server of mutation.has) this.#arrived(server, mutation);
    this.#settle(mutation);
  }

  /** A server answers a `replicate` of version n. */
  replicated(server: number, n: number, status: PetalStatus): void {
    const mutation = this.#underWay.get(n);
    if (status !== PetalStatus.ok) {
      if (status === PetalStatus.ioError || status === PetalStatus.noSpace) {
        this.#parts.failed(this.#pair, server);
      }
      return;
    }
    if (mutation === undefined || mutation.has.has(server)) return;
    mutation.has.add(server);
    if (mutation.isStored) this.#arrived(server, mutation);
    this.#settle(mutation);
  }

  /** From now on this member is sent every mutation. */
  addJoiner(server: number): Joiner {
    const joiner = { server, required: false };
    this.#joiners.set(server, joiner);
    for (const mutation of this.#underWay.values()) this.#send(mutation, server);
    return joiner;
  }

  /** Unless a later life of the member has come in its place. */
  removeJoiner(joiner: Joiner): void {
    if (this.#joiners.get(joiner.server) === joiner) this.#joiners.delete(joiner.server);
    for (const mutation of this.#underWay.values()) this.#settle(mutation);
  }

  /**
   * The pair has another term, of which this server is the primary still. `dropped`: members that
   * were in sync before. Settles when what is under way is marked as missing there, durably.
   */
  async termChanged(dropped: readonly number[]): Promise<void> {
    this.#term = this.#pair.term;
    const { store } = this.#parts;
    const { gmap, group } = this.#pair;
    const mutations = [...this.#underWay.values()];
    for (const mutation of mutations) mutation.marking += dropped.length;
    for (const mutation of mutations) this.#sendToAll(mutation);
    for (const server of dropped) {
      const blocks = mutations.flatMap(blocksOf);
      const marked = this.#bug === 'no-marks' ? [] : blocks;
      await store.mark(gmap, group, this.#pair.memberOf(server), marked);
      for (const mutation of mutations) {
        mutation.marking--;
        this.#settle(mutation);
      }
    }
  }

  /**
   * Somebody else is the primary, or this server cannot go on: what is under way may have happened
   * or not.
   */
  closeTerm(): void {
    this.#term = 0 as Term;
    this.#joiners.clear();
    for (const mutation of this.#underWay.values()) {
      this.#underWay.delete(mutation.n);
      this.#end(mutation, PetalStatus.notHere);
    }
  }

  /** Sends again what has been without an answer for too long. */
  resend(beforeNs: number): void {
    for (const mutation of this.#underWay.values()) {
      if (mutation.sentNs > beforeNs) continue;
      if (this.#bug === 'late-change') this.#settle(mutation);
      else this.#sendToAll(mutation);
    }
  }

  /** The time of holding back is over, or nobody has to be waited for any more. */
  readonly settleAll = (): void => {
    this.#holdTimer = false;
    for (const mutation of this.#underWay.values()) this.#settle(mutation);
  };

  /** What the store knows of it already; null: it is new. */
  #known({ gmap, group, vdisk, epoch, block, blocks, session, seq, op }: Mutation): Answer | null {
    if (this.#bug === 'no-origin') return null;
    // Several may want the same conditional block of one client at a time, and one of them has it.
    const isOwn = op === MutationOp.writeIf;
    let version = 0;
    for (let at = 0; at < blocks; at++) {
      const facts = this.#parts.store.facts({ gmap, group, vdisk, epoch, block: block + at });
      const { origin } = facts;
      if (origin.session !== session || origin.seq < seq) return null;
      if (isOwn && origin.seq !== seq) return null;
      version = facts.conditionalVersion;
    }
    return { status: PetalStatus.ok, version: isOwn ? version : 0 };
  }

  get #bug(): PetalBug {
    return this.#parts.options.plantedBug;
  }

  #awaitedOf(mutation: Mutation): number[] {
    if (this.#bug === 'early-ack') return [];
    const { world, options } = this.#parts;
    if (
      this.#bug === 'late-change' &&
      world.clock.nowNs() > mutation.sentNs + options.heartbeatNs
    ) {
      return [];
    }
    const awaited = this.#pair.others.filter((server) => !mutation.has.has(server));
    for (const { server, required } of this.#joiners.values()) {
      if (required && !mutation.has.has(server)) awaited.push(server);
    }
    return awaited;
  }

  #settle(mutation: Mutation): void {
    if (!mutation.isStored || mutation.marking > 0) return;
    if (this.#underWay.get(mutation.n) !== mutation) return;
    if (this.#awaitedOf(mutation).length > 0) return;
    const { world } = this.#parts;
    if (this.#pair.holdsBack(world.clock.nowNs())) return this.#wakeAfterHold();
    this.#underWay.delete(mutation.n);
    world.crashPoint('petal.before-answer');
    this.#end(mutation, PetalStatus.ok, mutation.conditionalVersion);
  }

  #wakeAfterHold(): void {
    if (this.#holdTimer) return;
    this.#holdTimer = true;
    this.#parts.world.timers.at(this.#pair.holdUntilNs as never, this.settleAll);
  }

  #end(mutation: Mutation, status: PetalStatus, version = 0): void {
    const { locks, answer } = this.#parts;
    answer(mutation.client, mutation.message.id, this.#pair, { status, version });
    mutation.isAnswered = true;
    // The store has it still: its blocks are free when it is done with them.
    if (mutation.n === 0 || mutation.isOver) locks.release(mutation);
  }

  #arrived(server: number, mutation: Mutation): void {
    const member = this.#pair.memberOf(server);
    if (member < 0 || (mutation.missing & (1 << member)) === 0) return;
    this.#parts.store.arrived(member, mutation, mutation.version);
  }

  #sendToAll(mutation: Mutation): void {
    mutation.sentNs = this.#parts.world.clock.nowNs();
    for (const server of this.#pair.others) this.#send(mutation, server);
    for (const server of this.#joiners.keys()) this.#send(mutation, server);
  }

  #send(mutation: Mutation, server: number): void {
    if (mutation.has.has(server)) return;
    const { gmap, group, vdisk, epoch, block, blocks, session, seq, op, crcs } = mutation;
    invariant(mutation.n > 0, 'a mutation is numbered before it is sent');
    const message: ReplicateMessage = {
      kind: 'replicate',
      id: mutation.n,
      gmap,
      group,
      term: this.#pair.term,
      vdisk,
      epoch,
      block,
      blocks,
      session,
      seq,
      op,
      crcs,
      version: mutation.version,
      conditionalVersion: mutation.conditionalVersion,
      committed: this.committed,
    };
    this.#parts.net.send(serverName(server), { message, payload: mutation.data });
  }
}

function blocksOf({ vdisk, epoch, block, blocks }: Mutation) {
  return Array.from({ length: blocks }, (_, at) => ({ vdisk, epoch, block: block + at }));
}
