/** What the tables say of one block, for whoever asks the store. */
import { getU48 } from '../../base/formats/field-bytes.ts';
import type { Session, Term } from '../../base/units.ts';
import type { BlockFacts } from './chunk-store.ts';
import type { ChunkTable } from './chunk-table.ts';
import { BlockField, BlockFlag, blockRowAt } from './formats/chunk-page.ts';

export const UNKNOWN: BlockFacts = {
  version: { term: 0 as Term, n: 0 },
  conditionalVersion: 0,
  crc: 0,
  origin: { session: 0 as Session, seq: 0 },
  hasData: false,
  isLost: false,
  dirty: false,
  missing: 0,
};

export function factsOf({ view }: ChunkTable, row: number, block: number): BlockFacts {
  const at = blockRowAt(row, block);
  const flags = view.getUint8(at + BlockField.flags);
  return {
    version: {
      term: view.getUint32(at + BlockField.term, true) as Term,
      n: getU48(view, at + BlockField.n),
    },
    conditionalVersion: getU48(view, at + BlockField.conditional),
    crc: view.getUint32(at + BlockField.crc, true),
    origin: {
      session: view.getUint32(at + BlockField.session, true) as Session,
      seq: getU48(view, at + BlockField.seq),
    },
    hasData: (flags & BlockFlag.hasData) !== 0,
    isLost: (flags & BlockFlag.lost) !== 0,
    dirty: (flags & BlockFlag.dirty) !== 0,
    missing: view.getUint8(at + BlockField.missing),
  };
}
