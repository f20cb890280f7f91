/**
 * Mapping other domains' pages in emulated host RAM: what the hypervisor does for
 * `GNTTABOP_map_grant_ref`, with its checks, codes and counts.
 *
 * A handle names one mapping. Several handles may name one grant; the `reading` and `writing` bits
 * of the grant's entry stay set while any of them does, which is what keeps its owner from taking
 * the page back. Only the domain that a grant names can map it, so these counts need no memory
 * shared with anybody: when the mapping domain dies, the toolstack clears both bits of every grant
 * that names it (`hypervisor/machine.ts`), as Xen does when a domain is destroyed.
 *
 * A handle keeps the frame it was made with. A guest that changes the frame of a mapped entry
 * changes nothing for the holder of the mapping (G5).
 *
 * Not done: transitive grants, transfer, and pages that are not side by side where a ring needs
 * them to be: real hardware maps them anywhere, a flat array cannot.
 */
import { invariant } from '../base/invariant.ts';
import type { SharedMemory } from '../base/shared-memory.ts';
import { type DomainId, type GrantRef, PAGE_BYTES } from '../base/units.ts';
import { FIRST_FREE_REF, GrantEntries, GrantFlag } from './grant-table.ts';
import {
  type GrantHandle,
  type GrantMapper,
  GrantStatus,
  type MappedPages,
  type RingView,
} from './ports.ts';

/** What the hypervisor knows of a domain that grants pages. */
export interface GrantingDomain {
  readonly tableAddress: number;
  readonly entryCount: number;
  /** Frames it may grant: [firstFrame, endFrame). */
  readonly firstFrame: number;
  readonly endFrame: number;
}

export interface GrantingDomains {
  /** null when there is no such domain or it is gone. */
  grantingDomain(domain: DomainId): GrantingDomain | null;
}

const FREE = -1;
/** An honest guest changes an entry a few times at most while it is being mapped. */
const MAX_PIN_TRIES = 16;

export class MemoryGrantMapper implements GrantMapper {
  readonly #memory: SharedMemory;
  readonly #domains: GrantingDomains;
  readonly #self: DomainId;
  readonly #capacity: number;
  /** By handle: byte address of the page, or FREE. */
  readonly #address: Float64Array;
  readonly #granter: Int32Array;
  readonly #ref: Int32Array;
  readonly #writable: Uint8Array;
  readonly #freeHandles: Int32Array;
  #freeCount: number;
  /** (granter, ref) to number of handles: readers in the low half, writers in the high half. */
  readonly #pins = new Map<number, number>();
  readonly #tables = new Map<DomainId, GrantEntries>();

  constructor(memory: SharedMemory, domains: GrantingDomains, self: DomainId, capacity: number) {
    this.#memory = memory;
    this.#domains = domains;
    this.#self = self;
    this.#capacity = capacity;
    this.#address = new Float64Array(capacity).fill(FREE);
    this.#granter = new Int32Array(capacity);
    this.#ref = new Int32Array(capacity);
    this.#writable = new Uint8Array(capacity);
    this.#freeHandles = new Int32Array(capacity);
    for (let i = 0; i < capacity; i++) this.#freeHandles[i] = capacity - 1 - i;
    this.#freeCount = capacity;
  }

  get mappedCount(): number {
    return this.#capacity - this.#freeCount;
  }

  /**
   * Mappings of one domain's pages. Looks at every handle: for the end of a domain, not for a step.
   */
  mappingsOf(granter: DomainId): number {
    let count = 0;
    for (let handle = 0; handle < this.#capacity; handle++) {
      if (this.#address[handle] !== FREE && this.#granter[handle] === granter) count++;
    }
    return count;
  }

  map(granter: DomainId, ref: GrantRef, writable: boolean): GrantHandle {
    const domain = this.#domains.grantingDomain(granter);
    if (domain === null) return GrantStatus.badDomain;
    if (!Number.isInteger(ref) || ref < FIRST_FREE_REF || ref >= domain.entryCount) {
      return GrantStatus.badGrantRef;
    }
    if (this.#freeCount === 0) return GrantStatus.noSpace;
    const entries = this.#entriesOf(granter, domain);
    const pinned = this.#pin(entries, ref, writable);
    if (pinned !== GrantStatus.okay) return pinned;
    const frame = entries.frame(ref);
    if (frame < domain.firstFrame || frame >= domain.endFrame) {
      this.#unpinUnlessHeld(entries, granter, ref);
      return GrantStatus.badPage;
    }
    const handle = this.#freeHandles[--this.#freeCount] as number;
    this.#address[handle] = frame * PAGE_BYTES;
    this.#granter[handle] = granter;
    this.#ref[handle] = ref;
    this.#writable[handle] = writable ? 1 : 0;
    const key = pinKey(granter, ref);
    this.#pins.set(key, (this.#pins.get(key) ?? 0) + pinUnit(writable));
    return handle;
  }

  unmap(handle: GrantHandle): GrantStatus {
    if (!this.#isMapped(handle)) return GrantStatus.badHandle;
    const granter = this.#granter[handle] as DomainId;
    const ref = this.#ref[handle] as number;
    const key = pinKey(granter, ref);
    const left = (this.#pins.get(key) ?? 0) - pinUnit(this.#writable[handle] === 1);
    invariant(left >= 0, 'a grant is unpinned as often as it was pinned');
    if (left === 0) this.#pins.delete(key);
    else this.#pins.set(key, left);
    this.#address[handle] = FREE;
    this.#freeHandles[this.#freeCount++] = handle;
    const entries = this.#tables.get(granter);
    if (entries !== undefined) clearUnheld(entries, ref, left);
    return GrantStatus.okay;
  }

  copyIn(
    handle: GrantHandle,
    pageOffset: number,
    privateAddress: number,
    lengthBytes: number,
  ): GrantStatus {
    if (!this.#isMapped(handle)) return GrantStatus.badHandle;
    if (!insidePage(pageOffset, lengthBytes)) return GrantStatus.badCopyArgument;
    const source = (this.#address[handle] as number) + pageOffset;
    this.#memory.copy(privateAddress, source, lengthBytes);
    return GrantStatus.okay;
  }

  copyOut(
    handle: GrantHandle,
    pageOffset: number,
    privateAddress: number,
    lengthBytes: number,
  ): GrantStatus {
    if (!this.#isMapped(handle)) return GrantStatus.badHandle;
    if (this.#writable[handle] !== 1) return GrantStatus.permissionDenied;
    if (!insidePage(pageOffset, lengthBytes)) return GrantStatus.badCopyArgument;
    this.#memory.copy((this.#address[handle] as number) + pageOffset, privateAddress, lengthBytes);
    return GrantStatus.okay;
  }

  mapSideBySide(granter: DomainId, refs: readonly GrantRef[]): MappedPages | GrantStatus {
    const handles: GrantHandle[] = [];
    let status: number = refs.length === 0 ? GrantStatus.badGrantRef : GrantStatus.okay;
    for (const ref of refs) {
      const handle = this.map(granter, ref, true);
      if (handle < 0) {
        status = handle;
        break;
      }
      handles.push(handle);
    }
    const first = this.#address[handles[0] ?? 0] as number;
    for (let i = 0; status === GrantStatus.okay && i < handles.length; i++) {
      const expected = first + i * PAGE_BYTES;
      if (this.#address[handles[i] as number] !== expected) status = GrantStatus.badPage;
    }
    if (status !== GrantStatus.okay) {
      for (const handle of handles) this.unmap(handle);
      return status as GrantStatus;
    }
    return { view: this.#viewAt(first), handles };
  }

  unmapAll(pages: MappedPages): void {
    for (const handle of pages.handles) this.unmap(handle);
  }

  #viewAt(baseBytes: number): RingView {
    return { u8: this.#memory.u8, i32: this.#memory.i32, u32: this.#memory.u32, baseBytes };
  }

  /**
   * Sets `reading` (and `writing`) if the grant allows it; the guest may change it meanwhile, and
   * one that changes it at every try is not waited for.
   */
  #pin(entries: GrantEntries, ref: number, writable: boolean): GrantStatus {
    for (let tries = 0; tries < MAX_PIN_TRIES; tries++) {
      const head = entries.head(ref);
      if ((head & GrantFlag.typeMask) !== GrantFlag.permitAccess) return GrantStatus.badGrantRef;
      if (head >>> 16 !== this.#self) return GrantStatus.permissionDenied;
      if (writable && (head & GrantFlag.readonly) !== 0) return GrantStatus.permissionDenied;
      const next = head | GrantFlag.reading | (writable ? GrantFlag.writing : 0);
      if (entries.swapHead(ref, head, next)) return GrantStatus.okay;
    }
    return GrantStatus.generalError;
  }

  #unpinUnlessHeld(entries: GrantEntries, granter: DomainId, ref: number): void {
    clearUnheld(entries, ref, this.#pins.get(pinKey(granter, ref)) ?? 0);
  }

  #entriesOf(granter: DomainId, domain: GrantingDomain): GrantEntries {
    let entries = this.#tables.get(granter);
    if (entries === undefined) {
      entries = new GrantEntries(this.#memory, domain.tableAddress, domain.entryCount);
      this.#tables.set(granter, entries);
    }
    return entries;
  }

  #isMapped(handle: GrantHandle): boolean {
    return handle >= 0 && handle < this.#capacity && this.#address[handle] !== FREE;
  }
}

const WRITER = 2 ** 16;

function pinUnit(writable: boolean): number {
  return writable ? WRITER : 1;
}

function pinKey(granter: DomainId, ref: number): number {
  return granter * 2 ** 32 + ref;
}

/** Clears the entry's use bits that no remaining pin needs. */
function clearUnheld(entries: GrantEntries, ref: number, pins: number): void {
  if (pins === 0) entries.clearFlags(ref, GrantFlag.reading | GrantFlag.writing);
  else if (pins < WRITER) entries.clearFlags(ref, GrantFlag.writing);
}

function insidePage(offset: number, lengthBytes: number): boolean {
  return offset >= 0 && lengthBytes >= 0 && offset + lengthBytes <= PAGE_BYTES;
}
