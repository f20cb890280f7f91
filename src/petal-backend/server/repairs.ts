/**
 * Bringing a copy up to date: a member that comes back, and what is dirty when a term begins.
 *
 * ```
 * member   rejoin: its life, the last term in which it had everything, what is dirty there
 * primary  sends it every new mutation from now on
 *          what it lacks is marked: since it was dropped, or else everything there is
 *          what is dirty there was never acknowledged: marked too, and replaced in any version
 *          repairs, some blocks at a time, until nothing is marked
 *          from now on it is waited for like one in sync; once more until nothing is marked
 *          the directory: in sync, a new term
 * ```
 * A block is locked while it is read and sent: no mutation of it is under way, and the copy that
 * arrives is the newest.
 */
import type { Term } from '../../base/units.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { World } from '../../world/world.ts';
import {
  type BlockFacts,
  type ChunkStore,
  type StorePlace,
  StoreStatus,
} from '../store/chunk-store.ts';
import {
  type DirtyBlock,
  type PetalMessage,
  PetalStatus,
  type RejoinMessage,
  type RepairBlock,
  type RepairMessage,
} from '../wire/messages.ts';
import type { BlockLocks, LockOwner } from './block-locks.ts';
import type { Calls } from './calls.ts';
import type { Membership } from './membership.ts';
import type { Joiner } from './mutations.ts';
import type { ServerOptions } from './ports.ts';
import type { Seat } from './seat.ts';

const NO_DATA = new Uint8Array(0);

export interface RepairParts {
  readonly world: World;
  readonly store: ChunkStore;
  readonly locks: BlockLocks;
  readonly calls: Calls;
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
    if (pair.role !== 'primary' || !mutations.isOpen) return;
    const member = pair.memberOf(server);
    if (member < 0 || pair.isInSync(server, asked.incarnation)) return;
    if (joining.get(server) === asked.incarnation) return;
    // Its life before was in sync, and nobody has missed it: this one is not.
    if (pair.others.includes(server)) {
      await this.#parts.membership().drop(seat, server);
      if (!mutations.isOpen || pair.others.includes(server)) return;
    }
    joining.set(server, asked.incarnation);
    const joiner = mutations.addJoiner(server);
    try {
      const forced = await this.#markWhatItLacks(seat, member, asked);
      if (!(await this.#sendMissing(seat, joiner, asked.incarnation, forced))) return;
      joiner.required = true;
      if (!(await this.#sendMissing(seat, joiner, asked.incarnation, forced))) return;
      const joined = { server, incarnation: asked.incarnation };
      await this.#parts.membership().admit(seat, joined);
    } finally {
      if (joining.get(server) === asked.incarnation) joining.delete(server);
      mutations.removeJoiner(server);
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
        const theirs = await this.#dirtyOf(seat, server);
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

  async #dirtyOf({ pair }: Seat, server: number): Promise<readonly DirtyBlock[] | null> {
    const { calls, options } = this.#parts;
    const { gmap, group, term } = pair;
    const message = (id: number): PetalMessage => ({
      kind: 'probe',
      id,
      gmap,
      group,
      term,
      wantsDirty: true,
      committed: { term: 0 as Term, n: 0 },
    });
    const answer = await calls.ask(server, message, NO_DATA, options.silenceNs);
    return answer?.kind === 'probed' && answer.term === term ? answer.dirty : null;
  }

  /** The blocks that are replaced whatever their version. */
  async #markWhatItLacks(
    { pair }: Seat,
    member: number,
    asked: RejoinMessage,
  ): Promise<ReadonlySet<string>> {
    const { store } = this.#parts;
    const { gmap, group } = pair;
    const { markedSince } = store.pairNote(gmap, group);
    const since = markedSince[member] ?? (0 as Term);
    const isDelta = since > 0 && asked.lastTerm >= since - 1;
    if (!isDelta) await store.markAll(gmap, group, member);
    if (asked.dirty.length > 0) await store.mark(gmap, group, member, asked.dirty);
    return new Set(asked.dirty.map(nameOf));
  }

  /** True: nothing is marked as missing there. False: it cannot go on now. */
  async #sendMissing(
    seat: Seat,
    joiner: Joiner,
    incarnation: number,
    forced: ReadonlySet<string>,
  ): Promise<boolean> {
    const { store, options } = this.#parts;
    const { pair, joining } = seat;
    const { gmap, group } = pair;
    const member = pair.memberOf(joiner.server);
    for (;;) {
      const blocks = store.missingOf(gmap, group, member, options.repairBlocks);
      if (blocks.length === 0) return true;
      const sent = await Promise.all(
        blocks.map((block) =>
          this.#send(seat, joiner.server, block, forced.has(nameOf(block)), member),
        ),
      );
      if (pair.role !== 'primary' || joining.get(joiner.server) !== incarnation) return false;
      if (sent.some((one) => !one)) return false;
    }
  }

  /** Sends one block as it is here. `arrivedAt`: the member that has it then. */
  async #send(
    seat: Seat,
    server: number,
    { vdisk, epoch, block }: DirtyBlock,
    force: boolean,
    arrivedAt: number | null,
  ): Promise<boolean> {
    const { store, locks, calls, options } = this.#parts;
    const { gmap, group, term } = seat.pair;
    const place: StorePlace = { gmap, group, vdisk, epoch, block, blocks: 1 };
    const held = new Held(vdisk, block);
    if (!locks.acquire(held)) await held.isHeld;
    try {
      const facts = store.facts(place);
      const data = facts.hasData ? await this.#read(place) : NO_DATA;
      if (data === null) return false;
      const blocks = [repairOf(block, facts, force)];
      const message = (id: number): RepairMessage => ({
        kind: 'repair',
        id,
        gmap,
        group,
        term,
        vdisk,
        epoch,
        blocks,
      });
      const answer = await calls.ask(server, message, data, options.silenceNs);
      if (answer?.kind !== 'repaired' || answer.status !== PetalStatus.ok) return false;
      if (arrivedAt !== null) store.arrived(arrivedAt, place, facts.version);
      return true;
    } finally {
      locks.release(held);
    }
  }

  #read(place: StorePlace): Promise<Uint8Array | null> {
    const data = new Uint8Array(BLOCK_BYTES);
    return new Promise((resolve) => {
      const storeDone = (status: StoreStatus): void => {
        resolve(status === StoreStatus.ok ? data : null);
      };
      this.#parts.store.read({ ...place, data, storeDone });
    });
  }
}

/** A lock of a story. */
class Held implements LockOwner {
  readonly vdisk: number;
  readonly block: number;
  readonly blocks = 1;
  #settle: () => void = () => undefined;
  readonly isHeld: Promise<void> = new Promise((resolve) => {
    this.#settle = resolve;
  });

  constructor(vdisk: number, block: number) {
    this.vdisk = vdisk;
    this.block = block;
  }

  locked(): void {
    this.#settle();
  }
}

function repairOf(block: number, facts: BlockFacts, force: boolean): RepairBlock {
  const { version, conditionalVersion, crc, hasData, origin } = facts;
  const { session, seq } = origin;
  return { block, version, conditionalVersion, crc, hasData, force, session, seq };
}

function nameOf({ vdisk, epoch, block }: DirtyBlock): string {
  return `${vdisk}/${epoch}/${block}`;
}
