/**
 * The root block of a virtual disk image: all that the pool knows of it, in one conditional block.
 *
 * Image n has block n of the pool. Publishing is one conditional write of this block, which moves
 * the image from one tree, snapshot log and watermark to the next in one step. Its name is not here
 * but in the directory: renaming does not touch the image.
 *
 * | offset | bytes | what                                                               |
 * |-------:|------:|--------------------------------------------------------------------|
 * |      0 |     4 | magic 'PXRT'                                                       |
 * |      4 |     2 | version: 1, or 2 if bytes from 248 on are used                     |
 * |      6 |     2 | flags: bit 0 ordered (this image never was published out of order),|
 * |        |       | bit 1 open (begun by a start, and not closed cleanly since)        |
 * |      8 |     4 | CRC-32 of the block, this field being zero                         |
 * |     12 |     4 | number of the image                                                |
 * |     16 |    16 | uuid of the store                                                  |
 * |     32 |    16 | uuid of the image                                                  |
 * |     48 |     4 | generation                                                         |
 * |     52 |     4 | gcCycle                                                            |
 * |     56 |     6 | vdiSeq: the watermark, up to which the root holds every mutation   |
 * |     62 |     1 | write-back policy at the watermark, 0 to 5                         |
 * |     63 |     1 | what the hidden root is: 0 none, 1 take-over pin, 2 orphan suffix  |
 * |     64 |    24 | root                                                               |
 * |     88 |    24 | previous root                                                      |
 * |    112 |    24 | root of the snapshot log                                           |
 * |    136 |     4 | snapshots ever taken: ids 1 to this one are in the log             |
 * |    140 |     4 | birth that new entries get                                         |
 * |    144 |     6 | size in blocks                                                     |
 * |    152 |     8 | published at, milliseconds of Unix time, a double                  |
 * |    160 |     6 | blocks that are mapped                                             |
 * |    168 |     6 | blocks superseded, private to this image                           |
 * |    176 |     6 | blocks superseded, shared with a snapshot                          |
 * |    184 |    24 | hidden root                                                        |
 * |    208 |     6 | vdiSeq of the hidden root                                          |
 * |    216 |     4 | generation of the hidden root                                      |
 * |    220 |     4 | origin of a clone: number of the image, 0: none                    |
 * |    224 |     4 | origin of a clone: its snapshot, 0: its state when it was cloned   |
 * |    228 |    16 | uuid of the log that its mutations go to; zeros: never started     |
 * |    244 |     4 | first generation whose mutations went to that log                  |
 * |    248 |    16 | uuid of the log in which the hidden root goes on                   |
 * |    264 |     4 | first generation whose mutations went to that one                  |
 * |    268 |     4 | birth that the hidden root's new entries would have had            |
 * |    272 |     6 | its size in blocks                                                 |
 * |    278 |     6 | blocks that it maps                                                |
 * |    284 |     1 | write-back policy at its watermark, 0 to 5                         |
 *
 * Everything else is zero. The three counts of blocks are what `vdi ls` prints; the truth is in the
 * trees. A take-over pin keeps what a new host took over until the suffix of the lost host's log is
 * claimed or dropped; an orphan suffix is such a suffix, kept as an image of its own. A hidden root
 * of version 1 does not say in which log it goes on: then nothing can be made of it.
 */

import {
  firstNonZero,
  formatUuid,
  getU48,
  setU32,
  setU48,
  UUID_BYTES,
  uuidBytes,
} from '../../base/formats/field-bytes.ts';
import {
  beginFrame,
  type Damage,
  damageAt,
  frameDamage,
  hex,
  seal,
  viewOf,
} from '../../base/formats/sealed.ts';
import { invariant } from '../../base/invariant.ts';
import type { Digest } from '../../world/world.ts';
import { decodeRoot, EMPTY_ROOT, encodeRoot, rootProblem, type TreeRoot } from './tree-root.ts';

export const ROOT_BLOCK_BYTES = 4096;
const FRAME = { magic: 0x54525850, version: 1 } as const;
const FRAME_WITH_SUFFIX = { ...FRAME, version: 2 } as const;
const STORE_UUID_AT = 16;
const VDI_UUID_AT = 32;
const FLAG_ORDERED = 1;
const FLAG_OPEN = 2;
const POLICY_MAX = 5;
const LOG_UUID_AT = 228;
const LOG_SINCE_AT = 244;
const END = 248;
const SUFFIX_LOG_AT = 248;
const END_WITH_SUFFIX = 285;

/** In the place of a log's uuid. */
export const NO_LOG = '00000000-0000-0000-0000-000000000000';

export const HiddenKind = { takeOverPin: 1, orphanSuffix: 2 } as const;
export type HiddenKind = (typeof HiddenKind)[keyof typeof HiddenKind];

/** A root that keeps its blocks but that nobody reads unasked. */
export interface HiddenRoot {
  readonly kind: HiddenKind;
  readonly root: TreeRoot;
  readonly vdiSeq: number;
  readonly generation: number;
  /** null: nobody knows in which log it went on. */
  readonly suffix: SuffixPlace | null;
}

/** Where the mutations are that follow a hidden root, and what an image of them begins with. */
export interface SuffixPlace {
  readonly logUuid: string;
  /** First generation whose mutations are in that log. */
  readonly logSince: number;
  readonly birth: number;
  readonly sizeBlocks: number;
  readonly mappedBlocks: number;
  /** W0 to W5. */
  readonly policy: number;
}

export interface RootBlock {
  readonly storeUuid: string;
  readonly vdi: number;
  readonly vdiUuid: string;
  readonly generation: number;
  /** The watermark. */
  readonly vdiSeq: number;
  readonly ordered: boolean;
  /** A life of the image has begun, and has not ended cleanly. */
  readonly open: boolean;
  /** W0 to W5. */
  readonly policy: number;
  readonly sizeBlocks: number;
  readonly birth: number;
  readonly root: TreeRoot;
  readonly previousRoot: TreeRoot;
  readonly snapshotRoot: TreeRoot;
  readonly snapshotCount: number;
  readonly origin: { readonly vdi: number; readonly snapshot: number } | null;
  readonly hidden: HiddenRoot | null;
  /** Of the host that serves it; `NO_LOG`: it was never started. */
  readonly logUuid: string;
  /** First generation whose mutations went to that log: older ones in it are an orphan. */
  readonly logSince: number;
  readonly gcCycle: number;
  readonly publishedMs: number;
  readonly mappedBlocks: number;
  readonly supersededPrivateBlocks: number;
  readonly supersededSharedBlocks: number;
}

/** The 4096 bytes of a root block. */
export function encodeRootBlock(digest: Digest, image: RootBlock): Uint8Array {
  invariant(image.policy >= 0 && image.policy <= POLICY_MAX, 'a policy is W0 to W5');
  invariant(image.vdi > 0, 'an image has a number');
  const suffix = image.hidden?.suffix ?? null;
  const bytes = new Uint8Array(ROOT_BLOCK_BYTES);
  const view = viewOf(bytes);
  beginFrame(view, 0, suffix === null ? FRAME : FRAME_WITH_SUFFIX);
  const flags = (image.ordered ? FLAG_ORDERED : 0) | (image.open ? FLAG_OPEN : 0);
  view.setUint16(6, flags, true);
  setU32(view, 12, image.vdi);
  bytes.set(uuidBytes(image.storeUuid), STORE_UUID_AT);
  bytes.set(uuidBytes(image.vdiUuid), VDI_UUID_AT);
  setU32(view, 48, image.generation);
  setU32(view, 52, image.gcCycle);
  setU48(view, 56, image.vdiSeq);
  view.setUint8(62, image.policy);
  view.setUint8(63, image.hidden?.kind ?? 0);
  encodeRoot(view, 64, image.root);
  encodeRoot(view, 88, image.previousRoot);
  encodeRoot(view, 112, image.snapshotRoot);
  setU32(view, 136, image.snapshotCount);
  setU32(view, 140, image.birth);
  setU48(view, 144, image.sizeBlocks);
  view.setFloat64(152, image.publishedMs, true);
  setU48(view, 160, image.mappedBlocks);
  setU48(view, 168, image.supersededPrivateBlocks);
  setU48(view, 176, image.supersededSharedBlocks);
  encodeRoot(view, 184, image.hidden?.root ?? EMPTY_ROOT);
  setU48(view, 208, image.hidden?.vdiSeq ?? 0);
  setU32(view, 216, image.hidden?.generation ?? 0);
  bytes.set(uuidBytes(image.logUuid), LOG_UUID_AT);
  setU32(view, LOG_SINCE_AT, image.logSince);
  setU32(view, 220, image.origin?.vdi ?? 0);
  setU32(view, 224, image.origin?.snapshot ?? 0);
  if (suffix !== null) encodeSuffix(bytes, view, suffix);
  seal(digest, bytes, view, 0, ROOT_BLOCK_BYTES);
  return bytes;
}

function encodeSuffix(bytes: Uint8Array, view: DataView, suffix: SuffixPlace): void {
  invariant(suffix.policy >= 0 && suffix.policy <= POLICY_MAX, 'a policy is W0 to W5');
  bytes.set(uuidBytes(suffix.logUuid), SUFFIX_LOG_AT);
  setU32(view, 264, suffix.logSince);
  setU32(view, 268, suffix.birth);
  setU48(view, 272, suffix.sizeBlocks);
  setU48(view, 278, suffix.mappedBlocks);
  view.setUint8(284, suffix.policy);
}

/** Reads a root block of `ROOT_BLOCK_BYTES` bytes; what is wrong with it is named, not thrown. */
export function decodeRootBlock(digest: Digest, bytes: Uint8Array): RootBlock | Damage {
  invariant(bytes.length === ROOT_BLOCK_BYTES, 'a root block is one block');
  const view = viewOf(bytes);
  const isFirst = hasVersion(view, FRAME.version);
  const frame = isFirst ? FRAME : FRAME_WITH_SUFFIX;
  const damage = frameDamage(digest, bytes, view, 0, ROOT_BLOCK_BYTES, frame);
  return damage ?? fieldDamage(bytes, view) ?? readFields(bytes, view);
}

function hasVersion(view: DataView, version: number): boolean {
  return view.getUint16(4, true) === version;
}

function readFields(bytes: Uint8Array, view: DataView): RootBlock {
  const originVdi = view.getUint32(220, true);
  return {
    storeUuid: uuidAt(bytes, STORE_UUID_AT),
    vdi: view.getUint32(12, true),
    vdiUuid: uuidAt(bytes, VDI_UUID_AT),
    generation: view.getUint32(48, true),
    vdiSeq: getU48(view, 56),
    ordered: (view.getUint16(6, true) & FLAG_ORDERED) !== 0,
    open: (view.getUint16(6, true) & FLAG_OPEN) !== 0,
    policy: view.getUint8(62),
    sizeBlocks: getU48(view, 144),
    birth: view.getUint32(140, true),
    root: decodeRoot(view, 64) ?? EMPTY_ROOT,
    previousRoot: decodeRoot(view, 88) ?? EMPTY_ROOT,
    snapshotRoot: decodeRoot(view, 112) ?? EMPTY_ROOT,
    snapshotCount: view.getUint32(136, true),
    origin: originVdi === 0 ? null : { vdi: originVdi, snapshot: view.getUint32(224, true) },
    hidden: readHidden(bytes, view),
    logUuid: uuidAt(bytes, LOG_UUID_AT),
    logSince: view.getUint32(LOG_SINCE_AT, true),
    gcCycle: view.getUint32(52, true),
    publishedMs: view.getFloat64(152, true),
    mappedBlocks: getU48(view, 160),
    supersededPrivateBlocks: getU48(view, 168),
    supersededSharedBlocks: getU48(view, 176),
  };
}

function uuidAt(bytes: Uint8Array, at: number): string {
  return formatUuid(bytes.subarray(at, at + UUID_BYTES));
}

function readHidden(bytes: Uint8Array, view: DataView): HiddenRoot | null {
  const kind = view.getUint8(63);
  if (kind === 0) return null;
  return {
    kind: kind as HiddenKind,
    root: decodeRoot(view, 184) ?? EMPTY_ROOT,
    vdiSeq: getU48(view, 208),
    generation: view.getUint32(216, true),
    suffix: hasVersion(view, FRAME.version) ? null : readSuffix(bytes, view),
  };
}

function readSuffix(bytes: Uint8Array, view: DataView): SuffixPlace {
  return {
    logUuid: uuidAt(bytes, SUFFIX_LOG_AT),
    logSince: view.getUint32(264, true),
    birth: view.getUint32(268, true),
    sizeBlocks: getU48(view, 272),
    mappedBlocks: getU48(view, 278),
    policy: view.getUint8(284),
  };
}

/** Bytes whose CRC holds but that make no sense: written by a program with a bug, or forged. */
function fieldDamage(bytes: Uint8Array, view: DataView): Damage | null {
  const flags = view.getUint16(6, true);
  const most = FLAG_ORDERED | FLAG_OPEN;
  if (flags > most) return damageAt(6, `flags ${hex(flags)}, expected 0 to ${most}`);
  if (view.getUint32(12, true) === 0) return damageAt(12, 'image 0, expected 1 or more');
  const policy = view.getUint8(62);
  if (policy > POLICY_MAX) return damageAt(62, `policy ${policy}, expected 0 to ${POLICY_MAX}`);
  const kind = view.getUint8(63);
  if (kind > HiddenKind.orphanSuffix) return damageAt(63, `hidden root of kind ${kind}`);
  const isFirst = hasVersion(view, FRAME.version);
  if (!isFirst && kind === 0) return damageAt(63, 'no hidden root, expected one in version 2');
  const after = isFirst ? 0 : view.getUint8(284);
  if (after > POLICY_MAX) return damageAt(284, `policy ${after}, expected 0 to ${POLICY_MAX}`);
  for (const at of [64, 88, 112, 184]) {
    const problem = rootProblem(view, at);
    if (problem !== null) return damageAt(at, problem);
  }
  const gaps: readonly (readonly [number, number])[] = [
    [82, 88],
    [106, 112],
    [130, 136],
    [150, 152],
    [166, 168],
    [174, 176],
    [182, 184],
    [202, 208],
    [214, 216],
    [isFirst ? END : END_WITH_SUFFIX, ROOT_BLOCK_BYTES],
  ];
  for (const [from, to] of gaps) {
    const at = firstNonZero(bytes, from, to);
    if (at >= 0) return damageAt(at, `byte ${bytes[at]} where the layout has zeros`);
  }
  return null;
}
