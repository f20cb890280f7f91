/**
 * Runs a scenario on a stage: brings hosts, driver VMs and guests up, strikes as the script says,
 * and waits until every guest has read its whole disk back.
 *
 * `story` is one async function over the stage's timers; in the simulator it runs between events
 * like any other story. Whether it ended or not, the tracks tell what is known so far: a run that
 * hangs is judged too.
 */
import { type ErrorRecord, StorageError, toErrorRecord } from '../base/errors.ts';
import { type Nanos, nanos } from '../base/units.ts';
import type { Ids } from '../hypervisor/toolstack.ts';
import type { FsckReport } from '../parallax/fsck/report.ts';
import { GuestTrack } from './guest-track.ts';
import { HostKeeper } from './host-keeper.ts';
import { type PetalHealth, PetalKeeper } from './petal-keeper.ts';
import type { PetalScenario } from './petal-scenario.ts';
import type { Scenario } from './scenario.ts';
import { Snapshots } from './snapshots.ts';
import type { Stage } from './stage.ts';
import { Strikes } from './strikes.ts';

export interface StoryEvent {
  readonly atNs: number;
  readonly text: string;
}

const LOOK_NS = 5e6;
/** Until a dead server is missed, dropped, and its lease waited for. */
const OUTAGE_LEASES = 4;

export class Run {
  readonly scenario: Scenario;
  readonly hosts: HostKeeper[] = [];
  readonly guests: GuestTrack[] = [];
  readonly events: StoryEvent[] = [];
  /** What went wrong with the machinery itself. */
  readonly problems: string[] = [];
  /** What the run has left in its store; null: it has none, or has not ended. */
  fsck: FsckReport | null = null;
  /** The servers of its store's pool; null: it has none. */
  readonly petal: PetalKeeper | null;
  /** How these were at the end; null: it has none, or has not ended. */
  health: PetalHealth | null = null;
  readonly #stage: Stage;
  #strikes: Strikes | null = null;
  #snapshots: Snapshots | null = null;

  constructor(scenario: Scenario, stage: Stage) {
    this.scenario = scenario;
    this.#stage = stage;
    const ids: Ids = { nextFrontId: 1, nextDiskId: scenario.guests.length + 1 };
    scenario.guests.forEach((guest, at) => {
      this.guests.push(new GuestTrack(guest, at + 1, scenario.plantedBug));
    });
    this.petal = this.#keeperOf(stage);
    for (const name of scenario.hosts) {
      const problem = (text: string): void => {
        this.problems.push(text);
      };
      const { tell, failed } = this;
      const recoveryBegins = (host: string): void => this.#strikes?.recoveryBegins(host);
      const told = { tell, problem, failed, recoveryBegins };
      const { guests } = this;
      this.hosts.push(new HostKeeper({ name, scenario, stage, guests, ids, ...told }));
    }
  }

  /** Servers of the pool that the store is in. */
  #keeperOf(stage: Stage): PetalKeeper | null {
    const { store, petal: servers } = stage;
    const petal = store?.plan.petal;
    if (store === null || servers === null || petal === undefined) return null;
    const { tell, failed } = this;
    const problem = (text: string): void => {
      this.problems.push(text);
    };
    const { plan, directory, digest } = store;
    const made = { servers, directory, digest, plan, petal };
    const died = (): void => this.#serverDied(petal);
    return new PetalKeeper({ stage, ...made, tell, died, problem, failed });
  }

  /** Whoever is held up until others go on without a server waits for nobody else's sake. */
  #serverDied({ restartNs, options }: PetalScenario): void {
    const fromNs = this.#nowNs();
    const { driverRestartNs } = this.scenario;
    const toNs = fromNs + driverRestartNs + restartNs + OUTAGE_LEASES * options.leaseNs;
    for (const { troubles } of this.guests) troubles.push({ fromNs, toNs });
  }

  get world(): Stage['world'] {
    return this.#stage.world;
  }

  /** Share of all requests that were issued. */
  get progress(): number {
    const all = this.guests.reduce((sum, guest) => sum + guest.scenario.trace.requests, 0);
    const issued = this.guests.reduce(
      (sum, guest) => sum + guest.progress * guest.scenario.trace.requests,
      0,
    );
    return all === 0 ? 1 : issued / all;
  }

  get finished(): boolean {
    return this.guests.every((guest) => guest.isOver || guest.problems.length > 0);
  }

  /**
   * A guest with garbage in its rings may fail: it is ejected all the same. A server may, if its
   * disks cannot be used: it is started again.
   */
  mayFail(actor: string, { kind }: ErrorRecord): boolean {
    if (kind === 'storage' && this.petal?.names.includes(actor) === true) return true;
    return this.guests.some(({ name, struckAtNs }) => name === actor && struckAtNs !== null);
  }

  /** How often each kind of fault has struck; kills at crash points of threads are not counted. */
  get struck(): ReadonlyMap<string, number> {
    return this.#strikes?.struck ?? new Map();
  }

  /** Snapshots that were asked for, and what the images have at the end. */
  get snapshots(): Snapshots | null {
    return this.#snapshots;
  }

  /** Settles when every guest is done, or the time is over, and all driver VMs are ended. */
  async story(): Promise<void> {
    const { hosts, guests, petal, tell, failed } = this;
    const stage = this.#stage;
    await petal?.open();
    await stage.store?.create(this.scenario.guests);
    // Nothing strikes before there is anything to lose.
    const struck = { stage, hosts, guests, petal, tell, failed };
    const strikes = new Strikes(this.scenario.faults, struck);
    this.#strikes = strikes;
    const problem = (text: string): void => {
      this.problems.push(text);
    };
    const taking = { stage, hosts, guests, tell, problem };
    const snapshots = new Snapshots(this.scenario.snapshots ?? [], taking);
    this.#snapshots = snapshots;
    for (const host of hosts) await host.open();
    for (const guest of guests) {
      const host = hosts.find(({ name }) => name === guest.scenario.host);
      await host?.startGuest(guest);
    }
    while (!this.finished && this.#nowNs() < this.scenario.timeLimitNs) {
      strikes.look(this.#nowNs());
      snapshots.look(this.#nowNs());
      await this.#stage.timers.sleep(LOOK_NS);
    }
    for (const host of hosts) await host.settled();
    if (this.scenario.snapshots !== undefined) await snapshots.readAll();
    for (const host of hosts) await host.close();
    strikes.end();
    await strikes.storeHealed();
    const recovery = (await petal?.recovered()) ?? null;
    await this.#readOrphans();
    this.fsck = (await stage.store?.check()) ?? null;
    if (petal !== null && recovery !== null) this.health = await petal.health(recovery);
    await petal?.close();
  }

  async #readOrphans(): Promise<void> {
    const { store } = this.#stage;
    for (const guest of this.guests) {
      const { takeOver } = guest;
      if (takeOver !== null && store !== null) {
        takeOver.orphan = await store.orphanOf(guest).catch(onlyStorageErrors);
      }
    }
  }

  readonly tell = (text: string): void => {
    this.events.push({ atNs: this.#nowNs(), text });
  };

  readonly failed = (thrown: unknown): void => {
    this.problems.push(`the toolstack failed: ${toErrorRecord(thrown).stack}`);
  };

  #nowNs(): Nanos {
    return nanos(this.#stage.clock.nowNs());
  }
}

/** What the store cannot give is told by `fsck`. */
function onlyStorageErrors(thrown: unknown): null {
  if (!(thrown instanceof StorageError)) throw thrown;
  return null;
}
