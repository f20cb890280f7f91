/**
 * Destage: the story that brings a disk's batches under published roots.
 *
 * ```
 * wait       until a run of batches is due
 * compose    each block of the run: its newest pieces of the run over what is published
 * write      data blocks to new places, then tree nodes to new places, bottom-up; all durable
 * publish    the root block, by writeIf: watermark, tree and snapshots move in one step
 * drop       the pieces; segments of the log may be retired
 * ```
 * A reader of the pool sees the state before a run or after it, never between: nothing is ever
 * written in place, and the root block is last. If the root block was changed by somebody else,
 * this life of the disk is over (`fenced`): a successor has raised the generation.
 *
 * When the outcome of a publish is not known, the root block is read: if it is the one that was to
 * be written, it was. Any other failure (the pool is full, or cannot be reached) leaves the batches
 * as they are; the story tries again after a pause, longer each time.
 *
 * Without order (W4) the blocks of the run are published in the order of their addresses, in
 * several roots; only the last one moves the watermark, and pieces are dropped only then.
 */
import { StorageError, toErrorRecord } from '../../base/errors.ts';
import { sameBytes } from '../../base/formats/field-bytes.ts';
import { isDamage } from '../../base/formats/sealed.ts';
import { invariant } from '../../base/invariant.ts';
import { type Nanos, NEVER, SECTORS_PER_PAGE } from '../../base/units.ts';
import { DeviceStatus } from '../../world/block-device.ts';
import { BLOCK_BYTES, type BlockPool, type ConditionalBlock } from '../../world/block-pool.ts';
import type { PlantedBug } from '../../world/faults.ts';
import type { World } from '../../world/world.ts';
import { nextBirth } from '../formats/lineage-numbers.ts';
import { decodeRootBlock, encodeRootBlock, type RootBlock } from '../formats/root-block.ts';
import type { SnapshotRecord } from '../formats/snapshot-record.ts';
import { ChangeList } from '../tree/change-list.ts';
import { appendSnapshots, changeSnapshot } from '../tree/snapshot-log.ts';
import type { UpdateParts } from '../tree/update-tree.ts';
import { updateTree } from '../tree/update-tree.ts';
import type { BaseReader } from './base-reader.ts';
import type { Batch, BatchMark } from './batches.ts';
import type { BlockWriter } from './block-writer.ts';
import { WHOLE, ZEROS } from './dirty-map.ts';
import { isZeroPage, type PieceReader, PieceStatus } from './piece-reader.ts';
import type { PublishTurn } from './publish-turn.ts';
import type { RunLog } from './run-log.ts';
import type { Vdi } from './vdi.ts';

export interface DestageParts {
  readonly world: World;
  readonly pool: BlockPool;
  readonly vdi: Vdi;
  readonly writer: BlockWriter;
  readonly pieces: PieceReader;
  readonly runLog: RunLog;
  readonly base: BaseReader;
  readonly tree: Omit<UpdateParts, 'superseded'>;
  readonly turn: PublishTurn;
  readonly plantedBug: PlantedBug;
  /** A block or node is named by the current root no more; `shared`: a snapshot has it. */
  readonly superseded: (block: number, shared: boolean) => void;
  /** Block `index` of the image is pool block `block` from now on; 0: zeros. */
  readonly remapped: (index: number, block: number, crc: number) => void;
  /** A run is under a published root and its pieces are gone. */
  readonly published: (bytes: number, tookNs: number) => void;
  /** The disk serves no more: its state says why. */
  readonly stopped: () => void;
}

/** Blocks composed in one step of the actor: others get their turn in between. */
const STEP_BLOCKS = 16;
/** Blocks of a published run that the slab is told of in one. */
const TURN_CHANGES = 256;
const FIRST_PAUSE_NS = 10e6;
const LONGEST_PAUSE_NS = 2e9;
/** In the place of a block's CRC: it is zeros, and so not mapped. */
const GONE = -1;
/** Roots that a run without order is published in. */
const UNORDERED_PARTS = 4;

export class Destage {
  readonly #parts: DestageParts;
  readonly #changes = new ChangeList();
  #wake: (() => void) | null = null;
  #woken = false;
  #stop = false;
  #pauseNs = 0;
  /** What went wrong last, while it is being tried again. */
  trouble: string | null = null;

  constructor(parts: DestageParts) {
    this.#parts = parts;
  }

  /** There may be work, or there is reason to stop. */
  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Ends the story at its next wait for work. */
  stop(): void {
    this.#stop = true;
    this.wake();
  }

  /** The story; settles when it was stopped or the disk serves no more. */
  async run(): Promise<void> {
    const { vdi, world } = this.#parts;
    while (!this.#stop && vdi.state === 'serving') {
      const last = vdi.batches.ready(world.clock.nowNs());
      if (last === null) {
        await this.#waitForWork(vdi.batches.dueNs);
        continue;
      }
      try {
        await this.#parts.turn.take(() => this.#publishRun(last));
        this.#pauseNs = 0;
        this.trouble = null;
      } catch (thrown) {
        await this.#failed(thrown);
      }
    }
  }

  /**
   * Publishes another size; everything acknowledged must be published. Blocks beyond a smaller one
   * are unmapped.
   */
  async resize(sizeBlocks: number): Promise<void> {
    await this.alter(async (image, tree) => {
      this.#changes.clear();
      if (sizeBlocks < image.sizeBlocks) this.#changes.truncate(sizeBlocks);
      const updated = await updateTree(tree, image.root, image.birth, this.#changes);
      const mappedBlocks = image.mappedBlocks + updated.mappedDelta;
      return { ...image, sizeBlocks, root: updated.root, mappedBlocks };
    });
  }

  /** Marks or renames a snapshot that is published. */
  async changeSnapshot(
    id: number,
    change: (record: SnapshotRecord) => SnapshotRecord,
  ): Promise<void> {
    await this.alter(async (image, tree) => {
      const before = { root: image.snapshotRoot, count: image.snapshotCount };
      const { log } = await changeSnapshot(asPrivate(tree, image.birth), before, id, change);
      return { ...image, snapshotRoot: log.root };
    });
  }

  /**
   * Publishes a change of the root that is in no batch, between two runs. `change` gives the root
   * block as it is to be, and tells the tree's `superseded` what that names no more.
   */
  async alter(change: (image: RootBlock, tree: UpdateParts) => Promise<RootBlock>): Promise<void> {
    await this.#parts.turn.take(async () => {
      const { vdi, tree } = this.#parts;
      if (vdi.state !== 'serving') throw notServing(vdi);
      const gone: [block: number, birth: number][] = [];
      const superseded = (block: number, birth: number): void => {
        gone.push([block, birth]);
      };
      const { birth } = vdi.image;
      try {
        const next = await change(vdi.image, { ...tree, superseded });
        await this.#publish(counted(next, gone, birth));
      } catch (thrown) {
        if (isFenced(thrown) && vdi.state === 'serving') {
          this.#give('fenced', toErrorRecord(thrown).message);
        }
        throw thrown;
      }
      for (const [block, born] of gone) this.#parts.superseded(block, born < birth);
    });
  }

  /** Everything is published and nothing follows: the root block says that the image was closed. */
  async closeRoot(): Promise<void> {
    await this.#parts.turn.take(() => this.#publish({ ...this.#parts.vdi.image, open: false }));
  }

  async #waitForWork(dueNs: number): Promise<void> {
    const { world } = this.#parts;
    if (this.#woken) {
      this.#woken = false;
      return;
    }
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (dueNs < NEVER) world.timers.at(dueNs as Nanos, () => this.wake());
    });
    this.#wake = null;
    this.#woken = false;
  }

  async #failed(thrown: unknown): Promise<void> {
    const { vdi, world } = this.#parts;
    if (!(thrown instanceof StorageError)) throw thrown;
    if (vdi.state !== 'serving') return;
    if (isFenced(thrown)) {
      this.#give('fenced', thrown.message);
      return;
    }
    this.trouble = thrown.message;
    world.log.note(`${vdi.name}: publishing waits: ${toErrorRecord(thrown).message}`);
    this.#pauseNs = Math.min(LONGEST_PAUSE_NS, Math.max(FIRST_PAUSE_NS, this.#pauseNs * 2));
    await world.timers.sleep(this.#pauseNs);
  }

  #give(state: 'fenced' | 'damaged', why: string): void {
    const { vdi, world } = this.#parts;
    world.log.note(`${vdi.name}: ${state}: ${why}`);
    vdi.fail(state);
    this.#parts.stopped();
  }

  async #publishRun(last: Batch): Promise<void> {
    const { vdi, world } = this.#parts;
    const startedNs = world.clock.nowNs();
    const blocks = this.#blocksThrough(last.number);
    const parts = vdi.clauses.inOrder ? 1 : Math.min(UNORDERED_PARTS, blocks.length || 1);
    let bytes = 0;
    for (let part = 0; part < parts; part++) {
      const from = Math.floor((part * blocks.length) / parts);
      const to = Math.floor(((part + 1) * blocks.length) / parts);
      const isLast = part === parts - 1;
      bytes += await this.#publishPart(blocks.subarray(from, to), last, isLast);
    }
    for (const batch of vdi.batches.dropThrough(last.number)) {
      vdi.dirty.dropBatch(batch.number);
      await world.timers.sleep(0);
    }
    vdi.checkInvariants();
    vdi.tellPublished();
    this.#parts.published(bytes, world.clock.nowNs() - startedNs);
  }

  /** Blocks of all batches up to this one, ascending. */
  #blocksThrough(last: number): Uint32Array {
    const { vdi } = this.#parts;
    const lists: Uint32Array[] = [];
    for (const batch of vdi.batches.through(last)) lists.push(vdi.dirty.blocksOf(batch.number));
    if (lists.length === 1) return lists[0] as Uint32Array;
    const all = new Uint32Array(lists.reduce((sum, list) => sum + list.length, 0));
    let at = 0;
    for (const list of lists) {
      all.set(list, at);
      at += list.length;
    }
    all.sort();
    return all.filter((block, i) => i === 0 || block !== all[i - 1]);
  }

  /** Bytes written. */
  async #publishPart(blocks: Uint32Array, last: Batch, isLast: boolean): Promise<number> {
    const { vdi, writer, tree, runLog } = this.#parts;
    const gone: [block: number, birth: number][] = [];
    const superseded = (block: number, birth: number): void => {
      gone.push([block, birth]);
    };
    const { birth, root } = vdi.image;
    this.#changes.clear();
    writer.begin();
    try {
      await runLog.load(vdi.dirty, blocks, this.#readThrough(last.number));
      await this.#composeAll(blocks, last.number);
      await writer.finish(this.#changes);
      const updated = await updateTree({ ...tree, superseded }, root, birth, this.#changes);
      const mapped = vdi.image.mappedBlocks + updated.mappedDelta;
      const image = { ...vdi.image, root: updated.root, mappedBlocks: mapped };
      const next = isLast ? await this.#endOfRun(image, last, superseded) : image;
      await this.#publish(counted(next, gone, birth));
    } catch (thrown) {
      await writer.abandon();
      throw thrown;
    }
    for (const [block, born] of gone) this.#parts.superseded(block, born < birth);
    await this.#remapAll();
    return writer.blocksWritten * BLOCK_BYTES;
  }

  /**
   * Tells the slab where the blocks are now, some in a turn. Meanwhile the old places serve as
   * well: what differs there is dirty still, and the pieces stand before the slab.
   */
  async #remapAll(): Promise<void> {
    const { world, remapped } = this.#parts;
    for (let change = 0; change < this.#changes.count; change++) {
      const index = this.#changes.indexOf(change);
      remapped(index, this.#changes.blockOf(change), this.#changes.crcOf(change));
      if (change % TURN_CHANGES === TURN_CHANGES - 1) await world.timers.sleep(0);
    }
  }

  /** What the last root of a run says beside the tree. */
  async #endOfRun(
    image: RootBlock,
    last: Batch,
    superseded: (block: number, birth: number) => void,
  ): Promise<RootBlock> {
    const isEarly = this.#parts.plantedBug === 'early-watermark';
    const next = { ...image, vdiSeq: isEarly ? this.#parts.vdi.dirtySeq : last.lastSeq };
    const { mark } = last;
    if (mark === null) return next;
    if (mark.kind === 'policy') return { ...next, policy: mark.policy };
    return this.#takeSnapshot({ ...this.#parts.tree, superseded }, next, mark);
  }

  /** The tree of this run becomes a snapshot: whatever is written from here on is younger. */
  async #takeSnapshot(
    tree: UpdateParts,
    image: RootBlock,
    mark: BatchMark & { kind: 'snapshot' },
  ): Promise<RootBlock> {
    const { birth, generation, root, sizeBlocks, mappedBlocks, vdiSeq, snapshotCount } = image;
    invariant(mark.id === snapshotCount + 1, 'snapshots are published in the order of their ids');
    const record: SnapshotRecord = {
      id: mark.id,
      name: mark.name,
      vdiSeq,
      generation,
      birth,
      root,
      sizeBlocks,
      mappedBlocks,
      createdMs: this.#parts.world.wallMs(),
      deleted: false,
      template: false,
      local: mark.isLocal,
    };
    const before = { root: image.snapshotRoot, count: snapshotCount };
    const { log } = await appendSnapshots(asPrivate(tree, birth), before, [record]);
    const snapshots = { snapshotRoot: log.root, snapshotCount: log.count };
    return { ...image, ...snapshots, birth: nextBirth(birth) };
  }

  async #composeAll(blocks: Uint32Array, lastBatch: number): Promise<void> {
    const { world, writer } = this.#parts;
    let inStep = 0;
    for (const block of blocks) {
      const crc = await this.#compose(block, lastBatch);
      const turnIsDue = crc === GONE ? writer.addGone(block) : writer.add(block, crc);
      if (turnIsDue) await writer.turn(this.#changes);
      if (++inStep < STEP_BLOCKS) continue;
      inStep = 0;
      await world.timers.sleep(0);
    }
  }

  /** Batches up to this are read for a run that ends with `lastBatch`. */
  #readThrough(lastBatch: number): number {
    return this.#parts.plantedBug === 'merged-batches' ? Number.MAX_SAFE_INTEGER : lastBatch;
  }

  /** Fills the writer's page with the block as of `lastBatch`. Its CRC, or that it is all zeros. */
  async #compose(block: number, lastBatch: number): Promise<number> {
    const { vdi, writer, pieces, runLog, base, world } = this.#parts;
    const target = writer.nextAddress;
    const through = this.#readThrough(lastBatch);
    let missing = vdi.dirty.cover(block, WHOLE, through);
    if (missing !== 0) {
      const status = await base.read(vdi.root, block, target);
      if (status !== DeviceStatus.ok) {
        throw new StorageError('E_POOL_READ', `block ${block} of ${vdi.name} cannot be read`);
      }
      missing = vdi.dirty.cover(block, WHOLE, through);
    }
    const copied = pieces.copyFound(vdi.dirty, target, runLog);
    if (copied === PieceStatus.changed) {
      const why = `what the log has of block ${block} is not what was acknowledged`;
      this.#give('damaged', why);
      throw new StorageError('E_LOG_DAMAGED', why);
    }
    if (copied !== PieceStatus.ok) {
      throw new StorageError(
        'E_LOG_READ',
        `the log of block ${block} of ${vdi.name} is unreadable`,
      );
    }
    const { found, foundSegment, foundSectors, foundCrc } = vdi.dirty;
    const isOnePiece = missing === 0 && found === 1;
    if ((isOnePiece && foundSegment[0] === ZEROS) || isZeroPage(world, target)) return GONE;
    // A piece that is the whole block has just been checked against its sum.
    if (isOnePiece && foundSectors[0] === SECTORS_PER_PAGE) return foundCrc[0] as number;
    return world.digest.crc32(world.memory.u8, target, BLOCK_BYTES);
  }

  async #publish(changed: RootBlock): Promise<void> {
    const { vdi, world } = this.#parts;
    const image: RootBlock = {
      ...changed,
      previousRoot: vdi.image.root,
      ordered: vdi.clauses.inOrder,
      publishedMs: world.wallMs(),
    };
    const bytes = encodeRootBlock(world.digest, image);
    world.crashPoint('publish.before-root');
    const version = await this.#writeRoot(bytes);
    world.crashPoint('publish.after-root');
    vdi.setImage(image, version);
  }

  /** The version of the root block that holds these bytes. */
  async #writeRoot(bytes: Uint8Array): Promise<number> {
    const { vdi, pool } = this.#parts;
    let unsure: unknown = null;
    try {
      const result = await pool.writeIf(vdi.id, vdi.version, bytes);
      if (result.written) return result.version;
    } catch (thrown) {
      unsure = thrown;
    }
    const now = await pool.readConditional(vdi.id);
    if (sameBytes(now.data, bytes)) return now.version;
    if (unsure !== null && now.version === vdi.version) throw unsure;
    this.#adopt(now);
    throw new StorageError('E_PUBLISHED_BEFORE', 'an earlier publish was done after all');
  }

  /**
   * The root block is not as this life left it. If a publish of this life whose outcome was not
   * known has been done after all, that is the state to go on from; else somebody has taken over.
   */
  #adopt({ data, version }: ConditionalBlock): void {
    const { vdi, world } = this.#parts;
    const image = decodeRootBlock(world.digest, data);
    if (isDamage(image) || image.generation !== vdi.image.generation) {
      throw new StorageError('E_FENCED', `the root of ${vdi.name} was changed by another host`);
    }
    vdi.setImage(image, version);
    for (const batch of vdi.batches.publishedBy(image.vdiSeq)) {
      // Where that publish put them is in the tree, and nowhere else any more.
      for (const block of vdi.dirty.blocksOf(batch.number)) this.#parts.remapped(block, 0, 0);
      vdi.dirty.dropBatch(batch.number);
    }
    vdi.tellPublished();
    this.#parts.published(0, 0);
  }
}

/** For the log of snapshots: no snapshot shares what an update of it replaces. */
function asPrivate(tree: UpdateParts, birth: number): UpdateParts {
  return { ...tree, superseded: (block, _, flags) => tree.superseded(block, birth, flags) };
}

function isFenced(thrown: unknown): boolean {
  return thrown instanceof StorageError && thrown.code === 'E_FENCED';
}

function notServing({ name, state }: Vdi): StorageError {
  const text = `${name} cannot be changed: the image is ${state}`;
  return new StorageError('E_IMAGE_GONE', text, { fields: { image: name, state } });
}

function counted(image: RootBlock, gone: readonly [number, number][], birth: number): RootBlock {
  let priv = 0;
  for (const [, born] of gone) if (born === birth) priv++;
  return {
    ...image,
    supersededPrivateBlocks: image.supersededPrivateBlocks + priv,
    supersededSharedBlocks: image.supersededSharedBlocks + gone.length - priv,
  };
}
