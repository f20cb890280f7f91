/**
 * Keeps the servers of a run's Petal pool going: makes the pool, brings back what is gone, and says
 * at the end whether all of it came together again.
 */
import { invariant, present } from '../base/invariant.ts';
import { createPetalPool } from '../petal-backend/directory/pool-setup.ts';
import { VdiskMode } from '../petal-backend/directory/records.ts';
import type { ActorHandle } from '../world/actor.ts';
import type { Directory } from '../world/directory.ts';
import { comparePool, type PoolComparison } from './compare-copies.ts';
import { type PetalScenario, RUN_POOL, serverNames } from './petal-scenario.ts';
import { RUN_STORE } from './run-store.ts';
import type { StoreScenario } from './scenario.ts';
import type { PetalStage, ServerLook, Stage } from './stage.ts';

export interface PetalKeeperParts {
  readonly stage: Pick<Stage, 'clock' | 'timers'>;
  readonly servers: PetalStage;
  readonly directory: Directory;
  readonly digest: Parameters<typeof createPetalPool>[1];
  readonly plan: StoreScenario;
  readonly petal: PetalScenario;
  readonly tell: (text: string) => void;
  /** A server failed by itself: a bug. */
  readonly problem: (text: string) => void;
  readonly failed: (thrown: unknown) => void;
}

/** What became of the pool when all faults were over. */
export interface PetalHealth {
  /** How long it took until all was in sync and nothing dirty; null: it did not come to that. */
  readonly cleanAfterNs: number | null;
  /** What was not, in words, when the time was over. */
  readonly unclean: readonly string[];
  readonly copies: PoolComparison;
}

/** The death of a server, and its return. */
export interface ServerDeath {
  readonly server: string;
  readonly atNs: number;
  readonly crash: 'kill' | 'power-cut';
  /** null: it was not started again yet. */
  backNs: number | null;
}

const UUID = new Uint8Array(16).fill(0x50);
const LOOK_NS = 2e6;
/** Between two comparisons of all copies. */
const SCRUB_NS = 100e6;
/** Until it is missed, dropped, and its lease waited for. */
const OUTAGE_LEASES = 4;
const NO_COPIES: PoolComparison = { blocks: 0, differences: [] };

export class PetalKeeper {
  readonly deaths: ServerDeath[] = [];
  readonly names: readonly string[];
  readonly #parts: PetalKeeperParts;
  readonly #handles = new Map<string, ActorHandle>();
  /** Dead and about to be started again. */
  readonly #returning = new Set<Promise<void>>();

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
    while (this.#unclean().length > 0) await stage.timers.sleep(LOOK_NS);
  }

  /** A server that dies may hold up who uses the pool for so long: others go on without it then. */
  get outageNs(): number {
    const { restartNs, options } = this.#parts.petal;
    return restartNs + OUTAGE_LEASES * options.leaseNs;
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
  async health(): Promise<PetalHealth> {
    const { stage, petal } = this.#parts;
    await Promise.all(this.#returning);
    const fromNs = stage.clock.nowNs();
    const untilNs = fromNs + petal.cleanWithinNs;
    for (let unclean = this.#unclean(); unclean.length > 0; unclean = this.#unclean()) {
      const isLate = stage.clock.nowNs() >= untilNs;
      if (isLate) return { cleanAfterNs: null, unclean, copies: NO_COPIES };
      await stage.timers.sleep(LOOK_NS);
    }
    // What has changed on a medium is found by the servers' own scrub, and made whole.
    let copies = await comparePool(this.#looks());
    while (copies.differences.length > 0 && stage.clock.nowNs() < untilNs) {
      await stage.timers.sleep(SCRUB_NS);
      copies = await comparePool(this.#looks());
    }
    return { cleanAfterNs: stage.clock.nowNs() - fromNs, unclean: [], copies };
  }

  /** Ends all servers for good: the run is over. */
  async close(): Promise<void> {
    const handles = [...this.#handles.values()];
    this.#handles.clear();
    for (const handle of handles) handle.kill();
    for (const { exited } of handles) await exited;
  }

  #start(server: string): void {
    const handle = this.#parts.servers.start(server);
    this.#handles.set(server, handle);
    handle.exited.then((report) => {
      if (report.reason !== 'failed' || this.#handles.get(server) !== handle) return;
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
    const death: ServerDeath = { server, atNs, crash, backNs: null };
    this.deaths.push(death);
    const returning = this.#startAgain(death, handle).catch(this.#parts.failed);
    this.#returning.add(returning);
    void returning.finally(() => this.#returning.delete(returning));
  }

  async #startAgain(death: ServerDeath, handle: ActorHandle): Promise<void> {
    const { stage, petal } = this.#parts;
    const { server } = death;
    await handle.exited;
    await stage.timers.sleep(petal.restartNs);
    death.backNs = stage.clock.nowNs();
    this.#start(server);
    this.#parts.tell(`server ${server} runs again`);
  }

  #looks(): ServerLook[] {
    return this.names.map((name) =>
      present(this.#parts.servers.look(name), 'a pool that is clean has all its servers'),
    );
  }

  /** What is not as it is when nothing is wrong, in words. */
  #unclean(): string[] {
    return this.names.flatMap((name) => {
      const look = this.#parts.servers.look(name);
      if (look === null || look.pairs.length === 0) return [`${name} does not serve yet`];
      return uncleanOf(look, this.#parts.petal.copies).map((what) => `${name} ${what}`);
    });
  }
}

/**
 * Marks of what others lack are looked at where they count: at primaries. A store clears them
 * lazily, so one that was a primary before it died may have some that mean nothing any more.
 */
function uncleanOf({ pairs, store }: ServerLook, copies: number): string[] {
  const { dirty } = store.statistics();
  const ofPairs = pairs.flatMap(({ gmap, group, role, inSync, underWay }) => {
    const pair = `pair ${group}`;
    const members = Array.from({ length: copies }, (_, member) => member);
    const isMarked = (member: number) => store.missingOf(gmap, group, member, 1).length > 0;
    const lacks = role === 'primary' && members.some(isMarked);
    return [
      ...(role === 'outside' ? [`is not in sync for ${pair}`] : []),
      ...(inSync.length < copies ? [`knows ${inSync.length} in sync for ${pair}`] : []),
      ...(underWay > 0 ? [`has ${underWay} mutations of ${pair} under way`] : []),
      ...(lacks ? [`has marked blocks of ${pair} as missing elsewhere`] : []),
    ];
  });
  return [...ofPairs, ...(dirty > 0 ? [`has ${dirty} dirty blocks`] : [])];
}
