/** What a recovery hands to the log of the new incarnation, and tells to whoever started it. */
import type { Disk } from '../../world/world.ts';
import type { ChainState } from '../formats/checkpoint.ts';
import type { AnsweredWindow } from './answered-window.ts';
import type { LogSegment, PlacementTable } from './segment.ts';

export interface RecoveredVdi {
  readonly vdi: number;
  generation: number;
  /** Newest number in the log; 0 if there is none. */
  lastVdiSeq: number;
  /** Newest number that a checkpoint says may have been given. */
  reservedVdiSeq: number;
  /** As far as a checkpoint knew; the root may know more. */
  published: number;
}

/** Data that was durable and is not there, or not as it was. */
export interface LogDamage {
  readonly file: string;
  /** Byte in the file. */
  readonly position: number;
  readonly reason: string;
  readonly incarnation: number;
  /** First and last group that is lost by it: nothing behind the first is recovered. */
  readonly firstGroupSeq: number;
  readonly lastGroupSeq: number;
  /** VDIs that lose entries, in order; null if that cannot be told: then it may be any of them. */
  readonly vdis: readonly number[] | null;
}

/** The log of one older incarnation. */
export interface RecoveredChain {
  readonly incarnation: number;
  readonly state: ChainState;
  readonly cutGroupSeq: number;
  readonly segments: readonly LogSegment[];
}

export interface RecoveryStatistics {
  groups: number;
  entries: number;
  payloadBytes: number;
  scannedBytes: number;
  durationNs: number;
}

export interface RecoveredLog {
  readonly incarnation: number;
  /** The checkpoint files of the new incarnation. */
  readonly sides: readonly [Disk, Disk];
  /** Of this incarnation, blank; null: there was no room for it. */
  readonly firstSegment: Disk | null;
  readonly table: PlacementTable;
  /** Segments with recovered groups, in the order of the log. */
  readonly live: readonly LogSegment[];
  readonly chains: readonly RecoveredChain[];
  /** Files that are not needed once this incarnation has its own checkpoints. */
  readonly stale: readonly string[];
  readonly vdis: ReadonlyMap<number, RecoveredVdi>;
  readonly window: AnsweredWindow;
  /**
   * Empty unless something is lost. VDIs that it names must not serve data until the operator
   * accepts that (`DirtyLog.acceptDamage`); until then every recovery reports it again.
   */
  readonly damage: readonly LogDamage[];
  /** What was found damaged and made no difference. */
  readonly remarks: readonly string[];
  readonly statistics: RecoveryStatistics;
}

/** What a look at the log has found; its files are closed. */
export interface InspectedLog
  extends Pick<RecoveredLog, 'chains' | 'damage' | 'remarks' | 'statistics'> {
  /** The one that wrote the newest checkpoint that holds; 0: there is none. */
  readonly newestIncarnation: number;
}
