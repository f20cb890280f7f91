/**
 * Copies what a tree holds to somewhere else: the reading half of an export.
 *
 * Blocks come in the order of the image and in large pieces; what is not mapped does not come at
 * all. Each block is checked against its tree entry before it is handed on. Blocks that lie beside
 * each other in the pool are read at once, and the runs of a window are read side by side.
 */
import { StorageError } from '../../base/errors.ts';
import { BLOCK_BYTES, PoolStatus } from '../../world/block-pool.ts';
import type { TreeRoot } from '../formats/tree-root.ts';
import type { CancelToken } from '../tree/story-nodes.ts';
import { type NamedBlock, walkTree } from '../tree/walk.ts';
import type { StoreView } from './store-view.ts';

const WINDOW_BLOCKS = 1024;
const RUN_BLOCKS = 256;

/**
 * Takes `blocks` blocks of the image from block `first` on. The bytes are borrowed until the
 * promise settles.
 */
export type BlockSink = (
  first: number,
  blocks: number,
  bytes: Uint8Array,
  offset: number,
) => Promise<void>;

/** A run of blocks: neighbours in the image and in the pool, from place `at` of the window on. */
interface Run {
  readonly at: number;
  readonly first: number;
  readonly block: number;
  blocks: number;
}

/**
 * Gives `sink` all blocks of the tree; how many there were is the result. Rejects with a
 * `StorageError` if a block or node cannot be read or is damaged, naming it, or `E_CANCELLED`.
 */
export async function copyOut(
  view: StoreView,
  root: TreeRoot,
  sink: BlockSink,
  cancel: CancelToken,
): Promise<number> {
  const window = new Window(view, sink);
  await walkTree(
    view.loader,
    root,
    { data: (index, named) => window.add(index, named) },
    { cancel },
  );
  await window.flush();
  return window.copied;
}

class Window {
  copied = 0;
  readonly #view: StoreView;
  readonly #sink: BlockSink;
  readonly #bytes = new Uint8Array(WINDOW_BLOCKS * BLOCK_BYTES);
  readonly #crcs = new Uint32Array(WINDOW_BLOCKS);
  #runs: Run[] = [];
  #blocks = 0;

  constructor(view: StoreView, sink: BlockSink) {
    this.#view = view;
    this.#sink = sink;
  }

  add(index: number, { block, crc }: NamedBlock): undefined | Promise<void> {
    const at = this.#blocks++;
    this.#crcs[at] = crc;
    const last = this.#runs[this.#runs.length - 1];
    const follows =
      last !== undefined &&
      last.first + last.blocks === index &&
      last.block + last.blocks === block &&
      last.blocks < RUN_BLOCKS;
    if (follows) last.blocks++;
    else this.#runs.push({ at, first: index, block, blocks: 1 });
    return this.#blocks < WINDOW_BLOCKS ? undefined : this.flush();
  }

  async flush(): Promise<void> {
    const runs = this.#runs;
    await Promise.all(runs.map((run) => this.#copy(run)));
    this.copied += this.#blocks;
    this.#runs = [];
    this.#blocks = 0;
  }

  async #copy(run: Run): Promise<void> {
    const status = await this.#read(run);
    if (status !== PoolStatus.ok) throw unreadable(run.first, run.block, 'the pool cannot read it');
    for (let i = 0; i < run.blocks; i++) {
      const offset = (run.at + i) * BLOCK_BYTES;
      const crc = this.#view.world.digest.crc32(this.#bytes, offset, BLOCK_BYTES);
      if (crc === this.#crcs[run.at + i]) continue;
      throw unreadable(run.first + i, run.block + i, 'it is not what its tree names');
    }
    await this.#sink(run.first, run.blocks, this.#bytes, run.at * BLOCK_BYTES);
  }

  #read({ at, block, blocks }: Run): Promise<PoolStatus> {
    return new Promise((poolDone) => {
      const bufferOffset = at * BLOCK_BYTES;
      this.#view.pool.read({ block, blocks, buffer: this.#bytes, bufferOffset, poolDone });
    });
  }
}

function unreadable(index: number, block: number, why: string): StorageError {
  return new StorageError(
    'E_BLOCK_DAMAGED',
    `block ${index} of the image (byte ${index * BLOCK_BYTES}) is lost: ${why} (block ${block} ` +
      'of the pool)',
    { fields: { index, block } },
  );
}
