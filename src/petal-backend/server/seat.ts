/**
 * A server's place in one pair: what it knows of it, what it does there, and when it heard of whom.
 */
import type { World } from '../../world/world.ts';
import type { PairView } from '../directory/pair-directory.ts';
import { type MutationParts, PrimaryMutations } from './mutations.ts';
import { Pair } from './pair.ts';

export class Seat {
  readonly pair: Pair;
  readonly mutations: PrimaryMutations;
  /**
   * When each other member was last heard of, by this server's clock, without the time in which it
   * stood still itself.
   */
  readonly #heardNs = new Map<number, number>();
  readonly #world: World;
  /** Members that are being brought up to date, by the life in which they asked for it. */
  readonly joining: Map<number, number> = new Map();
  /** One change of the pair at a time. */
  changing = false;
  /** A mutation is on some copies and not on the own one: this server must not go on as primary. */
  isBroken = false;
  /** What the directory says of the pair has been acted upon. */
  isEntered = false;
  askedToRejoinNs: number = Number.NEGATIVE_INFINITY;
  /** When this server learned of the term, or last tried to hand the pair back. */
  steadySinceNs = 0;
  /** No mutation is begun: the pair is being handed back. */
  isDraining = false;

  constructor(parts: MutationParts, view: PairView, self: number, incarnation: number) {
    this.#world = parts.world;
    this.pair = new Pair(view, self, incarnation);
    this.mutations = new PrimaryMutations(parts, this.pair);
    for (const server of view.record.members) this.heard(server);
  }

  /** A new term: whatever was wrong before, and whoever was silent, counts from now on. */
  began(): void {
    this.isEntered = true;
    this.isBroken = false;
    this.steadySinceNs = this.#world.clock.nowNs();
    for (const server of this.pair.record.members) this.heard(server);
  }

  heard(server: number): void {
    this.#heardNs.set(server, this.#world.clock.nowNs());
  }

  /** This server has not listened for so long: nobody was silent in that time. */
  stoodStill(forNs: number): void {
    const nowNs = this.#world.clock.nowNs();
    for (const [server, heardNs] of this.#heardNs) {
      this.#heardNs.set(server, Math.min(nowNs, heardNs + forNs));
    }
  }

  /** How long a member has not been heard of. */
  silenceNs(server: number): number {
    return this.#world.clock.nowNs() - (this.#heardNs.get(server) ?? 0);
  }
}

export function seatKey(gmap: number, group: number): number {
  return gmap * 2 ** 16 + group;
}
