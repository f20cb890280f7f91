/** The Petal pool of a run: which servers, how large, and how fast they act. */
import {
  DEFAULT_PETAL_POOL_OPTIONS,
  type PetalPoolOptions,
} from '../petal-backend/client/petal-pool.ts';
import {
  DEFAULT_SERVER_OPTIONS,
  type ServerOptions,
  serverName,
} from '../petal-backend/server/ports.ts';
import type { StoreOptions } from '../petal-backend/store/store-options.ts';

/** Name of the pool in the directory. */
export const RUN_POOL = 'pool';

export interface PetalScenario {
  /** They are `s1`, `s2`, and so on; at least as many as there are copies. */
  readonly servers: number;
  readonly copies: number;
  /**
   * Servers on a host of the run's guests, one a host, which share its fate: its power is theirs,
   * and its loss that of their disks. Others have hosts of their own.
   */
  readonly placement: Readonly<Record<string, string>>;
  readonly options: ServerOptions;
  /** Of each server. */
  readonly store: Omit<StoreOptions, 'server'>;
  readonly client: PetalPoolOptions;
  /** From the death of a server to its next start. */
  readonly restartNs: number;
  /** Faults are over: all servers are in sync and nothing is dirty before so long has passed. */
  readonly cleanWithinNs: number;
}

const MIB = 2 ** 20;

/**
 * Of the simulator, where everything happens fifty times as often as in a real pool, and logs are
 * small enough to turn over. A client never gives up: a clock that jumps must not look to it like
 * a pool that does not answer.
 */
export function simPetal(servers: number, copies: number, restartNs: number): PetalScenario {
  return {
    servers,
    copies,
    placement: {},
    options: {
      ...DEFAULT_SERVER_OPTIONS,
      leaseNs: 40e6,
      // Clocks that differ by as much as is allowed differ by half a heartbeat in a lease.
      driftPpm: 50_000,
      silenceNs: 20e6,
      heartbeatNs: 4e6,
      repairBlocks: 8,
      handBackNs: 60e6,
      scrubPauseNs: 1e6,
    },
    store: {
      dataDisks: 2,
      dataBytes: 12 * MIB,
      logBytes: MIB,
      segmentBytes: 256 * 1024,
      arenaBytes: 512 * 1024,
      pairPages: 1,
      applyDelayNs: 5e6,
      retryNs: 5e6,
    },
    client: { ...DEFAULT_PETAL_POOL_OPTIONS, timeoutNs: 12e6, pauseNs: 1e6, giveUpNs: 120e9 },
    restartNs,
    cleanWithinNs: 400e6,
  };
}

/**
 * Of threads: leases, logs and disks as a real pool has them. Disks are sparse files, each with
 * room for what a replay of some minutes writes.
 */
export function threadPetal(servers: number, copies: number, restartNs: number): PetalScenario {
  return {
    servers,
    copies,
    placement: {},
    options: DEFAULT_SERVER_OPTIONS,
    store: {
      dataDisks: 1,
      dataBytes: 4096 * MIB,
      logBytes: 64 * MIB,
      segmentBytes: 8 * MIB,
      arenaBytes: 16 * MIB,
      pairPages: 1,
      applyDelayNs: 50e6,
      retryNs: 1e9,
    },
    client: DEFAULT_PETAL_POOL_OPTIONS,
    restartNs,
    cleanWithinNs: 60e9,
  };
}

export function serverNames({ servers }: PetalScenario): string[] {
  return Array.from({ length: servers }, (_, at) => serverName(at + 1));
}
