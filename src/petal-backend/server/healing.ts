/**
 * Blocks that are damaged at rest: found by a read or a scrub, made whole from another copy.
 *
 * A store knows of each block which version it should be and what its sum is, also when the data
 * are gone (a sum that does not hold, a sector that cannot be read). So a copy from elsewhere is
 * judged by what is known here: it is taken if it has that version and that sum, whoever sends it,
 * in whatever term, and however late. Nothing else may be put in its place, for only the protocol
 * may change what a block is.
 *
 * ```
 * damaged -> ask each other member, those in sync first -> the very version, its sum holds
 *         -> lock, look whether the block is still that version and damaged -> written, durable
 *         -> read again; the next round of the scrub reads it from the disk
 * ```
 * The block is not locked while somebody is asked: a primary that waits for this server's copy of a
 * mutation holds the lock that the question needs there.
 *
 * If everybody else in sync has answered and nobody has it, it is *lost*: an error until it is
 * written again. It is never replaced by what is older. A member that is brought up to date is told
 * so (`isLost`), and has the version without data then: one block that is lost keeps nobody out of
 * the set in sync, and no damaged data are sent to anybody.
 *
 * One case is another one: what is dirty when a term begins was never acknowledged by all, and any
 * copy of one in sync may be the one that holds (`repairs.ts`). If the primary's own is damaged
 * there, it *adopts* that of another one in sync, whatever its version.
 */
import type { World } from '../../world/world.ts';
import { type ChunkStore, type StorePlace, StoreStatus } from '../store/chunk-store.ts';
import {
  type BlockVersion,
  type DirtyBlock,
  type FetchMessage,
  type Frame,
  type PetalMessage,
  PetalStatus,
  type RepairBlock,
} from '../wire/messages.ts';
import type { BlockLocks } from './block-locks.ts';
import type { Calls } from './calls.ts';
import { type PeerNet, type ServerOptions, serverName } from './ports.ts';
import type { Seat } from './seat.ts';
import { HeldBlock, nameOf, putBlock, readBlock, repairBlockOf } from './story-blocks.ts';

export interface HealingParts {
  readonly world: World;
  readonly store: ChunkStore;
  readonly net: PeerNet;
  readonly locks: BlockLocks;
  readonly calls: Calls;
  readonly options: ServerOptions;
}

/**
 * `whole`: it can be read now. `lost`: everybody else in sync has answered, and nobody has it.
 * `unknown`: somebody has not answered, or it could not be written.
 */
export type Healed = 'whole' | 'lost' | 'unknown';

interface Damage {
  readonly place: StorePlace;
  readonly version: BlockVersion;
}

/** A block as another member has it. `block`: null if it has lost it too. */
interface Copy {
  readonly term: number;
  readonly block: RepairBlock | null;
  readonly data: Uint8Array;
}

const NO_DATA = new Uint8Array(0);

export class Healing {
  readonly #parts: HealingParts;
  readonly #underWay = new Map<string, Promise<Healed>>();
  /** Blocks that could not be made whole, by pair and name: the version that is damaged. */
  readonly #damaged = new Map<Seat, Map<string, Damage>>();
  readonly #healed = new Map<Seat, number>();

  constructor(parts: HealingParts) {
    this.#parts = parts;
  }

  /** Makes a block whole that was found damaged. One at a time for each block. */
  heal(seat: Seat, block: DirtyBlock): Promise<Healed> {
    const { gmap, group } = seat.pair;
    const key = `${gmap}/${group}/${nameOf(block)}`;
    const known = this.#underWay.get(key);
    if (known !== undefined) return known;
    const healing = this.#heal(seat, block).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, healing);
    return healing;
  }

  /** Blocks of the pair that are damaged here and could not be made whole, as far as is known. */
  damagedOf(seat: Seat): number {
    const all = this.#damaged.get(seat);
    if (all === undefined) return 0;
    for (const [name, { place, version }] of all) {
      if (!isSame(this.#parts.store.facts(place).version, version)) all.delete(name);
    }
    return all.size;
  }

  /** Blocks of the pair that were made whole since this server has started. */
  healedOf(seat: Seat): number {
    return this.#healed.get(seat) ?? 0;
  }

  /** Another member has lost this block. */
  async answer(seat: Seat, server: number, asked: FetchMessage): Promise<void> {
    const { store, locks } = this.#parts;
    const { gmap, group, term } = seat.pair;
    const { id, block } = asked;
    const held = new HeldBlock(locks, asked);
    await held.acquire();
    try {
      const place = this.#placeOf(seat, asked);
      const facts = store.facts(place);
      const data = facts.hasData ? await readBlock(store, place) : NO_DATA;
      const isLost = facts.isLost || data === null;
      const status = isLost ? PetalStatus.ioError : PetalStatus.ok;
      const blocks = isLost ? [] : [repairBlockOf(block, facts)];
      const message = { kind: 'fetched', id, gmap, group, term, status, blocks } as const;
      this.#send(server, { message, payload: isLost ? NO_DATA : (data ?? NO_DATA) });
    } finally {
      held.release();
    }
  }

  /**
   * Takes what another one in sync has of a block that is dirty, whatever its version. The term
   * must not have begun to be served.
   */
  async adopt(seat: Seat, block: DirtyBlock, from: readonly number[]): Promise<Healed> {
    let answered = 0;
    for (const server of from) {
      const copy = await this.#ask(seat, server, block);
      if (copy === null || copy.term !== seat.pair.term) continue;
      answered++;
      if (copy.block === null) continue;
      const held = new HeldBlock(this.#parts.locks, block);
      await held.acquire();
      try {
        if ((await this.#put(seat, block, copy.block, copy.data, true)) === 'whole') return 'whole';
      } finally {
        held.release();
      }
    }
    return answered === from.length ? 'lost' : 'unknown';
  }

  async #heal(seat: Seat, block: DirtyBlock): Promise<Healed> {
    const { store } = this.#parts;
    const { pair } = seat;
    const place = this.#placeOf(seat, block);
    const { version, crc, isLost } = store.facts(place);
    const askedTerm = pair.term;
    const others = pair.others;
    const rest = pair.record.members.filter((one) => one !== pair.self && !others.includes(one));
    let answered = 0;
    for (const server of [...others, ...rest]) {
      const copy = await this.#ask(seat, server, block);
      if (copy !== null && others.includes(server)) answered++;
      const found = copy?.block ?? null;
      if (copy === null || found?.hasData !== true || !isSame(found.version, version)) continue;
      if (!isLost && found.crc !== crc) continue;
      if ((await this.#putIfStill(seat, block, found, copy.data)) !== 'whole') continue;
      this.#became(seat, block, null);
      this.#parts.world.log.note(`block ${nameOf(block)} is whole again, from s${server}`);
      return 'whole';
    }
    if (!isSame(store.facts(place).version, version)) return 'whole';
    this.#became(seat, block, { place, version });
    return answered === others.length && pair.term === askedTerm ? 'lost' : 'unknown';
  }

  async #putIfStill(
    seat: Seat,
    block: DirtyBlock,
    found: RepairBlock,
    data: Uint8Array,
  ): Promise<Healed> {
    const { store, locks } = this.#parts;
    const place = this.#placeOf(seat, block);
    const held = new HeldBlock(locks, block);
    await held.acquire();
    try {
      const facts = store.facts(place);
      // Somebody has written it meanwhile.
      if (!isSame(facts.version, found.version)) return 'whole';
      // The disk may have erred on the way only.
      if (!facts.isLost && (await readBlock(store, place)) !== null) return 'whole';
      return await this.#put(seat, block, found, data, facts.dirty);
    } finally {
      held.release();
    }
  }

  /** The block is locked. */
  async #put(
    seat: Seat,
    block: DirtyBlock,
    found: RepairBlock,
    data: Uint8Array,
    dirty: boolean,
  ): Promise<Healed> {
    const { store, world } = this.#parts;
    const { pair } = seat;
    const place = this.#placeOf(seat, block);
    const missing = pair.role === 'primary' ? pair.missingMask : 0;
    world.crashPoint('petal.before-heal');
    const status = await putBlock(store, place, found, data, { dirty, missing });
    if (status !== StoreStatus.ok) return 'unknown';
    // Who has come in meanwhile has it: nothing was written but what was there.
    for (const server of pair.role === 'primary' ? pair.others : []) {
      const member = pair.memberOf(server);
      if ((missing & (1 << member)) !== 0) store.arrived(member, place, found.version);
    }
    if (found.hasData && (await readBlock(store, place)) === null) return 'unknown';
    return 'whole';
  }

  /** What a member has of the block; null: no answer. */
  async #ask(
    seat: Seat,
    server: number,
    { vdisk, epoch, block }: DirtyBlock,
  ): Promise<Copy | null> {
    const { world, calls, options } = this.#parts;
    const { gmap, group, term } = seat.pair;
    const message = (id: number): PetalMessage => {
      return { kind: 'fetch', id, gmap, group, term, vdisk, epoch, block };
    };
    const reply = await calls.ask(server, message, NO_DATA, 2 * options.heartbeatNs);
    if (reply?.message.kind !== 'fetched') return null;
    const [found] = reply.message.blocks;
    const data = reply.payload;
    const isOther = found?.block !== block || found.isLost;
    // What was changed on the way, or is not what was asked for, is as good as no copy.
    const isWhole =
      found?.hasData !== true || world.digest.crc32(data, 0, data.length) === found.crc;
    const { term: theirs } = reply.message;
    return { term: theirs, block: isOther || !isWhole ? null : found, data };
  }

  #send(server: number, frame: Frame): void {
    this.#parts.net.send(serverName(server), frame);
  }

  #became(seat: Seat, block: DirtyBlock, damage: Damage | null): void {
    const all = this.#damaged.get(seat) ?? new Map<string, Damage>();
    this.#damaged.set(seat, all);
    if (damage !== null) all.set(nameOf(block), damage);
    else {
      all.delete(nameOf(block));
      this.#healed.set(seat, this.healedOf(seat) + 1);
    }
  }

  #placeOf({ pair }: Seat, { vdisk, epoch, block }: DirtyBlock): StorePlace {
    const { gmap, group } = pair;
    return { gmap, group, vdisk, epoch, block, blocks: 1 };
  }
}

function isSame(one: BlockVersion, other: BlockVersion): boolean {
  return one.term === other.term && one.n === other.n;
}
