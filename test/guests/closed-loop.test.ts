import test from 'ava';
import { Prng } from '../../src/base/prng.ts';
import { type Nanos, NEVER } from '../../src/base/units.ts';
import type { Blkfront } from '../../src/guests/blkfront.ts';
import {
  ClosedLoop,
  type ClosedLoopOptions,
  closedLoopBuffer,
  LoopWord,
  latencySamples,
} from '../../src/guests/closed-loop.ts';
import { FrontOp, type FrontRequest } from '../../src/guests/front-request.ts';
import { TwoDomains } from '../helpers/domains.ts';

function bench(options: Partial<ClosedLoopOptions> = {}) {
  const { world, frames } = new TwoDomains(256, 16, 64);
  const buffer = closedLoopBuffer();
  const words = new Float64Array(buffer);
  const all = {
    maxDepth: 32,
    readShare: 0.7,
    fua: false,
    sectors: 800,
    sampleLatency: true,
    ...options,
  };
  const loop = new ClosedLoop(buffer, all, frames, world.memory, new Prng(1), world.clock, () => 7);
  const out: FrontRequest[] = [];
  const disk = { submit: (request: FrontRequest) => out.push(request) };
  loop.begin(disk as unknown as Blkfront);
  const pump = (budget = 64): number => loop.pump(budget, world.clock.nowNs());
  return { world, words, buffer, loop, out, pump };
}

test('as many requests are outstanding as the runner asks, never more than there are', (t) => {
  const { words, loop, out, pump } = bench();
  t.is(pump(), 0, 'paused');
  words[LoopWord.depth] = 5;
  t.is(pump(3), 3);
  t.is(pump(), 2);
  t.is(pump(), 0);
  out.shift()?.frontDone(0);
  t.is(pump(), 1);
  words[LoopWord.depth] = 1000;
  t.is(pump(100), 27);
  t.is(words[LoopWord.outstanding], 32);
  t.is(words[LoopWord.notifications], 7);
  t.false(loop.finished());
});

test('it ends when told to and nothing is out, and can be paused and go on', (t) => {
  const { words, loop, out, pump } = bench();
  words[LoopWord.depth] = 2;
  pump();
  words[LoopWord.depth] = -1;
  t.is(pump(), 0);
  t.false(loop.finished());
  for (const request of out) request.frontDone(0);
  t.true(loop.finished());
  words[LoopWord.depth] = 1;
  t.false(loop.finished());
  t.is(pump(), 1);
});

test('a paused loop asks to be looked at at a fixed time, which does not move when asked', (t) => {
  const { world, words, loop, pump } = bench();
  pump();
  const firstNs = loop.nextDeadlineNs();
  t.true(firstNs > world.nowNs && firstNs <= world.nowNs + 1e6);
  world.advance(firstNs);
  t.is(loop.nextDeadlineNs(), firstNs);
  pump();
  t.true(loop.nextDeadlineNs() > firstNs);
  words[LoopWord.depth] = 1;
  pump();
  t.is(loop.nextDeadlineNs(), NEVER as Nanos);
});

test('requests are whole blocks inside the disk, reads in the share asked', (t) => {
  const { words, out, pump } = bench({ readShare: 0.7, sectors: 800 });
  words[LoopWord.depth] = 32;
  let reads = 0;
  const blocks = new Set<number>();
  for (let i = 0; i < 10_000; i++) {
    pump(1);
    const request = out.shift() as FrontRequest;
    if (request.op === FrontOp.read) reads++;
    if (request.sectors !== 8 || request.lba % 8 !== 0 || request.lba + 8 > 800) return t.fail();
    blocks.add(request.lba / 8);
    request.frontDone(0);
  }
  t.true(Math.abs(reads - 7000) < 200, `${reads} reads of 10000`);
  t.is(blocks.size, 100);
});

test('no two writes carry the same, and none carries zeros, also into a page that was read', (t) => {
  const { world, words, out, pump } = bench({ readShare: 0.5 });
  words[LoopWord.depth] = 32;
  const seen = new Set<string>();
  let writes = 0;
  for (let i = 0; i < 1000; i++) {
    pump();
    const request = out.shift() as FrontRequest;
    const page = world.memory.u8.subarray(request.address, request.address + 4096);
    if (request.op === FrontOp.read) page.fill(0);
    else seen.add(Buffer.from(page).toString('latin1').slice(0, 8));
    if (request.op === FrontOp.write) writes++;
    request.frontDone(0);
  }
  t.true(writes > 400);
  t.is(seen.size, writes);
});

test('completions, errors and latencies are counted, the last 65536 of them kept', (t) => {
  const { world, words, buffer, out, pump } = bench();
  words[LoopWord.depth] = 1;
  for (let i = 1; i <= 3; i++) {
    pump();
    world.advance(100 * i);
    out.shift()?.frontDone(i === 2 ? -1 : 0);
  }
  t.deepEqual([words[LoopWord.completed], words[LoopWord.errors]], [3, 1]);
  t.deepEqual([...latencySamples(buffer)], [100, 200, 300]);
  for (let i = 0; i < 65_536; i++) {
    pump();
    world.advance(1);
    out.shift()?.frontDone(0);
  }
  const samples = latencySamples(buffer);
  t.is(samples.length, 65_536);
  t.true(samples.every((latency) => latency === 1));
});
