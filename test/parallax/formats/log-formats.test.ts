/** Stored formats of the dirty log: golden files of version 1, and what damage is called. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { isDamage } from '../../../src/base/formats/sealed.ts';
import { BufferMemory } from '../../../src/base/shared-memory.ts';
import {
  ChainState,
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
} from '../../../src/parallax/formats/checkpoint.ts';
import {
  checkGroupBody,
  decodeGroupHeader,
  forEachEntry,
  GroupHeader,
  groupBytesOf,
  LogEntry,
  MutationKind,
} from '../../../src/parallax/formats/log-group.ts';
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
} from '../../../src/parallax/formats/segment-header.ts';
import { Group } from '../../../src/parallax/log/group.ts';
import type { Mutation } from '../../../src/parallax/log/mutation.ts';
import { LogSegment, PlacementTable } from '../../../src/parallax/log/segment.ts';
import { simDigest } from '../../../src/world/sim/sim-digest.ts';
import type { Disk } from '../../../src/world/world.ts';
import { resealed } from '../../helpers/golden.ts';

function golden(name: string): Uint8Array {
  return new Uint8Array(readFileSync(`test/fixtures/v1/${name}`));
}

const SEGMENT = { incarnation: 3, number: 2, serial: 5, salt: 0xcafef00d, segmentBytes: 65_536 };

const CHECKPOINT: Checkpoint = {
  incarnation: 3,
  sequence: 7,
  durableGroupSeq: 41,
  vdis: [
    { vdi: 1, generation: 2, nextVdiSeq: 101, published: 90 },
    { vdi: 9, generation: 1, nextVdiSeq: 2 ** 40, published: 0 },
  ],
  chains: [
    {
      incarnation: 2,
      state: ChainState.cut,
      cutGroupSeq: 17,
      segments: [{ number: 1, serial: 4, salt: 77, firstGroupSeq: 12 }],
    },
    {
      incarnation: 3,
      state: ChainState.open,
      cutGroupSeq: 0,
      segments: [
        { number: 1, serial: 1, salt: 78, firstGroupSeq: 1 },
        { number: 2, serial: 2, salt: 79, firstGroupSeq: 0 },
      ],
    },
  ],
  fronts: [
    {
      frontId: 4,
      ranges: [
        { first: 1000, count: 12, partOffset: 0 },
        { first: 1012, count: 1, partOffset: 2048 },
      ],
    },
  ],
};

function mutation(fields: Partial<Mutation>): Mutation {
  return {
    kind: MutationKind.write,
    vdi: 1,
    generation: 2,
    vdiSeq: 100,
    frontId: 4,
    frontSeq: 1000,
    partOffset: 0,
    unitSectors: 0,
    writeIndex: 55,
    lba: 2048,
    sectors: 1,
    address: 0,
    detail: 0,
    needsSync: true,
    segment: 0,
    offset: 0,
    pieceCrcs: new Uint32Array(2),
    logged: () => {},
    ...fields,
  };
}

const MUTATIONS: readonly Mutation[] = [
  mutation({}),
  mutation({ vdiSeq: 101, frontSeq: 1001, partOffset: 0, unitSectors: 4096, lba: 8, sectors: 2 }),
  mutation({ vdiSeq: 102, frontSeq: 1001, partOffset: 2048, unitSectors: 4096, lba: 2056 }),
  mutation({
    vdi: 9,
    vdiSeq: 2 ** 40,
    frontId: 0,
    frontSeq: 0,
    kind: MutationKind.snapshot,
    detail: 6,
  }),
  mutation({ vdiSeq: 103, frontSeq: 1005, kind: MutationKind.discard, sectors: 2 ** 31 }),
];

/** The group that holds `MUTATIONS`, as a log would write it. */
function makeGroup(): Uint8Array {
  const memory = BufferMemory.ofBytes(65_536);
  for (let at = 0; at < 1024; at++) memory.u8[at] = at & 0xff;
  const group = new Group(memory, simDigest, new DataView(memory.u8.buffer), 16);
  const segment = new LogSegment(3, 2, 5, 0xcafef00d, {} as Disk);
  group.open(8192, 16_384);
  group.groupSeq = 42;
  group.placement = new PlacementTable().place(segment);
  group.offset = 4096;
  for (const one of MUTATIONS) group.add(one, one.kind === 1 ? one.sectors * 512 : 0);
  group.seal();
  group.writeHeader(41);
  return memory.u8.slice(8192, 8192 + group.bytes);
}

test('version 1 is written as it was: golden files of segment header, group and checkpoint', (t) => {
  t.deepEqual(encodeSegmentHeader(SEGMENT, simDigest), golden('log-segment-header.bin'));
  t.deepEqual(makeGroup(), golden('log-group.bin'));
  t.deepEqual(encodeCheckpoint(CHECKPOINT, simDigest), golden('log-checkpoint.bin'));
});

/** What a check of a group finds of its entries' payloads. */
const crcs = new Uint32Array(16);

test('version 1 is read as it was written', (t) => {
  t.deepEqual(decodeSegmentHeader(golden('log-segment-header.bin'), simDigest), SEGMENT);
  const read = decodeCheckpoint(golden('log-checkpoint.bin'), simDigest);
  t.deepEqual(read, CHECKPOINT);
  const bytes = golden('log-group.bin');
  const view = new DataView(bytes.buffer);
  const header = new GroupHeader();
  t.is(decodeGroupHeader(bytes, view, 0, header, simDigest), null);
  t.is(checkGroupBody(bytes, view, 0, header, crcs, simDigest), null);
  t.like(header, { incarnation: 3, serial: 5, salt: 0xcafef00d, groupSeq: 42 });
  t.like(header, { durableGroupSeq: 41, runs: 3, extents: 5, payloadBytes: 2048 });
  const entries: LogEntry[] = [];
  forEachEntry(view, 0, header, new LogEntry(), (entry) => {
    entries.push(Object.assign(new LogEntry(), entry));
  });
  t.is(entries.length, MUTATIONS.length);
  let offset = 64;
  for (const [i, entry] of entries.entries()) {
    const { kind, vdi, generation, vdiSeq, frontId, frontSeq } = MUTATIONS[i] as Mutation;
    t.like(entry, { kind, vdi, generation, vdiSeq, frontId, frontSeq, offset });
    const { partOffset, unitSectors, writeIndex, lba, sectors, detail } = MUTATIONS[i] as Mutation;
    t.like(entry, { partOffset, unitSectors, writeIndex, lba, sectors, detail });
    if (kind === MutationKind.write) offset += sectors * 512;
  }
});

test('any byte that changes in a group or a segment header is noticed', (t) => {
  const bytes = golden('log-group.bin');
  const view = new DataView(bytes.buffer);
  const header = new GroupHeader();
  for (let at = 0; at < bytes.length; at++) {
    bytes[at] = (bytes[at] as number) ^ 0x10;
    const problem =
      decodeGroupHeader(bytes, view, 0, header, simDigest) ??
      checkGroupBody(bytes, view, 0, header, crcs, simDigest);
    if (problem === null) t.fail(`byte ${at}`);
    bytes[at] = (bytes[at] as number) ^ 0x10;
  }
  const block = golden('log-segment-header.bin');
  for (let at = 0; at < block.length; at += 7) {
    block[at] = (block[at] as number) ^ 1;
    t.true(isDamage(decodeSegmentHeader(block, simDigest)));
    block[at] = (block[at] as number) ^ 1;
  }
});

test('a checkpoint or segment header of a later version is newer, not damaged', (t) => {
  const header = golden('log-segment-header.bin');
  header[4] = 2;
  t.like(decodeSegmentHeader(resealed(header), simDigest), { newer: true, byte: 4 });
  const bytes = golden('log-checkpoint.bin');
  bytes[4] = 2;
  t.like(decodeCheckpoint(bytes, simDigest), { newer: false }, 'a flipped bit does not look newer');
  t.like(decodeCheckpoint(resealed(bytes), simDigest), { newer: true, byte: 4 });
});

test('a checkpoint whose length lies is damaged, whatever the length', (t) => {
  for (const length of [0, 63, 64, 100_000, 2 ** 32 - 1]) {
    const bytes = golden('log-checkpoint.bin');
    new DataView(bytes.buffer).setUint32(12, length, true);
    t.true(isDamage(decodeCheckpoint(bytes, simDigest)));
  }
  t.true(isDamage(decodeCheckpoint(new Uint8Array(10), simDigest)));
});

test('16 to 32 writes of 4 KiB take at most a tenth more in the log', (t) => {
  for (let writes = 16; writes <= 32; writes++) {
    // The worst case: each of them begins a run.
    t.true(groupBytesOf(writes * 4096, writes, writes) / (writes * 4096) <= 1.1, `${writes}`);
  }
});
