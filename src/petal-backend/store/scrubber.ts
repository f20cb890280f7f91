/**
 * Looks for rot: reads every chunk as a read would, in the order of the rows, a few at a time, and
 * says which blocks are not what was written. Nothing is repaired here: the other copy has the
 * data. It knows the rows by name, so it is also who lists all blocks of a pair.
 */
import { PAGE_BYTES } from '../../base/units.ts';
import { CHUNK_BLOCKS } from '../wire/messages.ts';
import type { DamagedBlock, ScrubStep, StoreRead } from './chunk-store.ts';
import type { ChunkTable } from './chunk-table.ts';
import { ChunkField, chunkRowAt } from './formats/chunk-page.ts';

export class Scrubber {
  readonly #table: ChunkTable;
  readonly #read: (read: StoreRead) => void;
  #next = 0;

  constructor(table: ChunkTable, read: (read: StoreRead) => void) {
    this.#table = table;
    this.#read = read;
  }

  async step(limit: number): Promise<ScrubStep> {
    const damaged: DamagedBlock[] = [];
    const data = new Uint8Array(CHUNK_BLOCKS * PAGE_BYTES);
    let chunks = 0;
    for (;;) {
      const row = this.#table.nextUsed(this.#next);
      this.#next = row;
      if (chunks === limit || row === this.#table.rows) break;
      this.#next++;
      if (!this.#isWorthReading(row)) continue;
      chunks++;
      const bad = await this.#readRow(row, data);
      for (let block = 0; block < CHUNK_BLOCKS; block++) {
        // A block that an older epoch has is looked at with that one's row.
        const isOwn = this.#table.holdsData(row, block) || this.#table.isLost(row, block);
        if (isOwn && (bad & (1 << block)) !== 0) damaged.push(this.nameOf(row, block));
      }
    }
    const isRoundDone = this.#next === this.#table.rows;
    if (isRoundDone) this.#next = 0;
    return { damaged, chunks, isRoundDone };
  }

  blocksOf(pair: number): readonly DamagedBlock[] {
    const table = this.#table;
    const found: DamagedBlock[] = [];
    for (let row = table.nextUsed(0); row < table.rows; row = table.nextUsed(row + 1)) {
      if (table.pairOf[row] !== pair) continue;
      for (let block = 0; block < CHUNK_BLOCKS; block++) {
        if (table.isKnown(row, block)) found.push(this.nameOf(row, block));
      }
    }
    return found;
  }

  nameOf(row: number, block: number): DamagedBlock {
    const at = chunkRowAt(row);
    const field = (offset: number): number => this.#table.view.getUint32(at + offset, true);
    return {
      gmap: field(ChunkField.gmap),
      group: field(ChunkField.group),
      vdisk: field(ChunkField.vdisk),
      epoch: field(ChunkField.epoch),
      block: field(ChunkField.chunk) * CHUNK_BLOCKS + block,
    };
  }

  /** What is lost is told each time: somebody may have it by now. */
  #isWorthReading(row: number): boolean {
    for (let block = 0; block < CHUNK_BLOCKS; block++) {
      if (this.#table.holdsData(row, block) || this.#table.isLost(row, block)) return true;
    }
    return false;
  }

  /** Bits of the blocks that do not hold. */
  #readRow(row: number, data: Uint8Array): Promise<number> {
    const place = { ...this.nameOf(row, 0), blocks: CHUNK_BLOCKS };
    return new Promise((resolve) => {
      const storeDone = (_status: number, damaged: number): void => resolve(damaged);
      this.#read({ ...place, data, storeDone });
    });
  }
}
