/**
 * The values that Parallax keeps in the directory, by their keys.
 *
 * Sessions are in `session-record.ts`: servers of a pool know them too. All begin with
 * (little-endian): 0 u32 magic, 4 u16 version, 6 u16 field, 8 u32 CRC-32 of all bytes with this
 * field zero. Then, by kind of key:
 *
 * `ext/<store>/<n>`, magic "SDEX", 28 bytes and a text: field = state (1 open, 2 closed, 3 full,
 *   4 partial); 12 u32 session that claimed it, 16 u32 free blocks, 20 u32 sequence of the map when
 *   this was written (0: there was none; of a partial extent it is the one map that holds, others
 *   may have a newer one, with more blocks shared), 24 u32 length of the name of the session's
 *   host, 28 the name.
 *
 * `cond/<store>/<block>`, magic "SDCB", 4120 bytes: field 0; 12 u32 0, 16 u48 version of the block,
 *   22 u16 0, 24 the 4096 bytes of the block.
 */

import { getU48, setU48 } from '../../base/formats/field-bytes.ts';
import {
  beginFrame,
  type Damage,
  damageAt,
  frameDamage,
  seal,
  viewOf,
} from '../../base/formats/sealed.ts';
import { invariant } from '../../base/invariant.ts';
import { BLOCK_BYTES } from '../../world/block-pool.ts';
import type { Digest } from '../../world/world.ts';

const VERSION = 1;

const EXTENT_STATES = ['open', 'closed', 'full', 'partial'] as const;
/**
 * `open`: its session allocates in it. `closed`: nobody may, until a sweep: a crash left it open,
 * or the outcome of a write to it is unknown. `full`: nothing is free, as its map says. `partial`:
 * its session gave it back with a map that holds; whoever claims it goes on.
 */
export type ExtentState = (typeof EXTENT_STATES)[number];

export interface ExtentRecord {
  readonly state: ExtentState;
  readonly session: number;
  readonly host: string;
  readonly freeBlocks: number;
  readonly mapSequence: number;
}

const EXTENT_MAGIC = 0x5845_4453;
const EXTENT_RECORD_BYTES = 28;

export function encodeExtentRecord(digest: Digest, record: ExtentRecord): Uint8Array {
  const { host } = record;
  const field = EXTENT_STATES.indexOf(record.state) + 1;
  const bytes = begin(EXTENT_MAGIC, field, EXTENT_RECORD_BYTES + host.length);
  const view = viewOf(bytes);
  view.setUint32(12, record.session, true);
  view.setUint32(16, record.freeBlocks, true);
  view.setUint32(20, record.mapSequence, true);
  view.setUint32(24, host.length, true);
  for (let i = 0; i < host.length; i++) bytes[EXTENT_RECORD_BYTES + i] = host.charCodeAt(i);
  seal(digest, bytes, view, 0, bytes.length);
  return bytes;
}

export function decodeExtentRecord(digest: Digest, bytes: Uint8Array): ExtentRecord | Damage {
  const damage = recordDamage(digest, bytes, EXTENT_MAGIC, bytes.length);
  if (damage !== null) return damage;
  if (bytes.length < EXTENT_RECORD_BYTES) return damageAt(0, 'it is too short');
  const view = viewOf(bytes);
  const state = EXTENT_STATES[view.getUint16(6, true) - 1];
  const named = view.getUint32(24, true) === bytes.length - EXTENT_RECORD_BYTES;
  if (state === undefined || !named) return damageAt(6, 'its fields contradict each other');
  return {
    state,
    session: view.getUint32(12, true),
    host: String.fromCharCode(...bytes.subarray(EXTENT_RECORD_BYTES)),
    freeBlocks: view.getUint32(16, true),
    mapSequence: view.getUint32(20, true),
  };
}

export interface ConditionalRecord {
  readonly version: number;
  /** 4096 bytes. */
  readonly data: Uint8Array;
}

const CONDITIONAL_MAGIC = 0x4243_4453;
const CONDITIONAL_HEADER_BYTES = 24;
const CONDITIONAL_BYTES = CONDITIONAL_HEADER_BYTES + BLOCK_BYTES;

export function encodeConditionalRecord(digest: Digest, record: ConditionalRecord): Uint8Array {
  invariant(record.data.length === BLOCK_BYTES, 'a conditional block is written as a whole');
  const bytes = begin(CONDITIONAL_MAGIC, 0, CONDITIONAL_BYTES);
  const view = viewOf(bytes);
  setU48(view, 16, record.version);
  bytes.set(record.data, CONDITIONAL_HEADER_BYTES);
  seal(digest, bytes, view, 0, bytes.length);
  return bytes;
}

export function decodeConditionalRecord(
  digest: Digest,
  bytes: Uint8Array,
): ConditionalRecord | Damage {
  const damage = recordDamage(digest, bytes, CONDITIONAL_MAGIC, CONDITIONAL_BYTES);
  if (damage !== null) return damage;
  return { version: getU48(viewOf(bytes), 16), data: bytes.slice(CONDITIONAL_HEADER_BYTES) };
}

function begin(magic: number, field: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  const view = viewOf(bytes);
  beginFrame(view, 0, { magic, version: VERSION });
  view.setUint16(6, field, true);
  return bytes;
}

function recordDamage(
  digest: Digest,
  bytes: Uint8Array,
  magic: number,
  lengthBytes: number,
): Damage | null {
  const frame = { magic, version: VERSION };
  const damage = frameDamage(digest, bytes, viewOf(bytes), 0, bytes.length, frame);
  if (damage !== null || bytes.length === lengthBytes) return damage;
  return damageAt(0, `it has ${bytes.length} bytes, not ${lengthBytes}`);
}
