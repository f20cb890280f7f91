/**
 * Units and numbers that order things, as branded types.
 *
 * A brand costs nothing at run time; it stops a sector from being used as a byte and one counter
 * from being compared with another. Values are minted here only (`lba(n)`, `nanos(n)`), where the
 * range is asserted, and cross from one unit to another only through the named functions below.
 *
 * The second half of the file names every number that orders or fences something. There is one
 * name for each and never the bare word "epoch"; the comment of each says who issues it and when.
 */
import { invariant } from './invariant.ts';

declare const brand: unique symbol;
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Bytes in one sector of a block request: 512, whatever the device's own sector size (blkif.h). */
export const SECTOR_BYTES = 512;
/** Bytes in a page, a machine frame and a VDI block. */
export const PAGE_BYTES = 4096;
export const SECTORS_PER_PAGE: number = PAGE_BYTES / SECTOR_BYTES;

/** A sector address on a disk, counted in 512-byte sectors. */
export type Lba = Brand<number, 'Lba'>;
/** A 4 KiB block of a disk. */
export type BlockNo = Brand<number, 'BlockNo'>;
export type ByteOffset = Brand<number, 'ByteOffset'>;
/** A 4 KiB page of a host's RAM, as Xen's machine frame number. Frame 0 is never handed out. */
export type FrameNo = Brand<number, 'FrameNo'>;
/** Time in nanoseconds, an integer in a double: monotonic, 0 at the start of its world. */
export type Nanos = Brand<number, 'Nanos'>;

/** A domain of a host. 0 is the toolstack's. Never used twice on one host. */
export type DomainId = Brand<number, 'DomainId'>;
/** Number of a grant table entry. 0..7 are reserved (grant_table.h). */
export type GrantRef = Brand<number, 'GrantRef'>;
/** Number of an event channel end inside its domain. */
export type EventPort = Brand<number, 'EventPort'>;

/**
 * Issued by the toolstack for each connection lifetime of a guest's disk; kept over restarts of the
 * driver VM.
 */
export type FrontId = Brand<number, 'FrontId'>;
/** Issued by the front end at submit, over all queues of a disk. 48 bits. */
export type FrontSeq = Brand<number, 'FrontSeq'>;
/** Issued by the toolstack at each (re)connection of a disk. */
export type RingEpoch = Brand<number, 'RingEpoch'>;
/** Issued by the driver VM after validation and the payload copy: the order of a VDI. 48 bits. */
export type VdiSeq = Brand<number, 'VdiSeq'>;
/** Issued by Parallax at every start and take-over of a VDI. */
export type Generation = Brand<number, 'Generation'>;
/** Issued by the directory: one attach of a host to a store. */
export type Session = Brand<number, 'Session'>;
/** Issued by the directory with the session; older fences are refused by the pool. */
export type Fence = Brand<number, 'Fence'>;
/** Issued by the directory at each change of a pair's primary or in-sync set. */
export type Term = Brand<number, 'Term'>;
/** Issued by the directory at each change of a virtual disk's map. */
export type MapVersion = Brand<number, 'MapVersion'>;
/** Issued by a server or driver VM at each start, on disk before use. */
export type Incarnation = Brand<number, 'Incarnation'>;
/** Parallax's snapshot counter of a VDI lineage. */
export type Birth = Brand<number, 'Birth'>;
/** Issued by the directory at a Petal snapshot of an exclusive virtual disk. */
export type PetalEpoch = Brand<number, 'PetalEpoch'>;
/** Issued by the collector of a store. */
export type GcCycle = Brand<number, 'GcCycle'>;
/** Issued by a guest: the n-th write of its disk. It is what the stamps carry. 48 bits. */
export type WriteIndex = Brand<number, 'WriteIndex'>;

export const NEVER: Nanos = Number.POSITIVE_INFINITY as Nanos;
export const US = 1_000;
export const MS = 1_000_000;
export const SECOND = 1_000_000_000;

const U32_END = 2 ** 32;
const U48_END = 2 ** 48;

export function nanos(value: number): Nanos {
  invariant(value >= 0, 'a time is not negative');
  return value as Nanos;
}

export function lba(value: number): Lba {
  invariant(Number.isSafeInteger(value) && value >= 0, 'a sector address is a whole number');
  return value as Lba;
}

export function blockNo(value: number): BlockNo {
  invariant(
    Number.isInteger(value) && value >= 0 && value < 2 ** 31,
    'a block number fits 31 bits',
  );
  return value as BlockNo;
}

export function frameNo(value: number): FrameNo {
  invariant(Number.isInteger(value) && value > 0 && value < 2 ** 20, 'a frame is inside 4 GiB');
  return value as FrameNo;
}

/** Mints any of the 32-bit numbers that order or fence something. */
export function u32<T extends Brand<number, string>>(value: number): T {
  invariant(Number.isInteger(value) && value >= 0 && value < U32_END, 'the number fits 32 bits');
  return value as T;
}

/** Mints any of the 48-bit numbers that order something. */
export function u48<T extends Brand<number, string>>(value: number): T {
  invariant(Number.isInteger(value) && value >= 0 && value < U48_END, 'the number fits 48 bits');
  return value as T;
}

export function frameToAddress(frame: FrameNo): number {
  return frame * PAGE_BYTES;
}

export function lbaToBytes(sector: Lba): ByteOffset {
  return (sector * SECTOR_BYTES) as ByteOffset;
}

export function lbaToBlock(sector: Lba): BlockNo {
  return Math.floor(sector / SECTORS_PER_PAGE) as BlockNo;
}

export function blockToLba(block: BlockNo): Lba {
  return (block * SECTORS_PER_PAGE) as Lba;
}
