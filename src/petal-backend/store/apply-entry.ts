/** What an entry of the log means for the tables: the same when it is durable and when replayed. */
import { CHUNK_BLOCKS } from '../wire/messages.ts';
import type { ChunkTable } from './chunk-table.ts';
import { type IntentEntry, IntentOp } from './formats/intent-group.ts';
import type { PairTable } from './pair-table.ts';

/** `page`: of the arena, with its data; -1: they are in their slot. False: it names no place. */
export function applyEntry(
  table: ChunkTable,
  pairs: PairTable,
  entry: IntentEntry,
  page: number,
): boolean {
  const pair = pairs.findOrCreate(entry.gmap, entry.group);
  if (pair < 0) return false;
  if (entry.op === IntentOp.setPair) {
    pairs.setNote(pair, entry);
    return true;
  }
  if (entry.op === IntentOp.markAll) {
    for (let row = table.nextUsed(0); row < table.rows; row = table.nextUsed(row + 1)) {
      if (table.pairOf[row] === pair) table.markAll(row, entry.missing);
    }
    return true;
  }
  const { gmap, group, vdisk, epoch, block } = entry;
  const row = table.rowOf(entry.rowDisk, entry.row);
  if (row < 0) return false;
  const known = table.index.exact(gmap, group, vdisk, epoch, Math.floor(block / CHUNK_BLOCKS));
  if (known < 0 && !table.isUsed(row)) table.create(row, entry, pair);
  else if (known !== row) return false;
  if (entry.op === IntentOp.mark) {
    table.mark(row, block % CHUNK_BLOCKS, entry.blocks, entry.missing);
    return true;
  }
  table.apply(row, entry, page);
  pairs.raise(pair, entry.term, entry.n);
  return true;
}
