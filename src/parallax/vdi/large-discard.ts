/**
 * Discards of more than a few blocks: a guest that makes a file system discards its whole disk.
 *
 * Such a discard is cut into chunks, each a mutation of its own in the order of the disk, and the
 * chunks in which nothing is mapped and nothing is dirty are left out: they read as zeros already.
 * What counts is one moment, when root and dirty map are looked at together. Nothing can be written
 * into the range meanwhile, because the back end holds overlapping requests apart.
 *
 * A chunk carries the origin of the request and its own offset in it, so that after a crash of the
 * driver VM a replay does only what was not done. Chunks go one after the other: a discard of a
 * terabyte leaves the log to others.
 */
import { StorageError } from '../../base/errors.ts';
import { SECTORS_PER_PAGE } from '../../base/units.ts';
import {
  type DeviceOp,
  type DeviceRequest,
  DeviceStatus,
  type Origin,
} from '../../world/block-device.ts';
import type { NodeLoader } from '../tree/node-loader.ts';
import { walkTree } from '../tree/walk.ts';
import type { Vdi } from './vdi.ts';
import type { WritePath } from './write-path.ts';

const CHUNK_BLOCKS = 1024;
const CHUNK_SECTORS: number = CHUNK_BLOCKS * SECTORS_PER_PAGE;

export function isLargeDiscard({ sectors }: DeviceRequest): boolean {
  return sectors > CHUNK_SECTORS;
}

/** Does the discard and completes its request. A bug in it rejects. */
export async function discardLarge(
  vdi: Vdi,
  loader: NodeLoader,
  writes: WritePath,
  request: DeviceRequest,
  frontId: number,
): Promise<void> {
  let status: DeviceStatus = DeviceStatus.ok;
  try {
    const used = await usedChunks(vdi, loader, request);
    for (let chunk = 0; chunk < used.length && status === DeviceStatus.ok; chunk++) {
      if (used[chunk] === 1) status = await discardChunk(writes, request, frontId, chunk);
    }
  } catch (thrown) {
    if (!(thrown instanceof StorageError)) throw thrown;
    status = DeviceStatus.ioError;
  }
  request.deviceDone(status);
}

/** Which chunks of the request have anything in them, now. */
async function usedChunks(
  { dirty, root }: Vdi,
  loader: NodeLoader,
  { lba, sectors }: DeviceRequest,
): Promise<Uint8Array> {
  const used = new Uint8Array(Math.ceil(sectors / CHUNK_SECTORS));
  const from = Math.floor(lba / SECTORS_PER_PAGE);
  const to = Math.ceil((lba + sectors) / SECTORS_PER_PAGE);
  const mark = (block: number): void => {
    const firstSector = Math.max(lba, block * SECTORS_PER_PAGE);
    const lastSector = Math.min(lba + sectors, (block + 1) * SECTORS_PER_PAGE) - 1;
    used[Math.floor((firstSector - lba) / CHUNK_SECTORS)] = 1;
    used[Math.floor((lastSector - lba) / CHUNK_SECTORS)] = 1;
  };
  dirty.forEachBlock((block) => {
    if (block >= from && block < to) mark(block);
  });
  await walkTree(loader, root, { data: mark }, { from, to });
  return used;
}

function discardChunk(
  writes: WritePath,
  request: DeviceRequest,
  frontId: number,
  chunk: number,
): Promise<DeviceStatus> {
  return new Promise((resolve) => {
    writes.submit(new ChunkRequest(request, chunk, resolve), frontId);
  });
}

class ChunkRequest implements DeviceRequest {
  readonly op: DeviceOp;
  readonly lba: number;
  readonly sectors: number;
  readonly address = 0;
  readonly origin: Origin;
  readonly queue: number;
  readonly deviceDone: (status: DeviceStatus) => void;

  constructor(whole: DeviceRequest, chunk: number, done: (status: DeviceStatus) => void) {
    const offset = chunk * CHUNK_SECTORS;
    this.op = whole.op;
    this.lba = whole.lba + offset;
    this.sectors = Math.min(CHUNK_SECTORS, whole.sectors - offset);
    this.origin = { ...whole.origin, partOffset: whole.origin.partOffset + offset };
    this.queue = whole.queue;
    this.deviceDone = done;
  }
}
