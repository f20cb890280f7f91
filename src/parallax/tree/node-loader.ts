/**
 * Brings nodes from the pool into the cache, checked.
 *
 * There is a fixed number of reads, each with a page of its own to read into; a node enters the
 * cache only when its CRC is the one that its parent names. Whoever needs a node that is not cached
 * hands in a `NodeWaiter`: it joins the read of that node if one is in flight, begins one, or
 * stands in line until a read is over (in order of arrival). It is told when the node was put into
 * the cache, and looks it up again then: see the rule of `NodeCache`. Reading ahead takes at most
 * half of the reads and never stands in line.
 *
 * A node that cannot be read, or that is not what the parent names, is not cached: its waiters
 * fail, each of which is a range of one image, and the next lookup asks the pool again, which may
 * have repaired it. Damage is told to `onDamage`, once for each read.
 *
 * Waiters are linked through themselves and reads are made once: nothing is allocated for a lookup.
 */
import { Fifo } from '../../base/fifo.ts';
import { fail, invariant } from '../../base/invariant.ts';
import { type BlockPool, type PoolIo, PoolStatus } from '../../world/block-pool.ts';
import type { World } from '../../world/world.ts';
import type { Arena } from '../arena.ts';
import {
  ENTRY_WORDS,
  entryBlock,
  entryCrc,
  NODE_BYTES,
  NODE_ENTRIES,
} from '../formats/tree-node.ts';
import type { NodeCache } from './node-cache.ts';

/** Outcome of anything that walks a tree. */
export const TreeStatus = {
  ok: 0,
  /** The pool could not read a node. */
  ioError: -5,
  /** What the pool has is not what the parent names. */
  damaged: -74,
} as const;
export type TreeStatus = (typeof TreeStatus)[keyof typeof TreeStatus];

/** Nodes that a story asks for before it comes to them. */
export const READ_AHEAD = 16;

export interface NodeDamage {
  readonly block: number;
  /** Of the node: 1 for a leaf. */
  readonly level: number;
  readonly expectedCrc: number;
  readonly foundCrc: number;
}

/** One who waits for a node. It is the loader's from `load` until `nodeLoaded`. */
export interface NodeWaiter {
  block: number;
  crc: number;
  level: number;
  /** Belongs to the loader. */
  nextWaiter: NodeWaiter | null;
  /** Exactly once, never inside `load`. */
  nodeLoaded(status: TreeStatus): void;
}

/** What trees need of the world. */
export type TreeWorld = Pick<World, 'memory' | 'digest' | 'timers' | 'crashPoint'>;

export interface NodeLoaderOptions {
  readonly world: TreeWorld;
  readonly pool: BlockPool;
  readonly cache: NodeCache;
  /** A page for each read that may be in flight. */
  readonly arena: Arena;
  readonly onDamage: (damage: NodeDamage) => void;
}

export interface NodeLoaderStats {
  readonly reads: number;
  readonly joined: number;
  readonly readAhead: number;
  readonly damaged: number;
  readonly failed: number;
}

export class NodeLoader {
  readonly world: TreeWorld;
  readonly pool: BlockPool;
  readonly cache: NodeCache;
  readonly readsMax: number;
  readonly #onDamage: (damage: NodeDamage) => void;
  readonly #loads: NodeLoad[] = [];
  readonly #line: Fifo<NodeWaiter> = new Fifo();
  #inFlight = 0;
  #reads = 0;
  #joined = 0;
  #readAhead = 0;
  #damaged = 0;
  #failed = 0;

  constructor(options: NodeLoaderOptions) {
    this.world = options.world;
    this.pool = options.pool;
    this.cache = options.cache;
    this.#onDamage = options.onDamage;
    this.readsMax = Math.floor(options.arena.bytes / NODE_BYTES);
    invariant(this.readsMax > 0, 'a loader can read a node');
    invariant(options.arena.address % NODE_BYTES === 0, 'reads go to whole pages');
    for (let i = 0; i < this.readsMax; i++) {
      this.#loads.push(new NodeLoad(this, options.arena.address + i * NODE_BYTES));
    }
  }

  /** For a node that is not in the cache. */
  load(waiter: NodeWaiter): void {
    const running = this.#runningLoad(waiter.block, waiter.crc);
    if (running !== null) {
      this.#joined++;
      running.join(waiter);
    } else if (this.#inFlight < this.readsMax) {
      this.#freeLoad().begin(waiter.block, waiter.crc, waiter.level, waiter);
    } else {
      this.#line.push(waiter);
    }
  }

  /** Reads a node that will be needed soon, if reads are free. False: not now. */
  readAhead(block: number, crc: number, level: number): boolean {
    if (this.cache.peek(block, crc) >= 0) return true;
    if (this.#runningLoad(block, crc) !== null) return true;
    if (2 * (this.#inFlight + 1) > this.readsMax) return false;
    this.#readAhead++;
    this.#freeLoad().begin(block, crc, level, null);
    return true;
  }

  /**
   * Reads ahead what the entries of a node name, for who goes through them in order and has come to
   * `slot`. `from`: the first that was not asked for yet; gives the next such.
   */
  readEntriesAhead(words: Uint32Array, level: number, from: number, slot: number): number {
    const end = Math.min(slot + 1 + READ_AHEAD, NODE_ENTRIES);
    for (let ahead = from; ahead < end; ahead++) {
      const at = ahead * ENTRY_WORDS;
      const block = entryBlock(words, at);
      if (block !== 0 && !this.readAhead(block, entryCrc(words, at), level - 1)) return ahead;
    }
    return Math.max(from, end);
  }

  stats(): NodeLoaderStats {
    return {
      reads: this.#reads,
      joined: this.#joined,
      readAhead: this.#readAhead,
      damaged: this.#damaged,
      failed: this.#failed,
    };
  }

  /** Called by a load that submits its read. */
  began(): void {
    this.#inFlight++;
    this.#reads++;
  }

  /** Called by a load whose read is over and that is free again. */
  ended(load: NodeLoad, status: TreeStatus, foundCrc: number, waiters: NodeWaiter | null): void {
    this.#inFlight--;
    if (status === TreeStatus.ok) {
      this.cache.put(load.block, load.crc, load.level, load.address);
    } else if (status === TreeStatus.damaged) {
      this.#damaged++;
      const { block, level, crc: expectedCrc } = load;
      this.#onDamage({ block, level, expectedCrc, foundCrc });
    } else {
      this.#failed++;
    }
    let waiter = waiters;
    while (waiter !== null) {
      const next: NodeWaiter | null = waiter.nextWaiter;
      waiter.nextWaiter = null;
      waiter.nodeLoaded(status);
      waiter = next;
    }
    this.#advanceLine();
  }

  /** Those in line begin reads, or find that others have brought their node meanwhile. */
  #advanceLine(): void {
    while (this.#line.length > 0 && this.#inFlight < this.readsMax) {
      const waiter = this.#line.shift();
      if (this.cache.peek(waiter.block, waiter.crc) >= 0) waiter.nodeLoaded(TreeStatus.ok);
      else this.load(waiter);
    }
  }

  #runningLoad(block: number, crc: number): NodeLoad | null {
    if (this.#inFlight === 0) return null;
    for (const load of this.#loads) {
      if (load.running && load.block === block && load.crc === crc) return load;
    }
    return null;
  }

  #freeLoad(): NodeLoad {
    for (const load of this.#loads) if (!load.running) return load;
    return fail('reads in flight are counted');
  }
}

class NodeLoad implements PoolIo {
  block = 0;
  readonly blocks = 1;
  readonly buffer: Uint8Array;
  readonly bufferOffset: number;
  crc = 0;
  level = 0;
  running = false;
  readonly #loader: NodeLoader;
  #first: NodeWaiter | null = null;
  #last: NodeWaiter | null = null;

  constructor(loader: NodeLoader, address: number) {
    this.#loader = loader;
    this.buffer = loader.world.memory.u8;
    this.bufferOffset = address;
  }

  get address(): number {
    return this.bufferOffset;
  }

  begin(block: number, crc: number, level: number, waiter: NodeWaiter | null): void {
    this.block = block;
    this.crc = crc;
    this.level = level;
    this.running = true;
    if (waiter !== null) this.join(waiter);
    this.#loader.began();
    this.#loader.pool.read(this);
  }

  join(waiter: NodeWaiter): void {
    waiter.nextWaiter = null;
    if (this.#last === null) this.#first = waiter;
    else this.#last.nextWaiter = waiter;
    this.#last = waiter;
  }

  poolDone(status: PoolStatus): void {
    const waiters = this.#first;
    this.#first = null;
    this.#last = null;
    this.running = false;
    if (status !== PoolStatus.ok) {
      this.#loader.ended(this, TreeStatus.ioError, 0, waiters);
      return;
    }
    const found = this.#loader.world.digest.crc32(this.buffer, this.bufferOffset, NODE_BYTES);
    const good = found === this.crc ? TreeStatus.ok : TreeStatus.damaged;
    this.#loader.ended(this, good, found, waiters);
  }
}
