/**
 * An actor in a process of its own: it has the process's main thread, and runs on the same loop as
 * in a thread. Its RAM is a page for its bell, which nobody rings.
 *
 * What goes wrong in it ends it: `run` rejects also with what was thrown in a completion or an
 * unhandled rejection, for a broken invariant must not be survived.
 */
import type { HostedActor } from '../actor.ts';
import { ActorWords } from './actor-words.ts';
import { SAFETY_POLL_MS } from './bell-watch.ts';
import { startClock } from './clock.ts';
import { EventLoop } from './event-loop.ts';
import { eventLoopWorld, type RealWorld, type WorldOptions } from './real-world.ts';
import { createHostMemory, WASM_PAGE_BYTES } from './wasm-memory.ts';

export type ProcessHostOptions = Pick<WorldOptions, 'name' | 'seed' | 'folder' | 'onNote'>;

export class ProcessHost {
  readonly world: RealWorld;
  readonly #loop: EventLoop;

  /** Its links are its maker's: the world has none. */
  constructor(options: ProcessHostOptions) {
    const memory = createHostMemory(WASM_PAGE_BYTES);
    const world = eventLoopWorld({
      ...options,
      memory,
      links: new Map(),
      incarnation: 0,
      clockZero: startClock(),
      words: ActorWords.create(),
      onActivity: () => this.#loop.look(),
      crashPoint: () => {},
      protocolEvent: () => {},
    });
    this.world = world;
    this.#loop = new EventLoop({
      words: memory.i32,
      bell: 0,
      mode: 'block',
      safetyPollMs: SAFETY_POLL_MS,
      timers: world.timers,
    });
  }

  /** Settles with the actor's result when it has finished and nothing of it is in flight. */
  async run(actor: HostedActor): Promise<unknown> {
    process.on('uncaughtException', this.#loop.fail);
    try {
      return await this.#loop.run(actor);
    } finally {
      process.off('uncaughtException', this.#loop.fail);
      await this.world.bury();
    }
  }
}
