/**
 * The World of one incarnation. When the incarnation is dead it does nothing any more: nothing is
 * scheduled, sent or rung, promises stay pending, and a crash point throws again, so that code
 * which swallowed the first signal does not get far.
 *
 * Time inside an event: `clock.nowNs()` is the time of the event plus what the actor has spent in
 * it; whatever it starts (a timer, an operation, a frame, a ring) counts from there. Its stores to
 * RAM are seen by others at the time of the event.
 */
import { invariant, present } from '../../base/invariant.ts';
import type { Prng } from '../../base/prng.ts';
import type { SharedMemory } from '../../base/shared-memory.ts';
import { type Nanos, nanos } from '../../base/units.ts';
import type { ProtocolEvent } from '../faults.ts';
import { noDisks } from '../no-disks.ts';
import {
  type Clock,
  type Cpu,
  type Digest,
  type Disks,
  type Link,
  type Log,
  type Net,
  type TimerId,
  type Timers,
  type Wake,
  type World,
} from '../world.ts';
import { SimDisks } from './disk-handle.ts';
import { type EventId, EventKind } from './event-queue.ts';
import type { Incarnation } from './incarnation.ts';
import type { Kernel } from './kernel.ts';
import { simDigest } from './sim-digest.ts';
import type { SimHost } from './sim-host.ts';

export class SimWorld implements World {
  readonly name: string;
  readonly memory: SharedMemory;
  readonly clock: Clock;
  readonly recordClock: Clock;
  readonly timers: Timers;
  readonly random: Prng;
  readonly disks: Disks;
  readonly poolDisks: Disks;
  readonly net: Net;
  readonly log: Log;
  readonly wake: Wake;
  readonly digest: Digest = simDigest;
  readonly cpu: Cpu;
  readonly #kernel: Kernel;
  readonly #incarnation: Incarnation;
  readonly #links = new Map<string, Link>();

  constructor(kernel: Kernel, incarnation: Incarnation, host: SimHost) {
    this.#kernel = kernel;
    this.#incarnation = incarnation;
    this.name = incarnation.name;
    this.memory = host.memory;
    this.random = kernel.stream(`actor/${incarnation.name}/${incarnation.number}`);
    this.clock = { nowNs: () => nanos(incarnation.localNowNs()) };
    this.recordClock = { nowNs: () => nanos(incarnation.nowNs()) };
    this.timers = new SimTimers(kernel, incarnation);
    this.disks = new SimDisks(kernel, incarnation, host);
    this.poolDisks = host.pool === null ? noDisks : new SimDisks(kernel, incarnation, host.pool);
    this.net = {
      link: (name) => present(this.#links.get(name), 'an actor uses links it was started with'),
    };
    this.log = new SimLog(kernel, incarnation);
    this.wake = {
      ring: (bellAddress) => {
        if (incarnation.alive) host.ringBell(bellAddress, incarnation.nowNs());
      },
    };
    this.cpu = { spend: (durationNs) => incarnation.spend(durationNs) };
  }

  /** Gives the incarnation its end of a link, before it starts. */
  addLink(name: string, link: Link): void {
    invariant(!this.#links.has(name), 'a link has a name of its own');
    this.#links.set(name, link);
  }

  wallMs(): number {
    return WALL_ZERO_MS + Math.floor(this.#incarnation.nowNs() / 1e6);
  }

  crashPoint(name: string): void {
    this.#kernel.crashPoint(this.#incarnation, name);
  }

  protocolEvent(event: ProtocolEvent): void {
    this.log.event(event);
    this.#kernel.crashPoint(this.#incarnation, event);
  }
}

/** Virtual time begins on 1 January 2026. */
const WALL_ZERO_MS = 1_767_225_600_000;

interface SetTimer {
  readonly deadlineNs: Nanos;
  readonly fire: () => void;
  event: EventId;
}

/** Deadlines are times of the actor's own clock: when that is changed, each timer is set anew. */
class SimTimers implements Timers {
  readonly #kernel: Kernel;
  readonly #incarnation: Incarnation;
  readonly #set = new Map<TimerId, SetTimer>();
  #nextId = 0;

  constructor(kernel: Kernel, incarnation: Incarnation) {
    this.#kernel = kernel;
    this.#incarnation = incarnation;
    incarnation.clockListeners.push(() => this.#setAllAnew());
  }

  at(deadlineNs: Nanos, fire: () => void): TimerId {
    // `NEVER` is a deadline like any other: a timer that does not fire.
    if (!this.#incarnation.alive || deadlineNs === Number.POSITIVE_INFINITY) return NO_TIMER;
    const id = this.#nextId++ as TimerId;
    const once = (): void => {
      this.#set.delete(id);
      fire();
    };
    this.#set.set(id, { deadlineNs, fire: once, event: this.#schedule(deadlineNs, once) });
    return id;
  }

  cancel(timer: TimerId): void {
    const set = this.#set.get(timer);
    if (set === undefined) return;
    this.#set.delete(timer);
    this.#kernel.cancel(set.event);
  }

  sleep(durationNs: number): Promise<void> {
    return new Promise((resolve) => {
      this.at(nanos(this.#incarnation.localNowNs() + Math.max(0, durationNs)), () => resolve());
    });
  }

  #schedule(deadlineNs: Nanos, fire: () => void): EventId {
    const { clock } = this.#incarnation;
    const timeNs = Math.max(clock.runNs(deadlineNs), this.#incarnation.nowNs());
    return this.#kernel.schedule(timeNs, EventKind.timer, this.#incarnation, fire, 0, 0);
  }

  #setAllAnew(): void {
    for (const timer of this.#set.values()) {
      this.#kernel.cancel(timer.event);
      timer.event = this.#schedule(timer.deadlineNs, timer.fire);
    }
  }
}

const NO_TIMER = -1 as TimerId;

class SimLog implements Log {
  readonly #kernel: Kernel;
  readonly #incarnation: Incarnation;

  constructor(kernel: Kernel, incarnation: Incarnation) {
    this.#kernel = kernel;
    this.#incarnation = incarnation;
  }

  event(kind: string, a = 0, b = 0): void {
    const { alive, logId, name } = this.#incarnation;
    if (alive) this.#kernel.log.line(this.#incarnation.nowNs(), logId, name, kind, a, b);
  }

  note(text: string): void {
    const { alive, logId, name } = this.#incarnation;
    if (alive) this.#kernel.log.note(this.#incarnation.nowNs(), logId, name, text);
  }
}
