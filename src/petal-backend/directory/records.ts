/**
 * What the directory keeps of a Petal pool, and its bytes.
 *
 * Every value begins with the frame of all stored structures (`sealed.ts`): 0 u32 magic, 4 u16
 * version, 6 u16 the record's own, 8 u32 CRC-32 of all bytes. From byte 12 on, by kind; a text is
 * u16 length and ASCII, a list is u16 count and its items, u53 a u64 below 2^53:
 *
 * | kind | magic | at 6 | from 12 on | |---|---|---|---| | pool | SDPP | state | uuid (16), u53
 * created, u32 last server, gmap, vdisk, forced | | server | SDPS | 0 | u32 server, incarnation,
 * text address, text site, list of u53 bytes of a disk | | gmap | SDPG | scheme | u32 gmap, u16
 * copies, list of u32 servers | | pair | SDPR | 0 | u32 gmap, group, term, primary, list of {u32
 * server, incarnation} in sync, |
 * |      |      |   | list of u32 members, list of {u32 forced, term} |
 * | vdisk | SDPV | mode | u32 vdisk, gmap, epoch, mapVersion, u53 blocks, text name |
 * | name | SDPN | 0 | u32 vdisk |
 * | forced | SDPA | kind | see `ForcedRecord`: fields in its order |
 *
 * A damaged or newer record stops whoever reads it, with an error that names the key: nobody
 * guesses who is in sync.
 */
import { StorageError } from '../../base/errors.ts';
import { ByteReader, ByteWriter } from '../../base/formats/byte-stream.ts';
import { beginFrame, type Crc, frameDamage, seal, viewOf } from '../../base/formats/sealed.ts';
import {
  type Incarnation,
  type MapVersion,
  type PetalEpoch,
  type Term,
  u32,
} from '../../base/units.ts';
import type { DirectoryEntry } from '../../world/directory.ts';
import type { GlobalMap } from '../placement.ts';

/** `restoring`: the directory came from a copy; no server serves until it is `ready` again. */
export const PoolState = { ready: 1, restoring: 2 } as const;
export type PoolState = (typeof PoolState)[keyof typeof PoolState];

export interface PoolRecord {
  readonly state: PoolState;
  readonly uuid: Uint8Array;
  readonly createdMs: number;
  /** The last numbers that were given; no number is given twice. */
  readonly lastServer: number;
  readonly lastGmap: number;
  readonly lastVdisk: number;
  readonly lastForced: number;
}

export interface ServerRecord {
  readonly server: number;
  /** Of its newest start. */
  readonly incarnation: Incarnation;
  readonly address: string;
  readonly site: string;
  /** Bytes of each of its disks. */
  readonly disks: readonly number[];
}

/** Chained declustering is the one scheme there is. */
export type GmapRecord = GlobalMap;

export interface Member {
  readonly server: number;
  readonly incarnation: Incarnation;
}

/** An act of an operator that touched the pair: its number, and the term that it made. */
export interface ForcedMark {
  readonly forced: number;
  readonly term: Term;
}

export interface PairRecord {
  readonly gmap: number;
  readonly group: number;
  readonly term: Term;
  readonly primary: number;
  /** Who has every acknowledged write. A server of another incarnation than here is not in it. */
  readonly inSync: readonly Member[];
  readonly members: readonly number[];
  readonly forced: readonly ForcedMark[];
}

export const VdiskMode = { shared: 1, exclusive: 2 } as const;
export type VdiskMode = (typeof VdiskMode)[keyof typeof VdiskMode];

export interface VdiskRecord {
  readonly vdisk: number;
  readonly name: string;
  readonly mode: VdiskMode;
  readonly gmap: number;
  readonly epoch: PetalEpoch;
  readonly mapVersion: MapVersion;
  readonly sizeBlocks: number;
}

export const ForcedKind = { forceIsr: 1, restore: 2 } as const;
export type ForcedKind = (typeof ForcedKind)[keyof typeof ForcedKind];

/** What an operator did, for ever. Of a restore `gmap` to `lost` are 0 and empty. */
export interface ForcedRecord {
  readonly n: number;
  readonly kind: ForcedKind;
  readonly atMs: number;
  readonly gmap: number;
  readonly group: number;
  readonly termBefore: Term;
  readonly termAfter: Term;
  /** Who is believed from now on. */
  readonly kept: number;
  /** Who was in sync and was not believed: what only they had is lost. */
  readonly lost: readonly number[];
  readonly operator: string;
  readonly reason: string;
}

const VERSION = 1;
const BODY_AT = 12;
const UUID_BYTES = 16;
const MAGIC = {
  pool: 0x5050_4453,
  server: 0x5350_4453,
  gmap: 0x4750_4453,
  pair: 0x5250_4453,
  vdisk: 0x5650_4453,
  name: 0x4e50_4453,
  forced: 0x4150_4453,
} as const;
const CHAINED = 1;

/** How one kind of record becomes bytes and is read; `field` is the u16 at byte 6. */
export interface RecordKind<T> {
  readonly magic: number;
  readonly field: (record: T) => number;
  readonly write: (writer: ByteWriter, record: T) => void;
  /** Null: its fields contradict each other. */
  readonly read: (reader: ByteReader, field: number) => T | null;
}

export const poolKind: RecordKind<PoolRecord> = {
  magic: MAGIC.pool,
  field: ({ state }) => state,
  write(writer, record) {
    writer.raw(record.uuid);
    writer.u53(record.createdMs);
    writer.u32(record.lastServer);
    writer.u32(record.lastGmap);
    writer.u32(record.lastVdisk);
    writer.u32(record.lastForced);
  },
  read(reader, field) {
    const state = valueOf(PoolState, field);
    const uuid = reader.raw(UUID_BYTES);
    const createdMs = reader.u53();
    const [lastServer, lastGmap] = [reader.u32(), reader.u32()];
    const [lastVdisk, lastForced] = [reader.u32(), reader.u32()];
    if (state === null) return null;
    return { state, uuid, createdMs, lastServer, lastGmap, lastVdisk, lastForced };
  },
};

export const serverKind: RecordKind<ServerRecord> = {
  magic: MAGIC.server,
  field: () => 0,
  write(writer, record) {
    writer.u32(record.server);
    writer.u32(record.incarnation);
    writer.text(record.address);
    writer.text(record.site);
    writeList(writer, record.disks, (bytes) => writer.u53(bytes));
  },
  read: (reader) => ({
    server: reader.u32(),
    incarnation: u32<Incarnation>(reader.u32()),
    address: reader.text(),
    site: reader.text(),
    disks: reader.list(() => reader.u53()),
  }),
};

export const gmapKind: RecordKind<GmapRecord> = {
  magic: MAGIC.gmap,
  field: () => CHAINED,
  write(writer, record) {
    writer.u32(record.gmap);
    writer.u16(record.copies);
    writeList(writer, record.servers, (server) => writer.u32(server));
  },
  read(reader, field) {
    const gmap = reader.u32();
    const copies = reader.u16();
    const servers = reader.list(() => reader.u32());
    const lawful = copies >= 1 && copies <= 3 && copies <= servers.length;
    if (field !== CHAINED || !lawful || !isSet(servers)) return null;
    return { gmap, servers, copies };
  },
};

export const pairKind: RecordKind<PairRecord> = {
  magic: MAGIC.pair,
  field: () => 0,
  write(writer, record) {
    writer.u32(record.gmap);
    writer.u32(record.group);
    writer.u32(record.term);
    writer.u32(record.primary);
    writeList(writer, record.inSync, ({ server, incarnation }) => {
      writer.u32(server);
      writer.u32(incarnation);
    });
    writeList(writer, record.members, (member) => writer.u32(member));
    writeList(writer, record.forced, ({ forced, term }) => {
      writer.u32(forced);
      writer.u32(term);
    });
  },
  read(reader) {
    const pair: PairRecord = {
      gmap: reader.u32(),
      group: reader.u32(),
      term: u32<Term>(reader.u32()),
      primary: reader.u32(),
      inSync: reader.list(() => ({
        server: reader.u32(),
        incarnation: u32<Incarnation>(reader.u32()),
      })),
      members: reader.list(() => reader.u32()),
      forced: reader.list(() => ({ forced: reader.u32(), term: u32<Term>(reader.u32()) })),
    };
    return pairProblem(pair) === null ? pair : null;
  },
};

/** What is wrong with a pair, by its laws; null if nothing is. */
export function pairProblem({ inSync, members, primary, term }: PairRecord): string | null {
  const servers = inSync.map(({ server }) => server);
  if (term === 0) return 'a term is never 0';
  if (servers.length === 0) return 'nobody is in sync';
  if (!isSet(servers) || !isSet(members)) return 'a server is in it once';
  if (!servers.every((server) => members.includes(server))) return 'who is in sync is a member';
  return servers.includes(primary) ? null : 'the primary is in sync';
}

export const vdiskKind: RecordKind<VdiskRecord> = {
  magic: MAGIC.vdisk,
  field: ({ mode }) => mode,
  write(writer, record) {
    writer.u32(record.vdisk);
    writer.u32(record.gmap);
    writer.u32(record.epoch);
    writer.u32(record.mapVersion);
    writer.u53(record.sizeBlocks);
    writer.text(record.name);
  },
  read(reader, field) {
    const mode = valueOf(VdiskMode, field);
    const [vdisk, gmap] = [reader.u32(), reader.u32()];
    const epoch = u32<PetalEpoch>(reader.u32());
    const mapVersion = u32<MapVersion>(reader.u32());
    const sizeBlocks = reader.u53();
    const name = reader.text();
    return mode === null ? null : { vdisk, name, mode, gmap, epoch, mapVersion, sizeBlocks };
  },
};

/** The number of the virtual disk that has a name. */
export const nameKind: RecordKind<number> = {
  magic: MAGIC.name,
  field: () => 0,
  write: (writer, vdisk) => writer.u32(vdisk),
  read: (reader) => reader.u32(),
};

export const forcedKind: RecordKind<ForcedRecord> = {
  magic: MAGIC.forced,
  field: ({ kind }) => kind,
  write(writer, record) {
    writer.u32(record.n);
    writer.u53(record.atMs);
    writer.u32(record.gmap);
    writer.u32(record.group);
    writer.u32(record.termBefore);
    writer.u32(record.termAfter);
    writer.u32(record.kept);
    writeList(writer, record.lost, (server) => writer.u32(server));
    writer.text(record.operator);
    writer.text(record.reason);
  },
  read(reader, field) {
    const kind = valueOf(ForcedKind, field);
    if (kind === null) return null;
    return {
      n: reader.u32(),
      kind,
      atMs: reader.u53(),
      gmap: reader.u32(),
      group: reader.u32(),
      termBefore: u32<Term>(reader.u32()),
      termAfter: u32<Term>(reader.u32()),
      kept: reader.u32(),
      lost: reader.list(() => reader.u32()),
      operator: reader.text(),
      reason: reader.text(),
    };
  },
};

export function encodeRecord<T>(digest: Crc, kind: RecordKind<T>, record: T): Uint8Array {
  const writer = new ByteWriter();
  writer.raw(new Uint8Array(BODY_AT));
  kind.write(writer, record);
  const bytes = writer.done();
  const view = viewOf(bytes);
  beginFrame(view, 0, { magic: kind.magic, version: VERSION });
  view.setUint16(6, kind.field(record), true);
  seal(digest, bytes, view, 0, bytes.length);
  return bytes;
}

/** Throws what says which key is damaged, or was written by a later version. */
export function decodeRecord<T>(digest: Crc, kind: RecordKind<T>, entry: DirectoryEntry): T {
  const { key, value } = entry;
  const view = viewOf(value);
  const frame = { magic: kind.magic, version: VERSION };
  const damage = frameDamage(digest, value, view, 0, value.length, frame);
  if (damage !== null) throw recordError(key, damage.problem, damage.newer);
  const reader = new ByteReader(value, BODY_AT);
  const record = kind.read(reader, view.getUint16(6, true));
  if (record === null || !reader.isAtEnd) {
    throw recordError(key, 'its fields contradict each other', false);
  }
  return record;
}

function recordError(key: string, problem: string, newer: boolean): StorageError {
  const fields = { key };
  if (newer) {
    const text = `"${key}" of the directory cannot be read: ${problem}; use a newer release`;
    return new StorageError('E_FORMAT_NEWER', text, { fields });
  }
  const text = `"${key}" of the directory is damaged: ${problem}; restore the directory`;
  return new StorageError('E_DIRECTORY_DAMAGED', text, { fields });
}

function writeList<T>(writer: ByteWriter, items: readonly T[], write: (item: T) => void): void {
  writer.u16(items.length);
  for (const item of items) write(item);
}

function valueOf<T extends number>(values: Readonly<Record<string, T>>, field: number): T | null {
  return Object.values(values).find((value) => value === field) ?? null;
}

function isSet(values: readonly number[]): boolean {
  return new Set(values).size === values.length;
}
