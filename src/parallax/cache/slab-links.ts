/**
 * Links: for (VDI, block), the pool block that holds its published content, and its CRC.
 *
 * A link is a tree entry that is remembered. It outlives the slot of its pool block: without the
 * slot it still saves the walk through the tree. Many links may lead to one pool block, as clones
 * share them.
 *
 * A link must never say what the published tree does not say. Three rules keep it so:
 * - Who publishes a root replaces the links of all blocks that the root changes (`set`, `forget`),
 *   after the root is published and after readers look at the new one.
 * - Who only reads a tree may add what it found (`learn`) if the `edition` is still the one it had
 *   when it began: every publish makes a new edition.
 * - Links that outlive the driver VM are bound to the root they are true for. Another root, be it
 *   ever so slightly, and all links of the VDI are void: see `KeySpaces`.
 *
 * When all links are in use the hand of a clock goes round: a link that was used since it came by
 * is passed over once, the first other one gives way.
 */
import { invariant } from '../../base/invariant.ts';
import type { PoolBlock } from '../../world/block-pool.ts';
import { BINDINGS_MAX, type Binding, type RootIdentity, sameRoot } from '../formats/slab-table.ts';
import { BlockIndex, KEY_WORDS } from './block-index.ts';
import { KeySpaces, NO_SPACE } from './key-spaces.ts';

/** Words of a link's record, behind its key: a lookup pays for one cache line. */
const Word = {
  blockLow: KEY_WORDS,
  crc: KEY_WORDS + 1,
  slot: KEY_WORDS + 2,
  highAndState: KEY_WORDS + 3,
} as const;
const LINK_WORDS = KEY_WORDS + 4;
/** In the last word, above the 16 high bits of the pool block's number. */
const USED = 2 ** 16;
const REFERENCED = 2 ** 17;
const HIGH_MASK = USED - 1;
/** Links that the hand passes over in one step at the most. */
const PASSES_MAX = 64;
const U32_RANGE = 2 ** 32;

export class SlabLinks {
  readonly spaces: KeySpaces;
  readonly #index: BlockIndex;
  readonly #words: Uint32Array;
  readonly #bindings = new Map<number, Binding>();
  #hand = 0;
  #edition = 0;

  constructor(links: number, salt: number, spaces: KeySpaces) {
    this.spaces = spaces;
    this.#index = new BlockIndex(links, salt, LINK_WORDS);
    this.#words = this.#index.records;
  }

  get used(): number {
    return this.#index.count;
  }

  /** Changes whenever a root is published or a link changes. */
  get edition(): number {
    return this.#edition;
  }

  get sizeBytes(): number {
    return this.#index.sizeBytes;
  }

  /** For which roots the links are true, the VDI that was published last at the end. */
  get bindings(): ReadonlyMap<number, Binding> {
    return this.#bindings;
  }

  /** The link of a VDI's block, -1 if there is none. */
  find(vdi: number, block: number): number {
    const space = this.spaces.of(vdi);
    return space === NO_SPACE ? -1 : this.#index.find(space, block);
  }

  /** A link was of use. */
  touch(link: number): void {
    const last = this.#word(link, Word.highAndState);
    if ((last & REFERENCED) !== 0) return;
    this.#words[link * LINK_WORDS + Word.highAndState] = last | REFERENCED;
  }

  blockOf(link: number): PoolBlock {
    const high = this.#word(link, Word.highAndState) & HIGH_MASK;
    return high * U32_RANGE + this.#word(link, Word.blockLow);
  }

  /** CRC of its pool block. */
  crcOf(link: number): number {
    return this.#word(link, Word.crc);
  }

  /** A slot that had its pool block once, or any other number: see `noteSlot`. */
  slotHint(link: number): number {
    return this.#word(link, Word.slot);
  }

  /** The link's pool block is in this slot now: where to look first the next time. */
  noteSlot(link: number, slot: number): void {
    this.#words[link * LINK_WORDS + Word.slot] = slot;
  }

  /** Whether a link is in use and leads to this pool block. */
  leadsTo(link: number, block: PoolBlock, crc: number): boolean {
    return this.#isUsed(link) && this.blockOf(link) === block && this.crcOf(link) === crc;
  }

  spaceOf(link: number): number {
    return this.#index.highOf(link);
  }

  vdiBlockOf(link: number): number {
    return this.#index.lowOf(link);
  }

  /** A publish changes links: what readers found before is not to be learned any more. */
  beginEdition(): void {
    this.#edition++;
  }

  /** Says where a block of a VDI is. Returns the link, -1 if links of this VDI are not kept. */
  set(vdi: number, block: number, poolBlock: PoolBlock, crc: number): number {
    const space = this.spaces.of(vdi);
    return space === NO_SPACE ? -1 : this.setIn(space, block, poolBlock, crc);
  }

  /** As `set`, for a VDI that is known by its key space. */
  setIn(space: number, block: number, poolBlock: PoolBlock, crc: number): number {
    invariant(poolBlock > 0 && poolBlock < 2 ** 48, 'a link leads to a block of the pool');
    let link = this.#index.find(space, block);
    let state = USED;
    if (link < 0) {
      link = this.#take();
      this.#index.insert(space, block, link);
    } else {
      state |= this.#word(link, Word.highAndState) & REFERENCED;
    }
    const at = link * LINK_WORDS;
    this.#words[at + Word.highAndState] = Math.floor(poolBlock / U32_RANGE) | state;
    this.#words[at + Word.blockLow] = poolBlock >>> 0;
    this.#words[at + Word.crc] = crc;
    return link;
  }

  remove(link: number): void {
    this.#index.remove(link);
    this.#words[link * LINK_WORDS + Word.highAndState] = 0;
  }

  /**
   * A VDI is opened whose published root is `root`. Its links stay if they are true for just that
   * root; tells whether they were.
   */
  open(vdi: number, root: RootIdentity): boolean {
    const bound = this.#bindings.get(vdi);
    // An empty tree has no links. All empty trees look the same, also those of two VDIs of which
    // the second one was given the number of the first.
    const kept = bound !== undefined && root.block !== 0 && sameRoot(bound.root, root);
    if (kept) this.spaces.adopt(vdi, bound.space);
    else this.spaces.renew(vdi);
    this.#bind(vdi, root);
    return kept;
  }

  /** Takes the links of a VDI as they are. */
  trust(vdi: number): void {
    const bound = this.#bindings.get(vdi);
    if (bound === undefined) this.spaces.renew(vdi);
    else this.spaces.adopt(vdi, bound.space);
  }

  /** From now on the links of the VDI are true for this root. */
  published(vdi: number, root: RootIdentity): void {
    this.#bind(vdi, root);
  }

  /** Voids all links of a VDI. */
  forgetVdi(vdi: number): void {
    this.#edition++;
    this.spaces.drop(vdi);
    this.#bindings.delete(vdi);
  }

  /** Takes over what a former life of the slab was bound to; its VDIs are not open yet. */
  restoreBindings(bindings: ReadonlyMap<number, Binding>): void {
    for (const [vdi, binding] of bindings) this.#bindings.set(vdi, binding);
  }

  #bind(vdi: number, root: RootIdentity): void {
    this.#edition++;
    this.#bindings.delete(vdi);
    const space = this.spaces.of(vdi);
    if (space === NO_SPACE) return;
    this.#bindings.set(vdi, { space, root });
    if (this.#bindings.size <= BINDINGS_MAX) return;
    // The VDI bound longest ago goes on without a binding: it begins cold when it is opened again.
    const [oldest] = this.#bindings.keys();
    this.#bindings.delete(oldest as number);
  }

  #take(): number {
    const links = this.#index.slots;
    for (let passed = 0; ; passed++) {
      const link = this.#hand;
      this.#hand = link + 1 === links ? 0 : link + 1;
      if (!this.#isUsed(link)) return link;
      const last = this.#word(link, Word.highAndState);
      if ((last & REFERENCED) === 0 || passed >= PASSES_MAX) {
        this.#index.remove(link);
        return link;
      }
      this.#words[link * LINK_WORDS + Word.highAndState] = last & ~REFERENCED;
    }
  }

  #isUsed(link: number): boolean {
    return (this.#word(link, Word.highAndState) & USED) !== 0;
  }

  #word(link: number, word: number): number {
    return this.#words[link * LINK_WORDS + word] as number;
  }
}
