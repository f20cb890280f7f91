/** Finds the newest valid checkpoint among the files of all incarnations. */
import { StorageError, UsageError } from '../../base/errors.ts';
import { isDamage } from '../../base/formats/sealed.ts';
import { diskCall } from '../../world/disk-story.ts';
import { DiskStatus, type World } from '../../world/world.ts';
import { type Checkpoint, decodeCheckpoint } from '../formats/checkpoint.ts';
import { parseLogName } from './log-names.ts';

export interface FoundCheckpoint {
  readonly checkpoint: Checkpoint | null;
  readonly remarks: readonly string[];
}

/**
 * Throws `UsageError` E_FORMAT_NEWER if a later version of this program wrote one of them, and, if
 * `strict`, E_LOG_UNREADABLE for one that the disk does not give.
 */
export async function findCheckpoint(
  world: Pick<World, 'digest' | 'disks'>,
  names: readonly string[],
  strict: boolean,
): Promise<FoundCheckpoint> {
  let newest: Checkpoint | null = null;
  const remarks: string[] = [];
  for (const name of names) {
    if (parseLogName(name)?.kind !== 'checkpoint') continue;
    const disk = await world.disks.open(name, { writable: false });
    const bytes = new Uint8Array(disk.sizeBytes);
    const status = await diskCall(disk, 'read', 0, bytes);
    await disk.close();
    if (strict && status !== DiskStatus.ok) throw unreadable(name);
    const found = decodeCheckpoint(bytes, world.digest);
    if (isDamage(found) && found.newer) throw newer(name, found.problem);
    if (status !== DiskStatus.ok) remarks.push(`${name} cannot be read`);
    else if (!isDamage(found)) newest = newerOf(newest, found);
    else if (bytes.some((byte) => byte !== 0)) remarks.push(`${name}: ${found.problem}`);
  }
  return { checkpoint: newest, remarks };
}

function newerOf(one: Checkpoint | null, other: Checkpoint): Checkpoint {
  if (one === null || other.incarnation > one.incarnation) return other;
  const later = other.incarnation === one.incarnation && other.sequence > one.sequence;
  return later ? other : one;
}

/** The disk may come back: whoever starts the log tries again for a while. */
export function unreadable(name: string): StorageError {
  return new StorageError('E_LOG_UNREADABLE', `${name} of the log cannot be read now`, {
    fields: { file: name },
  });
}

function newer(name: string, problem: string): UsageError {
  return new UsageError(
    'E_FORMAT_NEWER',
    `${name} is a checkpoint of the log: ${problem}: a later version of stordom wrote this log; ` +
      'start that version, or move the files log-* and ckpt-* away',
    { fields: { file: name } },
  );
}
