/**
 * Stores: making one, and opening one that is there, over any pool.
 *
 * Creation is three steps, each of which may be the last before a crash: the superblock is written
 * as `creating`, what belongs to the pool is prepared (`prepare`), the superblock is written again
 * as `ready`. Whoever creates the store again goes on where it stopped, with the same uuid; nobody
 * opens it before it is ready.
 */
import { UsageError } from '../../base/errors.ts';
import { formatUuid, sameBytes } from '../../base/formats/field-bytes.ts';
import { type Damage, isDamage } from '../../base/formats/sealed.ts';
import { type BlockPool, EXTENT_BLOCKS } from '../../world/block-pool.ts';
import type { Digest } from '../../world/world.ts';
import {
  decodeSuperblock,
  encodeSuperblock,
  STORE_FORMATS,
  type StoreFormats,
  type Superblock,
} from '../formats/superblock.ts';

const SUPERBLOCK = 0;

export interface StoreFacts {
  /** 16 bytes that no other store has. */
  readonly uuid: Uint8Array;
  readonly createdMs: number;
  /** Extent 0 included; a whole number of extents. */
  readonly sizeBlocks: number;
}

type Conditional = Pick<BlockPool, 'readConditional' | 'writeIf'>;

/** Creates the store. Rejects with `E_STORE_EXISTS` if it is there. */
export async function createStore(
  pool: Conditional,
  digest: Digest,
  store: string,
  facts: StoreFacts,
  prepare: (superblock: Superblock) => Promise<void>,
): Promise<Superblock> {
  checkStoreSize(store, facts.sizeBlocks);
  const { version, data } = await pool.readConditional(SUPERBLOCK);
  let begun: Superblock = {
    state: 'creating',
    extentBlocks: EXTENT_BLOCKS,
    formats: STORE_FORMATS,
    ...facts,
  };
  let begunVersion = version;
  if (version === 0) {
    begunVersion = await writeOrRefuse(pool, digest, store, 0, begun);
  } else {
    begun = superblockOf(digest, store, data);
    if (begun.state === 'ready') throw existsError(store);
    if (begun.sizeBlocks !== facts.sizeBlocks) throw otherSizeError(store, begun.sizeBlocks);
  }
  await prepare(begun);
  const ready: Superblock = { ...begun, state: 'ready' };
  await writeOrRefuse(pool, digest, store, begunVersion, ready);
  return ready;
}

/** The superblock of a store that can be used; an `expected` uuid must be its own. */
export async function openStore(
  pool: Pick<BlockPool, 'readConditional'>,
  digest: Digest,
  store: string,
  expected: Uint8Array | null = null,
): Promise<Superblock> {
  const { version, data } = await pool.readConditional(SUPERBLOCK);
  if (version === 0) {
    throw refusal('E_STORE_MISSING', store, 'is not there: create it, or name another');
  }
  const superblock = superblockOf(digest, store, data);
  if (superblock.state === 'creating') {
    const text = 'was not created to the end: create it again, which goes on where it stopped';
    throw refusal('E_STORE_UNFINISHED', store, text);
  }
  if (expected !== null && !sameBytes(expected, superblock.uuid)) {
    throw otherStoreError(store, superblock.uuid, expected);
  }
  return superblock;
}

/** What is met has the uuid of another store. */
export function otherStoreError(store: string, own: Uint8Array, met: Uint8Array): UsageError {
  const text =
    `is ${formatUuid(own)}, but ${formatUuid(met)} was met: the pool, the directory and the ` +
    'host must be of one store; bring together what belongs together';
  return refusal('E_STORE_OTHER', store, text);
}

async function writeOrRefuse(
  pool: Conditional,
  digest: Digest,
  store: string,
  version: number,
  superblock: Superblock,
): Promise<number> {
  const result = await pool.writeIf(SUPERBLOCK, version, encodeSuperblock(digest, superblock));
  if (!result.written) throw existsError(store);
  return result.version;
}

function superblockOf(digest: Digest, store: string, data: Uint8Array): Superblock {
  const superblock = decodeSuperblock(digest, data);
  if (isDamage(superblock)) throw unreadable(store, superblock);
  if (superblock.extentBlocks !== EXTENT_BLOCKS) {
    const text = `has extents of ${superblock.extentBlocks} blocks, this program ${EXTENT_BLOCKS}`;
    throw refusal('E_STORE_VERSION', store, text);
  }
  const names = Object.keys(STORE_FORMATS) as (keyof StoreFormats)[];
  const newer = names.find((name) => superblock.formats[name] > STORE_FORMATS[name]);
  if (newer === undefined) return superblock;
  const text =
    `has version ${superblock.formats[newer]} of its ${newer} format, newer than version ` +
    `${STORE_FORMATS[newer]} of this program: use a newer release`;
  throw refusal('E_STORE_VERSION', store, text);
}

function unreadable(store: string, { problem, newer }: Damage): UsageError {
  const text = newer
    ? `cannot be read: ${problem} of this program: use a newer release`
    : `has a damaged superblock: ${problem}; its directory must be restored from a copy`;
  return refusal(newer ? 'E_STORE_VERSION' : 'E_STORE_DAMAGED', store, text);
}

/** Throws `UsageError` unless a store can have that size. */
export function checkStoreSize(store: string, sizeBlocks: number): void {
  const whole = Number.isSafeInteger(sizeBlocks) && sizeBlocks % EXTENT_BLOCKS === 0;
  if (whole && sizeBlocks >= 2 * EXTENT_BLOCKS) return;
  const text = `cannot have ${sizeBlocks} blocks: expected a multiple of 64 MiB, at least 128 MiB`;
  throw refusal('E_STORE_SIZE', store, text);
}

function existsError(store: string): UsageError {
  return refusal('E_STORE_EXISTS', store, 'is there already: use it, or name another');
}

function otherSizeError(store: string, sizeBlocks: number): UsageError {
  const text = `was begun with ${sizeBlocks} blocks: create it again with that size`;
  return refusal('E_STORE_UNFINISHED', store, text);
}

function refusal(code: string, store: string, text: string): UsageError {
  return new UsageError(code, `store "${store}" ${text}`, { fields: { store } });
}
