import { readFileSync } from 'node:fs';
import test from 'ava';
import {
  BINDINGS_MAX,
  SlabFormat,
  type SlabSuperblock,
  slotsOf,
  type TableEntry,
  tableBlocksOf,
} from '../../../src/parallax/formats/slab-table.ts';
import { simDigest } from '../../../src/world/sim/sim-digest.ts';

const GOLDEN = 'test/fixtures/v1/slab-table.bin';
const BLOCK = 4096;
const SUPERBLOCK: SlabSuperblock = {
  store: Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i),
  slots: 201,
  sequence: 2 ** 40 + 5,
  spacesEnd: 2049,
  bindings: new Map([
    [7, { space: 1025, root: { generation: 3, vdiSeq: 2 ** 33 + 9, block: 2 ** 47 + 1, crc: 1 } }],
    [8, { space: 1026, root: { generation: 1, vdiSeq: 0, block: 16_384, crc: 0xffff_fffe } }],
  ]),
};
const ENTRIES: readonly TableEntry[] = [
  { poolBlock: 16_385, crc: 0x1234_5678, space: 1025, block: 99 },
  { poolBlock: 2 ** 48 - 1, crc: 0xffff_ffff, space: 0, block: 0 },
];

function encoded(): Uint8Array {
  const bytes = new Uint8Array(2 * BLOCK).fill(0xee);
  const format = new SlabFormat(bytes, simDigest);
  format.encodeSuperblock(0, SUPERBLOCK);
  format.beginTable(BLOCK, 200, 2 ** 40 + 5);
  for (const [index, entry] of ENTRIES.entries()) format.setEntry(BLOCK, index * 199, entry);
  format.endTable(BLOCK);
  return bytes;
}

test('a superblock and a table block are the bytes of version 1, and are read back', (t) => {
  const golden = new Uint8Array(readFileSync(GOLDEN));
  t.true(golden.every((byte, at) => byte === encoded()[at]) && golden.length === 2 * BLOCK);
  const format = new SlabFormat(golden, simDigest);
  t.is(format.judgeSuperblock(0), 'ok');
  t.deepEqual(format.decodeSuperblock(0), SUPERBLOCK);
  t.is(format.judgeTable(BLOCK, 200), 'ok');
  t.is(format.judgeTable(BLOCK, 0), 'damaged', 'a table block belongs to its place');
  t.is(format.tableSequence(BLOCK), 2 ** 40 + 5);
  const entry: TableEntry = { poolBlock: 0, crc: 0, space: 0, block: 0 };
  for (const [index, expected] of ENTRIES.entries()) {
    format.getEntry(BLOCK, index * 199, entry);
    t.deepEqual(entry, expected);
  }
  format.getEntry(BLOCK, 1, entry);
  t.is(entry.poolBlock, 0, 'a slot that holds nothing');
});

test('every flipped bit of a superblock or table block is found', (t) => {
  const bytes = encoded();
  const format = new SlabFormat(bytes, simDigest);
  for (let at = 0; at < 2 * BLOCK; at++) {
    const before = bytes[at] as number;
    bytes[at] = before ^ (1 << (at % 8));
    const verdict = at < BLOCK ? format.judgeSuperblock(0) : format.judgeTable(BLOCK, 200);
    if (verdict !== 'damaged') t.fail(`byte ${at}: ${verdict}`);
    bytes[at] = before;
  }
  t.is(format.judgeSuperblock(0), 'ok');
  t.is(format.judgeTable(BLOCK, 200), 'ok');
});

test('a newer version and a block that was never written are told from damage', (t) => {
  const bytes = encoded();
  const format = new SlabFormat(bytes, simDigest);
  const view = new DataView(bytes.buffer);
  for (const at of [0, BLOCK]) {
    view.setUint16(at + 4, 2, true);
    view.setUint32(at + 8, 0, true);
    view.setUint32(at + 8, simDigest.crc32(bytes, at, BLOCK), true);
  }
  t.is(format.judgeSuperblock(0), 'newer version');
  t.is(format.judgeTable(BLOCK, 200), 'newer version');
  bytes.fill(0);
  t.is(format.judgeSuperblock(0), 'empty');
  t.is(format.judgeTable(BLOCK, 200), 'empty');
});

test('a file is shared out to superblocks, table and slots without a block too many', (t) => {
  for (let blocks = 0; blocks < 3000; blocks++) {
    const slots = slotsOf(blocks * BLOCK);
    if (slots === 0) t.true(blocks < 4);
    else t.true(2 + tableBlocksOf(slots) + slots <= blocks, `${blocks} blocks`);
    const more = slots + 1;
    t.true(blocks < 4 || 2 + tableBlocksOf(more) + more > blocks, `${blocks} blocks hold more`);
  }
  t.is(BINDINGS_MAX, 144);
});
