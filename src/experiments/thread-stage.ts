/**
 * Threads as a stage: real time, a worker for each guest and driver VM, real files for disks.
 *
 * ```
 * main thread     runner, and per host: toolstack with its xenstore, in a world of its own
 * piscina pool    one thread a guest, asleep on its bell
 * worker          one a driver VM, woken by its bell through the event loop
 * folder/HOST/    the disks of a host
 * ```
 * All worlds of a run share one zero of the monotonic clock, so that times of different threads can
 * be compared.
 *
 * Of the triggers, `time` and `progress` are the runner's own. A `crash-point` is armed in the
 * shared words of the actor that is alive, from its start; passages are counted within one life.
 * Several for one actor strike one life after the other, and one that a life did not reach, because
 * something else ended it, is armed again in the next. Guests count their `protocol` events in the
 * same words; the stage looks at the sums every `LOOK_NS` and strikes then, so a few more events
 * may have happened, and a guest that is done sooner is not struck. Other events threads do not
 * count: `event` and `recovery` are refused.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StorageError, toErrorRecord, UsageError } from '../base/errors.ts';
import { fail, invariant, present } from '../base/invariant.ts';
import type { SharedMemory } from '../base/shared-memory.ts';
import { nanos } from '../base/units.ts';
import { type Ids, Toolstack, type ToolstackEvents } from '../hypervisor/toolstack.ts';
import { POOL_DISK } from '../parallax/disk-names.ts';
import type { ActorHandle, ActorSpec, Spawner } from '../world/actor.ts';
import type {
  CrashPoint,
  DiskTrouble,
  LinkMeasure,
  ProtocolEvent,
  ProtocolTrigger,
  Trigger,
} from '../world/faults.ts';
import type { WaitMode } from '../world/real/bell-watch.ts';
import { startClock } from '../world/real/clock.ts';
import { LmdbDirectory } from '../world/real/lmdb-directory.ts';
import { type RealWorld, toolstackWorld } from '../world/real/real-world.ts';
import { type HostPlace, type ThreadActorHandle, ThreadSpawner } from '../world/real/spawner.ts';
import { createHostMemory, WASM_PAGE_BYTES } from '../world/real/wasm-memory.ts';
import type { Clock, Link, Timers } from '../world/world.ts';
import { checkFaults } from './check-faults.ts';
import { RUN_POOL } from './petal-scenario.ts';
import { FileRunPool, PetalRunPool } from './run-pool.ts';
import { RUN_STORE, RunStore } from './run-store.ts';
import { Run } from './runner.ts';
import type { Scenario, StoreScenario } from './scenario.ts';
import type { Stage } from './stage.ts';
import { READER_BYTES } from './stored-snapshots.ts';
import { troubleByFilter } from './thread-disk-trouble.ts';
import {
  directoryFile,
  diskFolder,
  makeFolders,
  poolFolder,
  removeDisks,
  serverFolder,
  serversOf,
  storeFolder,
} from './thread-folders.ts';
import { GatedPath } from './thread-link-trouble.ts';
import { ThreadPetalStage } from './thread-petal-stage.ts';
import { checkForThreads } from './thread-script.ts';

export interface ThreadModes {
  readonly guests: WaitMode;
  readonly driver: WaitMode;
}

/** A thread that spins on two cores costs the others more than a wake-up: nobody spins. */
export const DEFAULT_MODES: ThreadModes = { guests: 'block', driver: 'block' };

export interface ThreadStageOptions {
  readonly seed: number;
  /** Disks are in a folder a host below it; made if they are missing. */
  readonly folder: string;
  readonly modes?: ThreadModes;
  /** What actors say of themselves, for instance the last events of one that failed. */
  readonly onNote?: (actor: string, text: string) => void;
}

/** Between two looks at the counts of protocol events. */
const LOOK_NS = 1e6;
/** Not the name of a host: where the store is looked at from. */
const STORE_PLACE = 'store/reader';

const GUEST_WORKER = new URL('../guests/worker.js', import.meta.url);
const DRIVER_WORKER = new URL('../driver-vm/worker.js', import.meta.url);
const PETAL_WORKER = new URL('../petal-backend/worker.js', import.meta.url);

export class ThreadStage implements Stage {
  readonly world = 'threads';
  readonly store: RunStore | null = null;
  readonly petal: ThreadPetalStage | null = null;
  readonly #directory: LmdbDirectory | null = null;
  readonly #options: ThreadStageOptions;
  readonly #zero = startClock();
  readonly #places = new Map<string, HostPlace>();
  readonly #spawner: ThreadSpawner;
  readonly #arming: ArmingSpawner;
  readonly #toolstacks = new Map<string, Toolstack>();
  readonly #worlds: RealWorld[] = [];
  readonly #paths = new Map<string, GatedPath>();
  readonly #awaited = new Set<AwaitedEvent>();
  #looking = false;
  readonly #runner: RealWorld;

  /** The folders of the hosts exist. Throws `UsageError` for a fault that cannot be played here. */
  constructor(scenario: Scenario, options: ThreadStageOptions) {
    this.#options = options;
    checkFaults(scenario);
    for (const fault of scenario.faults) checkForThreads(fault);
    for (const name of scenario.hosts) {
      const memory = createHostMemory(scenario.hostMemoryBytes);
      const folder = diskFolder(options.folder, name);
      this.#places.set(name, { memory, folder, poolFolder: poolFolder(options.folder) });
    }
    for (const name of serversOf(scenario)) {
      const memory = createHostMemory(WASM_PAGE_BYTES);
      // Each server has a folder of its name below that.
      this.#places.set(name, { memory, folder: storeFolder(options.folder) });
      this.#places.set(disksOf(name), { memory, folder: serverFolder(options.folder, name) });
    }
    const { guests, driver } = options.modes ?? DEFAULT_MODES;
    this.#spawner = new ThreadSpawner({
      hosts: this.#places,
      guestWorker: GUEST_WORKER,
      driverWorker: DRIVER_WORKER,
      petalWorker: PETAL_WORKER,
      guestThreads: Math.max(1, scenario.guests.length),
      guestMode: guests,
      driverMode: driver,
      clockZero: this.#zero,
      seed: options.seed,
      onNote: this.#onNote,
    });
    this.#runner = this.#worldOf('runner', scenario.hosts[0] ?? '');
    this.#arming = new ArmingSpawner(this.#spawner, (link) => this.#pathOf(link));
    if (scenario.store === undefined) return;
    const directory = new LmdbDirectory(directoryFile(options.folder));
    this.#directory = directory;
    const { petal } = scenario.store;
    if (petal !== undefined) {
      const worldOn = (name: string): RealWorld => this.#worldOf(disksOf(name), disksOf(name));
      const spawner = this.#arming;
      this.petal = new ThreadPetalStage({ scenario: petal, directory, spawner, worldOn });
    }
    this.store = this.#storeOf(scenario.store, directory);
  }

  #storeOf(plan: StoreScenario, directory: LmdbDirectory): RunStore {
    const { folder } = this.#options;
    const memory = createHostMemory(READER_BYTES);
    this.#places.set(STORE_PLACE, { memory, folder, poolFolder: poolFolder(folder) });
    const world = this.#worldOf('store', STORE_PLACE);
    const place = { store: RUN_STORE, directory };
    const { petal } = plan;
    if (petal === undefined || this.petal === null) {
      const file = new FileRunPool(world, { ...place, diskName: POOL_DISK });
      return new RunStore(world, directory, file, plan);
    }
    const net = this.petal.netFor('runner', world);
    const client = { pool: RUN_POOL, options: petal.client };
    const onPetal = new PetalRunPool({ world, net, ...place, place: client });
    return new RunStore(world, directory, onPetal, plan);
  }

  get clock(): Clock {
    return this.#runner.clock;
  }

  get timers(): Timers {
    return this.#runner.timers;
  }

  openHost(name: string, ids: Ids, events: ToolstackEvents): Toolstack {
    const world = this.#worldOf(`${name}/dom0`, name);
    const toolstack = new Toolstack(name, world, this.#arming, events, {}, ids);
    this.#toolstacks.set(name, toolstack);
    return toolstack;
  }

  pause(actor: string, durationNs: number): void {
    this.#arming.alive(actor)?.pause(durationNs / 1e6);
  }

  /**
   * The host's actors are killed and its RAM is emptied; files keep all that was written to them.
   */
  async powerCut(host: string): Promise<void> {
    await this.#arming.killAllOf(host);
    const { memory } = present(this.#places.get(host), 'a host that loses its power exists');
    memory.clear(0, memory.sizeBytes);
  }

  async hostLoss(host: string): Promise<void> {
    await this.powerCut(host);
    const { folder } = present(this.#places.get(host), 'a host that is lost exists');
    for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true });
  }

  poolTrouble(): () => void {
    return fail('a script is checked before it is played');
  }

  directoryLoss(): () => void {
    return fail('a script is checked before it is played');
  }

  trouble(host: string, guest: string, trouble: DiskTrouble): () => void {
    const toolstack = present(this.#toolstacks.get(host), 'a host with trouble is open');
    return troubleByFilter(toolstack, guest, trouble);
  }

  linkTrouble(link: string, measure: LinkMeasure): () => void {
    return this.#pathOf(link).strike(measure);
  }

  setDrift(actor: string, driftPpm: number): void {
    this.#arming.alive(actor)?.setClockDrift(driftPpm);
  }

  jumpClock(actor: string, jumpNs: number): void {
    this.#arming.alive(actor)?.jumpClock(Math.max(1, Math.round(jumpNs / 1e6)));
  }

  memoryOf(host: string): SharedMemory {
    return present(this.#places.get(host), 'a host with memory exists').memory;
  }

  #pathOf(link: string): GatedPath {
    const path = this.#paths.get(link) ?? new GatedPath(this.clock, this.timers);
    this.#paths.set(link, path);
    return path;
  }

  arm(actor: string, trigger: Trigger, _strike: () => void, kills: boolean): void {
    invariant(
      trigger.kind === 'crash-point',
      'a script is checked for threads before it is played',
    );
    invariant(kills, 'threads can only kill at a crash point');
    this.#arming.arm(actor, trigger.point, trigger.nth);
  }

  armProtocol(
    guests: readonly string[],
    { event, nth }: ProtocolTrigger,
    strike: () => void,
  ): void {
    const past = this.#arming.eventCount(guests, event);
    this.#awaited.add({ guests, event, count: past + nth, strike });
    if (!this.#looking) this.#lookForEvents();
  }

  /** Strikes what is due, as long as anything is awaited; ends with the runner's world. */
  #lookForEvents(): void {
    for (const awaited of this.#awaited) {
      const { guests, event, count, strike } = awaited;
      if (this.#arming.eventCount(guests, event) < count) continue;
      this.#awaited.delete(awaited);
      strike();
    }
    this.#looking = this.#awaited.size > 0;
    const nextNs = nanos(this.clock.nowNs() + LOOK_NS);
    if (this.#looking) this.timers.at(nextNs, () => this.#lookForEvents());
  }

  /** Ends the stories of the run and every thread; nothing of it touches a disk afterwards. */
  async close(): Promise<void> {
    this.#arming.close();
    await Promise.all(this.#worlds.map((world) => world.bury()));
    await this.#spawner.close();
    await this.#directory?.close();
  }

  #worldOf(name: string, host: string): RealWorld {
    const { memory, folder, poolFolder } = present(
      this.#places.get(host),
      'a world is on a host that exists',
    );
    const world = toolstackWorld({
      name,
      memory,
      folder,
      ...(poolFolder === undefined ? {} : { poolFolder }),
      seed: this.#options.seed,
      clockZero: this.#zero,
      onNote: (text) => this.#onNote(name, text),
    });
    this.#worlds.push(world);
    return world;
  }

  readonly #onNote = (actor: string, text: string): void => {
    this.#options.onNote?.(actor, text);
  };
}

/** Not the name of a host: where the disks of a server are looked at from, at the end. */
function disksOf(server: string): string {
  return `${server}/disks`;
}

interface AwaitedEvent {
  readonly guests: readonly string[];
  readonly event: ProtocolEvent;
  /** Of the guests together, from the start of the run. */
  readonly count: number;
  readonly strike: () => void;
}

interface ArmedPoint {
  readonly point: CrashPoint;
  readonly passes: number;
}

/**
 * Arms the crash points that wait for an actor as soon as it is started, and notes which struck.
 * Links go through the gates of their paths.
 */
class ArmingSpawner implements Spawner {
  readonly #spawner: ThreadSpawner;
  readonly #pathOf: (link: string) => GatedPath;
  readonly #waiting = new Map<string, ArmedPoint[]>();
  /** By host, those started there that may still be alive. */
  readonly #started = new Map<string, Set<ThreadActorHandle>>();
  /** By name, every incarnation there ever was. */
  readonly #incarnations = new Map<string, ThreadActorHandle[]>();
  #closed = false;

  constructor(spawner: ThreadSpawner, pathOf: (link: string) => GatedPath) {
    this.#spawner = spawner;
    this.#pathOf = pathOf;
  }

  arm(actor: string, point: CrashPoint, passes: number): void {
    const waiting = this.#waiting.get(actor) ?? [];
    waiting.push({ point, passes });
    this.#waiting.set(actor, waiting);
  }

  spawn(spec: ActorSpec): ActorHandle {
    if (this.#closed) {
      throw new StorageError('E_STAGE_CLOSED', `the run is over: ${spec.name} is not started`);
    }
    const handle = this.#spawner.spawn(spec);
    const onHost = this.#started.get(spec.host) ?? new Set<ThreadActorHandle>();
    this.#started.set(spec.host, onHost.add(handle));
    void handle.exited.then(() => onHost.delete(handle));
    this.#incarnations.set(spec.name, [...(this.#incarnations.get(spec.name) ?? []), handle]);
    const waiting = this.#waiting.get(spec.name) ?? [];
    const next = waiting[0];
    if (next !== undefined) {
      handle.killAt(next.point, next.passes);
      void handle.exited.then(() => {
        if (handle.stoppedAtPoint) waiting.shift();
      });
    }
    return this.#gated(handle);
  }

  /** The handle with its links behind the gates of their paths. */
  #gated(handle: ThreadActorHandle): ActorHandle {
    const { name, exited } = handle;
    const links = new Map<string, Link>();
    for (const [own, link] of handle.links) {
      links.set(own, this.#pathOf(`${name}/${own}`).over(link));
    }
    return {
      name,
      links,
      exited,
      kill: () => handle.kill(),
      call: (method, ...args) => handle.call(method, ...args),
    };
  }

  alive(actor: string): ThreadActorHandle | undefined {
    const all = [...this.#started.values()].flatMap((onHost) => [...onHost]);
    return all.find(({ name }) => name === actor);
  }

  /** How often actors of these names, alive or dead, have said that an event happened. */
  eventCount(actors: readonly string[], event: ProtocolEvent): number {
    return actors
      .flatMap((actor) => this.#incarnations.get(actor) ?? [])
      .reduce((sum, handle) => sum + handle.eventCount(event), 0);
  }

  /** Settles when every actor of a host is gone. */
  async killAllOf(host: string): Promise<void> {
    const onHost = [...(this.#started.get(host) ?? [])];
    for (const handle of onHost) handle.kill();
    await Promise.all(onHost.map(({ exited }) => exited));
  }

  close(): void {
    this.#closed = true;
  }
}

export interface ThreadRunOptions extends ThreadStageOptions {
  /** Leave the disk files where they are; otherwise what the run made is removed. */
  readonly keepDisks: boolean;
  /** Told every `PROGRESS_MS` while the run goes on. */
  readonly onProgress?: (run: Run, nowNs: number) => void;
  /** Ends the run early: every thread is killed and the returned run is what is known so far. */
  readonly signal?: AbortSignal;
}

export interface ThreadRun {
  readonly run: Run;
  readonly durationNs: number;
  /** `signal` ended it. */
  readonly interrupted: boolean;
}

const PROGRESS_MS = 250;

/** Runs a scenario once over threads, to its end, its time limit or the signal. */
export async function runInThreads(
  scenario: Scenario,
  options: ThreadRunOptions,
): Promise<ThreadRun> {
  const { folder, keepDisks, onProgress, signal } = options;
  await makeFolders(scenario, folder);
  const stage = new ThreadStage(scenario, options);
  const run = new Run(scenario, stage);
  const ticker = setInterval(() => onProgress?.(run, stage.clock.nowNs()), PROGRESS_MS);
  let durationNs = 0;
  try {
    const story = run.story().catch((thrown: unknown) => {
      if (thrown instanceof UsageError) throw thrown;
      run.problems.push(`the runner failed: ${toErrorRecord(thrown).stack}`);
    });
    await (signal === undefined ? story : untilAborted(story, signal));
    durationNs = stage.clock.nowNs();
  } finally {
    clearInterval(ticker);
    await stage.close();
    if (!keepDisks) await removeDisks(scenario, folder);
  }
  return { run, durationNs, interrupted: signal?.aborted ?? false };
}

/** Settles with the story, or when the signal ends it early. */
async function untilAborted(story: Promise<void>, signal: AbortSignal): Promise<void> {
  let onAbort = (): void => {};
  const aborted = new Promise<void>((resolve) => {
    onAbort = resolve;
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([story, aborted]);
  } finally {
    // Many runs may share the signal of one command.
    signal.removeEventListener('abort', onAbort);
  }
}
