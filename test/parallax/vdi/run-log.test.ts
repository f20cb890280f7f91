import test from 'ava';
import type { DirtyLog } from '../../../src/parallax/log/dirty-log.ts';
import { DirtyMap, ZEROS } from '../../../src/parallax/vdi/dirty-map.ts';
import { RunLog } from '../../../src/parallax/vdi/run-log.ts';
import { CoreWorld } from '../../helpers/core-world.ts';

const ARENA = { address: 65_536, bytes: 16 * 4096 };
const SECTOR = 512;

/** A log whose byte at an offset of a segment is told by both; keeps what was asked of it. */
class FakeLog {
  readonly reads: [segment: number, offset: number, lengthBytes: number][] = [];
  readonly pins: number[] = [];
  gives = true;
  readonly #memory: Uint8Array;

  constructor(memory: Uint8Array) {
    this.#memory = memory;
  }

  pin(segment: number): void {
    this.pins.push(segment);
  }

  unpin(segment: number): void {
    this.pins.splice(this.pins.indexOf(segment), 1);
  }

  readSpan(
    segment: number,
    offset: number,
    lengthBytes: number,
    address: number,
  ): Promise<boolean> {
    this.reads.push([segment, offset, lengthBytes]);
    for (let i = 0; i < lengthBytes; i++) this.#memory[address + i] = byteAt(segment, offset + i);
    return Promise.resolve(this.gives);
  }
}

function byteAt(segment: number, offset: number): number {
  return (segment * 7 + Math.floor(offset / SECTOR)) & 0xff;
}

function bench() {
  const world = new CoreWorld(ARENA.address + ARENA.bytes);
  const log = new FakeLog(world.memory.u8);
  const dirty = new DirtyMap({ released: () => {} });
  const run = new RunLog(world, log as unknown as DirtyLog, ARENA);
  const load = (blocks: number[], lastBatch: number) =>
    run.load(dirty, new Uint32Array(blocks), lastBatch);
  return { world, log, dirty, run, load };
}

test('a run that lies together is one read a segment, and every piece of it is found', async (t) => {
  const { world, log, dirty, run, load } = bench();
  dirty.add(5, 0, 8, 1, 3, 12_288, 0);
  dirty.add(9, 0, 8, 1, 3, 4096, 0);
  dirty.add(2, 4, 2, 1, 3, 8192, 0);
  dirty.add(7, 0, 8, 1, 4, 20_480, 0);
  dirty.add(8, 0, 8, 1, ZEROS, 0, 0);
  await load([2, 5, 7, 8, 9], 1);
  t.deepEqual(log.reads, [
    [3, 4096, 12_288],
    [4, 20_480, 4096],
  ]);
  t.deepEqual(log.pins, []);
  for (const [segment, offset, bytes] of [
    [3, 12_288, 4096],
    [3, 4096, 4096],
    [3, 8192, 1024],
    [4, 20_480, 4096],
  ] as const) {
    const address = run.addressOf(segment, offset, bytes);
    t.is(world.memory.u8[address], byteAt(segment, offset));
    t.is(world.memory.u8[address + bytes - 1], byteAt(segment, offset + bytes - 1));
  }
});

test('what is not in the run is not there: another place, and what reaches past the end', async (t) => {
  const { dirty, run, load } = bench();
  dirty.add(5, 0, 8, 1, 3, 4096, 0);
  dirty.add(6, 0, 8, 2, 3, 40_960, 0);
  await load([5], 1);
  t.not(run.addressOf(3, 4096, 4096), 0);
  t.is(run.addressOf(3, 40_960, 4096), 0, 'a later batch is not read');
  t.is(run.addressOf(4, 4096, 4096), 0);
  t.is(run.addressOf(3, 4608, 4096), 0);
  run.clear();
  t.is(run.addressOf(3, 4096, 4096), 0);
});

test('pieces far apart among the writes of others are left to be read where they lie', async (t) => {
  const { log, dirty, run, load } = bench();
  dirty.add(1, 0, 1, 1, 3, 4096, 0);
  dirty.add(2, 0, 1, 1, 3, 8192, 0);
  await load([1, 2], 1);
  t.deepEqual(log.reads, []);
  t.is(run.addressOf(3, 4096, 512), 0);
});

test('a span that finds no room, or that the disk does not give, is not there', async (t) => {
  const { log, dirty, run, load } = bench();
  for (let i = 0; i < 17; i++) dirty.add(i, 0, 8, 1, 3, i * 4096, 0);
  dirty.add(20, 0, 8, 1, 4, 0, 0);
  const blocks = [...Array(17).keys(), 20];
  await load(blocks, 1);
  t.is(run.addressOf(3, 4096, 4096), 0, '17 pages do not go into 16');
  t.not(run.addressOf(4, 0, 4096), 0);
  log.gives = false;
  await load(blocks, 1);
  t.is(run.addressOf(4, 0, 4096), 0);
  t.deepEqual(log.pins, []);
});
