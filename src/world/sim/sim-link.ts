/**
 * Links of the simulator: a path with two directions, each with parameters and faults of its own.
 *
 * A path belongs to the network, not to an actor: it is named after the actor and the link
 * (`g0/control`) and stays, cut or slow as it is, when the actor's next incarnation uses it.
 *
 * A frame is copied when it is sent. It leaves when the direction has sent what came before it
 * (bandwidth), travels `latencyNs` plus a draw up to `jitterNs`, and arrives as an event of its
 * receiver. With `inOrder` jitter cannot make one frame overtake another; `reorder` still can. A
 * *cut* direction loses what is sent into it and what would arrive out of it; it may be cut for
 * some frames only. A *clogged* one holds what would arrive, and lets it through in order when it
 * is unclogged.
 *
 * The default is what an in-process control link is: nothing lost, in order, 20 us.
 */
import type { Prng } from '../../base/prng.ts';
import type { Link } from '../world.ts';
import { EventKind } from './event-queue.ts';
import type { Incarnation } from './incarnation.ts';
import type { Kernel } from './kernel.ts';
import { simDigest } from './sim-digest.ts';

export interface LinkParameters {
  readonly latencyNs: number;
  readonly jitterNs: number;
  /** 0: as fast as one likes. */
  readonly bytesPerMicrosecond: number;
  /** Chance of a frame to be lost, to arrive twice, to be late by up to `reorderNs`. */
  readonly loss: number;
  readonly duplicate: number;
  readonly reorder: number;
  readonly reorderNs: number;
  readonly inOrder: boolean;
}

const DEFAULT_LINK_PARAMETERS: LinkParameters = {
  latencyNs: 20_000,
  jitterNs: 0,
  bytesPerMicrosecond: 0,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  reorderNs: 200_000,
  inOrder: true,
};

export interface LinkCounts {
  sent: number;
  delivered: number;
  lost: number;
  duplicated: number;
  reordered: number;
}

interface HeldFrame {
  readonly frame: Uint8Array;
  readonly target: LinkEnd;
}

/** One direction of a path. */
export class LinkDirection {
  readonly counts: LinkCounts = { sent: 0, delivered: 0, lost: 0, duplicated: 0, reordered: 0 };
  readonly #kernel: Kernel;
  readonly #random: Prng;
  #parameters: LinkParameters = DEFAULT_LINK_PARAMETERS;
  #cut = false;
  /** Frames that do not come through; null: all do. */
  #cutSome: ((frame: Uint8Array) => boolean) | null = null;
  #clogged = false;
  #held: HeldFrame[] = [];
  #freeAtNs = 0;
  /** Arrival of the last frame that keeps order. */
  #lastArrivalNs = -1;
  /** Frames that were held arrive up to this time; those that keep order come after it. */
  #releasedUntilNs = -1;

  constructor(kernel: Kernel, name: string) {
    this.#kernel = kernel;
    this.#random = kernel.stream(`link/${name}`);
  }

  get parameters(): LinkParameters {
    return this.#parameters;
  }

  /** Changes some parameters; frames under way keep the time they have. */
  set(parameters: Partial<LinkParameters>): void {
    this.#parameters = { ...this.#parameters, ...parameters };
  }

  cut(): void {
    this.#cut = true;
  }

  /** Loses frames that match from now on; null: none. */
  cutSome(matches: ((frame: Uint8Array) => boolean) | null): void {
    this.#cutSome = matches;
  }

  heal(): void {
    this.#cut = false;
  }

  clog(): void {
    this.#clogged = true;
  }

  unclog(): void {
    this.#clogged = false;
    const held = this.#held;
    this.#held = [];
    let arrivalNs = Math.max(this.#kernel.nowNs, this.#releasedUntilNs);
    for (const { frame, target } of held) this.#scheduleArrival(++arrivalNs, frame, target, true);
    this.#releasedUntilNs = arrivalNs;
  }

  /** Sends a frame at `sendNs`, which may be later than now if its sender is busy. */
  send(frame: Uint8Array, sendNs: number, target: LinkEnd): void {
    const { bytesPerMicrosecond, loss, duplicate } = this.#parameters;
    this.counts.sent++;
    const leaveNs = Math.max(sendNs, this.#freeAtNs);
    const transferNs =
      bytesPerMicrosecond === 0 ? 0 : Math.ceil((frame.length * 1_000) / bytesPerMicrosecond);
    this.#freeAtNs = leaveNs + transferNs;
    if (this.#loses(frame) || (loss > 0 && this.#random.chance(loss))) {
      this.counts.lost++;
      return;
    }
    this.#travel(frame, target);
    if (duplicate === 0 || !this.#random.chance(duplicate)) return;
    this.counts.duplicated++;
    this.#travel(frame, target);
  }

  /** Sends one copy on its way, from when the direction is free. */
  #travel(frame: Uint8Array, target: LinkEnd): void {
    const { latencyNs, jitterNs, reorder, reorderNs, inOrder } = this.#parameters;
    let arrivalNs = this.#freeAtNs + latencyNs;
    if (jitterNs > 0) arrivalNs += this.#random.below(jitterNs + 1);
    if (reorder > 0 && this.#random.chance(reorder)) {
      this.counts.reordered++;
      arrivalNs += this.#random.between(1, reorderNs);
    } else if (inOrder) {
      arrivalNs = Math.max(arrivalNs, this.#lastArrivalNs + 1);
      this.#lastArrivalNs = arrivalNs;
    }
    this.#scheduleArrival(arrivalNs, frame.slice(), target, false);
  }

  /** `released`: the frame has its place behind those that were held before it. */
  #scheduleArrival(arrivalNs: number, frame: Uint8Array, target: LinkEnd, released: boolean): void {
    const arrive = (): void => this.#arrive(frame, target, released);
    const crc = simDigest.crc32(frame, 0, frame.length);
    const { owner } = target;
    this.#kernel.schedule(arrivalNs, EventKind.frame, owner, arrive, frame.length, crc);
  }

  #arrive(frame: Uint8Array, target: LinkEnd, released: boolean): void {
    if (this.#loses(frame)) {
      this.counts.lost++;
    } else if (this.#clogged) {
      this.#held.push({ frame, target });
    } else if (!released && this.#parameters.inOrder && this.#isOvertaking()) {
      this.#scheduleArrival(++this.#releasedUntilNs, frame, target, true);
    } else {
      this.counts.delivered++;
      target.deliver(frame);
    }
  }

  #loses(frame: Uint8Array): boolean {
    return this.#cut || this.#cutSome?.(frame) === true;
  }

  /** Whether frames that were held before this one have yet to arrive. */
  #isOvertaking(): boolean {
    return this.#kernel.nowNs < this.#releasedUntilNs;
  }
}

/** The two directions of a link of an actor, as seen from the actor. */
export class LinkPath {
  readonly name: string;
  readonly toActor: LinkDirection;
  readonly fromActor: LinkDirection;

  constructor(kernel: Kernel, name: string) {
    this.name = name;
    this.toActor = new LinkDirection(kernel, `${name}/to-actor`);
    this.fromActor = new LinkDirection(kernel, `${name}/from-actor`);
  }

  get directions(): readonly [LinkDirection, LinkDirection] {
    return [this.toActor, this.fromActor];
  }

  /** Makes the two ends for a new incarnation. The far end is nobody's: it never dies. */
  connect(kernel: Kernel, actor: Incarnation): { readonly near: Link; readonly far: Link } {
    const near = new LinkEnd(kernel, this.fromActor, actor);
    const far = new LinkEnd(kernel, this.toActor, null);
    near.peer = far;
    far.peer = near;
    return { near, far };
  }
}

/** Which end of a path between two actors. */
export type PathSide = 0 | 1;

/** A path between two actors, each of which comes and goes by itself. */
export class ActorPath {
  /** From side 0 to side 1, and back. */
  readonly directions: readonly [LinkDirection, LinkDirection];
  readonly #kernel: Kernel;
  readonly #ends: [LinkEnd | null, LinkEnd | null] = [null, null];

  constructor(kernel: Kernel, one: string, other: string) {
    this.#kernel = kernel;
    this.directions = [
      new LinkDirection(kernel, `${one}->${other}`),
      new LinkDirection(kernel, `${other}->${one}`),
    ];
  }

  /** The end of a new incarnation on one side; frames to its predecessor are lost. */
  open(side: PathSide, actor: Incarnation | null): Link {
    const end = new LinkEnd(this.#kernel, this.directions[side], actor);
    const peer = this.#ends[side === 0 ? 1 : 0];
    this.#ends[side] = end;
    end.peer = peer;
    if (peer !== null) peer.peer = end;
    return end;
  }
}

class LinkEnd implements Link {
  readonly owner: Incarnation | null;
  peer: LinkEnd | null = null;
  readonly #kernel: Kernel;
  readonly #outgoing: LinkDirection;
  #receive: ((frame: Uint8Array) => void) | null = null;
  #early: Uint8Array[] = [];
  #open = true;

  constructor(kernel: Kernel, outgoing: LinkDirection, owner: Incarnation | null) {
    this.#kernel = kernel;
    this.#outgoing = outgoing;
    this.owner = owner;
  }

  send(frame: Uint8Array): void {
    if (!this.#open || this.peer === null || this.owner?.alive === false) return;
    const sendNs = this.owner === null ? this.#kernel.nowNs : this.owner.nowNs();
    this.#outgoing.send(frame, sendNs, this.peer);
  }

  onFrame(receive: (frame: Uint8Array) => void): void {
    this.#receive = receive;
    const early = this.#early;
    this.#early = [];
    for (const frame of early) receive(frame);
  }

  close(): void {
    this.#open = false;
    this.#early = [];
  }

  deliver(frame: Uint8Array): void {
    if (!this.#open) return;
    if (this.#receive === null) this.#early.push(frame);
    else this.#receive(frame);
  }
}
