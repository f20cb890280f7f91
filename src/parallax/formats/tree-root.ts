/**
 * The root of a tree as a plain value, and its form inside root blocks and snapshot records.
 *
 * | offset | bytes | what                                                        |
 * |-------:|------:|-------------------------------------------------------------|
 * |      0 |    16 | tree entry of the root node; zeros: the tree is empty       |
 * |     16 |     2 | height, 1 to 6                                              |
 * |     18 |     6 | zero                                                        |
 */
import { getU48, setU32, setU48 } from '../../base/formats/field-bytes.ts';
import { TREE_HEIGHT_MAX } from './tree-node.ts';

/** Immutable; trees are never changed in place, so a root stands for one content for ever. */
export interface TreeRoot {
  /** Pool block of the root node; 0: nothing is mapped. */
  readonly block: number;
  readonly crc: number;
  readonly birth: number;
  readonly flags: number;
  readonly height: number;
}

export const EMPTY_ROOT: TreeRoot = { block: 0, crc: 0, birth: 0, flags: 0, height: 1 };

export function encodeRoot(view: DataView, at: number, root: TreeRoot): void {
  setU48(view, at, root.block);
  view.setUint16(at + 6, root.flags, true);
  setU32(view, at + 8, root.birth);
  setU32(view, at + 12, root.crc);
  view.setUint16(at + 16, root.height, true);
}

/** Null: the bytes are no root; then `rootProblem` says why. */
export function decodeRoot(view: DataView, at: number): TreeRoot | null {
  if (rootProblem(view, at) !== null) return null;
  return {
    block: getU48(view, at),
    crc: view.getUint32(at + 12, true),
    birth: view.getUint32(at + 8, true),
    flags: view.getUint16(at + 6, true),
    height: view.getUint16(at + 16, true),
  };
}

export function rootProblem(view: DataView, at: number): string | null {
  const height = view.getUint16(at + 16, true);
  if (height < 1 || height > TREE_HEIGHT_MAX) {
    return `height ${height} of a tree, expected 1 to ${TREE_HEIGHT_MAX}`;
  }
  const empty = getU48(view, at) === 0;
  const rest = view.getUint16(at + 6, true) | view.getUint32(at + 8, true);
  if (empty && (rest !== 0 || view.getUint32(at + 12, true) !== 0)) {
    return 'an empty root with flags, birth or CRC, expected zeros';
  }
  return null;
}
