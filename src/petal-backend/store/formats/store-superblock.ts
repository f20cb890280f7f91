/**
 * The superblock of a disk of a Petal server, kept twice, in its first two pages.
 *
 *      0 frame of a mirrored page (`mirrored-frame.ts`), magic 'PTSB', page 0; its own u16:
 *        1 a data disk, 2 the log disk
 *     24 uuid of the server, 16 bytes
 *     40 data disks u32         44 incarnation u32    48 size of this disk in bytes u48
 *     54 broken u16 (1: what was found at an open was not whole, and that open has not ended)
 * and of the log disk, zero on the others:
 *     56 salt u32               60 first group to replay u48
 *     66 durable group u48      72 bytes of a segment u32
 *     76 pages of pairs u32     80 CRC of the group before the first u32
 *     84 zeros, up to 4096
 *
 * `incarnation` is that of the server's life, and names the groups that belong to the log now.
 */
import { getU48, setU48, UUID_BYTES } from '../../../base/formats/field-bytes.ts';
import { type Frame, viewOf } from '../../../base/formats/sealed.ts';
import { PAGE_BYTES } from '../../../base/units.ts';

export const STORE_SUPERBLOCK: Frame = { magic: 0x4253_5450, version: 1 };
export const StoreDiskKind = { data: 1, log: 2 } as const;
export type StoreDiskKind = (typeof StoreDiskKind)[keyof typeof StoreDiskKind];

export interface StoreSuperblock {
  readonly kind: StoreDiskKind;
  /** 16 bytes. */
  readonly server: Uint8Array;
  readonly dataDisks: number;
  readonly incarnation: number;
  readonly sizeBytes: number;
  readonly broken: boolean;
  readonly salt: number;
  readonly replayFrom: number;
  readonly durableSeq: number;
  readonly segmentBytes: number;
  readonly pairPages: number;
  readonly beforeCrc: number;
}

/** Everything but the frame. */
export function encodeStoreSuperblock(bytes: Uint8Array, superblock: StoreSuperblock): void {
  bytes.fill(0, 0, PAGE_BYTES);
  const view = viewOf(bytes);
  view.setUint16(6, superblock.kind, true);
  bytes.set(superblock.server, 24);
  view.setUint32(40, superblock.dataDisks, true);
  view.setUint32(44, superblock.incarnation, true);
  setU48(view, 48, superblock.sizeBytes);
  view.setUint16(54, superblock.broken ? 1 : 0, true);
  view.setUint32(56, superblock.salt, true);
  setU48(view, 60, superblock.replayFrom);
  setU48(view, 66, superblock.durableSeq);
  view.setUint32(72, superblock.segmentBytes, true);
  view.setUint32(76, superblock.pairPages, true);
  view.setUint32(80, superblock.beforeCrc, true);
}

/** Of a page whose frame holds. */
export function decodeStoreSuperblock(bytes: Uint8Array): StoreSuperblock {
  const view = viewOf(bytes);
  return {
    kind: view.getUint16(6, true) as StoreDiskKind,
    server: bytes.slice(24, 24 + UUID_BYTES),
    dataDisks: view.getUint32(40, true),
    incarnation: view.getUint32(44, true),
    sizeBytes: getU48(view, 48),
    broken: view.getUint16(54, true) !== 0,
    salt: view.getUint32(56, true),
    replayFrom: getU48(view, 60),
    durableSeq: getU48(view, 66),
    segmentBytes: view.getUint32(72, true),
    pairPages: view.getUint32(76, true),
    beforeCrc: view.getUint32(80, true),
  };
}
