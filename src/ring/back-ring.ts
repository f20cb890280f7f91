/**
 * The back end's side of a ring: it reads requests and makes responses.
 *
 * The front end is hostile: it may write anything anywhere in the page at any time. So the back
 * end's own indices live here, `req_prod` is only ever compared, and a slot is copied out once.
 *
 * `unread` answers `FRONT_LIES` where the claimed number of requests cannot be: more than the slots
 * that are free of unanswered requests. Linux compares req_prod with rsp_prod, which a front end
 * that steps *back* while requests are outstanding slips through; comparing with what we consumed
 * catches both directions.
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

/** `req_prod` claims what cannot be: the ring is halted and its guest ejected. */
export const FRONT_LIES = -1;

export class BackRing {
  readonly slots: number;
  readonly #i32: Int32Array;
  readonly #u32: Uint32Array;
  readonly #base: number;
  readonly #mask: number;
  #reqCons: number;
  #rspProdPvt: number;
  #rspProdPublished: number;

  /** Attaches to a page the front end has initialised; both indices begin at its `rsp_prod`. */
  constructor(view: RingView, order: number) {
    this.slots = ringSlots(order);
    this.#i32 = view.i32;
    this.#u32 = view.u32;
    this.#base = view.baseBytes / 4;
    this.#mask = this.slots - 1;
    const start = Atomics.load(this.#i32, this.#base + RSP_PROD_BYTES / 4) >>> 0;
    this.#reqCons = start;
    this.#rspProdPvt = start;
    this.#rspProdPublished = start;
  }

  get reqCons(): number {
    return this.#reqCons;
  }

  get rspProdPvt(): number {
    return this.#rspProdPvt;
  }

  /** Requests taken and not yet answered. */
  get inFlight(): number {
    return (this.#reqCons - this.#rspProdPvt) >>> 0;
  }

  /** The slot the next request is read from; the side page's entry has the same number. */
  get nextSlot(): number {
    return this.#reqCons & this.#mask;
  }

  /** Requests that wait to be read, or `FRONT_LIES`. */
  unread(): number {
    const produced = Atomics.load(this.#i32, this.#base + REQ_PROD_BYTES / 4);
    const waiting = (produced - this.#reqCons) >>> 0;
    return waiting > this.slots - this.inFlight ? FRONT_LIES : waiting;
  }

  /** Copies the next request out, once, and steps over it. The only reader of request slots. */
  take(into: EntryWords): void {
    const at = this.#slotWord(this.#reqCons);
    const u32 = this.#u32;
    const first = u32[at] as number;
    into[0] = first;
    const words = meaningfulWords(first);
    for (let i = 1; i < words; i++) into[i] = u32[at + i] as number;
    this.#reqCons = (this.#reqCons + 1) >>> 0;
  }

  /** Writes a response into its slot, pads zeroed. It is not visible before `push`. */
  put(idLow: number, idHigh: number, op: number, status: number): void {
    invariant(this.inFlight > 0, 'a response answers a request that was taken');
    const at = this.#slotWord(this.#rspProdPvt);
    const u32 = this.#u32;
    u32[at] = idLow;
    u32[at + 1] = idHigh;
    u32[at + 2] = op | (status << 16);
    u32[at + RESPONSE_WORDS - 1] = 0;
    this.#rspProdPvt = (this.#rspProdPvt + 1) >>> 0;
  }

  /** Publishes what was put. True when the front end asked to be notified. */
  push(): boolean {
    const before = this.#rspProdPublished;
    const now = this.#rspProdPvt;
    this.#rspProdPublished = now;
    Atomics.store(this.#i32, this.#base + RSP_PROD_BYTES / 4, now | 0);
    const event = Atomics.load(this.#i32, this.#base + RSP_EVENT_BYTES / 4);
    return (now - event) >>> 0 < (now - before) >>> 0;
  }

  /**
   * Asks for a notification at the next request and looks once more
   * (RING_FINAL_CHECK_FOR_REQUESTS). True when there is something to look at, a lie included.
   */
  finalCheck(): boolean {
    if (this.unread() !== 0) return true;
    Atomics.store(this.#i32, this.#base + REQ_EVENT_BYTES / 4, (this.#reqCons + 1) | 0);
    return this.unread() !== 0;
  }

  #slotWord(index: number): number {
    return this.#base + RING_HEADER_BYTES / 4 + (index & this.#mask) * SLOT_WORDS;
  }
}
