/**
 * The deterministic simulator: one thread, one queue of events, virtual time, one seed.
 *
 * The pump is: take the next event, let it happen, then
 * `queueMicrotask(() => process.nextTick(tick))`. Node runs a `nextTick` callback only when no
 * promise job is left, so every continuation that an event set free, however long the chain, has
 * run before the next event. That makes plain async functions deterministic, at more than twice
 * the speed of `setImmediate`. (A bare `process.nextTick(tick)` would starve promises for ever.)
 *
 * Order: (time, tie, sequence). The tie is a seeded draw, so that the order of things that happen
 * at the same time changes from seed to seed: much of what goes wrong goes wrong there.
 *
 * An actor that is busy (`cpu.spend`) keeps its events waiting, in order. An actor that throws is
 * ended and recorded in `failures`; an exception in the toolstack's own callbacks ends the run and
 * rejects its promise.
 *
 * Runs of several simulators on a thread are taken one after the other, because the traps belong
 * to the thread. What is not caught: promise jobs that were already queued in the same step in
 * which a crash point strikes still run, with a World that does nothing; and a promise that an
 * actor leaves floating and that rejects ends the process, as Node does everywhere.
 */
import { type ErrorRecord, toErrorRecord } from '../../base/errors.ts';
import { invariant, present } from '../../base/invariant.ts';
import { Prng } from '../../base/prng.ts';
import { type Nanos, nanos } from '../../base/units.ts';
import type { ProtocolEvent } from '../faults.ts';
import type { World } from '../world.ts';
import { CrashPlan, type Strike } from './crash-plan.ts';
import type { DiskModel } from './disk-timing.ts';
import { EventLog, type TraceWindow } from './event-log.ts';
import {
  type EventAction,
  type EventId,
  EventKind,
  EventQueue,
  TakenEvent,
  type TieBreak,
} from './event-queue.ts';
import { Incarnation } from './incarnation.ts';
import { CrashSignal, type Kernel } from './kernel.ts';
import { SimHost } from './sim-host.ts';
import { LinkPath } from './sim-link.ts';
import { type ActorFactories, SimSpawner } from './sim-spawner.ts';
import { SimWorld } from './sim-world.ts';
import { DEFAULT_TIMING, type SimTiming } from './timing.ts';
import { installTraps } from './traps.ts';

export interface SimulatorOptions {
  readonly seed: number;
  /** Order of events of the same time; `seeded` unless said otherwise. */
  readonly tieBreak?: TieBreak;
  /** Whether clock, random numbers and the like throw while the pump is active; true by default. */
  readonly traps?: boolean;
  /** Which records of the event log are kept; none by default. */
  readonly trace?: TraceWindow;
  readonly timing?: Partial<SimTiming>;
}

export interface HostOptions {
  readonly memoryBytes: number;
  /** Timing of the disks of this host, where it differs from the default. */
  readonly disks?: Partial<DiskModel>;
  /** The host on which the disks of the pool are; none unless said. */
  readonly pool?: SimHost;
}

export interface RunLimits {
  /** Looked at between two events: true ends the run. */
  readonly until?: () => boolean;
  /** Events of this call; 100 million unless said otherwise. */
  readonly maxEvents?: number;
  /** Virtual time past which nothing happens any more; none unless said otherwise. */
  readonly maxTimeNs?: number;
  /**
   * Called every 65,536 events, traps away, to go back to the event loop: pass `setImmediate`, so
   * that signals, timers and a progress line get their turn. Without it the pump never returns.
   */
  readonly breathe?: (resume: () => void) => void;
}

/** What ended a run: `queue-empty` means that nothing is left that could ever happen. */
export type SimEnd = 'until' | 'queue-empty' | 'event-limit' | 'time-limit';

export interface SimFailure {
  readonly actor: string;
  readonly incarnation: number;
  readonly timeNs: number;
  /** Number of the event, from 1. */
  readonly event: number;
  readonly error: ErrorRecord;
}

export interface SimOutcome {
  readonly end: SimEnd;
  /** Events since the simulator was made. */
  readonly events: number;
  readonly endNs: Nanos;
  readonly hash: string;
  readonly failures: readonly SimFailure[];
  /** The limit that ended the run, if one did: then the story is not over. */
  readonly limitReached: 'events' | 'time' | null;
}

const DEFAULT_MAX_EVENTS = 100_000_000;
const BREATH_EVENTS = 65_536;

/** Settles when the last run asked for on this thread is over. */
let lastRun: Promise<void> = Promise.resolve();

interface Pumping {
  readonly limits: RunLimits;
  readonly stopAtEvent: number;
  readonly stopAfterNs: number;
  readonly resolve: (outcome: SimOutcome) => void;
  readonly reject: (thrown: unknown) => void;
}

export class Simulator implements Kernel {
  readonly seed: number;
  readonly timing: SimTiming;
  readonly log: EventLog;
  readonly failures: SimFailure[] = [];
  nowNs = 0;
  readonly #root: Prng;
  readonly #queue: EventQueue;
  readonly #plan = new CrashPlan();
  readonly #hosts = new Map<string, SimHost>();
  readonly #links = new Map<string, LinkPath>();
  readonly #incarnationCounts = new Map<string, number>();
  readonly #trapped: boolean;
  readonly #taken = new TakenEvent();
  #events = 0;
  #lastOwner: Incarnation | null = null;
  #pumping: Pumping | null = null;
  #removeTraps: (() => void) | null = null;

  constructor(options: SimulatorOptions) {
    this.seed = options.seed;
    this.timing = { ...DEFAULT_TIMING, ...options.timing };
    this.log = new EventLog(options.trace ?? null);
    this.#root = new Prng(options.seed);
    this.#trapped = options.traps ?? true;
    this.#queue = new EventQueue(options.tieBreak === 'fifo' ? null : this.stream('schedule'));
  }

  /** Events that have happened. */
  get events(): number {
    return this.#events;
  }

  addHost(name: string, options: HostOptions): SimHost {
    invariant(!this.#hosts.has(name), 'a host has a name of its own');
    const host = new SimHost(
      this,
      name,
      options.memoryBytes,
      options.disks ?? {},
      options.pool ?? null,
    );
    this.#hosts.set(name, host);
    return host;
  }

  host(name: string): SimHost {
    return present(this.#hosts.get(name), 'a host is added before it is named');
  }

  /** Starts actors: `factories` says how each kind of actor is built. */
  spawner(factories: ActorFactories): SimSpawner {
    return new SimSpawner(this, factories);
  }

  /** The World of a story that no fault ends: the toolstack's, the runner's. */
  toolstackWorld(name: string, host: SimHost): World {
    const incarnation = this.newIncarnation(name, host);
    return new SimWorld(this, incarnation, host);
  }

  /** The two-way path of an actor's link (`g0/control`), its faults and parameters. */
  link(name: string): LinkPath {
    let path = this.#links.get(name);
    if (path === undefined) {
      path = new LinkPath(this, name);
      this.#links.set(name, path);
    }
    return path;
  }

  /** Kills the actor (or calls `strike`) instead of its `nth` event from now. */
  armKillAtEvent(actorName: string, nth: number, strike?: Strike): void {
    this.#plan.armEvent(actorName, nth, strike ?? null);
  }

  /** Kills the actor (or calls `strike`) where it passes a crash point the `nth` time from now. */
  armCrashPoint(actorName: string, crashPoint: string, nth: number, strike?: Strike): void {
    this.#plan.armPoint([actorName], crashPoint, nth, strike ?? null);
  }

  /** Calls `strike` where the actors, taken together, say `event` for the `nth` time from now. */
  armProtocolEvent(
    actorNames: readonly string[],
    event: ProtocolEvent,
    nth: number,
    strike: Strike,
  ): void {
    this.#plan.armPoint(actorNames, event, nth, strike);
  }

  /**
   * A living actor of that name stands still for a while, from an event of its own on: what it is
   * doing now it still does now, or its clock would run ahead of what others see of it.
   */
  pause(actorName: string, durationNs: number): void {
    const pause = (): void => {
      for (const host of this.#hosts.values()) host.pause(actorName, durationNs);
    };
    this.schedule(this.nowNs, EventKind.control, null, pause, durationNs, 0);
  }

  /** The clock of a living actor goes so many parts in a million too fast from now on. */
  setDrift(actorName: string, driftPpm: number): void {
    const set = (): void => {
      for (const host of this.#hosts.values()) host.setDrift(actorName, driftPpm);
    };
    this.schedule(this.nowNs, EventKind.control, null, set, driftPpm, 0);
  }

  /** The clock of a living actor jumps ahead. */
  jumpClock(actorName: string, jumpNs: number): void {
    const jump = (): void => {
      for (const host of this.#hosts.values()) host.jumpClock(actorName, jumpNs);
    };
    this.schedule(this.nowNs, EventKind.control, null, jump, jumpNs, 0);
  }

  /** Armed kills that have not struck yet. */
  get armedCount(): number {
    return this.#plan.armedCount;
  }

  /**
   * Lets things happen until `until`, a limit or an empty queue. May be called again to go on.
   * Rejects if a callback that belongs to no actor throws.
   */
  async run(limits: RunLimits = {}): Promise<SimOutcome> {
    const before = lastRun;
    let release: () => void = () => {};
    lastRun = new Promise((resolve) => {
      release = resolve;
    });
    await before;
    try {
      return await new Promise<SimOutcome>((resolve, reject) => {
        invariant(this.#pumping === null, 'a simulator runs once at a time');
        const stopAtEvent = this.#events + (limits.maxEvents ?? DEFAULT_MAX_EVENTS);
        const stopAfterNs = limits.maxTimeNs ?? Number.POSITIVE_INFINITY;
        this.#pumping = { limits, stopAtEvent, stopAfterNs, resolve, reject };
        process.nextTick(this.#resume);
      });
    } finally {
      release();
    }
  }

  stream(name: string): Prng {
    return this.#root.fork(name);
  }

  schedule(
    timeNs: number,
    kind: EventKind,
    owner: Incarnation | null,
    action: EventAction,
    a: number,
    b: number,
  ): EventId {
    invariant(timeNs >= this.nowNs, 'nothing is scheduled in the past');
    return this.#queue.schedule(timeNs, kind, owner, action, a, b);
  }

  cancel(id: EventId): void {
    this.#queue.cancel(id);
  }

  crashPoint(incarnation: Incarnation, name: string): void {
    if (incarnation.alive && incarnation.kill !== null) {
      this.#plan.countPassage(incarnation.name, name, incarnation.kill);
    }
    if (!incarnation.alive) throw new CrashSignal(incarnation.name, name);
  }

  recordFailure(incarnation: Incarnation, thrown: unknown): void {
    this.failures.push({
      actor: incarnation.name,
      incarnation: incarnation.number,
      timeNs: this.nowNs,
      event: this.#events,
      error: toErrorRecord(thrown),
    });
  }

  newIncarnation(name: string, host: SimHost): Incarnation {
    const number = (this.#incarnationCounts.get(name) ?? 0) + 1;
    this.#incarnationCounts.set(name, number);
    const incarnation = new Incarnation(this, name, number, host.name);
    incarnation.onDeath(() => this.#forgetBacklog(incarnation));
    return incarnation;
  }

  readonly #arm = (): void => {
    process.nextTick(this.#tick);
  };

  /** Begins to pump, or goes on after a breath. */
  readonly #resume = (): void => {
    if (this.#trapped) this.#removeTraps = installTraps();
    this.#tick();
  };

  /** One turn of the pump: judge what the last event left, then let the next one happen. */
  readonly #tick = (): void => {
    const pumping = present(this.#pumping, 'a tick belongs to a run');
    try {
      this.#finishEvent();
      const end = this.#endOf(pumping) ?? this.#happenNext(pumping);
      if (end !== null) return this.#stop(pumping, end);
    } catch (thrown) {
      this.#leavePump();
      return pumping.reject(thrown);
    }
    const breathe = pumping.limits.breathe;
    if (breathe !== undefined && this.#events % BREATH_EVENTS === 0) {
      // The promise jobs of this event still run under the traps, before the microtask below.
      queueMicrotask(() => process.nextTick(() => this.#breathe(breathe)));
    } else {
      queueMicrotask(this.#arm);
    }
  };

  #breathe(breathe: (resume: () => void) => void): void {
    this.#removeTraps?.();
    this.#removeTraps = null;
    breathe(this.#resume);
  }

  #endOf(pumping: Pumping): SimEnd | null {
    if (pumping.limits.until?.() === true) return 'until';
    return this.#events >= pumping.stopAtEvent ? 'event-limit' : null;
  }

  /** Lets one event happen; returns why none did. */
  #happenNext(pumping: Pumping): SimEnd | null {
    for (;;) {
      const timeNs = this.#queue.nextTimeNs();
      if (timeNs < 0) return 'queue-empty';
      if (timeNs > pumping.stopAfterNs) return 'time-limit';
      this.nowNs = timeNs;
      const owner = this.#queue.nextOwner();
      if (owner === null || (owner.busyUntilNs <= timeNs && !owner.isBacklogged)) {
        this.#queue.take(this.#taken);
        this.#happen(this.#taken);
        return null;
      } else {
        owner.backlog.push(this.#queue.defer());
        this.#scheduleResume(owner);
      }
    }
  }

  /** Lets a taken event happen, or what was planned to strike in its place. */
  #happen(event: TakenEvent): void {
    const { owner, kind, action, a, b } = event;
    // Taking up a backlog is no event by itself: the one it takes up is.
    if (kind === EventKind.resume) return action(a, b);
    this.#events++;
    if (owner === null) {
      this.log.event(this.nowNs, 0, 'simulator', kind, a, b);
      return action(a, b);
    }
    if (owner.kill !== null) this.#plan.countEvent(owner.name, owner.kill);
    if (!owner.alive) return;
    this.#lastOwner = owner;
    this.log.event(this.nowNs, owner.logId, owner.name, kind, a, b);
    try {
      action(a, b);
    } catch (thrown) {
      this.#thrownBy(owner, thrown);
    }
  }

  /** The actor is free again: its oldest waiting event happens now. */
  #resumeBacklog(owner: Incarnation): void {
    owner.resumeScheduled = false;
    while (owner.isBacklogged) {
      if (this.#queue.takeDeferred(owner.shiftBacklog(), this.#taken)) {
        this.#happen(this.#taken);
        break;
      }
    }
  }

  #scheduleResume(owner: Incarnation): void {
    if (owner.resumeScheduled) return;
    owner.resumeScheduled = true;
    const timeNs = Math.max(owner.busyUntilNs, this.nowNs);
    const resume = (): void => this.#resumeBacklog(owner);
    // Nobody's event: an actor's own would have to wait for itself.
    owner.resumeEvent = this.#queue.schedule(timeNs, EventKind.resume, null, resume, 0, 0);
  }

  #forgetBacklog(incarnation: Incarnation): void {
    if (incarnation.resumeScheduled) this.#queue.cancel(incarnation.resumeEvent);
    while (incarnation.isBacklogged) this.#queue.forgetDeferred(incarnation.shiftBacklog());
  }

  /** After an event and all promise jobs that came of it. */
  #finishEvent(): void {
    const owner = this.#lastOwner;
    if (owner === null) return;
    this.#lastOwner = null;
    if (!owner.alive) return;
    try {
      owner.afterEvent?.();
    } catch (thrown) {
      this.#thrownBy(owner, thrown);
    }
    if (owner.alive && owner.isBacklogged) this.#scheduleResume(owner);
  }

  #thrownBy(owner: Incarnation, thrown: unknown): void {
    if (thrown instanceof CrashSignal && !owner.alive) return;
    if (owner.fail === null) throw thrown;
    owner.fail(thrown);
  }

  #leavePump(): void {
    this.#removeTraps?.();
    this.#removeTraps = null;
    this.#pumping = null;
  }

  #stop(pumping: Pumping, end: SimEnd): void {
    this.#leavePump();
    pumping.resolve({
      end,
      events: this.#events,
      endNs: nanos(this.nowNs),
      hash: this.log.hash,
      failures: [...this.failures],
      limitReached: end === 'event-limit' ? 'events' : end === 'time-limit' ? 'time' : null,
    });
  }
}
