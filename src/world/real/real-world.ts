/**
 * A `World` of real threads, put together from its parts for the three who need one: an actor on a
 * blocking loop, an actor on an event loop, and the toolstack on the main thread.
 *
 * A world belongs to one incarnation. `bury` ends it: no timer, frame or completion reaches the
 * incarnation from that moment, promises it waits for never settle, and what it had in flight on
 * its disks is over when `bury` settles.
 */
import { Prng } from '../../base/prng.ts';
import type { SharedMemory } from '../../base/shared-memory.ts';
import type { ProtocolEvent } from '../faults.ts';
import { noDisks } from '../no-disks.ts';
import type { Clock, Cpu, Digest, Disks, Link, Timers, World } from '../world.ts';
import type { ActorWords } from './actor-words.ts';
import { ActorClock, type ClockZero, MonotonicClock, type SleepClock } from './clock.ts';
import { nodeDigest } from './digest.ts';
import { FileDisks } from './file-disks.ts';
import { FlightLog } from './flight-log.ts';
import { NamedLinks } from './net.ts';
import { NodeTimers } from './node-timers.ts';
import { TimerHeap } from './timer-heap.ts';
import { BellWake } from './wake.ts';

export interface WorldOptions {
  readonly name: string;
  readonly memory: SharedMemory;
  readonly seed: number;
  readonly incarnation: number;
  readonly clockZero: ClockZero;
  readonly folder: string;
  /** Where the disks of the pool are; none unless said. */
  readonly poolFolder?: string | null;
  readonly links: ReadonlyMap<string, Link>;
  readonly onNote: (text: string) => void;
  /** Told when a timer has fired or a disk operation has completed. */
  readonly onActivity: () => void;
  readonly crashPoint: (name: string) => void;
  readonly protocolEvent: (event: ProtocolEvent) => void;
}

/** Of an actor: its clock can be told to go wrong. */
export interface ActorWorldOptions extends WorldOptions {
  readonly words: ActorWords;
}

export interface RealWorld<T extends Timers = Timers> extends World {
  readonly clock: SleepClock;
  readonly timers: T;
  readonly log: FlightLog;
  readonly disks: FileDisks;
  readonly wake: BellWake;
  /** Disk operations in flight, the pool's included. */
  readonly diskOperations: number;
  bury(): Promise<void>;
}

/** For an actor on a `BlockingLoop`, which fires the timers itself. */
export function blockingWorld(options: ActorWorldOptions): RealWorld<TimerHeap> {
  const recordClock = new MonotonicClock(options.clockZero);
  const clock = new ActorClock(recordClock, options.words);
  return new ThreadWorld(options, clock, recordClock, new TimerHeap(clock));
}

/** For an actor on an `EventLoop`. */
export function eventLoopWorld(options: ActorWorldOptions): RealWorld<NodeTimers> {
  const recordClock = new MonotonicClock(options.clockZero);
  const clock = new ActorClock(recordClock, options.words);
  const timers = new NodeTimers(clock, options.onActivity);
  clock.onChange = () => timers.rearm();
  return new ThreadWorld(options, clock, recordClock, timers);
}

export type ToolstackOptions = Pick<
  WorldOptions,
  'name' | 'memory' | 'seed' | 'clockZero' | 'folder' | 'poolFolder' | 'onNote'
>;

/**
 * For the toolstack, and for actors that live beside it on the main thread: no crash points, no
 * events.
 */
export function toolstackWorld(
  options: ToolstackOptions,
  onActivity: () => void = () => {},
  links: ReadonlyMap<string, Link> = new Map(),
): RealWorld<NodeTimers> {
  const clock = new MonotonicClock(options.clockZero);
  const whole = {
    ...options,
    incarnation: 0,
    links,
    onActivity,
    crashPoint: (): void => {},
    protocolEvent: (): void => {},
  };
  return new ThreadWorld(whole, clock, clock, new NodeTimers(clock, onActivity));
}

const freeCpu: Cpu = { spend: () => {} };

class ThreadWorld<T extends Timers & { close(): void }> implements RealWorld<T> {
  readonly name: string;
  readonly memory: SharedMemory;
  readonly clock: SleepClock;
  readonly recordClock: Clock;
  readonly timers: T;
  readonly random: Prng;
  readonly disks: FileDisks;
  readonly poolDisks: Disks;
  readonly net: NamedLinks;
  readonly log: FlightLog;
  readonly wake: BellWake;
  readonly digest: Digest = nodeDigest;
  readonly cpu: Cpu = freeCpu;
  readonly crashPoint: (name: string) => void;
  readonly #pool: FileDisks | null;
  readonly protocolEvent: (event: ProtocolEvent) => void;

  constructor(options: WorldOptions, clock: SleepClock, recordClock: Clock, timers: T) {
    this.name = options.name;
    this.memory = options.memory;
    this.clock = clock;
    this.recordClock = recordClock;
    this.timers = timers;
    this.random = new Prng(options.seed, `${options.name}#${options.incarnation}`);
    this.disks = new FileDisks(options.folder, options.onActivity);
    const { poolFolder = null } = options;
    this.#pool = poolFolder === null ? null : new FileDisks(poolFolder, options.onActivity);
    this.poolDisks = this.#pool ?? noDisks;
    this.net = new NamedLinks(options.links);
    this.log = new FlightLog(recordClock, options.onNote);
    this.wake = new BellWake(options.memory);
    this.crashPoint = options.crashPoint;
    this.protocolEvent = options.protocolEvent;
  }

  wallMs(): number {
    return Date.now();
  }

  get diskOperations(): number {
    return this.disks.inFlight + (this.#pool?.inFlight ?? 0);
  }

  async bury(): Promise<void> {
    this.timers.close();
    this.net.close();
    await Promise.all([this.disks.bury(), this.#pool?.bury()]);
  }
}
