import test from 'ava';
import type { Prng } from '../../src/base/prng.ts';
import { FrontOp, FrontStatus } from '../../src/guests/front-request.ts';
import { BlkifOp, BlkifStatus } from '../../src/ring/entries.ts';
import { SIDE_FLAG_FUA } from '../../src/ring/side-page.ts';
import {
  type BenchRequest,
  FrontBench,
  type ScriptedBack,
  type Taken,
} from '../helpers/crash-bench.ts';
import { check, forSeeds } from '../helpers/property.ts';

const INDIRECT = { features: { maxIndirectSegments: 32 } };

function shape({ lba, sectors, side }: Taken): readonly number[] {
  return [side.frontSeq, side.partOffset, lba, sectors];
}

test('a request larger than the ring carries goes in parts that share its number', (t) => {
  const bench = new FrontBench();
  bench.connect();
  const request = bench.submit({ lba: 5, sectors: 200, writeIndex: 9 }, 0x77);
  const taken = bench.back().take();
  t.deepEqual(taken.map(shape), [
    [1, 0, 5, 83],
    [1, 83, 88, 88],
    [1, 171, 176, 29],
  ]);
  t.true(taken.every(({ side }) => side.unitSectors === 200 && side.writeIndex === 9));
  for (const part of taken.toReversed()) {
    t.false(request.done);
    bench.back().apply(part);
    bench.back().answer(part);
    bench.back().publish();
    bench.step();
  }
  t.deepEqual(request.outcomes, [FrontStatus.ok]);
  const expected = bench.image.map((_, at) => (at >= 5 * 512 && at < 205 * 512 ? 0x77 : 0));
  t.deepEqual(Buffer.compare(bench.image, expected), 0, 'each byte is where it belongs');
});

test('indirect requests carry more at once, and reads come back in place', (t) => {
  const bench = new FrontBench();
  bench.connect(INDIRECT);
  bench.image.forEach((_, at) => {
    bench.image[at] = (at >>> 9) & 0xff;
  });
  const request = bench.request({ op: FrontOp.read, lba: 3, sectors: 300 });
  request.onDone = () => undefined;
  bench.blkfront.submit(request);
  const taken = bench.back().serveAll();
  t.deepEqual(taken.map(shape), [
    [1, 0, 3, 253],
    [1, 253, 256, 47],
  ]);
  t.deepEqual(
    taken.map(({ indirect }) => indirect),
    [true, false],
  );
  bench.step();
  const { u8 } = bench.domains.world.memory;
  for (let i = 0; i < 300; i++) t.is(u8[request.address + i * 512 + 511], (3 + i) & 0xff);
});

test('one failed part fails the whole request, once, after the last answer', (t) => {
  const bench = new FrontBench();
  bench.connect();
  const request = bench.submit({ lba: 0, sectors: 200 });
  const [first, second, third] = bench.back().take() as [Taken, Taken, Taken];
  bench.back().answer(second, BlkifStatus.error);
  bench.back().answer(first);
  bench.back().publish();
  bench.step();
  t.false(request.done);
  bench.back().answer(third);
  bench.back().publish();
  bench.step();
  t.deepEqual(request.outcomes, [FrontStatus.error]);
});

test('what is unanswered is replayed in frontSeq order on one queue, before anything new', (t) => {
  const bench = new FrontBench();
  bench.connect({ queues: 4 });
  const requests = Array.from({ length: 20 }, (_, i) =>
    bench.submit({ lba: 8 * i, sectors: 8, queue: i }),
  );
  for (const queue of [1, 3]) {
    const taken = bench.back(queue).take();
    bench.back(queue).answer(taken[2] as Taken);
    bench.back(queue).answer(taken[0] as Taken);
    bench.back(queue).publish();
  }
  bench.crash();
  const answered = [1, 3, 9, 11];
  t.deepEqual(
    requests.flatMap(({ done }, i) => (done ? [i] : [])),
    answered,
    'read at the end',
  );
  const late = bench.submit({ lba: 400, sectors: 8, queue: 2 });
  bench.connect({ queues: 4 });
  const after = bench.submit({ lba: 408, sectors: 8, queue: 3 });
  const replayed = bench.back(0).take();
  const unanswered = [...requests, late].flatMap((_, i) => (answered.includes(i) ? [] : [i + 1]));
  t.deepEqual(
    replayed.map(({ side }) => side.frontSeq),
    unanswered,
  );
  t.deepEqual(
    [1, 2, 3].map((queue) => bench.back(queue).unread),
    [0, 0, 0],
  );
  for (const taken of replayed.slice(1)) bench.back(0).answer(taken);
  bench.back(0).publish();
  bench.step();
  t.is(bench.blkfront.state, 'replaying');
  t.is(bench.back(3).unread, 0, 'new requests wait for the last answer');
  bench.back(0).answer(replayed[0] as Taken);
  bench.back(0).publish();
  bench.step();
  t.is(bench.blkfront.state, 'connected');
  t.is(bench.back(3).unread, 1);
  bench.finish();
  t.true([...requests, late, after].every(({ outcomes }) => outcomes.length === 1));
  t.is(bench.blkfront.counters.replayedRequests, 16);
});

test('what waited for room on a full ring is replayed among what was on the others', (t) => {
  const bench = new FrontBench();
  bench.connect({ queues: 2 });
  const crowd = Array.from({ length: 40 }, (_, i) =>
    bench.submit({ lba: 8 * i, sectors: 8, queue: 0 }),
  );
  const last = bench.submit({ lba: 400, sectors: 8, queue: 1 });
  t.true(bench.back(0).unread < crowd.length, 'some found no room');
  t.is(bench.back(1).unread, 1);
  bench.crash();
  bench.connect({ queues: 2 });
  const sequence: number[] = [];
  while (bench.back(0).unread > 0) {
    for (const taken of bench.back(0).take()) {
      sequence.push(taken.side.frontSeq);
      bench.back(0).answer(taken);
    }
    bench.back(0).publish();
    bench.step();
  }
  t.deepEqual(
    sequence,
    [...crowd, last].map((_, i) => i + 1),
  );
});

test('a replay is cut anew when the new back end carries less', (t) => {
  const bench = new FrontBench();
  bench.connect(INDIRECT);
  const request = bench.submit({ lba: 0, sectors: 512 }, 0x33);
  const [first] = bench.back().take() as [Taken];
  bench.back().apply(first);
  bench.back().answer(first);
  bench.back().publish();
  bench.crash();
  bench.connect({ features: { maxIndirectSegments: 0 } });
  const parts = bench.back().take();
  t.deepEqual(parts.map(shape), [
    [1, 256, 256, 88],
    [1, 344, 344, 88],
    [1, 432, 432, 80],
  ]);
  for (const part of parts) {
    t.false(request.done);
    bench.back().apply(part);
    bench.back().answer(part);
    bench.back().publish();
    bench.step();
  }
  t.deepEqual(request.outcomes, [FrontStatus.ok]);
  t.true(bench.image.subarray(0, 512 * 512).every((byte) => byte === 0x33));
});

test('a replay that is itself interrupted begins again with what is still unanswered', (t) => {
  const bench = new FrontBench();
  bench.connect();
  const requests = Array.from({ length: 40 }, (_, i) => bench.submit({ lba: 8 * i, sectors: 8 }));
  bench.crash();
  bench.connect();
  const first = bench.back().take();
  t.is(first.length, 32, 'the ring is full, eight wait behind it');
  for (const taken of first.slice(0, 5)) bench.back().answer(taken);
  bench.back().publish();
  bench.crash();
  bench.connect();
  const again = bench.back().take();
  t.deepEqual(
    again.map(({ side }) => side.frontSeq),
    Array.from({ length: 32 }, (_, i) => i + 6),
  );
  for (const taken of again) bench.back().answer(taken);
  bench.back().publish();
  bench.step();
  bench.finish();
  t.true(requests.every(({ outcomes }) => outcomes.length === 1));
});

test('policy stall: no error while the driver VM is gone, and all end well after', (t) => {
  const bench = new FrontBench({ policy: 'stall' });
  bench.connect();
  const before = bench.submit({ lba: 0, sectors: 8 });
  bench.crash();
  const during = bench.submit({ lba: 8, sectors: 8 });
  t.false(before.done || during.done);
  bench.connect();
  bench.finish();
  t.deepEqual([before.outcomes, during.outcomes], [[FrontStatus.ok], [FrontStatus.ok]]);
});

test('policy error: fails while the driver VM is gone, works again when it is back', (t) => {
  const bench = new FrontBench({ policy: 'error' });
  bench.connect();
  const before = bench.submit({ lba: 0, sectors: 8 });
  bench.crash();
  const during = bench.submit({ lba: 8, sectors: 8 });
  t.deepEqual([before.outcomes, during.outcomes], [[FrontStatus.error], [FrontStatus.error]]);
  bench.connect();
  const after = bench.submit({ lba: 16, sectors: 8 });
  bench.finish();
  t.deepEqual(after.outcomes, [FrontStatus.ok]);
});

test('policy fail: fails now and for ever', (t) => {
  const bench = new FrontBench({ policy: 'fail' });
  bench.connect();
  const before = bench.submit({ lba: 0, sectors: 8 });
  bench.crash();
  t.is(bench.blkfront.state, 'failed');
  const after = bench.submit({ lba: 8, sectors: 8 });
  t.deepEqual([before.outcomes, after.outcomes], [[FrontStatus.error], [FrontStatus.error]]);
});

test('a durable write asks by the side page where the back end takes that, else by a barrier', (t) => {
  const bench = new FrontBench();
  bench.connect();
  bench.submit({ lba: 0, sectors: 8, fua: true });
  bench.submit({ lba: 8, sectors: 8 });
  const bySide = bench.back().take();
  t.deepEqual(
    bySide.map(({ op, side }) => [op, side.flags]),
    [
      [BlkifOp.write, SIDE_FLAG_FUA],
      [BlkifOp.write, 0],
    ],
  );
  bench.crash();
  bench.connect({ features: { fua: false } });
  const byBarrier = bench.back().take();
  t.deepEqual(
    byBarrier.map(({ op, side }) => [op, side.flags]),
    [
      [BlkifOp.writeBarrier, 0],
      [BlkifOp.write, 0],
    ],
  );
});

test('a flush that the back end does not support is never reported as done', (t) => {
  const bench = new FrontBench();
  bench.connect();
  const flush = bench.submit({ op: FrontOp.flush });
  const [taken] = bench.back().take() as [Taken];
  t.deepEqual([taken.op, taken.sectors, taken.lba], [BlkifOp.flush, 0, 0]);
  bench.back().answer(taken, BlkifStatus.notSupported);
  bench.back().publish();
  bench.step();
  t.deepEqual(flush.outcomes, [FrontStatus.notSupported]);
});

test('any status that is none of the three is an error', (t) => {
  const bench = new FrontBench();
  bench.connect();
  const statuses = [1, 7, -3, -32_768, 32_767];
  const requests = statuses.map((status) => {
    const request = bench.submit({ op: FrontOp.flush });
    bench.back().answer(bench.back().take()[0] as Taken, status & 0xffff);
    return request;
  });
  bench.back().publish();
  bench.step();
  t.true(requests.every(({ outcomes }) => outcomes[0] === FrontStatus.error));
});

test('requests over their deadline are counted, not failed, under policy stall', (t) => {
  const bench = new FrontBench({ deadlineNs: 1e9 });
  bench.connect();
  const { world } = bench.domains;
  bench.step();
  const request = bench.submit({ lba: 0, sectors: 8 });
  t.true(bench.blkfront.nextDeadlineNs() <= world.nowNs + 1e9);
  bench.blkfront.checkDeadlines(world.clock.nowNs());
  t.is(bench.blkfront.counters.late, 0);
  world.advance(1.2e9);
  bench.blkfront.checkDeadlines(world.clock.nowNs());
  t.is(bench.blkfront.counters.late, 1);
  bench.finish();
  t.deepEqual(request.outcomes, [FrontStatus.ok]);
});

/** One region of the disk a queue number, as a guest that keeps overlaps on one queue does it. */
const REGION = 64;

interface Written {
  readonly request: BenchRequest;
  readonly lba: number;
  readonly sectors: number;
  readonly fill: number;
}

/** Writes at any time, crashes at any time, numbers of queues that change: the last write wins. */
function anySchedule(random: Prng): void {
  const bench = new FrontBench({}, 2048);
  const written: Written[] = [];
  const silent = new Set<ScriptedBack>();
  let connected = false;
  const toggle = (): void => {
    if (connected) bench.crash();
    else {
      const maxIndirectSegments = random.pick([0, 0, 16]);
      const startIndex = random.pick([0, 2 ** 32 - 20]);
      const queues = random.between(1, 4);
      const persistent = random.chance(0.5);
      bench.connect({ queues, persistent, startIndex, features: { maxIndirectSegments } });
    }
    connected = !connected;
  };
  toggle();
  for (let step = 0; step < 150; step++) {
    if (random.chance(0.05)) toggle();
    if (random.chance(0.6)) {
      const region = random.below(6);
      const first = random.below(REGION - 8);
      const lba = region * REGION + first;
      const sectors = random.between(1, REGION - first);
      const fill = random.between(1, 255);
      const request = bench.submit({ lba, sectors, queue: region }, fill);
      written.push({ request, lba, sectors, fill });
    }
    for (const back of bench.backs) {
      // Some back ends come to do what is asked without ever answering again.
      if (random.chance(0.02)) silent.add(back);
      for (const taken of back.take(random.below(6))) {
        back.apply(taken);
        if (!silent.has(back)) back.answer(taken);
      }
      if (random.chance(0.7)) back.publish();
    }
    if (random.chance(0.7)) bench.step();
  }
  // What a silent back end has left unanswered is answered by the next.
  if (connected) toggle();
  toggle();
  bench.finish();
  const model = new Uint8Array(bench.image.length);
  for (const { lba, sectors, fill } of written) model.fill(fill, lba * 512, (lba + sectors) * 512);
  check(Buffer.compare(model, bench.image) === 0, 'the last write of each sector wins');
  check(
    written.every(({ request }) => request.outcomes.length === 1),
    'each ends once',
  );
  check(
    written.every(({ request }) => request.outcomes[0] === 0),
    'each ends well',
  );
  const { domains } = bench;
  bench.crash();
  check(domains.grants.inUse === 0, 'no grant is left');
  check(domains.frames.freePages === 2048, 'no page is lost');
}

test('whatever crashes and however many queues come back, writes keep their order', (t) => {
  t.notThrows(() => forSeeds(60, anySchedule));
});
