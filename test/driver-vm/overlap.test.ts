import test from 'ava';
import type { Prng } from '../../src/base/prng.ts';
import { OverlapTracker } from '../../src/driver-vm/overlap.ts';
import { type RequestOwner, RequestRecord } from '../../src/driver-vm/request.ts';
import { DeviceOp } from '../../src/world/block-device.ts';
import { check, forSeeds } from '../helpers/property.ts';

const NOBODY: RequestOwner = { run: () => undefined, deviceDone: () => undefined };

function request(op: DeviceOp, lba: number, sectors: number, barrier = false): RequestRecord {
  const record = new RequestRecord(NOBODY, 0, 0, 1);
  record.transferOp = op;
  record.lba = lba;
  record.sectors = sectors;
  record.barrier = barrier;
  return record;
}

function anyRequest(random: Prng): RequestRecord {
  const op = random.pick([DeviceOp.read, DeviceOp.read, DeviceOp.write, DeviceOp.discard]);
  return request(op, random.below(40), random.between(1, 12), random.chance(0.05));
}

/** The rule as the contract says it, written down a second time. */
function mustKeepOrder(first: RequestRecord, second: RequestRecord): boolean {
  if (first.barrier || second.barrier) return true;
  if (first.transferOp === DeviceOp.read && second.transferOp === DeviceOp.read) return false;
  for (let i = 0; i < first.sectors; i++) {
    const sector = first.lba + i;
    if (sector >= second.lba && sector < second.lba + second.sectors) return true;
  }
  return false;
}

/**
 * Requests come and are finished in any order; what runs is compared with the rule at each step.
 */
function anyRun(random: Prng): void {
  const tracker = new OverlapTracker();
  const here: RequestRecord[] = [];
  const running = new Set<RequestRecord>();
  const start = (record: RequestRecord): void => {
    check(!running.has(record), 'a request starts once');
    running.add(record);
  };
  const mayRun = (record: RequestRecord): boolean => {
    const earlier = here.slice(0, here.indexOf(record));
    return earlier.every((other) => !mustKeepOrder(other, record));
  };
  for (let step = 0; step < 300; step++) {
    if (here.length < 30 && random.chance(0.55)) {
      const record = anyRequest(random);
      here.push(record);
      if (tracker.admit(record)) start(record);
    } else if (running.size > 0) {
      const done = random.pick([...running]);
      running.delete(done);
      here.splice(here.indexOf(done), 1);
      tracker.release(done, start);
    }
    check(here.length === 0 || running.size > 0, 'something runs while anything is here');
    for (const record of here) {
      const runs = running.has(record);
      check(!runs || mayRun(record), 'nothing runs beside or before what it must follow');
      check(runs || !mayRun(record), 'nothing waits that may run');
    }
    check(tracker.held === here.length, 'all that are here are held');
    check(tracker.waiting === here.length - running.size, 'those that do not run wait');
  }
}

test('exactly those run that no earlier one they conflict with is before: order, no starving', (t) => {
  t.notThrows(() => forSeeds(150, anyRun));
});

test('a request that finishes inside its own start frees the ones behind it, in order', (t) => {
  const tracker = new OverlapTracker();
  const first = request(DeviceOp.write, 0, 8);
  const chain = [1, 2, 3, 4, 5].map(() => request(DeviceOp.write, 4, 8));
  const order: number[] = [];
  const run = (record: RequestRecord): void => {
    order.push(chain.indexOf(record));
    tracker.release(record, run);
  };
  t.true(tracker.admit(first));
  for (const record of chain) t.false(tracker.admit(record));
  tracker.release(first, run);
  t.deepEqual(order, [0, 1, 2, 3, 4]);
  t.deepEqual([tracker.held, tracker.waiting], [0, 0]);
});

test('a read never passes a write it overlaps, waiting or running; one beside it does', (t) => {
  const tracker = new OverlapTracker();
  t.true(tracker.admit(request(DeviceOp.write, 0, 8)));
  t.false(tracker.admit(request(DeviceOp.write, 7, 2)));
  t.false(tracker.admit(request(DeviceOp.read, 8, 1)));
  t.true(tracker.admit(request(DeviceOp.read, 9, 100)));
});

test('a barrier waits for all before it and holds all behind it, wherever they are', (t) => {
  const tracker = new OverlapTracker();
  const before = request(DeviceOp.read, 0, 1);
  const barrier = request(DeviceOp.write, 500, 1, true);
  const behind = request(DeviceOp.read, 900, 1);
  const started: RequestRecord[] = [];
  t.true(tracker.admit(before));
  t.false(tracker.admit(barrier));
  t.false(tracker.admit(behind));
  tracker.release(before, (record) => started.push(record));
  t.deepEqual(started, [barrier]);
  tracker.release(barrier, (record) => started.push(record));
  t.deepEqual(started, [barrier, behind]);
});

test('a request of no sectors overlaps nothing', (t) => {
  const tracker = new OverlapTracker();
  t.true(tracker.admit(request(DeviceOp.write, 4, 4)));
  t.true(tracker.admit(request(DeviceOp.write, 0, 0)));
  t.true(tracker.admit(request(DeviceOp.write, 0, 4)));
});

test('releasing a request twice is a bug that is caught', (t) => {
  const tracker = new OverlapTracker();
  const record = request(DeviceOp.read, 0, 1);
  tracker.admit(record);
  tracker.release(record, () => undefined);
  t.throws(() => tracker.release(record, () => undefined), { message: /leaves the tracker once/ });
});

test('where the device numbers mutations, none passes one that waits; a read beside it does', (t) => {
  const tracker = new OverlapTracker(false, true);
  const read = request(DeviceOp.read, 0, 8);
  const behind = request(DeviceOp.write, 0, 8);
  const beside = request(DeviceOp.write, 100, 8);
  const started: RequestRecord[] = [];
  t.true(tracker.admit(read));
  t.false(tracker.admit(behind));
  t.false(tracker.admit(beside));
  t.true(tracker.admit(request(DeviceOp.read, 200, 8)));
  tracker.release(read, (record) => started.push(record));
  t.deepEqual(started, [behind, beside]);
});
