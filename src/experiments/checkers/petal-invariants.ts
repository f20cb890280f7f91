/**
 * An observer of a Petal pool who knows everything, at once: the directory itself, the stores of
 * all servers, what reaches each server and what it sends. After each step of the simulator the
 * laws of `petal-law.ts` are held against that, so that a run ends at the step that broke one, and
 * not where a client is struck by it, if it ever is.
 *
 * What is looked at in a step is what may have changed there, so that its cost does not grow with
 * the run:
 *
 * ```
 * an answer        its term, its server, the version it shows or acknowledges (I1, I2, I9, I13)
 * a frame          the blocks that it names are compared when the step is over (I1, I4, I5)
 * what is shown    its sum, which somebody must have sent to be written there (written)
 * a copy to make   of a term that is over for the server: refused before anything else happens (I2)
 * a changed pair   the record (I2, I3), and all blocks of the group
 * every step       one more block in turn, clients (I12)
 * every 4096th     all blocks, all slots of all stores (I7)
 * ```
 * *Shown*: the version of a block that its server has just read or acknowledged. It goes up only,
 * and a request that arrives afterwards, at whichever server, must be shown that much (I9): a
 * client need not be there to see the lapse. Stronger still, nobody who lacks a version may hold a
 * lease by which it could answer a reader when that version is acknowledged.
 *
 * The laws of one life are checked by its frames: they leave in the order in which they are sent.
 */
import type { Crc } from '../../base/formats/sealed.ts';
import type { Term } from '../../base/units.ts';
import { isNewer } from '../../petal-backend/server/copies.ts';
import type { PairStatus } from '../../petal-backend/server/petal-server.ts';
import { seatKey } from '../../petal-backend/server/seat.ts';
import type { BlockFacts, ChunkStore, StorePlace } from '../../petal-backend/store/chunk-store.ts';
import {
  type BlockVersion,
  type Origin,
  type PairTerm,
  type PetalMessage,
  PetalStatus,
  type ReadMessage,
  type RepairedMessage,
  type RepairMessage,
  type ReplicatedMessage,
  type ReplicateMessage,
  type ReplyMessage,
  type TrimMessage,
  type WriteIfMessage,
  type WriteMessage,
} from '../../petal-backend/wire/messages.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { Clock } from '../../world/world.ts';
import { judgeCopies, type SeenBlock, text } from './petal-copies.ts';
import { BrokenLaw, type PetalLaw } from './petal-law.ts';
import { PetalRecords, type SeenDirectory, type TermSeen } from './petal-records.ts';

type MutationMessage = WriteMessage | TrimMessage | WriteIfMessage;
type ClientRequest = ReadMessage | MutationMessage;
type CopyMessage = ReplicateMessage | RepairMessage;

/** One life of a server, as it is hosted. */
export interface SeenServer {
  /** Null until it is open. Looked at also when the server is dead. */
  readonly store: ChunkStore | null;
  status(): readonly PairStatus[];
}

/** A client that can say whether its books add up. */
export interface SeenClient {
  checkInvariants(): void;
}

export interface PetalInvariantsParts {
  readonly digest: Crc;
  /** Of the run: actors' own clocks may differ from it by `driftPpm`. */
  readonly clock: Clock;
  readonly directory: SeenDirectory;
  readonly pool: string;
  readonly leaseNs: number;
  readonly driftPpm: number;
}

interface Asked {
  readonly message: ClientRequest;
  /** Versions that had been shown of its blocks when it arrived. */
  readonly shown: readonly SeenBlock['shown'][];
}

/** One life. */
interface Life {
  readonly server: number;
  readonly hosted: SeenServer;
  isAlive: boolean;
  /** Requests that are not answered, oldest first, by who asked and the number he gave. */
  readonly asked: Map<string, Asked[]>;
  /** Of each pair, the term of the last frame. */
  readonly terms: Map<number, number>;
}

/** A copy that a server has to refuse. */
interface ToRefuse {
  readonly life: Life;
  readonly from: string;
  readonly message: CopyMessage;
  /** By which the server goes. */
  readonly term: Term;
}

const FULL_EVERY = 4096;
/** Of a block that has no data. */
const NO_SUM = 0;
const NO_VERSION = { term: 0 as Term, n: 0 };

export class PetalInvariants {
  /** How often something was held against a law: zero of anything says that a run was idle. */
  readonly counts = { answers: 0, acknowledged: 0, compared: 0, records: 0, steps: 0 };
  readonly #parts: PetalInvariantsParts;
  readonly #records: PetalRecords;
  readonly #lives = new Map<number, Life>();
  readonly #clients: SeenClient[] = [];
  readonly #blocks = new Map<string, SeenBlock>();
  readonly #inTurn: SeenBlock[] = [];
  readonly #touched = new Set<SeenBlock>();
  /** The disks of a dead server may have been lost since. */
  readonly #storeOf = (server: number): ChunkStore | null => {
    const life = this.#lives.get(server);
    const store = life?.hosted.store ?? null;
    return life?.isAlive === true || store?.intact === true ? store : null;
  };
  /** Sums of what a block may be shown as before anybody has written it. */
  readonly #blank: readonly number[];
  #toRefuse: ToRefuse | null = null;
  #turn = 0;
  #found: BrokenLaw | null = null;

  constructor(parts: PetalInvariantsParts) {
    this.#parts = parts;
    this.#records = new PetalRecords(parts.directory, parts.digest, parts.pool);
    this.#blank = [NO_SUM, parts.digest.crc32(new Uint8Array(BLOCK_BYTES), 0, BLOCK_BYTES)];
  }

  /** A server lives; the life before is over. */
  serverStarted(server: number, hosted: SeenServer): void {
    const life = { server, hosted, isAlive: true, asked: new Map(), terms: new Map() };
    this.#lives.set(server, life);
  }

  serverEnded(server: number): void {
    const life = this.#lives.get(server);
    if (life !== undefined) life.isAlive = false;
  }

  clientStarted(client: SeenClient): void {
    this.#clients.push(client);
  }

  /** A frame has reached a server, which has not looked at it yet. */
  arrived(server: number, from: string, message: PetalMessage): void {
    const life = this.#lives.get(server);
    if (life === undefined) return;
    if (isCopy(message)) this.#mustRefuse(life, from, message);
    if (!isOfClient(message)) return;
    const blocks = this.#blocksOf(message);
    if ('crcs' in message) blocks.forEach(({ written }, at) => written.add(message.crcs[at] ?? 0));
    const shown = blocks.map((block) => block.shown);
    const key = `${from}/${message.id}`;
    const asked = life.asked.get(key);
    if (asked === undefined) life.asked.set(key, [{ message, shown }]);
    else asked.push({ message, shown });
  }

  /** A server sends a frame now. Never throws: what is broken is thrown by `step`. */
  sent(server: number, to: string, message: PetalMessage): void {
    const life = this.#lives.get(server);
    if (life === undefined || this.#found !== null) return;
    try {
      if (message.kind === 'replicated' || message.kind === 'repaired') this.#copied(message);
      if (message.kind === 'reply') this.#replied(life, to, message);
      else if (isOfServer(message)) this.#termOf(life, message);
      if (message.kind === 'replicate') {
        this.#touch(message);
        for (const block of this.#blocksOf(message)) judgeOnce(block, message, message.version);
      }
      if (message.kind === 'repair') {
        for (const { block } of message.blocks) this.#touch({ ...message, block, blocks: 1 });
      }
    } catch (thrown) {
      if (!(thrown instanceof BrokenLaw)) throw thrown;
      this.#found = thrown;
    }
  }

  /** A step of the run is over. Throws `BrokenLaw`. */
  step(): void {
    if (this.#found !== null) throw this.#found;
    this.#judgeRefusal();
    this.counts.steps++;
    const isFull = this.counts.steps % FULL_EVERY === 0;
    for (const { gmap, group } of this.#records.look(this.#parts.clock.nowNs())) {
      this.counts.records++;
      for (const block of this.#inTurn) {
        if (block.group === group && block.gmap === gmap) this.#touched.add(block);
      }
    }
    const next = this.#inTurn[this.#turn++ % this.#inTurn.length];
    if (next !== undefined) this.#touched.add(next);
    if (isFull) this.judgeAll();
    else for (const block of this.#touched) this.#judge(block);
    this.#touched.clear();
    for (const client of this.#clients) underLaw('I12', () => client.checkInvariants());
  }

  /** What keeps the pool from being as it should be when all is well; null: nothing (I10). */
  unclean(): string | null {
    for (const { gmap, group, members, inSync, primary } of this.#records.all()) {
      if (inSync.length < members.length) return `group ${group} has not all members in sync`;
      for (const { server, incarnation } of inSync) {
        const store = this.#storeOf(server);
        if (store?.incarnation !== incarnation) return `s${server} is not in sync in this life`;
        const dirty = store.dirtyBlocks(gmap, group).length;
        if (dirty > 0) return `s${server} has ${dirty} dirty blocks of group ${group}`;
        // Who was the primary once may have marks that nobody goes by any more.
        if (server !== primary) continue;
        const lacking = members.findIndex((_, member) => {
          return store.missingOf(gmap, group, member, 1).length > 0;
        });
        if (lacking >= 0) return `s${primary} has marked blocks that s${members[lacking]} lacks`;
      }
    }
    return null;
  }

  /** Everything is well, and nobody asks for anything. */
  checkClean(): void {
    this.step();
    const why = this.unclean();
    if (why !== null) throw new BrokenLaw('I10', why);
    this.judgeAll();
  }

  /** All blocks, and all slots of all stores. */
  judgeAll(): void {
    for (const block of this.#inTurn) this.#judge(block);
    this.#judgeSlots();
  }

  #judge(block: SeenBlock): void {
    const record = this.#records.newest(block.gmap, block.group);
    if (record === null) return;
    this.counts.compared++;
    judgeCopies(block, record, this.#storeOf);
  }

  #judgeSlots(): void {
    for (const { hosted, isAlive } of this.#lives.values()) {
      if (isAlive) underLaw('I7', () => hosted.store?.checkInvariants(true));
    }
  }

  #replied(life: Life, to: string, reply: ReplyMessage): void {
    const key = `${to}/${reply.id}`;
    const [asked, ...rest] = life.asked.get(key) ?? [];
    if (rest.length > 0) life.asked.set(key, rest);
    else life.asked.delete(key);
    if (asked === undefined || reply.term === 0) return;
    const { message } = asked;
    this.#termOf(life, { ...message, term: reply.term });
    this.counts.answers++;
    if (reply.status === PetalStatus.otherVersion) this.#shown(life, asked, reply);
    if (reply.status !== PetalStatus.ok) return;
    if (message.kind === 'read') this.#shown(life, asked, reply);
    else this.#acknowledged(life, message, reply);
  }

  /** Whose term is over for this server has no copies made here: that is said at once. */
  #mustRefuse(life: Life, from: string, message: CopyMessage): void {
    const { gmap, group } = message;
    const pair = life.hosted.status().find((one) => one.gmap === gmap && one.group === group);
    if (pair === undefined || message.term >= pair.term) return;
    this.#toRefuse = { life, from, message, term: pair.term as Term };
  }

  #copied({ id, status }: ReplicatedMessage | RepairedMessage): void {
    if (this.#toRefuse?.message.id === id && status !== PetalStatus.ok) this.#toRefuse = null;
  }

  #judgeRefusal(): void {
    if (this.#toRefuse === null) return;
    const { life, from, message, term } = this.#toRefuse;
    this.#toRefuse = null;
    if (!life.isAlive) return;
    const copy = `for ${from} by term ${message.term} of group ${message.group}`;
    throw new BrokenLaw('I2', `s${life.server} makes a copy ${copy}, after ${term}`);
  }

  #termOf({ server, terms }: Life, { gmap, group, term }: PairTerm): void {
    const pair = seatKey(gmap, group);
    const before = terms.get(pair) ?? 0;
    if (term < before) {
      throw new BrokenLaw(
        'I2',
        `s${server} goes by term ${term} of group ${group}, after ${before}`,
      );
    }
    terms.set(pair, term);
  }

  /** The term by which a server says that it answers, in which it must have its place. */
  #termAt({ server, hosted }: Life, { gmap, group }: ClientRequest, term: number): TermSeen {
    const seen = this.#records.ofTerm(gmap, group, term);
    const who = `s${server} answers for group ${group} by term ${term}`;
    if (seen === null) throw new BrokenLaw('I2', `${who}, which nobody has begun`);
    const { inSync } = seen.record;
    const incarnation = hosted.store?.incarnation;
    if (!inSync.some((one) => one.server === server && one.incarnation === incarnation)) {
      throw new BrokenLaw('I13', `${who}, in which it is not in sync`);
    }
    return seen;
  }

  /**
   * What is shown must be of a term that is not over, or was not when the server asked. (What is
   * acknowledged need not be: whoever has gone on since has it.)
   */
  #judgeLease(life: Life, message: ClientRequest, term: number): void {
    const { overNs } = this.#termAt(life, message, term);
    const { leaseNs, driftPpm, clock } = this.#parts;
    const overForNs = clock.nowNs() - overNs;
    if (overForNs <= leaseNs * (1 + (2 * driftPpm) / 1e6)) return;
    const who = `s${life.server} shows blocks of group ${message.group} by term ${term}`;
    throw new BrokenLaw('I13', `${who}, which is over for ${overForNs / 1e6} ms`);
  }

  /** A client is shown blocks as they are at this server. */
  #shown(life: Life, { message, shown }: Asked, reply: ReplyMessage): void {
    this.#judgeLease(life, message, reply.term);
    this.#blocksOf(message).forEach((block, at) => {
      const sum = message.kind === 'read' ? (reply.crcs[at] ?? NO_SUM) : NO_SUM;
      if (!block.written.has(sum)) {
        const what = `s${life.server} shows block ${block.block} as what nobody wrote there`;
        throw new BrokenLaw('written', `${what}, by its sum ${sum.toString(16)}`);
      }
      const { version, crc } = this.#factsAt(life, block);
      // The next write of the block may have begun already: then this is not what was read.
      if (message.kind === 'read' && crc !== reply.crcs[at]) return;
      const before = shown[at] as SeenBlock['shown'];
      if (isNewer(before, version)) {
        const what = `s${life.server} shows ${text(version)} of block ${block.block}`;
        throw new BrokenLaw('I9', `${what}, and ${text(before)} was shown before it was asked`);
      }
      if (isNewer(version, block.shown)) block.shown = version;
      this.#touched.add(block);
    });
  }

  #acknowledged(life: Life, message: MutationMessage, reply: ReplyMessage): void {
    const { record } = this.#termAt(life, message, reply.term);
    const { server } = life;
    if (record.primary !== server) {
      const who = `s${server} acknowledges in term ${reply.term} of group ${record.group}`;
      throw new BrokenLaw('I2', `${who}, whose primary is s${record.primary}`);
    }
    this.counts.acknowledged++;
    for (const block of this.#blocksOf(message)) {
      const { version, origin } = this.#factsAt(life, block);
      if (origin.session !== message.session || origin.seq < message.seq) {
        const what = `s${server} acknowledges write ${message.seq} of session ${message.session}`;
        const has = `write ${origin.seq} of session ${origin.session}`;
        throw new BrokenLaw('I1', `${what}, and block ${block.block} there is of ${has}`);
      }
      if (origin.seq === message.seq) judgeOnce(block, message, version);
      if (isNewer(version, block.acked)) block.acked = version;
      block.done.set(origin.session, { seq: origin.seq, version });
      if (isNewer(version, block.shown)) block.shown = version;
      this.#touched.add(block);
      this.#judgeReaders(life, block);
    }
  }

  /** Nobody who has less than what is acknowledged now could answer a reader. */
  #judgeReaders(primary: Life, block: SeenBlock): void {
    for (const life of this.#lives.values()) {
      if (life === primary || !life.isAlive) continue;
      const pair = life.hosted
        .status()
        .find(({ gmap, group }) => gmap === block.gmap && group === block.group);
      if (pair === undefined || pair.role === 'outside' || !pair.isLeased) continue;
      const { version, dirty } = this.#factsAt(life, block);
      if (!isNewer(block.acked, version) || (dirty && pair.role === 'secondary')) continue;
      const what = `s${primary.server} acknowledges ${text(block.acked)} of block ${block.block}`;
      throw new BrokenLaw('I9', `${what}, and s${life.server} may yet show ${text(version)}`);
    }
  }

  #factsAt({ hosted }: Life, block: SeenBlock): BlockFacts {
    if (hosted.store === null) throw new BrokenLaw('I1', 'a server answers that has no store');
    return hosted.store.facts(block);
  }

  #touch(place: StorePlace): void {
    for (const block of this.#blocksOf(place)) this.#touched.add(block);
  }

  #blocksOf({ gmap, group, vdisk, epoch, block: first, blocks }: StorePlace): SeenBlock[] {
    return Array.from({ length: blocks }, (_, at) => {
      const block = first + at;
      const key = `${vdisk}/${epoch}/${block}`;
      const known = this.#blocks.get(key);
      if (known !== undefined) return known;
      const versions = { acked: NO_VERSION, shown: NO_VERSION, done: new Map() };
      const written = new Set(this.#blank);
      const seen = { gmap, group, vdisk, epoch, block, written, ...versions };
      this.#blocks.set(key, seen);
      this.#inTurn.push(seen);
      return seen;
    });
  }
}

function isOfClient(message: PetalMessage): message is ClientRequest {
  const { kind } = message;
  return kind === 'read' || kind === 'write' || kind === 'trim' || kind === 'writeIf';
}

function isCopy(message: PetalMessage): message is CopyMessage {
  return message.kind === 'replicate' || message.kind === 'repair';
}

/** What a server says of a pair now. A repair is of the term in which its story began. */
function isOfServer(message: PetalMessage): message is PetalMessage & PairTerm {
  return 'term' in message && !isOfClient(message) && message.kind !== 'repair';
}

/** A mutation is numbered: it must not have been acknowledged under another number before. */
function judgeOnce(block: SeenBlock, { session, seq }: Origin, version: BlockVersion): void {
  const done = block.done.get(session);
  if (done === undefined || done.seq < seq || !isNewer(version, done.version)) return;
  const whose = `write ${seq} of session ${session}`;
  const what = `${whose} of block ${block.block} becomes ${text(version)}`;
  throw new BrokenLaw('once', `${what}, after write ${done.seq} was ${text(done.version)}`);
}

/** What another room asserts of itself breaks a law of the pool. */
function underLaw(law: PetalLaw, check: () => void): void {
  try {
    check();
  } catch (thrown) {
    throw new BrokenLaw(law, String(thrown));
  }
}
