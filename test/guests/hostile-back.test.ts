/** The front end against a hostile back end: every attack, by the number it has. */
import test from 'ava';
import { Prng } from '../../src/base/prng.ts';
import { readStamp, writeStamps } from '../../src/base/stamps.ts';
import { PAGE_BYTES, SECTOR_BYTES } from '../../src/base/units.ts';
import { DiskModel } from '../../src/guests/disk-model.ts';
import { FrontOp, FrontStatus } from '../../src/guests/front-request.ts';
import { BlkifOp, BlkifStatus, entryOp, entrySegmentRef } from '../../src/ring/entries.ts';
import { BACK_MOVES, type BackMove } from '../../src/ring/hostile/hostile-back.ts';
import { History, HistoryKind, HistoryStatus, recordBufferFor } from '../../src/world/history.ts';
import { type BenchRequest, FrontBench, type FrontBenchOptions } from '../helpers/front-bench.ts';

const SETUPS: readonly FrontBenchOptions[] = [
  { persistent: true },
  { persistent: false, startIndex: 2 ** 32 - 2 },
  { order: 1, startIndex: 2 ** 32 - 33 },
  { publish: 'batch' },
];

function faultsOf(move: BackMove, options: FrontBenchOptions): string[] {
  const bench = new FrontBench();
  const { queue, back } = bench.connected(options);
  const requests = [0, 1, 2].map((at) => bench.submitted(FrontOp.read, 8 * at, 8));
  bench.step();
  back.take();
  bench.world.atSpend = () => back.tick();
  move.apply(back);
  bench.step();
  bench.world.atSpend = () => undefined;
  back.mutators.length = 0;
  const faults: string[] = [];
  const first = requests[0] as BenchRequest;
  if (move.outcome === 'violation') {
    if (queue.violation === null) faults.push('no violation');
    const isIndex = move.attack === 'F1' || move.attack === 'F5';
    if (isIndex !== (queue.violation?.includes('rsp_prod') ?? false)) faults.push('another law');
    if (bench.disk.counters.violations.length !== 1) faults.push('the disk does not say so');
    if (requests.some(({ outcomes }) => outcomes.length > 1)) faults.push('done twice');
    const before = requests.map(({ outcomes }) => outcomes.length).join();
    for (let i = 0; i < 3; i++) back.answerUndone();
    back.publish();
    bench.step();
    const after = requests.map(({ outcomes }) => outcomes.length).join();
    if (after !== before) faults.push('a broken ring is still believed');
    return faults;
  }
  if (queue.violation !== null) return [`violation: ${queue.violation}`];
  const wanted = move.outcome === 'error' ? FrontStatus.error : FrontStatus.ok;
  if (first.outcomes.join() !== String(wanted)) faults.push(`outcome ${first.outcomes.join()}`);
  if (queue.dirtyPads > 0 !== (move.outcome === 'flagged')) faults.push('the flag is wrong');
  back.answerUndone();
  back.answerUndone();
  back.publish();
  bench.step();
  if (requests.some(({ outcomes }) => outcomes.length !== 1))
    faults.push('the ring does not go on');
  return faults;
}

for (const move of BACK_MOVES) {
  test(`${move.attack}: ${move.name}: ${move.outcome}`, (t) => {
    for (const setup of SETUPS) t.deepEqual(faultsOf(move, setup), [], JSON.stringify(setup));
  });
}

test('F2: two queues get the answers of the other: a violation on both', (t) => {
  const bench = new FrontBench();
  const [one, two] = [bench.ring(), bench.ring()];
  bench.disk.connect([one.queue, two.queue], bench.features);
  bench.step();
  const first = bench.submitted(FrontOp.read, 0, 8);
  const second = bench.request(FrontOp.write, 64, 8);
  second.queue = 1;
  bench.disk.submit(second);
  bench.step();
  one.back.take();
  two.back.take();
  const [a, b] = [one.back.open[0], two.back.open[0]];
  one.back.answer(b?.id ?? 0, b?.op ?? 0, BlkifStatus.okay);
  one.back.publish();
  two.back.answer(a?.id ?? 0, a?.op ?? 0, BlkifStatus.okay);
  two.back.publish();
  bench.step();
  t.is(bench.disk.counters.violations.length, 2);
  t.deepEqual([...first.outcomes, ...second.outcomes], []);
});

test('F5: an answer to a request that was put and not published: a violation', (t) => {
  const bench = new FrontBench();
  const { queue, back } = bench.connected({ publish: 'batch' });
  const request = bench.submitted(FrontOp.read, 0, 8);
  back.answer(0, BlkifOp.read, BlkifStatus.okay);
  back.setRspProd(1);
  queue.poll();
  t.regex(queue.violation ?? '', /rsp_prod/);
  t.deepEqual(request.outcomes, []);
});

test('F6: responses swing between two answers: each is believed as it was copied', (t) => {
  const bench = new FrontBench();
  const { queue, back } = bench.connected();
  const requests = Array.from({ length: 16 }, (_, at) => bench.submitted(FrontOp.read, 8 * at, 8));
  bench.step();
  back.take();
  const { u32 } = bench.world.memory;
  const words: number[] = [];
  while (back.open.length > 0) words.push(back.slotAddress(back.answerUndone()) / 4 + 2);
  let error = false;
  bench.world.atSpend = () => {
    error = !error;
    const status = error ? BlkifStatus.error : BlkifStatus.okay;
    for (const word of words) u32[word] = (BlkifOp.read | (status << 16)) >>> 0;
  };
  back.publish();
  bench.step();
  t.is(queue.violation, null);
  const outcomes = requests.map((request) => request.outcomes);
  t.true(outcomes.every((list) => list.length === 1));
  t.is(new Set(outcomes.flat()).size, 2, 'both answers were met');
});

test('F8: a page stays mapped after its answer: it is set aside and not used again', (t) => {
  const bench = new FrontBench();
  const { pages, back } = bench.connected({ persistent: false });
  bench.submitted(FrontOp.read, 0, 8);
  back.take();
  const ref = entrySegmentRef(back.open[0]?.entry ?? new Uint32Array(28), 0);
  const handle = bench.mapper.map(bench.guest.domain, ref as never, true);
  t.true(handle >= 0);
  back.answerUndone();
  back.publish();
  bench.step();
  t.is(pages.stuck, 1);
  const kept = bench.entries.frame(ref);
  for (let i = 0; i < 20; i++) {
    const page = pages.lend(false);
    t.not(page?.frame, kept);
  }
  bench.mapper.unmap(handle);
  pages.close();
  t.is(pages.stuck, 0, 'once it is let go the page comes back');
});

test('F8: a back end keeps every page it ever got: the ring is given up, the guest lives', (t) => {
  const bench = new FrontBench({ heapPages: 64 });
  const { queue, back } = bench.connected({ persistent: false });
  const request = bench.request(FrontOp.read, 0, 8);
  for (let i = 0; i < 200 && queue.violation === null; i++) {
    bench.disk.submit(request);
    bench.step();
    back.take();
    const taken = back.open[0];
    if (taken === undefined) break;
    bench.mapper.map(bench.guest.domain, entrySegmentRef(taken.entry, 0) as never, true);
    back.answerUndone();
    back.publish();
    bench.step();
  }
  t.regex(queue.violation ?? '', /keeps \d+ pages/);
});

test('F8: pages that were let go late are used again before the guest runs out of memory', (t) => {
  const bench = new FrontBench({ heapPages: 64 });
  const { queue, back } = bench.connected({ persistent: false });
  const request = bench.request(FrontOp.read, 0, 8);
  let handle = -1;
  for (let i = 0; i < 200; i++) {
    bench.disk.submit(request);
    bench.step();
    back.take();
    const ref = entrySegmentRef(back.open[0]?.entry ?? new Uint32Array(28), 0);
    const next = bench.mapper.map(bench.guest.domain, ref as never, true);
    if (handle >= 0) bench.mapper.unmap(handle);
    handle = next;
    back.answerUndone();
    back.publish();
    bench.step();
  }
  t.is(queue.violation, null);
  t.is(request.outcomes.length, 200);
});

test('F8: the page of a read is written after its answer: the guest does not see it', (t) => {
  const bench = new FrontBench();
  const { back } = bench.connected();
  const request = bench.submitted(FrontOp.read, 0, 8);
  back.take();
  const ref = entrySegmentRef(back.open[0]?.entry ?? new Uint32Array(28), 0);
  const page = bench.entries.frame(ref) * PAGE_BYTES;
  const { u8 } = bench.world.memory;
  u8.fill(0x42, page, page + PAGE_BYTES);
  back.answerUndone();
  back.publish();
  bench.step();
  u8.fill(0x66, page, page + PAGE_BYTES);
  const seen = u8.subarray(request.address, request.address + PAGE_BYTES);
  t.true(seen.every((byte) => byte === 0x42));
});

/**
 * What a lying back end keeps of writes, and what the guest's own memory of them says to a read.
 */
function liedTo(lie: 'write-lost' | 'stale-read' | 'torn-read' | 'none'): string[] {
  const bench = new FrontBench();
  const { back } = bench.connected();
  const { memory } = bench.world;
  const history = new History(recordBufferFor(64));
  const model = new DiskModel(4096, history);
  const source = { disk: 1, writer: 1, flushes: 0 };
  const random = new Prng(7, lie);
  const disk = new Uint8Array(4096 * SECTOR_BYTES);
  const serve = (write: (bytes: Uint8Array, at: number) => void): void => {
    back.take();
    const { entry } = back.open[0] ?? { entry: new Uint32Array(28) };
    const page = bench.entries.frame(entrySegmentRef(entry, 0)) * PAGE_BYTES;
    const at = (entry[4] as number) * SECTOR_BYTES;
    const bytes = memory.u8.subarray(page, page + PAGE_BYTES);
    if (entryOp(entry) === BlkifOp.write) write(bytes.slice(), at);
    else bytes.set(disk.subarray(at, at + PAGE_BYTES));
    back.answerUndone();
    back.publish();
    bench.step();
  };
  const lba = 8 * random.below(512);
  for (let version = 0; version < 2; version++) {
    const request = bench.request(FrontOp.write, lba, 8);
    const index = model.nextWriteIndex();
    writeStamps(memory.u32, request.address / 4, lba, 8, index, source);
    model.changed(lba, 8, index);
    const record = history.invoke(HistoryKind.write, 0, lba, 8, 1, index);
    bench.disk.submit(request);
    serve((bytes, at) => {
      if (version === 1 && (lie === 'write-lost' || lie === 'stale-read')) return;
      if (version === 1 && lie === 'torn-read') disk.set(bytes.subarray(0, 700), at);
      else disk.set(bytes, at);
    });
    history.acknowledge(record, HistoryStatus.ok, 2, index);
  }
  const read = bench.submitted(FrontOp.read, lba, 8);
  serve(() => undefined);
  const found: string[] = [];
  for (let i = 0; i < 8; i++) {
    const stamp = readStamp(memory.u32, (read.address + i * SECTOR_BYTES) / 4, 1, lba + i);
    if (stamp < 0 || !model.allows(lba + i, stamp, history.length)) found.push(`${i}: ${stamp}`);
  }
  return found;
}

test('F9: a write not done, a stale read, a torn read: the memory of the guest tells', (t) => {
  t.deepEqual(liedTo('none'), []);
  t.is(liedTo('write-lost').length, 8);
  t.is(liedTo('stale-read').length, 8);
  t.is(liedTo('torn-read').length, 7, 'sector 0 is new, sector 1 is torn, the others are old');
});

test('F10: 11 segments after 256: a pending request is split again, done once, whole', (t) => {
  const bench = new FrontBench();
  const first = bench.connected({ features: { maxIndirectSegments: 256 } });
  const request = bench.request(FrontOp.write, 0, 800);
  for (let i = 0; i < 800; i++) {
    bench.world.memory.u32[request.address / 4 + i * 128] = i + 1;
  }
  bench.disk.submit(request);
  first.back.take();
  t.is(first.back.open.length, 1, 'one indirect request');
  bench.disk.suspend();
  const second = bench.connected({ features: { maxIndirectSegments: 0 } });
  const got: number[] = [];
  for (let round = 0; round < 20 && request.outcomes.length === 0; round++) {
    second.back.take();
    for (const { entry } of second.back.open) {
      t.is(entryOp(entry), BlkifOp.write);
      const segments = (entry[0] as number) >>> 8;
      for (let i = 0; i < (segments & 0xff); i++) {
        const page = bench.entries.frame(entrySegmentRef(entry, i)) * PAGE_BYTES;
        const range = entry[6 + 2 * i + 1] as number;
        for (let sector = range & 0xff; sector <= range >>> 8; sector++) {
          got.push(bench.world.memory.u32[(page + sector * SECTOR_BYTES) / 4] as number);
        }
      }
    }
    while (second.back.open.length > 0) second.back.answerUndone();
    second.back.publish();
    bench.step();
  }
  t.deepEqual(request.outcomes, [FrontStatus.ok]);
  t.deepEqual(
    got,
    Array.from({ length: 800 }, (_, i) => i + 1),
  );
});

test('F10: one queue after four: what was pending is replayed as it was submitted', (t) => {
  const bench = new FrontBench();
  const rings = [0, 1, 2, 3].map(() => bench.ring());
  bench.disk.connect(
    rings.map(({ queue }) => queue),
    bench.features,
  );
  bench.step();
  const requests = Array.from({ length: 12 }, (_, at) => {
    const request = bench.request(FrontOp.write, 8 * at, 8);
    request.queue = (5 * at) % 4;
    bench.disk.submit(request);
    return request;
  });
  bench.step();
  bench.disk.suspend();
  const { back } = bench.connected();
  back.take();
  t.deepEqual(
    back.open.map(({ entry }) => entry[4]),
    requests.map(({ lba }) => lba),
  );
  while (back.open.length > 0) back.answerUndone();
  back.publish();
  bench.step();
  t.true(requests.every(({ outcomes }) => outcomes.join() === String(FrontStatus.ok)));
  t.is(bench.disk.state, 'connected');
});

test('F11: the disk shrinks below what is in flight: that fails, the disk goes on', (t) => {
  const bench = new FrontBench();
  const { queue, back } = bench.connected();
  const beyond = bench.submitted(FrontOp.write, 2048, 8);
  bench.step();
  bench.disk.refreshFeatures({ ...bench.features, sectors: 1024 });
  back.take();
  back.answerUndone(BlkifStatus.error);
  back.publish();
  bench.step();
  t.deepEqual(beyond.outcomes, [FrontStatus.error]);
  t.is(bench.disk.features?.sectors, 1024);
  const inside = bench.submitted(FrontOp.write, 0, 8);
  back.take();
  back.answerUndone();
  back.publish();
  bench.step();
  t.deepEqual(inside.outcomes, [FrontStatus.ok]);
  t.is(queue.violation, null);
});
