/**
 * Keeps the servers of a run's Petal pool going: makes the pool, brings back what is gone, and says
 * at the end whether all of it came together again.
 */
import { invariant } from '../base/invariant.ts';
import { createPetalPool } from '../petal-backend/directory/pool-setup.ts';
import { VdiskMode } from '../petal-backend/directory/records.ts';
import type { ServerReport } from '../petal-backend/server/petal-server-actor.ts';
import type { ActorHandle } from '../world/actor.ts';
import type { Directory } from '../world/directory.ts';
import { comparePool, type PoolComparison } from './compare-copies.ts';
import { type PetalScenario, RUN_POOL, serverNames } from './petal-scenario.ts';
import { RUN_STORE } from './run-store.ts';
import type { StoreScenario } from './scenario.ts';
import type { PetalStage, Stage } from './stage.ts';

export interface PetalKeeperParts {
  readonly stage: Pick<Stage, 'clock' | 'timers'>;
  readonly servers: PetalStage;
  readonly directory: Directory;
  readonly digest: Parameters<typeof createPetalPool>[1];
  readonly plan: StoreScenario;
  readonly petal: PetalScenario;
  readonly tell: (text: string) => void;
  /** A server is dead from now on. */
  readonly died: () => void;
  /** A server failed by itself: a bug. */
  readonly problem: (text: string) => void;
  readonly failed: (thrown: unknown) => void;
}

/** Whether all came together again when faults were over. */
export interface PoolRecovery {
  /** How long it took until all was in sync and nothing dirty; null: it did not come to that. */
  readonly cleanAfterNs: number | null;
  /** What was not, in words, when the time was over. */
  readonly unclean: readonly string[];
}

/** What became of the pool. */
export interface PetalHealth extends PoolRecovery {
  readonly copies: PoolComparison;
}

/** The death of a server, and its return. */
export interface ServerDeath {
  readonly server: string;
  readonly atNs: number;
  /** `host-down`: the host of guests that it was on lost its power, or was lost with its disks. */
  readonly crash: 'kill' | 'power-cut' | 'host-down';
  /** null: it was not started again yet. */
  backNs: number | null;
  /** When it was in sync for all its pairs again, to a look or so; null: it was not yet. */
  inSyncNs: number | null;
}

const UUID = new Uint8Array(16).fill(0x50);
const LOOK_NS = 2e6;
/** Between two comparisons of all copies. */
const SCRUB_NS = 100e6;
const NO_COPIES: PoolComparison = { blocks: 0, differences: [] };

export class PetalKeeper {
  readonly deaths: ServerDeath[] = [];
  readonly names: readonly string[];
  readonly #parts: PetalKeeperParts;
  readonly #handles = new Map<string, ActorHandle>();
  /** Dead and about to be started again. */
  readonly #returning = new Set<Promise<void>>();
  #isEnding = false;
  /** Hosts that are dark stay so; who was on them is started all the same. */
  #faultsAreOver = false;

  constructor(parts: PetalKeeperParts) {
    this.#parts = parts;
    this.names = serverNames(parts.petal);
  }

  /** Makes the pool, and its virtual disk of the store's name; settles when all are in sync. */
  async open(): Promise<void> {
    const { directory, digest, plan, petal, stage } = this.#parts;
    const { dataDisks, dataBytes } = petal.store;
    const disks = Array.from({ length: dataDisks }, () => dataBytes);
    await createPetalPool(directory, digest, {
      pool: RUN_POOL,
      uuid: UUID,
      createdMs: 0,
      servers: this.names.map((address) => ({ address, site: 'site', disks })),
      copies: petal.copies,
      vdisk: { name: RUN_STORE, mode: VdiskMode.shared, sizeBlocks: plan.poolBlocks },
    });
    for (const name of this.names) this.#start(name);
    while ((await this.#unclean()).length > 0) await stage.timers.sleep(LOOK_NS);
  }

  /** What became of the laws of the pool; null: this world cannot say. */
  get laws(): PetalStage['laws'] {
    return this.#parts.servers.laws;
  }

  /** It is started again after the scenario's delay. */
  kill(server: string): void {
    const handle = this.#handles.get(server);
    if (handle === undefined) return;
    this.#parts.tell(`server ${server} is killed`);
    handle.kill();
    this.#bringBack(server, handle, 'kill');
  }

  cutPower(server: string): void {
    const handle = this.#handles.get(server);
    if (handle === undefined) return;
    this.#parts.tell(`the host of server ${server} loses its power`);
    this.#parts.servers.powerCut(server).catch(this.#parts.failed);
    this.#bringBack(server, handle, 'power-cut');
  }

  /** When faults are over: waits until the pool is clean, for so long as the scenario says. */
  async recovered(): Promise<PoolRecovery> {
    const { stage, petal } = this.#parts;
    this.#faultsAreOver = true;
    await Promise.all(this.#returning);
    const fromNs = stage.clock.nowNs();
    const untilNs = fromNs + petal.cleanWithinNs;
    for (;;) {
      const unclean = await this.#unclean();
      const nowNs = stage.clock.nowNs();
      if (unclean.length === 0) return { cleanAfterNs: nowNs - fromNs, unclean };
      if (nowNs >= untilNs) return { cleanAfterNs: null, unclean };
      await stage.timers.sleep(LOOK_NS);
    }
  }

  /** The last look: nobody uses the pool any more. */
  async health(recovery: PoolRecovery): Promise<PetalHealth> {
    if (recovery.cleanAfterNs === null) return { ...recovery, copies: NO_COPIES };
    this.#isEnding = true;
    const { stage, servers, petal } = this.#parts;
    const untilNs = stage.clock.nowNs() + petal.cleanWithinNs;
    servers.laws?.lookAtAll();
    let copies = await comparePool(await servers.stores());
    // What has changed on a medium is found by the servers' own scrub, and made whole.
    while (copies.differences.length > 0 && servers.scrubOn && stage.clock.nowNs() < untilNs) {
      await stage.timers.sleep(SCRUB_NS);
      copies = await comparePool(await servers.stores());
    }
    return { ...recovery, copies };
  }

  /** Ends all servers for good: the run is over. */
  async close(): Promise<void> {
    this.#isEnding = true;
    const handles = [...this.#handles.values()];
    this.#handles.clear();
    for (const handle of handles) handle.kill();
    for (const { exited } of handles) await exited;
  }

  #start(server: string): void {
    const handle = this.#parts.servers.start(server);
    this.#handles.set(server, handle);
    handle.exited.then((report) => {
      if (this.#isEnding || this.#handles.get(server) !== handle) return;
      if (report.reason === 'killed') {
        this.#parts.tell(`server ${server} is gone with its host`);
        this.#bringBack(server, handle, 'host-down');
      }
      if (report.reason !== 'failed') return;
      const { kind, message, stack } = report.error;
      if (kind === 'storage') this.#parts.tell(`server ${server} ends: ${message}`);
      else this.#parts.problem(`server ${server} failed: ${stack}`);
      this.#bringBack(server, handle, 'kill');
    }, this.#parts.failed);
  }

  #bringBack(server: string, handle: ActorHandle, crash: ServerDeath['crash']): void {
    invariant(this.#handles.get(server) === handle, 'a server dies once a life');
    this.#handles.delete(server);
    const atNs = this.#parts.stage.clock.nowNs();
    const death: ServerDeath = { server, atNs, crash, backNs: null, inSyncNs: null };
    this.deaths.push(death);
    this.#parts.died();
    const returning = this.#startAgain(death, handle).catch(this.#parts.failed);
    this.#returning.add(returning);
    void returning.finally(() => this.#returning.delete(returning));
  }

  async #startAgain(death: ServerDeath, handle: ActorHandle): Promise<void> {
    const { stage, petal, servers } = this.#parts;
    const { server } = death;
    await handle.exited;
    await stage.timers.sleep(petal.restartNs);
    while (!this.#faultsAreOver && !servers.isPowered(server)) await stage.timers.sleep(LOOK_NS);
    death.backNs = stage.clock.nowNs();
    this.#start(server);
    this.#parts.tell(`server ${server} runs again`);
    this.#watchReturn(death).catch(this.#parts.failed);
  }

  async #watchReturn(death: ServerDeath): Promise<void> {
    const { stage, servers, tell, petal } = this.#parts;
    const { server } = death;
    const handle = this.#handles.get(server);
    while (!this.#isEnding && this.#handles.get(server) === handle) {
      await stage.timers.sleep(petal.options.heartbeatNs);
      const report = await servers.report(server);
      const isBack = report?.pairs.every(({ role }) => role !== 'outside') === true;
      if (!isBack || report.pairs.length === 0) continue;
      death.inSyncNs = stage.clock.nowNs();
      tell(`server ${server} is in sync again`);
      return;
    }
  }

  /** What is not as it is when nothing is wrong, in words. */
  async #unclean(): Promise<string[]> {
    const { servers, petal } = this.#parts;
    const reports = await Promise.all(this.names.map((name) => servers.report(name)));
    return this.names.flatMap((name, at) => {
      const report = reports[at] ?? null;
      if (report === null || report.pairs.length === 0) return [`${name} does not serve yet`];
      return uncleanOf(report, petal.copies).map((what) => `${name} ${what}`);
    });
  }
}

/**
 * Marks of what others lack are looked at where they count: at primaries. A store clears them
 * lazily, so one that was a primary before it died may have some that mean nothing any more.
 */
function uncleanOf({ pairs, store }: ServerReport, copies: number): string[] {
  const ofPairs = pairs.flatMap(({ group, role, inSync, underWay, hasMarks }) => {
    const pair = `pair ${group}`;
    const lacks = role === 'primary' && hasMarks;
    return [
      ...(role === 'outside' ? [`is not in sync for ${pair}`] : []),
      ...(inSync.length < copies ? [`knows ${inSync.length} in sync for ${pair}`] : []),
      ...(underWay > 0 ? [`has ${underWay} mutations of ${pair} under way`] : []),
      ...(lacks ? [`has marked blocks of ${pair} as missing elsewhere`] : []),
    ];
  });
  const dirty = store?.dirty ?? 0;
  return [...ofPairs, ...(dirty > 0 ? [`has ${dirty} dirty blocks`] : [])];
}
