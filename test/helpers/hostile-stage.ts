/**
 * One simulated host with the real store, toolstack and driver VM, and guests of three kinds:
 * honest ones that replay a trace and check every read, hostile ones, and stories told by a test.
 */
import { Prng } from '../../src/base/prng.ts';
import { NEVER, PAGE_BYTES } from '../../src/base/units.ts';
import { createDriverVm } from '../../src/driver-vm/create-driver-vm.ts';
import type { DriverVmConfig, DriverVmStatus } from '../../src/driver-vm/driver-vm.ts';
import { GuestTrack } from '../../src/experiments/guest-track.ts';
import { DEFAULT_FRONT, type GuestScenario } from '../../src/experiments/scenario.ts';
import { createGuest } from '../../src/guests/create-guest.ts';
import type { GuestConfig } from '../../src/guests/guest.ts';
import { HostileConnector } from '../../src/guests/hostile-connect.ts';
import type { HostileConfig } from '../../src/guests/hostile-guest.ts';
import { VIRTUAL_DEVICE } from '../../src/hypervisor/disk-keys.ts';
import type { DomainLayout } from '../../src/hypervisor/machine.ts';
import { type DiskSpec, Toolstack } from '../../src/hypervisor/toolstack.ts';
import { FIRST_FREE_REF, GrantEntries, GrantFlag } from '../../src/ring/grant-table.ts';
import { RingMonitor } from '../../src/ring/monitor.ts';
import { fitNone } from '../../src/traces/fit.ts';
import { syntheticTrace } from '../../src/traces/synthetic.ts';
import type { HostedActor } from '../../src/world/actor.ts';
import { type SimOutcome, Simulator } from '../../src/world/sim/simulator.ts';
import type { World } from '../../src/world/world.ts';

export type GuestStory = (world: World, connector: HostileConnector) => Promise<void>;

export interface HostileStageOptions {
  readonly driverHeapBytes?: number;
  readonly requests?: number;
  readonly device?: 'file' | 'memory';
}

const BLOCKS = 128;
const HOST = 'h0';
const HEAP_BYTES = 2 * 2 ** 20;
const MAX_TIME_NS = 60e9;

export class HostileStage {
  readonly sim: Simulator;
  readonly toolstack: Toolstack;
  readonly world: World;
  readonly tracks: GuestTrack[] = [];
  readonly problems: string[] = [];
  /** Called between any two events: where a monitor looks. */
  afterEvent: () => void = () => undefined;
  readonly #options: HostileStageOptions;
  readonly #stories = new Map<string, GuestStory>();

  constructor(seed: number, options: HostileStageOptions = {}) {
    this.#options = options;
    this.sim = new Simulator({ seed });
    const host = this.sim.addHost(HOST, { memoryBytes: 24 * 2 ** 20 });
    this.world = this.sim.toolstackWorld(`${HOST}/dom0`, host);
    const spawner = this.sim.spawner({
      guest: (world, config) => this.#guest(world, config),
      'driver-vm': createDriverVm,
    });
    this.toolstack = new Toolstack(HOST, this.world, spawner, {
      driverExited: (driver) => {
        if (driver.exit?.reason === 'failed') this.problems.push(driver.exit.error.message);
      },
      guestExited: (guest) => {
        this.tracks.find(({ name }) => name === guest.spec.name)?.ended(guest.exit as never);
      },
      failed: (thrown) => this.problems.push(`toolstack: ${String(thrown)}`),
    });
  }

  /** Runs a story to its end; throws what it throws. */
  async run(story: () => Promise<void>): Promise<SimOutcome> {
    let over = false;
    let thrown: unknown = null;
    story()
      .catch((reason: unknown) => {
        thrown = reason;
      })
      .finally(() => {
        over = true;
      });
    const outcome = await this.sim.run({
      until: () => {
        this.afterEvent();
        return over || this.sim.failures.length > 0;
      },
      maxTimeNs: MAX_TIME_NS,
    });
    for (const { actor, error } of outcome.failures) {
      this.problems.push(`${actor} failed: ${error.message}\n${error.stack}`);
    }
    if (thrown !== null) throw thrown;
    if (outcome.limitReached !== null) this.problems.push('the run hung');
    return outcome;
  }

  async startDriver(): Promise<void> {
    await this.toolstack.startDriver({
      heapBytes: this.#options.driverHeapBytes ?? 4 * 2 ** 20,
      config: (layout): DriverVmConfig => ({
        layout,
        tap: null,
        publish: 'each',
        plantedBug: 'none',
      }),
    });
  }

  /** A guest that replays a short trace and reads it all back. */
  async honest(name: string, seed: number): Promise<GuestTrack> {
    const random = new Prng(seed, name);
    const requests = this.#options.requests ?? 300;
    const trace = fitNone(
      syntheticTrace(random, { requests, blocks: BLOCKS }),
      BLOCKS * 4096,
    ).trace;
    const scenario: GuestScenario = {
      name,
      host: HOST,
      device: this.#options.device ?? 'file',
      diskSectors: BLOCKS * 8,
      trace,
      pace: { kind: 'closed', depth: 8 },
      heapBytes: HEAP_BYTES,
      front: DEFAULT_FRONT,
      policy: 'stall',
      requestsPerSecond: 0,
      bytesPerSecond: 0,
    };
    const track = new GuestTrack(scenario, this.tracks.length + 1, 'none');
    this.tracks.push(track);
    await this.toolstack.createGuest({
      name,
      heapBytes: HEAP_BYTES,
      grantEntries: 4096,
      disk: { ...disk(name), kind: scenario.device },
      config: (layout, frontId) => track.config(layout, frontId),
    });
    return track;
  }

  async hostile(name: string, config: Omit<HostileConfig, 'kind'>): Promise<void> {
    await this.#create(name, (layout) => hostileConfig(layout, { kind: 'hostile', ...config }));
  }

  /** A guest whose life is `story`; it ends when the story does. */
  async scripted(name: string, story: GuestStory): Promise<void> {
    this.#stories.set(name, story);
    await this.#create(name, (layout) => ({ layout, workload: { kind: 'story' } }));
  }

  /** A monitor of a guest's ring, once its driver VM has mapped it; null before. */
  monitorOf(name: string): RingMonitor | null {
    const guest = this.toolstack.guests().find(({ spec }) => spec.name === name);
    if (guest === undefined) return null;
    const { memory } = this.world;
    const { grantTableAddress, grantEntryCount } = guest.layout;
    const entries = new GrantEntries(memory, grantTableAddress, grantEntryCount);
    // An honest front end grants its ring first, and of one page here.
    if ((entries.head(FIRST_FREE_REF) & GrantFlag.writing) === 0) return null;
    const pageOf = (ref: number): number => entries.frame(ref) * PAGE_BYTES;
    const { u8, i32, u32 } = memory;
    return new RingMonitor({ u8, i32, u32, baseBytes: pageOf(FIRST_FREE_REF) }, 0, pageOf);
  }

  async status(): Promise<DriverVmStatus> {
    return (await this.toolstack.driver?.handle.call('status')) as DriverVmStatus;
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.world.timers.sleep(1e6);
  }

  killAt(point: string, nth: number, guest: string): void {
    this.sim.armCrashPoint(guest, point, nth);
  }

  async #create(name: string, config: (layout: DomainLayout) => unknown): Promise<void> {
    await this.toolstack.createGuest({
      name,
      heapBytes: HEAP_BYTES,
      grantEntries: 512,
      disk: { ...disk(name), kind: this.#options.device ?? 'file' },
      config,
    });
  }

  #guest(world: World, config: unknown): HostedActor {
    const { workload, layout } = config as {
      workload: { kind: string };
      layout: DomainLayout;
    };
    if (workload.kind !== 'story') return createGuest(world, config);
    const story = this.#stories.get(world.name) as GuestStory;
    return storyActor(world, layout, story);
  }
}

function disk(name: string): DiskSpec {
  return {
    kind: 'file',
    name: `${name}.disk`,
    sectors: BLOCKS * 8,
    writable: true,
    weight: 1,
    requestsPerSecond: 0,
    bytesPerSecond: 0,
    bare: false,
  };
}

function hostileConfig(layout: DomainLayout, workload: HostileConfig): GuestConfig<HostileConfig> {
  return {
    layout,
    disk: {
      virtualDevice: VIRTUAL_DEVICE,
      policy: 'stall',
      deadlineNs: 30e9,
      front: DEFAULT_FRONT,
    },
    plantedBug: 'none',
    workload,
  };
}

function storyActor(world: World, layout: DomainLayout, story: GuestStory): HostedActor {
  let over = false;
  const connector = new HostileConnector(world, layout, VIRTUAL_DEVICE, world.random.fork('story'));
  return {
    start: async () => {
      await story(world, connector);
      over = true;
    },
    step: () => 'idle',
    nextDeadlineNs: () => NEVER,
    checkInvariants: () => undefined,
    finished: () => over,
    result: () => null,
    control: {},
  };
}
