/**
 * Copy-on-write update of a tree: a batch of changes in, a new root out, the old tree untouched.
 *
 * One pass over the changes in order of block numbers, depth first. Each node on the way is copied,
 * changed, and written once, after its children, to a new block; entries of the parent are set from
 * the child's new block, CRC and the current birth. A node that names nothing is not written: its
 * entry becomes zero. A node in which nothing changed keeps its block. Where a range is taken away
 * that covers a whole subtree, the subtree is read, so that every block of it is reported, but none
 * of its nodes is written.
 *
 * Growing: when a change lies beyond the tree, its root becomes entry 0 of a higher one, by way of
 * nodes that exist in memory only ("virtual": they hold the old root's entry in slot 0 at every
 * level above it) until they are written as any other. Trees do not lose height when they shrink.
 *
 * Nothing is ever overwritten, and nothing names the new nodes before the caller publishes the new
 * root. So a crash anywhere in here, or a failure, leaves the old root whole; all it costs is the
 * new blocks, which are given back to the allocator as superseded.
 *
 * Data blocks are written by the caller beforehand. Entries that are replaced are told to
 * `superseded` while the update runs; what was told counts only if the update resolves.
 */
import { invariant } from '../../base/invariant.ts';
import type { Arena } from '../arena.ts';
import {
  clearEntry,
  ENTRY_WORDS,
  entryBirth,
  entryBlock,
  entryCrc,
  entryFlags,
  entrySpan,
  isEmptyNode,
  NODE_ENTRIES,
  setEntry,
  slotOf,
} from '../formats/tree-node.ts';
import { EMPTY_ROOT, type TreeRoot } from '../formats/tree-root.ts';
import type { ChangeList } from './change-list.ts';
import { type NodeLoader, READ_AHEAD, TreeStatus } from './node-loader.ts';
import { type NodeSpace, NodeWriter } from './node-writer.ts';
import { type CancelToken, nodeError, StoryNodes, StoryTurns } from './story-nodes.ts';

export interface UpdateParts {
  readonly loader: NodeLoader;
  readonly space: NodeSpace;
  /** For nodes on their way to the pool: at least two pages, of this update alone. */
  readonly arena: Arena;
  /**
   * A node or data block that the new tree does not name any more. It is private to the image when
   * its birth is the current one, else a snapshot has it too.
   */
  readonly superseded: (block: number, birth: number, flags: number) => void;
  readonly cancel?: CancelToken;
}

export interface UpdateResult {
  readonly root: TreeRoot;
  readonly nodesWritten: number;
  /** Data blocks that are mapped now and were not, less those that were and are not. */
  readonly mappedDelta: number;
}

/**
 * The tree of `root` with `changes`; new entries have `birth`. Rejects with a `StorageError` when a
 * node cannot be read (`E_NODE_DAMAGED`, `E_NODE_UNREADABLE`) or written (`E_POOL_WRITE`,
 * `E_POOL_FULL`, `E_FENCED`), or it was cancelled (`E_CANCELLED`): the old root stands.
 */
export async function updateTree(
  parts: UpdateParts,
  root: TreeRoot,
  birth: number,
  changes: ChangeList,
): Promise<UpdateResult> {
  const writer = new NodeWriter(parts.loader, parts.space, parts.arena);
  const update = new TreeUpdate(parts, writer, root, birth, changes);
  try {
    return await update.run();
  } catch (thrown) {
    await writer.abandon();
    throw thrown;
  }
}

class TreeUpdate {
  readonly #parts: UpdateParts;
  readonly #writer: NodeWriter;
  readonly #root: TreeRoot;
  readonly #birth: number;
  readonly #changes: ChangeList;
  readonly #nodes: StoryNodes;
  readonly #turns: StoryTurns;
  /** Of the new tree. */
  readonly #height: number;
  /** Nodes of higher levels do not exist in the old tree. */
  readonly #oldHeight: number;
  readonly #nodesMax: number;
  /** The current change, and the first block of it that is still to be done. */
  #change = 0;
  #position: number;
  #mappedDelta = 0;

  constructor(
    parts: UpdateParts,
    writer: NodeWriter,
    root: TreeRoot,
    birth: number,
    changes: ChangeList,
  ) {
    this.#parts = parts;
    this.#writer = writer;
    this.#root = root;
    this.#birth = birth;
    this.#changes = changes;
    this.#nodes = new StoryNodes(parts.loader);
    this.#turns = new StoryTurns(parts.loader.world.timers, parts.cancel);
    const needed = changes.heightNeeded();
    this.#height = root.block === 0 ? needed : Math.max(needed, root.height);
    this.#oldHeight = root.block === 0 ? this.#height : root.height;
    this.#nodesMax = changes.nodesTouched(this.#height) + this.#height - this.#oldHeight;
    this.#position = changes.count === 0 ? Number.POSITIVE_INFINITY : changes.indexOf(0);
  }

  async run(): Promise<UpdateResult> {
    const { block, crc, birth, flags } = this.#root;
    const virtual = block !== 0 && this.#height > this.#oldHeight;
    await this.#fetch(this.#height, block, crc, virtual);
    const changed = await this.#rebuild(this.#height, 0);
    if (!changed && !virtual) return { root: this.#root, nodesWritten: 0, mappedDelta: 0 };
    if (block !== 0 && !virtual) this.#replaced(block, birth, flags);
    let root = EMPTY_ROOT;
    if (!isEmptyNode(this.#nodes.at(this.#height), 0)) {
      await this.#write(this.#height);
      root = {
        block: this.#writer.lastBlock,
        crc: this.#writer.lastCrc,
        birth: this.#birth,
        flags: 0,
        height: this.#height,
      };
    }
    await this.#writer.finish();
    return { root, nodesWritten: this.#writer.nodesWritten, mappedDelta: this.#mappedDelta };
  }

  /** Applies the changes that lie in the node of this level from block `first` on. */
  async #rebuild(level: number, first: number): Promise<boolean> {
    if (level === 1) return this.#rebuildLeaf(first);
    const words = this.#nodes.at(level);
    const span = entrySpan(level);
    const end = first + NODE_ENTRIES * span;
    const ahead = new ReadAhead(this.#parts.loader, this.#changes, this.#change);
    let changed = false;
    if (level - 1 > this.#oldHeight && first === 0 && this.#position >= span) {
      changed = await this.#rebuildChild(words, 0, level - 1, 0);
    }
    while (this.#position < end) {
      const slot = slotOf(this.#position, level);
      const at = slot * ENTRY_WORDS;
      const childFirst = first + slot * span;
      const childEnd = childFirst + span;
      const unmaps = this.#changes.blockOf(this.#change) === 0;
      const unmapEnd = unmaps ? this.#changes.endOf(this.#change) : 0;
      if (unmaps && entryBlock(words, at) === 0) {
        this.#moveTo(Math.min(unmapEnd, childEnd));
      } else if (unmapEnd >= childEnd && this.#position === childFirst) {
        await this.#drop(words, at, level - 1);
        clearEntry(words, at);
        changed = true;
        this.#moveTo(childEnd);
      } else {
        if (level - 1 <= this.#oldHeight) ahead.from(words, level, first, end);
        changed = (await this.#rebuildChild(words, at, level - 1, childFirst)) || changed;
      }
    }
    return changed;
  }

  /** Rebuilds the node that the entry at `at` of `words` names, and sets the entry. */
  async #rebuildChild(
    words: Uint32Array,
    at: number,
    level: number,
    first: number,
  ): Promise<boolean> {
    const turn = this.#turns.next();
    if (turn !== undefined) await turn;
    const block = entryBlock(words, at);
    const virtual = block !== 0 && level > this.#oldHeight;
    await this.#fetch(level, block, entryCrc(words, at), virtual);
    const changed = await this.#rebuild(level, first);
    if (!changed && !virtual) return false;
    if (block !== 0 && !virtual) {
      this.#replaced(block, entryBirth(words, at), entryFlags(words, at));
    }
    if (isEmptyNode(this.#nodes.at(level), 0)) {
      clearEntry(words, at);
    } else {
      await this.#write(level);
      setEntry(words, at, this.#writer.lastBlock, 0, this.#birth, this.#writer.lastCrc);
    }
    return true;
  }

  #rebuildLeaf(first: number): boolean {
    const words = this.#nodes.at(1);
    const end = first + NODE_ENTRIES;
    let changed = false;
    while (this.#position < end) {
      const at = (this.#position - first) * ENTRY_WORDS;
      changed = this.#changeData(words, at) || changed;
      this.#moveTo(this.#position + 1);
    }
    return changed;
  }

  #changeData(words: Uint32Array, at: number): boolean {
    const change = this.#change;
    const old = entryBlock(words, at);
    const block = this.#changes.blockOf(change);
    const crc = this.#changes.crcOf(change);
    const flags = this.#changes.flagsOf(change);
    if (old === block) {
      if (entryCrc(words, at) === crc && entryFlags(words, at) === flags) return false;
      // The block itself stays: it is as old as it was.
      setEntry(words, at, block, flags, entryBirth(words, at), crc);
      return true;
    }
    if (old !== 0) {
      this.#parts.superseded(old, entryBirth(words, at), entryFlags(words, at));
      this.#mappedDelta--;
    }
    if (block === 0) {
      clearEntry(words, at);
    } else {
      setEntry(words, at, block, flags, this.#birth, crc);
      this.#mappedDelta++;
    }
    return true;
  }

  /** Reports every block of a subtree that goes as a whole: that of the entry at `at`. */
  async #drop(words: Uint32Array, at: number, level: number): Promise<void> {
    const turn = this.#turns.next();
    if (turn !== undefined) await turn;
    if (level > this.#oldHeight) {
      await this.#drop(words, at, level - 1);
      return;
    }
    const block = entryBlock(words, at);
    this.#replaced(block, entryBirth(words, at), entryFlags(words, at));
    await this.#fetch(level, block, entryCrc(words, at), false);
    const node = this.#nodes.at(level);
    let ahead = 0;
    for (let slot = 0; slot < NODE_ENTRIES; slot++) {
      const child = slot * ENTRY_WORDS;
      const childBlock = entryBlock(node, child);
      if (childBlock === 0) continue;
      if (level === 1) {
        this.#parts.superseded(childBlock, entryBirth(node, child), entryFlags(node, child));
        this.#mappedDelta--;
        continue;
      }
      ahead = this.#parts.loader.readEntriesAhead(node, level, Math.max(ahead, slot + 1), slot);
      await this.#drop(node, child, level - 1);
    }
  }

  /** Brings the old node of a level into memory: zeros if there is none. */
  async #fetch(level: number, block: number, crc: number, virtual: boolean): Promise<void> {
    const words = this.#nodes.at(level);
    if (block === 0 || virtual) {
      words.fill(0);
      const root = this.#root;
      if (virtual) setEntry(words, 0, root.block, root.flags, root.birth, root.crc);
      return;
    }
    const status = await this.#nodes.read(block, crc, level);
    if (status !== TreeStatus.ok) throw nodeError(status, block, level);
  }

  async #write(level: number): Promise<void> {
    invariant(this.#writer.nodesWritten < this.#nodesMax, 'nodes to be written were counted');
    if (!this.#writer.ready) {
      await this.#writer.makeReady(this.#nodesMax - this.#writer.nodesWritten);
    }
    this.#writer.add(this.#nodes.at(level), level);
  }

  #replaced(block: number, birth: number, flags: number): void {
    this.#parts.superseded(block, birth, flags);
    this.#parts.loader.cache.fade(block);
  }

  #moveTo(position: number): void {
    this.#position = position;
    if (position < this.#changes.endOf(this.#change)) return;
    this.#change++;
    this.#position =
      this.#change < this.#changes.count
        ? this.#changes.indexOf(this.#change)
        : Number.POSITIVE_INFINITY;
  }
}

/** Reads the nodes that the next changes below one node will need. */
class ReadAhead {
  readonly #loader: NodeLoader;
  readonly #changes: ChangeList;
  #change: number;
  #slot = -1;
  /** Nodes that were asked for and not come to yet. */
  #asked = 0;

  constructor(loader: NodeLoader, changes: ChangeList, change: number) {
    this.#loader = loader;
    this.#changes = changes;
    this.#change = change;
  }

  /** Called before each descent from the node `words` of `level`, for blocks `first` to `end`. */
  from(words: Uint32Array, level: number, first: number, end: number): void {
    if (this.#asked > 0) this.#asked--;
    while (this.#asked < READ_AHEAD && this.#change < this.#changes.count) {
      const index = this.#changes.indexOf(this.#change);
      if (index >= end) return;
      const slot = slotOf(Math.max(index, first), level);
      const at = slot * ENTRY_WORDS;
      if (slot !== this.#slot && entryBlock(words, at) !== 0) {
        const asked = this.#loader.readAhead(entryBlock(words, at), entryCrc(words, at), level - 1);
        if (!asked) return;
        this.#asked++;
      }
      this.#slot = slot;
      this.#change++;
    }
  }
}
