/**
 * One host in the simulator with a toolstack, a driver VM and guests that a test drives by hand:
 * each guest's workload does what its `Probe` is told, one request after the other or many at once.
 */
import type { ExecutionContext } from 'ava';
import { type FrontId, type Nanos, NEVER } from '../../src/base/units.ts';
import { createDriverVm } from '../../src/driver-vm/create-driver-vm.ts';
import type { DriverVmConfig, DriverVmStatus } from '../../src/driver-vm/driver-vm.ts';
import type { Blkfront, LossPolicy } from '../../src/guests/blkfront.ts';
import type { FrontOptions } from '../../src/guests/front-connect.ts';
import { FrontOp, FrontRequest, type FrontStatus } from '../../src/guests/front-request.ts';
import { Guest, type GuestConfig, type GuestParts } from '../../src/guests/guest.ts';
import type { Workload } from '../../src/guests/workload.ts';
import { VIRTUAL_DEVICE } from '../../src/hypervisor/disk-keys.ts';
import type { DomainLayout } from '../../src/hypervisor/machine.ts';
import {
  type DiskSpec,
  type GuestDomain,
  type GuestSpec,
  Toolstack,
} from '../../src/hypervisor/toolstack.ts';
import { disturbedDelivery } from '../../src/hypervisor/xenstore/watches.ts';
import type { HostedActor } from '../../src/world/actor.ts';
import { Simulator } from '../../src/world/sim/simulator.ts';
import type { World } from '../../src/world/world.ts';

const LOOK_NS = 200_000;

class ProbeRequest extends FrontRequest {
  #settle: (status: FrontStatus) => void = () => undefined;
  readonly answered: Promise<FrontStatus> = new Promise((resolve) => {
    this.#settle = resolve;
  });
  onDone: () => void = () => undefined;

  override frontDone(status: FrontStatus): void {
    this.onDone();
    this.#settle(status);
  }
}

/** What a guest is told to do, over all its incarnations. */
export class Probe {
  readonly pending: ProbeRequest[] = [];
  parts: GuestParts | null = null;
  disk: Blkfront | null = null;
  finish = false;
  completed = 0;

  write(lba: number, sectors: number, fill: number): Promise<FrontStatus> {
    return this.#submit({ op: FrontOp.write, lba, sectors }, fill, null);
  }

  flush(): Promise<FrontStatus> {
    return this.#submit({ op: FrontOp.flush }, null, null);
  }

  /** The bytes read, or the status if that is not `ok`. */
  async read(lba: number, sectors: number): Promise<Uint8Array | FrontStatus> {
    const bytes = new Uint8Array(sectors * 512);
    const status = await this.#submit({ op: FrontOp.read, lba, sectors }, null, bytes);
    return status === 0 ? bytes : status;
  }

  /** Whether these sectors hold `fill` in every byte. */
  async holds(lba: number, sectors: number, fill: number): Promise<boolean> {
    const bytes = await this.read(lba, sectors);
    return typeof bytes !== 'number' && bytes.every((byte) => byte === fill);
  }

  #submit(
    fields: Partial<FrontRequest>,
    fill: number | null,
    into: Uint8Array | null,
  ): Promise<FrontStatus> {
    const request = new ProbeRequest();
    Object.assign(request, fields);
    this.pending.push(request);
    this.#prepare(request, fill, into);
    return request.answered;
  }

  /** Buffers are taken when the guest is there. */
  #prepare(request: ProbeRequest, fill: number | null, into: Uint8Array | null): void {
    this.onSubmit.set(request, (parts) => {
      if (request.sectors === 0) return;
      const frame = parts.frames.mustTake(Math.ceil(request.sectors / 8), 'a buffer');
      request.address = frame * 4096;
      const { u8 } = parts.world.memory;
      const end = request.address + request.sectors * 512;
      if (fill !== null) u8.fill(fill, request.address, end);
      request.onDone = () => {
        into?.set(u8.subarray(request.address, end));
        parts.frames.give(frame);
      };
    });
  }

  readonly onSubmit: Map<ProbeRequest, (parts: GuestParts) => void> = new Map();
}

class ProbeWorkload implements Workload {
  readonly #probe: Probe;
  readonly #parts: GuestParts;
  #lookNs: Nanos = 0 as Nanos;

  constructor(parts: GuestParts, probe: Probe) {
    this.#parts = parts;
    this.#probe = probe;
    probe.parts = parts;
    probe.disk = null;
  }

  begin(disk: Blkfront): void {
    this.#probe.disk = disk;
  }

  pump(budget: number, nowNs: Nanos): number {
    this.#lookNs = (nowNs + LOOK_NS) as Nanos;
    const { disk, pending, onSubmit } = this.#probe;
    if (disk === null) return 0;
    let submitted = 0;
    while (submitted < budget && pending.length > 0) {
      const request = pending.shift() as ProbeRequest;
      onSubmit.get(request)?.(this.#parts);
      onSubmit.delete(request);
      disk.submit(request);
      submitted++;
    }
    return submitted;
  }

  nextDeadlineNs(): Nanos {
    return this.#probe.finish ? NEVER : this.#lookNs;
  }

  finished(): boolean {
    return this.#probe.finish;
  }

  result(): unknown {
    return null;
  }

  checkInvariants(): void {}
}

export interface SimBenchOptions {
  readonly seed?: number;
  /** Watch events come late, twice and merged. */
  readonly disturbed?: boolean;
  readonly memoryBytes?: number;
  /** What a guest's actor is, if not a guest with a probe. */
  readonly guest?: (world: World, config: unknown) => HostedActor;
}

const FRONT: FrontOptions = {
  queues: 1,
  ringOrder: 0,
  persistent: true,
  trusted: true,
  indirectSegments: 32,
  publish: 'each',
  startIndex: 0,
};

export const DISK: DiskSpec = {
  kind: 'memory',
  name: '',
  sectors: 512,
  writable: true,
  weight: 1,
  requestsPerSecond: 0,
  bytesPerSecond: 0,
  bare: false,
};

export interface GuestChoice {
  readonly disk?: Partial<DiskSpec>;
  readonly front?: Partial<FrontOptions>;
  readonly policy?: LossPolicy;
}

export class SimBench {
  readonly simulator: Simulator;
  readonly world: World;
  readonly toolstack: Toolstack;
  readonly problems: unknown[] = [];
  readonly #probes = new Map<string, Probe>();

  constructor(options: SimBenchOptions = {}) {
    this.simulator = new Simulator({ seed: options.seed ?? 1 });
    const memoryBytes = options.memoryBytes ?? 8 * 2 ** 20;
    const host = this.simulator.addHost('h0', { memoryBytes });
    const makeProbe = (world: World, config: unknown): HostedActor =>
      new Guest(world, config as GuestConfig<{ readonly name: string }>, (parts, { name }) => {
        return new ProbeWorkload(parts, this.probe(name));
      });
    const spawner = this.simulator.spawner({
      guest: options.guest ?? makeProbe,
      'driver-vm': createDriverVm,
    });
    this.world = this.simulator.toolstackWorld('h0/dom0', host);
    const watches = { duplicate: 0.4, late: 0.4, latestNs: 3e6 };
    const delivery = disturbedDelivery(this.world.random.fork('watches'), watches);
    this.toolstack = new Toolstack(
      'h0',
      this.world,
      spawner,
      {
        driverExited: () => undefined,
        guestExited: () => undefined,
        failed: (thrown) => this.problems.push(thrown),
      },
      options.disturbed === true ? { delivery } : {},
    );
  }

  probe(name: string): Probe {
    let probe = this.#probes.get(name);
    if (probe === undefined) this.#probes.set(name, (probe = new Probe()));
    return probe;
  }

  startDriver(): Promise<unknown> {
    return this.toolstack.startDriver({
      heapBytes: 2 ** 20,
      config: (layout): DriverVmConfig => ({
        layout,
        tap: null,
        publish: 'each',
        plantedBug: 'none',
      }),
    });
  }

  guestSpec(name: string, choice: GuestChoice = {}): GuestSpec {
    return {
      name,
      heapBytes: 2 ** 20,
      grantEntries: 512,
      disk: { ...DISK, name: `${name}.disk`, ...choice.disk },
      config: (layout: DomainLayout, _frontId: FrontId) => ({
        layout,
        disk: {
          virtualDevice: VIRTUAL_DEVICE,
          policy: choice.policy ?? 'stall',
          deadlineNs: 30e9,
          front: { ...FRONT, ...choice.front },
        },
        plantedBug: 'none',
        workload: { name },
      }),
    };
  }

  createGuest(name: string, choice: GuestChoice = {}): Promise<GuestDomain> {
    return this.toolstack.createGuest(this.guestSpec(name, choice));
  }

  /** The driver VM dies; settles when the toolstack has seen it. */
  async killDriver(): Promise<void> {
    const { driver } = this.toolstack;
    driver?.handle.kill();
    await driver?.handle.exited;
  }

  async status(): Promise<DriverVmStatus> {
    return (await this.toolstack.driver?.handle.call('status')) as DriverVmStatus;
  }

  control(method: string, name: string, ...args: unknown[]): Promise<unknown> {
    const { toolstack } = this;
    const handle = toolstack.driver?.handle;
    if (handle === undefined) throw new Error('no driver VM');
    return handle.call(method, toolstack.diskPath(name), ...args);
  }

  sleep(durationNs: number): Promise<void> {
    return this.world.timers.sleep(durationNs);
  }

  /** Waits until `holds`, looking each millisecond; false after `limitNs` of virtual time. */
  async until(holds: () => boolean, limitNs: number = 5e9): Promise<boolean> {
    for (let waitedNs = 0; !holds(); waitedNs += 1e6) {
      if (waitedNs > limitNs) return false;
      await this.sleep(1e6);
    }
    return true;
  }

  /** Runs a story to its end; fails the test if an actor or the toolstack failed on the way. */
  async run(t: ExecutionContext, story: () => Promise<void>): Promise<void> {
    let over = false;
    let thrown: unknown = null;
    story().then(
      () => {
        over = true;
      },
      (reason: unknown) => {
        over = true;
        thrown = reason;
      },
    );
    const { simulator } = this;
    const outcome = await simulator.run({
      until: () => over || simulator.failures.length > 0 || this.problems.length > 0,
      maxTimeNs: 60e9,
      maxEvents: 5_000_000,
    });
    const failed = outcome.failures.map(({ actor, error }) => `${actor}: ${error.stack}`);
    if (failed.length > 0) t.fail(`seed ${simulator.seed}: ${failed.join('\n')}`);
    if (this.problems.length > 0) throw this.problems[0];
    if (thrown !== null) throw thrown;
    if (!over) t.fail(`seed ${simulator.seed}: the story hangs: ${outcome.end}`);
  }
}
