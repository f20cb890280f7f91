/** The simulator as its models (disks, links, worlds, the spawner) see it. */
import type { Prng } from '../../base/prng.ts';
import type { EventLog } from './event-log.ts';
import type { EventAction, EventId, EventKind } from './event-queue.ts';
import type { Incarnation } from './incarnation.ts';

export interface Kernel {
  /** Virtual time: that of the event that is happening. */
  readonly nowNs: number;
  readonly log: EventLog;
  /** A random stream of its own for `name`. */
  stream(name: string): Prng;
  /** Makes `action(a, b)` happen at `timeNs`, unless `owner` dies before. */
  schedule(
    timeNs: number,
    kind: EventKind,
    owner: Incarnation | null,
    action: EventAction,
    a: number,
    b: number,
  ): EventId;
  cancel(id: EventId): void;
  /** Passes a named crash point: throws `CrashSignal` if the actor dies of it. */
  crashPoint(incarnation: Incarnation, name: string): void;
  /** Records that an actor threw: the run has failed. */
  recordFailure(incarnation: Incarnation, thrown: unknown): void;
}

/**
 * Unwinds an actor that has just been killed at a crash point. Only the simulator catches it; it is
 * no `Error`, so that code that looks for errors of its own does not take it for one.
 */
export class CrashSignal {
  readonly actor: string;
  readonly crashPoint: string;
  constructor(actor: string, crashPoint: string) {
    this.actor = actor;
    this.crashPoint = crashPoint;
  }
}
