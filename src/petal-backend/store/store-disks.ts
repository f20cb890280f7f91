/**
 * Opens the disks of a store and judges their superblocks: which are ours, which are new, which
 * were lost. Nothing is written here.
 */

import { StorageError, UsageError } from '../../base/errors.ts';
import { formatUuid, sameBytes } from '../../base/formats/field-bytes.ts';
import { PAGE_BYTES } from '../../base/units.ts';
import type { Disk, World } from '../../world/world.ts';
import { CHUNK_PAGE } from './formats/chunk-page.ts';
import { LOG_DISK_NUMBER, PAIR_PAGE } from './formats/pair-page.ts';
import {
  decodeStoreSuperblock,
  STORE_SUPERBLOCK,
  StoreDiskKind,
  type StoreSuperblock,
} from './formats/store-superblock.ts';
import { MirroredPages } from './mirrored-pages.ts';
import type { DataDisk, StoreDisks } from './place-keeper.ts';
import {
  type DataGeometry,
  dataDiskName,
  dataGeometry,
  LOG_DISK,
  type LogGeometry,
  logGeometry,
  type StoreOptions,
  SUPERBLOCK_COPIES,
} from './store-options.ts';

export interface OpenedDisks extends StoreDisks {
  readonly logSuperblockFound: StoreSuperblock | null;
  readonly logGeometry: LogGeometry;
  readonly geometries: readonly (DataGeometry | null)[];
  /** Data disks that must be laid out anew. */
  readonly blank: readonly number[];
  readonly dataDisks: number;
  /** Highest that any superblock has; 0: there is none. */
  readonly incarnation: number;
  /** Highest sequence of a superblock. */
  readonly sequence: number;
  /** Why not everything that once was there can be there. */
  readonly losses: readonly string[];
}

interface Found {
  readonly disk: Disk;
  readonly pages: MirroredPages;
  readonly superblock: StoreSuperblock | null;
  /** What is wrong with the superblock, if there are bytes where it should be. */
  readonly problem: string | null;
  readonly sequence: number;
}

/**
 * Throws `UsageError` E_FORMAT_NEWER for a disk of a later version, E_STORE_OTHER for a log of
 * another server, E_STORE_GEOMETRY if the log was made with other sizes.
 */
export async function openStoreDisks(world: World, options: StoreOptions): Promise<OpenedDisks> {
  const log = await openOne(world, LOG_DISK, options.logBytes, LOG_DISK_NUMBER);
  const found: Found[] = [];
  for (let disk = 0; disk < options.dataDisks; disk++) {
    found.push(await openOne(world, dataDiskName(disk), options.dataBytes, disk));
  }
  const logFound = logOf(log, options);
  const losses: string[] = [];
  if (logFound === null) losses.push(`${LOG_DISK} ${log.problem ?? 'is new'}`);
  const isOurs = ({ superblock }: Found): boolean =>
    superblock !== null && sameBytes(superblock.server, options.server);
  const ours = found.filter(isOurs).map(({ superblock }) => superblock as StoreSuperblock);
  const known = logFound === null ? ours : [logFound, ...ours];
  const before = Math.max(0, ...known.map(({ dataDisks }) => dataDisks));
  const blank: number[] = [];
  for (const [disk, one] of found.entries()) {
    if (isOurs(one)) continue;
    if (one.superblock === null) blank.push(disk);
    const problem = one.superblock === null ? (one.problem ?? 'is new') : otherServer(one);
    if (one.superblock !== null || disk < before || one.problem !== null) {
      losses.push(`${dataDiskName(disk)} ${problem}`);
    }
  }
  for (let disk = options.dataDisks; disk < before; disk++) {
    losses.push(`${dataDiskName(disk)} is not among the disks any more`);
  }
  const geometries = found.map((one) =>
    one.superblock === null || isOurs(one)
      ? dataGeometry(one.superblock?.sizeBytes ?? one.disk.sizeBytes)
      : null,
  );
  const sizeBytes = logFound?.sizeBytes ?? log.disk.sizeBytes;
  const geometry = logGeometry(sizeBytes, options.segmentBytes, options.pairPages);
  return {
    data: found.map((one, disk) => dataDisk(one, disk, geometries[disk] ?? null)),
    log: log.disk,
    logSuperblock: log.pages,
    pairPages: new MirroredPages({
      disk: log.disk,
      number: LOG_DISK_NUMBER,
      frame: PAIR_PAGE,
      count: options.pairPages,
      copies: geometry.pairCopies,
    }),
    logSuperblockFound: logFound,
    logGeometry: geometry,
    geometries,
    blank,
    dataDisks: Math.max(before, options.dataDisks),
    incarnation: Math.max(0, ...known.map(({ incarnation }) => incarnation)),
    sequence: Math.max(log.sequence, ...found.map(({ sequence }) => sequence)),
    losses,
  };
}

async function openOne(
  world: World,
  name: string,
  createBytes: number,
  number: number,
): Promise<Found> {
  const disk = await world.disks.open(name, { writable: true, writesInline: true, createBytes });
  const frame = STORE_SUPERBLOCK;
  const pages = new MirroredPages({ disk, number, frame, count: 1, copies: SUPERBLOCK_COPIES });
  const bytes = new Uint8Array(PAGE_BYTES);
  const { lost, newer, sequence } = await pages.load(world, bytes, 0);
  if (newer !== null) throw newerError(name, newer);
  const [loss] = lost;
  const problem = loss === undefined ? null : `has no superblock: ${loss.problem}`;
  const isThere = loss === undefined && bytes.some((byte) => byte !== 0);
  return {
    disk,
    pages,
    superblock: isThere ? decodeStoreSuperblock(bytes) : null,
    problem,
    sequence,
  };
}

function logOf({ superblock }: Found, options: StoreOptions): StoreSuperblock | null {
  if (superblock === null) return null;
  const isOurs = sameBytes(superblock.server, options.server);
  if (!isOurs || superblock.kind !== StoreDiskKind.log) {
    throw new UsageError(
      'E_STORE_OTHER',
      `${LOG_DISK} is of the server ${formatUuid(superblock.server)}, not of ` +
        `${formatUuid(options.server)}: start that one, or give this one a disk of its own`,
    );
  }
  const { segmentBytes, pairPages } = superblock;
  if (segmentBytes !== options.segmentBytes || pairPages !== options.pairPages) {
    throw new UsageError(
      'E_STORE_GEOMETRY',
      `${LOG_DISK} was made with segments of ${segmentBytes} bytes and ${pairPages} pages of ` +
        `pairs, not ${options.segmentBytes} and ${options.pairPages}: start it with those`,
    );
  }
  return superblock;
}

function dataDisk(found: Found, number: number, geometry: DataGeometry | null): DataDisk | null {
  if (geometry === null) return null;
  const { disk } = found;
  const { pages: count, copies, slotsAt } = geometry;
  const pages = new MirroredPages({ disk, number, frame: CHUNK_PAGE, count, copies });
  const sizeBytes = found.superblock?.sizeBytes ?? disk.sizeBytes;
  return { disk, sizeBytes, slotsAt, pages, superblock: found.pages };
}

function otherServer({ superblock }: Found): string {
  const server = superblock === null ? '' : formatUuid(superblock.server);
  return `is of the server ${server}: it is left alone`;
}

export function newerError(name: string, problem: string): UsageError {
  return new UsageError(
    'E_FORMAT_NEWER',
    `${name} of the store: ${problem}: a later version of stordom wrote it; start that version`,
    { fields: { file: name } },
  );
}

export function storeIoError(what: string): StorageError {
  return new StorageError('E_STORE_IO', `the store cannot be opened: ${what}; try again later`);
}
