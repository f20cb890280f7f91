/**
 * A scenario: which hosts, which guests with which disks and workloads, and what goes wrong when.
 * The same value runs over threads and in the simulator.
 */
import type { LossPolicy } from '../guests/blkfront.ts';
import type { FrontOptions } from '../guests/front-connect.ts';
import type { Pace } from '../guests/pace.ts';
import type { DeviceKind, DiskSpec } from '../hypervisor/toolstack.ts';
import { Policy } from '../parallax/vdi/policy.ts';
import { type ParallaxSizes, REPLAY_SIZES } from '../parallax/vdi/sizes.ts';
import type { Trace } from '../traces/trace.ts';
import { EXTENT_BLOCKS } from '../world/block-pool.ts';
import type { Fault, PlantedBug, Trigger } from '../world/faults.ts';
import type { PetalScenario } from './petal-scenario.ts';

export interface GuestScenario {
  readonly name: string;
  readonly host: string;
  readonly device: DeviceKind;
  readonly diskSectors: number;
  /** Fitted to the disk; columns shared. */
  readonly trace: Trace;
  readonly pace: Pace;
  readonly heapBytes: number;
  readonly front: FrontOptions;
  readonly policy: LossPolicy;
  /** Of a `vdi`: what an acknowledgement means; W2 unless said. */
  readonly writeBack?: Policy;
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
}

export interface Scenario {
  readonly title: string;
  readonly summary: string;
  readonly hosts: readonly string[];
  readonly hostMemoryBytes: number;
  readonly driverHeapBytes: number;
  readonly guests: readonly GuestScenario[];
  readonly faults: readonly Fault[];
  /** From an actor's observed exit to the start of its successor. */
  readonly driverRestartNs: number;
  readonly guestRestartNs: number;
  /** All guests must be done by then. */
  readonly timeLimitNs: number;
  readonly plantedBug: PlantedBug;
  readonly publish: 'each' | 'batch';
  /** Watch events of the store come late and twice, by seeded draw. */
  readonly disturbedStore: boolean;
  /** Where the disks that are images lie; none is an image unless said. */
  readonly store?: StoreScenario;
  /** Of images; none unless said. */
  readonly snapshots?: readonly SnapshotScenario[];
}

/** The store of a run of real size: a sparse pool with room for every block to be written often. */
export const REPLAY_STORE: StoreScenario = {
  sizes: REPLAY_SIZES,
  poolBlocks: 1024 * EXTENT_BLOCKS,
};

/** A snapshot of a guest's image, taken under load. */
export interface SnapshotScenario {
  readonly guest: string;
  readonly name: string;
  /** Time, progress of the guest, or an event at its front end. */
  readonly when: Trigger & { readonly kind: 'time' | 'progress' | 'protocol' };
}

export interface StoreScenario {
  /** Of Parallax in each driver VM. */
  readonly sizes: ParallaxSizes;
  /** Size of the pool, blocks of 4 KiB. */
  readonly poolBlocks: number;
  /** The servers of its pool; a file unless said. */
  readonly petal?: PetalScenario;
}

/**
 * What happens below a disk: its driver VM dies, its host loses its power, or all its disks, or the
 * disk itself to another host.
 */
export type Crash = 'driver-death' | 'power-cut' | 'host-loss' | 'take-over';
/** What of acknowledged writes may be gone then. */
export type LossClause = 'nothing' | 'unflushed' | 'by-cut' | 'by-cut-keeping-flushed';

/**
 * What a guest may lose, by its disk and by the policy of an image. Files and memory lose what was
 * not flushed with the power. Of what is lost `by-cut`, the checkers ask which cut it is.
 */
export function lossOf({ device, writeBack }: GuestScenario, crash: Crash): LossClause {
  if (device !== 'vdi') return crash === 'driver-death' ? 'nothing' : 'unflushed';
  const policy = writeBack ?? Policy.w2;
  if (policy === Policy.w5) return 'by-cut';
  if (crash === 'driver-death' || policy === Policy.w0) return 'nothing';
  if (crash === 'power-cut') {
    return policy === Policy.w1 || policy === Policy.w3 ? 'unflushed' : 'nothing';
  }
  return policy === Policy.w1 ? 'by-cut-keeping-flushed' : 'by-cut';
}

export const GUEST_GRANT_ENTRIES = 8192;

export const DEFAULT_FRONT: FrontOptions = {
  queues: 1,
  ringOrder: 0,
  persistent: true,
  trusted: true,
  indirectSegments: 32,
  publish: 'each',
  startIndex: 0,
};

/** Name of a guest's image, where its disk is one. */
export function imageName(guest: string): string {
  return guest;
}

/** Name of a guest's disk: of its file, where it has one. */
export function diskName(guest: string): string {
  return `${guest}.disk`;
}

/** A guest's disk, for the toolstack. */
export function diskOf(guest: GuestScenario): DiskSpec {
  return {
    kind: guest.device,
    name: guest.device === 'vdi' ? imageName(guest.name) : diskName(guest.name),
    sectors: guest.diskSectors,
    writable: true,
    weight: 1,
    requestsPerSecond: guest.requestsPerSecond,
    bytesPerSecond: guest.bytesPerSecond,
    bare: false,
  };
}
