/**
 * Numbers that are counted up as long as an image and its clones live, and what happens at their
 * end: a clear refusal, well before a number could be used twice. Nothing wraps.
 */
import { StorageError } from '../../base/errors.ts';

/** The last birth that entries may carry. */
export const BIRTH_MAX: number = 2 ** 32 - 1;
export const GENERATION_MAX: number = 2 ** 32 - 1;
export const VDI_SEQ_MAX: number = 2 ** 48 - 1;

/** The birth after a snapshot. Rejects the snapshot when the lineage has none left. */
export function nextBirth(birth: number): number {
  if (birth < BIRTH_MAX) return birth + 1;
  const message =
    `this image and its ancestors have had ${BIRTH_MAX} snapshots, which is all that can be ` +
    'told apart: export it to a new image to go on taking snapshots';
  throw new StorageError('E_BIRTHS_EXHAUSTED', message, { fields: { birth } });
}

/** The generation after a start or take-over. */
export function nextGeneration(generation: number): number {
  if (generation < GENERATION_MAX) return generation + 1;
  const message =
    `this image was started ${GENERATION_MAX} times, which is all that can be told apart: ` +
    'export it to a new image';
  throw new StorageError('E_GENERATIONS_EXHAUSTED', message, { fields: { generation } });
}

/** Whether `count` more mutations can be numbered after `vdiSeq`. For the data path. */
export function hasVdiSeqs(vdiSeq: number, count: number): boolean {
  return vdiSeq <= VDI_SEQ_MAX - count;
}

/** What an image says when `hasVdiSeqs` is false. */
export function vdiSeqsExhausted(vdiSeq: number): StorageError {
  const message =
    `mutation ${vdiSeq} was the last of this image that can be numbered: it is read-only now; ` +
    'export it to a new image';
  return new StorageError('E_VDI_SEQS_EXHAUSTED', message, { fields: { vdiSeq } });
}
