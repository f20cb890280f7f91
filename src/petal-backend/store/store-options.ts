/** How large a store is and how its work is cut up, and where things lie on its disks. */
import { invariant } from '../../base/invariant.ts';
import { PAGE_BYTES } from '../../base/units.ts';
import { CHUNK_BLOCKS } from '../wire/messages.ts';
import { CHUNKS_PER_PAGE } from './formats/chunk-page.ts';

/** Mistakes that can be planted in a store, to see that the checks of a pool find them. */
export const STORE_BUGS = [
  /** The log is not flushed before somebody is told that it is durable. */
  'no-flush',
  /** What others lack is forgotten by a restart. */
  'volatile-marks',
] as const;
export type StoreBug = (typeof STORE_BUGS)[number];

export interface StoreOptions {
  /** Uuid of the server, 16 bytes: disks of another one are not touched. */
  readonly server: Uint8Array;
  /** Disks `data-0` and on. One more than there were is a disk that was added, not one lost. */
  readonly dataDisks: number;
  /** Of each data disk, when it is made; later its own size counts. */
  readonly dataBytes: number;
  /** Of the disk `log`, when it is made. */
  readonly logBytes: number;
  /** Pieces of the log that are used again one by one: at least three fit. */
  readonly segmentBytes: number;
  /** RAM for what is not in its place yet: at least two groups of the largest size. */
  readonly arenaBytes: number;
  /** Pages for pairs, 31 to a page. */
  readonly pairPages: number;
  /** How long after a mutation the disks may wait for its data. */
  readonly applyDelayNs: number;
  /** Between two attempts when a disk fails. */
  readonly retryNs: number;
  readonly plantedBug?: StoreBug;
}

export const LOG_DISK = 'log';
export const SUPERBLOCK_COPIES: readonly [number, number] = [0, PAGE_BYTES];
export const SLOT_BYTES: number = CHUNK_BLOCKS * PAGE_BYTES;
const PAGES_AT = 2 * PAGE_BYTES;
/** Rows are cheap, and a trimmed chunk keeps its own: there are two for each slot. */
const ROWS_PER_SLOT = 2;
const MIN_SEGMENTS = 3;

export function dataDiskName(disk: number): string {
  return `data-${disk}`;
}

/** Whether a disk of a host is one of a server's. */
export function isStoreDisk(name: string): boolean {
  return name === LOG_DISK || /^data-\d+$/.test(name);
}

/** Where things lie on a data disk. */
export interface DataGeometry {
  readonly pages: number;
  readonly copies: readonly [number, number];
  readonly slots: number;
  readonly slotsAt: number;
}

export function dataGeometry(sizeBytes: number): DataGeometry {
  const pagesFor = (slots: number): number => Math.ceil((ROWS_PER_SLOT * slots) / CHUNKS_PER_PAGE);
  const slotsAt = (slots: number): number => PAGES_AT + 2 * pagesFor(slots) * PAGE_BYTES;
  let slots = Math.floor(sizeBytes / SLOT_BYTES);
  while (slots > 0 && slotsAt(slots) + slots * SLOT_BYTES > sizeBytes) slots--;
  const pages = pagesFor(slots);
  const copies: [number, number] = [PAGES_AT, PAGES_AT + pages * PAGE_BYTES];
  return { pages, copies, slots, slotsAt: slotsAt(slots) };
}

/** Where things lie on the log disk. */
export interface LogGeometry {
  readonly pairPages: number;
  readonly pairCopies: readonly [number, number];
  readonly segmentPages: number;
  readonly segments: number;
  readonly segmentsAt: number;
}

export function logGeometry(
  sizeBytes: number,
  segmentBytes: number,
  pairPages: number,
): LogGeometry {
  const segmentsAt = PAGES_AT + 2 * pairPages * PAGE_BYTES;
  const segments = Math.max(0, Math.floor((sizeBytes - segmentsAt) / segmentBytes));
  return {
    pairPages,
    pairCopies: [PAGES_AT, PAGES_AT + pairPages * PAGE_BYTES],
    segmentPages: segmentBytes / PAGE_BYTES,
    segments,
    segmentsAt,
  };
}

/** Pages of the largest group: it fits a segment, and twice into the arena. */
export function maxGroupPages(options: StoreOptions): number {
  return Math.min(
    options.segmentBytes / PAGE_BYTES,
    Math.floor(options.arenaBytes / PAGE_BYTES / 2),
  );
}

export function checkOptions(options: StoreOptions): void {
  const { segmentBytes, arenaBytes, logBytes, pairPages, dataBytes } = options;
  const whole = segmentBytes % PAGE_BYTES === 0 && arenaBytes % PAGE_BYTES === 0;
  invariant(whole, 'segments and the arena are whole pages');
  invariant(maxGroupPages(options) > CHUNK_BLOCKS, 'a group holds the largest mutation');
  const { segments } = logGeometry(logBytes, segmentBytes, pairPages);
  invariant(segments >= MIN_SEGMENTS, 'a log has three segments');
  invariant(dataGeometry(dataBytes).slots > 0, 'a data disk has room for a chunk');
}
