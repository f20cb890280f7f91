/** What a server has to offer, as its connections see it. */
import type { ExportDisk } from '../export-disk.ts';
import type { RequestTap } from '../request-tap.ts';
import { type ReplyMode, TransmissionFlag } from './protocol.ts';
import type { Extent } from './replies.ts';
import { BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, BLOCK_BYTES_PREFERRED } from './request-rules.ts';

export interface NbdExport {
  readonly name: string;
  /** For people. */
  readonly description: string;
  readonly isReadOnly: boolean;
  /** What clients that choose it now are told; it may change, and holds for them until they go. */
  readonly sizeBytes: number;
  readonly disk: ExportDisk;
  /** Hears of what its clients ask for; null: nobody does. */
  readonly tap: RequestTap | null;
  /** Names of the contexts of block status that it knows. */
  readonly contexts: readonly string[];
  /**
   * The status of a range in one of them, from `offset` on: extents one after the other, of which
   * at least one is not empty. Rejects with `StorageError` if that cannot be said now.
   */
  extents(context: string, offset: number, lengthBytes: number): Promise<readonly Extent[]>;
}

export interface NbdCatalog {
  list(): readonly NbdExport[];
  /** The empty name is the default export, if there is one. */
  find(name: string): NbdExport | null;
}

export const BLOCK_SIZES: readonly number[] = [
  BLOCK_BYTES_MIN,
  BLOCK_BYTES_PREFERRED,
  BLOCK_BYTES_MAX,
];

/** What clients of that export may ask for. */
export function transmissionFlags({ disk, isReadOnly }: NbdExport, mode: ReplyMode): number {
  const flag = TransmissionFlag;
  // All connections of an export share its disk, so a flush of one covers what any was answered.
  const always = flag.hasFlags | flag.sendFlush | flag.sendFua | flag.canMultiConn | flag.sendCache;
  const canDiscard = disk.features?.discard === true && !isReadOnly;
  const discards = flag.sendTrim | flag.sendWriteZeroes | flag.sendFastZero;
  return (
    always |
    (isReadOnly ? flag.readOnly : 0) |
    (canDiscard ? discards : 0) |
    (mode === 'simple' ? 0 : flag.sendDf)
  );
}
