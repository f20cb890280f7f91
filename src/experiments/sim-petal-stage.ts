/**
 * A Petal pool on the stage of the simulator: each server on a host of its own, one switch between
 * servers and clients.
 */
import { present } from '../base/invariant.ts';
import { nanos, PAGE_BYTES } from '../base/units.ts';
import {
  createPetalServer,
  PETAL_SERVER_LINKS,
  type PetalServerConfig,
} from '../petal-backend/create-petal-server.ts';
import type { PetalServerActor, ServerReport } from '../petal-backend/server/petal-server-actor.ts';
import type { PeerNet } from '../petal-backend/server/ports.ts';
import { isStoreDisk } from '../petal-backend/store/store-options.ts';
import { LinkNet, PETAL_LINK } from '../petal-backend/wire/link-net.ts';
import { Switchboard } from '../petal-backend/wire/switchboard.ts';
import type { ActorHandle } from '../world/actor.ts';
import { DirectoryServer } from '../world/directory-server.ts';
import type { DiskTrouble } from '../world/faults.ts';
import { simDigest } from '../world/sim/sim-digest.ts';
import type { SimDirectory } from '../world/sim/sim-directory.ts';
import type { SimSpawner } from '../world/sim/sim-spawner.ts';
import type { Simulator } from '../world/sim/simulator.ts';
import type { Link, World } from '../world/world.ts';
import type { PetalScenario } from './petal-scenario.ts';
import { RUN_POOL, serverNames } from './petal-scenario.ts';
import { PetalWatch } from './petal-watch.ts';
import { strikeDisk } from './sim-disk-trouble.ts';
import type { PetalStage, ServerLook } from './stage.ts';

const UUID_BYTES = 16;
/** A server has no rings: no word of its host's RAM is its bell. */
const NO_BELL = -1;

export class SimPetalStage implements PetalStage {
  readonly scrubOn = true;
  /** Looks at everything after each event of the run. */
  readonly laws: PetalWatch;
  readonly #simulator: Simulator;
  readonly #scenario: PetalScenario;
  readonly #directory: DirectoryServer;
  readonly #board = new Switchboard();
  readonly #spawner: SimSpawner;
  /** Newest lives of the servers, by number. */
  readonly #actors = new Map<number, PetalServerActor>();
  /** Hosts of guests that are down. */
  readonly #dark = new Set<string>();

  constructor(simulator: Simulator, scenario: PetalScenario, directory: SimDirectory) {
    this.#simulator = simulator;
    this.#scenario = scenario;
    this.#directory = new DirectoryServer(directory);
    for (const name of serverNames(scenario)) {
      if (scenario.placement[name] !== undefined) continue;
      simulator.addHost(hostOf(name), { memoryBytes: PAGE_BYTES });
    }
    const { leaseNs, driftPpm } = scenario.options;
    this.laws = new PetalWatch({
      digest: simDigest,
      clock: { nowNs: () => nanos(simulator.nowNs) },
      directory,
      pool: RUN_POOL,
      leaseNs,
      driftPpm,
    });
    this.#spawner = simulator.spawner({
      'petal-server': (world, config) => this.#actorOf(world, config),
    });
  }

  isPowered(server: string): boolean {
    return !this.#dark.has(this.#hostOf(server));
  }

  /** A host of guests has no power, or is gone. */
  hostDown(host: string): void {
    this.#dark.add(host);
  }

  hostUp(host: string): void {
    this.#dark.delete(host);
  }

  start(name: string): ActorHandle {
    const server = this.#numberOf(name);
    const { options, store } = this.#scenario;
    this.#actors.delete(server);
    const uuid = new Uint8Array(UUID_BYTES).fill(server);
    const handle = this.#spawner.spawn({
      kind: 'petal-server',
      name,
      host: this.#hostOf(name),
      bellAddress: NO_BELL,
      links: PETAL_SERVER_LINKS,
      config: { pool: RUN_POOL, server, store: { ...store, server: uuid }, options },
    });
    const [petal, directory] = PETAL_SERVER_LINKS.map((link) =>
      present(handle.links.get(link), 'an actor has the links that it was started with'),
    ) as [Link, Link];
    this.plug(name, petal);
    this.#directory.serve(directory);
    return handle;
  }

  plug(name: string, far: Link): void {
    this.#board.plug(name, far);
  }

  async powerCut(server: string): Promise<void> {
    this.#simulator.host(this.#hostOf(server)).powerCut();
    await Promise.resolve();
  }

  trouble(server: string, trouble: DiskTrouble, forNs: number): () => void {
    const host = this.#simulator.host(this.#hostOf(server));
    const heals = host
      .diskNames()
      .filter(isStoreDisk)
      .map((name) => strikeDisk(host.disk(name), trouble, this.#simulator.nowNs, forNs));
    return () => {
      for (const heal of heals) heal();
    };
  }

  partition(one: string, other: string, oneWay: boolean): () => void {
    return this.#board.part(one, other, oneWay);
  }

  report(server: string): Promise<ServerReport | null> {
    return Promise.resolve(this.#actors.get(this.#numberOf(server))?.report() ?? null);
  }

  /** The stores of servers that live: no client is left, and they are looked at between events. */
  stores(): Promise<readonly ServerLook[]> {
    const looks = [...this.#actors.values()].map((actor): ServerLook => {
      const store = present(actor.store, 'a pool that is clean has all its servers');
      return { pairs: actor.status(), store };
    });
    return Promise.resolve(looks);
  }

  /** A net for somebody in the toolstack's thread, whom no fault strikes. */
  netFor(name: string, world: World): PeerNet {
    const life = this.#simulator.newIncarnation(name, this.#simulator.host(this.#hostOf('s1')));
    const { near, far } = this.#simulator
      .link(`${name}/${PETAL_LINK}`)
      .connect(this.#simulator, life);
    this.plug(name, far);
    return new LinkNet(near, world);
  }

  #actorOf(world: World, config: unknown): PetalServerActor {
    const { server } = config as PetalServerConfig;
    const actor = createPetalServer(this.laws.worldFor(world, server), config);
    this.#actors.set(server, actor);
    const host = this.#simulator.host(this.#hostOf(world.name));
    this.laws.started(server, {
      get store() {
        return actor.store;
      },
      status: () => actor.status(),
      isAlive: () => this.#actors.get(server) === actor && host.hasActor(world.name),
    });
    return actor;
  }

  #hostOf(server: string): string {
    return this.#scenario.placement[server] ?? hostOf(server);
  }

  #numberOf(server: string): number {
    return serverNames(this.#scenario).indexOf(server) + 1;
  }
}

function hostOf(server: string): string {
  return `host of ${server}`;
}
