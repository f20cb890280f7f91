/**
 * Finds chunks: from (gmap, group, vdisk, chunk) to the row of its newest epoch, and from there to
 * those of older epochs. Open addressing in a typed array; the keys are in the rows themselves.
 * Rows are never taken out: what a trim left behind must be known as long as a late duplicate of an
 * older write may come.
 */
import { invariant } from '../../base/invariant.ts';
import { ChunkField, chunkRowAt } from './formats/chunk-page.ts';

const NONE = -1;

export class ChunkIndex {
  readonly #view: DataView;
  readonly #mask: number;
  /** Row + 1; 0: free. */
  readonly #heads: Int32Array;
  readonly #older: Int32Array;

  /** `view`: of the pages of all chunks, which hold this many rows. */
  constructor(view: DataView, rows: number) {
    this.#view = view;
    let places = 16;
    while (places < 2 * rows) places *= 2;
    this.#mask = places - 1;
    this.#heads = new Int32Array(places);
    this.#older = new Int32Array(rows).fill(NONE);
  }

  /** Row of the newest epoch, or -1. */
  newest(gmap: number, group: number, vdisk: number, chunk: number): number {
    return (this.#heads[this.#placeOf(gmap, group, vdisk, chunk)] as number) - 1;
  }

  /** Row of the next older epoch of the same chunk, or -1. */
  older(row: number): number {
    return this.#older[row] as number;
  }

  /** Row of exactly this epoch, or -1. */
  exact(gmap: number, group: number, vdisk: number, epoch: number, chunk: number): number {
    let row = this.newest(gmap, group, vdisk, chunk);
    while (row !== NONE && this.epochOf(row) > epoch) row = this.older(row);
    return row !== NONE && this.epochOf(row) === epoch ? row : NONE;
  }

  epochOf(row: number): number {
    return this.#view.getUint32(chunkRowAt(row) + ChunkField.epoch, true);
  }

  /** False: there is a row of this chunk and epoch already. */
  add(row: number): boolean {
    const at = chunkRowAt(row);
    const field = (offset: number): number => this.#view.getUint32(at + offset, true);
    const place = this.#placeOf(
      field(ChunkField.gmap),
      field(ChunkField.group),
      field(ChunkField.vdisk),
      field(ChunkField.chunk),
    );
    const epoch = this.epochOf(row);
    let newer = NONE;
    let next = (this.#heads[place] as number) - 1;
    while (next !== NONE && this.epochOf(next) >= epoch) {
      if (this.epochOf(next) === epoch) return false;
      newer = next;
      next = this.older(next);
    }
    this.#older[row] = next;
    if (newer === NONE) this.#heads[place] = row + 1;
    else this.#older[newer] = row;
    return true;
  }

  /** Where the chunk is, or would be. */
  #placeOf(gmap: number, group: number, vdisk: number, chunk: number): number {
    const view = this.#view;
    let place = mix(mix(mix(mix(0, gmap), group), vdisk), chunk) & this.#mask;
    for (;;) {
      const row = (this.#heads[place] as number) - 1;
      if (row === NONE) return place;
      const at = chunkRowAt(row);
      if (
        view.getUint32(at + ChunkField.chunk, true) === chunk &&
        view.getUint32(at + ChunkField.vdisk, true) === vdisk &&
        view.getUint32(at + ChunkField.gmap, true) === gmap &&
        view.getUint32(at + ChunkField.group, true) === group
      ) {
        invariant(
          view.getUint16(at + ChunkField.state, true) === 1,
          'rows that are found are used',
        );
        return place;
      }
      place = (place + 1) & this.#mask;
    }
  }
}

function mix(state: number, word: number): number {
  let hash = Math.imul(state ^ word, 0x9e3779b1);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x85ebca6b);
  return hash ^ (hash >>> 13);
}
