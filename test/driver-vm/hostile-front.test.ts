/** The back end against a hostile front end: every attack on the ring, by the number it has. */
import test from 'ava';
import { PAGE_BYTES, SECTOR_BYTES } from '../../src/base/units.ts';
import { SAFETY_LOOK_NS } from '../../src/driver-vm/rounds.ts';
import {
  BlkifOp,
  BlkifStatus,
  encodeDirect,
  encodeDiscard,
  encodeIndirect,
  encodeIndirectRef,
  encodeSegment,
  newEntry,
} from '../../src/ring/entries.ts';
import { FRONT_MOVES, type Move } from '../../src/ring/hostile/front-moves.ts';
import { PageMutator, WordMutator } from '../../src/ring/hostile/mutators.ts';
import { REQ_PROD_BYTES, RSP_EVENT_BYTES } from '../../src/ring/layout.ts';
import { BackBench, fillPage, statuses } from '../helpers/back-bench.ts';
import { faultsOf, movesOf, play } from '../helpers/moves.ts';

const SETUPS = [
  { order: 0, persistent: true, startIndex: 0 },
  { order: 0, persistent: false, startIndex: 2 ** 32 - 5 },
  { order: 1, persistent: true, startIndex: 2 ** 32 - 40 },
];

for (const move of FRONT_MOVES) {
  test(`${move.attack}: ${move.name}: ${expectation(move)}, and nobody else notices`, (t) => {
    for (const setup of SETUPS) {
      t.deepEqual(faultsOf(move, play(move, setup)), [], JSON.stringify(setup));
    }
  });
}

function expectation(move: Move): string {
  switch (move.outcome) {
    case 'halt':
      return 'the ring is halted';
    case 'error':
      return 'the answer is an error';
    case 'not-supported':
      return 'the answer is "not supported"';
    case 'okay':
      return 'it is served';
    case 'harmless':
      return 'the back end lives';
  }
}

for (const [attack, jump] of [
  ['B1', (slots: number) => slots + 1],
  ['B1', () => 2 ** 31],
  ["B1'", () => -1],
] as const) {
  test(`${attack}: req_prod moves by ${jump(32)}: halted, nothing stale runs`, (t) => {
    const bench = new BackBench();
    const ring = bench.connect();
    ring.device.holds = true;
    for (let i = 0; i < 3; i++) ring.front.put(ring.front.honest(BlkifOp.write));
    ring.front.publish();
    bench.turn();
    t.is(ring.queue.inFlight, 3);
    ring.front.setIndex(REQ_PROD_BYTES, ring.front.reqProd + jump(ring.front.slots));
    ring.front.means.notify();
    bench.turn();
    t.truthy(ring.queue.halted);
    ring.device.release();
    t.is(ring.device.writes, 3, 'what was in flight ends');
    t.is(ring.queue.counters.requests, 3, 'no slot is read again');
    t.deepEqual(statuses(ring), [], 'a halted ring is not answered');
    t.is(ring.queue.inFlight, 0);
  });
}

test('B2: requests come while the ring is drained: the other guest gets its share', (t) => {
  const bench = new BackBench();
  const greedy = bench.connect();
  const honest = bench.connect();
  bench.world.atCrashPoint = (name) => {
    if (name !== 'back.after-response-publish') return;
    greedy.front.collect();
    if (greedy.front.freeSlots > 0) greedy.front.send(greedy.front.honest());
  };
  greedy.front.send(greedy.front.honest());
  bench.rounds.step(64, bench.world.clock.nowNs());
  honest.front.send(honest.front.honest());
  const before = greedy.queue.counters.requests;
  let steps = 0;
  while (honest.queue.counters.requests === 0 && steps < 100) {
    bench.rounds.step(16, bench.world.clock.nowNs());
    steps++;
  }
  t.true(greedy.queue.counters.requests > 0);
  t.true(steps <= 2, `the honest request waited ${steps} steps`);
  t.true(greedy.queue.counters.requests - before <= 32, 'two visits at most came before it');
});

test('B3: 64 requests from index 0xFFFFFFF0 on: all are served across the wrap', (t) => {
  const bench = new BackBench();
  const ring = bench.connect({ startIndex: 0xfffffff0 });
  for (let i = 0; i < 64; i++) {
    ring.front.send(ring.front.honest());
    if (i % 3 === 0) bench.turn();
    if (i % 5 === 0) ring.front.collect();
  }
  bench.turn();
  ring.front.collect();
  t.deepEqual(ring.front.tally, { okay: 64, error: 0, notSupported: 0, other: 0 });
  t.is(ring.front.reqProd, 0x30);
});

test('B4: the doorbell is never rung: the safety look finds the request', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  bench.turn();
  ring.front.put(ring.front.honest());
  ring.front.setIndex(REQ_PROD_BYTES, ring.front.reqProd);
  bench.turn();
  t.deepEqual(statuses(ring), [], 'nobody looks without a bell');
  t.true(bench.rounds.nextDeadlineNs() <= bench.world.clock.nowNs() + SAFETY_LOOK_NS);
  bench.world.advance(SAFETY_LOOK_NS);
  bench.turn();
  t.deepEqual(statuses(ring), [BlkifStatus.okay]);
});

test('B4: a garbled rsp_event loses notifications of its own ring only', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  const honest = bench.connect();
  ring.front.setIndex(RSP_EVENT_BYTES, ring.front.reqProd + 2 ** 31);
  ring.front.send(ring.front.honest());
  bench.turn();
  const before = bench.world.bells;
  honest.front.send(honest.front.honest());
  bench.turn();
  t.is(bench.world.bells - before, 2, 'one bell for the request, one for its response');
});

test('B5: 4096 indirect segments in eight good pages: nothing of them is copied', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  const entry = newEntry();
  encodeIndirect(entry, BlkifOp.write, 4096, 0, 5, 0);
  for (let i = 0; i < 8; i++) encodeIndirectRef(entry, i, ring.front.page(i).ref);
  for (const page of ring.pages) fillPage(bench, page, 0x33);
  ring.front.send(entry);
  bench.turn();
  t.deepEqual(statuses(ring), [BlkifStatus.error]);
  const { heapFrame, heapEndFrame } = bench.driver;
  const own = bench.world.memory.u8.subarray(heapFrame * PAGE_BYTES, heapEndFrame * PAGE_BYTES);
  t.false(own.includes(0x33), 'the driver domain copied nothing of it');
});

test('B6: a good segment and one with first_sect > last_sect: nothing is read', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  const entry = newEntry();
  encodeDirect(entry, BlkifOp.read, 2, 0, 5, 0);
  encodeSegment(entry, 0, ring.front.page(0).ref, 0, 7);
  encodeSegment(entry, 1, ring.front.page(1).ref, 5, 2);
  fillPage(bench, ring.front.page(0), 0x33);
  ring.front.send(entry);
  bench.turn();
  t.deepEqual(statuses(ring), [BlkifStatus.error]);
  const { address } = ring.front.page(0);
  const page = bench.world.memory.u8.subarray(address, address + PAGE_BYTES);
  t.true(page.every((byte) => byte === 0x33));
});

for (const [op, name] of [
  [BlkifOp.write, 'write'],
  [BlkifOp.writeBarrier, 'barrier'],
  [BlkifOp.discard, 'discard'],
] as const) {
  test(`B7: a ${name} on a read-only disk: the answer is an error and nothing changes`, (t) => {
    const bench = new BackBench();
    const ring = bench.connect({ device: { readonly: true } });
    const entry = ring.front.honest(op);
    if (op === BlkifOp.discard) encodeDiscard(entry, 0, 77, 0, 8);
    fillPage(bench, ring.pages[0] as never, 0x77);
    ring.front.send(entry);
    bench.turn();
    t.deepEqual(statuses(ring), [BlkifStatus.error]);
    t.true(ring.device.bytes.every((byte) => byte === 0));
  });
}

test('B7: requests not aligned to a sector size of 4096: the answer is an error', (t) => {
  const bench = new BackBench();
  const ring = bench.connect({ device: { sectorSizeBytes: 4096 } });
  for (const [sector, first, last] of [
    [1, 0, 7],
    [8, 0, 3],
    [8, 4, 7],
    [8, 1, 1],
  ] as const) {
    const entry = newEntry();
    encodeDirect(entry, BlkifOp.write, 1, 0, 9, sector);
    encodeSegment(entry, 0, ring.front.page(0).ref, first, last);
    ring.front.send(entry);
    bench.turn();
    t.deepEqual(statuses(ring), [BlkifStatus.error], `sector ${sector}, ${first}-${last}`);
  }
  t.is(ring.device.writes, 0);
});

test('B7: a discard of 2^64 - 1 sectors costs the driver VM no more time than any refusal', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  const bad = newEntry();
  encodeDiscard(bad, 0, 9, 0, 0);
  bad[6] = bad[7] = 0xffffffff;
  ring.front.send(bad);
  bench.turn();
  t.deepEqual(statuses(ring), [BlkifStatus.error]);
  t.true(bench.world.spentNs < 10_000, `${bench.world.spentNs} ns`);
});

test('B8: segments change after they were counted: one snapshot of them is used', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  const { front } = ring;
  const list = front.page(1);
  const [good, bad] = [
    [front.page(2).ref, 0x0700],
    [0, 0xff00],
  ];
  ring.view.u32.set(good as number[], list.address / 4);
  const entry = newEntry();
  encodeIndirect(entry, BlkifOp.write, 1, 0, 5, 0);
  encodeIndirectRef(entry, 0, list.ref);
  const mutator = new WordMutator(ring.view, list.address / 4, bad as number[]);
  bench.world.atCrashPoint = () => mutator.tick();
  for (let i = 0; i < 20; i++) {
    fillPage(bench, front.page(2), i + 1);
    front.send(entry);
    bench.turn();
    const [status] = statuses(ring);
    const written = ring.device.bytes[0] === i + 1;
    t.is(status === BlkifStatus.okay, written, 'served whole, or refused whole');
  }
  t.true(ring.device.writes > 0 && ring.device.writes < 20, 'both snapshots were met');
});

test('B9: an unknown operation: its id is echoed and the next request is served', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  for (const unknown of [4, 7, 255]) {
    const entry = ring.front.honest();
    entry[0] = unknown;
    entry[2] = 1000 + unknown;
    ring.front.put(entry);
  }
  ring.front.send(ring.front.honest(BlkifOp.read));
  bench.turn();
  const answers = ring.front.collect();
  t.deepEqual(
    answers.slice(0, 3),
    [4, 7, 255].map((op) => ({ id: 1000 + op, op, status: BlkifStatus.notSupported })),
  );
  t.is(answers[3]?.status, BlkifStatus.okay);
});

test('B10: a slot swings between two requests: what happens is one of them, whole', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  const { front } = ring;
  let [reads, writes, refused] = [0, 0, 0];
  for (let round = 0; round < 60; round++) {
    const lba = 8 * (round + 1);
    const write = newEntry();
    encodeDirect(write, BlkifOp.write, 1, 0, 5, lba);
    encodeSegment(write, 0, front.page(0).ref, 0, 7);
    const other = newEntry();
    encodeDirect(other, round % 2 === 0 ? BlkifOp.read : 255, 11, 0, 6, lba);
    for (let i = 0; i < 11; i++) encodeSegment(other, i, front.page(1).ref, 0, 0);
    const slot = front.put(write);
    const mutator = new WordMutator(ring.view, front.slotWord(slot), other);
    if (round % 3 === 0) mutator.tick();
    // Not once the response stands in the slot: there the front end would only garble its own
    // answer.
    bench.world.atCrashPoint = (name) => {
      if (!name.endsWith('response-publish')) mutator.tick();
    };
    fillPage(bench, front.page(0), 0x5a);
    fillPage(bench, front.page(1), 0xff);
    front.publish();
    bench.turn();
    const [answer] = front.collect();
    const page1 = ring.view.u8[front.page(1).address] as number;
    if (answer?.id === 5) {
      writes++;
      t.is(answer.op, BlkifOp.write);
      t.is(ring.device.bytes[lba * SECTOR_BYTES], 0x5a);
      t.is(page1, 0xff, 'nothing of the other request happened');
    } else {
      t.is(answer?.id, 6);
      if (answer?.op === BlkifOp.read) reads++;
      else refused++;
      t.is(ring.device.bytes[lba * SECTOR_BYTES], 0, 'nothing of the write happened');
    }
  }
  t.true(reads > 0 && writes > 0 && refused > 0, `${reads} ${writes} ${refused}`);
});

test('B11: the data of a write changes: the disk gets what was there at one moment', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  const page = ring.front.page(0);
  const mutator = new PageMutator(ring.view, page.address, PAGE_BYTES, [0x11, 0xee]);
  bench.world.atCrashPoint = () => mutator.tick();
  ring.device.holds = true;
  for (let i = 0; i < 20; i++) {
    mutator.tick();
    const entry = newEntry();
    encodeDirect(entry, BlkifOp.write, 1, 0, i, 8 * i);
    encodeSegment(entry, 0, page.ref, 0, 7);
    ring.front.send(entry);
    bench.turn();
    const staged = ring.device.held[0]?.address ?? 0;
    const seen = bench.world.memory.u8.slice(staged, staged + PAGE_BYTES);
    t.is(new Set(seen).size, 1, 'a checksum taken now...');
    for (let again = 0; again < 3; again++) mutator.tick();
    ring.device.release();
    const stored = ring.device.bytes.slice(8 * i * SECTOR_BYTES, (8 * i + 8) * SECTOR_BYTES);
    t.deepEqual(stored, seen, '...is the checksum of what is stored later');
  }
});

test('B12: an id in flight comes again: the second is refused, the first served', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  ring.device.holds = true;
  const [first, second] = [ring.front.honest(), ring.front.honest()];
  second[2] = first[2] as number;
  ring.front.put(first);
  ring.front.send(second);
  bench.turn();
  t.deepEqual(statuses(ring), [BlkifStatus.error]);
  ring.device.release();
  t.deepEqual(statuses(ring), [BlkifStatus.okay]);
});

test('B12: two rings share a page: both are served and the page comes back', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  const beside = bench.connect({ beside: ring });
  const shared = ring.front.page(0);
  for (const { front } of [ring, beside]) {
    const entry = front.honest(BlkifOp.read);
    encodeSegment(entry, 0, shared.ref, 0, 7);
    front.send(entry);
  }
  bench.turn();
  t.deepEqual([...statuses(ring), ...statuses(beside)], [BlkifStatus.okay, BlkifStatus.okay]);
  t.true(ring.grants.end(shared.ref as never), 'nobody has it mapped any more');
});

test('B13: responses are never read: the full ring is left alone and costs no memory', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  const free = bench.staging.freePages;
  for (let i = 0; i < ring.front.slots; i++) ring.front.put(ring.front.honest(BlkifOp.read));
  ring.front.publish();
  bench.turn();
  const before = ring.view.u8.slice(ring.view.baseBytes, ring.view.baseBytes + PAGE_BYTES);
  for (let i = 0; i < 10; i++) {
    ring.front.means.notify();
    bench.turn();
  }
  const after = ring.view.u8.slice(ring.view.baseBytes, ring.view.baseBytes + PAGE_BYTES);
  t.deepEqual(after, before, 'a full ring is left alone');
  t.is(bench.staging.freePages, free);
  t.is(ring.queue.counters.requests, ring.front.slots);
});

test('B14: rsp_prod is overwritten: the back end goes on from its own', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  ring.front.setIndex(8, 12345);
  ring.front.send(ring.front.honest());
  bench.turn();
  t.deepEqual(statuses(ring), [BlkifStatus.okay]);
});

test('B17: a bell rung 100,000 times a second for nothing: it is masked, wakes are few', (t) => {
  const bench = new BackBench();
  const ring = bench.connect();
  const honest = bench.connect();
  bench.turn();
  let wakes = 0;
  for (let i = 0; i < 100_000; i++) {
    bench.world.advance(10_000);
    const before = bench.world.bells;
    ring.front.means.notify();
    const due = bench.rounds.nextDeadlineNs() <= bench.world.clock.nowNs();
    if (bench.world.bells === before && !due) continue;
    wakes++;
    bench.turn();
  }
  t.true(bench.rounds.masked > 0);
  t.true(wakes < 10_000, `${wakes} wakes`);
  honest.front.send(honest.front.honest());
  bench.turn();
  t.deepEqual(statuses(honest), [BlkifStatus.okay]);
  ring.front.send(ring.front.honest());
  bench.world.advance(SAFETY_LOOK_NS);
  bench.turn();
  t.deepEqual(statuses(ring), [BlkifStatus.okay], 'a masked ring is looked at later');
});

test('every attack that is a move of a ring is in the catalogue', (t) => {
  const wanted = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17].map((n) => `B${n}`);
  for (const attack of [...wanted, "B1'"]) t.true(movesOf(FRONT_MOVES, attack).length > 0, attack);
});
