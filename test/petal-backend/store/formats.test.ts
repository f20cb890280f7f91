/** Stored formats of a Petal server: golden files of version 1, and what damage is called. */
import test from 'ava';
import { applyEntry } from '../../../src/petal-backend/store/apply-entry.ts';
import { ChunkTable } from '../../../src/petal-backend/store/chunk-table.ts';
import {
  BlockField,
  BlockFlag,
  blockRowAt,
  CHUNK_PAGE,
  ChunkField,
  chunkRowAt,
} from '../../../src/petal-backend/store/formats/chunk-page.ts';
import {
  dataHolds,
  decodeEntry,
  decodeIntentHeader,
  encodeEntry,
  encodeIntentHeader,
  GROUP_ENTRIES_AT,
  IntentEntry,
  IntentHeader,
  IntentOp,
} from '../../../src/petal-backend/store/formats/intent-group.ts';
import {
  mirroredDamage,
  mirroredSequence,
  sealMirrored,
} from '../../../src/petal-backend/store/formats/mirrored-frame.ts';
import { LOG_DISK_NUMBER, PAIR_PAGE } from '../../../src/petal-backend/store/formats/pair-page.ts';
import {
  decodeStoreSuperblock,
  encodeStoreSuperblock,
  STORE_SUPERBLOCK,
  StoreDiskKind,
  type StoreSuperblock,
} from '../../../src/petal-backend/store/formats/store-superblock.ts';
import { PairTable } from '../../../src/petal-backend/store/pair-table.ts';
import { simDigest } from '../../../src/world/sim/sim-digest.ts';
import { goldenBytes, goldenText, resealed, toGolden } from '../../helpers/golden.ts';

const PAGE = 4096;
const SUPERBLOCK: StoreSuperblock = {
  kind: StoreDiskKind.log,
  server: Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i),
  dataDisks: 3,
  incarnation: 12,
  sizeBytes: 2 ** 40,
  broken: true,
  salt: 0xcafef00d,
  replayFrom: 2 ** 33 + 1,
  durableSeq: 2 ** 33 + 5,
  segmentBytes: 4_194_304,
  pairPages: 8,
  beforeCrc: 0x12345678,
};

function entryOf(fields: Partial<IntentEntry>): IntentEntry {
  return Object.assign(new IntentEntry(), {
    gmap: 7,
    group: 2,
    vdisk: 5,
    epoch: 1,
    block: 2 ** 33 + 3,
    rowDisk: 1,
    row: 2,
    slotDisk: 1,
    slot: 9,
    term: 4,
    n: 2 ** 40 + 1,
    session: 77,
    seq: 2 ** 41 + 2,
    ...fields,
  });
}

/** Data of the writes: two blocks of ones and one of twos. */
function dataPages(): Uint8Array {
  const data = new Uint8Array(3 * PAGE).fill(1, 0, 2 * PAGE);
  return data.fill(2, 2 * PAGE);
}

function crcOf(data: Uint8Array, page: number): number {
  return simDigest.crc32(data, page * PAGE, PAGE);
}

function entries(): IntentEntry[] {
  const data = dataPages();
  const write = entryOf({ op: IntentOp.write, blocks: 2, dirty: true, missing: 2 });
  write.words.set([crcOf(data, 0), crcOf(data, 1)]);
  const writeIf = entryOf({ op: IntentOp.writeIf, blocks: 1, block: 2 ** 33, conditional: 6 });
  writeIf.words.set([crcOf(data, 2)]);
  const trim = entryOf({ op: IntentOp.trim, blocks: 4, block: 2 ** 33 + 8, slot: 0 });
  const none = { vdisk: 0, epoch: 0, block: 0, rowDisk: 0, row: 0, slotDisk: 0, slot: 0 };
  const pair = { ...none, n: 0, session: 0, seq: 0 };
  const setPair = entryOf({ ...pair, op: IntentOp.setPair, term: 5 });
  setPair.words.set([0, 3, 0]);
  const markAll = entryOf({ ...pair, op: IntentOp.markAll, term: 0, missing: 1 });
  return [write, writeIf, trim, setPair, markAll];
}

const HEADER = Object.assign(new IntentHeader(), {
  entries: 5,
  incarnation: 12,
  salt: 0xcafef00d,
  serial: 3,
  segment: 1,
  page: 17,
  groupSeq: 2 ** 33 + 6,
  durableSeq: 2 ** 33 + 5,
  dataPages: 3,
  beforeCrc: 0x12345678,
});

function group(): Uint8Array {
  const bytes = new Uint8Array(4 * PAGE);
  const view = new DataView(bytes.buffer);
  let at = GROUP_ENTRIES_AT;
  for (const entry of entries()) at = encodeEntry(view, at, entry);
  bytes.set(dataPages(), PAGE);
  encodeIntentHeader(bytes.subarray(0, PAGE), HEADER, simDigest);
  return bytes;
}

function superblock(): Uint8Array {
  const bytes = new Uint8Array(PAGE);
  encodeStoreSuperblock(bytes, SUPERBLOCK);
  sealMirrored(simDigest, bytes, 0, STORE_SUPERBLOCK, { sequence: 9, disk: 65_535, page: 0 });
  return bytes;
}

/** The first page of the chunks of disk 1, and of the pairs, after the group. */
function tables(): { chunks: Uint8Array; pairs: Uint8Array } {
  const table = new ChunkTable([1, 1], 31);
  const pairs = new PairTable(1);
  for (const entry of entries()) applyEntry(table, pairs, entry, -1);
  const chunks = table.bytes.slice(PAGE);
  const place = { sequence: 2 ** 35, disk: 1, page: 0 };
  sealMirrored(simDigest, chunks, 0, CHUNK_PAGE, place);
  sealMirrored(simDigest, pairs.bytes, 0, PAIR_PAGE, { ...place, disk: LOG_DISK_NUMBER });
  return { chunks, pairs: pairs.bytes };
}

const MIRRORED = [
  ['store-superblock', superblock, STORE_SUPERBLOCK, 65_535],
  ['chunk-page', () => tables().chunks, CHUNK_PAGE, 1],
  ['pair-page', () => tables().pairs, PAIR_PAGE, LOG_DISK_NUMBER],
] as const;

for (const [name, make, frame, disk] of MIRRORED) {
  test(`${name}: the bytes are those of the golden file; damage and newer versions are told`, (t) => {
    t.is(toGolden(make()), goldenText(name));
    const bytes = goldenBytes(name, PAGE);
    t.is(mirroredDamage(simDigest, bytes, frame, disk, 0), null);
    t.regex(mirroredDamage(simDigest, bytes, frame, disk, 1)?.problem ?? '', /another place/);
    for (let at = 0; at < PAGE; at++) {
      bytes[at] = (bytes[at] as number) ^ 0x10;
      const damage = mirroredDamage(simDigest, bytes, frame, disk, 0);
      if (damage === null || damage.newer) t.fail(`byte ${at}`);
      bytes[at] = (bytes[at] as number) ^ 0x10;
    }
    bytes[4] = 2;
    t.like(mirroredDamage(simDigest, resealed(bytes), frame, disk, 0), { newer: true });
  });
}

test('golden pages are read as what they were made of', (t) => {
  t.deepEqual(decodeStoreSuperblock(goldenBytes('store-superblock', PAGE)), SUPERBLOCK);
  const chunks = goldenBytes('chunk-page', PAGE);
  t.is(mirroredSequence(chunks), 2 ** 35);
  const view = new DataView(chunks.buffer);
  const row = chunkRowAt(2);
  t.is(view.getUint32(row + ChunkField.gmap, true), 7);
  t.is(view.getUint32(row + ChunkField.chunk, true), 2 ** 29);
  t.is(view.getUint32(row + ChunkField.slot, true), 9);
  const block = blockRowAt(2, 4);
  t.is(view.getUint32(block + BlockField.term, true), 4);
  t.is(
    view.getUint8(block + BlockField.flags),
    BlockFlag.known | BlockFlag.hasData | BlockFlag.dirty,
  );
  t.is(view.getUint8(block + BlockField.missing), 2);
  t.is(view.getUint8(blockRowAt(2, 8) + BlockField.flags), BlockFlag.known);
});

test('intent-group: the bytes are those of the golden file, read back entry by entry', (t) => {
  const bytes = group();
  t.is(toGolden(bytes.subarray(0, PAGE)), goldenText('intent-group'));
  const page = goldenBytes('intent-group', PAGE);
  const header = new IntentHeader();
  t.is(decodeIntentHeader(page, header, simDigest), null);
  t.deepEqual(header, HEADER);
  const view = new DataView(page.buffer);
  let at = GROUP_ENTRIES_AT;
  for (const entry of entries()) {
    const read = new IntentEntry();
    at = decodeEntry(view, at, read);
    t.deepEqual(read, entry);
  }
  t.true(dataHolds(bytes, header, simDigest));
});

test('intent-group: any byte of its entries or data that changes is noticed', (t) => {
  const bytes = group();
  const header = new IntentHeader();
  for (let at = 0; at < bytes.length; at++) {
    bytes[at] = (bytes[at] as number) ^ 0x10;
    const isEntries = at < PAGE;
    const holds = isEntries
      ? decodeIntentHeader(bytes.subarray(0, PAGE), header, simDigest) === null
      : at % 7 === 0 && dataHolds(bytes, HEADER, simDigest);
    if (holds) t.fail(`byte ${at}`);
    bytes[at] = (bytes[at] as number) ^ 0x10;
  }
  t.pass();
});
