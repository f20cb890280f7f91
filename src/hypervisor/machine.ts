/**
 * A host's RAM, divided among domains.
 *
 * ```
 * frame 0         never used, so that 0 is no address
 *       1         domain directory: 64 entries of 64 bytes
 *       2 ..      domains, each a run of frames:
 *                   event page | grant table pages | heap: what the domain may grant
 * directory entry: 0 domid u32 (0: empty)   4 state u32   8 firstFrame
 *                  12 frameCount   16 grantPages
 * ```
 *
 * The directory lives in the RAM itself so that every worker of a host finds every other domain,
 * also one created later, without being told. Domain numbers are never used twice on a host: a
 * restarted driver VM is a new domain, and grants made for its predecessor do not serve it.
 * Slots and frames of a destroyed domain are used again.
 *
 * The toolstack alone changes the directory (`Machine`); everybody else reads it
 * (`DomainDirectory`).
 */
import { StorageError, UsageError } from '../base/errors.ts';
import { fail } from '../base/invariant.ts';
import type { SharedMemory } from '../base/shared-memory.ts';
import { type DomainId, type FrameNo, PAGE_BYTES } from '../base/units.ts';
import type { EventPages } from '../ring/event-page.ts';
import type { GrantingDomain, GrantingDomains } from '../ring/grant-mapper.ts';
import { GRANT_ENTRY_BYTES, GrantEntries, GrantFlag } from '../ring/grant-table.ts';

const DIRECTORY_FRAME = 1;
const FIRST_DOMAIN_FRAME = 2;
export const MAX_DOMAINS = 64;
const ENTRY_WORDS = 16;
const STATE = 1;
const FIRST_FRAME = 2;
const FRAME_COUNT = 3;
const GRANT_PAGES = 4;
const STATE_DEAD = 0;
const STATE_ALIVE = 1;
const ENTRIES_PER_GRANT_PAGE = PAGE_BYTES / GRANT_ENTRY_BYTES;

/** Where the parts of a domain are. Structured-cloneable. */
export interface DomainLayout {
  readonly domain: DomainId;
  readonly firstFrame: number;
  readonly frameCount: number;
  readonly grantPages: number;
  readonly eventPageAddress: number;
  readonly grantTableAddress: number;
  readonly grantEntryCount: number;
  /** The domain's own frames, which it may grant: [heapFrame, heapEndFrame). */
  readonly heapFrame: FrameNo;
  readonly heapEndFrame: FrameNo;
}

/** Read-only view of who lives in a host's RAM. */
export class DomainDirectory implements GrantingDomains, EventPages {
  protected readonly memory: SharedMemory;
  readonly #cache = new Map<DomainId, { readonly slot: number; readonly layout: DomainLayout }>();

  constructor(memory: SharedMemory) {
    this.memory = memory;
  }

  layoutOf(domain: DomainId): DomainLayout | null {
    const known = this.#cache.get(domain);
    if (known !== undefined) return this.#lives(known.slot, domain) ? known.layout : null;
    for (let slot = 0; slot < MAX_DOMAINS; slot++) {
      if (!this.#lives(slot, domain)) continue;
      const layout = layoutFrom(
        domain,
        this.word(slot, FIRST_FRAME),
        this.word(slot, FRAME_COUNT),
        this.word(slot, GRANT_PAGES),
      );
      this.#cache.set(domain, { slot, layout });
      return layout;
    }
    return null;
  }

  grantingDomain(domain: DomainId): GrantingDomain | null {
    const layout = this.layoutOf(domain);
    if (layout === null) return null;
    return {
      tableAddress: layout.grantTableAddress,
      entryCount: layout.grantEntryCount,
      firstFrame: layout.heapFrame,
      endFrame: layout.heapEndFrame,
    };
  }

  eventPageOf(domain: DomainId): number | null {
    return this.layoutOf(domain)?.eventPageAddress ?? null;
  }

  #lives(slot: number, domain: DomainId): boolean {
    return this.word(slot, 0) === domain && this.word(slot, STATE) === STATE_ALIVE;
  }

  protected word(slot: number, field: number): number {
    return Atomics.load(this.memory.i32, entryWord(slot) + field);
  }
}

interface Run {
  firstFrame: number;
  frameCount: number;
}

/** The toolstack's side: creates and releases domains. One a host. */
export class Machine extends DomainDirectory {
  #nextDomain = 1;
  readonly #free: Run[];

  constructor(memory: SharedMemory) {
    super(memory);
    const frames = Math.floor(memory.sizeBytes / PAGE_BYTES);
    if (frames <= FIRST_DOMAIN_FRAME) {
      throw new UsageError(
        'E_MEMORY_TOO_SMALL',
        `host memory of ${memory.sizeBytes} bytes is too small: at least ` +
          `${(FIRST_DOMAIN_FRAME + 1) * PAGE_BYTES} bytes are needed`,
        { fields: { sizeBytes: memory.sizeBytes } },
      );
    }
    this.#free = [{ firstFrame: FIRST_DOMAIN_FRAME, frameCount: frames - FIRST_DOMAIN_FRAME }];
  }

  /** Gives a new domain its frames, zeroed. Throws `StorageError` when the host is full. */
  createDomain(heapBytes: number, grantEntries: number): DomainLayout {
    const grantPages = Math.ceil(grantEntries / ENTRIES_PER_GRANT_PAGE);
    const frameCount = 1 + grantPages + Math.ceil(heapBytes / PAGE_BYTES);
    const slot = this.#emptySlot();
    const firstFrame = this.#takeRun(frameCount);
    const domain = this.#nextDomain++ as DomainId;
    this.memory.clear(firstFrame * PAGE_BYTES, frameCount * PAGE_BYTES);
    this.#set(slot, FIRST_FRAME, firstFrame);
    this.#set(slot, FRAME_COUNT, frameCount);
    this.#set(slot, GRANT_PAGES, grantPages);
    this.#set(slot, 0, domain);
    this.#set(slot, STATE, STATE_ALIVE);
    return layoutFrom(domain, firstFrame, frameCount, grantPages);
  }

  /**
   * Ends the mappings that a dead domain held: clears the use bits of every grant made to it, so
   * that the guests can take their pages back. The caller has seen the domain's exit.
   */
  releaseMappingsOf(grantee: DomainId): void {
    for (let slot = 0; slot < MAX_DOMAINS; slot++) {
      const granter = this.word(slot, 0) as DomainId;
      const layout = granter === 0 ? null : this.layoutOf(granter);
      if (layout === null) continue;
      const entries = new GrantEntries(
        this.memory,
        layout.grantTableAddress,
        layout.grantEntryCount,
      );
      for (let ref = 0; ref < layout.grantEntryCount; ref++) {
        if (entries.head(ref) >>> 16 !== grantee) continue;
        entries.clearFlags(ref, GrantFlag.reading | GrantFlag.writing);
      }
    }
  }

  /**
   * Makes a dead domain unknown: from now on nobody can map a page of it or ring its bell. Its
   * frames stay its own until `destroyDomain`.
   */
  retireDomain(layout: DomainLayout): void {
    for (let slot = 0; slot < MAX_DOMAINS; slot++) {
      if (this.word(slot, 0) === layout.domain) this.#set(slot, STATE, STATE_DEAD);
    }
  }

  /**
   * Takes a dead domain out of the directory and its frames back. The caller has seen its exit,
   * and nobody has a page of it mapped any more.
   */
  destroyDomain(layout: DomainLayout): void {
    for (let slot = 0; slot < MAX_DOMAINS; slot++) {
      if (this.word(slot, 0) !== layout.domain) continue;
      this.#set(slot, STATE, STATE_DEAD);
      this.#set(slot, 0, 0);
      this.#giveRun(layout.firstFrame, layout.frameCount);
      return;
    }
    fail('a domain is destroyed once');
  }

  #emptySlot(): number {
    for (let slot = 0; slot < MAX_DOMAINS; slot++) if (this.word(slot, 0) === 0) return slot;
    throw new StorageError('E_TOO_MANY_DOMAINS', `a host has at most ${MAX_DOMAINS} domains`);
  }

  #takeRun(frameCount: number): number {
    for (const run of this.#free) {
      if (run.frameCount < frameCount) continue;
      const firstFrame = run.firstFrame;
      run.firstFrame += frameCount;
      run.frameCount -= frameCount;
      return firstFrame;
    }
    const largest = Math.max(0, ...this.#free.map((run) => run.frameCount));
    throw new StorageError(
      'E_HOST_MEMORY_FULL',
      `no room for a domain of ${frameCount} frames: the largest free run has ${largest}; ` +
        'give the host more memory',
      { fields: { frameCount, largest } },
    );
  }

  #giveRun(firstFrame: number, frameCount: number): void {
    this.#free.push({ firstFrame, frameCount });
    this.#free.sort((a, b) => a.firstFrame - b.firstFrame);
    for (let i = this.#free.length - 1; i > 0; i--) {
      const before = this.#free[i - 1] as Run;
      const run = this.#free[i] as Run;
      if (before.firstFrame + before.frameCount !== run.firstFrame) continue;
      before.frameCount += run.frameCount;
      this.#free.splice(i, 1);
    }
  }

  #set(slot: number, field: number, value: number): void {
    Atomics.store(this.memory.i32, entryWord(slot) + field, value);
  }
}

function entryWord(slot: number): number {
  return (DIRECTORY_FRAME * PAGE_BYTES) / 4 + slot * ENTRY_WORDS;
}

function layoutFrom(
  domain: DomainId,
  firstFrame: number,
  frameCount: number,
  grantPages: number,
): DomainLayout {
  return {
    domain,
    firstFrame,
    frameCount,
    grantPages,
    eventPageAddress: firstFrame * PAGE_BYTES,
    grantTableAddress: (firstFrame + 1) * PAGE_BYTES,
    grantEntryCount: grantPages * ENTRIES_PER_GRANT_PAGE,
    heapFrame: (firstFrame + 1 + grantPages) as FrameNo,
    heapEndFrame: (firstFrame + frameCount) as FrameNo,
  };
}
