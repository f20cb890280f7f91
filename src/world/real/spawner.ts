/**
 * Starts and kills actors as threads: a driver VM and a Petal server have a worker of their own, a
 * guest is a task of a piscina pool. Both are controlled by comlink and are killed by terminating
 * the thread, at whatever instruction it is: waiting, spinning, copying, or with file operations in
 * flight.
 *
 * `exited` settles after the thread's own 'exit' event. Node reports that only when the thread's
 * file operations are over (queued ones are dropped, running ones waited for), so after it nothing
 * of the incarnation touches shared memory or a disk.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { StorageError, toErrorRecord } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import type { ActorHandle, ActorSpec, ExitReport, Spawner } from '../actor.ts';
import type { CrashPoint, ProtocolEvent } from '../faults.ts';
import type { Link } from '../world.ts';
import { ActorWords } from './actor-words.ts';
import { SAFETY_POLL_MS, type WaitMode } from './bell-watch.ts';
import type { ActorBoot, ActorNews } from './boot.ts';
import type { ClockZero } from './clock.ts';
import { ControlClient } from './endpoint.ts';
import { GuestThreads } from './guest-threads.ts';
import { EventSource, PortLink } from './net.ts';
import { BellWake } from './wake.ts';
import type { WasmMemory } from './wasm-memory.ts';

export interface HostPlace {
  readonly memory: WasmMemory;
  /** Where its disks are. */
  readonly folder: string;
  /** Where the disks of the pool are; none unless said. */
  readonly poolFolder?: string;
}

export interface ThreadSpawnerOptions {
  /** By name of host. */
  readonly hosts: ReadonlyMap<string, HostPlace>;
  /** Compiled file that exports `main = hostGuest(...)`. */
  readonly guestWorker: URL;
  /** Compiled file that calls `hostDriver(...)`. */
  readonly driverWorker: URL;
  /** The same for Petal servers; missing: none is started. */
  readonly petalWorker?: URL;
  /** Guests that can run at the same time. */
  readonly guestThreads: number;
  readonly guestMode: WaitMode;
  readonly driverMode: WaitMode;
  /** See `SAFETY_POLL_MS`, the default. */
  readonly safetyPollMs?: number;
  readonly clockZero: ClockZero;
  readonly seed: number;
  readonly onNote: (actor: string, text: string) => void;
}

/** What threads can do beyond `ActorHandle`. */
export interface ThreadActorHandle extends ActorHandle {
  /**
   * Kills the actor when it passes the named point for the `passes`-th time from now, between the
   * instruction before the point and the one after it.
   */
  killAt(point: CrashPoint, passes?: number): void;
  /** Its clock goes so many parts in a million too fast from now on; 0: right. */
  setClockDrift(driftPpm: number): void;
  /** Its clock jumps ahead. */
  jumpClock(jumpMs: number): void;
  /** Whether an armed point has stopped it. */
  readonly stoppedAtPoint: boolean;
  /** Has the actor stand still for a while, from the next crash point that it passes. */
  pause(durationMs: number): void;
  /** How often this incarnation has said that such an event happened. */
  eventCount(event: ProtocolEvent): number;
}

export class ThreadSpawner implements Spawner {
  readonly #options: ThreadSpawnerOptions;
  readonly #guests: GuestThreads;
  readonly #alive = new Set<ThreadActor>();
  readonly #started = new Map<string, number>();

  constructor(options: ThreadSpawnerOptions) {
    this.#options = options;
    this.#guests = new GuestThreads(options.guestWorker, options.guestThreads);
  }

  spawn(spec: ActorSpec): ThreadActorHandle {
    const place = this.#options.hosts.get(spec.host);
    invariant(place !== undefined, 'an actor is started on a host that exists');
    const incarnation = this.#started.get(spec.name) ?? 0;
    this.#started.set(spec.name, incarnation + 1);
    const isGuest = spec.kind === 'guest';
    const mode = isGuest ? this.#options.guestMode : this.#options.driverMode;
    const { seed, clockZero, safetyPollMs = SAFETY_POLL_MS } = this.#options;
    const actor = new ThreadActor(
      spec,
      place,
      { seed, clockZero, incarnation, mode, safetyPollMs },
      this.#options.onNote,
    );
    actor.run(isGuest ? this.#runGuest : this.#runIn(this.#workerOf(spec)));
    this.#alive.add(actor);
    void actor.exited.then(() => this.#alive.delete(actor));
    return actor;
  }

  /** Kills what still runs and ends all threads. */
  async close(): Promise<void> {
    const alive = [...this.#alive];
    for (const actor of alive) actor.kill();
    await Promise.all(alive.map(({ exited }) => exited));
    await this.#guests.close();
  }

  readonly #runGuest: Run = (boot, kill) => this.#guests.run(boot, kill);

  #workerOf({ kind }: ActorSpec): URL {
    const { driverWorker, petalWorker } = this.#options;
    const file = kind === 'petal-server' ? petalWorker : driverWorker;
    invariant(file !== undefined, 'a Petal server has a worker file');
    return file;
  }

  /** A worker of its own. */
  readonly #runIn =
    (file: URL): Run =>
    (boot, kill) =>
      new Promise((_resolve, reject) => {
        const worker = new Worker(file, {
          name: boot.name,
          workerData: boot,
          transferList: [boot.control, boot.news, ...boot.links.map(([, port]) => port)],
        });
        let cause: unknown = null;
        kill.addEventListener('abort', () => void worker.terminate(), { once: true });
        worker.once('error', (thrown: unknown) => {
          cause = thrown;
        });
        worker.once('exit', (exitCode) => {
          reject(cause ?? exitedSilently(boot.name, exitCode));
        });
      });
}

/**
 * Hosts a boot in a thread; settles when that thread has nothing of the actor left, with the
 * actor's own account, or rejects when the thread ended without one.
 */
type Run = (boot: ActorBoot, kill: AbortSignal) => Promise<ExitReport>;

type Incarnation = Pick<ActorBoot, 'seed' | 'clockZero' | 'incarnation' | 'mode' | 'safetyPollMs'>;

class ThreadActor implements ThreadActorHandle {
  readonly name: string;
  readonly links: ReadonlyMap<string, Link>;
  readonly exited: Promise<ExitReport>;
  readonly #boot: ActorBoot;
  readonly #place: HostPlace;
  readonly #words = ActorWords.create();
  readonly #news: EventSource;
  readonly #control: EventSource;
  readonly #frames: readonly EventSource[];
  readonly #client: ControlClient;
  readonly #onNote: (actor: string, text: string) => void;
  readonly #killer = new AbortController();
  readonly #calls = new Set<() => void>();
  #report: ExitReport | null = null;
  #gone = false;
  #stoppedAtPoint = false;
  #settle: (report: ExitReport) => void = () => {};

  constructor(
    spec: ActorSpec,
    place: HostPlace,
    incarnation: Incarnation,
    onNote: (actor: string, text: string) => void,
  ) {
    this.name = spec.name;
    this.#place = place;
    this.#onNote = onNote;
    this.exited = new Promise((resolve) => {
      this.#settle = resolve;
    });
    const control = new MessageChannel();
    const news = new MessageChannel();
    const links = spec.links.map((name) => [name, new MessageChannel()] as const);
    this.#control = heard(control.port1);
    this.#news = heard(news.port1);
    this.#news.listen(this.#onNews);
    this.#frames = links.map(([, { port1 }]) => heard(port1));
    const afterPost = spec.kind === 'guest' ? this.#bellOf(place, spec.bellAddress) : () => {};
    this.links = new Map(
      this.#frames.map((source, at) => [spec.links[at] as string, new PortLink(source, afterPost)]),
    );
    this.#client = new ControlClient(this.#control, afterPost);
    this.#boot = {
      ...incarnation,
      kind: spec.kind,
      name: spec.name,
      memory: place.memory.transfer,
      bellAddress: spec.bellAddress,
      config: spec.config,
      folder: folderOf(spec, place),
      poolFolder: place.poolFolder ?? null,
      words: this.#words.buffer,
      control: control.port2,
      news: news.port2,
      links: links.map(([name, { port2 }]) => [name, port2]),
    };
  }

  /** Called once, right after the constructor. */
  run(run: Run): void {
    run(this.#boot, this.#killer.signal).then(
      (report) => this.#onGone(report),
      (thrown: unknown) => this.#onGone(this.#endedWithoutReport(thrown)),
    );
  }

  kill(): void {
    if (!this.#gone) this.#killer.abort();
  }

  killAt(point: CrashPoint, passes = 1): void {
    this.#words.arm(point, passes);
  }

  get stoppedAtPoint(): boolean {
    return this.#stoppedAtPoint;
  }

  pause(durationMs: number): void {
    this.#words.askPause(durationMs);
  }

  setClockDrift(driftPpm: number): void {
    this.#words.setClockDrift(driftPpm);
    this.#wake();
  }

  jumpClock(jumpMs: number): void {
    this.#words.jumpClock(jumpMs);
    this.#wake();
  }

  eventCount(event: ProtocolEvent): number {
    return this.#words.eventCount(event);
  }

  call(method: string, ...args: unknown[]): Promise<unknown> {
    if (this.#gone) return Promise.reject(actorGone(this.name, method));
    return new Promise((resolve, reject) => {
      const onGone = (): void => reject(actorGone(this.name, method));
      this.#calls.add(onGone);
      this.#client
        .call(method, args)
        .then(resolve, reject)
        .finally(() => this.#calls.delete(onGone));
    });
  }

  readonly #onNews = (message: unknown): void => {
    const news = message as ActorNews;
    switch (news.kind) {
      case 'note':
        return this.#onNote(this.name, news.text);
      case 'parked':
        this.#stoppedAtPoint = true;
        return this.kill();
      case 'exit':
        this.#report = news.report;
    }
  };

  #onGone(report: ExitReport): void {
    this.#gone = true;
    // What it sent in time may still wait in the ports: it comes before the end.
    for (const source of [this.#news, this.#control, ...this.#frames]) source.drain();
    this.#news.port.close();
    this.#control.port.close();
    // Ports that never travelled, because the actor was killed before its thread was ready.
    for (const [, port] of this.#boot.links) port.close();
    // Answers that were just drained reach their callers by promise jobs: those run first.
    setImmediate(() => {
      for (const reject of this.#calls) reject();
      this.#calls.clear();
      this.#settle(this.#report ?? report);
    });
  }

  #endedWithoutReport(thrown: unknown): ExitReport {
    if (this.#killer.signal.aborted) return { reason: 'killed' };
    return { reason: 'failed', error: toErrorRecord(thrown) };
  }

  /** Has the actor look at its clock: what it sleeps until may be over. */
  #wake(): void {
    if (!this.#gone) new BellWake(this.#place.memory).changeAndRing(this.#boot.bellAddress);
  }

  /** A guest sleeps on its bell: what is posted to it must be counted and rung. */
  #bellOf(place: HostPlace, bellAddress: number): () => void {
    const bells = new BellWake(place.memory);
    return () => {
      this.#words.addFramePosted();
      bells.changeAndRing(bellAddress);
    };
  }
}

/** A server's disks are not among those of the host that it runs on. */
function folderOf({ kind, name }: ActorSpec, { folder }: HostPlace): string {
  if (kind !== 'petal-server') return folder;
  const own = join(folder, name);
  mkdirSync(own, { recursive: true });
  return own;
}

function heard(port: MessagePort): EventSource {
  return new EventSource(port, () => {});
}

function actorGone(name: string, method: string): StorageError {
  return new StorageError('E_ACTOR_GONE', `${name} is gone: ${method} was not answered`, {
    fields: { actor: name, method },
  });
}

function exitedSilently(name: string, exitCode: number): StorageError {
  return new StorageError('E_ACTOR_EXITED', `${name} ended without a report`, {
    fields: { actor: name, exitCode },
  });
}
