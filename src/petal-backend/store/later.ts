/** Calls what must not be called now in an event of its own, in order: one timer for all of it. */
import { Fifo } from '../../base/fifo.ts';
import type { World } from '../../world/world.ts';

export class Later {
  readonly #world: World;
  readonly #calls = new Fifo<() => void>();
  #armed = false;
  readonly #run = (): void => {
    this.#armed = false;
    for (let left = this.#calls.length; left > 0; left--) this.#calls.shift()();
  };

  constructor(world: World) {
    this.#world = world;
  }

  call(what: () => void): void {
    this.#calls.push(what);
    if (this.#armed) return;
    this.#armed = true;
    this.#world.timers.at(this.#world.clock.nowNs(), this.#run);
  }
}
