/** Stored formats of an image's trees: golden files, every field, every damage named. */
import test from 'ava';
import fc from 'fast-check';
import { isDamage } from '../../../src/base/formats/sealed.ts';
import { decodeUtf8, encodeUtf8 } from '../../../src/base/formats/utf8.ts';
import {
  hasVdiSeqs,
  nextBirth,
  nextGeneration,
  vdiSeqsExhausted,
} from '../../../src/parallax/formats/lineage-numbers.ts';
import {
  decodeRootBlock,
  encodeRootBlock,
  HiddenKind,
  type RootBlock,
} from '../../../src/parallax/formats/root-block.ts';
import {
  decodeSnapshotBlock,
  encodeSnapshot,
  encodeSnapshotHead,
  requireSnapshotName,
  SNAPSHOT_RECORD_BYTES,
  type SnapshotRecord,
  snapshotBlockIndex,
} from '../../../src/parallax/formats/snapshot-record.ts';
import {
  clearEntry,
  entryBirth,
  entryBlock,
  entryCrc,
  entryFlags,
  heightFor,
  isEmptyNode,
  NODE_WORDS,
  setEntry,
  slotOf,
} from '../../../src/parallax/formats/tree-node.ts';
import { EMPTY_ROOT, type TreeRoot } from '../../../src/parallax/formats/tree-root.ts';
import { simDigest } from '../../../src/world/sim/sim-digest.ts';
import { goldenBytes, goldenText, resealed, toGolden } from '../../helpers/golden.ts';

const BLOCK = 4096;
const U48 = 2 ** 48 - 1;

function rootOf(block: number): TreeRoot {
  return { block, crc: 0xc4c3c2c1, birth: 0xb4b3b2b1, flags: 0xf2f1, height: 4 };
}

const IMAGE: RootBlock = {
  storeUuid: '00112233-4455-6677-8899-aabbccddeeff',
  vdi: 0x04030201,
  vdiUuid: 'ffeeddcc-bbaa-9988-7766-554433221100',
  generation: 0x14131211,
  vdiSeq: 0x262524232221,
  ordered: true,
  open: false,
  policy: 2,
  sizeBlocks: 0x363534333231,
  birth: 0x44434241,
  root: rootOf(0x565554535251),
  previousRoot: rootOf(0x666564636261),
  snapshotRoot: rootOf(0x767574737271),
  snapshotCount: 0x84838281,
  origin: { vdi: 0x94939291, snapshot: 0xa4a3a2a1 },
  hidden: {
    kind: HiddenKind.orphanSuffix,
    root: rootOf(0xd6d5d4d3d2d1),
    vdiSeq: 0xe6e5e4e3e2e1,
    generation: 0x17161514,
    suffix: null,
  },
  logUuid: '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0',
  logSince: 0x4b4a4948,
  gcCycle: 0x1b1a1918,
  publishedMs: 1_900_000_000_123.5,
  mappedBlocks: 0x2b2a29282726,
  supersededPrivateBlocks: 0x3b3a39383736,
  supersededSharedBlocks: 0x4b4a49484746,
};

const PINNED: RootBlock = {
  ...IMAGE,
  hidden: {
    kind: HiddenKind.takeOverPin,
    root: rootOf(0xd6d5d4d3d2d1),
    vdiSeq: 0xe6e5e4e3e2e1,
    generation: 0x17161514,
    suffix: {
      logUuid: '10213243-5465-7687-98a9-bacbdcedfe0f',
      logSince: 0x57565554,
      birth: 0x67666564,
      sizeBlocks: 0x767574737271,
      mappedBlocks: 0x868584838281,
      policy: 3,
    },
  },
};

const SNAPSHOT: SnapshotRecord = {
  id: 0x1f * 3 + 2,
  name: 'before upgrade é€😀',
  vdiSeq: 0x262524232221,
  generation: 0x14131211,
  birth: 0x44434241,
  root: rootOf(0x565554535251),
  sizeBlocks: 0x363534333231,
  mappedBlocks: 0x767574737271,
  createdMs: 1_900_000_000_123.5,
  deleted: true,
  template: false,
  local: true,
};

function nodeBytes(): Uint8Array {
  const words = new Uint32Array(NODE_WORDS);
  setEntry(words, 0, 0x060504030201, 0x0807, 0x0c0b0a09, 0x100f0e0d);
  setEntry(words, 4, 1, 0, 0, 0);
  setEntry(words, 4 * 255, U48, 0xffff, 0xffffffff, 0xffffffff);
  return new Uint8Array(words.buffer);
}

function snapshotBytes(): Uint8Array {
  const bytes = new Uint8Array(BLOCK);
  encodeSnapshotHead(simDigest, bytes, 3);
  encodeSnapshot(simDigest, bytes, { ...SNAPSHOT, id: 94, name: '', deleted: false, local: false });
  encodeSnapshot(simDigest, bytes, SNAPSHOT);
  return bytes;
}

/** Sets a byte and repairs the CRC, so that what is found is the field and not the sum. */
function forged(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value;
  return resealed(copy);
}

test('a node has the bytes of its golden file, which reads as the same entries', (t) => {
  t.is(toGolden(nodeBytes()), goldenText('tree-node'));
  const words = new Uint32Array(goldenBytes('tree-node', BLOCK).buffer);
  t.is(entryBlock(words, 0), 0x060504030201);
  t.is(entryFlags(words, 0), 0x0807);
  t.is(entryBirth(words, 0), 0x0c0b0a09);
  t.is(entryCrc(words, 0), 0x100f0e0d);
  t.is(entryBlock(words, 4 * 255), U48);
  t.is(entryFlags(words, 4 * 255), 0xffff);
  clearEntry(words, 0);
  clearEntry(words, 4 * 255);
  t.false(isEmptyNode(words, 0));
  clearEntry(words, 4);
  t.true(isEmptyNode(words, 0));
  setEntry(words, 400, 2 ** 32, 0, 0, 0);
  t.false(isEmptyNode(words, 0), 'a block whose low word is zero is a block');
});

test('a root block has the bytes of its golden file, which reads as the same image', (t) => {
  t.is(toGolden(encodeRootBlock(simDigest, IMAGE)), goldenText('root-block'));
  t.deepEqual(decodeRootBlock(simDigest, goldenBytes('root-block', BLOCK)), IMAGE);
});

test('a root block that says where its hidden root goes on has the bytes of its golden file', (t) => {
  t.is(toGolden(encodeRootBlock(simDigest, PINNED)), goldenText('root-block-pin'));
  t.deepEqual(decodeRootBlock(simDigest, goldenBytes('root-block-pin', BLOCK)), PINNED);
});

test('a block of snapshots has the bytes of its golden file, which reads as the same records', (t) => {
  t.is(toGolden(snapshotBytes()), goldenText('snapshot-block'));
  const { records, damage } = decodeSnapshotBlock(
    simDigest,
    goldenBytes('snapshot-block', BLOCK),
    3,
  );
  t.deepEqual(damage, []);
  t.is(records.length, 2);
  t.deepEqual(records[1], SNAPSHOT);
  t.is(snapshotBlockIndex(31), 0);
  t.is(snapshotBlockIndex(32), 1);
  t.is(snapshotBlockIndex(SNAPSHOT.id), 3);
});

test('a new image without origin, hidden root or blocks comes back as it was', (t) => {
  const image: RootBlock = {
    ...IMAGE,
    ordered: false,
    open: true,
    root: EMPTY_ROOT,
    previousRoot: EMPTY_ROOT,
    snapshotRoot: EMPTY_ROOT,
    origin: null,
    hidden: null,
  };
  t.deepEqual(decodeRootBlock(simDigest, encodeRootBlock(simDigest, image)), image);
});

test('any byte of a root block that changes is noticed', (t) => {
  const bytes = encodeRootBlock(simDigest, IMAGE);
  for (let at = 0; at < 300; at++) {
    const copy = bytes.slice();
    copy[at] = (copy[at] as number) ^ 0x40;
    t.true(isDamage(decodeRootBlock(simDigest, copy)), `byte ${at}`);
  }
});

test('damage of a root block is named by its byte, even under a CRC that holds', (t) => {
  const bytes = encodeRootBlock(simDigest, IMAGE);
  const cases: readonly (readonly [number, number, number, RegExp])[] = [
    [0, 1, 0, /magic/],
    [4, 0, 4, /version 0, which never was/],
    [6, 9, 6, /flags/],
    [62, 6, 62, /policy 6/],
    [63, 3, 63, /kind 3/],
    [80, 0, 64, /height 0/],
    [104, 7, 88, /height 7/],
    [150, 1, 150, /zeros/],
    [4000, 1, 4000, /byte 1 where/],
  ];
  for (const [at, value, byte, problem] of cases) {
    const found = decodeRootBlock(simDigest, forged(bytes, at, value));
    t.like(found, { byte, newer: false });
    t.regex(isDamage(found) ? found.problem : '', problem);
  }
  const pinned = encodeRootBlock(simDigest, PINNED);
  t.like(decodeRootBlock(simDigest, forged(pinned, 284, 6)), { byte: 284, newer: false });
  t.like(decodeRootBlock(simDigest, forged(pinned, 63, 0)), { byte: 63, newer: false });
  t.like(decodeRootBlock(simDigest, forged(pinned, 285, 1)), { byte: 285, newer: false });
  const first = forged(pinned, 4, 1);
  t.like(decodeRootBlock(simDigest, first), { byte: 248, newer: false }, 'zeros in version 1');
});

test('a format of a later version is said to be newer, not damaged', (t) => {
  const found = decodeRootBlock(simDigest, forged(encodeRootBlock(simDigest, IMAGE), 4, 3));
  t.like(found, { newer: true, byte: 4 });
  const bytes = snapshotBytes();
  bytes[4] = 2;
  t.like(decodeSnapshotBlock(simDigest, bytes, 3).damage[0], { newer: false });
  const block = decodeSnapshotBlock(simDigest, resealed(bytes, SNAPSHOT_RECORD_BYTES), 3);
  t.is(block.records.length, 0);
  t.like(block.damage[0], { newer: true });
});

test('a damaged snapshot is left out and named, its neighbours are read', (t) => {
  for (const at of [0, 4, 9, 14, 30, 60, 70, 127]) {
    const bytes = snapshotBytes();
    bytes[256 + at] = (bytes[256 + at] as number) ^ 1;
    const { records, damage } = decodeSnapshotBlock(simDigest, bytes, 3);
    t.deepEqual(
      records.map(({ id }) => id),
      [94],
    );
    t.is(damage.length, 1);
    t.regex(damage[0]?.problem ?? '', /snapshot 95/);
  }
  const elsewhere = decodeSnapshotBlock(simDigest, snapshotBytes(), 4);
  t.is(elsewhere.records.length, 0);
  t.regex(elsewhere.damage[0]?.problem ?? '', /first id 94, expected 125/);
});

test('a name of 63 bytes is stored, one of 64 or of half a character is refused', (t) => {
  requireSnapshotName('é'.repeat(31));
  const error = t.throws(() => requireSnapshotName('é'.repeat(32)), { code: 'E_SNAPSHOT_NAME' });
  t.regex(error.message, /64 bytes/);
  t.throws(() => requireSnapshotName('a\ud800'), { code: 'E_SNAPSHOT_NAME' });
});

test('text as UTF-8 comes back, and bytes that are not UTF-8 are refused', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const bytes = encodeUtf8(text);
      if (bytes === null) return;
      t.deepEqual([...bytes], [...new TextEncoder().encode(text)]);
      t.is(decodeUtf8(bytes, 0, bytes.length), text);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 6 }), (bytes) => {
      let expected: string | null = null;
      try {
        expected = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
      } catch {
        expected = null;
      }
      t.is(decodeUtf8(bytes, 0, bytes.length), expected);
    }),
    { numRuns: 3000 },
  );
});

test('the slot of a block is its digit to base 256, exactly, for all 48 bits', (t) => {
  fc.assert(
    fc.property(
      fc.maxSafeNat().map((n) => n % 2 ** 48),
      fc.integer({ min: 1, max: 6 }),
      (index, level) => {
        t.is(slotOf(index, level), Number((BigInt(index) >> BigInt(8 * (level - 1))) & 255n));
      },
    ),
  );
  t.deepEqual([0, 255, 256, 2 ** 32 - 1, 2 ** 32, U48].map(heightFor), [1, 1, 2, 4, 5, 6]);
});

test('numbers that would run out are refused, the last one is still given', (t) => {
  t.is(nextBirth(2 ** 32 - 2), 2 ** 32 - 1);
  const error = t.throws(() => nextBirth(2 ** 32 - 1), { code: 'E_BIRTHS_EXHAUSTED' });
  t.regex(error.message, /export it to a new image/);
  t.is(nextGeneration(7), 8);
  t.throws(() => nextGeneration(2 ** 32 - 1), { code: 'E_GENERATIONS_EXHAUSTED' });
  t.true(hasVdiSeqs(U48 - 3, 3));
  t.false(hasVdiSeqs(U48 - 3, 4));
  t.is(vdiSeqsExhausted(U48).code, 'E_VDI_SEQS_EXHAUSTED');
});
