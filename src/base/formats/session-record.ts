/**
 * Who is attached to a store, and by which fence, as the directory keeps it.
 *
 * `next/<store>`, magic "SDNX", and `attach/<store>/<host>`, magic "SDAT", 20 bytes
 * (little-endian): 0 u32 magic, 4 u16 version, 6 u16 0, 8 u32 CRC-32 of all bytes with this field
 * zero, 12 u32 session, 16 u32 fence; in `next` the last ones that were given.
 */
import {
  beginFrame,
  type Crc,
  type Damage,
  damageAt,
  frameDamage,
  seal,
  viewOf,
} from './sealed.ts';

const VERSION = 1;

export const SessionRecordKind = { next: 0x584e_4453, attachment: 0x5441_4453 } as const;
export type SessionRecordKind = (typeof SessionRecordKind)[keyof typeof SessionRecordKind];

export interface SessionRecord {
  readonly session: number;
  readonly fence: number;
}

const SESSION_RECORD_BYTES = 20;

export function encodeSessionRecord(
  digest: Crc,
  kind: SessionRecordKind,
  record: SessionRecord,
): Uint8Array {
  const bytes = new Uint8Array(SESSION_RECORD_BYTES);
  const view = viewOf(bytes);
  beginFrame(view, 0, { magic: kind, version: VERSION });
  view.setUint32(12, record.session, true);
  view.setUint32(16, record.fence, true);
  seal(digest, bytes, view, 0, bytes.length);
  return bytes;
}

export function decodeSessionRecord(
  digest: Crc,
  kind: SessionRecordKind,
  bytes: Uint8Array,
): SessionRecord | Damage {
  const view = viewOf(bytes);
  const frame = { magic: kind, version: VERSION };
  const damage = frameDamage(digest, bytes, view, 0, bytes.length, frame);
  if (damage !== null) return damage;
  if (bytes.length !== SESSION_RECORD_BYTES) {
    return damageAt(0, `it has ${bytes.length} bytes, not ${SESSION_RECORD_BYTES}`);
  }
  return { session: view.getUint32(12, true), fence: view.getUint32(16, true) };
}
