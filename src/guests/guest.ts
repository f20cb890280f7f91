/**
 * A guest VM: a disk, a workload, and nothing else. One long-lived actor on a thread of its own (or
 * in the simulator) that may be killed at any instruction.
 *
 * A step reads responses, lets the workload submit, and before it says `idle` asks for a doorbell
 * and looks once more.
 */
import type { Prng } from '../base/prng.ts';
import { frameNo, type Nanos } from '../base/units.ts';
import { DomainDirectory, type DomainLayout } from '../hypervisor/machine.ts';
import { frontendPath } from '../hypervisor/xenbus.ts';
import { XenstoreClient } from '../hypervisor/xenstore/client.ts';
import { EventPage } from '../ring/event-page.ts';
import { GrantEntries, GrantTable } from '../ring/grant-table.ts';
import type { HostedActor, StepResult } from '../world/actor.ts';
import type { PlantedBug } from '../world/faults.ts';
import type { World } from '../world/world.ts';
import { Blkfront, type FrontCounters, type LossPolicy } from './blkfront.ts';
import { GuestFrames } from './frames.ts';
import { FrontConnector, type FrontOptions } from './front-connect.ts';
import type { Workload } from './workload.ts';

export interface GuestDiskConfig {
  readonly virtualDevice: number;
  readonly policy: LossPolicy;
  readonly deadlineNs: number;
  readonly front: FrontOptions;
}

export interface GuestConfig<W> {
  readonly layout: DomainLayout;
  readonly disk: GuestDiskConfig;
  readonly plantedBug: PlantedBug;
  readonly workload: W;
}

export interface GuestResult {
  readonly front: FrontCounters;
  readonly stuckPages: number;
  readonly notifications: number;
  readonly workload: unknown;
}

/** What a workload may use of its guest. */
export interface GuestParts {
  readonly world: World;
  /** For its buffers. */
  readonly frames: GuestFrames;
  readonly random: Prng;
  /** Doorbells rung so far. */
  readonly notifications: () => number;
}

export class Guest<W> implements HostedActor {
  readonly #world: World;
  readonly #blkfront: Blkfront;
  readonly #connector: FrontConnector;
  readonly #workload: Workload;
  #begun = false;
  #failure: unknown = null;
  #nowNs: Nanos = 0 as Nanos;

  constructor(
    world: World,
    config: GuestConfig<W>,
    makeWorkload: (parts: GuestParts, config: W) => Workload,
  ) {
    const { layout, disk } = config;
    this.#world = world;
    // Pages that stay granted would break up the runs that large buffers need: half for each.
    const middle = frameNo(Math.floor((layout.heapFrame + layout.heapEndFrame) / 2));
    const frames = new GuestFrames(middle, layout.heapEndFrame);
    this.#blkfront = new Blkfront(world, {
      policy: disk.policy,
      deadlineNs: disk.deadlineNs,
      plantedBug: config.plantedBug,
    });
    const entries = new GrantEntries(
      world.memory,
      layout.grantTableAddress,
      layout.grantEntryCount,
    );
    this.#connector = new FrontConnector({
      world,
      store: new XenstoreClient(world.net.link('xenstore')),
      path: frontendPath(layout.domain, disk.virtualDevice),
      self: layout.domain,
      directory: new DomainDirectory(world.memory),
      events: new EventPage(world.memory, layout.eventPageAddress),
      frames: new GuestFrames(layout.heapFrame, middle),
      grants: new GrantTable(entries),
      blkfront: this.#blkfront,
      options: disk.front,
      plantedBug: config.plantedBug,
      onError: (thrown) => {
        this.#failure ??= thrown;
      },
    });
    const parts: GuestParts = {
      world,
      frames,
      random: world.random.fork('workload'),
      notifications: () => this.#connector.notifications,
    };
    this.#workload = makeWorkload(parts, config.workload);
  }

  start(): Promise<void> {
    return this.#connector.start();
  }

  step(budget: number): StepResult {
    if (this.#failure !== null) throw this.#failure;
    this.#nowNs = this.#world.clock.nowNs();
    let moved = this.#blkfront.step(this.#nowNs);
    if (!this.#begun && this.#blkfront.features !== null) {
      this.#begun = true;
      this.#workload.begin(this.#blkfront);
      moved = true;
    }
    if (this.#workload.pump(budget, this.#nowNs) > 0) {
      this.#blkfront.kick();
      moved = true;
    }
    this.#blkfront.checkDeadlines(this.#nowNs);
    if (moved) return 'again';
    return this.#blkfront.finalCheck() ? 'again' : 'idle';
  }

  nextDeadlineNs(): Nanos {
    const front = this.#blkfront.nextDeadlineNs();
    return Math.min(front, this.#workload.nextDeadlineNs()) as Nanos;
  }

  checkInvariants(): void {
    this.#blkfront.checkInvariants();
    this.#workload.checkInvariants();
  }

  finished(): boolean {
    return this.#workload.finished();
  }

  result(): GuestResult {
    return {
      front: this.#blkfront.counters,
      stuckPages: this.#connector.stuckPages,
      notifications: this.#connector.notifications,
      workload: this.#workload.result(),
    };
  }

  /** A guest is controlled through the store and its shared words only. */
  readonly control: HostedActor['control'] = {};
}
