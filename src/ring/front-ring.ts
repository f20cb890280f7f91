/**
 * The front end's side of a ring: it makes requests and reads responses.
 *
 * Its own indices (`reqProdPvt`, `rspCons`) live here; the shared words are written, never read
 * back. Nothing in a slot means anything before the index that covers it was published, and a
 * response is copied out once before anybody looks at it.
 *
 * Order of a publish: slot bytes (plain stores), `req_prod` (atomic store), read `req_event`, and
 * only then perhaps a notification. JavaScript's atomics are sequentially consistent, which gives
 * ring.h's `wmb` and `mb` for free.
 *
 * Index arithmetic is u32: differences with `>>> 0`, so that the wrap at 2^32 needs no case of its
 * own.
 */
import { invariant } from '../base/invariant.ts';
import { type EntryWords, meaningfulWords } from './entries.ts';
import {
  REQ_EVENT_BYTES,
  REQ_PROD_BYTES,
  RESPONSE_WORDS,
  RING_HEADER_BYTES,
  RSP_EVENT_BYTES,
  RSP_PROD_BYTES,
  ringSlots,
  SLOT_WORDS,
} from './layout.ts';
import type { RingView } from './ports.ts';

export class FrontRing {
  readonly slots: number;
  readonly #i32: Int32Array;
  readonly #u32: Uint32Array;
  readonly #base: number;
  readonly #mask: number;
  #reqProdPvt: number;
  /** What `req_prod` was last set to, so that the shared word is never read back. */
  #reqProdPublished: number;
  #rspCons: number;

  /**
   * Initialises the shared page (SHARED_RING_INIT). `startIndex` is 0 in ring.h; tests start near
   * 2^32 to run through the wrap.
   */
  constructor(view: RingView, order: number, startIndex = 0) {
    invariant(view.baseBytes % 4096 === 0, 'a ring begins on a page');
    this.slots = ringSlots(order);
    this.#i32 = view.i32;
    this.#u32 = view.u32;
    this.#base = view.baseBytes / 4;
    this.#mask = this.slots - 1;
    this.#reqProdPvt = startIndex >>> 0;
    this.#reqProdPublished = startIndex >>> 0;
    this.#rspCons = startIndex >>> 0;
    for (let at = 0; at < RING_HEADER_BYTES / 4; at++) this.#u32[this.#base + at] = 0;
    this.#store(REQ_PROD_BYTES, startIndex);
    this.#store(RSP_PROD_BYTES, startIndex);
    this.#store(REQ_EVENT_BYTES, startIndex + 1);
    this.#store(RSP_EVENT_BYTES, startIndex + 1);
  }

  get reqProdPvt(): number {
    return this.#reqProdPvt;
  }

  get rspCons(): number {
    return this.#rspCons;
  }

  /** Slots into which a request may be put now. */
  get freeSlots(): number {
    return this.slots - ((this.#reqProdPvt - this.#rspCons) >>> 0);
  }

  /** The slot the next request goes to; the side page's entry has the same number. */
  get nextSlot(): number {
    return this.#reqProdPvt & this.#mask;
  }

  /** Copies a request into its slot. It is not visible before `push`. */
  put(entry: EntryWords): void {
    invariant(this.freeSlots > 0, 'a request needs a free slot');
    const at = this.#slotWord(this.#reqProdPvt);
    const words = meaningfulWords(entry[0] as number);
    const u32 = this.#u32;
    for (let i = 0; i < words; i++) u32[at + i] = entry[i] as number;
    this.#reqProdPvt = (this.#reqProdPvt + 1) >>> 0;
  }

  /** Publishes what was put. True when the back end asked to be notified. */
  push(): boolean {
    const before = this.#reqProdPublished;
    const now = this.#reqProdPvt;
    this.#reqProdPublished = now;
    Atomics.store(this.#i32, this.#base + REQ_PROD_BYTES / 4, now | 0);
    const event = Atomics.load(this.#i32, this.#base + REQ_EVENT_BYTES / 4);
    return (now - event) >>> 0 < (now - before) >>> 0;
  }

  /**
   * Responses that wait to be read. More than `answerable` means that the back end lies about
   * `rsp_prod`: the caller must stop using the ring.
   */
  unreadResponses(): number {
    const produced = Atomics.load(this.#i32, this.#base + RSP_PROD_BYTES / 4);
    return (produced - this.#rspCons) >>> 0;
  }

  /** Requests that were put and not yet answered by a response that was read. */
  get unanswered(): number {
    return (this.#reqProdPvt - this.#rspCons) >>> 0;
  }

  /**
   * Requests that were published and not yet answered: no more responses than these can be true.
   */
  get answerable(): number {
    return (this.#reqProdPublished - this.#rspCons) >>> 0;
  }

  /** Copies the next response out, once, and steps over it. */
  take(into: EntryWords): void {
    const at = this.#slotWord(this.#rspCons);
    for (let i = 0; i < RESPONSE_WORDS; i++) into[i] = this.#u32[at + i] as number;
    this.#rspCons = (this.#rspCons + 1) >>> 0;
  }

  /**
   * Asks for a notification at the next response and looks once more
   * (RING_FINAL_CHECK_FOR_RESPONSES). True when a response came meanwhile.
   */
  finalCheck(): boolean {
    if (this.unreadResponses() > 0) return true;
    this.#store(RSP_EVENT_BYTES, this.#rspCons + 1);
    return this.unreadResponses() > 0;
  }

  #slotWord(index: number): number {
    return this.#base + RING_HEADER_BYTES / 4 + (index & this.#mask) * SLOT_WORDS;
  }

  #store(byte: number, value: number): void {
    Atomics.store(this.#i32, this.#base + byte / 4, value | 0);
  }
}
