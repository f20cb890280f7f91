/**
 * Stored formats against files that were written once and are kept: what is made today must have
 * the same bytes, and what was made then must be read.
 */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { isDamage } from '../../../src/base/formats/sealed.ts';
import {
  decodeSessionRecord,
  encodeSessionRecord,
  SessionRecordKind,
} from '../../../src/base/formats/session-record.ts';
import {
  decodeConditionalRecord,
  decodeExtentRecord,
  encodeConditionalRecord,
  encodeExtentRecord,
} from '../../../src/parallax/formats/directory-records.ts';
import {
  decodeExtentMap,
  encodeExtentMap,
  MAP_COPY_BYTES,
  STATES_BYTES,
} from '../../../src/parallax/formats/extent-map.ts';
import { decodePoolLabel, encodePoolLabel } from '../../../src/parallax/formats/pool-label.ts';
import { decodeSuperblock, encodeSuperblock } from '../../../src/parallax/formats/superblock.ts';
import { BLOCK_BYTES } from '../../../src/world/block-pool.ts';
import { simDigest as digest } from '../../../src/world/sim/sim-digest.ts';
import { resealed } from '../../helpers/golden.ts';
import { check, forSeeds } from '../../helpers/property.ts';

const uuid = Uint8Array.from({ length: 16 }, (_, at) => 0x10 + at);

const superblock = {
  state: 'ready',
  uuid,
  createdMs: 1_700_000_000_123,
  extentBlocks: 16_384,
  sizeBlocks: 2 ** 33,
  formats: { root: 1, node: 1, extentMap: 1, record: 1 },
} as const;
const label = { uuid, sizeBlocks: 2 ** 33 };
const session = { session: 0x0102_0304, fence: 0x0506_0708 };
const extent = {
  state: 'partial',
  session: 9,
  host: 'h0.rack-1',
  freeBlocks: 77,
  mapSequence: 5,
} as const;
const conditional = {
  version: 2 ** 32 + 3,
  data: Uint8Array.from({ length: BLOCK_BYTES }, (_, at) => at % 256),
};
const map = { extent: 300, store: uuid, session: 9, sequence: 5 };
/** Blocks 0 to 3 are private, shared, free, private; the last one is shared; all else is free. */
const states = new Uint8Array(STATES_BYTES);
states[0] = 0b01_00_10_01;
states[STATES_BYTES - 1] = 0b10_00_00_00;

function mapBytes(): Uint8Array {
  const bytes = new Uint8Array(MAP_COPY_BYTES);
  encodeExtentMap(digest, map, states, bytes);
  return bytes;
}

interface Golden {
  readonly made: () => Uint8Array;
  readonly read: (bytes: Uint8Array) => object;
  readonly expected: object;
}

const GOLDEN: Readonly<Record<string, Golden>> = {
  superblock: {
    made: () => encodeSuperblock(digest, superblock),
    read: (bytes) => decodeSuperblock(digest, bytes),
    expected: superblock,
  },
  'pool-label': {
    made: () => encodePoolLabel(digest, label),
    read: (bytes) => decodePoolLabel(digest, bytes),
    expected: label,
  },
  'record-next': {
    made: () => encodeSessionRecord(digest, SessionRecordKind.next, session),
    read: (bytes) => decodeSessionRecord(digest, SessionRecordKind.next, bytes),
    expected: session,
  },
  'record-attachment': {
    made: () => encodeSessionRecord(digest, SessionRecordKind.attachment, session),
    read: (bytes) => decodeSessionRecord(digest, SessionRecordKind.attachment, bytes),
    expected: session,
  },
  'record-extent': {
    made: () => encodeExtentRecord(digest, extent),
    read: (bytes) => decodeExtentRecord(digest, bytes),
    expected: extent,
  },
  'record-conditional': {
    made: () => encodeConditionalRecord(digest, conditional),
    read: (bytes) => decodeConditionalRecord(digest, bytes),
    expected: conditional,
  },
  'extent-map': {
    made: mapBytes,
    read: (bytes) => decodeExtentMap(digest, bytes, uuid, 300),
    expected: { ...map, freeBlocks: 16_380 - 4, states },
  },
};

for (const [name, { made, read, expected }] of Object.entries(GOLDEN)) {
  test(`${name}: the bytes are those of version 1, and are read as what they were made of`, (t) => {
    const stored = new Uint8Array(readFileSync(`test/fixtures/v1/${name}.bin`));
    t.deepEqual(made(), stored);
    t.deepEqual(read(stored), expected);
  });

  test(`${name}: a newer version, any changed byte and any missing byte is damage that is named`, (t) => {
    const newer = made();
    newer[4] = 2;
    t.like(read(newer), { newer: false, byte: 8 }, 'a flipped bit does not look newer');
    t.like(read(resealed(newer)), {
      newer: true,
      problem: 'it has version 2, newer than version 1',
    });
    forSeeds(200, (random) => {
      const bytes = made();
      const at = random.below(bytes.length);
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      check(isDamage(read(bytes)), `byte ${at} was changed`);
      check(isDamage(read(made().slice(0, random.below(bytes.length)))), 'it was cut short');
    });
  });
}

test('extent-map: of another store, another extent, or with a state that is none is damage', (t) => {
  const damageOf = (value: object): string => (isDamage(value) ? value.problem : '');
  t.regex(damageOf(decodeExtentMap(digest, mapBytes(), new Uint8Array(16), 300)), /another store/);
  t.regex(damageOf(decodeExtentMap(digest, mapBytes(), uuid, 301)), /belongs to extent 300/);
  const bytes = new Uint8Array(MAP_COPY_BYTES);
  encodeExtentMap(digest, map, new Uint8Array(STATES_BYTES).fill(0xff), bytes);
  t.regex(damageOf(decodeExtentMap(digest, bytes, uuid, 300)), /no state/);
});
