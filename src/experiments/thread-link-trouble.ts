/**
 * Links of threads that can be clogged and slow. A gate stands for the path of that name and stays
 * as it is when the actor's next incarnation uses the path; each incarnation has a link over it.
 * Frames keep their order: what is held goes first, and a frame that is late holds those behind it.
 */
import type { Nanos } from '../base/units.ts';
import type { LinkMeasure } from '../world/faults.ts';
import type { Clock, Link, Timers } from '../world/world.ts';

/** How long a path holds each frame, and whether it lets any through. */
export class LinkGate {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #held: (() => void)[] = [];
  #delayNs = 0;
  #clogged = false;
  /** Frames under way that keep those behind them waiting. */
  #late = 0;
  #lastDueNs = 0;

  constructor(clock: Clock, timers: Timers) {
    this.#clock = clock;
    this.#timers = timers;
  }

  /** Begins a trouble, `clog` or `delay`; the function it gives back ends it. */
  strike({ trouble, delayNs }: LinkMeasure): () => void {
    if (trouble === 'clog') {
      this.#clogged = true;
      return () => this.#unclog();
    }
    this.#delayNs += delayNs;
    return () => {
      this.#delayNs -= delayNs;
    };
  }

  /** Has `deliver` called at once, or when all before it were delivered and its time has come. */
  pass(deliver: () => void): void {
    if (this.#delayNs === 0 && this.#late === 0) return this.#arrive(deliver);
    this.#late++;
    this.#lastDueNs = Math.max(this.#lastDueNs, this.#clock.nowNs() + this.#delayNs);
    this.#timers.at(this.#lastDueNs as Nanos, () => {
      this.#late--;
      this.#arrive(deliver);
    });
  }

  #arrive(deliver: () => void): void {
    if (this.#clogged) this.#held.push(deliver);
    else deliver();
  }

  #unclog(): void {
    this.#clogged = false;
    for (const deliver of this.#held.splice(0)) deliver();
  }
}

/** The two gates of a path, one a direction. */
export class GatedPath {
  readonly toActor: LinkGate;
  readonly fromActor: LinkGate;

  constructor(clock: Clock, timers: Timers) {
    this.toActor = new LinkGate(clock, timers);
    this.fromActor = new LinkGate(clock, timers);
  }

  strike(measure: LinkMeasure): () => void {
    const heals = [this.toActor, this.fromActor].map((gate) => gate.strike(measure));
    return () => {
      for (const heal of heals) heal();
    };
  }

  /** The toolstack's end of one incarnation's link, behind the gates. */
  over(link: Link): Link {
    let open = true;
    return {
      send: (frame) =>
        this.toActor.pass(() => {
          if (open) link.send(frame);
        }),
      onFrame: (receive) =>
        link.onFrame((frame) =>
          this.fromActor.pass(() => {
            if (open) receive(frame);
          }),
        ),
      close: () => {
        open = false;
        link.close();
      },
    };
  }
}
