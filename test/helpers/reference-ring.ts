/**
 * A ring as ring.h describes it, in plain arrays: what FrontRing and BackRing are held against.
 *
 * Both sides stand in one object, indices are BigInt and never wrap, and slots are arrays of what
 * was put; nothing here knows of bytes. `& U32` appears only where ring.h compares with 32 bits.
 */
export class ReferenceRing {
  readonly slots: (bigint | null)[];
  reqProd: bigint;
  reqProdPvt: bigint;
  reqEvent: bigint;
  reqCons: bigint;
  rspProd: bigint;
  rspProdPvt: bigint;
  rspEvent: bigint;
  rspCons: bigint;

  constructor(slots: number, start: number) {
    this.slots = Array.from({ length: slots }, () => null);
    const at = BigInt(start);
    this.reqProd = this.reqProdPvt = this.reqCons = at;
    this.rspProd = this.rspProdPvt = this.rspCons = at;
    this.reqEvent = this.rspEvent = at + 1n;
  }

  get freeSlots(): number {
    return this.slots.length - Number(this.reqProdPvt - this.rspCons);
  }

  get unread(): number {
    return Number(this.reqProd - this.reqCons);
  }

  get unreadResponses(): number {
    return Number(this.rspProd - this.rspCons);
  }

  get inFlight(): number {
    return Number(this.reqCons - this.rspProdPvt);
  }

  putRequest(id: bigint): void {
    this.slots[this.#slot(this.reqProdPvt++)] = id;
  }

  /** RING_PUSH_REQUESTS_AND_CHECK_NOTIFY: true when the event index lies in what was pushed. */
  pushRequests(): boolean {
    const old = this.reqProd;
    this.reqProd = this.reqProdPvt;
    return old < this.reqEvent && this.reqEvent <= this.reqProd;
  }

  takeRequest(): bigint | null {
    return this.slots[this.#slot(this.reqCons++)] ?? null;
  }

  putResponse(id: bigint): void {
    this.slots[this.#slot(this.rspProdPvt++)] = id;
  }

  pushResponses(): boolean {
    const old = this.rspProd;
    this.rspProd = this.rspProdPvt;
    return old < this.rspEvent && this.rspEvent <= this.rspProd;
  }

  takeResponse(): bigint | null {
    return this.slots[this.#slot(this.rspCons++)] ?? null;
  }

  finalCheckRequests(): boolean {
    if (this.unread > 0) return true;
    this.reqEvent = this.reqCons + 1n;
    return this.unread > 0;
  }

  finalCheckResponses(): boolean {
    if (this.unreadResponses > 0) return true;
    this.rspEvent = this.rspCons + 1n;
    return this.unreadResponses > 0;
  }

  #slot(index: bigint): number {
    return Number(index % BigInt(this.slots.length));
  }
}
