/**
 * The side page: what stordom adds to a ring, outside the page whose bytes are blkif's.
 *
 * One side page (or a few, for deeper rings) a queue, granted like the ring's own pages and named
 * in the store; a front end that does not know it simply does not name one, and then has no
 * exactly-once replay and no FUA.
 *
 * ```
 * byte  0  magic u32 'SIDE'   4 version u32   8 ringEpoch u32   12 frontId u32
 *                                                              by the front, at set-up
 *      16  heartbeat u32                                       by the back, as it lives
 *      64  entry[n], 32 bytes each, entry number = slot number by the front, before push
 *          0 frontSeq u48   8 writeIndex u48   16 flags u32   20 partOffset u32 (sectors)
 *         24 unitSectors u32   28 zero
 * ```
 *
 * `frontSeq` numbers the guest's requests. A request that is larger than the ring carries travels
 * as several entries with one `frontSeq`, told apart by `partOffset`; `unitSectors` is the whole
 * size. The front end is hostile here too: a lie about `frontSeq` or `writeIndex` harms its own
 * disk only.
 */
import { invariant } from '../base/invariant.ts';
import { PAGE_BYTES } from '../base/units.ts';
import { ringSlots } from './layout.ts';
import type { RingView } from './ports.ts';

export const SIDE_MAGIC = 0x45444953;
export const SIDE_VERSION = 1;
const HEADER_BYTES = 64;
const ENTRY_BYTES = 32;
const ENTRY_WORDS = ENTRY_BYTES / 4;
const RING_EPOCH_WORD = 2;
const FRONT_ID_WORD = 3;
const HEARTBEAT_WORD = 4;

/** The write must be durable before it is acknowledged. */
export const SIDE_FLAG_FUA = 1;

/** A private copy of one entry. */
export interface SideEntry {
  frontSeq: number;
  writeIndex: number;
  flags: number;
  partOffset: number;
  unitSectors: number;
}

export function newSideEntry(): SideEntry {
  return { frontSeq: 0, writeIndex: 0, flags: 0, partOffset: 0, unitSectors: 0 };
}

export function sidePages(order: number): number {
  return Math.ceil((HEADER_BYTES + ringSlots(order) * ENTRY_BYTES) / PAGE_BYTES);
}

export class SidePage {
  readonly #i32: Int32Array;
  readonly #u32: Uint32Array;
  readonly #base: number;

  constructor(view: RingView) {
    invariant(view.baseBytes % 4096 === 0, 'a side page begins on a page');
    this.#i32 = view.i32;
    this.#u32 = view.u32;
    this.#base = view.baseBytes / 4;
  }

  /** By the front end, before it names the page in the store. */
  initialise(ringEpoch: number, frontId: number): void {
    this.#u32[this.#base] = SIDE_MAGIC;
    this.#u32[this.#base + 1] = SIDE_VERSION;
    this.#u32[this.#base + RING_EPOCH_WORD] = ringEpoch;
    this.#u32[this.#base + FRONT_ID_WORD] = frontId;
    this.#u32[this.#base + HEARTBEAT_WORD] = 0;
  }

  get wellFormed(): boolean {
    return this.#u32[this.#base] === SIDE_MAGIC && this.#u32[this.#base + 1] === SIDE_VERSION;
  }

  get ringEpoch(): number {
    return Atomics.load(this.#i32, this.#base + RING_EPOCH_WORD) >>> 0;
  }

  get frontId(): number {
    return Atomics.load(this.#i32, this.#base + FRONT_ID_WORD) >>> 0;
  }

  get heartbeat(): number {
    return Atomics.load(this.#i32, this.#base + HEARTBEAT_WORD) >>> 0;
  }

  beat(): void {
    Atomics.add(this.#i32, this.#base + HEARTBEAT_WORD, 1);
  }

  write(
    slot: number,
    frontSeq: number,
    writeIndex: number,
    flags: number,
    partOffset: number,
    unitSectors: number,
  ): void {
    const u32 = this.#u32;
    const at = this.#entryWord(slot);
    u32[at] = frontSeq >>> 0;
    u32[at + 1] = Math.floor(frontSeq / 2 ** 32);
    u32[at + 2] = writeIndex >>> 0;
    u32[at + 3] = Math.floor(writeIndex / 2 ** 32);
    u32[at + 4] = flags;
    u32[at + 5] = partOffset;
    u32[at + 6] = unitSectors;
  }

  /** Copies one entry out, once. Upper halves are cut to 48 bits: the rest would be a lie. */
  read(slot: number, into: SideEntry): void {
    const u32 = this.#u32;
    const at = this.#entryWord(slot);
    into.frontSeq = ((u32[at + 1] as number) & 0xffff) * 2 ** 32 + (u32[at] as number);
    into.writeIndex = ((u32[at + 3] as number) & 0xffff) * 2 ** 32 + (u32[at + 2] as number);
    into.flags = u32[at + 4] as number;
    into.partOffset = u32[at + 5] as number;
    into.unitSectors = u32[at + 6] as number;
  }

  #entryWord(slot: number): number {
    return this.#base + HEADER_BYTES / 4 + slot * ENTRY_WORDS;
  }
}
