/** The simulator as a stage: one seed, one run. */
import { toErrorRecord } from '../base/errors.ts';
import { present } from '../base/invariant.ts';
import type { SharedMemory } from '../base/shared-memory.ts';
import { PAGE_BYTES } from '../base/units.ts';
import { createDriverVm } from '../driver-vm/create-driver-vm.ts';
import { createGuest } from '../guests/create-guest.ts';
import { type Ids, Toolstack, type ToolstackEvents } from '../hypervisor/toolstack.ts';
import { disturbedDelivery } from '../hypervisor/xenstore/watches.ts';
import { messageTypeOf } from '../hypervisor/xenstore/wire.ts';
import { isParallaxDisk, POOL_DISK } from '../parallax/disk-names.ts';
import type { DiskTrouble, LinkMeasure, ProtocolTrigger, Trigger } from '../world/faults.ts';
import type { EventLog, TraceWindow } from '../world/sim/event-log.ts';
import { SimDirectory } from '../world/sim/sim-directory.ts';
import type { SimHost } from '../world/sim/sim-host.ts';
import type { SimSpawner } from '../world/sim/sim-spawner.ts';
import { type SimOutcome, Simulator } from '../world/sim/simulator.ts';
import type { Clock, Timers, World } from '../world/world.ts';
import { checkFaults } from './check-faults.ts';
import { RUN_POOL } from './petal-scenario.ts';
import { FileRunPool, PetalRunPool } from './run-pool.ts';
import { RUN_STORE, RunStore } from './run-store.ts';
import { Run } from './runner.ts';
import { diskName, type Scenario, type StoreScenario } from './scenario.ts';
import { strikeDisk } from './sim-disk-trouble.ts';
import { strikeLink } from './sim-link-trouble.ts';
import { SimPetalStage } from './sim-petal-stage.ts';
import type { Stage } from './stage.ts';
import { READER_BYTES } from './stored-snapshots.ts';

/** Virtual time that a run may take after the scenario's own limit, to end its story. */
const AFTERMATH_NS = 5e9;
const MAX_EVENTS = 50_000_000;
/** A directory that does not answer is given up after this long: runs are short. */
const ANSWER_NS = 100e6;

export class SimStage implements Stage {
  readonly world = 'sim';
  readonly store: RunStore | null = null;
  readonly petal: SimPetalStage | null = null;
  readonly simulator: Simulator;
  readonly #scenario: Scenario;
  readonly #spawner: SimSpawner;
  readonly #pool: SimHost;
  readonly #directory: SimDirectory | null = null;
  readonly #runner: World;

  /** Throws `UsageError` for a fault that cannot be played. */
  constructor(scenario: Scenario, seed: number, trace: TraceWindow | null) {
    checkFaults(scenario);
    this.#scenario = scenario;
    this.simulator = new Simulator(trace === null ? { seed } : { seed, trace });
    const factories = { guest: createGuest, 'driver-vm': createDriverVm };
    this.#spawner = this.simulator.spawner(factories);
    const pool = this.simulator.addHost('pool', { memoryBytes: PAGE_BYTES });
    this.#pool = pool;
    for (const name of scenario.hosts) {
      this.simulator.addHost(name, { memoryBytes: scenario.hostMemoryBytes, pool });
    }
    if (scenario.store !== undefined) {
      const { petal } = scenario.store;
      const directory = new SimDirectory(this.simulator, 'store', { timeoutNs: ANSWER_NS });
      this.#directory = directory;
      if (petal !== undefined) this.petal = new SimPetalStage(this.simulator, petal, directory);
      this.store = this.#storeOf(scenario.store, directory, pool);
    }
    const first = this.simulator.host(scenario.hosts[0] ?? '');
    this.#runner = this.simulator.toolstackWorld('runner', first);
  }

  /** The runner looks at the store from a host of its own. */
  #storeOf(plan: StoreScenario, directory: SimDirectory, pool: SimHost): RunStore {
    const host = this.simulator.addHost('store', { memoryBytes: READER_BYTES, pool });
    const world = this.simulator.toolstackWorld('store', host);
    const place = { store: RUN_STORE, directory };
    const { petal } = plan;
    const { petal: servers } = this;
    if (petal === undefined || servers === null) {
      const file = new FileRunPool(world, { ...place, diskName: POOL_DISK });
      return new RunStore(world, directory, file, plan);
    }
    const net = servers.netFor('runner', world);
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
    this.petal?.hostUp(name);
    const world = this.simulator.toolstackWorld(`${name}/dom0`, this.simulator.host(name));
    const options = this.#scenario.disturbedStore
      ? {
          delivery: disturbedDelivery(world.random.fork('watches'), {
            duplicate: 0.1,
            late: 0.1,
            latestNs: 2e6,
          }),
        }
      : {};
    return new Toolstack(name, world, this.#spawner, events, options, ids);
  }

  arm(actor: string, trigger: Trigger, strike: () => void): void {
    if (trigger.kind === 'event') this.simulator.armKillAtEvent(actor, trigger.nth, strike);
    if (trigger.kind === 'crash-point') {
      this.simulator.armCrashPoint(actor, trigger.point, trigger.nth, strike);
    }
  }

  armProtocol(guests: readonly string[], trigger: ProtocolTrigger, strike: () => void): void {
    this.simulator.armProtocolEvent(guests, trigger.event, trigger.nth, strike);
  }

  pause(actor: string, durationNs: number): void {
    this.simulator.pause(actor, durationNs);
  }

  powerCut(host: string): Promise<void> {
    this.petal?.hostDown(host);
    this.simulator.host(host).powerCut();
    return Promise.resolve();
  }

  hostLoss(host: string): Promise<void> {
    this.petal?.hostDown(host);
    this.simulator.host(host).lose();
    return Promise.resolve();
  }

  poolTrouble(trouble: DiskTrouble, forNs: number): () => void {
    const disks = this.#pool.diskNames().map((name) => this.#pool.disk(name));
    const heal = disks.map((disk) => strikeDisk(disk, trouble, this.clock.nowNs(), forNs));
    return () => {
      for (const end of heal) end();
    };
  }

  directoryLoss(): () => void {
    const directory = present(this.#directory, 'a script is checked before it is played');
    directory.setHealth('no-majority');
    return () => directory.setHealth('up');
  }

  trouble(host: string, guest: string, trouble: DiskTrouble, forNs: number): () => void {
    const there = this.simulator.host(host);
    const own = there.findDisk(diskName(guest));
    // Of an image it is the host's disk that has trouble: its log and its slab.
    const names = own === undefined ? there.diskNames().filter(isParallaxDisk) : [diskName(guest)];
    const heal = names.map((name) =>
      strikeDisk(there.disk(name), trouble, this.clock.nowNs(), forNs),
    );
    return () => {
      for (const end of heal) end();
    };
  }

  linkTrouble(link: string, measure: LinkMeasure): () => void {
    return strikeLink(this.simulator.link(link), measure, messageTypeOf);
  }

  setDrift(actor: string, driftPpm: number): void {
    this.simulator.setDrift(actor, driftPpm);
  }

  jumpClock(actor: string, jumpNs: number): void {
    this.simulator.jumpClock(actor, jumpNs);
  }

  memoryOf(host: string): SharedMemory {
    return this.simulator.host(host).memory;
  }
}

export interface SimRun {
  readonly run: Run;
  readonly outcome: SimOutcome;
  readonly log: EventLog;
}

/**
 * Runs a scenario once with a seed, to its end or to its time limit. `breathe` goes back to the
 * event loop now and then, and may tell how far the run is.
 */
export async function runInSimulator(
  scenario: Scenario,
  seed: number,
  trace: TraceWindow | null = null,
  breathe?: (resume: () => void, run: Run, nowNs: number) => void,
): Promise<SimRun> {
  const stage = new SimStage(scenario, seed, trace);
  const run = new Run(scenario, stage);
  let over = false;
  run.story().then(
    () => {
      over = true;
    },
    (thrown: unknown) => {
      over = true;
      run.problems.push(`the runner failed: ${toErrorRecord(thrown).stack}`);
    },
  );
  const outcome = await stage.simulator.run({
    until: () => {
      stage.petal?.laws.step();
      return over || (stage.simulator.failures.length > 0 && anyUnforgiven(run, stage));
    },
    maxTimeNs: scenario.timeLimitNs + AFTERMATH_NS,
    maxEvents: MAX_EVENTS,
    ...(breathe === undefined
      ? {}
      : { breathe: (resume) => breathe(resume, run, stage.simulator.nowNs) }),
  });
  for (const { actor, timeNs, event, error } of outcome.failures) {
    if (run.mayFail(actor, error)) continue;
    run.problems.push(
      `${actor} failed at event ${event} (${timeNs} ns): ${error.message}\n${error.stack}`,
    );
  }
  return { run, outcome, log: stage.simulator.log };
}

/** Nobody fails but who may: see `Run.mayFail`. */
function anyUnforgiven(run: Run, { simulator }: SimStage): boolean {
  return simulator.failures.some(({ actor, error }) => !run.mayFail(actor, error));
}
