/**
 * The table of checks, in its order. A request that is wrong in several ways is answered by the
 * first check that fails; since most answers are the same error, the order is seen where answers
 * differ (`notSupported` before `error`) and in what was touched: descriptors are fetched only
 * after every check that needs none.
 */
import test from 'ava';
import { Phase, type RequestOwner, RequestRecord } from '../../src/driver-vm/request.ts';
import {
  decodeRequest,
  type Negotiated,
  type SegmentFetcher,
} from '../../src/driver-vm/validate.ts';
import {
  BlkifOp,
  BlkifStatus,
  type EntryWords,
  encodeDirect,
  encodeDiscard,
  encodeIndirect,
  encodeIndirectRef,
  encodeSegment,
  newEntry,
  segmentRange,
} from '../../src/ring/entries.ts';
import { type DeviceInfo, DeviceOp } from '../../src/world/block-device.ts';

const NOBODY: RequestOwner = { run: () => undefined, deviceDone: () => undefined };
const { okay, error, notSupported } = BlkifStatus;

const INFO: DeviceInfo = {
  kind: 'test',
  sectors: 1000,
  sectorSizeBytes: 512,
  readonly: false,
  flush: true,
  discard: true,
  ordersItself: false,
};

class Descriptors implements SegmentFetcher {
  readonly words: number[] = [];
  fetches: { pages: number; count: number; refs: number[] }[] = [];
  fails = false;

  fetch(refs: Uint32Array, pages: number, count: number): boolean {
    this.fetches.push({ pages, count, refs: [...refs.subarray(0, pages)] });
    return !this.fails;
  }

  segmentWord(at: number): number {
    return this.words[at] ?? 0;
  }
}

interface Outcome {
  readonly status: BlkifStatus;
  readonly record: RequestRecord;
  readonly descriptors: Descriptors;
}

function decode(
  entry: EntryWords,
  info: Partial<DeviceInfo> = {},
  descriptors: Descriptors = new Descriptors(),
  maxIndirectSegments = 256,
): Outcome {
  const record = new RequestRecord(NOBODY, 0, 0, 256);
  const disk: Negotiated = { info: { ...INFO, ...info }, maxIndirectSegments };
  return { status: decodeRequest(entry, record, disk, descriptors), record, descriptors };
}

type Segment = readonly [ref: number, first: number, last: number];

function direct(op: number, sector: number, segments: readonly Segment[], count?: number) {
  const entry = newEntry();
  encodeDirect(entry, op, count ?? segments.length, 0, 7, sector);
  segments.forEach(([ref, first, last], i) => encodeSegment(entry, i, ref, first, last));
  return entry;
}

function indirect(op: number, sector: number, count: number) {
  const entry = newEntry();
  encodeIndirect(entry, op, count, 0, 7, sector);
  for (let page = 0; page < 8; page++) encodeIndirectRef(entry, page, 100 + page);
  return entry;
}

function fullPages(count: number): Descriptors {
  const descriptors = new Descriptors();
  for (let i = 0; i < count; i++) descriptors.words.push(20 + i, segmentRange(0, 7));
  return descriptors;
}

const PAGE: Segment = [9, 0, 7];

test('a good write is decoded to what it says, segment by segment', (t) => {
  const { status, record } = decode(
    direct(BlkifOp.write, 5, [
      [9, 3, 7],
      [10, 0, 0],
    ]),
  );
  t.is(status, okay);
  t.deepEqual([record.lba, record.sectors, record.segmentCount], [5, 6, 2]);
  t.deepEqual([...record.segmentRefs.subarray(0, 2)], [9, 10]);
  t.deepEqual([...record.segmentFirst.subarray(0, 2)], [3, 0]);
  t.deepEqual([...record.segmentSectors.subarray(0, 2)], [5, 1]);
  t.deepEqual([record.transferOp, record.todo], [DeviceOp.write, Phase.transfer]);
  t.deepEqual([record.idLow, record.echoOp, record.barrier], [7, BlkifOp.write, false]);
});

test('operations that do not exist are not supported, whatever else is wrong with them', (t) => {
  for (const op of [4, 7, 100, 255]) {
    const { status, record } = decode(direct(op, 2 ** 50, [], 99));
    t.is(status, notSupported, `operation ${op}`);
    t.is(record.echoOp, op);
  }
});

test('reads and writes have 1 to 11 segments', (t) => {
  for (const op of [BlkifOp.read, BlkifOp.write]) {
    t.is(
      decode(
        direct(
          op,
          0,
          Array.from({ length: 11 }, () => PAGE),
        ),
      ).status,
      okay,
    );
    for (const count of [0, 12, 255]) {
      t.is(decode(direct(op, 0, [PAGE], count)).status, error, `${count} segments`);
    }
  }
});

test('a segment is inside its page and not backwards', (t) => {
  const bad: Segment[] = [
    [9, 1, 0],
    [9, 0, 8],
    [9, 7, 255],
    [9, 255, 255],
    [9, 8, 8],
  ];
  for (const segment of bad) {
    t.is(decode(direct(BlkifOp.read, 0, [PAGE, segment])).status, error, segment.join(' '));
  }
});

test('a request ends inside the disk, also where sums would overflow', (t) => {
  t.is(decode(direct(BlkifOp.read, 992, [PAGE])).status, okay);
  for (const sector of [993, 1000, 2 ** 32, 2 ** 53 - 8, 2 ** 53, 2 ** 63]) {
    t.is(decode(direct(BlkifOp.read, sector, [PAGE])).status, error, `sector ${sector}`);
  }
  t.is(decode(direct(BlkifOp.read, 0, [PAGE]), { sectors: 7 }).status, error);
  t.is(decode(direct(BlkifOp.read, 0, [PAGE]), { sectors: 0 }).status, error);
});

test('nothing changes a read-only disk; reads go on', (t) => {
  const info = { readonly: true };
  t.is(decode(direct(BlkifOp.read, 0, [PAGE]), info).status, okay);
  t.is(decode(direct(BlkifOp.write, 0, [PAGE]), info).status, error);
  t.is(decode(direct(BlkifOp.writeBarrier, 0, [PAGE]), info).status, error);
  t.is(decode(direct(BlkifOp.flush, 0, [PAGE]), info).status, error);
  t.is(decode(direct(BlkifOp.flush, 0, []), info).status, okay);
  t.is(decode(indirect(BlkifOp.write, 0, 1), info, fullPages(1)).status, error);
});

test('a disk of 4 KiB sectors takes whole ones only: address, length and place in the page', (t) => {
  const info = { sectorSizeBytes: 4096 };
  t.is(decode(direct(BlkifOp.write, 8, [PAGE, PAGE]), info).status, okay);
  t.is(decode(direct(BlkifOp.write, 4, [PAGE]), info).status, error);
  t.is(decode(direct(BlkifOp.write, 8, [[9, 0, 3]]), info).status, error);
  t.is(
    decode(
      direct(BlkifOp.write, 8, [
        [9, 0, 3],
        [10, 0, 3],
      ]),
      info,
    ).status,
    error,
  );
});

test('a flush without data only flushes; with data it flushes first, then writes', (t) => {
  const bare = decode(direct(BlkifOp.flush, 2 ** 50, []));
  t.deepEqual([bare.status, bare.record.todo], [okay, Phase.flushBefore]);
  t.deepEqual([bare.record.lba, bare.record.sectors, bare.record.barrier], [0, 0, false]);
  const loaded = decode(direct(BlkifOp.flush, 8, [PAGE]));
  t.deepEqual([loaded.status, loaded.record.todo], [okay, Phase.flushBefore | Phase.transfer]);
});

test('a barrier is flush, write, flush, beside nothing else', (t) => {
  const { status, record } = decode(direct(BlkifOp.writeBarrier, 8, [PAGE]));
  t.deepEqual([status, record.barrier], [okay, true]);
  t.is(record.todo, Phase.flushBefore | Phase.transfer | Phase.flushAfter);
  t.is(decode(direct(BlkifOp.writeBarrier, 0, [])).record.todo, record.todo & ~Phase.transfer);
});

test('what the device does not do is not supported, before any look at the rest', (t) => {
  const bad = [9, 5, 3] as const;
  t.is(decode(direct(BlkifOp.flush, 2 ** 50, [bad]), { flush: false }).status, notSupported);
  t.is(decode(direct(BlkifOp.writeBarrier, 0, [bad]), { flush: false }).status, notSupported);
  const discard = newEntry();
  encodeDiscard(discard, 0, 7, 2 ** 50, 2 ** 50);
  t.is(decode(discard, { discard: false }).status, notSupported);
  t.is(decode(indirect(BlkifOp.flush, 0, 0), {}, fullPages(1), 0).status, notSupported);
});

test('a discard has a length, inside the disk, and no segments', (t) => {
  const lengths: [number, number, BlkifStatus][] = [
    [0, 1000, okay],
    [999, 1, okay],
    [0, 0, error],
    [0, 1001, error],
    [1, 1000, error],
    [0, 2 ** 60, error],
    [2 ** 53 - 1, 2 ** 53 - 1, error],
  ];
  for (const [sector, sectors, expected] of lengths) {
    const entry = newEntry();
    encodeDiscard(entry, 0, 7, sector, sectors);
    const { status, record } = decode(entry);
    t.is(status, expected, `${sectors} sectors at ${sector}`);
    t.is(record.segmentCount, 0);
  }
});

test('an indirect request is checked in every field before its pages are touched', (t) => {
  for (const op of [BlkifOp.flush, BlkifOp.discard, BlkifOp.indirect, BlkifOp.writeBarrier, 255]) {
    const outcome = decode(indirect(op, 0, 1), {}, fullPages(1));
    t.deepEqual([outcome.status, outcome.descriptors.fetches.length], [error, 0], `op ${op}`);
    t.is(outcome.record.echoOp, op, 'the answer echoes the operation inside');
  }
  for (const count of [0, 257, 65_535]) {
    const outcome = decode(indirect(BlkifOp.read, 0, count), {}, fullPages(1));
    t.deepEqual([outcome.status, outcome.descriptors.fetches.length], [error, 0], `${count}`);
  }
});

test('an indirect request fetches just the pages its segments need and decodes the copy', (t) => {
  const { status, record, descriptors } = decode(
    indirect(BlkifOp.write, 8, 100),
    {},
    fullPages(100),
  );
  t.is(status, okay);
  t.deepEqual(descriptors.fetches, [{ pages: 1, count: 100, refs: [100] }]);
  t.deepEqual([record.segmentCount, record.sectors, record.lba], [100, 800, 8]);
  t.deepEqual([record.segmentRefs[99], record.transferOp], [119, DeviceOp.write]);
  const large = decode(indirect(BlkifOp.read, 0, 513), { sectors: 2 ** 20 }, fullPages(513), 4096);
  t.deepEqual(large.descriptors.fetches[0]?.refs, [100, 101]);
});

test('a descriptor page that cannot be had, and a bad descriptor in it, are errors', (t) => {
  const gone = fullPages(2);
  gone.fails = true;
  t.is(decode(indirect(BlkifOp.read, 0, 2), {}, gone).status, error);
  const bad = fullPages(2);
  bad.words[3] = segmentRange(0, 8);
  t.is(decode(indirect(BlkifOp.read, 0, 2), {}, bad).status, error);
});

test('a record that is used again keeps nothing of the request before', (t) => {
  const record = new RequestRecord(NOBODY, 0, 0, 256);
  const disk = { info: INFO, maxIndirectSegments: 256 };
  const none = new Descriptors();
  decodeRequest(direct(BlkifOp.writeBarrier, 8, [PAGE, PAGE]), record, disk, none);
  decodeRequest(direct(BlkifOp.read, 1, [[4, 2, 3]]), record, disk, none);
  t.deepEqual([record.lba, record.sectors, record.segmentCount], [1, 2, 1]);
  t.deepEqual([record.barrier, record.todo, record.mutates], [false, Phase.transfer, false]);
  const discard = newEntry();
  encodeDiscard(discard, 0, 7, 3, 5);
  decodeRequest(discard, record, disk, none);
  t.deepEqual([record.segmentCount, record.sectors, record.mutates], [0, 5, true]);
});
