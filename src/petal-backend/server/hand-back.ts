/**
 * Gives the part of the primary back to the map's first choice, so that after a failure the load is
 * even again.
 *
 * ```
 * wait    all members are in sync, the first choice answers, and the term is old enough
 * drain   no mutation is begun (clients are told: later); those under way end, or it is given up
 * tell    everybody in sync that all is committed: nothing is dirty when the next term begins
 * change  one compare-and-swap; the next primary is told that there is a term to look at
 * ```
 * A write waits as long as that takes, and is sent again by its client: none is lost, for what was
 * under way is decided before. If a step fails this server goes on as the primary, and tries again
 * when another `handBackNs` have passed. A first choice that comes and goes so changes a pair at
 * most once in that time, and a server hands back one pair at a time.
 */
import type { World } from '../../world/world.ts';
import type { ChunkStore } from '../store/chunk-store.ts';
import type { PetalMessage } from '../wire/messages.ts';
import type { Calls } from './calls.ts';
import type { Membership } from './membership.ts';
import type { ServerOptions } from './ports.ts';
import { FIRST } from './repairs.ts';
import type { Seat } from './seat.ts';

export interface HandBackParts {
  readonly world: World;
  readonly store: ChunkStore;
  readonly calls: Calls;
  readonly membership: Membership;
  readonly options: ServerOptions;
}

const NO_DATA = new Uint8Array(0);
/** Looks during a drain. */
const LOOKS = 32;

export class HandBack {
  readonly #parts: HandBackParts;
  #isBusy = false;

  constructor(parts: HandBackParts) {
    this.#parts = parts;
  }

  /** Whether this server is to hand back the pair now. */
  isDue(seat: Seat, nowNs: number): boolean {
    const { options } = this.#parts;
    const { pair, mutations } = seat;
    const { members, inSync } = pair.record;
    const [first] = members;
    if (first === undefined || first === pair.self || pair.role !== 'primary') return false;
    if (this.#isBusy || seat.changing || !mutations.isOpen) return false;
    if (inSync.length < members.length || nowNs < seat.steadySinceNs + options.handBackNs) {
      return false;
    }
    return seat.silenceNs(first) < 3 * options.heartbeatNs;
  }

  async run(seat: Seat): Promise<void> {
    const { world, membership } = this.#parts;
    const { pair } = seat;
    const { term } = pair;
    const first = pair.record.members[0] as number;
    this.#isBusy = true;
    seat.isDraining = true;
    try {
      if (!(await this.#drained(seat))) return;
      if (!(await this.#told(seat, pair.others))) return;
      if (pair.term === term) await membership.handBack(seat, first);
      // Who hears of a higher term looks at the record.
      if (pair.term > term) await this.#told(seat, [first]);
    } finally {
      seat.isDraining = false;
      seat.steadySinceNs = world.clock.nowNs();
      this.#isBusy = false;
    }
  }

  /** Nothing is under way. It does not take longer than two heartbeats, or is given up. */
  async #drained({ pair, mutations }: Seat): Promise<boolean> {
    const { world, options } = this.#parts;
    const { term } = pair;
    for (let i = 0; i < LOOKS; i++) {
      if (pair.term !== term || !mutations.isOpen) return false;
      if (mutations.underWay === 0) return true;
      await world.timers.sleep((2 * options.heartbeatNs) / LOOKS);
    }
    return false;
  }

  async #told({ pair, mutations }: Seat, servers: readonly number[]): Promise<boolean> {
    const { store, calls, options } = this.#parts;
    const { gmap, group, term } = pair;
    const { committed } = mutations;
    if (mutations.isOpen) store.commit(gmap, group, committed);
    const wantsDirty = false;
    const message = (id: number): PetalMessage => {
      return { kind: 'probe', id, gmap, group, term, committed, wantsDirty, after: FIRST };
    };
    const asked = servers.map((server) =>
      calls.ask(server, message, NO_DATA, 2 * options.heartbeatNs),
    );
    return (await Promise.all(asked)).every((reply) => reply !== null);
  }
}
