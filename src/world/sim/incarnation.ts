/**
 * One life of one actor in the simulator: what can be killed, and what is busy.
 *
 * A dead incarnation's events are dropped by the queue and its World does nothing; there is nothing
 * else to clean. Owners of things that outlive an actor (disks, links, bells) hear of the death
 * through `onDeath` and settle what it had in flight.
 *
 * Busy time: `spend` moves `busyUntilNs`. Events that come up before that wait in `backlog`, in the
 * order in which they came up, so that a link that keeps order keeps it through a busy receiver.
 */
import { DriftingClock } from '../drifting-clock.ts';
import { hashText } from './event-log.ts';
import type { EventId } from './event-queue.ts';
import type { Kernel } from './kernel.ts';

export class Incarnation {
  readonly name: string;
  /** 1 for the first actor of this name. */
  readonly number: number;
  readonly hostName: string;
  /** Identifies this incarnation in the event log. */
  readonly logId: number;
  readonly #kernel: Kernel;
  readonly #mourners: (() => void)[] = [];
  /** What its World tells it the time is. */
  readonly clock: DriftingClock = new DriftingClock();
  alive = true;
  busyUntilNs = 0;
  /** Events that came up while it was busy: slots of the queue, oldest first from `backlogHead`. */
  readonly backlog: number[] = [];
  backlogHead = 0;
  resumeScheduled = false;
  /** The event that will take up the backlog; means something only while one is scheduled. */
  resumeEvent: EventId = 0 as EventId;
  /** Looks at the actor after an event and every promise job that came of it. */
  afterEvent: (() => void) | null = null;
  /** Its clock was changed: deadlines and timers come at other moments of the run. */
  readonly clockListeners: (() => void)[] = [];
  /** Ends it because it threw; null for what cannot be ended, the toolstack. */
  fail: ((thrown: unknown) => void) | null = null;
  /** Ends it as `kill -9`; null for the toolstack. */
  kill: (() => void) | null = null;

  constructor(kernel: Kernel, name: string, number: number, hostName: string) {
    this.#kernel = kernel;
    this.name = name;
    this.number = number;
    this.hostName = hostName;
    this.logId = hashText(`${name}#${number}`);
  }

  /**
   * The time of the run for this actor: later than the simulator's by what it has spent since its
   * event began.
   */
  nowNs(): number {
    const nowNs = this.#kernel.nowNs;
    return this.busyUntilNs > nowNs ? this.busyUntilNs : nowNs;
  }

  /** What its own clock shows. */
  localNowNs(): number {
    return this.clock.localNs(this.nowNs());
  }

  setDrift(driftPpm: number): void {
    this.clock.setDrift(this.nowNs(), driftPpm);
    for (const changed of this.clockListeners) changed();
  }

  jumpClock(jumpNs: number): void {
    this.clock.jump(this.nowNs(), jumpNs);
    for (const changed of this.clockListeners) changed();
  }

  spend(durationNs: number): void {
    if (durationNs > 0) this.busyUntilNs = this.nowNs() + Math.ceil(durationNs);
  }

  get isBacklogged(): boolean {
    return this.backlogHead < this.backlog.length;
  }

  /** Oldest waiting event. The backlog is not empty. */
  shiftBacklog(): number {
    const slot = this.backlog[this.backlogHead++] as number;
    if (this.backlogHead === this.backlog.length) {
      this.backlog.length = 0;
      this.backlogHead = 0;
    }
    return slot;
  }

  /** Calls `mourn` in the moment of death, in the order of these calls. */
  onDeath(mourn: () => void): void {
    this.#mourners.push(mourn);
  }

  /** Ends it, once. Everything that waits for it is dropped, everything in flight is settled. */
  die(): void {
    if (!this.alive) return;
    this.alive = false;
    for (const mourn of this.#mourners) mourn();
    this.#mourners.length = 0;
  }
}
