/**
 * blkfront: one ring of a disk, seen from the guest.
 *
 * The private shadow is the only truth. A request is built here, kept by its id with all its pages,
 * and copied out to the ring; the ring is never read back. A response is copied once and believed
 * only as far as the shadow agrees, in this order:
 *
 *   rsp_prod possible -> copy -> id known -> shadow waiting -> operation matches -> status
 *   normalised -> data copied out -> pages taken back -> id free
 *
 * A back end that breaks these rules is broken for good: `violation` is set, the ring is not
 * touched again, and what is unanswered waits for a new back end (or fails, as the disk's policy
 * says). Pad bytes that are not zero are only counted: they say that a back end leaks memory, not
 * that it lies.
 */
import { StorageError } from '../base/errors.ts';
import { invariant, present } from '../base/invariant.ts';
import { PAGE_BYTES, SECTOR_BYTES, SECTORS_PER_PAGE } from '../base/units.ts';
import {
  BlkifOp,
  BlkifStatus,
  encodeDirect,
  encodeDiscard,
  encodeIndirect,
  encodeIndirectRef,
  encodeSegment,
  newEntry,
  responseId,
  responseOp,
  responsePadClean,
  responseStatus,
  segmentRange,
} from '../ring/entries.ts';
import type { FrontRing } from '../ring/front-ring.ts';
import { MAX_DIRECT_SEGMENTS, SEGMENTS_PER_INDIRECT_PAGE } from '../ring/layout.ts';
import type { EventChannel } from '../ring/ports.ts';
import { SIDE_FLAG_FUA, type SidePage } from '../ring/side-page.ts';
import type { World } from '../world/world.ts';
import type { FrontPage, FrontPages } from './front-pages.ts';
import { FrontOp, type FrontRequest, FrontStatus } from './front-request.ts';

/** What the back end offers; limits are known before the ring, the rest when it is connected. */
export interface BackFeatures {
  readonly sectors: number;
  readonly sectorSizeBytes: number;
  readonly readonly: boolean;
  readonly flush: boolean;
  readonly barrier: boolean;
  readonly discard: boolean;
  readonly fua: boolean;
  /** 0: no indirect requests. */
  readonly maxIndirectSegments: number;
}

export interface FrontQueueParts {
  readonly world: World;
  readonly ring: FrontRing;
  readonly side: SidePage | null;
  readonly channel: EventChannel;
  readonly pages: FrontPages;
  readonly features: BackFeatures;
  readonly publish: 'each' | 'batch';
  /** A part of a request is answered. */
  readonly partDone: (request: FrontRequest, status: FrontStatus) => void;
}

/** What is unanswered on a ring whose back end is gone: part of a request, to be sent again. */
export interface UnansweredPart {
  readonly request: FrontRequest;
  readonly offset: number;
  readonly sectors: number;
}

/** Cost of building or finishing a request in the simulator; measured in threads. */
const REQUEST_COST_NS = 500;
const COPY_COST_NS_PER_SECTOR = 40;

class Shadow {
  request: FrontRequest | null = null;
  /** The request was reported as an error; the id stays taken until the back end answers it. */
  expired = false;
  offset = 0;
  sectors = 0;
  /** The operation a response must echo. */
  echoOp = 0;
  readonly pages: FrontPage[] = [];
  /** Pages that hold segment descriptors. */
  readonly descriptorPages: FrontPage[] = [];
}

export class FrontQueue {
  readonly #parts: FrontQueueParts;
  readonly #ring: FrontRing;
  readonly #shadows: Shadow[] = [];
  readonly #freeIds: number[] = [];
  readonly #entry = newEntry();
  readonly #maxSegments: number;
  #violation: string | null = null;
  #unpublished = false;
  /** Responses with pad bytes that were not zero. */
  dirtyPads = 0;

  constructor(parts: FrontQueueParts) {
    this.#parts = parts;
    this.#ring = parts.ring;
    this.#maxSegments = Math.max(MAX_DIRECT_SEGMENTS, parts.features.maxIndirectSegments);
    for (let id = parts.ring.slots - 1; id >= 0; id--) this.#freeIds.push(id);
    for (let id = 0; id < parts.ring.slots; id++) this.#shadows.push(new Shadow());
  }

  /** How the back end broke the protocol; null while it has not. */
  get violation(): string | null {
    return this.#violation;
  }

  get inFlight(): number {
    return this.#ring.slots - this.#freeIds.length;
  }

  /**
   * Sends one part of a request, beginning `offset` sectors into it and ending at `end` at most.
   * Returns how many sectors it carries (0 for a flush), or -1 when there is no slot or page now.
   */
  send(request: FrontRequest, offset: number, end: number): number {
    if (this.#violation !== null || this.#freeIds.length === 0) return -1;
    const id = this.#freeIds[this.#freeIds.length - 1] as number;
    const shadow = this.#shadows[id] as Shadow;
    shadow.offset = offset;
    shadow.sectors = this.#partSectors(request, offset, end);
    if (!this.#lendPages(request, shadow)) return -1;
    this.#freeIds.pop();
    shadow.request = request;
    this.#encode(request, shadow, id);
    const slot = this.#ring.nextSlot;
    const flags = this.#wantsSideFua(request) ? SIDE_FLAG_FUA : 0;
    const { frontSeq, writeIndex, sectors } = request;
    this.#parts.side?.write(slot, frontSeq, writeIndex, flags, offset, sectors);
    this.#ring.put(this.#entry);
    this.#parts.world.cpu.spend(REQUEST_COST_NS + shadow.sectors * COPY_COST_NS_PER_SECTOR);
    this.#parts.world.crashPoint('front.after-slot-copy');
    if (this.#parts.publish === 'each') this.#publish();
    else this.#unpublished = true;
    return shadow.sectors;
  }

  /** Publishes what a batch put. */
  flush(): void {
    if (this.#unpublished) this.#publish();
  }

  /** Reads the responses that are there. Returns how many. */
  poll(): number {
    if (this.#violation !== null) return 0;
    const waiting = this.#ring.unreadResponses();
    if (waiting > this.#ring.answerable) {
      this.#violate(`rsp_prod claims ${waiting} responses to ${this.#ring.answerable} requests`);
      return 0;
    }
    for (let i = 0; i < waiting; i++) {
      this.#ring.take(this.#entry);
      if (!this.#answer()) return i;
    }
    return waiting;
  }

  /** Asks for a doorbell at the next response. True when one came meanwhile. */
  finalCheck(): boolean {
    this.#parts.channel.acknowledge();
    return this.#violation === null && this.#ring.finalCheck();
  }

  /** Requests on the ring for longer than `ageNs`, each once; empty nearly always. */
  olderThan(nowNs: number, ageNs: number): ReadonlySet<FrontRequest> {
    const late = new Set<FrontRequest>();
    for (const { request, expired } of this.#shadows) {
      if (request !== null && !expired && nowNs - request.submittedNs > ageNs) late.add(request);
    }
    return late;
  }

  /**
   * The request is given up: what the back end still answers to it is read and thrown away. Its
   * pages stay granted until then, because the back end may still use them.
   */
  expire(request: FrontRequest): void {
    for (const shadow of this.#shadows) if (shadow.request === request) shadow.expired = true;
  }

  /** How often the back end has shown that it lives; -1 without a side page. */
  get heartbeat(): number {
    return this.#parts.side?.heartbeat ?? -1;
  }

  /**
   * Gives up the ring: hands out what is unanswered, by id, and takes every page back. The back end
   * must be gone and the hypervisor must have ended its mappings.
   */
  abandon(): UnansweredPart[] {
    const unanswered: UnansweredPart[] = [];
    for (const shadow of this.#shadows) {
      if (shadow.request === null) continue;
      const { request, offset, sectors } = shadow;
      if (!shadow.expired) unanswered.push({ request, offset, sectors });
      this.#free(shadow);
    }
    this.#violation ??= 'abandoned';
    return unanswered;
  }

  checkInvariants(): void {
    if (this.#violation !== null) return;
    invariant(
      this.inFlight === this.#ring.unanswered,
      'each request on the ring has a shadow and each shadow is on the ring',
    );
  }

  #publish(): void {
    this.#unpublished = false;
    this.#parts.world.crashPoint('front.before-index-publish');
    if (this.#ring.push()) this.#parts.channel.notify();
    this.#parts.world.crashPoint('front.after-index-publish');
  }

  #partSectors(request: FrontRequest, offset: number, end: number): number {
    if (request.op === FrontOp.discard) return end - offset;
    const largest = this.#maxSegments * SECTORS_PER_PAGE - shiftOf(request.lba + offset);
    return Math.min(end - offset, largest);
  }

  /** Lends all pages a part needs, or none. */
  #lendPages(request: FrontRequest, shadow: Shadow): boolean {
    if (request.op === FrontOp.discard || shadow.sectors === 0) return true;
    const segments = segmentsOf(request, shadow);
    const readonly = request.op !== FrontOp.read;
    while (shadow.pages.length < segments) {
      const page = this.#parts.pages.lend(readonly);
      if (page === null) return this.#wait(shadow);
      shadow.pages.push(page);
    }
    if (segments <= MAX_DIRECT_SEGMENTS) return true;
    const descriptorPages = Math.ceil(segments / SEGMENTS_PER_INDIRECT_PAGE);
    while (shadow.descriptorPages.length < descriptorPages) {
      const page = this.#parts.pages.lend(true);
      if (page === null) return this.#wait(shadow);
      shadow.descriptorPages.push(page);
    }
    return true;
  }

  /** No page now: others will come back with responses, unless all that are out are ours. */
  #wait(shadow: Shadow): false {
    const { pages } = this.#parts;
    const own = shadow.pages.length + shadow.descriptorPages.length;
    const hopeless = pages.lent === own;
    this.#returnPages(shadow);
    if (!hopeless) return false;
    if (pages.stuck > 0) {
      return this.#violate(`the back end keeps ${pages.stuck} pages that it has answered for`);
    }
    throw new StorageError(
      'E_GUEST_MEMORY_FULL',
      `a request of ${shadow.sectors} sectors needs more pages than the guest has or may grant`,
      { fields: { sectors: shadow.sectors, pages: own } },
    );
  }

  #returnPages(shadow: Shadow): void {
    for (let page = shadow.pages.pop(); page !== undefined; page = shadow.pages.pop()) {
      this.#parts.pages.giveBack(page);
    }
    const descriptors = shadow.descriptorPages;
    for (let page = descriptors.pop(); page !== undefined; page = descriptors.pop()) {
      this.#parts.pages.giveBack(page);
    }
  }

  #encode(request: FrontRequest, shadow: Shadow, id: number): void {
    const lba = request.lba + shadow.offset;
    const op = this.#blkifOp(request);
    shadow.echoOp = op;
    if (request.op === FrontOp.discard) {
      encodeDiscard(this.#entry, 0, id, lba, shadow.sectors);
    } else if (shadow.descriptorPages.length > 0) {
      encodeIndirect(this.#entry, op, shadow.pages.length, 0, id, lba);
      for (let i = 0; i < shadow.descriptorPages.length; i++) {
        const page = present(shadow.descriptorPages[i], 'a descriptor page was lent');
        encodeIndirectRef(this.#entry, i, page.ref);
      }
      this.#eachSegment(request, shadow, true);
    } else {
      const blockAddress = shadow.sectors === 0 ? 0 : lba;
      encodeDirect(this.#entry, op, shadow.pages.length, 0, id, blockAddress);
      this.#eachSegment(request, shadow, false);
    }
  }

  /** Describes each page and, for a write, fills it. */
  #eachSegment(request: FrontRequest, shadow: Shadow, indirect: boolean): void {
    const { memory } = this.#parts.world;
    let first = shiftOf(request.lba + shadow.offset);
    let left = shadow.sectors;
    let address = request.address + shadow.offset * SECTOR_BYTES;
    for (let i = 0; i < shadow.pages.length; i++) {
      const page = shadow.pages[i] as FrontPage;
      const count = Math.min(left, SECTORS_PER_PAGE - first);
      if (request.op !== FrontOp.read) {
        memory.copy(page.address + first * SECTOR_BYTES, address, count * SECTOR_BYTES);
      }
      if (indirect) this.#describe(shadow, i, page.ref, segmentRange(first, first + count - 1));
      else encodeSegment(this.#entry, i, page.ref, first, first + count - 1);
      address += count * SECTOR_BYTES;
      left -= count;
      first = 0;
    }
  }

  #describe(shadow: Shadow, segment: number, ref: number, range: number): void {
    const { u32 } = this.#parts.world.memory;
    const page = shadow.descriptorPages[Math.floor(segment / SEGMENTS_PER_INDIRECT_PAGE)];
    const base = present(page, 'each segment has a descriptor page').address;
    const word = (base + ((segment * 8) % PAGE_BYTES)) / 4;
    u32[word] = ref;
    u32[word + 1] = range;
  }

  #blkifOp(request: FrontRequest): number {
    switch (request.op) {
      case FrontOp.read:
        return BlkifOp.read;
      case FrontOp.write:
        return request.fua && !this.#wantsSideFua(request) ? BlkifOp.writeBarrier : BlkifOp.write;
      case FrontOp.flush:
        return BlkifOp.flush;
      case FrontOp.discard:
        return BlkifOp.discard;
      case FrontOp.barrier:
        return BlkifOp.writeBarrier;
    }
  }

  /** FUA travels in the side page where both ends have one; otherwise as a barrier. */
  #wantsSideFua(request: FrontRequest): boolean {
    return request.fua && this.#parts.side !== null && this.#parts.features.fua;
  }

  /** Handles the response in `#entry`. False when the back end broke the protocol. */
  #answer(): boolean {
    const id = responseId(this.#entry);
    const shadow = id < this.#shadows.length ? (this.#shadows[id] as Shadow) : null;
    if (shadow === null) return this.#violate(`response to id ${id}, which no request can have`);
    const request = shadow.request;
    if (request === null) return this.#violate(`response to id ${id}, which is not in flight`);
    const op = responseOp(this.#entry);
    if (op !== shadow.echoOp) {
      return this.#violate(`response to id ${id} echoes operation ${op}, not ${shadow.echoOp}`);
    }
    if (!responsePadClean(this.#entry)) this.dirtyPads++;
    if (shadow.expired) {
      this.#free(shadow);
      this.#freeIds.push(id);
      return true;
    }
    const status = normalised(responseStatus(this.#entry));
    if (status === FrontStatus.ok && request.op === FrontOp.read) this.#copyOut(request, shadow);
    this.#parts.world.cpu.spend(REQUEST_COST_NS);
    this.#free(shadow);
    this.#freeIds.push(id);
    this.#parts.partDone(request, status);
    return true;
  }

  #copyOut(request: FrontRequest, shadow: Shadow): void {
    const { memory } = this.#parts.world;
    let first = shiftOf(request.lba + shadow.offset);
    let left = shadow.sectors;
    let address = request.address + shadow.offset * SECTOR_BYTES;
    for (let i = 0; i < shadow.pages.length; i++) {
      const count = Math.min(left, SECTORS_PER_PAGE - first);
      const page = shadow.pages[i] as FrontPage;
      memory.copy(address, page.address + first * SECTOR_BYTES, count * SECTOR_BYTES);
      address += count * SECTOR_BYTES;
      left -= count;
      first = 0;
    }
  }

  #free(shadow: Shadow): void {
    this.#returnPages(shadow);
    shadow.request = null;
    shadow.expired = false;
  }

  #violate(what: string): false {
    this.#violation = what;
    this.#parts.world.log.note(`back end broke the protocol: ${what}`);
    return false;
  }
}

/** Data keeps its place inside a page, as in a page cache: a request at sector 3 begins there. */
function shiftOf(lba: number): number {
  return lba % SECTORS_PER_PAGE;
}

function segmentsOf(request: FrontRequest, shadow: Shadow): number {
  const shift = shiftOf(request.lba + shadow.offset);
  return Math.ceil((shift + shadow.sectors) / SECTORS_PER_PAGE);
}

function normalised(status: number): FrontStatus {
  if (status === BlkifStatus.okay) return FrontStatus.ok;
  return status === BlkifStatus.notSupported ? FrontStatus.notSupported : FrontStatus.error;
}
