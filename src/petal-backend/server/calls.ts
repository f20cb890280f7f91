/** Questions of a server to another one, as promises: for stories, never for a client's data. */
import { type Nanos, nanos } from '../../base/units.ts';
import type { World } from '../../world/world.ts';
import type {
  FetchedMessage,
  Frame,
  PetalMessage,
  ProbedMessage,
  RepairedMessage,
} from '../wire/messages.ts';
import type { PeerNet } from './ports.ts';
import { serverName } from './ports.ts';

export type PeerAnswer = ProbedMessage | RepairedMessage | FetchedMessage;

export interface PeerReply {
  readonly message: PeerAnswer;
  readonly payload: Uint8Array;
}

interface Waiting {
  readonly server: number;
  readonly settle: (reply: PeerReply | null) => void;
}

export class Calls {
  readonly #world: Pick<World, 'clock' | 'timers'>;
  readonly #net: PeerNet;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;

  constructor(world: Pick<World, 'clock' | 'timers'>, net: PeerNet) {
    this.#world = world;
    this.#net = net;
  }

  /** The answer, or null when there was none in time. */
  ask(
    server: number,
    message: (id: number) => PetalMessage,
    payload: Frame['payload'],
    timeoutNs: number,
  ): Promise<PeerReply | null> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      const { timers, clock } = this.#world;
      const settle = (reply: PeerReply | null): void => {
        if (!this.#waiting.delete(id)) return;
        timers.cancel(timer);
        resolve(reply);
      };
      const untilNs: Nanos = nanos(clock.nowNs() + timeoutNs);
      const timer = timers.at(untilNs, () => settle(null));
      this.#waiting.set(id, { server, settle });
      this.#net.send(serverName(server), { message: message(id), payload });
    });
  }

  /** Only who was asked can answer. */
  answered(server: number, reply: PeerReply): void {
    const waiting = this.#waiting.get(reply.message.id);
    if (waiting?.server === server) waiting.settle(reply);
  }
}
