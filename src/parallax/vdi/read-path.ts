/**
 * The way of a guest's read: newest first, and no promise anywhere.
 *
 * ```
 * memory cache     the newest whole content of a block: copied, done
 * dirty pieces     acknowledged, not published: copied from the log or from memory
 * slab             (image, block) -> a slot, or the pool block: no tree is walked
 * tree             (root, block) -> pool block and CRC
 * slab, pool       by pool block; from the pool in runs of neighbours, each block checked
 * ```
 * What one step takes from is one moment's state: pieces and root are looked at together, so a
 * publish in between changes where the bytes are, not what they are. Nobody writes to sectors that
 * are being read, because the back end holds overlapping requests apart.
 *
 * A read goes block by block. Fetches of several runs are in flight together; a block whose tree
 * node must be read first holds up the ones behind it, whose node is mostly the same. When records
 * or pages are out, reads wait in line.
 *
 * A block that cannot be read, or is not what its tree entry says, is an error for this read only.
 */
import { Fifo } from '../../base/fifo.ts';
import { fail } from '../../base/invariant.ts';
import { SECTORS_PER_PAGE } from '../../base/units.ts';
import { type DeviceRequest, DeviceStatus } from '../../world/block-device.ts';
import { BLOCK_BYTES, type BlockPool } from '../../world/block-pool.ts';
import type { World } from '../../world/world.ts';
import { type CleanSlab, MAPPED } from '../cache/clean-slab.ts';
import type { MemoryCache } from '../cache/memory-cache.ts';
import { SlabStatus } from '../cache/slab-io.ts';
import type { TreeRoot } from '../formats/tree-root.ts';
import { TreeStatus } from '../tree/node-loader.ts';
import type { Lookup, TreeReader } from '../tree/tree-reader.ts';
import { ALL_BATCHES, maskOf, WHOLE } from './dirty-map.ts';
import { Fetch } from './fetch.ts';
import type { PayloadMemory } from './payload-memory.ts';
import { type PieceReader, PieceStatus } from './piece-reader.ts';
import { copySectors } from './sectors.ts';
import type { Vdi } from './vdi.ts';

export interface ReadPathParts {
  readonly world: World;
  readonly pool: BlockPool;
  readonly cache: MemoryCache;
  readonly slab: CleanSlab;
  readonly tree: TreeReader;
  readonly pieces: PieceReader;
  /** Pages for blocks of which only some sectors are wanted. */
  readonly pages: PayloadMemory;
  /** A block is not what its tree entry says, or cannot be read. */
  readonly onDamage: (vdi: Vdi, index: number, poolBlock: number) => void;
}

export interface ReadCounters {
  blocks: number;
  fromMemory: number;
  fromLog: number;
  fromSlab: number;
  fromPool: number;
  zeros: number;
  /** Walks of a tree: 0 while data is hit. */
  treeLookups: number;
}

const MAX_FETCHES = 256;

export class ReadPath {
  readonly parts: ReadPathParts;
  readonly counters: ReadCounters = {
    blocks: 0,
    fromMemory: 0,
    fromLog: 0,
    fromSlab: 0,
    fromPool: 0,
    zeros: 0,
    treeLookups: 0,
  };
  readonly #idle: Read[] = [];
  readonly #fetches: Fetch[] = [];
  #fetchCount = 0;
  /** Reads that found no fetch or no page. */
  readonly #line = new Fifo<Read>();

  constructor(parts: ReadPathParts) {
    this.parts = parts;
  }

  submit(vdi: Vdi, request: DeviceRequest): void {
    if (vdi.state !== 'serving') {
      request.deviceDone(DeviceStatus.ioError);
      return;
    }
    const read = this.#idle.pop() ?? new Read(this);
    read.begin(vdi, request);
    read.goOn();
  }

  takeFetch(): Fetch | null {
    const free = this.#fetches.pop();
    if (free !== undefined) return free;
    if (this.#fetchCount === MAX_FETCHES) return null;
    this.#fetchCount++;
    return new Fetch(this);
  }

  giveFetch(fetch: Fetch): void {
    this.#fetches.push(fetch);
  }

  waitInLine(read: Read): void {
    this.#line.push(read);
  }

  /** Something came back that a read in line may be waiting for. */
  serveLine(): void {
    if (this.#line.length > 0) this.#line.shift().goOn();
  }

  recycle(read: Read): void {
    this.#idle.push(read);
  }
}

/** One request. */
export class Read implements Lookup {
  root: TreeRoot = NO_ROOT;
  index = 0;
  block = 0;
  crc = 0;
  birth = 0;
  flags = 0;
  readonly #path: ReadPath;
  #vdi: Vdi | null = null;
  #request: DeviceRequest | null = null;
  /** The next block to look at, and the last one. */
  #cursor = 0;
  #last = 0;
  /** Of the block at the cursor: sectors that are wanted and not found yet; 0: not looked at. */
  #missing = 0;
  /** The tree has answered for the block at the cursor. */
  #answered = false;
  #edition = 0;
  /** A run of neighbours that may still grow. */
  #run: Fetch | null = null;
  #inFlight = 0;
  #status: DeviceStatus = DeviceStatus.ok;

  constructor(path: ReadPath) {
    this.#path = path;
  }

  get vdi(): Vdi {
    return this.#vdi ?? fail('a read has an image');
  }

  begin(vdi: Vdi, request: DeviceRequest): void {
    this.#vdi = vdi;
    this.#request = request;
    this.#cursor = Math.floor(request.lba / SECTORS_PER_PAGE);
    this.#last = Math.floor((request.lba + request.sectors - 1) / SECTORS_PER_PAGE);
    this.#missing = 0;
    this.#answered = false;
    this.#inFlight = 1;
    this.#status = DeviceStatus.ok;
  }

  /** Goes on from the cursor as far as nothing has to be waited for. */
  goOn(): void {
    while (this.#cursor <= this.#last && this.#status === DeviceStatus.ok) {
      if (this.#missing === 0 && this.#takeNear()) {
        this.#next();
        continue;
      }
      const outcome = this.#takeFar();
      if (outcome === 'later') return;
      if (outcome === 'no room') {
        this.#sendRun();
        this.#path.waitInLine(this);
        return;
      }
      this.#next();
    }
    this.#sendRun();
    this.done(DeviceStatus.ok);
  }

  lookupDone(status: TreeStatus): void {
    if (status !== TreeStatus.ok) {
      this.#path.parts.onDamage(this.vdi, this.#cursor, 0);
      this.#status = DeviceStatus.ioError;
    }
    this.#answered = true;
    this.goOn();
  }

  /** A fetch, or the walk over the blocks, has ended. */
  done(status: DeviceStatus): void {
    if (status !== DeviceStatus.ok) this.#status = status;
    if (--this.#inFlight > 0) return;
    const request = this.#request ?? fail('a read ends once');
    this.#request = null;
    this.#vdi = null;
    this.root = NO_ROOT;
    this.#path.recycle(this);
    request.deviceDone(this.#status);
  }

  #next(): void {
    this.#cursor++;
    this.#missing = 0;
    this.#answered = false;
  }

  /** Memory and dirty pieces. True: nothing of the block is missing. */
  #takeNear(): boolean {
    const { parts, counters } = this.#path;
    const { vdi } = this;
    const block = this.#cursor;
    const wanted = this.#wanted();
    counters.blocks++;
    const cached = parts.cache.find(vdi.id, block);
    if (cached >= 0) {
      counters.fromMemory++;
      copySectors(parts.world.memory, wanted, cached, this.#target());
      return true;
    }
    this.#missing = vdi.dirty.cover(block, wanted, ALL_BATCHES);
    if (vdi.dirty.found > 0) {
      counters.fromLog++;
      if (parts.pieces.copyFound(vdi.dirty, this.#target()) !== PieceStatus.ok) {
        this.#status = DeviceStatus.ioError;
        return true;
      }
    }
    if (this.#missing === 0 && wanted === WHOLE) this.remember(block, this.#target());
    return this.#missing === 0;
  }

  /** Slab, tree, pool: what is published. */
  #takeFar(): 'taken' | 'later' | 'no room' {
    const { parts, counters } = this.#path;
    const { vdi } = this;
    if (this.#answered) return this.#takeMapped(this.block, this.crc, true);
    const slot = parts.slab.lookup(vdi.id, this.#cursor);
    if (slot >= 0) return this.#takeSlot(slot);
    if (slot === MAPPED)
      return this.#takeMapped(parts.slab.mappedBlock, parts.slab.mappedCrc, false);
    this.root = vdi.root;
    this.index = this.#cursor;
    this.#edition = parts.slab.edition;
    counters.treeLookups++;
    if (!parts.tree.lookup(this)) {
      this.#sendRun();
      return 'later';
    }
    this.#answered = true;
    return this.#takeMapped(this.block, this.crc, true);
  }

  #takeMapped(block: number, crc: number, walked: boolean): 'taken' | 'no room' {
    const { parts, counters } = this.#path;
    if (block === 0) {
      counters.zeros++;
      copySectors(parts.world.memory, this.#missing, -1, this.#target());
      return 'taken';
    }
    if (walked) parts.slab.learn(this.vdi.id, this.#cursor, block, crc, this.#edition);
    const slot = parts.slab.findBlock(block, crc);
    if (slot >= 0) return this.#takeSlot(slot);
    if (this.#missing === WHOLE && this.#run?.takes(this.#cursor, block, crc) === true) {
      return 'taken';
    }
    const fetch = this.#newFetch();
    if (fetch === null) return 'no room';
    fetch.aim(block, crc);
    counters.fromPool++;
    if (this.#missing === WHOLE) {
      this.#sendRun();
      this.#run = fetch;
    } else {
      fetch.readPool();
    }
    return 'taken';
  }

  #takeSlot(slot: number): 'taken' | 'no room' {
    const { parts, counters } = this.#path;
    const isWhole = this.#missing === WHOLE;
    if (isWhole && parts.slab.readsLeft > 0) {
      if (parts.slab.readNow(slot, this.#target()) === SlabStatus.ok) {
        counters.fromSlab++;
        if (parts.cache.wants(this.vdi.id, this.#cursor)) {
          this.remember(this.#cursor, this.#target());
        }
        return 'taken';
      }
    }
    const fetch = this.#newFetch();
    if (fetch === null) return 'no room';
    counters.fromSlab++;
    fetch.readSlab(slot);
    return 'taken';
  }

  /** A fetch of the block at the cursor, in flight from now on; null: none is free. */
  #newFetch(): Fetch | null {
    const { parts } = this.#path;
    const isWhole = this.#missing === WHOLE;
    if (!isWhole && parts.pages.free === 0) return null;
    const fetch = this.#path.takeFetch();
    if (fetch === null) return null;
    this.#inFlight++;
    fetch.begin(this, this.#cursor, this.#missing, this.#target());
    return fetch;
  }

  #sendRun(): void {
    const run = this.#run;
    this.#run = null;
    run?.readPool();
  }

  /** The whole block is known to be this now: the next reader finds it in memory. */
  remember(block: number, source: number): void {
    const { parts } = this.#path;
    parts.world.memory.copy(parts.cache.insert(this.vdi.id, block), source, BLOCK_BYTES);
  }

  #wanted(): number {
    const { lba, sectors } = this.#request ?? fail('a read has a request');
    const start = this.#cursor * SECTORS_PER_PAGE;
    const first = Math.max(lba, start) - start;
    const end = Math.min(lba + sectors, start + SECTORS_PER_PAGE) - start;
    return maskOf(first, end - first);
  }

  /**
   * Byte address at which sector 0 of the block at the cursor belongs; it may lie before the data.
   */
  #target(): number {
    const { lba, address } = this.#request ?? fail('a read has a request');
    return address + (this.#cursor * SECTORS_PER_PAGE - lba) * 512;
  }
}

const NO_ROOT: TreeRoot = { block: 0, crc: 0, birth: 0, flags: 0, height: 1 };
