/** A cache of keys alone, for replaying traces through the eviction policies. */
import { BlockIndex } from '../../../src/parallax/cache/block-index.ts';
import type { EvictionKind, EvictionPolicy } from '../../../src/parallax/cache/eviction.ts';
import { makeEviction } from '../../../src/parallax/cache/make-eviction.ts';
import { unpack } from '../../traces/trace-files.ts';

export class KeyCache {
  readonly index: BlockIndex;
  readonly policy: EvictionPolicy;
  #filled = 0;

  constructor(kind: EvictionKind, slots: number) {
    this.index = new BlockIndex(slots, 7);
    this.policy = makeEviction(kind, this.index, 9);
  }

  /** Uses a key; tells whether it was there. It is there afterwards. */
  use(high: number, low: number): boolean {
    const found = this.index.find(high, low);
    if (found >= 0) {
      this.policy.hit(found);
      return true;
    }
    let slot = this.#filled;
    if (slot < this.index.slots) this.#filled++;
    else {
      slot = this.policy.victim(high, low);
      this.index.remove(slot);
    }
    this.index.insert(high, low, slot);
    this.policy.inserted(slot, high, low);
    return false;
  }
}

/** Pages of a trace of the ARC paper, line by line: `first count 0 number`. */
export function arcPages(path: string): Uint32Array {
  const bytes = unpack(path);
  const pages: number[] = [];
  let at = 0;
  const number = (): number => {
    let value = 0;
    while (at < bytes.length && (bytes[at] as number) >= 48) {
      value = value * 10 + (bytes[at++] as number) - 48;
    }
    at++;
    return value;
  };
  while (at < bytes.length) {
    const first = number();
    const count = number();
    number();
    number();
    for (let i = 0; i < count; i++) pages.push(first + i);
    while (at < bytes.length && (bytes[at] as number) < 48) at++;
  }
  return Uint32Array.from(pages);
}

/** Share of the uses that found their page, in percent. */
export function hitPercent(kind: EvictionKind, slots: number, pages: Uint32Array): number {
  const cache = new KeyCache(kind, slots);
  let hits = 0;
  for (const page of pages) if (cache.use(0, page)) hits++;
  return (100 * hits) / pages.length;
}
