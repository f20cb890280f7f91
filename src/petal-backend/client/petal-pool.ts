/**
 * A virtual disk of a Petal pool as a `BlockPool`: what a driver VM has of Petal.
 *
 * A client knows the map, which never changes, and has hints of everything else: who is the primary
 * of a group, under which term, how long each server's queue is. Whoever it asks wrongly says what
 * is right. So a request goes on until it is answered:
 *
 * ```
 * wrongTerm, notHere   with the term and the primary that came with it, at once or a little later
 * dirty                to the primary
 * noLease, busy        again after a pause, a read to the other copy
 * staleMap             the directory is asked for the map's version; again after a pause
 * no answer in time    to another member, which knows who is the primary now
 * ioError of a read    to the other copy; of all copies: the caller is told
 * giveUpNs             the caller is told `ioError`. A write may have happened, or may yet happen
 *                      until its session is fenced: nobody uses its place again before
 * ```
 * A mutation is sent again under its number: servers do it once. Its answer may come twice, or
 * late; the first one counts. Answers that were meant for an earlier session under the same name
 * are nobody's: the numbers of requests begin with the session.
 *
 * Which copy is read, and when a second one is asked as well: `read-balance.ts`. Of a read that was
 * asked twice the first good answer counts; a server that cannot answer leaves it to the other one.
 */

import { Fifo } from '../../base/fifo.ts';
import { invariant } from '../../base/invariant.ts';
import type { Fence, MapVersion, Session, Term } from '../../base/units.ts';
import {
  BLOCK_BYTES,
  type BlockPool,
  type ConditionalBlock,
  EXTENT_BLOCKS,
  type PoolBlock,
  type PoolIo,
  PoolStatus,
  type WriteIfResult,
} from '../../world/block-pool.ts';
import type { TimerId, World } from '../../world/world.ts';
import { type GlobalMap, groupOf, membersOf } from '../placement.ts';
import { type PeerNet, serverName } from '../server/ports.ts';
import { CHUNK_BLOCKS, type Frame, PetalStatus, type ReplyMessage } from '../wire/messages.ts';
import { conditionalError } from './client-errors.ts';
import {
  isWhole,
  type MessageParts,
  messageOf,
  type RequestKind,
  sumsOf,
} from './client-message.ts';
import { type HedgeOptions, ReadBalance } from './read-balance.ts';

export interface PetalPoolOptions {
  /** Without an answer for so long, somebody else is asked. */
  readonly timeoutNs: number;
  /** Between two tries, where somebody said that it cannot answer now. */
  readonly pauseNs: number;
  /** After which a caller is told that it failed. */
  readonly giveUpNs: number;
  /** Messages under way at the same time; others wait in order. */
  readonly inFlightMax: number;
  /** Reads are balanced by this client's own pending requests alone, as Petal's were. */
  readonly ownPending: boolean;
  readonly hedge: HedgeOptions;
}

export const DEFAULT_PETAL_POOL_OPTIONS: PetalPoolOptions = {
  timeoutNs: 300e6,
  pauseNs: 5e6,
  giveUpNs: 30e9,
  inFlightMax: 128,
  ownPending: false,
  hedge: { share: 0.05, percentile: 0.95, delayNsMin: 200e3 },
};

/** What servers compare a request's route with. */
export interface RouteHint {
  readonly epoch: number;
  readonly mapVersion: MapVersion;
}

export interface PetalPoolParts {
  readonly world: World;
  readonly net: PeerNet;
  readonly map: GlobalMap;
  /** For people: whose session it is, and the name of the virtual disk. */
  readonly host: string;
  readonly store: string;
  readonly vdisk: number;
  readonly epoch: number;
  readonly mapVersion: MapVersion;
  readonly sizeBlocks: number;
  readonly session: Session;
  readonly fence: Fence;
  readonly options: PetalPoolOptions;
  /** The directory's word on the virtual disk, for when a server says that the hint is old. */
  readonly lookAgain: () => Promise<RouteHint>;
}

interface Hint {
  term: Term;
  primary: number;
}

/** One message and its answer: a part of an operation that lies in one chunk. */
interface Request extends MessageParts {
  readonly data: Uint8Array;
  readonly beganNs: number;
  readonly done: (status: PoolStatus, reply: ReplyMessage | null) => void;
  server: number;
  /** The second server that was asked; -1: none. */
  hedge: number;
  sentNs: number;
  timer: TimerId | null;
  /** Copies that could not give the data: a bit each, by their places in the group. */
  failedCopies: number;
}

/** A request's number has 48 bits: 16 of its session, and 32 that count. */
const SESSIONS_APART = 2 ** 16;
const REQUESTS_APART = 2 ** 32;
const NO_DATA = new Uint8Array(0);
const NO_CRCS: readonly number[] = [];

export class PetalPool implements BlockPool {
  readonly sizeBlocks: number;
  readonly #parts: PetalPoolParts;
  /** Of each group, those that hold it, and what they are called. */
  readonly #members: readonly (readonly number[])[];
  readonly #names: ReadonlyMap<number, string>;
  readonly #hints: Hint[];
  readonly #balance: ReadBalance;
  readonly #underWay = new Map<number, Request>();
  readonly #waiting = new Fifo<Request>();
  #lastId: number;
  #lastSeq = 0;
  #fenced = false;
  #route: RouteHint;
  #isLooking = false;
  #submitted = 0;
  #completed = 0;
  /** Hears who has answered a read, of which group. */
  onRead: ((server: number, group: number) => void) | null = null;
  /** Reads that were asked of a second server. */
  hedged = 0;
  #whenIdle: (() => void)[] = [];

  constructor(parts: PetalPoolParts) {
    this.#parts = parts;
    this.sizeBlocks = parts.sizeBlocks;
    this.#lastId = (parts.session % SESSIONS_APART) * REQUESTS_APART;
    this.#route = { epoch: parts.epoch, mapVersion: parts.mapVersion };
    const { ownPending, hedge } = parts.options;
    this.#balance = new ReadBalance(parts.world.random.fork('balance'), ownPending, hedge);
    const { servers } = parts.map;
    this.#members = servers.map((_, group) => membersOf(parts.map, group));
    this.#names = new Map(servers.map((server) => [server, serverName(server)]));
    this.#hints = this.#members.map(([primary = 0]) => ({ term: 0 as Term, primary }));
    parts.net.onFrame((from, frame) => this.#receive(from, frame));
  }

  read(io: PoolIo): void {
    this.#split(io, 'read');
  }

  write(io: PoolIo): void {
    this.#split(io, 'write');
  }

  trim(io: PoolIo): void {
    this.#split(io, 'trim');
  }

  readConditional(block: PoolBlock): Promise<ConditionalBlock> {
    const data = new Uint8Array(BLOCK_BYTES);
    const reading = this.#conditional('readConditional', block, data, 0);
    return reading.then(({ version }) => ({ version, data }));
  }

  writeIf(block: PoolBlock, expectedVersion: number, data: Uint8Array): Promise<WriteIfResult> {
    const writing = this.#conditional('writeIf', block, data, expectedVersion);
    return writing.then(({ status, version }) => ({ written: status === PetalStatus.ok, version }));
  }

  async close(): Promise<void> {
    if (this.#underWay.size === 0 && this.#waiting.length === 0) return;
    await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  /** Everything that was asked is answered, under way or waiting; so are messages at servers. */
  checkInvariants(): void {
    const left = this.#underWay.size + this.#waiting.length;
    invariant(this.#submitted === this.#completed + left, 'a request is answered once');
    let out = 0;
    for (const { server, hedge } of this.#underWay.values()) {
      if (server >= 0) out++;
      if (hedge >= 0) out++;
    }
    const { servers } = this.#parts.map;
    const pending = servers.reduce((sum, server) => sum + this.#balance.pendingAt(server), 0);
    invariant(pending === out, 'what servers are asked is counted');
  }

  #conditional(
    kind: RequestKind,
    block: number,
    data: Uint8Array,
    expectedVersion: number,
  ): Promise<ReplyMessage> {
    invariant(block < EXTENT_BLOCKS, 'conditional blocks are those of extent 0');
    return new Promise((resolve, reject) => {
      this.#begin(kind, block, 1, data, expectedVersion, (status, reply) => {
        if (reply !== null) resolve(reply);
        else reject(conditionalError(status, block, this.#parts));
      });
    });
  }

  /**
   * Cuts an operation at the ends of chunks; done when all its parts are, with the worst status.
   */
  #split(io: PoolIo, kind: RequestKind): void {
    const { block, blocks, buffer, bufferOffset } = io;
    invariant(block >= EXTENT_BLOCKS, 'plain blocks are those behind extent 0');
    invariant(blocks > 0 && block + blocks <= this.sizeBlocks, 'an operation is inside the pool');
    const end = block + blocks;
    let left = Math.floor((end - 1) / CHUNK_BLOCKS) - Math.floor(block / CHUNK_BLOCKS) + 1;
    let worst: PoolStatus = PoolStatus.ok;
    const done = (status: PoolStatus): void => {
      if (status !== PoolStatus.ok) worst = status;
      if (--left === 0) io.poolDone(worst);
    };
    for (let at = block; at < end; ) {
      const to = Math.min((Math.floor(at / CHUNK_BLOCKS) + 1) * CHUNK_BLOCKS, end);
      const from = bufferOffset + (at - block) * BLOCK_BYTES;
      const bytes = (to - at) * BLOCK_BYTES;
      const data = kind === 'trim' ? NO_DATA : buffer.subarray(from, from + bytes);
      this.#begin(kind, at, to - at, data, 0, done);
      at = to;
    }
  }

  #begin(
    kind: RequestKind,
    block: number,
    blocks: number,
    data: Uint8Array,
    expectedVersion: number,
    done: Request['done'],
  ): void {
    const { world, map } = this.#parts;
    const isMutation = kind === 'write' || kind === 'trim' || kind === 'writeIf';
    const request: Request = {
      kind,
      block,
      blocks,
      data,
      expectedVersion,
      done,
      id: ++this.#lastId,
      seq: isMutation ? ++this.#lastSeq : 0,
      group: groupOf(map, block),
      crcs: kind === 'write' || kind === 'writeIf' ? sumsOf(world.digest, data) : NO_CRCS,
      beganNs: world.clock.nowNs(),
      server: -1,
      hedge: -1,
      sentNs: 0,
      timer: null,
      failedCopies: 0,
    };
    this.#submitted++;
    if (this.#underWay.size >= this.#parts.options.inFlightMax) this.#waiting.push(request);
    else this.#launch(request);
  }

  #launch(request: Request): void {
    this.#underWay.set(request.id, request);
    // Never inside the call: even a pool that is fenced answers later.
    if (this.#fenced) this.#later(request, 0, () => this.#end(request, PoolStatus.fenced, null));
    else this.#send(request, this.#choose(request));
  }

  /** The server to ask first. */
  #choose({ kind, group }: Request): number {
    if (kind === 'read') {
      const nowNs = this.#parts.world.clock.nowNs();
      return this.#balance.choose(this.#membersOf(group), nowNs);
    }
    return (this.#hints[group] as Hint).primary;
  }

  #send(request: Request, server: number): void {
    const { world, options } = this.#parts;
    this.#moved(request, server);
    request.sentNs = world.clock.nowNs();
    this.#ask(request, server);
    const { hedgeDelayNs } = this.#balance;
    if (request.kind !== 'read' || hedgeDelayNs >= options.timeoutNs) {
      return this.#waitFor(request, options.timeoutNs);
    }
    this.#later(request, hedgeDelayNs, () => {
      this.#hedge(request);
      this.#waitFor(request, options.timeoutNs - hedgeDelayNs);
    });
  }

  #waitFor(request: Request, forNs: number): void {
    this.#later(request, forNs, () => {
      const { log, clock } = this.#parts.world;
      log.event('petal.timeout', request.server, request.id);
      this.#balance.missed(request.server, clock.nowNs());
      this.#tryAgain(request, this.#another(request));
    });
  }

  /** It takes longer than most: another copy is asked too, if that may be. */
  #hedge(request: Request): void {
    const other = this.#another(request);
    if (other === request.server || (request.failedCopies & this.#bitOf(request, other)) !== 0) {
      return;
    }
    if (!this.#balance.takeHedge()) return;
    this.hedged++;
    request.hedge = other;
    this.#balance.asked(other);
    this.#ask(request, other);
  }

  #ask(request: Request, server: number): void {
    const { net, map, vdisk, session, fence } = this.#parts;
    const { kind, group, data } = request;
    const { term } = this.#hints[group] as Hint;
    const { epoch, mapVersion } = this.#route;
    const route = { gmap: map.gmap, term, vdisk, epoch, mapVersion, session, fence };
    const payload = kind === 'write' || kind === 'writeIf' ? data : NO_DATA;
    net.send(this.#names.get(server) as string, { message: messageOf(request, route), payload });
  }

  /** From now on this server is waited for, and no other one; -1: nobody is. */
  #moved(request: Request, server: number): void {
    if (request.server >= 0) this.#balance.released(request.server);
    if (request.hedge >= 0) this.#balance.released(request.hedge);
    request.hedge = -1;
    request.server = server;
    if (server >= 0) this.#balance.asked(server);
  }

  #later(request: Request, delayNs: number, then: () => void): void {
    const { timers, clock } = this.#parts.world;
    if (request.timer !== null) timers.cancel(request.timer);
    request.timer = timers.at((clock.nowNs() + delayNs) as never, () => {
      request.timer = null;
      then();
    });
  }

  #membersOf(group: number): readonly number[] {
    return this.#members[group] as readonly number[];
  }

  #bitOf({ group }: Request, server: number): number {
    return 1 << this.#membersOf(group).indexOf(server);
  }

  /** The next member round. */
  #another({ group, server }: Request): number {
    const members = this.#membersOf(group);
    return members[(members.indexOf(server) + 1) % members.length] as number;
  }

  #tryAgain(request: Request, server: number): void {
    const { world, options } = this.#parts;
    if (world.clock.nowNs() - request.beganNs >= options.giveUpNs) {
      this.#end(request, PoolStatus.ioError, null);
    } else this.#send(request, server);
  }

  #receive(from: string, { message, payload }: Frame): void {
    if (message.kind !== 'reply') return;
    const request = this.#underWay.get(message.id);
    if (request === undefined) return;
    const members = this.#membersOf(request.group);
    const server = members.find((member) => this.#names.get(member) === from);
    if (server === undefined) return;
    this.#balance.told(server, message.queue);
    this.#learn(request.group, message);
    // Whoever was given up may have done it after all; that it could not does not matter any more.
    const isDone = message.status === PetalStatus.ok;
    if (!isDone && request.hedge >= 0) return this.#leaveToOther(request, server, message.status);
    if (server === request.server || isDone) this.#answered(request, server, message, payload);
  }

  /** One of two servers that were asked cannot answer. */
  #leaveToOther(request: Request, server: number, status: ReplyMessage['status']): void {
    const { hedge } = request;
    if (server !== request.server && server !== hedge) return;
    if (status === PetalStatus.ioError) request.failedCopies |= this.#bitOf(request, server);
    this.#balance.released(server);
    request.hedge = -1;
    if (server === request.server) request.server = hedge;
  }

  #learn(group: number, { term, primary }: ReplyMessage): void {
    const hint = this.#hints[group] as Hint;
    if (term < hint.term || !this.#membersOf(group).includes(primary)) return;
    hint.term = term;
    hint.primary = primary;
  }

  #answered(request: Request, server: number, reply: ReplyMessage, payload: Uint8Array): void {
    const { options } = this.#parts;
    const { primary } = this.#hints[request.group] as Hint;
    const pause = (next: number): void =>
      this.#later(request, options.pauseNs, () => this.#tryAgain(request, next));
    switch (reply.status) {
      case PetalStatus.ok:
        return this.#succeeded(request, server, reply, payload);
      case PetalStatus.otherVersion:
        return this.#end(request, PoolStatus.ok, reply);
      case PetalStatus.fenced:
        this.#fenced = true;
        return this.#end(request, PoolStatus.fenced, null);
      case PetalStatus.noSpace:
        return this.#end(request, PoolStatus.noSpace, null);
      case PetalStatus.ioError:
        return this.#copyFailed(request, server);
      case PetalStatus.wrongTerm:
        return request.kind === 'read' ? pause(request.server) : pause(primary);
      case PetalStatus.dirty:
        return primary === request.server ? pause(primary) : this.#tryAgain(request, primary);
      case PetalStatus.notHere:
        return pause(primary === request.server ? this.#another(request) : primary);
      case PetalStatus.noLease:
      case PetalStatus.busy:
        return pause(request.kind === 'read' ? this.#another(request) : primary);
      case PetalStatus.staleMap:
        this.#lookAgain();
        return pause(request.server);
    }
  }

  /** What the directory says is a hint as well: whoever compares it knows better. */
  #lookAgain(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const looked = (): void => {
      this.#isLooking = false;
    };
    this.#parts.lookAgain().then((route) => {
      this.#route = route;
      looked();
    }, looked);
  }

  #succeeded(request: Request, server: number, reply: ReplyMessage, payload: Uint8Array): void {
    const { kind, data } = request;
    if (kind === 'read' || kind === 'readConditional') {
      // What was changed on the way is no answer; the other copy may have it whole.
      if (
        payload.length !== data.length ||
        !isWhole(this.#parts.world.digest, payload, reply.crcs)
      ) {
        return this.#copyFailed(request, server);
      }
      data.set(payload);
      this.onRead?.(server, request.group);
      if (server === request.server && request.hedge < 0) {
        this.#balance.took(this.#parts.world.clock.nowNs() - request.sentNs);
      }
    }
    this.#end(request, PoolStatus.ok, reply);
  }

  #copyFailed(request: Request, server: number): void {
    const { kind, group } = request;
    request.failedCopies |= this.#bitOf(request, server);
    const isRead = kind === 'read' || kind === 'readConditional';
    if (!isRead || request.failedCopies === 2 ** this.#membersOf(group).length - 1) {
      return this.#end(request, PoolStatus.ioError, null);
    }
    this.#tryAgain(request, this.#another(request));
  }

  #end(request: Request, status: PoolStatus, reply: ReplyMessage | null): void {
    if (request.timer !== null) this.#parts.world.timers.cancel(request.timer);
    request.timer = null;
    this.#moved(request, -1);
    this.#underWay.delete(request.id);
    this.#completed++;
    request.done(status, reply);
    if (this.#waiting.length > 0 && this.#underWay.size < this.#parts.options.inFlightMax) {
      this.#launch(this.#waiting.shift());
    }
    if (this.#underWay.size > 0 || this.#waiting.length > 0) return;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}
