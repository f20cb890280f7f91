/**
 * A guest VM that is hostile, for ever: it connects as any guest does and then does, by seed,
 * whatever it should not (`ring/hostile`, `store-pranks.ts`).
 *
 * Its life is one story that never ends:
 * ```
 * start over (state 1), wait for the offer
 *   sometimes: a prank in the store, and over again
 *   connect; step by step: honest requests, attacks, pauses
 *   the ring is dead (halted, closed, or it has had enough): over again
 * ```
 * Between attacks it sends honest requests: they keep the ring alive and are how it notices that
 * nobody serves it any more. Nothing it does may be noticed by another guest, and the driver VM
 * must live. What became of it all is told by `status`.
 */
import type { Prng } from '../base/prng.ts';
import { MS, type Nanos, NEVER } from '../base/units.ts';
import type { DomainLayout } from '../hypervisor/machine.ts';
import { FRONT_MOVES, type Move } from '../ring/hostile/front-moves.ts';
import type { HostileFront } from '../ring/hostile/hostile-front.ts';
import { GRANT_MOVES } from '../ring/hostile/hostile-grants.ts';
import type { HostedActor, StepResult } from '../world/actor.ts';
import type { World } from '../world/world.ts';
import { HostileConnector } from './hostile-connect.ts';
import { STORE_PRANKS } from './store-pranks.ts';

export interface HostileConfig {
  readonly kind: 'hostile';
  /** Attacks it may choose from, by number (`B5`, `G2`); empty: all. */
  readonly attacks: readonly string[];
  /** Longest time between two moves. */
  readonly pauseNs: number;
  /** Chance of a prank in the store before each connection. */
  readonly prankShare: number;
}

export interface HostileStatus {
  readonly moves: number;
  readonly pranks: number;
  readonly connections: number;
  /** Connections that the back end refused or did not answer. */
  readonly refusals: number;
  /** Rings that were not served any more. */
  readonly deadRings: number;
  readonly okay: number;
  readonly error: number;
  readonly notSupported: number;
}

/** An honest request that is not answered for this long means that the ring is dead. */
const DEAD_NS = 2 * MS;
const DEADLY_SHARE = 0.1;
const MOVE_COST_NS = 1000;
/** Indices begin this far before 2^32 in half of the connections. */
const WRAP_SLOTS = 100;
/** It leaves a ring that is served after a time of at most this. */
const BORED_NS = 40 * MS;
const MUTATOR_LIFE_NS = MS;
const MUTATORS_MAX = 4;

export class HostileGuest implements HostedActor {
  readonly #world: World;
  readonly #random: Prng;
  readonly #config: HostileConfig;
  readonly #connector: HostileConnector;
  readonly #moves: readonly Move[];
  #front: HostileFront | null = null;
  /** Called when the ring of now is given up. */
  #ringOver: () => void = () => undefined;
  #nextMoveNs: Nanos = 0 as Nanos;
  #calmAtNs = 0;
  #lastAnswerNs = 0;
  #boredAtNs = 0;
  #counts = {
    moves: 0,
    pranks: 0,
    connections: 0,
    refusals: 0,
    deadRings: 0,
    okay: 0,
    error: 0,
    notSupported: 0,
  };

  constructor(world: World, layout: DomainLayout, virtualDevice: number, config: HostileConfig) {
    this.#world = world;
    this.#config = config;
    this.#random = world.random.fork('hostile');
    this.#connector = new HostileConnector(
      world,
      layout,
      virtualDevice,
      this.#random.fork('connect'),
    );
    const all = [...FRONT_MOVES, ...GRANT_MOVES];
    const chosen = all.filter(({ attack }) => config.attacks.includes(attack));
    this.#moves = config.attacks.length === 0 ? all : chosen;
  }

  async start(): Promise<void> {
    for (;;) await this.#once();
  }

  step(_budget: number): StepResult {
    const front = this.#front;
    const nowNs = this.#world.clock.nowNs();
    if (front === null || nowNs < this.#nextMoveNs) return 'idle';
    this.#nextMoveNs = (nowNs + this.#random.below(this.#config.pauseNs) + 1) as Nanos;
    this.#world.cpu.spend(MOVE_COST_NS);
    this.#read(front, nowNs);
    front.tick();
    if (nowNs >= this.#calmAtNs) front.calm();
    if (this.#random.chance(0.5)) this.#beHonest(front);
    else this.#attack(front, nowNs);
    if (nowNs - this.#lastAnswerNs > DEAD_NS) {
      this.#counts.deadRings++;
      this.#giveUp();
    } else if (nowNs >= this.#boredAtNs) {
      this.#giveUp();
    }
    return 'idle';
  }

  nextDeadlineNs(): Nanos {
    return this.#front === null ? NEVER : this.#nextMoveNs;
  }

  checkInvariants(): void {}

  finished(): boolean {
    return false;
  }

  result(): unknown {
    return null;
  }

  readonly control: { readonly status: () => HostileStatus } & HostedActor['control'] = {
    status: (): HostileStatus => {
      const { tally } = this.#front ?? { tally: { okay: 0, error: 0, notSupported: 0 } };
      return {
        ...this.#counts,
        okay: this.#counts.okay + tally.okay,
        error: this.#counts.error + tally.error,
        notSupported: this.#counts.notSupported + tally.notSupported,
      };
    },
  };

  /** From one start of the handshake to the end of the ring, if there was one. */
  async #once(): Promise<void> {
    // The indices of half the rings pass 2^32.
    const early = this.#random.chance(0.5);
    const startIndex = early ? 2 ** 32 - this.#random.between(1, WRAP_SLOTS) : 0;
    if (!(await this.#connector.begin())) {
      this.#counts.refusals++;
      await this.#world.timers.sleep(MS);
      return;
    }
    const hands = await this.#connector.hands(startIndex);
    if (this.#random.chance(this.#config.prankShare)) {
      this.#counts.pranks++;
      await this.#random.pick(STORE_PRANKS).play(hands);
      return;
    }
    const front = await this.#connector.connect(hands, startIndex);
    if (front === null) {
      this.#counts.refusals++;
      return;
    }
    this.#counts.connections++;
    await this.#liveOn(front);
  }

  #liveOn(front: HostileFront): Promise<void> {
    const nowNs = this.#world.clock.nowNs();
    this.#lastAnswerNs = nowNs;
    this.#boredAtNs = nowNs + this.#random.below(BORED_NS);
    this.#nextMoveNs = nowNs;
    this.#front = front;
    return new Promise((resolve) => {
      this.#ringOver = resolve;
    });
  }

  #giveUp(): void {
    const front = this.#front;
    if (front === null) return;
    this.#front = null;
    this.#counts.okay += front.tally.okay;
    this.#counts.error += front.tally.error;
    this.#counts.notSupported += front.tally.notSupported;
    this.#ringOver();
  }

  #read(front: HostileFront, nowNs: number): void {
    const idle = front.freeSlots === front.slots;
    if (front.collect().length > 0 || idle) this.#lastAnswerNs = nowNs;
  }

  #beHonest(front: HostileFront): void {
    const burst = Math.min(front.freeSlots, this.#random.between(1, 8));
    for (let i = 0; i < burst; i++) front.put(front.honest());
    front.publish();
  }

  /** A move that may end the ring is chosen rarely: on a dead ring nothing else can be tried. */
  #choose(): Move {
    const move = this.#random.pick(this.#moves);
    const deadly = move.outcome === 'halt' || move.outcome === 'harmless';
    const again = deadly && !this.#random.chance(DEADLY_SHARE);
    return again ? this.#random.pick(this.#moves) : move;
  }

  #attack(front: HostileFront, nowNs: number): void {
    this.#counts.moves++;
    this.#choose().apply(front);
    // The newest few go on; their number is the cost of each of its steps.
    front.mutators.splice(0, Math.max(0, front.mutators.length - MUTATORS_MAX));
    this.#calmAtNs = nowNs + MUTATOR_LIFE_NS;
  }
}
