/** Starts actors in the simulator: the toolstack's `Spawner` there. */
import { invariant, present } from '../../base/invariant.ts';
import type {
  ActorFactory,
  ActorHandle,
  ActorKind,
  ActorSpec,
  ExitReport,
  Spawner,
} from '../actor.ts';
import type { Link } from '../world.ts';
import type { Incarnation } from './incarnation.ts';
import type { Kernel } from './kernel.ts';
import { SimActor } from './sim-actor.ts';
import type { SimHost } from './sim-host.ts';
import type { LinkPath } from './sim-link.ts';
import { SimWorld } from './sim-world.ts';
import type { SimTiming } from './timing.ts';

/** How each kind of actor is built; a kind that is never started needs no entry. */
export type ActorFactories = Readonly<Partial<Record<ActorKind, ActorFactory>>>;

/** What the spawner needs of the simulator besides events. */
export interface SpawnKernel extends Kernel {
  readonly timing: SimTiming;
  host(name: string): SimHost;
  link(name: string): LinkPath;
  newIncarnation(name: string, host: SimHost): Incarnation;
}

export class SimSpawner implements Spawner {
  readonly #kernel: SpawnKernel;
  readonly #factories: ActorFactories;

  constructor(kernel: SpawnKernel, factories: ActorFactories) {
    this.#kernel = kernel;
    this.#factories = factories;
  }

  /** Starts an actor. A living actor of that name, or an unknown host or kind, is a bug. */
  spawn(spec: ActorSpec): ActorHandle {
    const kernel = this.#kernel;
    const factory = present(this.#factories[spec.kind], 'every kind that is started has a factory');
    const host = kernel.host(spec.host);
    invariant(!host.hasActor(spec.name), 'an actor is started when its predecessor is dead');
    const incarnation = kernel.newIncarnation(spec.name, host);
    const world = new SimWorld(kernel, incarnation, host);
    const links = new Map<string, Link>();
    for (const name of spec.links) {
      const { near, far } = kernel.link(`${spec.name}/${name}`).connect(kernel, incarnation);
      world.addLink(name, near);
      links.set(name, far);
    }
    // What a worker would get: a copy of its own, shared buffers apart.
    const ownSpec: ActorSpec = { ...spec, config: structuredClone(spec.config) };
    const actor = new SimActor(kernel, kernel.timing, incarnation, host, ownSpec);
    host.addActor(incarnation);
    actor.scheduleStart(factory, world);
    return new SimHandle(spec.name, links, actor);
  }
}

class SimHandle implements ActorHandle {
  readonly name: string;
  readonly links: ReadonlyMap<string, Link>;
  readonly exited: Promise<ExitReport>;
  readonly #actor: SimActor;

  constructor(name: string, links: ReadonlyMap<string, Link>, actor: SimActor) {
    this.name = name;
    this.links = links;
    this.exited = actor.exited;
    this.#actor = actor;
  }

  kill(): void {
    this.#actor.kill();
  }

  call(method: string, ...args: unknown[]): Promise<unknown> {
    return this.#actor.call(method, args);
  }
}
