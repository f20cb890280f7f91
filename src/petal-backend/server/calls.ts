/** Questions of a server to another one, as promises: for stories, never for a client's data. */
import type { World } from '../../world/world.ts';
import type { Frame, PetalMessage, ProbedMessage, RepairedMessage } from '../wire/messages.ts';
import type { PeerNet } from './ports.ts';
import { serverName } from './ports.ts';

export type PeerAnswer = ProbedMessage | RepairedMessage;

interface Waiting {
  readonly settle: (answer: PeerAnswer | null) => void;
}

export class Calls {
  readonly #world: World;
  readonly #net: PeerNet;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;

  constructor(world: World, net: PeerNet) {
    this.#world = world;
    this.#net = net;
  }

  /** The answer, or null when there was none in time. */
  ask(
    server: number,
    message: (id: number) => PetalMessage,
    payload: Frame['payload'],
    timeoutNs: number,
  ): Promise<PeerAnswer | null> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      const { timers, clock } = this.#world;
      const settle = (answer: PeerAnswer | null): void => {
        if (!this.#waiting.delete(id)) return;
        timers.cancel(timer);
        resolve(answer);
      };
      const timer = timers.at((clock.nowNs() + timeoutNs) as never, () => settle(null));
      this.#waiting.set(id, { settle });
      this.#net.send(serverName(server), { message: message(id), payload });
    });
  }

  answered(answer: PeerAnswer): void {
    this.#waiting.get(answer.id)?.settle(answer);
  }
}
