/** What a Petal server needs of the world beside disks, clock and timers. */
import type { Fence, Nanos, Session } from '../../base/units.ts';
import type { ChangeOutcome, PairView } from '../directory/pair-directory.ts';
import type { PairTransition } from '../directory/pair-transitions.ts';
import type { Frame } from '../wire/messages.ts';

/** Messages to and from the other servers and the clients, by name. They may be lost or late. */
export interface PeerNet {
  send(to: string, frame: Frame): void;
  onFrame(receive: (from: string, frame: Frame) => void): void;
}

/** What the directory says of a server's pairs. */
export interface PoolView {
  /** False: the directory came back from a copy, and nobody serves until that is mended. */
  readonly isReady: boolean;
  readonly pairs: readonly PairView[];
}

/** The pairs of a pool in the directory. Each call may reject: the directory cannot answer now. */
export interface PairsDirectory {
  /** Every pair of which the server is a member, as of moments after the call. */
  viewOf(server: number): Promise<PoolView>;
  /** Makes the transition if the pair is still as it was seen (`pair-directory.ts`). */
  change(from: PairView, transition: PairTransition): Promise<ChangeOutcome>;
}

/** Who may write to a virtual disk. */
export interface AccessDirectory {
  /** `vdisk`: null if there is none. `fence`: null if the attachment is over or never was. */
  accessOf(
    vdisk: number,
    session: Session,
  ): Promise<{ readonly vdisk: VdiskFacts | null; readonly fence: Fence | null }>;
}

export interface VdiskFacts {
  readonly gmap: number;
  readonly epoch: number;
  readonly mapVersion: number;
  readonly sizeBlocks: number;
}

/**
 * Mistakes that can be planted in a server, to see that its checks find them (`petal.md`, 6): each
 * leaves out one thing that the protocol does.
 */
export const PETAL_BUGS = [
  /** Acknowledged when the own store has it, whatever the others. */
  'early-ack',
  /** A copy is made for whoever asks, under whatever term. */
  'no-term-check',
  /** A lease begins when the directory's answer arrives. */
  'late-lease',
  /** What a dropped member lacks is not remembered. */
  'no-marks',
  /** A copy is taken for clean at once. */
  'early-clean',
  /** A request that comes twice is done twice. */
  'no-origin',
  /** Acknowledged without a silent member before the directory knows that it is out. */
  'late-change',
  /** Nothing is held back after a member was dropped. */
  'no-hold',
  /** A returning server keeps what nobody acknowledged. */
  'keeps-dirty',
  /** What is read is taken for what was written. */
  'no-crc',
  /** What the map's first choice has when it returns replaces what others have. */
  'primary-wins',
] as const;
export type PetalBug = 'none' | (typeof PETAL_BUGS)[number];

export interface ServerOptions {
  /**
   * How long what the directory said of a pair may be gone by. Whoever has dropped a member waits
   * as long before it acknowledges anything that the dropped one may not know.
   */
  readonly leaseNs: number;
  /** Clocks run at most this much faster or slower than each other. */
  readonly driftPpm: number;
  /** A peer that has not answered for so long is taken for dead. */
  readonly silenceNs: number;
  readonly heartbeatNs: number;
  /** Blocks that a rejoining server is sent before it has answered. */
  readonly repairBlocks: number;
  /** Requests of clients at a time; more are told `busy`. */
  readonly queueMax: number;
  /** After which a primary gives its part back to the first choice of the map. */
  readonly handBackNs: number;
  /** Between two chunks that are looked at for damage. */
  readonly scrubPauseNs: number;
  readonly plantedBug: PetalBug;
}

export const DEFAULT_SERVER_OPTIONS: ServerOptions = {
  leaseNs: 2e9,
  driftPpm: 1000,
  silenceNs: 500e6,
  heartbeatNs: 100e6,
  repairBlocks: 64,
  queueMax: 4096,
  handBackNs: 10e9,
  scrubPauseNs: 50e6,
  plantedBug: 'none',
};

/** The lease of others is surely over so long after it can have begun, by this one's clock. */
export function othersLeaseNs({ leaseNs, driftPpm }: ServerOptions): Nanos {
  return Math.ceil(leaseNs * (1 + (2 * driftPpm) / 1e6)) as Nanos;
}

const SERVER_NAME = /^s([1-9]\d{0,8})$/;

/** Name of a server on the net. */
export function serverName(server: number): string {
  return `s${server}`;
}

/** Whether `serverName` gives this name. */
export function isServerName(name: string): boolean {
  return SERVER_NAME.test(name);
}
