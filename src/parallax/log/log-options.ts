/** Sizes and times of a dirty log, and the arithmetic between them. */
import { invariant } from '../../base/invariant.ts';
import { PAGE_BYTES, SECOND } from '../../base/units.ts';
import type { PlantedBug } from '../../world/faults.ts';
import { checkpointBytesOf } from '../formats/checkpoint.ts';
import { groupBytesOf } from '../formats/log-group.ts';
import { SEGMENT_HEADER_BYTES } from '../formats/segment-header.ts';

export interface LogOptions {
  readonly segmentBytes: number;
  /** Files of segments at the most, inherited ones included. */
  readonly maxSegments: number;
  /** Kept free of guests' mutations, for snapshots and policies, when the log is full. */
  readonly reserveBytes: number;
  /** RAM for the groups that are open, in flight, or not yet durable. */
  readonly arena: { readonly address: number; readonly bytes: number };
  /** Of one group, tables and padding included. */
  readonly maxGroupBytes: number;
  readonly maxGroupEntries: number;
  /** Groups in RAM at the same time. */
  readonly maxGroups: number;
  readonly maxVdis: number;
  readonly maxFronts: number;
  /** Parts of requests remembered of each front end: as many as all its queues hold. */
  readonly windowDepth: number;
  readonly checkpointEveryBytes: number;
  readonly checkpointEveryNs: number;
  /** After a failure, when to try again to make a segment or a checkpoint. */
  readonly retryNs: number;
  /** None unless said. */
  readonly plantedBug?: PlantedBug;
}

const MIB = 2 ** 20;
/** Inherited chains that a checkpoint names at the most. */
const MAX_CHAINS = 64;

/** The largest payload of one mutation, 1 MiB, fits in a group; arena: `LOG_ARENA_BYTES`. */
export const DEFAULT_LOG_OPTIONS: Omit<LogOptions, 'arena'> = {
  segmentBytes: 64 * MIB,
  maxSegments: 72,
  reserveBytes: 4 * MIB,
  maxGroupBytes: MIB + 128 * 1024,
  maxGroupEntries: 1024,
  maxGroups: 64,
  maxVdis: 1024,
  maxFronts: 128,
  windowDepth: 1024,
  checkpointEveryBytes: 128 * MIB,
  checkpointEveryNs: 10 * SECOND,
  retryNs: SECOND,
};
export const LOG_ARENA_BYTES: number = 4 * MIB;

export function checkLogOptions(options: LogOptions): void {
  const { segmentBytes, maxGroupBytes, arena } = options;
  invariant(segmentBytes % PAGE_BYTES === 0, 'a segment is made of whole pages');
  invariant(maxGroupBytes % PAGE_BYTES === 0, 'a group is made of whole pages');
  invariant(arena.bytes % PAGE_BYTES === 0, 'the arena is made of whole pages');
  invariant(arena.bytes >= 3 * maxGroupBytes, 'a group fills while another one is in flight');
  // After a failed write everything in RAM moves into one new segment.
  invariant(
    segmentBytes >= SEGMENT_HEADER_BYTES + arena.bytes,
    'a segment holds whatever is in the arena',
  );
  invariant(options.maxSegments >= 3, 'a log has a segment in use, a spare and one to retire');
  invariant(options.maxGroupEntries < 2 ** 16 && options.maxGroups >= 4, 'groups are counted');
}

/** The largest payload that one mutation may carry. */
export function maxPayloadBytes(options: LogOptions): number {
  return options.maxGroupBytes - groupBytesOf(0, 1, 1);
}

/** Blocks that one mutation may have a part of: one more if it begins inside a block. */
export function maxPieces(options: LogOptions): number {
  return Math.ceil(maxPayloadBytes(options) / PAGE_BYTES) + 1;
}

/** Size of a checkpoint file: whatever happens, a checkpoint fits. */
export function checkpointFileBytes(options: LogOptions): number {
  const bytes = checkpointBytesOf({
    vdis: options.maxVdis,
    chains: MAX_CHAINS,
    // Retired segments stay named for a while, and each chain may bring a spare.
    segments: 2 * options.maxSegments + MAX_CHAINS,
    fronts: options.maxFronts,
    ranges: options.maxFronts * options.windowDepth,
  });
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
