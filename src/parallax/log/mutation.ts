/** What is appended to the dirty log, and who is told when it is safe. */
import type { MutationKind } from '../formats/log-group.ts';

export const LogStatus = {
  ok: 0,
  /** It could not be made safe, and the log takes no more: it may or may not have happened. */
  ioError: -5,
} as const;
export type LogStatus = (typeof LogStatus)[keyof typeof LogStatus];

/** Pooled by its owner; the log borrows it from a successful `append` until `logged`. */
export interface Mutation {
  kind: MutationKind;
  vdi: number;
  generation: number;
  vdiSeq: number;
  frontId: number;
  frontSeq: number;
  /** Of a request that was split: where this part begins, sectors. */
  partOffset: number;
  /** Of a request that was split: length of the whole, sectors. */
  unitSectors: number;
  writeIndex: number;
  lba: number;
  sectors: number;
  /** Of kind write: payload in the host's RAM, private to the driver VM; copied by `append`. */
  address: number;
  /** Snapshot id, new policy and the like. */
  detail: number;
  /** Acknowledged after the fdatasync of its group, else after the group's write. */
  needsSync: boolean;
  /** Set by `append`: handle and offset under which the payload can be read until retired. */
  segment: number;
  offset: number;
  /** Filled by `append`: CRC of what goes into each block, in order; has room for all of them. */
  readonly pieceCrcs: Uint32Array;
  /** Called once, never inside `append`, in the order of append within a VDI. */
  logged(status: LogStatus): void;
}

/** Somebody who waits for everything appended so far; borrowed until `synced`. */
export interface SyncWaiter {
  /** The log's own while it borrows the waiter. */
  groupSeq: number;
  synced(status: LogStatus): void;
}
