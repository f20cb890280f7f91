/**
 * RAM of the groups that are in the log and not yet in their place: pages in a ring. Groups are
 * opened in order and released in order; the newest can be dropped again.
 */

import { viewOf } from '../../base/formats/sealed.ts';
import { invariant } from '../../base/invariant.ts';
import { PAGE_BYTES } from '../../base/units.ts';
import type { StoreStatus } from './chunk-store.ts';
import {
  encodeEntry,
  entryBytesOf,
  GROUP_ENTRIES_AT,
  hasData,
  type IntentEntry,
} from './formats/intent-group.ts';

/** Whoever waits for an entry to be durable. */
export interface EntryOwner {
  storeDone(status: StoreStatus): void;
}

export class IntentGroup {
  readonly groupSeq: number;
  /** First page in the arena: the entries; data follow. */
  readonly start: number;
  readonly maxPages: number;
  readonly table: Uint8Array;
  readonly view: DataView;
  readonly owners: EntryOwner[] = [];
  pages = 1;
  entries = 0;
  isOpen = true;
  /** Where it was written last; -1: nowhere yet. */
  segment = -1;
  crc = 0;
  #fill = GROUP_ENTRIES_AT;

  constructor(groupSeq: number, start: number, maxPages: number, arena: Uint8Array) {
    this.groupSeq = groupSeq;
    this.start = start;
    this.maxPages = maxPages;
    this.table = arena.subarray(start * PAGE_BYTES, (start + 1) * PAGE_BYTES);
    this.table.fill(0);
    this.view = viewOf(this.table);
  }

  fits(entry: IntentEntry): boolean {
    const pages = hasData(entry.op) ? entry.blocks : 0;
    const bytes = entryBytesOf(entry.op, entry.blocks);
    return this.pages + pages <= this.maxPages && this.#fill + bytes <= PAGE_BYTES;
  }

  /** Where the data of the entry go, a page of the arena. */
  add(entry: IntentEntry, owner: EntryOwner): number {
    this.#fill = encodeEntry(this.view, this.#fill, entry);
    this.entries++;
    this.owners.push(owner);
    const page = this.start + this.pages;
    if (hasData(entry.op)) this.pages += entry.blocks;
    return page;
  }
}

export class IntentArena {
  readonly bytes: Uint8Array;
  readonly #pages: number;
  readonly #maxGroupPages: number;
  #groups: IntentGroup[] = [];

  constructor(bytes: number, maxGroupPages: number) {
    this.bytes = new Uint8Array(bytes);
    this.#pages = bytes / PAGE_BYTES;
    this.#maxGroupPages = maxGroupPages;
  }

  get isHalfFull(): boolean {
    return this.#groups.reduce((sum, { pages }) => sum + pages, 0) * 2 > this.#pages;
  }

  /** Null: there is no room now. The group before must have been closed. */
  open(groupSeq: number): IntentGroup | null {
    const head = this.#groups[0];
    const newest = this.#groups.at(-1);
    let start = 0;
    if (head !== undefined && newest !== undefined) {
      invariant(!newest.isOpen, 'one group is open at a time');
      const tail = newest.start + newest.pages;
      if (tail <= head.start) {
        if (head.start - tail < this.#maxGroupPages) return null;
        start = tail;
      } else if (this.#pages - tail >= this.#maxGroupPages) start = tail;
      else if (head.start < this.#maxGroupPages) return null;
    }
    const group = new IntentGroup(groupSeq, start, this.#maxGroupPages, this.bytes);
    this.#groups.push(group);
    return group;
  }

  releaseOldest(group: IntentGroup): void {
    invariant(this.#groups.shift() === group, 'groups are released in order');
  }

  /** Takes away the groups from this one on, which nobody will hear of again. */
  dropFrom(group: IntentGroup): void {
    const at = this.#groups.indexOf(group);
    invariant(at >= 0, 'a group that is dropped is in the arena');
    this.#groups.length = at;
  }
}
