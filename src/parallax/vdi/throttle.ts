/**
 * How much of a disk may be dirty, and how fast it may become so.
 *
 * Up to half of the cap mutations pass. From there to the cap each one is held back a little longer
 * than the one before: at the cap they pass at the speed of destage, measured. At the cap nothing
 * passes until something has been published. So a guest that writes faster than the pool slows down
 * smoothly, and the log always has room for what destage itself needs.
 */
import type { Nanos } from '../../base/units.ts';
import type { World } from '../../world/world.ts';

/** Destage is taken to be at least this fast until it has been measured, bytes a second. */
const FIRST_RATE = 50e6;
const NEW_SHARE = 0.3;
/** Just above half of the cap mutations pass at this many times the speed of destage. */
const HEAD_START = 8;

export class Throttle {
  readonly #world: World;
  readonly #capBytes: number;
  readonly #onRoom: () => void;
  readonly #dirtyBytes: () => number;
  #rate = FIRST_RATE;
  #freeAtNs = 0;
  #timerSet = false;

  /** `onRoom` is called when something may pass again that `mayTake` has refused. */
  constructor(world: World, capBytes: number, dirtyBytes: () => number, onRoom: () => void) {
    this.#world = world;
    this.#capBytes = capBytes;
    this.#dirtyBytes = dirtyBytes;
    this.#onRoom = onRoom;
  }

  /** `later`: `onRoom` will be called. `full`: only destage can make room. */
  mayTake(bytes: number): 'now' | 'later' | 'full' {
    const dirty = this.#dirtyBytes();
    if (dirty + bytes > this.#capBytes && dirty > 0) return 'full';
    const nowNs = this.#world.clock.nowNs();
    if (nowNs >= this.#freeAtNs) return 'now';
    this.#wait();
    return 'later';
  }

  taken(bytes: number): void {
    const half = this.#capBytes / 2;
    const over = (this.#dirtyBytes() - half) / half;
    if (over <= 0) return;
    const speed = this.#rate * (1 + (HEAD_START - 1) * Math.max(0, 1 - over));
    const nowNs = this.#world.clock.nowNs();
    this.#freeAtNs = Math.max(nowNs, this.#freeAtNs) + (bytes / speed) * 1e9;
  }

  /** Destage has published so much in so long. */
  published(bytes: number, tookNs: number): void {
    if (tookNs <= 0 || bytes === 0) return;
    const measured = (bytes / tookNs) * 1e9;
    this.#rate += NEW_SHARE * (measured - this.#rate);
  }

  #wait(): void {
    if (this.#timerSet) return;
    this.#timerSet = true;
    this.#world.timers.at(this.#freeAtNs as Nanos, () => {
      this.#timerSet = false;
      this.#onRoom();
    });
  }
}
