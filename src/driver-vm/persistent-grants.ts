/**
 * Mappings that are kept between requests (`feature-persistent`).
 *
 * Mapping and unmapping a page costs more than copying it; a front end that reuses its pages lets
 * the back end keep them mapped. At most `limit` mappings are kept a queue; when that is reached,
 * the least recently used idle ones are given back, a twentieth at a time, and so is what was idle
 * for a minute. A front end that finds its grant unused may then take the page back.
 *
 * Persistent mappings are writable, as the front end uses one page for reads and writes; a grant
 * that does not allow it is mapped for one request only, with the access that the request needs.
 * Numbers after xen-blkback (1056 a ring, 5 %, 60 s).
 */
import type { DomainId, GrantRef } from '../base/units.ts';
import { type GrantHandle, type GrantMapper, GrantStatus } from '../ring/ports.ts';

const NOT_KEPT = -1;
/** References beyond this are never kept: the index is a flat array. */
const MAX_REFS = 1 << 16;
const DEFAULT_LIMIT = 1056;
const IDLE_NS = 60e9;

export class PersistentGrants {
  readonly #mapper: GrantMapper;
  readonly #granter: DomainId;
  readonly #limit: number;
  readonly #handleByRef = new Int32Array(MAX_REFS).fill(NOT_KEPT);
  /** One page may stand in every segment of every slot of a ring: 2^17 users. */
  readonly #users = new Uint32Array(MAX_REFS);
  readonly #lastUseNs = new Float64Array(MAX_REFS);
  readonly #kept: number[] = [];

  constructor(mapper: GrantMapper, granter: DomainId, limit: number = DEFAULT_LIMIT) {
    this.#mapper = mapper;
    this.#granter = granter;
    this.#limit = limit;
  }

  get size(): number {
    return this.#kept.length;
  }

  /** A handle to use for one request, or a negative `GrantStatus`. Give it back with `release`. */
  acquire(ref: number, writable: boolean, nowNs: number): GrantHandle {
    if (ref >= MAX_REFS) return this.#mapper.map(this.#granter, ref as GrantRef, writable);
    let handle = this.#handleByRef[ref] as number;
    if (handle === NOT_KEPT) {
      if (this.#kept.length >= this.#limit) this.#purge(Math.ceil(this.#limit / 20));
      if (this.#kept.length >= this.#limit) return this.#mapOnce(ref, writable);
      handle = this.#mapper.map(this.#granter, ref as GrantRef, true);
      if (handle === GrantStatus.permissionDenied && !writable) return this.#mapOnce(ref, false);
      if (handle < 0) return handle;
      this.#handleByRef[ref] = handle;
      this.#kept.push(ref);
    }
    this.#users[ref] = (this.#users[ref] as number) + 1;
    this.#lastUseNs[ref] = nowNs;
    return handle;
  }

  release(ref: number, handle: GrantHandle): void {
    if (ref < MAX_REFS && this.#handleByRef[ref] === handle) {
      this.#users[ref] = (this.#users[ref] as number) - 1;
    } else {
      this.#mapper.unmap(handle);
    }
  }

  /** Gives back what was idle for a minute. */
  purgeIdle(nowNs: number): void {
    this.#purgeWhere((ref) => nowNs - (this.#lastUseNs[ref] as number) > IDLE_NS);
  }

  /** Gives everything back; no request may be using any of it. */
  close(): void {
    this.#purgeWhere(() => true);
  }

  #mapOnce(ref: number, writable: boolean): GrantHandle {
    return this.#mapper.map(this.#granter, ref as GrantRef, writable);
  }

  /** Gives back the `count` idle mappings that were used longest ago. */
  #purge(count: number): void {
    const idle = this.#kept.filter((ref) => this.#users[ref] === 0);
    idle.sort((a, b) => (this.#lastUseNs[a] as number) - (this.#lastUseNs[b] as number));
    const going = new Set(idle.slice(0, count));
    this.#purgeWhere((ref) => going.has(ref));
  }

  #purgeWhere(shouldGo: (ref: number) => boolean): void {
    let stay = 0;
    for (const ref of this.#kept) {
      if (this.#users[ref] === 0 && shouldGo(ref)) {
        this.#mapper.unmap(this.#handleByRef[ref] as number);
        this.#handleByRef[ref] = NOT_KEPT;
      } else {
        this.#kept[stay++] = ref;
      }
    }
    this.#kept.length = stay;
  }
}
