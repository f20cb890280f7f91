/**
 * Walks over trees: all of one, what one has and another has not, and what differs between two.
 *
 * It is one walk, of two trees side by side. At each place the entries of the two are compared by
 * pool block: equal ones are the same content, whatever lies below, and are passed by without being
 * read, which makes the walk as long as the difference. A walk over one tree is a walk beside the
 * empty one. Trees of different heights are aligned at block 0 by nodes that exist in memory only,
 * as in an update that grows a tree.
 *
 * Order is that of block numbers. Nodes are read ahead; a visitor that gives a promise (an export
 * that writes) holds the walk up until it settles. A node that cannot be read ends the walk, or, if
 * the visitor has `unreadable`, its range is told and left out.
 */
import {
  ENTRY_WORDS,
  entryBirth,
  entryBlock,
  entryCrc,
  entryFlags,
  entrySpan,
  NODE_ENTRIES,
  setEntry,
  TREE_HEIGHT_MAX,
  treeSpan,
} from '../formats/tree-node.ts';
import { EMPTY_ROOT, type TreeRoot } from '../formats/tree-root.ts';
import { type NodeLoader, READ_AHEAD, TreeStatus } from './node-loader.ts';
import { type CancelToken, nodeError, StoryNodes, StoryTurns } from './story-nodes.ts';

/** A node or data block as its parent names it. */
export interface NamedBlock {
  readonly block: number;
  readonly crc: number;
  readonly birth: number;
  readonly flags: number;
}

/** A node and the blocks of the image from `first` on that it covers. */
export interface NamedNode extends NamedBlock {
  readonly level: number;
  readonly first: number;
}

export interface TreeVisitor {
  /** Before the node is read. */
  node?(node: NamedNode): void;
  data(index: number, data: NamedBlock): void | Promise<void>;
  unreadable?(node: NamedNode, status: TreeStatus): void;
}

/** `mapped`: whether the newer tree has blocks there, else they read as zeros in it. */
export type RangeVisitor = (first: number, blocks: number, mapped: boolean) => void | Promise<void>;

export interface WalkOptions {
  /** Blocks from `from` up to `to`, without it; absent: all. */
  readonly from?: number;
  readonly to?: number;
  /** Subtrees and blocks that this tree has in the same place are passed by. */
  readonly except?: TreeRoot;
  readonly cancel?: CancelToken;
}

export interface WalkStats {
  /** Nodes that were looked into, of both trees. */
  readonly nodes: number;
  /** Subtrees and blocks that were passed by because both trees have them. */
  readonly shared: number;
}

/** Visits the nodes and data blocks of a tree. Rejects as `updateTree` does for its reads. */
export async function walkTree(
  loader: NodeLoader,
  root: TreeRoot,
  visitor: TreeVisitor,
  options: WalkOptions = {},
): Promise<WalkStats> {
  const walk = new PairWalk(loader, options.except ?? EMPTY_ROOT, root, options, {
    node: (side, node) => {
      if (side === RIGHT) visitor.node?.(node);
    },
    differs: (index, _left, right, at) =>
      entryBlock(right, at) === 0 ? undefined : visitor.data(index, namedBy(right, at)),
    unreadable: visitor.unreadable?.bind(visitor),
  });
  return walk.run();
}

/**
 * Gives the ranges of blocks that are not the same in two trees, in order: each is mapped in all of
 * `newer`, or in none of it. A block that was written again with the same bytes is in another place
 * and so is told, too.
 */
export async function diffTrees(
  loader: NodeLoader,
  older: TreeRoot,
  newer: TreeRoot,
  visit: RangeVisitor,
  options: Omit<WalkOptions, 'except'> = {},
): Promise<WalkStats> {
  const ranges = new RangeJoiner(visit);
  const walk = new PairWalk(loader, older, newer, options, {
    node: () => undefined,
    differs: (index, _left, right, at) => ranges.add(index, entryBlock(right, at) !== 0),
    unreadable: undefined,
  });
  const stats = await walk.run();
  await ranges.flush();
  return stats;
}

const LEFT = 0;
const RIGHT = 1;
type Side = typeof LEFT | typeof RIGHT;

interface PairVisitor {
  node(side: Side, node: NamedNode): void;
  /** One block that is not the same: its entries are at word `at` of both nodes. */
  differs(index: number, left: Uint32Array, right: Uint32Array, at: number): void | Promise<void>;
  readonly unreadable: ((node: NamedNode, status: TreeStatus) => void) | undefined;
}

/** How far a node's children were asked for: the next slot, and places not entered yet. */
interface Ahead {
  slot: number;
  asked: number;
}

class PairWalk {
  readonly #loader: NodeLoader;
  readonly #roots: readonly [TreeRoot, TreeRoot];
  readonly #paths: readonly [StoryNodes, StoryNodes];
  readonly #visitor: PairVisitor;
  readonly #from: number;
  readonly #to: number;
  readonly #turns: StoryTurns;
  #nodes = 0;
  #shared = 0;

  constructor(
    loader: NodeLoader,
    left: TreeRoot,
    right: TreeRoot,
    options: WalkOptions,
    visitor: PairVisitor,
  ) {
    this.#loader = loader;
    this.#roots = [left, right];
    this.#paths = [new StoryNodes(loader), new StoryNodes(loader)];
    this.#visitor = visitor;
    this.#from = options.from ?? 0;
    this.#to = options.to ?? treeSpan(TREE_HEIGHT_MAX);
    this.#turns = new StoryTurns(loader.world.timers, options.cancel);
  }

  async run(): Promise<WalkStats> {
    const [left, right] = this.#roots;
    if (left.block === right.block) {
      if (left.block !== 0) this.#shared++;
    } else {
      const height = Math.max(
        left.block === 0 ? 1 : left.height,
        right.block === 0 ? 1 : right.height,
      );
      await this.#pair(left, right, height, 0);
    }
    return { nodes: this.#nodes, shared: this.#shared };
  }

  /** Goes through two different nodes of one place. */
  async #pair(left: NamedBlock, right: NamedBlock, level: number, first: number): Promise<void> {
    const turn = this.#turns.next();
    if (turn !== undefined) await turn;
    if (!(await this.#fetch(LEFT, left, level, first))) return;
    if (!(await this.#fetch(RIGHT, right, level, first))) return;
    const old = this.#paths[LEFT].at(level);
    const now = this.#paths[RIGHT].at(level);
    const span = entrySpan(level);
    const end = Math.min(NODE_ENTRIES, Math.ceil((this.#to - first) / span));
    let slot = Math.max(0, Math.floor((this.#from - first) / span));
    const ahead: Ahead = { slot, asked: 0 };
    for (; slot < end; slot++) {
      const at = slot * ENTRY_WORDS;
      if (entryBlock(old, at) === entryBlock(now, at)) {
        if (entryBlock(now, at) !== 0) this.#shared++;
      } else if (level === 1) {
        const wait = this.#visitor.differs(first + slot, old, now, at);
        if (wait !== undefined) await wait;
      } else {
        ahead.slot = Math.max(ahead.slot, slot);
        this.#readAhead(old, now, level, ahead, end);
        await this.#pair(namedBy(old, at), namedBy(now, at), level - 1, first + slot * span);
      }
    }
  }

  /** Brings a node into its path: zeros if there is none. False: it was told to be unreadable. */
  async #fetch(side: Side, named: NamedBlock, level: number, first: number): Promise<boolean> {
    const root = this.#roots[side];
    const words = this.#paths[side].at(level);
    if (named.block === 0 || level > root.height) {
      words.fill(0);
      if (named.block !== 0) setEntry(words, 0, root.block, root.flags, root.birth, root.crc);
      return true;
    }
    this.#nodes++;
    const { block, crc, birth, flags } = named;
    const node = { level, first, block, crc, birth, flags };
    this.#visitor.node(side, node);
    const status = await this.#paths[side].read(block, crc, level);
    if (status === TreeStatus.ok) return true;
    if (this.#visitor.unreadable === undefined) throw nodeError(status, block, level);
    this.#visitor.unreadable(node, status);
    return false;
  }

  /** Asks for the nodes of the next places that differ; called before each of them is entered. */
  #readAhead(old: Uint32Array, now: Uint32Array, level: number, ahead: Ahead, end: number): void {
    if (ahead.asked > 0) ahead.asked--;
    for (; ahead.slot < end && ahead.asked < READ_AHEAD; ahead.slot++) {
      const at = ahead.slot * ENTRY_WORDS;
      if (entryBlock(old, at) === entryBlock(now, at)) continue;
      if (!this.#ask(LEFT, old, at, level - 1) || !this.#ask(RIGHT, now, at, level - 1)) return;
      ahead.asked++;
    }
  }

  #ask(side: Side, words: Uint32Array, at: number, level: number): boolean {
    const block = entryBlock(words, at);
    if (block === 0 || level > this.#roots[side].height) return true;
    return this.#loader.readAhead(block, entryCrc(words, at), level);
  }
}

/** Joins blocks that follow one another into ranges. */
class RangeJoiner {
  readonly #visit: RangeVisitor;
  #first = 0;
  #blocks = 0;
  #mapped = false;

  constructor(visit: RangeVisitor) {
    this.#visit = visit;
  }

  add(index: number, mapped: boolean): void | Promise<void> {
    if (index === this.#first + this.#blocks && mapped === this.#mapped) {
      this.#blocks++;
      return undefined;
    }
    const told = this.flush();
    this.#first = index;
    this.#blocks = 1;
    this.#mapped = mapped;
    return told;
  }

  flush(): void | Promise<void> {
    return this.#blocks === 0 ? undefined : this.#visit(this.#first, this.#blocks, this.#mapped);
  }
}

function namedBy(words: Uint32Array, at: number): NamedBlock {
  return {
    block: entryBlock(words, at),
    crc: entryCrc(words, at),
    birth: entryBirth(words, at),
    flags: entryFlags(words, at),
  };
}
