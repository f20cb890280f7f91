/**
 * What a server does for each of its pairs with every heartbeat: it asks how the others are, and
 * does something about those that it has not heard of for too long, or about itself.
 *
 * ```
 * primary    tells what is on all copies; drops who is silent; sends again what is not answered;
 *            hands the pair back when it is well
 * secondary  takes over from a primary that is silent
 * outside    resumes its place if nobody has gone on; else asks to be let in again
 * ```
 */
import type { World } from '../../world/world.ts';
import type { ChunkStore } from '../store/chunk-store.ts';
import type { PetalMessage, ProbeMessage } from '../wire/messages.ts';
import type { HandBack } from './hand-back.ts';
import type { Membership } from './membership.ts';
import { type PeerNet, type ServerOptions, serverName } from './ports.ts';
import { FIRST } from './repairs.ts';
import type { Seat } from './seat.ts';

export interface HeartbeatParts {
  readonly world: World;
  readonly store: ChunkStore;
  readonly net: PeerNet;
  readonly membership: Membership;
  readonly handBack: HandBack;
  readonly options: ServerOptions;
  /** A story threw: a bug. */
  readonly failed: (thrown: unknown) => void;
}

const NO_DATA = new Uint8Array(0);
const NO_VERSION = { term: 0, n: 0 } as ProbeMessage['committed'];

export class Heartbeat {
  readonly #parts: HeartbeatParts;

  constructor(parts: HeartbeatParts) {
    this.#parts = parts;
  }

  beat(seat: Seat, nowNs: number): void {
    const { membership } = this.#parts;
    if (seat.isBroken) this.#background(membership.stepDown(seat));
    switch (seat.pair.role) {
      case 'primary':
        return this.#asPrimary(seat, nowNs);
      case 'secondary':
        return this.#asSecondary(seat);
      case 'outside':
        return this.#outside(seat, nowNs);
    }
  }

  #asPrimary(seat: Seat, nowNs: number): void {
    const { store, membership, handBack, options } = this.#parts;
    const { pair, mutations } = seat;
    const committed = mutations.isOpen ? mutations.committed : NO_VERSION;
    if (mutations.isOpen) {
      store.commit(pair.gmap, pair.group, committed);
      mutations.resend(nowNs - 2 * options.heartbeatNs);
    }
    for (const server of pair.record.members) {
      if (server !== pair.self) this.#probe(seat, server, committed);
    }
    const silent = pair.others.find((server) => seat.silenceNs(server) > options.silenceNs);
    if (silent !== undefined) this.#background(membership.drop(seat, silent));
    else if (handBack.isDue(seat, nowNs)) this.#background(handBack.run(seat));
  }

  #asSecondary(seat: Seat): void {
    const { membership, options } = this.#parts;
    const { primary } = seat.pair.record;
    this.#probe(seat, primary, NO_VERSION);
    if (seat.silenceNs(primary) > options.silenceNs) this.#background(membership.takeOver(seat));
  }

  #outside(seat: Seat, nowNs: number): void {
    const { store, membership, options } = this.#parts;
    const { pair } = seat;
    const { primary, inSync } = pair.record;
    // In the life before; this one has nothing to build upon if its disks are not whole.
    const was = inSync.some(({ server }) => server === pair.self);
    if (was && store.intact) return this.#background(membership.resume(seat));
    const asked = primary === pair.self ? pair.others[0] : primary;
    if (asked === undefined) return;
    this.#probe(seat, asked, NO_VERSION);
    if (nowNs < seat.askedToRejoinNs + options.silenceNs) return;
    seat.askedToRejoinNs = nowNs;
    this.#askToRejoin(seat, asked);
  }

  #probe({ pair }: Seat, server: number, committed: ProbeMessage['committed']): void {
    const { gmap, group, term } = pair;
    const wantsDirty = false;
    const after = FIRST;
    this.#send(server, { kind: 'probe', id: 0, gmap, group, term, committed, wantsDirty, after });
  }

  /** With nothing to build upon if its disks are not whole, or of a history that was given up. */
  #askToRejoin({ pair }: Seat, primary: number): void {
    const { store } = this.#parts;
    const { gmap, group, term } = pair;
    const noted = store.pairNote(gmap, group).lastTerm;
    const lastTerm = store.intact && !pair.isGivenUp(noted) ? noted : NO_VERSION.term;
    const { incarnation } = store;
    this.#send(primary, { kind: 'rejoin', id: 0, gmap, group, term, incarnation, lastTerm });
  }

  #send(server: number, message: PetalMessage): void {
    this.#parts.net.send(serverName(server), { message, payload: NO_DATA });
  }

  #background(story: Promise<unknown>): void {
    story.catch(this.#parts.failed);
  }
}
