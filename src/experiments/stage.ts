/** What both worlds offer the runner: hosts with toolstacks, a clock, and ways to strike. */

import type { SharedMemory } from '../base/shared-memory.ts';
import type { Ids, Toolstack, ToolstackEvents } from '../hypervisor/toolstack.ts';
import type { PairStatus } from '../petal-backend/server/petal-server.ts';
import type { ServerReport } from '../petal-backend/server/petal-server-actor.ts';
import type { ChunkStore } from '../petal-backend/store/chunk-store.ts';
import type { ActorHandle } from '../world/actor.ts';
import type { DiskTrouble, LinkMeasure, ProtocolTrigger, Trigger } from '../world/faults.ts';
import type { Clock, Link, Timers } from '../world/world.ts';
import type { LawsReport } from './petal-watch.ts';
import type { RunStore } from './run-store.ts';

export interface Stage {
  readonly world: 'threads' | 'sim';
  readonly clock: Clock;
  readonly timers: Timers;
  /** The store of the run; null: no disk of it is an image. */
  readonly store: RunStore | null;
  /** The servers of the store's pool; null: its blocks are in a file. */
  readonly petal: PetalStage | null;
  /**
   * Brings a host up with its toolstack; `events` hears of exits on it. Also after a power cut: the
   * same disks, and RAM with nothing in it.
   */
  openHost(name: string, ids: Ids, events: ToolstackEvents): Toolstack;
  /**
   * Has `strike` called instead of an event, or at a crash point, of an actor. Where a world can do
   * nothing there but kill, the strike is one (`kills`), and is not called: the stage refuses other
   * scripts when it is made.
   */
  arm(actor: string, trigger: Trigger, strike: () => void, kills: boolean): void;
  /**
   * Has `strike` called when the guests, taken together, have come to the n-th event from now: in
   * the simulator there and then, in threads a millisecond or so later.
   */
  armProtocol(guests: readonly string[], trigger: ProtocolTrigger, strike: () => void): void;
  /** The actor does nothing for a while. */
  pause(actor: string, durationNs: number): void;
  /**
   * Cuts the power of a host: settles when all its actors are gone. Threads cannot take back what
   * the operating system holds of a file, so there every completed write survives.
   */
  powerCut(host: string): Promise<void>;
  /** Takes a host and its disks away for ever: settles when all its actors are gone. */
  hostLoss(host: string): Promise<void>;
  /** Gives the disk below the store's pool trouble; returns what ends it. */
  poolTrouble(trouble: DiskTrouble, forNs: number): () => void;
  /** Has the store's directory answer nobody; returns what ends it. */
  directoryLoss(): () => void;
  /**
   * Gives the disk of a guest trouble, meant to last for `forNs`; returns what ends it. Throws
   * `UsageError` for what this world cannot do.
   */
  trouble(host: string, guest: string, trouble: DiskTrouble, forNs: number): () => void;
  /** Gives a link of an actor trouble (`g0/xenstore`); returns what ends it. */
  linkTrouble(link: string, measure: LinkMeasure): () => void;
  /** The clock of a living actor goes so many parts in a million too fast from now on. */
  setDrift(actor: string, driftPpm: number): void;
  /** The clock of a living actor jumps ahead. */
  jumpClock(actor: string, jumpNs: number): void;
  /** RAM of a host. */
  memoryOf(host: string): SharedMemory;
}

/** Servers of a Petal pool, by name, and the switch that they and their clients are reached by. */
export interface PetalStage {
  /** What became of the laws of the pool; null: nobody sees all of it at once in this world. */
  readonly laws: (LawsReport & { lookAtAll(): void }) | null;
  /** Whether its host has power: no server is started on one that is dark. */
  isPowered(server: string): boolean;
  /** A host has power again, whatever becomes of its driver VM. */
  hostUp(host: string): void;
  /** Starts a server that is not running, on the disks of its host. */
  start(server: string): ActorHandle;
  /** From now on frames for `name` go there. */
  plug(name: string, far: Link): void;
  /** Its host loses its power; what is durable is on its disks when it is started again. */
  powerCut(server: string): Promise<void>;
  /** Gives all disks of a server trouble, meant to last for `forNs`; returns what ends it. */
  trouble(server: string, trouble: DiskTrouble, forNs: number): () => void;
  /** Neither hears the other any more, or only one does not; returns what ends it. */
  partition(one: string, other: string, oneWay: boolean): () => void;
  /** What a server says of itself; null: it does not run, or does not answer. */
  report(server: string): Promise<ServerReport | null>;
  /** Servers go on after `stores`, so that what is damaged may be made whole yet. */
  readonly scrubOn: boolean;
  /** What all servers have on their disks. Nobody uses them, and nobody may from here on. */
  stores(): Promise<readonly ServerLook[]>;
}

/** For judges only. */
export interface ServerLook {
  readonly pairs: readonly PairStatus[];
  readonly store: ChunkStore;
}
