/** Makes a file of the log so that what is written to it later changes no metadata. */

import { diskCall, flushDisk } from '../../world/disk-story.ts';
import { type Disk, DiskStatus } from '../../world/world.ts';

/** Zeros that are written, because a zeroed range may be deallocated and we want it allocated. */
const ZEROS = new Uint8Array(256 * 1024);
/** How much is written before it is synced, so that no commit waits long behind a preallocation. */
const SYNC_BYTES = 4 * 2 ** 20;

/** Writes zeros over the whole disk, durably. */
export async function preallocate(disk: Disk): Promise<DiskStatus> {
  let unsynced = 0;
  for (let at = 0; at < disk.sizeBytes; ) {
    const bytes = Math.min(ZEROS.length, disk.sizeBytes - at);
    const status = await diskCall(disk, 'write', at, ZEROS, 0, bytes);
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
