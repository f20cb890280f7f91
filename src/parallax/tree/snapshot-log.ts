/**
 * The snapshots of an image: a log of records that is a radix tree of its own.
 *
 * Its data blocks hold 31 records each (`formats/snapshot-record.ts`), its root stands in the root
 * block of the image beside the image's own. Taking, deleting or renaming snapshots is therefore a
 * copy-on-write update like any other, and is published by the same conditional write as the data
 * it belongs to. Reading n snapshots takes n / 31 block reads.
 *
 * Entries of this tree carry birth 1 for ever: no snapshot ever shares them, so what an update
 * replaces is private.
 */
import { StorageError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import { BLOCK_BYTES, type PoolBlock, PoolStatus } from '../../world/block-pool.ts';
import {
  decodeSnapshotBlock,
  encodeSnapshot,
  encodeSnapshotHead,
  requireSnapshotName,
  SNAPSHOTS_PER_BLOCK,
  type SnapshotRecord,
  snapshotBlockIndex,
} from '../formats/snapshot-record.ts';
import { treeSpan } from '../formats/tree-node.ts';
import type { TreeRoot } from '../formats/tree-root.ts';
import { poolCall } from '../story-io.ts';
import { ChangeList } from './change-list.ts';
import type { NodeLoader } from './node-loader.ts';
import { writeError } from './node-writer.ts';
import { type UpdateParts, type UpdateResult, updateTree } from './update-tree.ts';
import { type NamedBlock, walkTree } from './walk.ts';

export const SNAPSHOT_LOG_BIRTH = 1;

/** Where the log of an image stands: part of its root block. */
export interface SnapshotLog {
  readonly root: TreeRoot;
  /** Snapshots ever taken; ids are 1 to `count`. */
  readonly count: number;
}

/** Records of a block that cannot be read or do not hold. */
export interface SnapshotDamage {
  /** Ids of the block, as far as the log goes. */
  readonly firstId: number;
  readonly lastId: number;
  readonly problem: string;
}

export interface SnapshotList {
  /** In order of ids, deleted ones too. */
  readonly records: readonly SnapshotRecord[];
  readonly damage: readonly SnapshotDamage[];
}

const READS_IN_FLIGHT = 16;

interface StoredBlock {
  readonly index: number;
  readonly block: PoolBlock;
  readonly crc: number;
}

/** All snapshots of an image. Damage is named beside the records that could be read. */
export async function readSnapshots(loader: NodeLoader, log: SnapshotLog): Promise<SnapshotList> {
  const records: SnapshotRecord[] = [];
  const damage: SnapshotDamage[] = [];
  let group: StoredBlock[] = [];
  const readGroup = async (): Promise<void> => {
    const blocks = group;
    group = [];
    const all = await Promise.all(blocks.map((one) => readStored(loader, one)));
    all.forEach((bytes, i) => {
      collect(loader, log, blocks[i] as StoredBlock, bytes, records, damage);
    });
  };
  await walkTree(loader, log.root, {
    data: (index, { block, crc }) => {
      group.push({ index, block, crc });
      return group.length < READS_IN_FLIGHT ? undefined : readGroup();
    },
    unreadable: ({ first, level, block }) => {
      const problem = `node ${block} of level ${level} of the snapshot log cannot be read`;
      damage.push({ ...idsOf(log, first, treeSpan(level)), problem });
    },
  });
  await readGroup();
  return { records, damage };
}

/** Adds snapshots; their ids follow the log's. Rejects as `updateTree` does. */
export async function appendSnapshots(
  parts: UpdateParts,
  log: SnapshotLog,
  records: readonly SnapshotRecord[],
): Promise<{ readonly log: SnapshotLog; readonly update: UpdateResult }> {
  records.forEach((record, i) => {
    invariant(record.id === log.count + 1 + i, 'ids of snapshots follow one another');
  });
  const update = await writeRecords(parts, log, records);
  return { log: { root: update.root, count: log.count + records.length }, update };
}

/** Replaces one snapshot's record by `change` of it: renamed, deleted, no longer local. */
export async function changeSnapshot(
  parts: UpdateParts,
  log: SnapshotLog,
  id: number,
  change: (record: SnapshotRecord) => SnapshotRecord,
): Promise<{ readonly log: SnapshotLog; readonly update: UpdateResult }> {
  if (id < 1 || id > log.count) throw noSuchSnapshot(id);
  const bytes = await readRecords(parts.loader, log, snapshotBlockIndex(id));
  const { records } = decodeSnapshotBlock(parts.loader.world.digest, bytes, snapshotBlockIndex(id));
  const old = records.find((record) => record.id === id);
  if (old === undefined) throw noSuchSnapshot(id);
  const record = change(old);
  invariant(record.id === id, 'a snapshot keeps its id');
  const update = await writeRecords(parts, log, [record]);
  return { log: { root: update.root, count: log.count }, update };
}

/** Writes the blocks that `records` lie in anew, then the tree over them. */
async function writeRecords(
  parts: UpdateParts,
  log: SnapshotLog,
  records: readonly SnapshotRecord[],
): Promise<UpdateResult> {
  const { digest } = parts.loader.world;
  for (const record of records) requireSnapshotName(record.name);
  const blocks = new Map<number, Uint8Array>();
  for (const record of records) {
    const index = snapshotBlockIndex(record.id);
    const bytes = blocks.get(index) ?? (await readRecords(parts.loader, log, index));
    encodeSnapshot(digest, bytes, record);
    blocks.set(index, bytes);
  }
  if (blocks.size === 0) return { root: log.root, nodesWritten: 0, mappedDelta: 0 };
  const places: PoolBlock[] = [];
  await parts.space.allocate(blocks.size, (first, count) => {
    for (let i = 0; i < count; i++) places.push(first + i);
  });
  try {
    const changes = new ChangeList(blocks.size);
    let at = 0;
    for (const [index, bytes] of blocks) {
      const place = places[at++] as PoolBlock;
      await writeStored(parts, place, bytes);
      changes.map(index, place, digest.crc32(bytes, 0, BLOCK_BYTES), 0);
    }
    return await updateTree(parts, log.root, SNAPSHOT_LOG_BIRTH, changes);
  } catch (thrown) {
    for (const place of places) parts.space.superseded(place, false);
    throw thrown;
  }
}

/** The bytes of a block of the log, or of a new one if the log does not reach it yet. */
async function readRecords(
  loader: NodeLoader,
  log: SnapshotLog,
  index: number,
): Promise<Uint8Array> {
  let stored: StoredBlock | null = null as StoredBlock | null;
  const data = (_: number, { block, crc }: NamedBlock): void => {
    stored = { index, block, crc };
  };
  await walkTree(loader, log.root, { data }, { from: index, to: index + 1 });
  if (stored !== null) {
    const bytes = await readStored(loader, stored);
    if (typeof bytes !== 'string') return bytes;
    throw new StorageError('E_SNAPSHOTS_DAMAGED', bytes, { fields: { block: stored.block } });
  }
  const bytes = new Uint8Array(BLOCK_BYTES);
  encodeSnapshotHead(loader.world.digest, bytes, index);
  return bytes;
}

/** The bytes of a block, or a text that says what is wrong with it. */
async function readStored(
  loader: NodeLoader,
  { block, crc }: StoredBlock,
): Promise<Uint8Array | string> {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const status = await poolCall(loader.pool, 'read', block, bytes);
  if (status !== PoolStatus.ok) return `the pool cannot read block ${block} of the snapshot log`;
  if (loader.world.digest.crc32(bytes, 0, BLOCK_BYTES) === crc) return bytes;
  return `block ${block} of the snapshot log is not what its parent names`;
}

async function writeStored(parts: UpdateParts, block: PoolBlock, bytes: Uint8Array): Promise<void> {
  const status = await poolCall(parts.loader.pool, 'write', block, bytes);
  if (status === PoolStatus.ok) return;
  parts.space.closeExtentOf(block);
  throw writeError(status, block, 1);
}

/** Sorts what a block of the log gave into records and damage. */
function collect(
  loader: NodeLoader,
  log: SnapshotLog,
  stored: StoredBlock,
  bytes: Uint8Array | string,
  records: SnapshotRecord[],
  damage: SnapshotDamage[],
): void {
  if (typeof bytes === 'string') {
    damage.push({ ...idsOf(log, stored.index, 1), problem: bytes });
    return;
  }
  const found = decodeSnapshotBlock(loader.world.digest, bytes, stored.index);
  records.push(...found.records);
  for (const one of found.damage) {
    damage.push({ ...idsOf(log, stored.index, 1), problem: `byte ${one.byte}: ${one.problem}` });
  }
}

function idsOf(
  log: SnapshotLog,
  firstBlock: number,
  blocks: number,
): { firstId: number; lastId: number } {
  const firstId = firstBlock * SNAPSHOTS_PER_BLOCK + 1;
  return { firstId, lastId: Math.min(log.count, firstId - 1 + blocks * SNAPSHOTS_PER_BLOCK) };
}

function noSuchSnapshot(id: number): StorageError {
  return new StorageError('E_NO_SNAPSHOT', `there is no snapshot ${id}`, { fields: { id } });
}
