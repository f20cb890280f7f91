/**
 * Which log a host has, so that a log is never taken for the continuation of another one.
 *
 * A host that is lost takes its log with it, and the images go on from what was published, on
 * another host or on one of the same name. If the lost disks come back, what their log still has
 * was never part of what came after, and must not be replayed on top of it. So every log has a
 * uuid, made with its first file, and the root block of an image names the log that its mutations
 * went to: what another log has is an orphan.
 *
 * The uuid is written twice, the second copy after the first is durable, and nothing names it
 * before both are. So a second copy of zeros says that the first start did not get so far.
 */
import { StorageError } from '../../base/errors.ts';
import { formatUuid, UUID_BYTES } from '../../base/formats/field-bytes.ts';
import { encodeUtf8 } from '../../base/formats/utf8.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import { diskCall, flushDisk } from '../../world/disk-story.ts';
import { type Digest, type Disk, DiskStatus, type World } from '../../world/world.ts';
import { decodeLogIdentity, encodeLogIdentity } from '../formats/log-identity.ts';

export const IDENTITY_DISK = 'identity';
const COPIES = 2;

/**
 * The uuid of the host's log. If there is none yet it is made from `seed`, a text that nobody else
 * ever has: numbers that are drawn from a seed of a run are not unique.
 */
export async function openLogIdentity(
  world: Pick<World, 'disks' | 'digest'>,
  seed: string,
): Promise<string> {
  const createBytes = COPIES * BLOCK_BYTES;
  const disk = await world.disks.open(IDENTITY_DISK, { writable: true, createBytes });
  try {
    const copies: Uint8Array[] = [];
    for (let copy = 0; copy < COPIES; copy++) copies.push(await readCopy(disk, copy));
    const whole = copies
      .map((bytes) => decodeLogIdentity(world.digest, bytes))
      .find((found) => typeof found === 'string');
    const second = copies[1] as Uint8Array;
    const isFinished = second.some((byte) => byte !== 0);
    if (isFinished && whole !== undefined) return whole;
    if (isFinished) throw damaged();
    const uuid = uuidFrom(world.digest, seed);
    const bytes = encodeLogIdentity(world.digest, uuid);
    for (let copy = 0; copy < COPIES; copy++) await writeCopy(disk, copy, bytes);
    return uuid;
  } finally {
    await disk.close();
  }
}

/** The uuid of the log on these disks, without a change; null: there is none that can be read. */
export async function readLogIdentity(
  world: Pick<World, 'disks' | 'digest'>,
): Promise<string | null> {
  if (!(await world.disks.list()).includes(IDENTITY_DISK)) return null;
  const disk = await world.disks.open(IDENTITY_DISK, { writable: false });
  try {
    for (let copy = 0; copy < COPIES; copy++) {
      const found = decodeLogIdentity(world.digest, await readCopy(disk, copy));
      if (typeof found === 'string') return found;
    }
    return null;
  } finally {
    await disk.close();
  }
}

async function readCopy(disk: Disk, copy: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const status = await diskCall(disk, 'read', copy * BLOCK_BYTES, bytes);
  if (status === DiskStatus.ok) return bytes;
  throw new StorageError('E_LOG_UNREADABLE', `${IDENTITY_DISK} of the log cannot be read now`);
}

async function writeCopy(disk: Disk, copy: number, bytes: Uint8Array): Promise<void> {
  const written = await diskCall(disk, 'write', copy * BLOCK_BYTES, bytes);
  const synced = written === DiskStatus.ok ? await flushDisk(disk) : written;
  if (synced === DiskStatus.ok) return;
  throw new StorageError('E_LOG_NO_SPACE', `${IDENTITY_DISK} of the log cannot be written now`);
}

function uuidFrom(digest: Digest, seed: string): string {
  const text = encodeUtf8(seed) ?? new Uint8Array(0);
  return formatUuid(digest.sha256(text, 0, text.length).slice(0, UUID_BYTES));
}

function damaged(): StorageError {
  return new StorageError(
    'E_LOG_IDENTITY',
    `both copies of ${IDENTITY_DISK} are damaged: nobody can say whether the log beside them is ` +
      'the one that the images had; move the files of the host away to go on without it',
  );
}
