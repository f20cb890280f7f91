/**
 * Writes new nodes to new pool blocks: gathered into runs of neighbours, several writes in flight.
 *
 * The writer's arena is cut into slots of some pages. A slot is opened with ids from the allocator
 * (as many as it has pages, or fewer when fewer nodes are left to come), filled node by node, and
 * written when it is full, one write for each run of ids; the next slot is opened meanwhile. When
 * all slots are being written, who adds a node waits. So memory is bounded whatever the number of
 * nodes, and the ids of a batch come in few runs.
 *
 * A node that was written is put into the cache: nobody names it before, and the next batch and the
 * readers of the new root will want it. Ids that were taken and not used, and after a failure every
 * id that was taken, are given back as superseded: nothing names them. After a failed write nobody
 * knows what the block holds or when, so its extent is closed.
 */
import { StorageError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import { EXTENT_BLOCKS, type PoolBlock, PoolStatus } from '../../world/block-pool.ts';
import type { Arena } from '../arena.ts';
import { NODE_BYTES } from '../formats/tree-node.ts';
import type { NodeLoader } from './node-loader.ts';

/** Where new nodes go: what an update needs of the allocator of extents. */
export interface NodeSpace {
  /** Room for `count` blocks in few runs, each told to `visit`. Rejects when the pool is full. */
  allocate(count: number, visit: (first: PoolBlock, blocks: number) => void): Promise<void>;
  /** A block that nothing names any more. */
  superseded(block: PoolBlock, shared: boolean): void;
  /** The outcome of a write of this block is not known. */
  closeExtentOf(block: PoolBlock): void;
}

const SLOT_NODES_MAX = 64;
const SLOTS_MIN = 2;
/** More would be held up by the pool anyway. */
const SLOTS_MAX = 16;

interface Run {
  readonly first: PoolBlock;
  readonly blocks: number;
}

export class NodeWriter {
  readonly #loader: NodeLoader;
  readonly #space: NodeSpace;
  readonly #slots: WriteSlot[] = [];
  readonly #slotNodes: number;
  /** Every id that this writer was given. */
  readonly #taken: Run[] = [];
  #open: WriteSlot | null = null;
  #writing = 0;
  #failure: StorageError | null = null;
  #wake: (() => void) | null = null;
  #nodes = 0;
  #lastBlock = 0;
  #lastCrc = 0;

  constructor(loader: NodeLoader, space: NodeSpace, arena: Arena) {
    this.#loader = loader;
    this.#space = space;
    const pages = Math.floor(arena.bytes / NODE_BYTES);
    invariant(arena.address % NODE_BYTES === 0, 'writes come from whole pages');
    invariant(pages >= SLOTS_MIN, 'a writer can fill one slot while it writes another');
    const slots = Math.min(SLOTS_MAX, Math.max(SLOTS_MIN, Math.floor(pages / SLOT_NODES_MAX)));
    this.#slotNodes = Math.min(SLOT_NODES_MAX, Math.floor(pages / slots));
    for (let i = 0; i < slots; i++) {
      const address = arena.address + i * this.#slotNodes * NODE_BYTES;
      this.#slots.push(new WriteSlot(address, this.#slotNodes));
    }
  }

  get nodesWritten(): number {
    return this.#nodes;
  }

  /** Whether `add` may be called now. */
  get ready(): boolean {
    return this.#open !== null;
  }

  /** Block and CRC of the node that was added last. */
  get lastBlock(): PoolBlock {
    return this.#lastBlock;
  }

  get lastCrc(): number {
    return this.#lastCrc;
  }

  /** Opens a slot. `nodesLeft`: at most so many nodes are still to come. */
  async makeReady(nodesLeft: number): Promise<void> {
    invariant(this.#open === null, 'one slot is filled at a time');
    while (this.#writing === this.#slots.length) await this.#oneWriteLess();
    if (this.#failure !== null) throw this.#failure;
    const slot = this.#slots.find((one) => one.writesLeft === 0);
    invariant(slot !== undefined, 'a slot that is not being written is free');
    slot.begin();
    await this.#space.allocate(Math.min(this.#slotNodes, nodesLeft), (first, blocks) => {
      this.#taken.push({ first, blocks });
      slot.give(first, blocks);
    });
    invariant(slot.ids > 0, 'an allocator gives what it was asked for');
    this.#open = slot;
  }

  /** Copies a node in; `lastBlock` and `lastCrc` name it. */
  add(words: Uint32Array, level: number): void {
    const slot = this.#open;
    invariant(slot !== null, 'a writer was made ready');
    const { memory, digest } = this.#loader.world;
    const address = slot.addressOf(slot.nodes);
    memory.u32.set(words, address / 4);
    this.#lastBlock = slot.idAt(slot.nodes);
    this.#lastCrc = digest.crc32(memory.u8, address, NODE_BYTES);
    slot.fill(this.#lastCrc, level);
    this.#nodes++;
    if (slot.nodes === slot.ids) {
      this.#open = null;
      this.#send(slot);
    }
  }

  /** Settles when every node is durable; ids that were not used are given back. */
  async finish(): Promise<void> {
    const slot = this.#open;
    this.#open = null;
    if (slot !== null) this.#send(slot);
    while (this.#writing > 0) await this.#oneWriteLess();
    if (this.#failure !== null) throw this.#failure;
    if (slot === null) return;
    for (let i = slot.nodes; i < slot.ids; i++) this.#space.superseded(slot.idAt(i), false);
  }

  /** After a failure of any kind: settles when nothing is in flight; every id is given back. */
  async abandon(): Promise<void> {
    this.#open = null;
    while (this.#writing > 0) await this.#oneWriteLess();
    for (const { first, blocks } of this.#taken) {
      for (let i = 0; i < blocks; i++) this.#space.superseded(first + i, false);
    }
  }

  /** Submits one write for each run of neighbours in a slot. */
  #send(slot: WriteSlot): void {
    if (slot.nodes === 0) return;
    this.#loader.world.crashPoint('tree.before-node-write');
    this.#writing++;
    const runs = slot.runs();
    slot.writesLeft = runs.length;
    for (const { first, blocks } of runs) {
      this.#loader.pool.write({
        block: slot.idAt(first),
        blocks,
        buffer: this.#loader.world.memory.u8,
        bufferOffset: slot.addressOf(first),
        poolDone: (status) => this.#written(slot, first, blocks, status),
      });
    }
  }

  /** `first`: number of the run's first node in its slot. */
  #written(slot: WriteSlot, first: number, blocks: number, status: PoolStatus): void {
    if (status === PoolStatus.ok) {
      for (let i = first; i < first + blocks; i++) {
        const level = slot.levelAt(i);
        this.#loader.cache.put(slot.idAt(i), slot.crcAt(i), level, slot.addressOf(i));
      }
    } else {
      this.#failure ??= writeError(status, slot.idAt(first), blocks);
      for (let i = first; i < first + blocks; i++) this.#closeOnce(slot, first, i);
    }
    slot.writesLeft--;
    if (slot.writesLeft > 0) return;
    this.#writing--;
    this.#loader.world.crashPoint('tree.after-node-write');
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  /** Closes the extent of a run's node unless the node before it has closed the same. */
  #closeOnce(slot: WriteSlot, first: number, node: number): void {
    const extent = Math.floor(slot.idAt(node) / EXTENT_BLOCKS);
    if (node > first && Math.floor(slot.idAt(node - 1) / EXTENT_BLOCKS) === extent) return;
    this.#space.closeExtentOf(slot.idAt(node));
  }

  #oneWriteLess(): Promise<void> {
    invariant(this.#wake === null, 'one story fills a writer');
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** Pages that are filled with nodes and then written. */
class WriteSlot {
  readonly #address: number;
  readonly #blocks: Float64Array;
  readonly #crcs: Uint32Array;
  readonly #levels: Uint8Array;
  /** Ids it was given, and how many of them have a node. */
  ids = 0;
  nodes = 0;
  /** Writes in flight; 0: the slot is free or being filled. */
  writesLeft = 0;

  constructor(address: number, capacity: number) {
    this.#address = address;
    this.#blocks = new Float64Array(capacity);
    this.#crcs = new Uint32Array(capacity);
    this.#levels = new Uint8Array(capacity);
  }

  begin(): void {
    this.ids = 0;
    this.nodes = 0;
  }

  give(first: PoolBlock, blocks: number): void {
    invariant(this.ids + blocks <= this.#blocks.length, 'ids are no more than were asked for');
    for (let i = 0; i < blocks; i++) this.#blocks[this.ids++] = first + i;
  }

  fill(crc: number, level: number): void {
    this.#crcs[this.nodes] = crc;
    this.#levels[this.nodes] = level;
    this.nodes++;
  }

  addressOf(node: number): number {
    return this.#address + node * NODE_BYTES;
  }

  idAt(node: number): PoolBlock {
    return this.#blocks[node] as number;
  }

  crcAt(node: number): number {
    return this.#crcs[node] as number;
  }

  levelAt(node: number): number {
    return this.#levels[node] as number;
  }

  /** The nodes as runs of neighbouring ids; `first` counts nodes. */
  runs(): Run[] {
    const found: Run[] = [];
    let first = 0;
    for (let i = 1; i <= this.nodes; i++) {
      if (i < this.nodes && this.idAt(i) === this.idAt(i - 1) + 1) continue;
      found.push({ first, blocks: i - first });
      first = i;
    }
    return found;
  }
}

/** What a story that cannot write `blocks` nodes, records or data blocks ends with. */
export function writeError(status: PoolStatus, block: PoolBlock, blocks: number): StorageError {
  const fields = { block, blocks };
  if (status === PoolStatus.fenced) {
    return new StorageError('E_FENCED', 'this host was fenced from the pool', { fields });
  }
  if (status === PoolStatus.noSpace) {
    return new StorageError('E_POOL_FULL', 'the pool has no space left', { fields });
  }
  const message = `the pool could not keep ${blocks} blocks from ${block} on`;
  return new StorageError('E_POOL_WRITE', message, { fields });
}
