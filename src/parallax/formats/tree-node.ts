/**
 * Nodes of the radix tree of a virtual disk image, as they lie in the pool.
 *
 * A node is one block: 256 entries of 16 bytes and nothing else. Its CRC is in the entry that names
 * it, so a walk that starts at a root block trusts every node it passes.
 *
 * | offset in entry | bytes | what                                                  |
 * |----------------:|------:|-------------------------------------------------------|
 * |               0 |     6 | pool block of the child; 0: none, the entry is zeros  |
 * |               6 |     2 | flags                                                 |
 * |               8 |     4 | birth: snapshot counter when the child was written    |
 * |              12 |     4 | CRC-32 of the child's 4096 bytes                      |
 *
 * A node of level 1 (a leaf) names data blocks, one of level n nodes of level n - 1. A tree of
 * height h has a root of level h and covers 256^h blocks. Entries are read and written as four
 * little-endian words, `at` being the index of the first; nothing is allocated.
 */
import { invariant } from '../../base/invariant.ts';

export const NODE_ENTRIES = 256;
export const ENTRY_BYTES = 16;
export const ENTRY_WORDS = 4;
export const NODE_BYTES = 4096;
export const NODE_WORDS: number = NODE_BYTES / 4;
/** 256^6 blocks: all that an index of 48 bits can name. */
export const TREE_HEIGHT_MAX = 6;

const U32 = 2 ** 32;
const HALF_INDEX_BITS = 24;
const HALF_INDEX = 2 ** HALF_INDEX_BITS;
const SLOT_BITS = 8;
const SLOT_MASK = NODE_ENTRIES - 1;
const LEVELS_IN_HALF = HALF_INDEX_BITS / SLOT_BITS;

invariant(NODE_ENTRIES * ENTRY_BYTES === NODE_BYTES, 'a node fills one block');
invariant(2 * LEVELS_IN_HALF === TREE_HEIGHT_MAX, 'two halves of an index name all levels');

export function entryBlock(words: Uint32Array, at: number): number {
  return ((words[at + 1] as number) & 0xffff) * U32 + (words[at] as number);
}

export function entryFlags(words: Uint32Array, at: number): number {
  return (words[at + 1] as number) >>> 16;
}

export function entryBirth(words: Uint32Array, at: number): number {
  return words[at + 2] as number;
}

export function entryCrc(words: Uint32Array, at: number): number {
  return words[at + 3] as number;
}

export function setEntry(
  words: Uint32Array,
  at: number,
  block: number,
  flags: number,
  birth: number,
  crc: number,
): void {
  invariant(block > 0, 'an entry that names nothing is cleared, not set');
  words[at] = block;
  words[at + 1] = Math.floor(block / U32) + flags * 0x1_0000;
  words[at + 2] = birth;
  words[at + 3] = crc;
}

export function clearEntry(words: Uint32Array, at: number): void {
  words[at] = 0;
  words[at + 1] = 0;
  words[at + 2] = 0;
  words[at + 3] = 0;
}

/** Whether the node at word `at` names nothing at all. */
export function isEmptyNode(words: Uint32Array, at: number): boolean {
  for (let word = at; word < at + NODE_WORDS; word += ENTRY_WORDS) {
    if (words[word] !== 0 || ((words[word + 1] as number) & 0xffff) !== 0) return false;
  }
  return true;
}

/** Which entry of a node of this level leads to `index`. Exact for all 48 bits. */
export function slotOf(index: number, level: number): number {
  const high = Math.floor(index / HALF_INDEX);
  return level <= LEVELS_IN_HALF
    ? ((index - high * HALF_INDEX) >>> (SLOT_BITS * (level - 1))) & SLOT_MASK
    : (high >>> (SLOT_BITS * (level - 1 - LEVELS_IN_HALF))) & SLOT_MASK;
}

/** Blocks that one entry of a node of this level covers: 256^(level - 1). */
export function entrySpan(level: number): number {
  return 2 ** (SLOT_BITS * (level - 1));
}

/** Blocks that a tree of this height covers: 256^height. */
export function treeSpan(height: number): number {
  return 2 ** (SLOT_BITS * height);
}

/** The lowest tree that covers block `index`; at least 1. */
export function heightFor(index: number): number {
  invariant(index < treeSpan(TREE_HEIGHT_MAX), 'a block number of an image fits 48 bits');
  let height = 1;
  while (index >= treeSpan(height)) height++;
  return height;
}
