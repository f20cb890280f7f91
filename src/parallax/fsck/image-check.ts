/**
 * One image: its root block, its snapshots, and every tree that any of them names.
 *
 * The previous root is not one of them: what it alone names is superseded. A deleted snapshot keeps
 * nothing either. The hidden root of a take-over does.
 */
import { BLOCK_BYTES, PoolStatus } from '../../world/block-pool.ts';
import { HiddenKind, type RootBlock } from '../formats/root-block.ts';
import {
  decodeSnapshotBlock,
  SNAPSHOTS_PER_BLOCK,
  type SnapshotRecord,
} from '../formats/snapshot-record.ts';
import { MAX_IMAGE_BLOCKS } from '../store/images.ts';
import { poolCall } from '../story-io.ts';
import { SNAPSHOT_LOG_BIRTH } from '../tree/snapshot-log.ts';
import type { Below, CheckedTree, TreeCheck, TreeCheckParts } from './tree-check.ts';

export interface ImageFacts {
  /** null: a part of its tree could not be looked at. */
  readonly mappedBlocks: number | null;
  readonly snapshots: number;
  readonly deletedSnapshots: number;
}

export class ImageCheck {
  readonly #parts: TreeCheckParts;
  readonly #trees: TreeCheck;
  readonly #image: RootBlock;
  readonly #name: string;
  /** The same for all images of its lineage. */
  readonly #kin: number;

  constructor(
    parts: TreeCheckParts,
    trees: TreeCheck,
    image: RootBlock,
    name: string,
    kin: number,
  ) {
    this.#parts = parts;
    this.#trees = trees;
    this.#image = image;
    this.#name = name;
    this.#kin = 2 * kin;
  }

  async run(version: number): Promise<ImageFacts> {
    this.#checkRoot(version);
    const { root, birth, sizeBlocks, hidden } = this.#image;
    const below = await this.#check(this.#name, root, birth, sizeBlocks);
    this.#checkCount(this.#name, this.#image.mappedBlocks, below);
    if (hidden !== null) {
      await this.#check(`${this.#name}, hidden root`, hidden.root, birth, MAX_IMAGE_BLOCKS);
    }
    const records = await this.#snapshots();
    const live = records.filter(({ deleted }) => !deleted);
    for (const record of live) {
      const name = `${this.#name}, snapshot ${record.id} "${record.name}"`;
      const kept = await this.#check(name, record.root, record.birth, record.sizeBlocks);
      this.#checkCount(name, record.mappedBlocks, kept);
    }
    return {
      mappedBlocks: below.whole ? below.mapped : null,
      snapshots: live.length,
      deletedSnapshots: records.length - live.length,
    };
  }

  #checkRoot(version: number): void {
    const { findings } = this.#parts;
    const { generation, sizeBlocks, birth, root, ordered, hidden, vdiSeq } = this.#image;
    const tell = (what: string): void => findings.add('root-fields', this.#name, what);
    // The block was written when the image was made, and at each of its starts.
    if (version <= generation) {
      const what = `its block was written ${version} times, but it was started ${generation} times`;
      findings.add('root-version', this.#name, what);
    }
    if (sizeBlocks < 1 || sizeBlocks > MAX_IMAGE_BLOCKS) tell(`it has ${sizeBlocks} blocks`);
    if (birth < 1) tell('new blocks of it would have birth 0, expected 1 or more');
    if (root.block !== 0 && root.birth < 1) tell('its root has birth 0, expected 1 or more');
    // What an orphan was made of has the generation of the image that it was.
    const isPin = hidden?.kind === HiddenKind.takeOverPin;
    if (isPin && hidden.generation > generation) {
      tell(`its hidden root is of generation ${hidden.generation}, the image of ${generation}`);
    }
    if (isPin && hidden.vdiSeq > vdiSeq && hidden.generation === generation) {
      tell(`its hidden root is newer than its watermark ${vdiSeq}`);
    }
    if (!ordered) {
      findings.add('unordered', this.#name, 'it was last published without keeping an order');
    }
  }

  async #check(
    name: string,
    root: RootBlock['root'],
    birthMax: number,
    sizeBlocks: number,
  ): Promise<Below> {
    const below = await this.#trees.check({ name, root, kin: this.#kin, birthMax });
    if (below.end > sizeBlocks) {
      const what = `block ${below.end - 1} is mapped, but it has ${sizeBlocks} blocks`;
      this.#parts.findings.add('beyond-size', name, what);
    }
    return below;
  }

  #checkCount(name: string, counted: number, below: Below): void {
    if (!below.whole || below.mapped === counted) return;
    const what = `it is said to map ${counted} blocks, its tree has ${below.mapped}`;
    this.#parts.findings.add('mapped-count', name, what);
  }

  /** All records that hold, in order of their ids. */
  async #snapshots(): Promise<SnapshotRecord[]> {
    const { vdi, snapshotRoot, snapshotCount } = this.#image;
    const stored: { index: number; block: number; crc: number }[] = [];
    const tree: CheckedTree = {
      name: `${this.#name}, snapshot log`,
      root: snapshotRoot,
      kin: 2 * vdi + 1,
      birthMax: SNAPSHOT_LOG_BIRTH,
      data: (index, block, crc) => stored.push({ index, block, crc }),
    };
    const below = await this.#trees.check(tree);
    const blocks = Math.ceil(snapshotCount / SNAPSHOTS_PER_BLOCK);
    if (below.end > blocks) {
      const what = `block ${below.end - 1} of it is mapped, but it has ${blocks} blocks`;
      this.#parts.findings.add('beyond-size', tree.name, what);
    }
    const records: SnapshotRecord[] = [];
    const unread = new Set<number>();
    for (const { index, block, crc } of stored) {
      const found = await this.#readRecords(tree.name, index, block, crc);
      if (found === null) unread.add(index);
      else records.push(...found);
    }
    if (below.whole) this.#checkIds(tree.name, records, unread);
    this.#checkOrder(tree.name, records);
    return records;
  }

  async #readRecords(
    name: string,
    index: number,
    block: number,
    crc: number,
  ): Promise<SnapshotRecord[] | null> {
    const { pool, digest, findings } = this.#parts;
    const bytes = new Uint8Array(BLOCK_BYTES);
    const status = await poolCall(pool, 'read', block, bytes, 0, 1);
    const where = `${name}, block ${index}`;
    if (status !== PoolStatus.ok) {
      findings.add('data-unreadable', where, `pool block ${block} cannot be read`);
      return null;
    }
    const isNamed = digest.crc32(bytes, 0, BLOCK_BYTES) === crc;
    if (!isNamed) {
      const what = `pool block ${block} is not what its leaf names: its CRC does not hold`;
      findings.add('data-damaged', where, what);
    }
    const { records, damage } = decodeSnapshotBlock(digest, bytes, index);
    for (const { byte, problem } of damage) {
      findings.add('snapshot-record', where, `byte ${byte} of pool block ${block}: ${problem}`);
    }
    // The records have CRCs of their own: those that hold are as good as ever.
    return damage.length > 0 && records.length === 0 ? null : [...records];
  }

  #checkIds(name: string, records: readonly SnapshotRecord[], unread: ReadonlySet<number>): void {
    const { snapshotCount } = this.#image;
    const there = new Set(records.map(({ id }) => id));
    for (let id = 1; id <= snapshotCount; id++) {
      if (there.has(id) || unread.has(Math.floor((id - 1) / SNAPSHOTS_PER_BLOCK))) continue;
      this.#parts.findings.add('snapshot-record', name, `snapshot ${id} has no record that holds`);
    }
    for (const id of there) {
      if (id <= snapshotCount) continue;
      const what = `there is a snapshot ${id}, but only ${snapshotCount} were taken`;
      this.#parts.findings.add('snapshot-order', name, what);
    }
  }

  /** Snapshots are taken one after the other: none is younger than the next, or than the image. */
  #checkOrder(name: string, records: readonly SnapshotRecord[]): void {
    const { birth, vdiSeq, generation } = this.#image;
    let before = { id: 0, birth: 0, vdiSeq: 0, generation: 0 };
    const tell = (id: number, what: string): void => {
      this.#parts.findings.add('snapshot-order', name, `snapshot ${id}: ${what}`);
    };
    for (const record of records) {
      const { id } = record;
      if (record.birth <= before.birth) tell(id, `its birth is not after snapshot ${before.id}'s`);
      if (record.vdiSeq < before.vdiSeq) tell(id, `its vdiSeq is before snapshot ${before.id}'s`);
      if (record.generation < before.generation) {
        tell(id, `its generation is before snapshot ${before.id}'s`);
      }
      if (record.birth >= birth) tell(id, `its birth ${record.birth} is not before the image's`);
      if (record.vdiSeq > vdiSeq) tell(id, `it holds ${record.vdiSeq}, the image only ${vdiSeq}`);
      if (record.generation > generation) tell(id, 'it is of a generation that was not yet');
      before = record;
    }
  }
}
