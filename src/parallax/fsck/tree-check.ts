/**
 * Looks at every node of a tree, once: a node that several trees share is entered from the first.
 *
 * What is held against an entry: it names a block of the pool that can be allocated, nothing else
 * names that block in another way (`block-marks.ts`), and it is not younger than the entry above
 * it, nor the topmost one than the image or snapshot. A node whose CRC does not hold is not looked
 * into: its range is told, and the rest of the tree goes on. What lies below a node (how many
 * blocks are mapped, and how far they go) is kept, so that it is known for every tree that has it.
 *
 * Depth first, with the next children read ahead. Bound: `READS` nodes for each level in memory,
 * `READS` reads in flight; 60 bytes or so for each node of the store, for what lies below it.
 */
import { StorageError } from '../../base/errors.ts';
import { BLOCK_BYTES, type BlockPool, EXTENT_BLOCKS, PoolStatus } from '../../world/block-pool.ts';
import type { Digest } from '../../world/world.ts';
import { MAP_BLOCKS } from '../formats/extent-map.ts';
import {
  ENTRY_WORDS,
  entryBirth,
  entryBlock,
  entryCrc,
  entrySpan,
  NODE_ENTRIES,
  NODE_WORDS,
  treeSpan,
} from '../formats/tree-node.ts';
import type { TreeRoot } from '../formats/tree-root.ts';
import { poolCall } from '../story-io.ts';
import type { CancelToken } from '../tree/story-nodes.ts';
import { type BlockMarks, Mark, placeOf } from './block-marks.ts';
import type { DataCheck } from './data-check.ts';
import type { FindingCode, Findings } from './findings.ts';

const READS = 16;

export interface TreeCheckParts {
  readonly pool: BlockPool;
  readonly digest: Digest;
  readonly marks: BlockMarks;
  readonly findings: Findings;
  /** null: data blocks are counted and not read. */
  readonly data: DataCheck | null;
  readonly cancel: CancelToken | null;
  /** Nodes and data blocks that were reached since the last call. */
  readonly reached: (nodes: number, blocks: number) => void;
}

/** One tree of an image. */
export interface CheckedTree {
  /** As people know it: image and snapshot. */
  readonly name: string;
  readonly root: TreeRoot;
  /** The same for all trees that may share blocks with it. */
  readonly kin: number;
  readonly birthMax: number;
  /** Sees the data blocks, instead of the check of data. */
  readonly data?: (index: number, block: number, crc: number) => void;
}

/** What lies below a node. */
export interface Below {
  readonly mapped: number;
  /** One more than the highest block of the image that is mapped. */
  readonly end: number;
  /** False: a part of it could not be looked at. */
  readonly whole: boolean;
}

interface Named {
  readonly block: number;
  readonly crc: number;
  readonly birth: number;
}

const NOTHING: Below = { mapped: 0, end: 0, whole: true };
const UNKNOWN: Below = { mapped: 0, end: 0, whole: false };

export class TreeCheck {
  readonly #parts: TreeCheckParts;
  readonly #below = new Map<number, Below>();

  constructor(parts: TreeCheckParts) {
    this.#parts = parts;
  }

  /** Looks at the tree, or as much of it as can be read. Rejects `E_CANCELLED` if it was. */
  async check(tree: CheckedTree): Promise<Below> {
    const { block, crc, birth, height } = tree.root;
    if (block === 0) return NOTHING;
    if (!this.#mayBeNamed(tree, block, 'its root')) return UNKNOWN;
    if (birth > tree.birthMax) {
      const what = `its root has birth ${birth}, the tree ${tree.birthMax}`;
      this.#parts.findings.add('entry-birth', tree.name, what);
    }
    return this.#enter(tree, { block, crc, birth }, height, 0, null);
  }

  /** A node: from what is known of it, or by looking into it. */
  async #enter(
    tree: CheckedTree,
    named: Named,
    level: number,
    first: number,
    read: Promise<Uint32Array | PoolStatus> | null,
  ): Promise<Below> {
    const { block, crc, birth } = named;
    const { marks } = this.#parts;
    const mark = marks.mark(block, crc, placeOf(tree.kin, level, first, birth));
    if (mark === Mark.otherCrc) return this.#otherCrc(tree, block, first);
    if (mark !== Mark.fresh) return this.#below.get(block) ?? UNKNOWN;
    const words = await (read ?? this.#read(named));
    this.#parts.reached(1, 0);
    if (typeof words === 'number') {
      this.#badNode(tree, block, level, first, words);
      return UNKNOWN;
    }
    const below =
      level === 1
        ? await this.#leaf(tree, words, first, birth)
        : await this.#inner(tree, words, level, first, birth);
    this.#below.set(block, below);
    return below;
  }

  async #inner(
    tree: CheckedTree,
    words: Uint32Array,
    level: number,
    first: number,
    birth: number,
  ): Promise<Below> {
    const span = entrySpan(level);
    const reads = new Map<number, Promise<Uint32Array | PoolStatus>>();
    let [mapped, end, whole, ahead] = [0, 0, true, 0];
    for (let slot = 0; slot < NODE_ENTRIES; slot++) {
      const at = slot * ENTRY_WORDS;
      const from = first + slot * span;
      if (this.#isNone(tree, words, at, from)) continue;
      for (ahead = Math.max(ahead, slot); ahead < NODE_ENTRIES && reads.size < READS; ahead++) {
        const next = namedBy(words, ahead * ENTRY_WORDS);
        if (this.#isWorthReading(next)) reads.set(ahead, this.#read(next));
      }
      const named = namedBy(words, at);
      if (!this.#holds(tree, named, birth, from)) {
        whole = false;
        reads.delete(slot);
        continue;
      }
      const below = await this.#enter(tree, named, level - 1, from, reads.get(slot) ?? null);
      reads.delete(slot);
      mapped += below.mapped;
      end = Math.max(end, below.end);
      whole &&= below.whole;
    }
    return { mapped, end, whole };
  }

  async #leaf(tree: CheckedTree, words: Uint32Array, first: number, birth: number): Promise<Below> {
    const { marks, data, cancel, reached } = this.#parts;
    if (cancel?.cancelled === true) throw new StorageError('E_CANCELLED', 'it was cancelled');
    let [mapped, end, whole, fresh] = [0, 0, true, 0];
    for (let slot = 0; slot < NODE_ENTRIES; slot++) {
      const at = slot * ENTRY_WORDS;
      const index = first + slot;
      if (this.#isNone(tree, words, at, index)) continue;
      const named = namedBy(words, at);
      if (!this.#holds(tree, named, birth, index)) {
        whole = false;
        continue;
      }
      const { block, crc } = named;
      mapped++;
      end = index + 1;
      const mark = marks.mark(block, crc, placeOf(tree.kin, 0, index, named.birth));
      if (mark === Mark.otherCrc) this.#otherCrc(tree, block, index);
      if (mark !== Mark.fresh) continue;
      fresh++;
      if (tree.data !== undefined) tree.data(index, block, crc);
      else data?.add(block, crc, index, tree.name);
      if (data?.isFull === true) await data.run();
    }
    reached(0, fresh);
    return { mapped, end, whole };
  }

  /** Whether an entry names nothing. Then all of it is zeros. */
  #isNone(tree: CheckedTree, words: Uint32Array, at: number, first: number): boolean {
    if (entryBlock(words, at) !== 0) return false;
    const rest = (words[at + 1] as number) | (words[at + 2] as number) | (words[at + 3] as number);
    if (rest !== 0) {
      const what = 'an entry that names no block has flags, birth or CRC';
      this.#parts.findings.add('entry-stray', `${tree.name}, block ${first}`, what);
    }
    return true;
  }

  /** Whether what an entry names can be looked at. */
  #holds(tree: CheckedTree, { block, birth }: Named, above: number, first: number): boolean {
    if (birth > above) {
      const what = `pool block ${block} has birth ${birth}, the node above it ${above}`;
      this.#parts.findings.add('entry-birth', `${tree.name}, block ${first}`, what);
    }
    return this.#mayBeNamed(tree, block, `block ${first}`);
  }

  #mayBeNamed(tree: CheckedTree, block: number, part: string): boolean {
    if (this.#isPlace(block)) return true;
    const { sizeBlocks } = this.#parts.pool;
    const why =
      block >= sizeBlocks
        ? `outside the pool, which has ${sizeBlocks} blocks`
        : 'where no block can be allocated';
    this.#parts.findings.add('entry-place', `${tree.name}, ${part}`, `pool block ${block}: ${why}`);
    return false;
  }

  #isPlace(block: number): boolean {
    const inPool = block >= EXTENT_BLOCKS && block < this.#parts.pool.sizeBlocks;
    return inPool && block % EXTENT_BLOCKS >= MAP_BLOCKS;
  }

  #isWorthReading({ block }: Named): boolean {
    return this.#isPlace(block) && !this.#below.has(block);
  }

  #otherCrc(tree: CheckedTree, block: number, first: number): Below {
    const what = `pool block ${block} is named by another CRC elsewhere: one of the two is wrong`;
    this.#parts.findings.add('two-crcs', `${tree.name}, block ${first}`, what);
    return UNKNOWN;
  }

  #badNode(tree: CheckedTree, block: number, level: number, first: number, status: number): void {
    const code: FindingCode = status === PoolStatus.ok ? 'node-damaged' : 'node-unreadable';
    const last = first + treeSpan(level) - 1;
    const why =
      status === PoolStatus.ok
        ? 'is not what its parent names: its CRC does not hold'
        : 'cannot be read';
    const what = `node ${block} of level ${level} ${why}`;
    this.#parts.findings.add(code, `${tree.name}, blocks ${first} to ${last}`, what);
  }

  /** The words of a node; `ok`: it was read and is not the one that is named; else why not. */
  async #read({ block, crc }: Named): Promise<Uint32Array | PoolStatus> {
    const { pool, digest } = this.#parts;
    const words = new Uint32Array(NODE_WORDS);
    const bytes = new Uint8Array(words.buffer);
    const status = await poolCall(pool, 'read', block, bytes, 0, 1);
    if (status !== PoolStatus.ok) return status;
    return digest.crc32(bytes, 0, BLOCK_BYTES) === crc ? words : PoolStatus.ok;
  }
}

function namedBy(words: Uint32Array, at: number): Named {
  return { block: entryBlock(words, at), crc: entryCrc(words, at), birth: entryBirth(words, at) };
}
