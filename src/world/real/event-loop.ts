/**
 * Drives an actor in a thread that also serves sockets, files and calls: the loop of driver VMs,
 * pool servers and the toolstack.
 *
 * A pump takes a bounded number of turns (read the bell word, step) and goes to the back of Node's
 * queue with `setImmediate` when there is more, so that completions and messages are served in
 * between. When a step is idle it looks at the bell for a while (by its mode) and then waits for it
 * with `Atomics.waitAsync`.
 *
 * Rules that keep it from hanging:
 *   - Whatever runs between two pumps (a disk completion, a frame, a timer, a call) may have made
 *     room or work, so each asks for another pump (`look`). A loop that relies on the bell alone
 *     hangs as soon as more is outstanding than one pump handles.
 *   - One `waitAsync` at a time. If one is armed when the next pump goes idle, it stays: every
 *     notify after that ends it, and its end always pumps, so the value it was armed with is of no
 *     account. What changed before is found by comparing the word.
 *   - No timeout on `waitAsync`: a long one keeps memory until it expires even if it was woken.
 *     Deadlines are timers of their own.
 *   - A pending `waitAsync` does not keep a thread alive. The interval of the safety poll does; it
 *     is also what saves the actor from a peer that writes garbage into an event index.
 *   - A promise job that ran after the idle step may have made work: one look at the next round of
 *     the event loop finds out (see `promise-jobs.ts`).
 *
 * Deadlines and timers are Node's here: whole milliseconds. A loop in mode `poll` never waits and
 * keeps them to some microseconds, for the price of a core.
 */
import { type Nanos, NEVER } from '../../base/units.ts';
import type { HostedActor } from '../actor.ts';
import type { TimerId, Timers } from '../world.ts';
import { BellWatch, type WaitMode } from './bell-watch.ts';
import { PromiseJobs } from './promise-jobs.ts';

const STEP_BUDGET = 64;
const TURNS_PER_PUMP = 16;

export interface EventLoopParts {
  readonly words: Int32Array;
  /** Index of the actor's bell in `words`. */
  readonly bell: number;
  readonly mode: WaitMode;
  readonly safetyPollMs: number;
  readonly timers: Timers;
}

export class EventLoop {
  readonly #parts: EventLoopParts;
  readonly #watch: BellWatch;
  readonly #jobs = new PromiseJobs();
  #actor: HostedActor | null = null;
  #pumpQueued = false;
  #bellArmed = false;
  #jobsAtIdle = 0;
  #deadlineNs: Nanos = NEVER;
  #deadline: TimerId | null = null;
  #safetyPoll: NodeJS.Timeout | null = null;
  #waits = 0;
  #resolve: (result: unknown) => void = () => {};
  #reject: (thrown: unknown) => void = () => {};

  constructor(parts: EventLoopParts) {
    this.#parts = parts;
    this.#watch = new BellWatch(parts.words, parts.bell, parts.mode);
  }

  /** Runs the actor to its end; gives its result, or rejects with what it threw. */
  run(actor: HostedActor): Promise<unknown> {
    this.#actor = actor;
    this.#jobs.start();
    this.#safetyPoll = setInterval(this.#onSafetyPoll, this.#parts.safetyPollMs);
    return new Promise<unknown>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      actor.start().then(this.look, this.fail);
      this.look();
    }).finally(() => this.#end());
  }

  /** Something has run that may have made work: pumps soon. */
  readonly look = (): void => {
    if (this.#pumpQueued || this.#actor === null) return;
    this.#pumpQueued = true;
    setImmediate(this.#pump);
  };

  /** How often the loop has armed a wait for its bell. */
  get waits(): number {
    return this.#waits;
  }

  /** Ends the run with an error: something outside a step has thrown. */
  readonly fail = (thrown: unknown): void => {
    this.#actor = null;
    this.#reject(thrown);
  };

  #end(): void {
    this.#actor = null;
    this.#jobs.stop();
    if (this.#safetyPoll !== null) clearInterval(this.#safetyPoll);
    if (this.#deadline !== null) this.#parts.timers.cancel(this.#deadline);
  }

  readonly #pump = (): void => {
    this.#pumpQueued = false;
    const actor = this.#actor;
    if (actor === null) return;
    try {
      if (this.#turns(actor)) {
        actor.checkInvariants();
        this.#actor = null;
        this.#resolve(actor.result());
      }
    } catch (thrown) {
      this.fail(thrown);
    }
  };

  /** Takes turns until the actor is idle or others must be served. True when it has finished. */
  #turns(actor: HostedActor): boolean {
    const { words, bell } = this.#parts;
    for (let turn = 0; turn < TURNS_PER_PUMP; turn++) {
      const seen = Atomics.load(words, bell);
      const idle = actor.step(STEP_BUDGET) === 'idle';
      if (actor.finished()) return true;
      if (idle && !this.#watch.changes(seen)) {
        this.#rest(actor, seen);
        return false;
      }
    }
    this.look();
    return false;
  }

  #rest(actor: HostedActor, seen: number): void {
    const { words, bell, mode } = this.#parts;
    if (mode === 'poll') return this.look();
    this.#armDeadline(actor.nextDeadlineNs());
    if (this.#bellArmed) {
      if (Atomics.load(words, bell) !== seen) return this.look();
    } else {
      const wait = Atomics.waitAsync(words, bell, seen);
      if (!wait.async) return this.look();
      this.#bellArmed = true;
      this.#waits += 1;
      wait.value.then(this.#onBell, this.fail);
    }
    this.#jobsAtIdle = this.#jobs.count;
    setImmediate(this.#lookIfJobsRan);
  }

  readonly #onBell = (): void => {
    this.#bellArmed = false;
    this.look();
  };

  readonly #lookIfJobsRan = (): void => {
    if (this.#jobs.count !== this.#jobsAtIdle) this.look();
  };

  readonly #onSafetyPoll = (): void => {
    try {
      this.#actor?.checkInvariants();
      this.look();
    } catch (thrown) {
      this.fail(thrown);
    }
  };

  #armDeadline(deadlineNs: Nanos): void {
    if (deadlineNs === this.#deadlineNs) return;
    if (this.#deadline !== null) this.#parts.timers.cancel(this.#deadline);
    this.#deadlineNs = deadlineNs;
    this.#deadline =
      deadlineNs === NEVER ? null : this.#parts.timers.at(deadlineNs, this.#onDeadline);
  }

  readonly #onDeadline = (): void => {
    this.#deadline = null;
    this.#deadlineNs = NEVER;
  };
}
