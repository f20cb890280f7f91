/**
 * Which blocks of an image hold anything, which are not published yet, and which have changed since
 * a snapshot, as runs of blocks.
 *
 * Root and dirty map are looked at together, at one moment; the walk below the root may take long,
 * but a published tree stays what it is. What is dirty counts as data, also where it is zeros: to
 * call a block data is always safe, to call one empty must be true.
 */
import { EMPTY_ROOT, type TreeRoot } from '../formats/tree-root.ts';
import type { NodeLoader } from '../tree/node-loader.ts';
import { diffTrees, walkTree } from '../tree/walk.ts';
import type { Vdi } from './vdi.ts';

/** Blocks one after the other. */
export interface BlockRun {
  readonly blocks: number;
  readonly isSet: boolean;
}

/**
 * `allocation`: mapped or dirty. `dirty`: acknowledged and not published. `since`: not as it was in
 * the snapshot of that name.
 */
export type ExtentKind = 'allocation' | 'dirty' | { readonly since: string };

/** Looked at in one call; who wants to know more asks again. */
const BLOCKS_MAX = 262_144;

/**
 * Runs from block `from` on, up to block `to` at most; at least one, if there is a block. `older`:
 * the tree of the snapshot, where one is asked for; what is dirty is newer than any published one.
 */
export async function extentsOf(
  { dirty, root }: Vdi,
  loader: NodeLoader,
  kind: ExtentKind,
  from: number,
  to: number,
  older: TreeRoot = EMPTY_ROOT,
): Promise<BlockRun[]> {
  const end = Math.min(to, from + BLOCKS_MAX);
  const isSet = new Uint8Array(Math.max(0, end - from));
  const mark = (block: number): void => {
    isSet[block - from] = 1;
  };
  dirty.forEachBlock((block) => {
    if (block >= from && block < end) mark(block);
  });
  if (kind === 'allocation') await walkTree(loader, root, { data: mark }, { from, to: end });
  else if (kind !== 'dirty') {
    const visit = (first: number, blocks: number): void => {
      isSet.fill(1, first - from, first - from + blocks);
    };
    await diffTrees(loader, older, root, visit, { from, to: end });
  }
  const runs: BlockRun[] = [];
  for (let first = 0; first < isSet.length; ) {
    let next = first + 1;
    while (next < isSet.length && isSet[next] === isSet[first]) next++;
    runs.push({ blocks: next - first, isSet: isSet[first] === 1 });
    first = next;
  }
  return runs;
}
