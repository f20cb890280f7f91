import test from 'ava';
import type { Prng } from '../../src/base/prng.ts';
import { DiskModel } from '../../src/guests/disk-model.ts';
import {
  History,
  HistoryFlag,
  HistoryKind,
  HistoryStatus,
  recordBufferFor,
} from '../../src/world/history.ts';
import { check, forSeeds } from '../helpers/property.ts';

const SECTORS = 24;

/** Every value a sector may have, as the rule says it: sets of values, one a sector. */
class Possible {
  readonly values: Set<number>[] = Array.from({ length: SECTORS }, () => new Set([0]));

  happened(kind: HistoryKind, status: HistoryStatus, lba: number, count: number, index: number) {
    const value = kind === HistoryKind.write ? index : 0;
    for (let sector = lba; sector < lba + count; sector++) {
      const settles = status === HistoryStatus.ok && kind !== HistoryKind.discard;
      if (settles) this.values[sector] = new Set([value]);
      else this.values[sector]?.add(value);
    }
  }
}

interface Disk {
  readonly history: History;
  readonly possible: Possible;
  writes: number;
}

const CHANGES = [HistoryKind.write, HistoryKind.write, HistoryKind.zero, HistoryKind.discard];

function oneRequest(random: Prng, disk: Disk, model: DiskModel | null): void {
  const lba = random.below(SECTORS);
  const count = random.between(1, SECTORS - lba);
  const { ok, unknown, error } = HistoryStatus;
  const status = random.pick([ok, ok, ok, unknown, error]);
  const reads = random.chance(0.2);
  const kind = reads ? HistoryKind.read : random.pick(CHANGES);
  let index = 0;
  if (kind === HistoryKind.write) {
    index = ++disk.writes;
    if (model !== null) check(model.nextWriteIndex() === index, 'write indexes go on');
  }
  const record = disk.history.invoke(kind, 0, lba, count, 1, index);
  if (status !== unknown) disk.history.acknowledge(record, status, 2, index);
  if (reads) return;
  model?.changed(lba, count, index);
  disk.possible.happened(kind, status, lba, count, index);
}

function compare(model: DiskModel, disk: Disk): void {
  const end = disk.history.length;
  for (let sector = 0; sector < SECTORS; sector++) {
    for (let value = 0; value <= disk.writes + 1; value++) {
      const expected = disk.possible.values[sector]?.has(value) === true;
      const allowed = model.allows(sector, value, end);
      check(allowed === expected, `sector ${sector}, value ${value}: ${allowed}, not ${expected}`);
    }
  }
}

/** A guest works and is killed; its successor reads some of the disk, and works on. */
function anyLife(random: Prng): void {
  const history = new History(recordBufferFor(200));
  const disk: Disk = { history, possible: new Possible(), writes: 0 };
  for (let i = random.below(12); i > 0; i--) oneRequest(random, disk, null);
  const model = new DiskModel(SECTORS, history);
  compare(model, disk);
  for (let sector = 0; sector < SECTORS; sector++) {
    if (random.chance(0.4)) continue;
    const values = disk.possible.values[sector] as Set<number>;
    const found = random.pick([...values]);
    model.freeze(sector, found);
    disk.possible.values[sector] = new Set([found]);
  }
  compare(model, disk);
  for (let i = random.below(12); i > 0; i--) {
    oneRequest(random, disk, model);
    compare(model, disk);
  }
}

test('just those values are allowed that some outcome of what is unknown explains', (t) => {
  t.notThrows(() => forSeeds(150, anyLife));
});

test('a write that was seen after the guest was killed may not vanish later', (t) => {
  const history = new History(recordBufferFor(4));
  history.acknowledge(history.invoke(HistoryKind.write, 0, 0, 1, 1, 1), HistoryStatus.ok, 2, 1);
  history.invoke(HistoryKind.write, 0, 0, 1, 3, 2);
  const model = new DiskModel(1, history);
  t.true(model.allows(0, 1, 2) && model.allows(0, 2, 2));
  model.freeze(0, 2);
  t.true(model.allows(0, 2, 2));
  t.false(model.allows(0, 1, 2));
});

test('a read expects the latest write submitted before it, also one that is still out', (t) => {
  const model = new DiskModel(8, new History(recordBufferFor(4)));
  const expected = new Uint32Array(4);
  model.changed(2, 3, 7);
  model.changed(3, 1, 8);
  model.expect(1, 4, expected);
  t.deepEqual([...expected], [0, 7, 8, 7]);
});

test('exactly the blocks that were touched are read back, in runs of at most the length asked', (t) => {
  t.notThrows(() =>
    forSeeds(50, (random) => {
      const model = new DiskModel(803, new History(recordBufferFor(1)));
      const touched = new Set<number>();
      for (let i = random.below(20); i > 0; i--) {
        const lba = random.below(803);
        const sectors = random.below(Math.min(40, 803 - lba) + 1);
        model.touch(lba, sectors);
        for (let s = lba; s < lba + sectors; s++) touched.add(Math.floor(s / 8));
      }
      const seen = new Set<number>();
      let run = model.nextTouched(0, 3);
      while (run !== null) {
        check(run.blocks >= 1 && run.blocks <= 3, 'a run is no longer than asked');
        for (let block = run.block; block < run.block + run.blocks; block++) {
          check(touched.has(block) && !seen.has(block), `block ${block} once, if touched`);
          seen.add(block);
        }
        run = model.nextTouched(run.block + run.blocks, 3);
      }
      check(seen.size === touched.size, 'all that were touched');
    }),
  );
});

type Deed = 'write' | 'fua' | 'lost' | 'flush' | 'failed-flush' | 'open-flush' | 'cut';

/**
 * A history of one sector, one deed after the other: the n-th write has index n. `lost` is a write
 * that is never answered.
 */
function lived(...deeds: readonly Deed[]): DiskModel {
  const history = new History(recordBufferFor(deeds.length));
  let writes = 0;
  deeds.forEach((deed, at) => {
    const invokeNs = 10 * at + 1;
    const ackNs = invokeNs + 5;
    const { ok, error } = HistoryStatus;
    if (deed === 'write' || deed === 'fua' || deed === 'lost') {
      const flags = deed === 'fua' ? HistoryFlag.fua : 0;
      const record = history.invoke(HistoryKind.write, flags, 0, 1, invokeNs, ++writes);
      if (deed !== 'lost') history.acknowledge(record, ok, ackNs, writes);
      return;
    }
    const kind = deed === 'cut' ? HistoryKind.powerCut : HistoryKind.flush;
    const record = history.invoke(kind, 0, 0, 0, invokeNs, 0);
    if (deed === 'open-flush') return;
    history.acknowledge(record, deed === 'failed-flush' ? error : ok, ackNs, 0);
  });
  return new DiskModel(1, history);
}

/** Which of the values 0 to 3 the sector may hold at the end of that history. */
function allowed(...deeds: readonly Deed[]): number[] {
  const model = lived(...deeds);
  return [0, 1, 2, 3].filter((value) => model.allows(0, value, deeds.length));
}

test('without a power cut an acknowledged write settles its sector, flushed or not', (t) => {
  t.deepEqual(allowed('write'), [1]);
  t.deepEqual(allowed('write', 'failed-flush', 'write'), [2]);
});

test('a power cut may take back what was acknowledged and not flushed, and nothing else', (t) => {
  t.deepEqual(allowed('write', 'cut'), [0, 1]);
  t.deepEqual(allowed('write', 'write', 'cut'), [0, 1, 2]);
  t.deepEqual(allowed('write', 'flush', 'cut'), [1]);
  t.deepEqual(allowed('write', 'flush', 'write', 'cut'), [1, 2]);
  t.deepEqual(allowed('write', 'write', 'flush', 'cut'), [2]);
});

test('a durable write (FUA) survives a power cut without a flush, its elders may not', (t) => {
  t.deepEqual(allowed('fua', 'cut'), [1]);
  t.deepEqual(allowed('write', 'fua', 'cut'), [2]);
  t.deepEqual(allowed('fua', 'write', 'cut'), [1, 2]);
});

test('a flush before the write covers nothing of it', (t) => {
  t.deepEqual(allowed('flush', 'write', 'cut'), [0, 1]);
});

test('a failed flush voids the promise for what was written before it', (t) => {
  t.deepEqual(allowed('write', 'failed-flush', 'flush', 'cut'), [0, 1]);
  t.deepEqual(allowed('write', 'failed-flush', 'write', 'flush', 'cut'), [2]);
  t.deepEqual(allowed('write', 'flush', 'failed-flush', 'cut'), [1], 'it was durable before');
});

test('a flush that was never answered neither covers nor voids', (t) => {
  t.deepEqual(allowed('write', 'open-flush', 'cut'), [0, 1]);
  t.deepEqual(allowed('write', 'open-flush', 'flush', 'cut'), [1]);
});

test('a write that was never answered is open across a power cut, even after a flush', (t) => {
  t.deepEqual(allowed('write', 'flush', 'lost', 'flush', 'cut'), [1, 2]);
});

test('only a flush submitted after the acknowledgement covers a write', (t) => {
  const history = new History(recordBufferFor(3));
  const write = history.invoke(HistoryKind.write, 0, 0, 1, 1, 1);
  const flush = history.invoke(HistoryKind.flush, 0, 0, 0, 2, 0);
  history.acknowledge(write, HistoryStatus.ok, 3, 1);
  history.acknowledge(flush, HistoryStatus.ok, 4, 0);
  history.acknowledge(history.invoke(HistoryKind.powerCut, 0, 0, 0, 5, 0), HistoryStatus.ok, 5, 0);
  const model = new DiskModel(1, history);
  t.true(model.allows(0, 0, 3) && model.allows(0, 1, 3));
});

test('of two power cuts each takes only what no flush before it had covered', (t) => {
  t.deepEqual(allowed('write', 'flush', 'cut', 'write', 'cut'), [1, 2]);
  t.deepEqual(allowed('write', 'cut', 'write', 'flush', 'cut'), [2]);
  t.deepEqual(allowed('write', 'cut', 'flush', 'cut'), [0, 1], 'a flush after the cut is too late');
  t.deepEqual(allowed('write', 'cut', 'write', 'cut'), [0, 1, 2]);
});

test('what was found after a power cut holds from then on', (t) => {
  for (const found of [0, 1]) {
    const model = lived('write', 'cut');
    model.freeze(0, found);
    t.true(model.allows(0, found, 2));
    t.false(model.allows(0, 1 - found, 2));
  }
});
