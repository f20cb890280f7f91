/**
 * The file of a segment before anything is in it.
 *
 * The first one of an incarnation is made while its recovery scans the log of the others: writing
 * 64 MiB of zeros takes a disk longer than anything else of a start, and the scan leaves the disk
 * alone. A file of zeros says nothing, whoever finds it: see `isBlank`.
 */
import { UsageError } from '../../base/errors.ts';
import { diskCall } from '../../world/disk-story.ts';
import { type Disk, DiskStatus, type World } from '../../world/world.ts';
import { segmentName } from './log-names.ts';
import type { LogOptions } from './log-options.ts';
import { preallocate } from './preallocate.ts';

/** Number of the first segment of an incarnation. */
export const FIRST_SEGMENT = 1;
const PIECE_BYTES = 2 ** 20;

/** Makes a segment's file, allocated with written zeros; null if there is no room for it. */
export async function createSegmentFile(
  world: Pick<World, 'disks' | 'log' | 'crashPoint'>,
  { segmentBytes }: LogOptions,
  incarnation: number,
  number: number,
): Promise<Disk | null> {
  const name = segmentName(incarnation, number);
  try {
    const options = { writable: true, createBytes: segmentBytes, writesInline: true };
    const disk = await world.disks.open(name, options);
    world.crashPoint('log.after-create');
    if ((await preallocate(disk)) === DiskStatus.ok) return disk;
    await removeSegmentFile(world, disk);
  } catch (thrown) {
    if (!(thrown instanceof UsageError)) throw thrown;
    world.log.note(`no new log segment: ${thrown.message}`);
  }
  return null;
}

/** Gives up a file that was made. If it stays behind it is in nobody's way: it is blank. */
export async function removeSegmentFile(world: Pick<World, 'disks'>, disk: Disk): Promise<void> {
  await disk.close();
  try {
    await world.disks.remove(disk.name);
  } catch (thrown) {
    if (!(thrown instanceof UsageError)) throw thrown;
  }
}

/** Whether nothing was ever written to the file but zeros. */
export async function isBlank(disk: Disk): Promise<boolean> {
  const piece = new Uint8Array(Math.min(PIECE_BYTES, disk.sizeBytes));
  for (let at = 0; at < disk.sizeBytes; at += piece.length) {
    const bytes = piece.subarray(0, Math.min(piece.length, disk.sizeBytes - at));
    if ((await diskCall(disk, 'read', at, bytes)) !== DiskStatus.ok) return false;
    if (bytes.some((byte) => byte !== 0)) return false;
  }
  return true;
}
