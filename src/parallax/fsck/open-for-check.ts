/**
 * Opens a store for a check: like `openEmbeddedStore`, but what is wrong is told, and as much as
 * can be opened is. The superblock and the label of the pool file say the same of the store, so
 * either of them alone is enough to go on with.
 */
import { StorageError, UsageError } from '../../base/errors.ts';
import { formatUuid, sameBytes } from '../../base/formats/field-bytes.ts';
import { isDamage } from '../../base/formats/sealed.ts';
import { BLOCK_BYTES, type BlockPool, EXTENT_BLOCKS } from '../../world/block-pool.ts';
import { diskCall } from '../../world/disk-story.ts';
import { type Digest, type Disk, DiskStatus, type World } from '../../world/world.ts';
import { decodePoolLabel, type PoolLabel } from '../formats/pool-label.ts';
import {
  decodeSuperblock,
  STORE_FORMATS,
  type StoreFormats,
  type Superblock,
} from '../formats/superblock.ts';
import { ConditionalBlocks } from '../pool/conditional-blocks.ts';
import type { EmbeddedPlace } from '../pool/embedded-store.ts';
import { FilePool } from '../pool/file-pool.ts';
import { conditionalKey } from '../pool/keys.ts';
import type { Findings } from './findings.ts';

export type CheckWorld = Pick<World, 'clock' | 'timers' | 'digest' | 'poolDisks'>;

export interface OpenedStore {
  /** Unattached: nothing can be written. */
  readonly pool: BlockPool;
  readonly uuid: Uint8Array;
}

/** null: there is nothing that could be looked at; the findings say why. */
export async function openForCheck(
  world: CheckWorld,
  place: EmbeddedPlace,
  findings: Findings,
): Promise<OpenedStore | null> {
  const { store, directory } = place;
  const conditional = new ConditionalBlocks(directory, world.digest, store, null);
  const where = conditionalKey(store, 0);
  const superblock = await readSuperblock(conditional, world.digest, where, findings);
  if (superblock === 'newer') return null;
  let disk: Disk;
  try {
    disk = await world.poolDisks.open(place.diskName, { writable: false });
  } catch (thrown) {
    if (!(thrown instanceof UsageError)) throw thrown;
    findings.add('pool-file', `file ${place.diskName}`, thrown.message);
    return null;
  }
  const known = await compareLabel(world, place, disk, superblock, findings);
  if (known === null) {
    await disk.close();
    return null;
  }
  const diskBlocks = Math.floor(disk.sizeBytes / BLOCK_BYTES);
  if (diskBlocks < known.sizeBlocks) {
    const what = `it has ${disk.sizeBytes} bytes, expected ${known.sizeBlocks * BLOCK_BYTES}`;
    findings.add('pool-file', `file ${place.diskName}`, what);
  }
  const sizeBlocks = Math.min(known.sizeBlocks, diskBlocks);
  const pool = new FilePool(world, { store, directory, disk, sizeBlocks, guard: null });
  return { pool, uuid: known.uuid };
}

/** The same of a pool that keeps the superblock itself, and has no label. It is closed if null. */
export async function openPoolForCheck(
  pool: BlockPool,
  digest: Digest,
  findings: Findings,
): Promise<OpenedStore | null> {
  const superblock = await readSuperblock(pool, digest, 'block 0 of the pool', findings);
  if (superblock !== null && superblock !== 'newer') return { pool, uuid: superblock.uuid };
  await pool.close();
  return null;
}

/** null: it cannot be used. `newer`: nothing of this store can be read by this program. */
async function readSuperblock(
  pool: Pick<BlockPool, 'readConditional'>,
  digest: Digest,
  where: string,
  findings: Findings,
): Promise<Superblock | null | 'newer'> {
  let data: Uint8Array;
  try {
    const found = await pool.readConditional(0);
    if (found.version === 0) {
      findings.add('superblock', where, 'it is not there');
      return null;
    }
    data = found.data;
  } catch (thrown) {
    if (!(thrown instanceof StorageError) || thrown.code === 'E_DIRECTORY') throw thrown;
    findings.add('superblock', where, thrown.message);
    return null;
  }
  const superblock = decodeSuperblock(digest, data);
  if (isDamage(superblock)) {
    const isNewer = superblock.newer;
    findings.add(isNewer ? 'store-newer' : 'superblock', where, superblock.problem);
    return isNewer ? 'newer' : null;
  }
  if (superblock.state === 'creating') {
    findings.add('store-unfinished', where, 'its creation was cut short');
  }
  const problem = formatProblem(superblock);
  if (problem === null) return superblock;
  findings.add('store-newer', where, problem);
  return 'newer';
}

function formatProblem({ extentBlocks, formats }: Superblock): string | null {
  if (extentBlocks !== EXTENT_BLOCKS) {
    return `it has extents of ${extentBlocks} blocks, this program ${EXTENT_BLOCKS}`;
  }
  const names = Object.keys(STORE_FORMATS) as (keyof StoreFormats)[];
  const newer = names.find((name) => formats[name] > STORE_FORMATS[name]);
  if (newer === undefined) return null;
  return `it has version ${formats[newer]} of its ${newer} format, newer than this program`;
}

/** What superblock and label say together; null if neither can be used, or they contradict. */
async function compareLabel(
  world: CheckWorld,
  { diskName }: EmbeddedPlace,
  disk: Disk,
  superblock: Superblock | null,
  findings: Findings,
): Promise<PoolLabel | null> {
  const where = `file ${diskName}, block 0`;
  const bytes = new Uint8Array(BLOCK_BYTES);
  const fits = disk.sizeBytes >= BLOCK_BYTES;
  const status = fits ? await diskCall(disk, 'read', 0, bytes) : DiskStatus.outOfRange;
  if (status !== DiskStatus.ok) {
    findings.add('pool-label', where, 'it cannot be read');
    return superblock;
  }
  const label = decodePoolLabel(world.digest, bytes);
  if (isDamage(label)) {
    findings.add('pool-label', where, label.problem);
    return superblock;
  }
  if (superblock === null) return label;
  if (!sameBytes(label.uuid, superblock.uuid)) {
    const [met, own] = [formatUuid(label.uuid), formatUuid(superblock.uuid)];
    findings.add('pool-label', where, `it belongs to store ${met}, the directory to ${own}`);
    return null;
  }
  if (label.sizeBlocks !== superblock.sizeBlocks) {
    const what = `it says ${label.sizeBlocks} blocks, the superblock ${superblock.sizeBlocks}`;
    findings.add('pool-label', where, what);
  }
  return superblock;
}
