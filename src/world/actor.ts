/**
 * Actors, and how a toolstack starts and kills them.
 *
 * An actor owns its state and handles one event at a time. A ring actor never waits: a driver owned
 * by the world calls `step` when its bell rings, when its deadline passes or when it said `again`.
 * Three drivers exist: `real/blocking-loop` (workload guests), `real/event-loop` (driver VM, pool
 * servers, toolstack) and the simulator.
 */
import type { ErrorRecord } from '../base/errors.ts';
import type { Nanos } from '../base/units.ts';
import type { Link, World } from './world.ts';

export type StepResult = 'idle' | 'again';

export interface RingActor {
  /**
   * Does up to `budget` units of ready work, without waiting. Before it answers `idle` it has set
   * its event indexes and looked once more, so that whoever makes new work rings the bell.
   */
  step(budget: number): StepResult;
  /** When to call `step` again even if no bell rings; `NEVER` if there is no such time. */
  nextDeadlineNs(): Nanos;
  /** Throws `InvariantError` if a law of this actor is broken. */
  checkInvariants(): void;
}

/** An actor as its worker or the simulator hosts it. */
export interface HostedActor extends RingActor {
  /** Begins its stories (handshakes, recovery). Called once, before the first step. */
  start(): Promise<void>;
  /** True when nothing is left to do: the loop ends and `result` goes to who spawned it. */
  finished(): boolean;
  /** A structured-cloneable account of what it did. */
  result(): unknown;
  /** Control plane, answered between steps. Methods take and return structured-cloneable values. */
  readonly control: ControlSurface;
}

export type ControlSurface = Readonly<Record<string, (...args: never[]) => unknown>>;

export type ActorKind = 'guest' | 'driver-vm' | 'petal-server';

export interface ActorSpec {
  readonly kind: ActorKind;
  readonly name: string;
  /** Name of the host whose RAM it sees. */
  readonly host: string;
  /** Byte address of its bell word in the host's RAM. */
  readonly bellAddress: number;
  /** Links it is started with; the other ends come back in `ActorHandle.links`. */
  readonly links: readonly string[];
  /**
   * Structured-cloneable; its shape belongs to the actor kind. Shared buffers pass by reference.
   */
  readonly config: unknown;
}

export type ExitReport =
  | { readonly reason: 'finished'; readonly result: unknown }
  | { readonly reason: 'killed' }
  | { readonly reason: 'failed'; readonly error: ErrorRecord };

export interface ActorHandle {
  readonly name: string;
  readonly links: ReadonlyMap<string, Link>;
  /**
   * Settles when the actor is gone for good: no instruction of it runs any more and every disk
   * operation it had in flight is settled (done, dropped or torn).
   */
  readonly exited: Promise<ExitReport>;
  /** As `kill -9`: nothing of the actor runs after `exited`. Does nothing if it is gone. */
  kill(): void;
  /** Calls a method of its control surface. Rejects when the actor dies first. */
  call(method: string, ...args: unknown[]): Promise<unknown>;
}

export interface Spawner {
  spawn(spec: ActorSpec): ActorHandle;
}

/** Builds the actor of one kind. Both worlds start actors through these. */
export type ActorFactory = (world: World, config: unknown, bellAddress: number) => HostedActor;
