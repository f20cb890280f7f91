/**
 * A Petal server: takes messages of clients and of other servers, and watches over its pairs.
 *
 * Everything that arrives is checked here before anybody acts on it: whether the pair is one of
 * this server's, whether the sender goes by the same term, whether a client may touch the virtual
 * disk. A sender that knows less is told the term; one that knows more is refused until this server
 * has asked the directory.
 */

import { StorageError } from '../../base/errors.ts';
import type { Nanos } from '../../base/units.ts';
import { NEVER } from '../../base/units.ts';
import type { HostedActor, StepResult } from '../../world/actor.ts';
import type { World } from '../../world/world.ts';
import type { ChunkStore } from '../store/chunk-store.ts';
import { DIRTY_BLOCKS_MAX } from '../wire/message-rules.ts';
import {
  type DirtyBlock,
  type FetchMessage,
  type Frame,
  type PairTerm,
  type PetalMessage,
  PetalStatus,
  type ProbeMessage,
  type ReadMessage,
  type RejoinMessage,
  type RepairMessage,
  type ReplicatedMessage,
  type ReplicateMessage,
} from '../wire/messages.ts';
import { Access } from './access.ts';
import { BlockLocks } from './block-locks.ts';
import { Calls } from './calls.ts';
import { Copies } from './copies.ts';
import { HandBack } from './hand-back.ts';
import { Healing } from './healing.ts';
import { Heartbeat } from './heartbeat.ts';
import { Membership } from './membership.ts';
import type { MutationMessage, MutationParts } from './mutations.ts';
import type { Pair, PairRole } from './pair.ts';
import {
  type AccessDirectory,
  type PairsDirectory,
  type PeerNet,
  type ServerOptions,
  serverName,
} from './ports.ts';
import { Reads } from './reads.ts';
import { orderOf, Repairs } from './repairs.ts';
import { Scrub } from './scrub.ts';
import { Seat, seatKey } from './seat.ts';

export interface PetalServerParts {
  readonly world: World;
  readonly self: number;
  readonly store: ChunkStore;
  readonly net: PeerNet;
  readonly directory: PairsDirectory & AccessDirectory;
  readonly options: ServerOptions;
}

/** What an operator sees of a server's place in one pair. */
export interface PairStatus {
  readonly gmap: number;
  readonly group: number;
  readonly term: number;
  /** Last term in which this server was in sync with all its data. */
  readonly lastTerm: number;
  readonly role: PairRole;
  readonly inSync: readonly number[];
  readonly members: readonly number[];
  /** Its view of the pair is recent enough to read by. */
  readonly isLeased: boolean;
  /** Mutations that are not answered. */
  readonly underWay: number;
  /** Members that are being brought up to date. */
  readonly joining: readonly number[];
  /** Blocks that are damaged here, and of which nobody has given a copy. */
  readonly damaged: number;
  /** Blocks that were damaged here, and are whole again. */
  readonly healed: number;
}

const NO_DATA = new Uint8Array(0);
const NO_CRCS: readonly number[] = [];
const NO_BLOCKS: readonly DirtyBlock[] = [];
const NO_VERSION = { term: 0, n: 0 } as ReplicateMessage['version'];

export class PetalServer implements HostedActor {
  readonly control: HostedActor['control'] = { status: () => this.status() };
  readonly #parts: PetalServerParts;
  readonly #locks = new BlockLocks();
  readonly #access: Access;
  readonly #calls: Calls;
  readonly #copies: Copies;
  readonly #reads: Reads;
  readonly #repairs: Repairs;
  readonly #healing: Healing;
  readonly #scrub: Scrub;
  readonly #membership: Membership;
  readonly #heartbeat: Heartbeat;
  #queue = 0;
  #nextBeatNs = 0;
  #nextRefreshNs = 0;
  /** What a story threw: the next step throws it. */
  #thrown: { readonly reason: unknown } | null = null;

  constructor(parts: PetalServerParts) {
    this.#parts = parts;
    const { world, self, store, net, directory, options } = parts;
    this.#access = new Access(world, directory, options);
    this.#calls = new Calls(world, net);
    this.#copies = new Copies(store, this.#locks, options.plantedBug !== 'early-clean');
    const locks = this.#locks;
    const calls = this.#calls;
    this.#healing = new Healing({ world, store, net, locks, calls, options });
    const healing = this.#healing;
    this.#scrub = new Scrub({
      world,
      store,
      healing,
      options,
      seatOf: (pair) => this.#seatOf(pair),
    });
    this.#reads = new Reads({
      world,
      store,
      locks,
      plantedBug: options.plantedBug,
      heal: (seat, block) => healing.heal(seat, block),
      failed: this.#failed,
      answer: (to, id, pair, { status, version, crcs, data }) =>
        this.#reply(to, id, pair, status, version, crcs, data),
    });
    const mutationParts: MutationParts = {
      world,
      store,
      net,
      locks,
      options,
      access: (message) => this.#access.check(message),
      answer: (to, id, pair, { status, version }) =>
        this.#reply(to, id, pair, status, version, NO_CRCS, NO_DATA),
      failed: (pair, server) => this.#membership.copyFailed(this.#seatOf(pair) as Seat, server),
    };
    this.#membership = new Membership({
      world,
      self,
      store,
      directory,
      options,
      newSeat: (view) => new Seat(mutationParts, view, self, store.incarnation),
      rollForward: (seat) => this.#repairs.rollForward(seat),
      failed: this.#failed,
    });
    this.#repairs = new Repairs({
      world,
      store,
      locks,
      calls,
      healing,
      options,
      membership: () => this.#membership,
    });
    const membership = this.#membership;
    const handBack = new HandBack({ world, store, calls, membership, options });
    this.#heartbeat = new Heartbeat({
      handBack,
      world,
      store,
      net,
      membership,
      options,
      failed: this.#failed,
    });
    net.onFrame((from, frame) => this.#receive(from, frame));
  }

  async start(): Promise<void> {
    await this.#membership.refresh();
  }

  step(): StepResult {
    if (this.#thrown !== null) throw this.#thrown.reason;
    const nowNs = this.#parts.world.clock.nowNs();
    const { heartbeatNs, leaseNs } = this.#parts.options;
    if (nowNs >= this.#nextRefreshNs) {
      this.#nextRefreshNs = nowNs + leaseNs / 3;
      this.#background(this.#membership.refresh());
    }
    if (nowNs >= this.#nextBeatNs) {
      this.#noteStandstill(nowNs);
      this.#nextBeatNs = nowNs + heartbeatNs;
      for (const seat of this.#membership.seats.values()) this.#heartbeat.beat(seat, nowNs);
    }
    if (nowNs >= this.#scrub.nextNs) this.#background(this.#scrub.step());
    return 'idle';
  }

  /**
   * A server that was held up comes to its heartbeat before it comes to what it was sent meanwhile.
   * If it took the others for silent then, a machine that stands still for a moment would have each
   * server drop all others.
   */
  #noteStandstill(nowNs: number): void {
    const lateNs = nowNs - this.#nextBeatNs;
    if (this.#nextBeatNs === 0 || lateNs < this.#parts.options.heartbeatNs) return;
    for (const seat of this.#membership.seats.values()) seat.stoodStill(lateNs);
  }

  nextDeadlineNs(): Nanos {
    if (this.#thrown !== null) return 0 as Nanos;
    return Math.min(this.#nextBeatNs, this.#nextRefreshNs, this.#scrub.nextNs, NEVER) as Nanos;
  }

  finished(): boolean {
    return false;
  }

  result(): unknown {
    return null;
  }

  checkInvariants(): void {
    this.#parts.store.checkInvariants();
  }

  status(): readonly PairStatus[] {
    return [...this.#membership.seats.values()].map((seat) => this.#statusOf(seat));
  }

  #statusOf(seat: Seat): PairStatus {
    const { pair, mutations, joining } = seat;
    return {
      gmap: pair.gmap,
      group: pair.group,
      term: pair.term,
      lastTerm: this.#parts.store.pairNote(pair.gmap, pair.group).lastTerm,
      role: pair.role,
      inSync: pair.record.inSync.map(({ server }) => server),
      members: pair.record.members,
      isLeased: pair.hasLease(this.#parts.world.clock.nowNs()),
      underWay: mutations.underWay,
      joining: [...joining.keys()],
      damaged: this.#healing.damagedOf(seat),
      healed: this.#healing.healedOf(seat),
    };
  }

  #receive(from: string, { message, payload }: Frame): void {
    switch (message.kind) {
      case 'hello':
      case 'reply':
        return;
      case 'read':
      case 'write':
      case 'trim':
      case 'writeIf':
        return this.#client(from, message, payload);
      case 'probed':
      case 'repaired':
      case 'fetched': {
        const server = this.#serverOf(from, this.#seatOf(message));
        this.#heard(from, message);
        if (server !== null) this.#calls.answered(server, { message, payload });
        return;
      }
      case 'replicated':
        return this.#replicated(from, message);
      case 'probe':
      case 'rejoin':
      case 'replicate':
      case 'repair':
      case 'fetch':
        return this.#peer(from, message, payload);
    }
  }

  #client(from: string, message: ReadMessage | MutationMessage, payload: Uint8Array): void {
    const seat = this.#seatOf(message);
    if (seat === undefined) return this.#refuse(from, message, null, PetalStatus.notHere);
    const { pair } = seat;
    const access = this.#access.check(message);
    if (access === null) {
      this.#background(this.#learnAndTake(from, message, payload));
      return;
    }
    if (access !== PetalStatus.ok) return this.#refuse(from, message, pair, access);
    if (!this.#membership.isReady) return this.#refuse(from, message, pair, PetalStatus.noLease);
    if (message.term < pair.term) return this.#refuse(from, message, pair, PetalStatus.wrongTerm);
    if (message.term > pair.term) {
      this.#refreshSoon();
      return this.#refuse(from, message, pair, PetalStatus.noLease);
    }
    const isFull = this.#queue >= this.#parts.options.queueMax;
    if (isFull) return this.#refuse(from, message, pair, PetalStatus.busy);
    this.#queue++;
    if (message.kind === 'read') this.#reads.take(from, message, seat);
    else if (pair.role !== 'primary') this.#refuse(from, message, pair, PetalStatus.notHere, true);
    else if (!seat.mutations.isOpen) this.#refuse(from, message, pair, PetalStatus.noLease, true);
    else if (seat.isDraining) this.#refuse(from, message, pair, PetalStatus.busy, true);
    else seat.mutations.take(from, message, payload);
  }

  async #learnAndTake(
    from: string,
    message: ReadMessage | MutationMessage,
    payload: Uint8Array,
  ): Promise<void> {
    try {
      await this.#access.learn(message);
    } catch (thrown) {
      if (!(thrown instanceof StorageError)) throw thrown;
      return this.#refuse(from, message, this.#seatOf(message)?.pair ?? null, PetalStatus.noLease);
    }
    this.#client(from, message, payload);
  }

  #peer(
    from: string,
    message: ReplicateMessage | ProbeMessage | RejoinMessage | RepairMessage | FetchMessage,
    payload: Uint8Array,
  ): void {
    const seat = this.#seatOf(message);
    const server = this.#serverOf(from, seat);
    if (seat === undefined || server === null) return;
    const { pair } = seat;
    this.#heard(from, message);
    if (message.term > pair.term) this.#refreshSoon();
    switch (message.kind) {
      case 'probe':
        return this.#probed(server, seat, message);
      case 'fetch':
        return this.#background(this.#healing.answer(seat, server, message));
      case 'rejoin':
        if (message.term >= pair.term) this.#background(this.#repairs.join(seat, server, message));
        else this.#answerPeer(server, seat, message.id, 'repaired', PetalStatus.wrongTerm);
        return;
      case 'replicate':
      case 'repair':
        if (!this.#isFromPrimary(server, seat, message)) {
          const status = message.term < pair.term ? PetalStatus.wrongTerm : PetalStatus.noLease;
          const kind = message.kind === 'repair' ? 'repaired' : 'replicated';
          return this.#answerPeer(server, seat, message.id, kind, status);
        }
        this.#copy(server, seat, message, payload);
    }
  }

  #isFromPrimary(server: number, { pair }: Seat, { term }: PairTerm): boolean {
    if (this.#parts.options.plantedBug === 'no-term-check') return true;
    return term === pair.term && pair.record.primary === server;
  }

  #copy(
    server: number,
    seat: Seat,
    message: ReplicateMessage | RepairMessage,
    payload: Uint8Array,
  ): void {
    const { id } = message;
    if (message.kind === 'repair') {
      this.#copies.repair(message, payload, (status) =>
        this.#answerPeer(server, seat, id, 'repaired', status),
      );
      return;
    }
    const { gmap, group, committed } = message;
    if (seat.pair.role === 'secondary') this.#parts.store.commit(gmap, group, committed);
    this.#copies.replicate(message, payload, (status) =>
      this.#answerPeer(server, seat, id, 'replicated', status),
    );
  }

  #replicated(from: string, message: ReplicatedMessage): void {
    this.#heard(from, message);
    const seat = this.#seatOf(message);
    const server = this.#serverOf(from, seat);
    if (seat !== undefined && server !== null) {
      seat.mutations.replicated(server, message.id, message.status);
    }
  }

  #probed(server: number, seat: Seat, message: ProbeMessage): void {
    const { pair } = seat;
    const { gmap, group, term } = pair;
    const isPrimary = message.term === term && pair.record.primary === server;
    if (isPrimary && pair.role === 'secondary' && message.committed.n > 0) {
      this.#parts.store.commit(gmap, group, message.committed);
    }
    const { incarnation } = this.#parts.store;
    const { id } = message;
    const dirty = message.wantsDirty ? this.#dirtyAfter(seat, message.after) : NO_BLOCKS;
    this.#send(server, { kind: 'probed', id, gmap, group, term, incarnation, dirty });
  }

  /**
   * As many dirty blocks as a message takes, the first of those behind `after`. Of a history that
   * an operator has given up nothing was acknowledged by the one that goes on: all is dirty.
   */
  #dirtyAfter({ pair }: Seat, after: DirtyBlock): readonly DirtyBlock[] {
    const { store } = this.#parts;
    const { gmap, group } = pair;
    const isGivenUp = pair.isGivenUp(store.pairNote(gmap, group).lastTerm);
    return (isGivenUp ? store.blocksOf(gmap, group) : store.dirtyBlocks(gmap, group))
      .filter((block) => orderOf(block, after) > 0)
      .sort(orderOf)
      .slice(0, DIRTY_BLOCKS_MAX);
  }

  #heard(from: string, { gmap, group, term, ...message }: PairTerm & { kind: string }): void {
    const seat = this.#membership.seats.get(seatKey(gmap, group));
    const server = this.#serverOf(from, seat);
    if (seat === undefined || server === null) return;
    seat.heard(server);
    if (term > seat.pair.term) this.#refreshSoon();
    seat.pair.confirmed(server, term);
    if (message.kind === 'probed' && !seat.pair.holdsBack(this.#parts.world.clock.nowNs())) {
      seat.mutations.settleAll();
    }
  }

  #answerPeer(
    server: number,
    { pair }: Seat,
    id: number,
    kind: 'replicated' | 'repaired',
    status: PetalStatus,
  ): void {
    const { gmap, group, term } = pair;
    this.#send(server, { kind, id, gmap, group, term, status });
  }

  #send(server: number, message: PetalMessage): void {
    this.#parts.net.send(serverName(server), { message, payload: NO_DATA });
  }

  #reply(
    to: string,
    id: number,
    pair: Pair | null,
    status: PetalStatus,
    version: number,
    crcs: readonly number[],
    payload: Uint8Array,
  ): void {
    this.#queue--;
    const term = pair?.term ?? NO_VERSION.term;
    const primary = pair?.record.primary ?? 0;
    const queue = this.#queue;
    const message: PetalMessage = {
      kind: 'reply',
      id,
      status,
      term,
      primary,
      queue,
      version,
      crcs,
    };
    this.#parts.net.send(to, { message, payload });
  }

  /** `counted`: it was counted as waiting already. */
  #refuse(
    to: string,
    { id }: { readonly id: number },
    pair: Pair | null,
    status: PetalStatus,
    counted = false,
  ): void {
    if (!counted) this.#queue++;
    this.#reply(to, id, pair, status, 0, NO_CRCS, NO_DATA);
  }

  #seatOf({ gmap, group }: Pick<PairTerm, 'gmap' | 'group'>): Seat | undefined {
    return this.#membership.seats.get(seatKey(gmap, group));
  }

  /** The member of the pair that has this name; null: it is none, and has nothing to say here. */
  #serverOf(name: string, seat: Seat | undefined): number | null {
    return seat?.pair.record.members.find((server) => serverName(server) === name) ?? null;
  }

  #refreshSoon(): void {
    this.#background(this.#membership.refresh());
  }

  #background(story: Promise<unknown>): void {
    story.catch(this.#failed);
  }

  readonly #failed = (reason: unknown): void => {
    this.#thrown ??= { reason };
  };
}
