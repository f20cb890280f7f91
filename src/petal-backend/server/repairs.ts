/**
 * Bringing a copy up to date: a member that comes back, and what is dirty when a term begins.
 *
 * ```
 * member   rejoin: its life, the last term in which it had everything
 * primary  sends it every new mutation from now on
 *          what it lacks is marked: since it was dropped, or else everything there is
 *          what is dirty there (it is asked) was never acknowledged: marked too, and replaced in
 *          any version
 *          repairs, some blocks at a time, until little more is marked than what is under way
 *          from now on it is waited for like one in sync; what is still marked is sent
 *          the directory: in sync, a new term
 * ```
 * A block is locked while it is read and sent: no mutation of it is under way, and the copy that
 * arrives is the newest.
 */
import { type Incarnation, type Term, u32 } from '../../base/units.ts';
import type { World } from '../../world/world.ts';
import type { ChunkStore, StorePlace } from '../store/chunk-store.ts';
import { DIRTY_BLOCKS_MAX } from '../wire/message-rules.ts';
import {
  type BlockVersion,
  CHUNK_BLOCKS,
  type DirtyBlock,
  type PetalMessage,
  PetalStatus,
  type RejoinMessage,
  type RepairBlock,
} from '../wire/messages.ts';
import type { BlockLocks } from './block-locks.ts';
import type { Calls } from './calls.ts';
import type { Healed, Healing } from './healing.ts';
import type { Membership } from './membership.ts';
import type { Joiner } from './mutations.ts';
import type { ServerOptions } from './ports.ts';
import type { Seat } from './seat.ts';
import { HeldBlock, nameOf, readBlock, repairBlockOf } from './story-blocks.ts';

const NO_DATA = new Uint8Array(0);
const DIRTY_TRIES = 5;
/** In front of every block. */
export const FIRST: DirtyBlock = { vdisk: 0, epoch: 0, block: 0 };

export interface RepairParts {
  readonly world: World;
  readonly store: ChunkStore;
  readonly locks: BlockLocks;
  readonly calls: Calls;
  readonly healing: Healing;
  readonly options: ServerOptions;
  readonly membership: () => Membership;
}

export class Repairs {
  readonly #parts: RepairParts;

  constructor(parts: RepairParts) {
    this.#parts = parts;
  }

  /** A member wants to come back: settles when it is in sync, or not. */
  async join(seat: Seat, server: number, asked: RejoinMessage): Promise<void> {
    const { pair, mutations, joining } = seat;
    const member = pair.memberOf(server);
    const was = pair.record.inSync.find((one) => one.server === server);
    // Of a life that is over.
    if (was !== undefined && was.incarnation >= asked.incarnation) return;
    // Its life before was the primary, and this one cannot go on.
    const isOrphan = pair.role === 'secondary' && server === pair.record.primary;
    if (isOrphan) return await this.#parts.membership().takeOver(seat);
    if (pair.role !== 'primary' || !mutations.isOpen || member < 0) return;
    if (joining.get(server) === asked.incarnation) return;
    // Its life before was in sync, and nobody has missed it: this one is not.
    if (was !== undefined) {
      await this.#parts.membership().drop(seat, server);
      if (!mutations.isOpen || pair.others.includes(server)) return;
    }
    joining.set(server, asked.incarnation);
    const joiner = mutations.addJoiner(server);
    try {
      const forced = await this.#markWhatItLacks(seat, member, asked);
      if (forced === null) return;
      if (!(await this.#sendMost(seat, joiner, asked.incarnation, forced))) return;
      if (!(await this.#sendRest(seat, joiner, asked.incarnation, forced))) return;
      const joined = { server, incarnation: u32<Incarnation>(asked.incarnation) };
      await this.#parts.membership().admit(seat, joined);
    } finally {
      if (joining.get(server) === asked.incarnation) joining.delete(server);
      mutations.removeJoiner(joiner);
    }
  }

  /**
   * What is dirty here, or at another one that is in sync, was never acknowledged, and not all of
   * them need have it: what the primary of this term has of it goes to all. Nobody may show any of
   * it before. False: the term is over.
   */
  async rollForward(seat: Seat): Promise<boolean> {
    const { store } = this.#parts;
    const { pair } = seat;
    const { gmap, group, term } = pair;
    const goesOn = (): boolean => pair.term === term && pair.role === 'primary';
    const dirty = new Map(store.dirtyBlocks(gmap, group).map((block) => [nameOf(block), block]));
    for (const server of pair.others) {
      const asked = async (): Promise<boolean> => {
        const theirs = await this.#dirtyOf(seat, server, null);
        for (const block of theirs ?? []) dirty.set(nameOf(block), block);
        return theirs !== null;
      };
      if (!(await this.#until(goesOn, asked))) return false;
    }
    for (const block of dirty.values()) {
      for (const server of pair.others) {
        const sent = (): Promise<boolean> => this.#send(seat, server, block, true, null);
        if (!(await this.#until(goesOn, sent))) return false;
      }
    }
    return goesOn();
  }

  /** Tries until it is done, or there is no reason to any more. */
  async #until(goesOn: () => boolean, tries: () => Promise<boolean>): Promise<boolean> {
    const { world, options } = this.#parts;
    while (goesOn()) {
      if (await tries()) return true;
      await world.timers.sleep(options.heartbeatNs);
    }
    return false;
  }

  /** All that is dirty at another server, page by page; null: it cannot tell now. */
  async #dirtyOf(
    { pair }: Seat,
    server: number,
    incarnation: number | null,
  ): Promise<readonly DirtyBlock[] | null> {
    const { calls, options } = this.#parts;
    const { gmap, group, term } = pair;
    const dirty: DirtyBlock[] = [];
    let after: DirtyBlock = FIRST;
    for (;;) {
      const message = (id: number): PetalMessage => {
        const committed = { term: 0 as Term, n: 0 };
        return { kind: 'probe', id, gmap, group, term, wantsDirty: true, committed, after };
      };
      const reply = await calls.ask(server, message, NO_DATA, options.silenceNs);
      const page = reply?.message;
      if (page?.kind !== 'probed' || page.term !== term) return null;
      if (incarnation !== null && page.incarnation !== incarnation) return null;
      dirty.push(...page.dirty);
      if (page.dirty.length < DIRTY_BLOCKS_MAX) return dirty;
      const last = page.dirty.at(-1) as DirtyBlock;
      // Who goes in circles tells nothing.
      if (!isBehind(last, after)) return null;
      after = last;
    }
  }

  /** The blocks that are replaced whatever their version; null: it cannot go on now. */
  async #markWhatItLacks(
    seat: Seat,
    member: number,
    asked: RejoinMessage,
  ): Promise<ReadonlySet<string> | null> {
    const { world, store, options } = this.#parts;
    const { pair } = seat;
    const { gmap, group } = pair;
    const { markedSince } = store.pairNote(gmap, group);
    const since = markedSince[member] ?? (0 as Term);
    const isDelta = since > 0 && asked.lastTerm >= since - 1;
    if (!isDelta) await store.markAll(gmap, group, member);
    if (options.plantedBug === 'keeps-dirty') return new Set();
    const server = pair.record.members[member] as number;
    let dirty: readonly DirtyBlock[] | null = null;
    for (let i = 0; dirty === null && i < DIRTY_TRIES; i++) {
      // It may not have heard of this term yet.
      if (i > 0) await world.timers.sleep(options.heartbeatNs);
      dirty = await this.#dirtyOf(seat, server, asked.incarnation);
    }
    if (dirty === null || pair.role !== 'primary') return null;
    if (options.plantedBug === 'primary-wins' && member === 0) {
      for (const block of dirty) await this.#parts.healing.adopt(seat, block, [server]);
    }
    if (dirty.length > 0) await store.mark(gmap, group, member, dirty);
    return new Set(dirty.map(nameOf));
  }

  /**
   * True: no more is marked as missing there than what is under way, which goes there too, and a
   * little. Under load that never becomes nothing.
   */
  async #sendMost(
    seat: Seat,
    joiner: Joiner,
    incarnation: number,
    forced: ReadonlySet<string>,
  ): Promise<boolean> {
    const { store, options } = this.#parts;
    const { pair, mutations } = seat;
    const member = pair.memberOf(joiner.server);
    for (;;) {
      const most = options.repairBlocks + CHUNK_BLOCKS * mutations.underWay;
      const blocks = store.missingOf(pair.gmap, pair.group, member, most);
      if (blocks.length < most) return this.#isJoining(seat, joiner, incarnation);
      if (!(await this.#sendAll(seat, joiner, incarnation, forced, blocks))) return false;
    }
  }

  /**
   * What is marked as missing there now. Of what is begun from now on nothing is answered before
   * it is there: so then it has everything that was ever answered.
   */
  async #sendRest(
    seat: Seat,
    joiner: Joiner,
    incarnation: number,
    forced: ReadonlySet<string>,
  ): Promise<boolean> {
    const { pair } = seat;
    joiner.required = true;
    const member = pair.memberOf(joiner.server);
    const blocks = this.#parts.store.missingOf(
      pair.gmap,
      pair.group,
      member,
      Number.POSITIVE_INFINITY,
    );
    return await this.#sendAll(seat, joiner, incarnation, forced, blocks);
  }

  /** `repairBlocks` at a time. False: it cannot go on now. */
  async #sendAll(
    seat: Seat,
    joiner: Joiner,
    incarnation: number,
    forced: ReadonlySet<string>,
    blocks: readonly DirtyBlock[],
  ): Promise<boolean> {
    const { repairBlocks } = this.#parts.options;
    const member = seat.pair.memberOf(joiner.server);
    for (let from = 0; from < blocks.length; from += repairBlocks) {
      const sent = await Promise.all(
        blocks
          .slice(from, from + repairBlocks)
          .map((block) =>
            this.#send(seat, joiner.server, block, forced.has(nameOf(block)), member),
          ),
      );
      if (sent.some((one) => !one) || !this.#isJoining(seat, joiner, incarnation)) return false;
    }
    return this.#isJoining(seat, joiner, incarnation);
  }

  #isJoining({ pair, joining }: Seat, { server }: Joiner, incarnation: number): boolean {
    return pair.role === 'primary' && joining.get(server) === incarnation;
  }

  /**
   * Sends one block as it is here. `arrivedAt`: the member that has it then; null: a term begins,
   * and nobody has seen any version of the block yet.
   */
  async #send(
    seat: Seat,
    server: number,
    block: DirtyBlock,
    force: boolean,
    arrivedAt: number | null,
  ): Promise<boolean> {
    const { store, locks, healing } = this.#parts;
    const { gmap, group, others } = seat.pair;
    const place: StorePlace = { ...block, gmap, group, blocks: 1 };
    let healed: Healed | null = null;
    let lost: BlockVersion | null = null;
    for (;;) {
      const held = new HeldBlock(locks, block);
      await held.acquire();
      try {
        const facts = store.facts(place);
        const known = { ...repairBlockOf(block.block, facts), force };
        const data = facts.isLost ? null : facts.hasData ? await readBlock(store, place) : NO_DATA;
        const { version } = facts;
        const isLost = lost?.term === version.term && lost.n === version.n;
        if (data !== null) return await this.#deliver(seat, server, place, known, data, arrivedAt);
        if (isLost) {
          const without = { ...known, hasData: false, isLost };
          return await this.#deliver(seat, server, place, without, NO_DATA, arrivedAt);
        }
        if (healed !== null) return false;
        lost = version;
      } finally {
        held.release();
      }
      healed =
        arrivedAt === null
          ? await healing.adopt(seat, block, others)
          : await healing.heal(seat, block);
      if (healed === 'unknown') return false;
      if (healed === 'whole') lost = null;
    }
  }

  /** The block is locked: nothing of it is under way, and what arrives is the newest. */
  async #deliver(
    { pair }: Seat,
    server: number,
    place: StorePlace,
    block: RepairBlock,
    data: Uint8Array,
    arrivedAt: number | null,
  ): Promise<boolean> {
    const { store, calls, options } = this.#parts;
    const { gmap, group, term } = pair;
    const { vdisk, epoch } = place;
    const blocks = [block];
    const message = (id: number): PetalMessage => {
      return { kind: 'repair', id, gmap, group, term, vdisk, epoch, blocks };
    };
    const reply = await calls.ask(server, message, data, options.silenceNs);
    const answer = reply?.message;
    if (answer?.kind !== 'repaired' || answer.status !== PetalStatus.ok) return false;
    if (arrivedAt !== null) store.arrived(arrivedAt, place, block.version);
    return true;
  }
}

function isBehind(one: DirtyBlock, other: DirtyBlock): boolean {
  return orderOf(one, other) > 0;
}

/** Blocks are named in this order, page by page. */
export function orderOf(one: DirtyBlock, other: DirtyBlock): number {
  return one.vdisk - other.vdisk || one.epoch - other.epoch || one.block - other.block;
}
