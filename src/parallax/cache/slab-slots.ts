/**
 * The slots of the clean slab: which pool block each holds, and what is going on with it.
 *
 * States of a slot:
 * ```
 * free ---take---> writing ---written---> clean ---drop---> free
 *                     |                     |
 *                     +---drop--> leaving <-+ (while somebody reads or writes it) ---> free
 * writing, clean, leaving ---retire---> failing (while in use) ---> retired, for ever
 * ```
 * A slot that is writing or clean has its key in the index and is the policy's. A pin is an
 * operation of the disk in flight on the slot: nobody else gets the slot until the last one is
 * over, though its entry may be gone long before.
 *
 * Free slots are chained through their CRCs, which they have no other use for.
 */
import { invariant } from '../../base/invariant.ts';
import type { PoolBlock } from '../../world/block-pool.ts';
import { TABLE_SLOTS, tableBlocksOf } from '../formats/slab-table.ts';
import { BlockIndex, KEY_WORDS } from './block-index.ts';
import type { EvictionKind, EvictionPolicy } from './eviction.ts';
import { makeEviction } from './make-eviction.ts';

const SlotState = { free: 0, writing: 1, clean: 2, leaving: 3, failing: 4, retired: 5 } as const;

/** Words of a slot's record, behind its key: a lookup pays for one cache line. */
const Word = { crc: KEY_WORDS, linkPlusOne: KEY_WORDS + 1 } as const;
const SLOT_WORDS = KEY_WORDS + 2;
const U32_RANGE = 2 ** 32;
/** End of the chain of free slots; no slot has this number. */
const CHAIN_END = U32_RANGE - 1;
/** A victim may be in use; then the next one is asked for, a few times. */
const VICTIMS_MAX = 4;
export const PINS_MAX = 255;
/** Nobody is known to have the block of a slot, or the content of a block is not linked to. */
export const NO_LINK: number = -1;

export class SlabSlots {
  readonly #index: BlockIndex;
  readonly #words: Uint32Array;
  readonly #policy: EvictionPolicy;
  readonly #state: Uint8Array;
  readonly #pins: Uint8Array;
  readonly #marks: TableMarks;
  #freeHead = CHAIN_END;
  #evicted = 0;
  #retired = 0;

  constructor(slots: number, kind: EvictionKind, salt: number, marks: TableMarks) {
    this.#index = new BlockIndex(slots, salt, SLOT_WORDS);
    this.#words = this.#index.records;
    this.#policy = makeEviction(kind, this.#index, salt);
    this.#state = new Uint8Array(slots);
    this.#pins = new Uint8Array(slots);
    this.#marks = marks;
  }

  get count(): number {
    return this.#index.slots;
  }

  /** Slots that hold a block or are being written. */
  get used(): number {
    return this.#index.count;
  }

  get evicted(): number {
    return this.#evicted;
  }

  get retired(): number {
    return this.#retired;
  }

  get sizeBytes(): number {
    const own = this.#state.byteLength + this.#pins.byteLength;
    return own + this.#index.sizeBytes + this.#policy.sizeBytes;
  }

  /** The slot of a block, also one that is still being written; -1 if there is none. */
  find(block: PoolBlock): number {
    return this.#index.find(Math.floor(block / U32_RANGE), block >>> 0);
  }

  /**
   * The slot that a block can be read from; -1 if there is none. `hint`, any number, is the slot to
   * look at first: if it has the block nothing is searched.
   */
  findClean(block: PoolBlock, hint: number): number {
    // Beyond the last slot there is no state.
    if (this.#state[hint] === SlotState.clean && this.blockOf(hint) === block) return hint;
    const slot = this.find(block);
    return slot >= 0 && this.#state[slot] === SlotState.clean ? slot : -1;
  }

  isClean(slot: number): boolean {
    return this.#state[slot] === SlotState.clean;
  }

  blockOf(slot: number): PoolBlock {
    return this.#index.highOf(slot) * U32_RANGE + this.#index.lowOf(slot);
  }

  /** CRC of a slot's content. */
  crcOf(slot: number): number {
    return this.#words[slot * SLOT_WORDS + Word.crc] as number;
  }

  /**
   * The link that named the slot's block last, or `NO_LINK`: see `SlabLinks`. It may be another
   * block's now.
   */
  linkOf(slot: number): number {
    return (this.#words[slot * SLOT_WORDS + Word.linkPlusOne] as number) - 1;
  }

  setLink(slot: number, link: number): void {
    this.#words[slot * SLOT_WORDS + Word.linkPlusOne] = link + 1;
  }

  hit(slot: number): void {
    this.#policy.hit(slot);
  }

  /** Makes a slot `writing` for a block that has none, and pins it; -1 if all are in use. */
  take(block: PoolBlock, crc: number): number {
    const high = Math.floor(block / U32_RANGE);
    const low = block >>> 0;
    for (let tries = 0; this.#freeHead === CHAIN_END; tries++) {
      const victim = tries < VICTIMS_MAX ? this.#policy.victim(high, low) : -1;
      if (victim < 0) return -1;
      this.#evicted++;
      this.#vacate(victim);
    }
    const slot = this.#popFree();
    this.#enter(slot, high, low, crc, SlotState.writing);
    this.#pins[slot] = 1;
    return slot;
  }

  /** The write of a taken slot has ended well. */
  written(slot: number): void {
    if (this.#state[slot] === SlotState.writing) {
      this.#state[slot] = SlotState.clean;
      this.#marks.mark(slot);
    }
    this.unpin(slot);
  }

  /** Takes a slot's entry away. */
  drop(slot: number): void {
    this.#policy.removed(slot);
    this.#vacate(slot);
  }

  /** Takes a slot's entry away, if it has one, and never uses the slot again. */
  retire(slot: number): void {
    const state = this.#state[slot];
    if (state === SlotState.writing || state === SlotState.clean) {
      this.#policy.removed(slot);
      this.#index.remove(slot);
      this.#marks.mark(slot);
    }
    if (state === SlotState.failing) return;
    this.#state[slot] = this.#pins[slot] === 0 ? SlotState.retired : SlotState.failing;
    this.#retired++;
  }

  pin(slot: number): void {
    invariant((this.#pins[slot] as number) < PINS_MAX, 'operations on a slot are few');
    this.#pins[slot] = (this.#pins[slot] as number) + 1;
  }

  unpin(slot: number): void {
    const left = (this.#pins[slot] as number) - 1;
    invariant(left >= 0, 'an operation on a slot ends once');
    this.#pins[slot] = left;
    if (left > 0) return;
    if (this.#state[slot] === SlotState.leaving) this.release(slot);
    else if (this.#state[slot] === SlotState.failing) this.#state[slot] = SlotState.retired;
  }

  /** Makes a slot clean that a table says holds this block; false if another slot has it. */
  restore(slot: number, block: PoolBlock, crc: number): boolean {
    if (this.find(block) >= 0) return false;
    this.#enter(slot, Math.floor(block / U32_RANGE), block >>> 0, crc, SlotState.clean);
    return true;
  }

  /** Makes a slot free that holds nothing. */
  release(slot: number): void {
    this.#state[slot] = SlotState.free;
    this.#setCrc(slot, this.#freeHead);
    this.#freeHead = slot;
  }

  #enter(slot: number, high: number, low: number, crc: number, state: number): void {
    this.#index.insert(high, low, slot);
    this.#policy.inserted(slot, high, low);
    this.#state[slot] = state;
    this.#setCrc(slot, crc);
    this.setLink(slot, NO_LINK);
  }

  #popFree(): number {
    const slot = this.#freeHead;
    invariant(slot !== CHAIN_END, 'there is a free slot');
    this.#freeHead = this.crcOf(slot);
    return slot;
  }

  #setCrc(slot: number, crc: number): void {
    this.#words[slot * SLOT_WORDS + Word.crc] = crc;
  }

  /** Frees a slot that is not the policy's any more, now or when nobody uses it. */
  #vacate(slot: number): void {
    this.#index.remove(slot);
    this.#marks.mark(slot);
    if (this.#pins[slot] === 0) this.release(slot);
    else this.#state[slot] = SlotState.leaving;
  }
}

/** Which blocks of the table no longer say what is true. */
export class TableMarks {
  /** Called when something is marked. */
  onMark: () => void = () => undefined;
  readonly #marks: Uint8Array;
  #count = 0;

  constructor(slots: number) {
    this.#marks = new Uint8Array(tableBlocksOf(slots));
  }

  get count(): number {
    return this.#count;
  }

  get tableBlocks(): number {
    return this.#marks.length;
  }

  /** The table block of this slot has to be written. */
  mark(slot: number): void {
    const at = Math.floor(slot / TABLE_SLOTS);
    if (this.#marks[at] === 1) return;
    this.#marks[at] = 1;
    this.#count++;
    this.onMark();
  }

  /** Whether a table block was marked; it is not any more. */
  take(tableBlock: number): boolean {
    if (this.#marks[tableBlock] === 0) return false;
    this.#marks[tableBlock] = 0;
    this.#count--;
    return true;
  }
}
