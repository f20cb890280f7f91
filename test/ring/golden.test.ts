/**
 * Golden vectors of the wire: where blkif.h, ring.h and grant_table.h put each field (x86_64), as
 * data, against the bytes that the rings, entries and grant table really write. Every byte is
 * accounted for: one that no field names must be zero, or untouched where the layout says so.
 */
import test from 'ava';
import { BufferMemory } from '../../src/base/shared-memory.ts';
import { type DomainId, type FrameNo, PAGE_BYTES } from '../../src/base/units.ts';
import { BackRing } from '../../src/ring/back-ring.ts';
import {
  type EntryWords,
  encodeDirect,
  encodeDiscard,
  encodeIndirect,
  encodeIndirectRef,
  encodeSegment,
  newEntry,
  segmentRange,
} from '../../src/ring/entries.ts';
import { FrontRing } from '../../src/ring/front-ring.ts';
import { GrantEntries, GrantTable } from '../../src/ring/grant-table.ts';
import { ringSlots } from '../../src/ring/layout.ts';

/** [offset, bytes, value]: little-endian. */
type Field = readonly [offset: number, bytes: number, value: bigint];

const UNTOUCHED = 0xee;
const BASE = PAGE_BYTES;
const SLOT_0 = 64;
const SLOT_1 = 64 + 112;

const RING_INIT: readonly Field[] = [
  [0, 4, 0n],
  [4, 4, 1n],
  [8, 4, 0n],
  [12, 4, 1n],
  [16, 48, 0n],
];

const WRITE: readonly Field[] = [
  [0, 1, 1n],
  [1, 1, 2n],
  [2, 2, 0xbeefn],
  [4, 4, 0n],
  [8, 8, 0x12345678n],
  [16, 8, 0x1_9abc_def0n],
  [24, 4, 0x0a0b0c0dn],
  [28, 1, 3n],
  [29, 1, 7n],
  [30, 2, 0n],
  [32, 4, 0x01020304n],
  [36, 1, 0n],
  [37, 1, 5n],
  [38, 2, 0n],
];

const DISCARD: readonly Field[] = [
  [0, 1, 5n],
  [1, 1, 0n],
  [2, 2, 0xbeefn],
  [4, 4, 0n],
  [8, 8, 9n],
  [16, 8, 0x2_0000_0001n],
  [24, 8, 0x3_0000_0002n],
];

const INDIRECT: readonly Field[] = [
  [0, 1, 6n],
  [1, 1, 1n],
  [2, 2, 256n],
  [4, 4, 0n],
  [8, 8, 11n],
  [16, 8, 0x1_0000_0008n],
  [24, 2, 0xcafen],
  [26, 2, 0n],
  [28, 4, 100n],
  [32, 4, 101n],
  [36, 4, 102n],
  [40, 4, 103n],
  [44, 4, 104n],
  [48, 4, 105n],
  [52, 4, 106n],
  [56, 4, 107n],
  [60, 4, 0n],
];

const RESPONSE: readonly Field[] = [
  [0, 8, 0x0123_4567_89ab_cdefn],
  [8, 1, 5n],
  [9, 1, 0n],
  [10, 2, 0xfffen],
  [12, 4, 0n],
];

const GRANT_READONLY: readonly Field[] = [
  [0, 2, 5n],
  [2, 2, 0x1234n],
  [4, 4, 0x00056789n],
];

/** The bytes of a region in which these fields lie; whatever no field names is `rest`. */
function bytesOf(fields: readonly Field[], length: number, rest: number): number[] {
  const bytes: number[] = Array.from({ length }, () => rest);
  for (const [offset, size, value] of fields) {
    for (let i = 0; i < size; i++) bytes[offset + i] = Number((value >> BigInt(8 * i)) & 0xffn);
  }
  return bytes;
}

function freshRing() {
  const memory = BufferMemory.ofBytes(4 * PAGE_BYTES);
  memory.u8.fill(UNTOUCHED);
  const { u8, i32, u32 } = memory;
  const view = { u8, i32, u32, baseBytes: BASE };
  const front = new FrontRing(view, 0);
  const region = (at: number, length: number) =>
    Array.from(u8.subarray(BASE + at, BASE + at + length));
  return { view, front, region, u8 };
}

function slotAfter(entry: EntryWords): number[] {
  const { front, region } = freshRing();
  front.put(entry);
  return region(SLOT_0, 112);
}

test('a fresh ring page: indices 0, event indices 1, the rest zero, slots untouched', (t) => {
  const { region } = freshRing();
  t.deepEqual(region(0, 64), bytesOf(RING_INIT, 64, UNTOUCHED));
  t.true(region(64, PAGE_BYTES - 64).every((byte) => byte === UNTOUCHED));
});

test('indices: req_prod at 0, req_event at 4, rsp_prod at 8, rsp_event at 12', (t) => {
  const { view, front, region } = freshRing();
  const back = new BackRing(view, 0);
  const entry = newEntry();
  encodeDirect(entry, 0, 0, 0, 1, 0);
  for (let i = 0; i < 3; i++) front.put(entry);
  front.push();
  t.deepEqual(
    region(0, 16),
    bytesOf(
      [
        [0, 4, 3n],
        [4, 4, 1n],
        [12, 4, 1n],
      ],
      16,
      0,
    ),
  );
  for (let i = 0; i < 3; i++) back.take(entry);
  back.finalCheck();
  for (let i = 0; i < 2; i++) back.put(1, 0, 0, 0);
  back.push();
  t.deepEqual(
    region(0, 16),
    bytesOf(
      [
        [0, 4, 3n],
        [4, 4, 4n],
        [8, 4, 2n],
        [12, 4, 1n],
      ],
      16,
      0,
    ),
  );
  front.take(entry);
  front.take(entry);
  front.finalCheck();
  t.deepEqual(
    region(0, 16),
    bytesOf(
      [
        [0, 4, 3n],
        [4, 4, 4n],
        [8, 4, 2n],
        [12, 4, 3n],
      ],
      16,
      0,
    ),
  );
});

test('a direct request: 24 bytes and 8 for each segment, the rest of its slot untouched', (t) => {
  const entry = newEntry();
  encodeDirect(entry, 1, 2, 0xbeef, 0x12345678, 0x19abcdef0);
  encodeSegment(entry, 0, 0x0a0b0c0d, 3, 7);
  encodeSegment(entry, 1, 0x01020304, 0, 5);
  t.deepEqual(slotAfter(entry), bytesOf(WRITE, 112, UNTOUCHED));
});

test('a direct request of 11 segments fills its slot of 112 bytes and no more', (t) => {
  const { front, region } = freshRing();
  const entry = newEntry();
  encodeDirect(entry, 0, 11, 0, 1, 8);
  for (let i = 0; i < 11; i++) encodeSegment(entry, i, 0x100 + i, 0, 7);
  front.put(entry);
  const fields: Field[] = [
    [0, 1, 0n],
    [1, 1, 11n],
    [8, 8, 1n],
    [16, 8, 8n],
  ];
  for (let i = 0; i < 11; i++) {
    fields.push([24 + 8 * i, 4, BigInt(0x100 + i)], [28 + 8 * i, 1, 0n], [29 + 8 * i, 1, 7n]);
  }
  t.deepEqual(region(SLOT_0, 112), bytesOf(fields, 112, 0));
  t.is(region(SLOT_1, 1)[0], UNTOUCHED);
});

test('a discard: 32 bytes', (t) => {
  const entry = newEntry();
  encodeDiscard(entry, 0xbeef, 9, 0x200000001, 0x300000002);
  t.deepEqual(slotAfter(entry), bytesOf(DISCARD, 112, UNTOUCHED));
});

test('an indirect request: 64 bytes, the handle at 24, eight references from 28 on', (t) => {
  const entry = newEntry();
  encodeIndirect(entry, 1, 256, 0xcafe, 11, 0x100000008);
  for (let i = 0; i < 8; i++) encodeIndirectRef(entry, i, 100 + i);
  t.deepEqual(slotAfter(entry), bytesOf(INDIRECT, 112, UNTOUCHED));
});

test('a segment descriptor of an indirect page: first_sect at 4, last_sect at 5, pad zero', (t) => {
  const words = new Uint32Array([0x0a0b0c0d, segmentRange(3, 7)]);
  const fields: Field[] = [
    [0, 4, 0x0a0b0c0dn],
    [4, 1, 3n],
    [5, 1, 7n],
    [6, 2, 0n],
  ];
  t.deepEqual([...new Uint8Array(words.buffer)], bytesOf(fields, 8, UNTOUCHED));
});

test('a response: 16 bytes over the request of its slot, all pads zero', (t) => {
  const { view, front, region } = freshRing();
  const back = new BackRing(view, 0);
  const entry = newEntry();
  encodeDirect(entry, 1, 11, 0xffff, 1, 8);
  entry.fill(0xffffffff, 6);
  front.put(entry);
  front.push();
  back.take(entry);
  const before = region(SLOT_0 + 16, 96);
  back.put(0x89abcdef, 0x01234567, 5, -2);
  t.deepEqual(region(SLOT_0, 16), bytesOf(RESPONSE, 16, UNTOUCHED));
  t.deepEqual(region(SLOT_0 + 16, 96), before, 'a response leaves the rest of the slot alone');
});

test('slots are 112 bytes from byte 64 on, and the index is masked', (t) => {
  const { front, u8 } = freshRing();
  const entry = newEntry();
  for (let id = 0; id < 32; id++) {
    encodeDirect(entry, 0, 0, 0, 200 + id, 0);
    front.put(entry);
  }
  for (let slot = 0; slot < 32; slot++) t.is(u8[BASE + 64 + 112 * slot + 8], 200 + slot);
  t.true(64 + 32 * 112 <= PAGE_BYTES);
});

test('a grant entry: flags at 0 (permit_access 1, readonly 4), domain at 2, frame at 4', (t) => {
  const memory = BufferMemory.ofBytes(PAGE_BYTES);
  const grants = new GrantTable(new GrantEntries(memory, 1024, 16));
  const ref = grants.grant(0x1234 as DomainId, 0x56789 as FrameNo, true) as number;
  t.is(ref, 8, 'references 0 to 7 are reserved');
  const entry = Array.from(memory.u8.subarray(1024 + 8 * ref, 1032 + 8 * ref));
  t.deepEqual(entry, bytesOf(GRANT_READONLY, 8, UNTOUCHED));
  const writable = grants.grant(0x1234 as DomainId, 0x56789 as FrameNo, false) as number;
  t.is(memory.u16[(1024 + 8 * writable) / 2], 1);
  t.true(grants.end(ref as never));
  t.is(memory.u16[(1024 + 8 * ref) / 2], 0);
});

for (const [order, slots] of [
  [0, 32],
  [1, 64],
  [2, 128],
  [3, 256],
  [4, 512],
] as const) {
  test(`a ring of ${2 ** order} pages has ${slots} slots, and twice as many would not fit`, (t) => {
    t.is(ringSlots(order), slots);
    t.true(64 + slots * 112 <= PAGE_BYTES * 2 ** order);
    t.true(64 + 2 * slots * 112 > PAGE_BYTES * 2 ** order);
  });
}
