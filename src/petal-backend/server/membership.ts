/**
 * Who is in sync, and who is the primary: how a server comes to change that, and what must have
 * happened before it acts upon it.
 *
 * ```
 * watch      every third of a lease, and when somebody knows more: the records of its pairs
 * drop       the primary has not heard of a member, or the member cannot keep a copy
 * take over  a secondary has not heard of the primary
 * claim      this server was in sync in its life before, and nobody else has gone on
 * step down  the primary's own store fails, and others are in sync
 * ```
 * Each is one compare-and-swap of the pair's record, which begins a new term. Two that try at the
 * same time cannot both succeed. Whoever has begun a term without a member waits until that member's
 * lease is over before it acknowledges anything (`Pair.holdBack`), and marks what the member may
 * lack.
 *
 * A server that was restarted is not in sync, though its disk is whole: others may have dropped it.
 * If nobody has, it claims its place; all acknowledged writes are on its disk, for it was in sync
 * when it died. If its disk is not whole, it may not.
 */

import { StorageError, toErrorRecord } from '../../base/errors.ts';
import type { Nanos, Term } from '../../base/units.ts';
import type { World } from '../../world/world.ts';
import type { ChunkStore } from '../store/chunk-store.ts';
import {
  type InSync,
  othersLeaseNs,
  type PairChange,
  type PairDirectory,
  type PairRecord,
  type ServerOptions,
} from './ports.ts';
import { type Seat, seatKey } from './seat.ts';

export interface MembershipParts {
  readonly world: World;
  readonly self: number;
  readonly store: ChunkStore;
  readonly directory: PairDirectory;
  readonly options: ServerOptions;
  readonly newSeat: (record: PairRecord) => Seat;
  /** This server begins to be the primary of a term: what is dirty goes to all in sync first. */
  readonly rollForward: (seat: Seat) => Promise<boolean>;
  /** A story threw: a bug. */
  readonly failed: (thrown: unknown) => void;
}

export class Membership {
  readonly seats: Map<number, Seat> = new Map();
  readonly #parts: MembershipParts;
  #refreshing: Promise<void> | null = null;

  constructor(parts: MembershipParts) {
    this.#parts = parts;
  }

  /** Reads the records of all pairs. Never rejects: what is not known stays as old as it is. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    const { world, directory, self } = this.#parts;
    let askedNs = world.clock.nowNs();
    let records: readonly PairRecord[];
    try {
      records = await directory.pairsOf(self);
    } catch (thrown) {
      if (!(thrown instanceof StorageError)) throw thrown;
      return;
    }
    if (this.#parts.options.plantedBug === 'late-lease') askedNs = world.clock.nowNs();
    for (const record of records) {
      const key = seatKey(record.gmap, record.group);
      const seat = this.seats.get(key);
      if (seat === undefined) {
        const made = this.#parts.newSeat(record);
        this.seats.set(key, made);
        this.#learned(made, record, askedNs, true);
      } else this.#learned(seat, record, askedNs, false);
    }
  }

  /** A record that somebody may have written. */
  #learned(seat: Seat, record: PairRecord, askedNs: number, isNew: boolean): void {
    const { world, options } = this.#parts;
    const { pair, mutations } = seat;
    const before = pair.record;
    const wasPrimary = !isNew && pair.role === 'primary';
    pair.observe(record, askedNs, options.leaseNs);
    if (pair.term === before.term && !isNew) return;
    seat.isBroken = false;
    for (const server of record.members) seat.heard(server);
    if (pair.role !== 'primary') {
      if (wasPrimary) mutations.closeTerm();
      seat.joining.clear();
      if (pair.role === 'secondary') this.#background(this.#noteTerm(seat));
      return;
    }
    // A change of its own whose answer was lost, or one that was made for it: whoever is not in
    // sync may have been until just now.
    const without = wasPrimary ? before.inSync.map(({ server }) => server) : record.members;
    const dropped = without.filter((one) => !record.inSync.some(({ server }) => server === one));
    pair.holdBack(dropped, world.clock.nowNs() + othersLeaseNs(options));
    this.#background(wasPrimary ? this.#goOn(seat, dropped) : this.#open(seat, dropped));
  }

  async #noteTerm({ pair }: Seat): Promise<void> {
    const { store } = this.#parts;
    const { gmap, group, term } = pair;
    // Only a primary keeps count of what others lack.
    const markedSince = pair.record.members.map(() => 0 as Term);
    await store.setPair(gmap, group, { lastTerm: term, markedSince });
  }

  /** The primary goes on without a member. */
  async drop(seat: Seat, server: number): Promise<void> {
    const { pair } = seat;
    if (pair.role !== 'primary' || !pair.others.includes(server)) return;
    const inSync = pair.record.inSync.filter((one) => one.server !== server);
    await this.#change(seat, { primary: pair.self, inSync }, `without s${server}`);
  }

  /** A secondary goes on without the primary. */
  async takeOver(seat: Seat): Promise<void> {
    const { pair } = seat;
    if (pair.role !== 'secondary') return;
    const { inSync, primary } = pair.record;
    const left = inSync.filter(({ server }) => server !== primary);
    await this.#change(seat, { primary: pair.self, inSync: left }, `over from s${primary}`);
  }

  /** This server was in sync when it died, and nobody has gone on since. */
  async claim(seat: Seat): Promise<void> {
    const { store, self } = this.#parts;
    const { pair } = seat;
    const was = pair.record.inSync.find(({ server }) => server === self);
    if (pair.role !== 'outside' || was === undefined || !store.intact) return;
    const me = { server: self, incarnation: store.incarnation };
    await this.#change(seat, { primary: self, inSync: [me] }, 'after a restart');
  }

  /**
   * The own store fails: somebody else who is in sync goes on. If nobody is, what it has is all there
   * is, and a new term begins with that.
   */
  async stepDown(seat: Seat): Promise<void> {
    const { pair } = seat;
    if (pair.role !== 'primary') return;
    const [next] = pair.others;
    const inSync = pair.record.inSync.filter(({ server }) => server !== pair.self);
    if (next === undefined) {
      await this.#change(seat, { primary: pair.self, inSync: pair.record.inSync }, 'as it is');
    } else
      await this.#change(seat, { primary: next, inSync }, 'for the store of the primary fails');
  }

  /** A member has everything. True if it is in sync now. */
  async admit(seat: Seat, joined: InSync): Promise<boolean> {
    const { pair } = seat;
    if (pair.role !== 'primary') return false;
    const inSync = [...pair.record.inSync, joined];
    return await this.#change(seat, { primary: pair.self, inSync }, `with s${joined.server}`);
  }

  /** One compare-and-swap; false: it was not made, or nobody knows. */
  async #change(seat: Seat, next: PairChange, why: string): Promise<boolean> {
    if (seat.changing) return false;
    seat.changing = true;
    try {
      return await this.#tryChange(seat, next, why);
    } catch (thrown) {
      if (!(thrown instanceof StorageError)) throw thrown;
      this.#parts.world.log.note(`pair ${seat.pair.group}: ${toErrorRecord(thrown).message}`);
      await this.refresh();
      return false;
    } finally {
      seat.changing = false;
    }
  }

  async #tryChange(seat: Seat, next: PairChange, why: string): Promise<boolean> {
    const { world, directory, options } = this.#parts;
    const { pair, mutations } = seat;
    const before = pair.record;
    const askedNs = world.clock.nowNs();
    const record = await directory.change(before, next);
    if (record === null) {
      await this.refresh();
      return false;
    }
    world.crashPoint('petal.after-change');
    const { group, self } = pair;
    world.log.note(`pair ${group}, term ${record.term}: s${next.primary} goes on ${why}`);
    const wasPrimary = pair.role === 'primary';
    pair.observe(record, askedNs, options.leaseNs);
    const isFromScratch = seat.isBroken;
    seat.isBroken = false;
    if (next.primary !== self) {
      if (wasPrimary) mutations.closeTerm();
      return true;
    }
    const stays = new Set(next.inSync.map(({ server }) => server));
    const dropped = before.inSync.map(({ server }) => server).filter((one) => !stays.has(one));
    const isHeld = options.plantedBug !== 'no-hold';
    if (isHeld) pair.holdBack(dropped, world.clock.nowNs() + othersLeaseNs(options));
    if (wasPrimary && !isFromScratch) await this.#goOn(seat, dropped);
    else await this.#open(seat, dropped);
    return true;
  }

  /** It was the primary before: what is under way goes on in the new term. */
  async #goOn(seat: Seat, dropped: readonly number[]): Promise<void> {
    const marked = seat.mutations.termChanged(dropped);
    await this.#noteMarks(seat, dropped);
    await marked;
    this.#settleAfterHold(seat);
  }

  /** It becomes the primary. */
  async #open(seat: Seat, dropped: readonly number[]): Promise<void> {
    const { pair, mutations } = seat;
    const { term } = pair;
    await this.#noteMarks(seat, dropped);
    if (!(await this.#parts.rollForward(seat))) return;
    if (pair.term !== term || pair.role !== 'primary') return;
    mutations.openTerm();
    this.#settleAfterHold(seat);
  }

  /** What is dirty may be missing at those who were dropped; whatever comes now surely is. */
  async #noteMarks({ pair }: Seat, dropped: readonly number[]): Promise<void> {
    const { store } = this.#parts;
    const { gmap, group, term } = pair;
    const dirty = store.dirtyBlocks(gmap, group);
    for (const server of dropped) {
      if (dirty.length > 0 && this.#parts.options.plantedBug !== 'no-marks')
        await store.mark(gmap, group, pair.memberOf(server), dirty);
    }
    const { markedSince: before } = store.pairNote(gmap, group);
    const { members, inSync } = pair.record;
    const markedSince = members.map((server, at) => {
      if (dropped.includes(server)) return term;
      const isIn = inSync.some((one) => one.server === server);
      return isIn ? (0 as Term) : (before[at] ?? (0 as Term));
    });
    await store.setPair(gmap, group, { lastTerm: term, markedSince });
  }

  #settleAfterHold({ pair, mutations }: Seat): void {
    const { timers } = this.#parts.world;
    if (pair.holdUntilNs > 0) timers.at(pair.holdUntilNs as Nanos, mutations.settleAll);
    else mutations.settleAll();
  }

  /** A copy of a mutation failed. */
  copyFailed(seat: Seat, server: number): void {
    if (server !== this.#parts.self) return this.#background(this.drop(seat, server));
    seat.isBroken = true;
    seat.joining.clear();
    this.#background(this.stepDown(seat));
  }

  #background(story: Promise<unknown>): void {
    story.catch(this.#parts.failed);
  }
}
