/**
 * Nodes as stories read them: copies in memory of the story's own, one for each level of a path.
 *
 * A story (an update, a walk) stays at a node over many waits, during which the cache may give the
 * node's frame to another. So it copies: 4 KiB, 60 ns, and 24 KiB for a whole path. Nodes that are
 * cached are copied without a promise.
 */
import { StorageError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import type { Timers } from '../../world/world.ts';
import { NODE_WORDS, TREE_HEIGHT_MAX } from '../formats/tree-node.ts';
import { type NodeLoader, type NodeWaiter, TreeStatus } from './node-loader.ts';

/** Whoever started a story sets it to end the story at its next node. */
export interface CancelToken {
  readonly cancelled: boolean;
}

/** One path of nodes, and its reads: one at a time. */
export class StoryNodes implements NodeWaiter {
  block = 0;
  crc = 0;
  level = 0;
  nextWaiter: NodeWaiter | null = null;
  readonly #loader: NodeLoader;
  /** By level; [0] is not used. */
  readonly #path: Uint32Array[] = [];
  #settle: ((status: TreeStatus) => void) | null = null;

  constructor(loader: NodeLoader) {
    this.#loader = loader;
    for (let level = 0; level <= TREE_HEIGHT_MAX; level++) {
      this.#path.push(new Uint32Array(level === 0 ? 0 : NODE_WORDS));
    }
  }

  /** The copy of the node of this level, to be read and changed. */
  at(level: number): Uint32Array {
    return this.#path[level] as Uint32Array;
  }

  /** Fetches a node into `at(level)`; a status if it is there at once. */
  read(block: number, crc: number, level: number): TreeStatus | Promise<TreeStatus> {
    invariant(this.#settle === null, 'a path reads one node at a time');
    const frame = this.#loader.cache.find(block, crc);
    if (frame >= 0) return this.#copy(frame, level);
    this.block = block;
    this.crc = crc;
    this.level = level;
    return new Promise((resolve) => {
      this.#settle = resolve;
      this.#loader.load(this);
    });
  }

  nodeLoaded(status: TreeStatus): void {
    if (status === TreeStatus.ok) {
      const frame = this.#loader.cache.peek(this.block, this.crc);
      if (frame < 0) {
        this.#loader.load(this);
        return;
      }
      this.#copy(frame, this.level);
    }
    const settle = this.#settle;
    this.#settle = null;
    invariant(settle !== null, 'a node that comes was asked for');
    settle(status);
  }

  #copy(frame: number, level: number): TreeStatus {
    const word = this.#loader.cache.wordOf(frame);
    this.at(level).set(this.#loader.world.memory.u32.subarray(word, word + NODE_WORDS));
    return TreeStatus.ok;
  }
}

/** What a story that cannot read a node ends with. */
export function nodeError(status: TreeStatus, block: number, level: number): StorageError {
  const fields = { block, level };
  if (status === TreeStatus.damaged) {
    const message = `node ${block} of level ${level} is not what its parent names: it is damaged`;
    return new StorageError('E_NODE_DAMAGED', message, { fields });
  }
  const message = `the pool cannot read node ${block} of level ${level}`;
  return new StorageError('E_NODE_UNREADABLE', message, { fields });
}

/** Nodes that a story handles before it lets others run: about 2 ms of work. */
const NODES_A_TURN = 128;

/**
 * The turns of one story. When all nodes are cached nothing in it waits for the world, and without
 * turns of its own it would keep the actor from serving requests until it is over.
 */
export class StoryTurns {
  readonly #timers: Timers;
  readonly #cancel: CancelToken | undefined;
  #nodes = 0;

  constructor(timers: Timers, cancel: CancelToken | undefined) {
    this.#timers = timers;
    this.#cancel = cancel;
  }

  /** Called for each node. Throws when the story was cancelled; a promise is to be waited for. */
  next(): Promise<void> | undefined {
    if (this.#cancel?.cancelled === true) {
      throw new StorageError('E_CANCELLED', 'it was cancelled');
    }
    this.#nodes++;
    if (this.#nodes < NODES_A_TURN) return undefined;
    this.#nodes = 0;
    return this.#timers.sleep(0);
  }
}
