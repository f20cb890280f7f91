/**
 * Snapshots as they are stored: records of 128 bytes, 31 to a block after a head of 128 bytes.
 *
 * The blocks are the data blocks of a radix tree of their own, the snapshot log of an image. Ids
 * count from 1, and snapshot n is record (n - 1) % 31 of block (n - 1) / 31. A record that was not
 * written yet is all zeros. Deleting marks a record; its place is never used again.
 *
 * | offset in head | bytes | what                                              |
 * |---------------:|------:|---------------------------------------------------|
 * |              0 |     4 | magic 'PXSN'                                      |
 * |              4 |     2 | version, 1                                        |
 * |              8 |     4 | CRC-32 of the head, this field being zero         |
 * |             12 |     4 | id of the block's first record                    |
 *
 * | offset in record | bytes | what                                                       |
 * |-----------------:|------:|------------------------------------------------------------|
 * |                0 |     4 | id                                                         |
 * |                4 |     4 | CRC-32 of the record, this field being zero                |
 * |                8 |     6 | vdiSeq: the snapshot holds every mutation up to it         |
 * |               14 |     2 | flags: 1 deleted, 2 template, 4 local (not at the pool)    |
 * |               16 |    18 | root, without the zeros at its end                         |
 * |               34 |     6 | blocks that are mapped                                     |
 * |               40 |     4 | birth: of the newest entries that the snapshot holds       |
 * |               44 |     4 | generation in which vdiSeq was given                       |
 * |               48 |     6 | size in blocks                                             |
 * |               54 |     1 | length of the name in bytes, 0 to 63                       |
 * |               56 |     8 | taken at, milliseconds of Unix time, a double              |
 * |               64 |    63 | name, UTF-8                                                |
 *
 * Everything else is zero. Each record has a CRC of its own, so that what fsck can save of a
 * damaged block is all but the records that were hit.
 */
import { UsageError } from '../../base/errors.ts';
import { firstNonZero, getU48, setU32, setU48 } from '../../base/formats/field-bytes.ts';
import {
  beginFrame,
  type Damage,
  damageAt,
  frameDamage,
  hex,
  seal,
  sumWithout,
  viewOf,
} from '../../base/formats/sealed.ts';
import { decodeUtf8, encodeUtf8 } from '../../base/formats/utf8.ts';
import { invariant } from '../../base/invariant.ts';
import type { Digest } from '../../world/world.ts';
import { decodeRoot, EMPTY_ROOT, encodeRoot, rootProblem, type TreeRoot } from './tree-root.ts';

export const SNAPSHOT_BLOCK_BYTES = 4096;
export const SNAPSHOT_RECORD_BYTES = 128;
export const SNAPSHOTS_PER_BLOCK = 31;
export const SNAPSHOT_NAME_BYTES_MAX = 63;

const FRAME = { magic: 0x4e535850, version: 1 } as const;
const FLAG_DELETED = 1;
const FLAG_TEMPLATE = 2;
const FLAG_LOCAL = 4;
const FLAGS = FLAG_DELETED | FLAG_TEMPLATE | FLAG_LOCAL;
const HEAD_END = 16;
const CRC_AT = 4;
const NAME_AT = 64;

invariant(
  SNAPSHOT_RECORD_BYTES * (1 + SNAPSHOTS_PER_BLOCK) === SNAPSHOT_BLOCK_BYTES,
  'a head and its records fill a block',
);

export interface SnapshotRecord {
  /** 1 for the first snapshot of an image. */
  readonly id: number;
  readonly name: string;
  readonly vdiSeq: number;
  readonly generation: number;
  readonly birth: number;
  readonly root: TreeRoot;
  readonly sizeBlocks: number;
  readonly mappedBlocks: number;
  readonly createdMs: number;
  /** Its blocks may be reclaimed, unless another snapshot or the image still has them. */
  readonly deleted: boolean;
  /** Made to be cloned: never deleted without being asked twice. */
  readonly template: boolean;
  /** Acknowledged from the local log only: may vanish whole with its host. */
  readonly local: boolean;
}

export interface SnapshotBlock {
  /** Those that hold, by id; without the ones that were never written. */
  readonly records: readonly SnapshotRecord[];
  readonly damage: readonly Damage[];
}

/** Block of the snapshot log that holds snapshot `id`. */
export function snapshotBlockIndex(id: number): number {
  invariant(id >= 1, 'snapshots are counted from 1');
  return Math.floor((id - 1) / SNAPSHOTS_PER_BLOCK);
}

/** Throws `UsageError` for a name that cannot be stored. */
export function requireSnapshotName(name: string): void {
  const bytes = encodeUtf8(name);
  const fields = { name };
  if (bytes === null) {
    throw new UsageError('E_SNAPSHOT_NAME', 'the name of the snapshot is not Unicode', { fields });
  }
  if (bytes.length > SNAPSHOT_NAME_BYTES_MAX) {
    const message =
      `the name '${name}' has ${bytes.length} bytes as UTF-8: ` +
      `a snapshot's name has ${SNAPSHOT_NAME_BYTES_MAX} at most, choose a shorter one`;
    throw new UsageError('E_SNAPSHOT_NAME', message, { fields });
  }
}

/** Writes the head of an empty block; the 4096 bytes are zeros before. */
export function encodeSnapshotHead(digest: Digest, bytes: Uint8Array, blockIndex: number): void {
  const view = blockView(bytes);
  beginFrame(view, 0, FRAME);
  view.setUint32(12, blockIndex * SNAPSHOTS_PER_BLOCK + 1, true);
  seal(digest, bytes, view, 0, SNAPSHOT_RECORD_BYTES);
}

/** Writes a record to its place in the block `snapshotBlockIndex(record.id)`. */
export function encodeSnapshot(digest: Digest, bytes: Uint8Array, record: SnapshotRecord): void {
  requireSnapshotName(record.name);
  const view = blockView(bytes);
  const at = recordOffset(record.id);
  const name = encodeUtf8(record.name) as Uint8Array;
  bytes.fill(0, at, at + SNAPSHOT_RECORD_BYTES);
  setU32(view, at, record.id);
  setU48(view, at + 8, record.vdiSeq);
  const flags =
    (record.deleted ? FLAG_DELETED : 0) |
    (record.template ? FLAG_TEMPLATE : 0) |
    (record.local ? FLAG_LOCAL : 0);
  view.setUint16(at + 14, flags, true);
  encodeRoot(view, at + 16, record.root);
  setU48(view, at + 34, record.mappedBlocks);
  setU32(view, at + 40, record.birth);
  setU32(view, at + 44, record.generation);
  setU48(view, at + 48, record.sizeBlocks);
  view.setUint8(at + 54, name.length);
  view.setFloat64(at + 56, record.createdMs, true);
  bytes.set(name, at + NAME_AT);
  view.setUint32(at + CRC_AT, recordSum(digest, bytes, view, at), true);
}

/** Reads the block of that index: every record that holds, and a word on each that does not. */
export function decodeSnapshotBlock(
  digest: Digest,
  bytes: Uint8Array,
  blockIndex: number,
): SnapshotBlock {
  const view = blockView(bytes);
  const head = headDamage(digest, bytes, view, blockIndex);
  const damages: Damage[] = head === null ? [] : [head];
  const records: SnapshotRecord[] = [];
  for (let i = 0; i < SNAPSHOTS_PER_BLOCK && head?.newer !== true; i++) {
    const id = blockIndex * SNAPSHOTS_PER_BLOCK + 1 + i;
    const at = recordOffset(id);
    if (firstNonZero(bytes, at, at + SNAPSHOT_RECORD_BYTES) < 0) continue;
    const found = recordDamage(digest, bytes, view, at, id);
    if (found === null) records.push(readRecord(bytes, view, at));
    else damages.push(found);
  }
  return { records, damage: damages };
}

function readRecord(bytes: Uint8Array, view: DataView, at: number): SnapshotRecord {
  const flags = view.getUint16(at + 14, true);
  return {
    id: view.getUint32(at, true),
    name: nameOf(bytes, view, at) ?? '',
    vdiSeq: getU48(view, at + 8),
    generation: view.getUint32(at + 44, true),
    birth: view.getUint32(at + 40, true),
    root: decodeRoot(view, at + 16) ?? EMPTY_ROOT,
    sizeBlocks: getU48(view, at + 48),
    mappedBlocks: getU48(view, at + 34),
    createdMs: view.getFloat64(at + 56, true),
    deleted: (flags & FLAG_DELETED) !== 0,
    template: (flags & FLAG_TEMPLATE) !== 0,
    local: (flags & FLAG_LOCAL) !== 0,
  };
}

function headDamage(
  digest: Digest,
  bytes: Uint8Array,
  view: DataView,
  blockIndex: number,
): Damage | null {
  const found = frameDamage(digest, bytes, view, 0, SNAPSHOT_RECORD_BYTES, FRAME);
  if (found !== null) return found;
  const first = view.getUint32(12, true);
  const expected = blockIndex * SNAPSHOTS_PER_BLOCK + 1;
  if (first !== expected) return damageAt(12, `first id ${first}, expected ${expected}`);
  const stray = firstNonZero(bytes, HEAD_END, SNAPSHOT_RECORD_BYTES);
  return stray < 0 ? null : damageAt(stray, `byte ${bytes[stray]} where the layout has zeros`);
}

function recordDamage(
  digest: Digest,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  id: number,
): Damage | null {
  const crc = view.getUint32(at + CRC_AT, true);
  const found = recordSum(digest, bytes, view, at);
  if (crc !== found) {
    return damageAt(
      at + CRC_AT,
      `CRC ${hex(crc)} of snapshot ${id}, but the record has ${hex(found)}`,
    );
  }
  const stored = view.getUint32(at, true);
  if (stored !== id) return damageAt(at, `id ${stored} in the place of snapshot ${id}`);
  const flags = view.getUint16(at + 14, true);
  if ((flags & ~FLAGS) !== 0) return damageAt(at + 14, `flags ${hex(flags)} of snapshot ${id}`);
  const problem = rootProblem(view, at + 16);
  if (problem !== null) return damageAt(at + 16, `${problem}, of snapshot ${id}`);
  if (nameOf(bytes, view, at) === null) {
    return damageAt(at + 54, `a name that is not UTF-8 of up to 63 bytes, of snapshot ${id}`);
  }
  const gaps: readonly (readonly [number, number])[] = [
    [at + 55, at + 56],
    [at + NAME_AT + view.getUint8(at + 54), at + SNAPSHOT_RECORD_BYTES],
  ];
  for (const [from, to] of gaps) {
    const stray = firstNonZero(bytes, from, to);
    if (stray >= 0) return damageAt(stray, `byte ${bytes[stray]} where snapshot ${id} has zeros`);
  }
  return null;
}

/** Null: the bytes are no name. */
function nameOf(bytes: Uint8Array, view: DataView, at: number): string | null {
  const length = view.getUint8(at + 54);
  if (length > SNAPSHOT_NAME_BYTES_MAX) return null;
  return decodeUtf8(bytes, at + NAME_AT, at + NAME_AT + length);
}

function recordSum(digest: Digest, bytes: Uint8Array, view: DataView, at: number): number {
  return sumWithout(digest, bytes, view, at, SNAPSHOT_RECORD_BYTES, CRC_AT);
}

function recordOffset(id: number): number {
  return SNAPSHOT_RECORD_BYTES * (1 + ((id - 1) % SNAPSHOTS_PER_BLOCK));
}

function blockView(bytes: Uint8Array): DataView {
  invariant(bytes.length === SNAPSHOT_BLOCK_BYTES, 'records of snapshots come by the block');
  return viewOf(bytes);
}
