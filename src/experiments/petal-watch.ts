/**
 * Holds the laws of a Petal pool (`checkers/petal-law.ts`) against a run of the simulator, event by
 * event: a server lives in a world whose frames are seen as they come and go, and what it stores is
 * looked at from outside. A law that was broken is kept, with the moment; from there on nothing is
 * held against the laws any more, and the run goes on, to show what comes of it.
 */
import { decodeFrame, WireRefusal } from '../petal-backend/wire/codec.ts';
import { PETAL_LINK } from '../petal-backend/wire/link-net.ts';
import type { PetalMessage } from '../petal-backend/wire/messages.ts';
import { addressOf, frameOf } from '../world/named-frames.ts';
import type { Digest, Link, World } from '../world/world.ts';
import {
  PetalInvariants,
  type PetalInvariantsParts,
  type SeenServer,
} from './checkers/petal-invariants.ts';
import { BrokenLaw } from './checkers/petal-law.ts';

/** What became of the laws in a run. */
export interface LawsReport {
  /** How often something was held against a law. */
  readonly counts: PetalInvariants['counts'];
  /** The first law that was broken, with its witness, and when; null: all of them held. */
  readonly broken: { readonly text: string; readonly atNs: number } | null;
}

export interface WatchedServer extends SeenServer {
  isAlive(): boolean;
}

export class PetalWatch implements LawsReport {
  broken: LawsReport['broken'] = null;
  readonly #clock: PetalInvariantsParts['clock'];
  readonly #invariants: PetalInvariants;
  /** Newest lives, by number. */
  readonly #servers = new Map<number, WatchedServer>();

  constructor(parts: PetalInvariantsParts) {
    this.#clock = parts.clock;
    this.#invariants = new PetalInvariants(parts);
  }

  get counts(): LawsReport['counts'] {
    return this.#invariants.counts;
  }

  /** The world in which a server lives from now on. */
  worldFor(world: World, server: number): World {
    return withSeenFrames(world, {
      arrived: (from, message) => this.#invariants.arrived(server, from, message),
      sent: (to, message) => this.#invariants.sent(server, to, message),
    });
  }

  /** A server lives in that world. */
  started(server: number, life: WatchedServer): void {
    this.#servers.set(server, life);
    this.#invariants.serverStarted(server, life);
  }

  /** An event of the run is over. */
  step(): void {
    this.#judge(() => {
      for (const [server, life] of this.#servers) {
        if (life.isAlive()) continue;
        this.#invariants.serverEnded(server);
        this.#servers.delete(server);
      }
      this.#invariants.step();
    });
  }

  /** Everything is looked at once more, whatever has changed. */
  lookAtAll(): void {
    this.#judge(() => this.#invariants.judgeAll());
  }

  #judge(look: () => void): void {
    if (this.broken !== null) return;
    try {
      look();
    } catch (thrown) {
      if (!(thrown instanceof BrokenLaw)) throw thrown;
      this.broken = { text: thrown.message, atNs: this.#clock.nowNs() };
    }
  }
}

/** Sees what a server receives, before it does, and what it sends. */
export interface SeenFrames {
  arrived(from: string, message: PetalMessage): void;
  sent(to: string, message: PetalMessage): void;
}

export function withSeenFrames(world: World, seen: SeenFrames): World {
  const link = world.net.link(PETAL_LINK);
  const watched: Link = {
    send: (bytes) => {
      tell(bytes, world.digest, (to, message) => seen.sent(to, message));
      link.send(bytes);
    },
    onFrame: (receive) =>
      link.onFrame((bytes) => {
        tell(bytes, world.digest, (from, message) => seen.arrived(from, message));
        receive(bytes);
      }),
    close: () => link.close(),
  };
  return {
    ...world,
    net: { link: (name) => (name === PETAL_LINK ? watched : world.net.link(name)) },
    wallMs: () => world.wallMs(),
    crashPoint: (name) => world.crashPoint(name),
    protocolEvent: (event) => world.protocolEvent(event),
  };
}

/** What is no frame is not told. */
function tell(
  bytes: Uint8Array,
  digest: Digest,
  told: (name: string, message: PetalMessage) => void,
): void {
  const name = addressOf(bytes);
  if (name === null) return;
  const frame = decodeFrame(frameOf(bytes), digest);
  if (!(frame instanceof WireRefusal)) told(name, frame.message);
}
