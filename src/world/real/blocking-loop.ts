/**
 * Drives an actor on a thread of its own that sleeps on its bell: the loop of workload guests.
 *
 * A turn is: read the bell word, deliver frames, fire timers, step. The word is read before
 * anything is looked at, and the thread sleeps only while it still has that value; work that comes
 * at any moment after the reading changes the word, so no wake-up is lost.
 *
 * When a step is idle, the loop looks at the bell for a while (by its mode), then yields once, so
 * that Node runs whatever is queued, and then sleeps if the bell has not changed and neither a
 * promise job nor a completion has run meanwhile; else it takes another turn.
 *   - block: no looking.  - poll: never sleeps.  - adaptive: see `bell-watch.ts`.
 *
 * When it yields (one `setImmediate`, 0.6 us, which drains chains of promises of any length):
 * after frames or timers were handed over, at every turn while `start` has not settled, before
 * every sleep (2 % of the 25 us that a wake-up costs), and at least at every 32nd turn, so that
 * stories go on under load (20 ns a turn, of some 500 ns). A disk operation in flight completes
 * only on Node's event loop, so while there is one, the loop yields instead of sleeping.
 *
 * The sleep ends by the bell, at the actor's deadline, at the next timer, or at the safety poll: a
 * peer that writes garbage into an event index may cost time, but must not wedge the actor.
 */
import { MS, type Nanos, NEVER } from '../../base/units.ts';
import type { HostedActor } from '../actor.ts';
import { BellWatch, type WaitMode } from './bell-watch.ts';
import type { SleepClock } from './clock.ts';
import type { PolledInbox } from './net.ts';
import { PromiseJobs } from './promise-jobs.ts';
import type { TimerHeap } from './timer-heap.ts';

const STEP_BUDGET = 64;
const TURNS_PER_YIELD = 32;

export interface BlockingLoopParts {
  readonly words: Int32Array;
  /** Index of the actor's bell in `words`. */
  readonly bell: number;
  readonly mode: WaitMode;
  readonly safetyPollMs: number;
  readonly clock: SleepClock;
  readonly timers: TimerHeap;
  readonly inbox: PolledInbox;
  /** Disk operations that have not completed. */
  readonly inFlight: () => number;
}

export class BlockingLoop {
  readonly #parts: BlockingLoopParts;
  readonly #watch: BellWatch;
  readonly #jobs = new PromiseJobs();
  #actor: HostedActor | null = null;
  #started = false;
  #completions = 0;
  /** True from an idle step until the loop has slept, or found that it must not. */
  #idle = false;
  #idleSeen = 0;
  #idleActivity = 0;
  #sleeps = 0;
  #resolve: (result: unknown) => void = () => {};
  #reject: (thrown: unknown) => void = () => {};

  constructor(parts: BlockingLoopParts) {
    this.#parts = parts;
    this.#watch = new BellWatch(parts.words, parts.bell, parts.mode);
  }

  /** Runs the actor to its end; gives its result, or rejects with what it threw. */
  run(actor: HostedActor): Promise<unknown> {
    this.#actor = actor;
    this.#jobs.start();
    return new Promise<unknown>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      actor.start().then(() => {
        this.#started = true;
      }, this.fail);
      setImmediate(this.#run);
    }).finally(() => this.#jobs.stop());
  }

  /** A completion has run: the actor may have work. */
  readonly look = (): void => {
    this.#completions += 1;
  };

  /** How often the thread has slept. */
  get sleeps(): number {
    return this.#sleeps;
  }

  /** Ends the run with an error: something outside a step has thrown. */
  readonly fail = (thrown: unknown): void => {
    this.#actor = null;
    this.#reject(thrown);
  };

  readonly #run = (): void => {
    const actor = this.#actor;
    if (actor === null) return;
    try {
      if (this.#idle && !this.#sleepIfQuiet(actor)) return void setImmediate(this.#run);
      if (!this.#turns(actor)) return void setImmediate(this.#run);
      actor.checkInvariants();
      this.#actor = null;
      this.#resolve(actor.result());
    } catch (thrown) {
      this.fail(thrown);
    }
  };

  /** Takes turns until a yield is due. True when the actor has finished. */
  #turns(actor: HostedActor): boolean {
    const { words, bell, inbox } = this.#parts;
    for (let turn = 0; turn < TURNS_PER_YIELD; turn++) {
      const seen = Atomics.load(words, bell);
      const activity = this.#activity;
      const frames = inbox.deliver();
      const timers = this.#fireTimers();
      const idle = actor.step(STEP_BUDGET) === 'idle';
      if (actor.finished()) return true;
      if (frames || timers) return false;
      if (idle && !this.#watch.changes(seen)) {
        this.#idle = true;
        this.#idleSeen = seen;
        this.#idleActivity = activity;
        return false;
      }
      if (!this.#started) return false;
    }
    return false;
  }

  /**
   * After a yield that followed an idle step. False when the loop must yield again, because a disk
   * operation is in flight; true when it is time for a turn.
   */
  #sleepIfQuiet(actor: HostedActor): boolean {
    const { words, bell, mode, inbox, inFlight } = this.#parts;
    const quiet = Atomics.load(words, bell) === this.#idleSeen && !inbox.pending;
    if (!quiet || this.#activity !== this.#idleActivity || mode === 'poll') {
      this.#idle = false;
      return true;
    }
    const timeoutMs = this.#sleepLimitMs(actor);
    if (timeoutMs > 0 && inFlight() > 0) return false;
    this.#idle = false;
    if (timeoutMs <= 0) return true;
    this.#sleeps += 1;
    const woken = Atomics.wait(words, bell, this.#idleSeen, timeoutMs);
    if (woken === 'timed-out') actor.checkInvariants();
    return true;
  }

  #sleepLimitMs(actor: HostedActor): number {
    const { clock, timers, safetyPollMs } = this.#parts;
    const deadlineNs = Math.min(actor.nextDeadlineNs(), timers.nextDeadlineNs());
    if (deadlineNs === NEVER) return safetyPollMs;
    return Math.min(clock.untilNs(deadlineNs) / MS, safetyPollMs);
  }

  #fireTimers(): boolean {
    const { clock, timers } = this.#parts;
    const next: Nanos = timers.nextDeadlineNs();
    if (next === NEVER) return false;
    return timers.fireDue(clock.nowNs());
  }

  /** Changes whenever code of the actor has run outside a step. */
  get #activity(): number {
    return this.#jobs.count + this.#completions;
  }
}
