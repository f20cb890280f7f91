/**
 * Watches a ring from outside and says which law was broken, and by which side.
 *
 * `RingMonitor` is an onlooker at the ring's page. `look` is called between steps: in the simulator
 * after each event, in tests after each turn. It keeps its own copy of each request from the moment
 * it was published and judges:
 *
 * - indices: each moves forward only, `req_prod` by no more than the free slots, `rsp_prod` by no
 *   more than what is unanswered; so at most n requests are unanswered;
 * - slots: a published request does not change until a response is written into its slot;
 * - ids: no id is in flight twice; a response names one that is, once, and echoes its operation,
 *   with a status that exists and clean pads.
 *
 * `GrantMonitor` stands between a back end and its grants, as a `GrantMapper` over another. It
 * knows which reference each handle is for, asks its ring monitors which references live requests
 * name, and judges: no data is copied from or to a page that no unanswered request names (so none
 * after the answer), nothing is read before it is mapped, every mapping is given back in the end
 * (`atEnd`).
 *
 * What they cannot see. The page does not tell who wrote a word: a finding names the side that the
 * word belongs to, and a side that writes into the other's words puts the blame there; beside a
 * hostile guest, watch the rings of the honest ones. What was written and overwritten between two
 * looks is not seen; in threads looks race with both sides, so there a monitor proves nothing.
 * Reads of the page itself leave no trace: that slots are copied once is for the tests with
 * mutators to show. A ring is watched from its set-up on: at a page in use the monitor begins with
 * what it finds.
 *
 * Nothing needs a monitor, and it allocates. On a simulated host it is a view of the host's RAM at
 * the ring's page, and a `look` in the `until` of the run.
 */
import type { DomainId, GrantRef } from '../base/units.ts';
import {
  BlkifOp,
  BlkifStatus,
  type EntryWords,
  entryByte1,
  entryHalf1,
  entryIdHigh,
  entryIdLow,
  entryIndirectRef,
  entryOp,
  entrySegmentRef,
  meaningfulWords,
  newEntry,
  responseOp,
  responsePadClean,
  responseStatus,
} from './entries.ts';
import {
  MAX_DIRECT_SEGMENTS,
  REQ_PROD_BYTES,
  RING_HEADER_BYTES,
  RSP_PROD_BYTES,
  ringSlots,
  SEGMENTS_PER_INDIRECT_PAGE,
  SLOT_WORDS,
} from './layout.ts';
import {
  type GrantHandle,
  type GrantMapper,
  GrantStatus,
  type MappedPages,
  type RingView,
} from './ports.ts';

export interface Finding {
  /** Whose word or deed it is. */
  readonly side: 'front' | 'back';
  /** The law, in constant words. */
  readonly law: string;
  readonly detail: string;
}

interface LiveRequest {
  readonly idLow: number;
  readonly idHigh: number;
  readonly echoOp: number;
  /** Pages of data, and of descriptors, that it names. */
  readonly refs: ReadonlySet<number>;
}

/** Where the data page of a reference is, for following indirect requests; null: cannot say. */
export type PageOf = (ref: number) => number | null;

const MAX_FINDINGS = 100;

export class RingMonitor {
  readonly findings: Finding[] = [];
  readonly slots: number;
  readonly #view: RingView;
  readonly #pageOf: PageOf;
  /** By slot: the published request as it was first seen. */
  readonly #published: (EntryWords | null)[];
  readonly #live = new Map<string, LiveRequest>();
  #reqProd: number;
  #rspProd: number;
  /** One lie about an index makes all that follows meaningless. */
  #lost = false;

  constructor(view: RingView, order: number, pageOf: PageOf = () => null) {
    this.slots = ringSlots(order);
    this.#view = view;
    this.#pageOf = pageOf;
    this.#published = Array.from({ length: this.slots }, () => null);
    this.#rspProd = this.#index(RSP_PROD_BYTES);
    this.#reqProd = this.#rspProd;
    this.look();
  }

  /** Requests that were published and not answered. */
  get unanswered(): number {
    return (this.#reqProd - this.#rspProd) >>> 0;
  }

  /** Judges what happened since the last look. */
  look(): void {
    if (this.#lost) return;
    this.#lookAtRequests();
    if (!this.#lost) this.#lookAtResponses();
    if (!this.#lost) this.#lookAtSlots();
  }

  /** Whether an unanswered request names this page. */
  isNamed(ref: number): boolean {
    for (const request of this.#live.values()) if (request.refs.has(ref)) return true;
    return false;
  }

  #lookAtRequests(): void {
    const now = this.#index(REQ_PROD_BYTES);
    const added = (now - this.#reqProd) >>> 0;
    if (added > this.slots - this.unanswered) {
      this.#lose('front', 'req_prod moves forward, by no more than the free slots', added);
      return;
    }
    for (let i = 0; i < added; i++) {
      const slot = (this.#reqProd + i) & (this.slots - 1);
      const entry = this.#copy(slot);
      this.#published[slot] = entry;
      const request = this.#requestOf(entry);
      const key = `${request.idHigh}:${request.idLow}`;
      if (this.#live.has(key)) this.#find('front', 'an id is in flight once', key);
      this.#live.set(key, request);
    }
    this.#reqProd = now;
  }

  #lookAtResponses(): void {
    const now = this.#index(RSP_PROD_BYTES);
    const added = (now - this.#rspProd) >>> 0;
    if (added > this.unanswered) {
      this.#lose('back', 'rsp_prod moves forward, by no more than what is unanswered', added);
      return;
    }
    for (let i = 0; i < added; i++) {
      const slot = (this.#rspProd + i) & (this.slots - 1);
      this.#published[slot] = null;
      this.#judgeResponse(this.#copy(slot));
    }
    this.#rspProd = now;
  }

  #judgeResponse(entry: EntryWords): void {
    const key = `${entry[1] as number}:${entry[0] as number}`;
    const request = this.#live.get(key);
    if (request === undefined) {
      this.#find('back', 'a response names an id that is in flight', key);
      return;
    }
    this.#live.delete(key);
    const op = responseOp(entry);
    if (op !== request.echoOp) {
      this.#find('back', 'a response echoes the operation', `${key}: ${op}, not ${request.echoOp}`);
    }
    const status = responseStatus(entry);
    if (status > BlkifStatus.okay || status < BlkifStatus.notSupported) {
      this.#find('back', 'a status is one of three', `${key}: ${status}`);
    }
    if (!responsePadClean(entry)) this.#find('back', 'pads of a response are zero', key);
  }

  /** Between rsp_prod and req_prod slots hold requests, and nobody may write them. */
  #lookAtSlots(): void {
    const { u32 } = this.#view;
    for (let i = 0; i < this.unanswered; i++) {
      const slot = (this.#rspProd + i) & (this.slots - 1);
      const seen = this.#published[slot];
      if (seen === null || seen === undefined) continue;
      const at = this.#slotWord(slot);
      const words = meaningfulWords(seen[0] as number);
      for (let word = 0; word < words; word++) {
        if (u32[at + word] === seen[word]) continue;
        this.#find('front', 'a published request does not change', `slot ${slot}, word ${word}`);
        this.#published[slot] = null;
        break;
      }
    }
  }

  #requestOf(entry: EntryWords): LiveRequest {
    const op = entryOp(entry);
    const refs = new Set<number>();
    if (op === BlkifOp.indirect) this.#addIndirect(entry, refs);
    else if (op !== BlkifOp.discard) {
      const segments = Math.min(entryByte1(entry), MAX_DIRECT_SEGMENTS);
      for (let i = 0; i < segments; i++) refs.add(entrySegmentRef(entry, i));
    }
    const echoOp = op === BlkifOp.indirect ? entryByte1(entry) : op;
    return { idLow: entryIdLow(entry), idHigh: entryIdHigh(entry), echoOp, refs };
  }

  #addIndirect(entry: EntryWords, refs: Set<number>): void {
    let left = entryHalf1(entry);
    for (let page = 0; left > 0 && page < 8; page++) {
      const ref = entryIndirectRef(entry, page);
      refs.add(ref);
      const address = this.#pageOf(ref);
      const here = Math.min(left, SEGMENTS_PER_INDIRECT_PAGE);
      for (let i = 0; address !== null && i < here; i++) {
        refs.add(this.#view.u32[address / 4 + 2 * i] as number);
      }
      left -= here;
    }
  }

  #copy(slot: number): EntryWords {
    const entry = newEntry();
    const at = this.#slotWord(slot);
    entry.set(this.#view.u32.subarray(at, at + SLOT_WORDS));
    return entry;
  }

  #index(byte: number): number {
    return Atomics.load(this.#view.i32, (this.#view.baseBytes + byte) / 4) >>> 0;
  }

  #slotWord(slot: number): number {
    return (this.#view.baseBytes + RING_HEADER_BYTES) / 4 + slot * SLOT_WORDS;
  }

  #lose(side: Finding['side'], law: string, by: number): void {
    this.#lost = true;
    this.#find(side, law, `by ${by}, ${this.unanswered} of ${this.slots} are unanswered`);
  }

  #find(side: Finding['side'], law: string, detail: string): void {
    if (this.findings.length < MAX_FINDINGS) this.findings.push({ side, law, detail });
  }
}

interface Mapping {
  readonly granter: DomainId;
  readonly ref: number;
  /** Of a ring or side page: read and written at any time. */
  readonly shared: boolean;
}

export class GrantMonitor implements GrantMapper {
  readonly findings: Finding[] = [];
  readonly #under: GrantMapper;
  readonly #mappings = new Map<GrantHandle, Mapping>();
  readonly #rings: { readonly granter: DomainId; readonly ring: RingMonitor }[] = [];

  constructor(under: GrantMapper) {
    this.#under = under;
  }

  /** From now on requests on this ring allow access to the pages they name. */
  watch(granter: DomainId, ring: RingMonitor): void {
    this.#rings.push({ granter, ring });
  }

  /** To be called when the back end has given everything back. */
  atEnd(): readonly Finding[] {
    for (const { granter, ref } of this.#mappings.values()) {
      this.#find('every mapping is given back', `domain ${granter}, reference ${ref}`);
    }
    return this.findings;
  }

  get mappedCount(): number {
    return this.#under.mappedCount;
  }

  map(granter: DomainId, ref: GrantRef, writable: boolean): GrantHandle {
    const handle = this.#under.map(granter, ref, writable);
    if (handle >= 0) this.#mappings.set(handle, { granter, ref, shared: false });
    return handle;
  }

  unmap(handle: GrantHandle): GrantStatus {
    const known = this.#mappings.delete(handle);
    if (!known) this.#find('a mapping is given back once', `handle ${handle}`);
    return this.#under.unmap(handle);
  }

  copyIn(
    handle: GrantHandle,
    pageOffset: number,
    privateAddress: number,
    lengthBytes: number,
  ): GrantStatus {
    this.#judgeAccess(handle, 'read');
    return this.#under.copyIn(handle, pageOffset, privateAddress, lengthBytes);
  }

  copyOut(
    handle: GrantHandle,
    pageOffset: number,
    privateAddress: number,
    lengthBytes: number,
  ): GrantStatus {
    this.#judgeAccess(handle, 'written');
    return this.#under.copyOut(handle, pageOffset, privateAddress, lengthBytes);
  }

  mapSideBySide(granter: DomainId, refs: readonly GrantRef[]): MappedPages | GrantStatus {
    const pages = this.#under.mapSideBySide(granter, refs);
    if (typeof pages === 'number') return pages;
    pages.handles.forEach((handle, at) => {
      this.#mappings.set(handle, { granter, ref: refs[at] as number, shared: true });
    });
    return pages;
  }

  unmapAll(pages: MappedPages): void {
    for (const handle of pages.handles) this.#mappings.delete(handle);
    this.#under.unmapAll(pages);
  }

  #judgeAccess(handle: GrantHandle, how: string): void {
    const mapping = this.#mappings.get(handle);
    if (mapping === undefined) {
      this.#find('a page is mapped before it is used', `handle ${handle} is ${how}`);
      return;
    }
    if (mapping.shared) return;
    for (const { granter, ring } of this.#rings) {
      if (granter !== mapping.granter) continue;
      ring.look();
      if (ring.isNamed(mapping.ref)) return;
    }
    const detail = `domain ${mapping.granter}, reference ${mapping.ref} is ${how}`;
    this.#find('a page is used only for an unanswered request that names it', detail);
  }

  #find(law: string, detail: string): void {
    this.findings.push({ side: 'back', law, detail });
  }
}
