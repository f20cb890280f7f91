/**
 * The grant table (version 1), from the granting domain's side.
 *
 * ```
 * entry, 8 bytes:  0 flags u16   2 domid u16   4 frame u32
 * flags: bits 0-1 type (0 invalid, 1 permit access), 4 readonly, 8 reading, 16 writing
 * ```
 *
 * Publish: domid and frame first, flags last, so that a mapper never sees a half-made grant. Take
 * back: only when neither `reading` nor `writing` is set, by compare-and-swap *whose outcome is
 * checked* (XSA-396: the grantee may map in between). A grant that cannot be taken back keeps its
 * page: the page must not be used for anything else.
 *
 * References 0..7 are reserved. Source: grant_table.h.
 */
import { invariant } from '../base/invariant.ts';
import type { SharedMemory } from '../base/shared-memory.ts';
import type { DomainId, FrameNo, GrantRef } from '../base/units.ts';
import type { GrantIssuer } from './ports.ts';

export const GRANT_ENTRY_BYTES = 8;
export const FIRST_FREE_REF = 8;

export const GrantFlag = {
  typeMask: 3,
  permitAccess: 1,
  readonly: 4,
  reading: 8,
  writing: 16,
} as const;

/**
 * One entry as a mapper or an issuer addresses it. The flags share a 32-bit word with the domain
 * number (flags low, domid high), so that flags and grantee are read and swapped as one.
 */
export class GrantEntries {
  readonly count: number;
  readonly #i32: Int32Array;
  readonly #base: number;

  constructor(memory: SharedMemory, address: number, count: number) {
    this.#i32 = memory.i32;
    this.#base = address / 4;
    this.count = count;
  }

  /** flags | domid << 16. */
  head(ref: number): number {
    return Atomics.load(this.#i32, this.#base + 2 * ref);
  }

  frame(ref: number): number {
    return Atomics.load(this.#i32, this.#base + 2 * ref + 1) >>> 0;
  }

  /** True if the head was still `expected`. */
  swapHead(ref: number, expected: number, next: number): boolean {
    return Atomics.compareExchange(this.#i32, this.#base + 2 * ref, expected, next) === expected;
  }

  setHead(ref: number, head: number): void {
    Atomics.store(this.#i32, this.#base + 2 * ref, head);
  }

  setFrame(ref: number, frame: number): void {
    Atomics.store(this.#i32, this.#base + 2 * ref + 1, frame);
  }

  clearFlags(ref: number, flags: number): void {
    Atomics.and(this.#i32, this.#base + 2 * ref, ~flags);
  }

  setFlags(ref: number, flags: number): void {
    Atomics.or(this.#i32, this.#base + 2 * ref, flags);
  }
}

export class GrantTable implements GrantIssuer {
  readonly #entries: GrantEntries;
  readonly #free: Int32Array;
  #freeCount: number;

  constructor(entries: GrantEntries) {
    this.#entries = entries;
    this.#free = new Int32Array(entries.count);
    this.#freeCount = 0;
    for (let ref = entries.count - 1; ref >= FIRST_FREE_REF; ref--) this.#release(ref);
  }

  /** Grants in force. */
  get inUse(): number {
    return this.#entries.count - FIRST_FREE_REF - this.#freeCount;
  }

  grant(grantee: DomainId, frame: FrameNo, readonly: boolean): GrantRef | null {
    if (this.#freeCount === 0) return null;
    const ref = this.#free[--this.#freeCount] as number;
    invariant(
      (this.#entries.head(ref) & GrantFlag.typeMask) === 0,
      'a free grant entry is invalid until it is published',
    );
    this.#entries.setFrame(ref, frame);
    const flags = GrantFlag.permitAccess | (readonly ? GrantFlag.readonly : 0);
    this.#entries.setHead(ref, flags | (grantee << 16));
    return ref as GrantRef;
  }

  end(ref: GrantRef): boolean {
    for (;;) {
      const head = this.#entries.head(ref);
      invariant((head & GrantFlag.typeMask) !== 0, 'a grant is ended once');
      if ((head & (GrantFlag.reading | GrantFlag.writing)) !== 0) return false;
      if (this.#entries.swapHead(ref, head, 0)) break;
    }
    this.#release(ref);
    return true;
  }

  /**
   * Gives every grant made to one domain to another, in place. Safe only when the first is dead; no
   * sound front end needs it (the planted bug `naive-reattach` does).
   */
  handOver(from: DomainId, to: DomainId): void {
    for (let ref = FIRST_FREE_REF; ref < this.#entries.count; ref++) {
      const head = this.#entries.head(ref);
      if (head >>> 16 === from) this.#entries.setHead(ref, (head & 0xffff) | (to << 16));
    }
  }

  #release(ref: number): void {
    this.#free[this.#freeCount++] = ref;
  }
}
