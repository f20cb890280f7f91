/** Whether a store can take data of a chunk, asked before anybody is bound to it. */
import { CHUNK_BLOCKS } from '../wire/messages.ts';
import type { StorePlace } from './chunk-store.ts';
import type { ChunkTable } from './chunk-table.ts';
import type { Slots } from './slots.ts';

const NONE = -1;

/** `decommit` gives back slots that hold nothing any more. */
export function hasRoomFor(
  { gmap, group, vdisk, epoch, block }: StorePlace,
  { table, slots }: { readonly table: ChunkTable; readonly slots: Slots },
  decommit: () => void,
): boolean {
  const row = table.index.exact(gmap, group, vdisk, epoch, Math.floor(block / CHUNK_BLOCKS));
  if (row !== NONE && table.slotOf(row) !== 0) return true;
  if (slots.free === 0) decommit();
  return slots.free > 0 && (row !== NONE || table.hasFreeRow());
}
