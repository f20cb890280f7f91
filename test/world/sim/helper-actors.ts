/** Small actors for the tests of the simulator: each does what its config says and no more. */
import { type Nanos, NEVER } from '../../../src/base/units.ts';
import type {
  ActorHandle,
  ActorSpec,
  ControlSurface,
  HostedActor,
  StepResult,
} from '../../../src/world/actor.ts';
import type { SimHost } from '../../../src/world/sim/sim-host.ts';
import type { ActorFactories } from '../../../src/world/sim/sim-spawner.ts';
import { Simulator, type SimulatorOptions } from '../../../src/world/sim/simulator.ts';
import {
  type DiskIo,
  type DiskStatus,
  DiskStatus as Status,
  type World,
} from '../../../src/world/world.ts';

/** What a test's actor does; everything has a default that does nothing. */
export interface Script {
  start?(world: World): Promise<void>;
  step?(world: World, budget: number): StepResult;
  nextDeadlineNs?(): Nanos;
  checkInvariants?(): void;
  finished?(): boolean;
  result?(): unknown;
  control?: ControlSurface;
}

export function scripted(script: (world: World, config: unknown) => Script): ActorFactories {
  const factory = (world: World, config: unknown): HostedActor => {
    const made = script(world, config);
    return {
      start: () => made.start?.(world) ?? Promise.resolve(),
      step: (budget) => made.step?.(world, budget) ?? 'idle',
      nextDeadlineNs: () => made.nextDeadlineNs?.() ?? NEVER,
      checkInvariants: () => made.checkInvariants?.(),
      finished: () => made.finished?.() ?? false,
      result: () => made.result?.() ?? null,
      control: made.control ?? {},
    };
  };
  return { guest: factory, 'driver-vm': factory };
}

export const BELL = 4096;

export interface Stage {
  readonly sim: Simulator;
  readonly host: SimHost;
  readonly world: World;
  readonly spawn: (
    script: (world: World, config: unknown) => Script,
    spec?: Partial<ActorSpec>,
  ) => ActorHandle;
}

/** A simulator with one host and fast timings. */
export function stage(options: Partial<SimulatorOptions> = {}): Stage {
  const { timing, ...others } = options;
  const sim = new Simulator({
    seed: 1,
    ...others,
    timing: { spawnNs: 1_000, teardownNs: 500, wakeNs: 100, callNs: 50, ...timing },
  });
  const host = sim.addHost('h0', { memoryBytes: 65_536 });
  const world = sim.toolstackWorld('dom0', host);
  const spawn: Stage['spawn'] = (script, spec = {}) =>
    sim.spawner(scripted(script)).spawn({
      kind: 'guest',
      name: 'g0',
      host: 'h0',
      bellAddress: BELL,
      links: [],
      config: null,
      ...spec,
    });
  return { sim, host, world, spawn };
}

/** A disk operation as a promise: the tests' own, slow and easy to read. */
export function diskIo(
  submit: (io: DiskIo) => void,
  bytes: Uint8Array,
  position: number,
): Promise<DiskStatus> {
  return new Promise((resolve) => {
    submit({
      buffer: bytes,
      bufferOffset: 0,
      lengthBytes: bytes.length,
      position,
      diskDone: resolve,
    });
  });
}

export const NO_BYTES: Uint8Array = new Uint8Array(0);

export function filled(lengthBytes: number, value: number): Uint8Array {
  return new Uint8Array(lengthBytes).fill(value);
}

export const OK: DiskStatus = Status.ok;

/** Whether two images hold the same bytes: an assertion of ava on each of many is too slow. */
export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
