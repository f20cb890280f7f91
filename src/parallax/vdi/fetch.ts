/**
 * Blocks on their way from the slab or the pool to a guest's read: one block of which some sectors
 * are wanted, or a run of whole blocks that are neighbours in the image and in the pool.
 *
 * Whole blocks are read to where the request wants them. Of others a page is read and the sectors
 * are copied. What comes from the pool is checked against the CRC of its tree entry, goes into the
 * slab, and, if nothing of it is dirty, into memory.
 *
 * A slot of the slab that turns out to hold something else is no error: the block is looked up in
 * the tree and read from the pool.
 */
import { fail } from '../../base/invariant.ts';
import { PAGE_BYTES } from '../../base/units.ts';
import { DeviceStatus } from '../../world/block-device.ts';
import { BLOCK_BYTES, type PoolIo, PoolStatus } from '../../world/block-pool.ts';
import { type SlabRead, SlabStatus } from '../cache/slab-io.ts';
import type { TreeRoot } from '../formats/tree-root.ts';
import { TreeStatus } from '../tree/node-loader.ts';
import type { Lookup } from '../tree/tree-reader.ts';
import { WHOLE } from './dirty-map.ts';
import type { Read, ReadPath } from './read-path.ts';
import { copySectors } from './sectors.ts';
import type { Vdi } from './vdi.ts';

/** Blocks of a run: 256 KiB. */
export const RUN_BLOCKS = 64;

export class Fetch implements PoolIo, SlabRead, Lookup {
  // As the pool sees it; `block` is also what a lookup finds.
  block = 0;
  blocks = 0;
  readonly buffer: Uint8Array;
  bufferOffset = 0;
  // As the slab sees it.
  slot = 0;
  address = 0;
  // As the tree sees it.
  root: TreeRoot;
  /** First block of the image. */
  index = 0;
  crc = 0;
  birth = 0;
  flags = 0;
  readonly #path: ReadPath;
  readonly #crcs = new Uint32Array(RUN_BLOCKS);
  #read: Read | null = null;
  /** The published state that it reads; another one may be published meanwhile. */
  #image: Vdi['image'] | null = null;
  #mask = 0;
  /** Where sector 0 of the block belongs, if only some sectors are wanted. */
  #target = 0;

  constructor(path: ReadPath) {
    this.#path = path;
    this.buffer = path.parts.world.memory.u8;
    this.root = { block: 0, crc: 0, birth: 0, flags: 0, height: 1 };
  }

  begin(read: Read, index: number, mask: number, target: number): void {
    this.#read = read;
    this.#image = read.vdi.image;
    this.index = index;
    this.blocks = 1;
    this.#mask = mask;
    this.#target = target;
    this.address = mask === WHOLE ? target : this.#path.parts.pages.take();
    this.bufferOffset = this.address;
  }

  /** Its first block is this one of the pool. */
  aim(block: number, crc: number): void {
    this.block = block;
    this.#crcs[0] = crc;
  }

  /** Takes one more block if it follows the last one, in the image and in the pool. */
  takes(index: number, block: number, crc: number): boolean {
    const follows = index === this.index + this.blocks && block === this.block + this.blocks;
    if (!follows || this.blocks === RUN_BLOCKS) return false;
    this.#crcs[this.blocks++] = crc;
    return true;
  }

  readPool(): void {
    this.#path.parts.pool.read(this);
  }

  readSlab(slot: number): void {
    this.slot = slot;
    if (!this.#path.parts.slab.read(this)) this.#lookUp();
  }

  slabDone(status: SlabStatus): void {
    if (status === SlabStatus.ok) this.#end(DeviceStatus.ok);
    else this.#lookUp();
  }

  lookupDone(status: TreeStatus): void {
    if (status !== TreeStatus.ok) this.#damaged();
    else if (this.block === 0) {
      this.#path.parts.world.memory.clear(this.address, BLOCK_BYTES);
      this.#end(DeviceStatus.ok);
    } else {
      this.#crcs[0] = this.crc;
      this.readPool();
    }
  }

  poolDone(status: PoolStatus): void {
    if (status !== PoolStatus.ok) {
      this.#damaged();
      return;
    }
    const { world, slab } = this.#path.parts;
    const { vdi } = this.#read ?? fail('a fetch has a read');
    for (let i = 0; i < this.blocks; i++) {
      const address = this.address + i * BLOCK_BYTES;
      const crc = this.#crcs[i] as number;
      if (world.digest.crc32(world.memory.u8, address, BLOCK_BYTES) !== crc) {
        this.#damaged();
        return;
      }
      slab.insert(this.block + i, crc, address, slab.linkOf(vdi.id, this.index + i));
    }
    this.#end(DeviceStatus.ok);
  }

  #lookUp(): void {
    const { tree } = this.#path.parts;
    this.root = (this.#read ?? fail('a fetch has a read')).vdi.root;
    this.#path.counters.treeLookups++;
    if (tree.lookup(this)) this.lookupDone(TreeStatus.ok);
  }

  #damaged(): void {
    const { vdi } = this.#read ?? fail('a fetch has a read');
    this.#path.parts.onDamage(vdi, this.index, this.block);
    this.#end(DeviceStatus.ioError);
  }

  #end(status: DeviceStatus): void {
    const { pages, world } = this.#path.parts;
    const read = this.#read ?? fail('a fetch ends once');
    const isWhole = this.#mask === WHOLE;
    if (status === DeviceStatus.ok) {
      if (!isWhole) copySectors(world.memory, this.#mask, this.address, this.#target);
      this.#remember(read, isWhole);
    }
    if (!isWhole) pages.give(this.address);
    this.#read = null;
    this.#image = null;
    this.#path.giveFetch(this);
    read.done(status);
    this.#path.serveLine();
  }

  /**
   * Whole blocks cannot have changed while they were read. Others may have, in sectors that this
   * read did not want: then the page is not the newest content of its block.
   */
  #remember(read: Read, isWhole: boolean): void {
    const { vdi } = read;
    if (!isWhole && (vdi.image !== this.#image || vdi.dirty.has(this.index))) return;
    for (let i = 0; i < this.blocks; i++) {
      read.remember(this.index + i, this.address + i * PAGE_BYTES);
    }
  }
}
