/**
 * Who is in sync, and who is the primary: how a server comes to change that, and what must have
 * happened before it acts upon it.
 *
 * ```
 * watch      every third of a lease, and when somebody knows more: the records of its pairs
 * drop       the primary has not heard of a member, or the member cannot keep a copy
 * take over  a secondary has not heard of the primary, or the primary has lost what it had
 * resume     this server was in sync in a life before, nobody has dropped it, its disks are whole
 * step down  the primary's own store fails
 * admit      a member has everything again
 * hand back  another one is the first choice of the map, and has been well for long
 * ```
 * Each is one transition of `pair-transitions.ts`, made by one compare-and-swap of the pair's
 * record (`pair-directory.ts`), and begins a new term. Two that try at the same time cannot both
 * succeed. What a new term means for this server is one function, whoever has made it (`#entered`):
 * its own change, one whose answer was lost, somebody else's.
 *
 * Whoever has begun a term without a member waits until that member's lease is over before it
 * acknowledges anything (`Pair.holdBack`), and marks what the member may lack.
 *
 * A server that was restarted is not in sync, though its disk is whole: others may have dropped it.
 * If nobody has, it *resumes* its place, as primary or not, and nobody else loses theirs: all
 * acknowledged writes are on its disk, for it was in sync when it died. So after a cut of power at
 * all members each comes back by itself, and whoever stays away is dropped or taken over from as
 * ever. A server whose disk is not whole never resumes: it asks to be brought up to date, and if it
 * was the primary, that tells who hears it to take over.
 *
 * While the pool is restored (`directory/restore.ts`) nobody serves, and nothing is changed.
 */
import { StorageError, toErrorRecord } from '../../base/errors.ts';
import type { Nanos, Term } from '../../base/units.ts';
import type { World } from '../../world/world.ts';
import type { PairView } from '../directory/pair-directory.ts';
import {
  dropMembers,
  handBack,
  type PairTransition,
  rejoin,
  resume,
  stepDown,
  takeOver,
} from '../directory/pair-transitions.ts';
import type { Member } from '../directory/records.ts';
import type { ChunkStore } from '../store/chunk-store.ts';
import { othersLeaseNs, type PairsDirectory, type PoolView, type ServerOptions } from './ports.ts';
import { type Seat, seatKey } from './seat.ts';

export interface MembershipParts {
  readonly world: World;
  readonly self: number;
  readonly store: ChunkStore;
  readonly directory: PairsDirectory;
  readonly options: ServerOptions;
  readonly newSeat: (view: PairView) => Seat;
  /** This server begins to be the primary of a term: what is dirty goes to all in sync first. */
  readonly rollForward: (seat: Seat) => Promise<boolean>;
  /** A story threw: a bug. */
  readonly failed: (thrown: unknown) => void;
}

export class Membership {
  readonly seats: Map<number, Seat> = new Map();
  readonly #parts: MembershipParts;
  #refreshing: Promise<void> | null = null;
  #isReady = true;

  constructor(parts: MembershipParts) {
    this.#parts = parts;
  }

  /** False: the directory came back from a copy, and is not mended yet. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Reads the records of all pairs. Never rejects: what is not known stays as old as it is. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    const { world, directory, self, options } = this.#parts;
    let view: PoolView;
    try {
      view = await directory.viewOf(self);
    } catch (thrown) {
      if (!(thrown instanceof StorageError)) throw thrown;
      return;
    }
    if (view.isReady !== this.#isReady) {
      world.log.note(view.isReady ? 'the pool is ready' : 'the pool is restored: nobody serves');
    }
    this.#isReady = view.isReady;
    if (!view.isReady) {
      // A server that starts now says what its disks have of a pair, and goes by no record of it.
      for (const pair of view.pairs) this.#seatOf(pair);
      for (const { pair } of this.seats.values()) pair.endLease();
      return;
    }
    for (const pair of view.pairs) {
      const isLate = options.plantedBug === 'late-lease';
      const seen = isLate ? { ...pair, askedNs: world.clock.nowNs() } : pair;
      this.#background(this.#observe(this.#seatOf(pair), seen));
    }
  }

  #seatOf(view: PairView): Seat {
    const key = seatKey(view.record.gmap, view.record.group);
    const seat = this.seats.get(key) ?? this.#parts.newSeat(view);
    this.seats.set(key, seat);
    return seat;
  }

  /** The primary goes on without a member. */
  async drop(seat: Seat, server: number): Promise<void> {
    const { pair } = seat;
    if (pair.role !== 'primary' || !pair.others.includes(server)) return;
    await this.#change(seat, dropMembers(pair.me, [server]), `without s${server}`);
  }

  /** A secondary goes on without the primary. */
  async takeOver(seat: Seat): Promise<void> {
    const { pair } = seat;
    if (pair.role !== 'secondary') return;
    const { primary } = pair.record;
    await this.#change(seat, takeOver(pair.me, [primary]), `s${pair.self} over from s${primary}`);
  }

  /** This server was in sync when it died, and nobody has gone on without it since. */
  async resume(seat: Seat): Promise<void> {
    const { store } = this.#parts;
    const { pair } = seat;
    const was = pair.record.inSync.find(({ server }) => server === pair.self);
    if (pair.role !== 'outside' || was === undefined || !store.intact) return;
    const { self, incarnation } = pair;
    await this.#change(
      seat,
      resume(self, was.incarnation, incarnation),
      `s${self} after a restart`,
    );
  }

  /** The own store fails: somebody else who is in sync goes on, if there is anybody. */
  async stepDown(seat: Seat): Promise<void> {
    const { pair } = seat;
    if (pair.role !== 'primary') return;
    await this.#change(seat, stepDown(pair.me), `for the store of s${pair.self} fails`);
  }

  /**
   * A member has everything. If nobody can say whether it was let in, it may answer readers
   * already, or soon: this settles when it is known, and until then nothing is acknowledged without
   * it.
   */
  async admit(seat: Seat, joined: Member): Promise<void> {
    const { pair } = seat;
    const { term } = pair;
    if (pair.role !== 'primary') return;
    const letIn = (): Promise<boolean> =>
      this.#change(seat, rejoin(pair.me, joined), `with s${joined.server}`);
    if (await letIn()) return;
    while (pair.term === term && pair.role === 'primary') {
      await this.#parts.world.timers.sleep(this.#parts.options.heartbeatNs);
      await letIn();
    }
  }

  /** The primary makes another one in sync the primary. */
  async handBack(seat: Seat, to: number): Promise<void> {
    const { pair } = seat;
    if (pair.role !== 'primary') return;
    await this.#change(seat, handBack(pair.me, to), `back to s${to}`);
  }

  /** A copy of a mutation failed. */
  copyFailed(seat: Seat, server: number): void {
    if (server !== this.#parts.self) return this.#background(this.drop(seat, server));
    this.#broken(seat);
    this.#background(this.stepDown(seat));
  }

  /** The own store has failed: whoever is the primary next decides what of it has happened. */
  #broken(seat: Seat): void {
    seat.isBroken = true;
    seat.joining.clear();
    seat.mutations.closeTerm();
  }

  /**
   * One change at a time. When it settles, what it means for this server is noted durably. False:
   * nobody knows whether it was made, or may yet be.
   */
  async #change(seat: Seat, transition: PairTransition, why: string): Promise<boolean> {
    const { world, directory } = this.#parts;
    if (seat.changing || !this.#isReady) return true;
    seat.changing = true;
    try {
      const outcome = await directory.change(seat.pair.view, transition);
      world.crashPoint('petal.after-change');
      if (outcome.kind === 'unknown') await this.refresh();
      if (outcome.kind === 'unknown') return false;
      if (outcome.kind === 'refused') return true;
      const { view } = outcome;
      const { group, term } = view.record;
      if (outcome.kind === 'made') world.log.note(`pair ${group}, term ${term}: ${why}`);
      await this.#observe(seat, view);
      return true;
    } catch (thrown) {
      if (!(thrown instanceof StorageError)) throw thrown;
      world.log.note(`pair ${seat.pair.group}: ${toErrorRecord(thrown).message}`);
      return false;
    } finally {
      seat.changing = false;
    }
  }

  /** A record that somebody may have written. */
  async #observe(seat: Seat, view: PairView): Promise<void> {
    const { pair, mutations } = seat;
    const before = pair.record;
    const isNew = !seat.isEntered;
    const wasPrimary = !isNew && pair.role === 'primary';
    const wasOpen = wasPrimary && mutations.isOpen;
    pair.observe(view, this.#parts.options.leaseNs);
    if (pair.term === before.term && !isNew) return;
    // If terms were missed, anybody may have been in sync in between.
    const isNext = !isNew && pair.term === before.term + 1;
    const known = isNext ? before.inSync.map(({ server }) => server) : pair.record.members;
    try {
      await this.#entered(seat, known, wasPrimary, wasOpen && isNext);
    } catch (thrown) {
      if (!(thrown instanceof StorageError)) throw thrown;
      this.#parts.world.log.note(`pair ${pair.group}: ${toErrorRecord(thrown).message}`);
      this.#broken(seat);
    }
  }

  /**
   * A new term has begun. `known`: who may have been in sync in the one before. `goesOn`: this
   * server was the primary in that one, served in it, and still is.
   */
  async #entered(
    seat: Seat,
    known: readonly number[],
    wasPrimary: boolean,
    goesOn: boolean,
  ): Promise<void> {
    const { world, options } = this.#parts;
    const { pair, mutations } = seat;
    const { record } = pair;
    seat.began();
    if (pair.role !== 'primary') {
      if (wasPrimary) mutations.closeTerm();
      seat.joining.clear();
      if (pair.role === 'secondary') await this.#noteTerm(seat);
      return;
    }
    const isOut = (one: number): boolean => record.inSync.every(({ server }) => server !== one);
    const dropped = known.filter(isOut);
    // Whom an earlier primary has dropped may go by its lease still: that one held back, not this.
    const leased = goesOn ? dropped : record.members.filter(isOut);
    const isHeld = options.plantedBug !== 'no-hold';
    if (isHeld) pair.holdBack(leased, world.clock.nowNs() + othersLeaseNs(options));
    if (goesOn) return await this.#goOn(seat, known, dropped);
    // Nobody is sent anything from now on who asked before.
    if (wasPrimary) mutations.closeTerm();
    seat.joining.clear();
    await this.#noteMarks(seat, dropped);
    this.#background(this.#open(seat, record.term));
  }

  async #noteTerm({ pair }: Seat): Promise<void> {
    const { store } = this.#parts;
    const { gmap, group, term } = pair;
    // Only a primary keeps count of what others lack.
    const markedSince = pair.record.members.map(() => 0 as Term);
    await store.setPair(gmap, group, { lastTerm: term, markedSince });
  }

  /** It was the primary before: what is under way goes on in the new term. */
  async #goOn(seat: Seat, known: readonly number[], dropped: readonly number[]): Promise<void> {
    this.#forgetOldMarks(
      seat,
      seat.pair.others.filter((server) => !known.includes(server)),
    );
    const marked = seat.mutations.termChanged(dropped);
    await this.#noteMarks(seat, dropped);
    await marked;
    this.#settleAfterHold(seat);
  }

  /** It becomes the primary. */
  async #open(seat: Seat, term: Term): Promise<void> {
    const { pair, mutations } = seat;
    if (!(await this.#parts.rollForward(seat))) return;
    if (pair.term !== term || pair.role !== 'primary') return;
    this.#forgetOldMarks(seat, pair.others);
    mutations.openTerm();
    this.#settleAfterHold(seat);
  }

  /**
   * Whoever is in sync has everything that was answered, and is waited for with the rest: what a
   * term of long ago has marked as missing there and others have brought since, or what was healed
   * here while the member was brought up to date, is missing no more.
   */
  #forgetOldMarks({ pair }: Seat, inSync: readonly number[]): void {
    const { store } = this.#parts;
    const { gmap, group } = pair;
    for (const server of inSync) {
      const member = pair.memberOf(server);
      for (const block of store.missingOf(gmap, group, member, Number.POSITIVE_INFINITY)) {
        const place = { gmap, group, ...block, blocks: 1 };
        store.arrived(member, place, store.facts(place).version);
      }
    }
  }

  /** What is dirty may be missing at those who were dropped; whatever comes now surely is. */
  async #noteMarks({ pair }: Seat, dropped: readonly number[]): Promise<void> {
    const { store } = this.#parts;
    const { gmap, group, term } = pair;
    const { members, inSync } = pair.record;
    const dirty = store.dirtyBlocks(gmap, group);
    for (const server of dropped) {
      if (dirty.length > 0 && this.#parts.options.plantedBug !== 'no-marks')
        await store.mark(gmap, group, pair.memberOf(server), dirty);
    }
    const { lastTerm, markedSince: before } = store.pairNote(gmap, group);
    // Marks that were begun by this server hold if it has been the primary in every term since.
    const isKept = lastTerm === term - 1;
    const markedSince = members.map((server, at) => {
      if (dropped.includes(server)) return term;
      const isIn = inSync.some((one) => one.server === server);
      return isIn || !isKept ? (0 as Term) : (before[at] ?? (0 as Term));
    });
    await store.setPair(gmap, group, { lastTerm: term, markedSince });
  }

  #settleAfterHold({ pair, mutations }: Seat): void {
    const { timers } = this.#parts.world;
    if (pair.holdUntilNs > 0) timers.at(pair.holdUntilNs as Nanos, mutations.settleAll);
    else mutations.settleAll();
  }

  #background(story: Promise<unknown>): void {
    story.catch(this.#parts.failed);
  }
}
