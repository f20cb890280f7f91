/**
 * Pages through which a front end passes data, and their grants.
 *
 * Data is copied between the guest's buffers and these pages, so a page never shows the back end
 * more than a request's own sectors, and a back end that keeps writing after its answer writes into
 * a page that nobody reads any more.
 *
 * Persistent: a page keeps its grant and is reused last in, first out, so that few are warm.
 * Otherwise a page is granted for one request and taken back after. A grant that cannot be taken
 * back, because the back end kept it mapped, costs the page: it is set aside, counted, and tried
 * again later.
 */
import type { SharedMemory } from '../base/shared-memory.ts';
import { type DomainId, type FrameNo, type GrantRef, PAGE_BYTES } from '../base/units.ts';
import type { GrantIssuer } from '../ring/ports.ts';
import type { GuestFrames } from './frames.ts';

export interface FrontPage {
  readonly frame: FrameNo;
  readonly address: number;
  ref: GrantRef;
}

export interface FrontPagesOptions {
  readonly persistent: boolean;
  /** False: the back end must not see what an earlier request left in the page (XSA-403). */
  readonly trusted: boolean;
}

export class FrontPages {
  readonly #memory: SharedMemory;
  readonly #grants: GrantIssuer;
  readonly #frames: GuestFrames;
  #grantee: DomainId;
  readonly #options: FrontPagesOptions;
  /** Persistent: granted and idle. Otherwise: frames without a grant are not kept at all. */
  readonly #idle: FrontPage[] = [];
  readonly #stuck: FrontPage[] = [];
  #lent = 0;

  constructor(
    memory: SharedMemory,
    grants: GrantIssuer,
    frames: GuestFrames,
    grantee: DomainId,
    options: FrontPagesOptions,
  ) {
    this.#memory = memory;
    this.#grants = grants;
    this.#frames = frames;
    this.#grantee = grantee;
    this.#options = options;
  }

  /** Pages whose grant the back end would not let go. */
  get stuck(): number {
    return this.#stuck.length;
  }

  get lent(): number {
    return this.#lent;
  }

  /**
   * Lends a page for one segment, or null when there is none now. `readonly`: the back end will
   * only read it; a persistent page is granted for both.
   */
  lend(readonly: boolean): FrontPage | null {
    const page = this.#idle.pop() ?? this.#grantOne(readonly && !this.#options.persistent);
    if (page === null) return null;
    this.#lent++;
    if (!this.#options.trusted) this.#memory.clear(page.address, PAGE_BYTES);
    return page;
  }

  /** Takes a page back when its request is answered. */
  giveBack(page: FrontPage): void {
    this.#lent--;
    if (this.#options.persistent) this.#idle.push(page);
    else this.#end(page);
  }

  /** Grants go to this domain from now on. */
  setGrantee(grantee: DomainId): void {
    this.#grantee = grantee;
  }

  /** Ends every grant that can be ended. True when none is left in force. */
  close(): boolean {
    for (const page of this.#idle.splice(0)) this.#end(page);
    for (const page of this.#stuck.splice(0)) this.#end(page);
    return this.#stuck.length === 0;
  }

  /** Grants one more page; when there is none, looks whether the back end has let go of some. */
  #grantOne(readonly: boolean): FrontPage | null {
    const page = this.#tryGrant(readonly);
    if (page !== null || this.#stuck.length === 0) return page;
    for (const stuck of this.#stuck.splice(0)) this.#end(stuck);
    return this.#tryGrant(readonly);
  }

  #tryGrant(readonly: boolean): FrontPage | null {
    const frame = this.#frames.take(1);
    if (frame === null) return null;
    const ref = this.#grants.grant(this.#grantee, frame, readonly);
    if (ref === null) {
      this.#frames.give(frame);
      return null;
    }
    return { frame, address: this.#frames.address(frame), ref };
  }

  #end(page: FrontPage): void {
    if (this.#grants.end(page.ref)) this.#frames.give(page.frame);
    else this.#stuck.push(page);
  }
}
