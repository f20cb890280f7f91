/** Disk operations of the log's stories, as promises: rare ones, off the data path. */
import { type Disk, type DiskIo, DiskStatus } from '../../world/world.ts';

/** Zeros that are written, because a zeroed range may be deallocated and we want it allocated. */
const ZEROS = new Uint8Array(256 * 1024);
/** How much is written before it is synced, so that no commit waits long behind a preallocation. */
const SYNC_BYTES = 4 * 2 ** 20;

const NO_BYTES = new Uint8Array(0);

function run(
  submit: (io: DiskIo) => void,
  buffer: Uint8Array,
  lengthBytes: number,
  position: number,
): Promise<DiskStatus> {
  return new Promise((resolve) => {
    submit({ buffer, bufferOffset: 0, lengthBytes, position, diskDone: resolve });
  });
}

export function readBytes(disk: Disk, into: Uint8Array, position: number): Promise<DiskStatus> {
  return run((io) => disk.read(io), into, into.length, position);
}

export function writeBytes(disk: Disk, from: Uint8Array, position: number): Promise<DiskStatus> {
  return run((io) => disk.write(io), from, from.length, position);
}

export function flushDisk(disk: Disk): Promise<DiskStatus> {
  return run((io) => disk.flush(io), NO_BYTES, 0, 0);
}

/** Writes zeros over the whole disk, durably: later writes and syncs change no metadata. */
export async function preallocate(disk: Disk): Promise<DiskStatus> {
  let unsynced = 0;
  for (let at = 0; at < disk.sizeBytes; ) {
    const bytes = Math.min(ZEROS.length, disk.sizeBytes - at);
    const status = await run((io) => disk.write(io), ZEROS, bytes, at);
    if (status !== DiskStatus.ok) return status;
    at += bytes;
    unsynced += bytes;
    if (unsynced < SYNC_BYTES && at < disk.sizeBytes) continue;
    const synced = await flushDisk(disk);
    if (synced !== DiskStatus.ok) return synced;
    unsynced = 0;
  }
  return DiskStatus.ok;
}
