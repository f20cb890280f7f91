/**
 * A checkpoint of the log: what a recovery cannot or should not find out by scanning.
 *
 * The map of dirty blocks is not in it. It would grow with random writes to tens of megabytes, and
 * it is rebuilt by the scan, which reads every live byte anyway to check it and is bounded by the
 * cap on the log's size. So a checkpoint stays small enough to be written whole.
 *
 * Layout, little-endian; tables follow the header without gaps, in this order:
 *      0 magic u32 'PLXK'   4 version u16   6 zero u16   8 crc u32   12 length u32 (bytes)
 *     16 incarnation u32   20 sequence u48  26 zero u16  28 durableGroupSeq u48
 *     34 zero u48          40 vdis u32      44 chains u32
 *     48 segments u32      52 fronts u32    56 ranges u32    60 zero u32
 *   vdi 24 B:     0 vdi u32   4 generation u32   8 nextVdiSeq u48   14 published u48   20 zero u32
 *   chain 16 B:   0 incarnation u32   4 state u16   6 zero u16   8 cutGroupSeq u48
 *                14 segments u16, taken from the next table in order
 *   segment 20 B: 0 number u32   4 serial u32   8 salt u32   12 firstGroupSeq u48   18 zero u16
 *   front 8 B:    0 frontId u32   4 ranges u32, taken from the next table in order
 *   range 12 B:   0 first frontSeq u48   6 n u16   8 partOffset u32
 * The CRC is over `length` bytes, and a later version keeps the length where it is.
 */

import { getU48, setU48 } from '../../base/formats/field-bytes.ts';
import {
  beginFrame,
  type Damage,
  damageAt,
  frameDamage,
  seal,
  viewOf,
} from '../../base/formats/sealed.ts';
import { invariant } from '../../base/invariant.ts';
import type { Digest } from '../../world/world.ts';

const FRAME = { magic: 0x4b584c50, version: 1 } as const;
const LENGTH_AT = 12;
const HEADER_BYTES = 64;
const VDI_BYTES = 24;
const CHAIN_BYTES = 16;
const SEGMENT_BYTES = 20;
const FRONT_BYTES = 8;
const RANGE_BYTES = 12;

/** What is known of the end of an incarnation's chain of groups. */
export const ChainState = {
  /** The incarnation that wrote the checkpoint: its chain goes on. */
  open: 0,
  /** Groups up to `cutGroupSeq` belong to the log, none after it. */
  cut: 1,
  /** As `cut`, and the rest was lost to damage that nobody has accepted yet. */
  damaged: 2,
} as const;
export type ChainState = (typeof ChainState)[keyof typeof ChainState];

export interface CheckpointVdi {
  readonly vdi: number;
  readonly generation: number;
  /** No number below this is given again. */
  readonly nextVdiSeq: number;
  readonly published: number;
}

export interface CheckpointSegment {
  readonly number: number;
  readonly serial: number;
  readonly salt: number;
  /** 0: no group was in it yet. */
  readonly firstGroupSeq: number;
}

export interface CheckpointChain {
  readonly incarnation: number;
  readonly state: ChainState;
  readonly cutGroupSeq: number;
  /** In the order of the log. */
  readonly segments: readonly CheckpointSegment[];
}

export interface AnsweredRange {
  readonly first: number;
  readonly count: number;
  readonly partOffset: number;
}

export interface CheckpointFront {
  readonly frontId: number;
  /** In the order in which they came into the log. */
  readonly ranges: readonly AnsweredRange[];
}

export interface Checkpoint {
  readonly incarnation: number;
  /** Of the checkpoints of one incarnation, from 1. */
  readonly sequence: number;
  /** Groups of this incarnation up to here are durable. */
  readonly durableGroupSeq: number;
  readonly vdis: readonly CheckpointVdi[];
  /** Oldest incarnation first. */
  readonly chains: readonly CheckpointChain[];
  readonly fronts: readonly CheckpointFront[];
}

export interface CheckpointLimits {
  readonly vdis: number;
  readonly chains: number;
  readonly segments: number;
  readonly fronts: number;
  readonly ranges: number;
}

/** Bytes of the largest checkpoint within these limits. */
export function checkpointBytesOf(limits: CheckpointLimits): number {
  return (
    HEADER_BYTES +
    limits.vdis * VDI_BYTES +
    limits.chains * CHAIN_BYTES +
    limits.segments * SEGMENT_BYTES +
    limits.fronts * FRONT_BYTES +
    limits.ranges * RANGE_BYTES
  );
}

export function encodeCheckpoint(state: Checkpoint, digest: Digest): Uint8Array {
  const segments = state.chains.flatMap((chain) => chain.segments);
  const ranges = state.fronts.flatMap((front) => front.ranges);
  const limits = {
    vdis: state.vdis.length,
    chains: state.chains.length,
    segments: segments.length,
    fronts: state.fronts.length,
    ranges: ranges.length,
  };
  const bytes = new Uint8Array(checkpointBytesOf(limits));
  const view = viewOf(bytes);
  encodeHeader(view, state, limits);
  let at = HEADER_BYTES;
  for (const one of state.vdis) {
    view.setUint32(at, one.vdi, true);
    view.setUint32(at + 4, one.generation, true);
    setU48(view, at + 8, one.nextVdiSeq);
    setU48(view, at + 14, one.published);
    at += VDI_BYTES;
  }
  for (const one of state.chains) {
    view.setUint32(at, one.incarnation, true);
    view.setUint16(at + 4, one.state, true);
    setU48(view, at + 8, one.cutGroupSeq);
    view.setUint16(at + 14, one.segments.length, true);
    at += CHAIN_BYTES;
  }
  for (const one of segments) {
    view.setUint32(at, one.number, true);
    view.setUint32(at + 4, one.serial, true);
    view.setUint32(at + 8, one.salt, true);
    setU48(view, at + 12, one.firstGroupSeq);
    at += SEGMENT_BYTES;
  }
  for (const one of state.fronts) {
    view.setUint32(at, one.frontId, true);
    view.setUint32(at + 4, one.ranges.length, true);
    at += FRONT_BYTES;
  }
  for (const one of ranges) {
    setU48(view, at, one.first);
    view.setUint16(at + 6, one.count, true);
    view.setUint32(at + 8, one.partOffset, true);
    at += RANGE_BYTES;
  }
  invariant(at === bytes.length, 'a checkpoint is as long as its tables');
  seal(digest, bytes, view, 0, bytes.length);
  return bytes;
}

function encodeHeader(view: DataView, state: Checkpoint, counts: CheckpointLimits): void {
  beginFrame(view, 0, FRAME);
  view.setUint32(LENGTH_AT, view.byteLength, true);
  view.setUint32(16, state.incarnation, true);
  setU48(view, 20, state.sequence);
  setU48(view, 28, state.durableGroupSeq);
  view.setUint32(40, counts.vdis, true);
  view.setUint32(44, counts.chains, true);
  view.setUint32(48, counts.segments, true);
  view.setUint32(52, counts.fronts, true);
  view.setUint32(56, counts.ranges, true);
}

/** Reads a checkpoint from the beginning of `file`, which may be longer. */
export function decodeCheckpoint(file: Uint8Array, digest: Digest): Checkpoint | Damage {
  if (file.length < HEADER_BYTES) return damageAt(0, 'it is shorter than its header');
  const view = viewOf(file);
  const begins = view.getUint32(0, true) === FRAME.magic;
  const length = begins ? view.getUint32(LENGTH_AT, true) : HEADER_BYTES;
  if (length < HEADER_BYTES || length > file.length) {
    return damageAt(LENGTH_AT, `it says it has ${length} bytes, of a file of ${file.length}`);
  }
  const damage = frameDamage(digest, file, view, 0, length, FRAME);
  if (damage !== null) return damage;
  const counts = {
    vdis: view.getUint32(40, true),
    chains: view.getUint32(44, true),
    segments: view.getUint32(48, true),
    fronts: view.getUint32(52, true),
    ranges: view.getUint32(56, true),
  };
  if (checkpointBytesOf(counts) !== length) return damageAt(40, 'its tables do not fill it');
  return decodeTables(view, counts);
}

function decodeTables(view: DataView, counts: CheckpointLimits): Checkpoint {
  const chainsAt = HEADER_BYTES + counts.vdis * VDI_BYTES;
  const segmentsAt = chainsAt + counts.chains * CHAIN_BYTES;
  const frontsAt = segmentsAt + counts.segments * SEGMENT_BYTES;
  const rangesAt = frontsAt + counts.fronts * FRONT_BYTES;
  const vdis = rows(counts.vdis, HEADER_BYTES, VDI_BYTES, (at) => ({
    vdi: view.getUint32(at, true),
    generation: view.getUint32(at + 4, true),
    nextVdiSeq: getU48(view, at + 8),
    published: getU48(view, at + 14),
  }));
  const segments = rows(counts.segments, segmentsAt, SEGMENT_BYTES, (at) => ({
    number: view.getUint32(at, true),
    serial: view.getUint32(at + 4, true),
    salt: view.getUint32(at + 8, true),
    firstGroupSeq: getU48(view, at + 12),
  }));
  const ranges = rows(counts.ranges, rangesAt, RANGE_BYTES, (at) => ({
    first: getU48(view, at),
    count: view.getUint16(at + 6, true),
    partOffset: view.getUint32(at + 8, true),
  }));
  let segment = 0;
  const chains = rows(counts.chains, chainsAt, CHAIN_BYTES, (at) => ({
    incarnation: view.getUint32(at, true),
    state: view.getUint16(at + 4, true) as ChainState,
    cutGroupSeq: getU48(view, at + 8),
    segments: segments.slice(segment, (segment += view.getUint16(at + 14, true))),
  }));
  let range = 0;
  const fronts = rows(counts.fronts, frontsAt, FRONT_BYTES, (at) => ({
    frontId: view.getUint32(at, true),
    ranges: ranges.slice(range, (range += view.getUint32(at + 4, true))),
  }));
  return {
    incarnation: view.getUint32(16, true),
    sequence: getU48(view, 20),
    durableGroupSeq: getU48(view, 28),
    vdis,
    chains,
    fronts,
  };
}

function rows<T>(count: number, first: number, stride: number, read: (at: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => read(first + i * stride));
}
