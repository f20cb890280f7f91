import test from 'ava';
import { Prng } from '../../src/base/prng.ts';
import { DeviceStack } from '../../src/driver-vm/device-factory.ts';
import { MemoryDevice } from '../../src/driver-vm/devices/memory-device.ts';
import { DelayFilter } from '../../src/driver-vm/filters/delay-filter.ts';
import {
  ALWAYS_FAIL,
  ErrorFilter,
  type ErrorRule,
} from '../../src/driver-vm/filters/error-filter.ts';
import { MediumFilter } from '../../src/driver-vm/filters/medium-filter.ts';
import { ReadonlyFilter } from '../../src/driver-vm/filters/readonly-filter.ts';
import { StatsFilter } from '../../src/driver-vm/filters/stats-filter.ts';
import {
  type BlockDevice,
  type DeviceInfo,
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
} from '../../src/world/block-device.ts';
import { CoreWorld } from '../helpers/core-world.ts';
import { TestRequest } from './device-conformance.ts';

const SECTORS = 100;

/** A device that remembers what reached it and completes when the test says so. */
class Bottom implements BlockDevice {
  readonly info: DeviceInfo = {
    kind: 'bottom',
    sectors: SECTORS,
    sectorSizeBytes: 512,
    readonly: false,
    flush: true,
    discard: true,
    ordersItself: false,
  };
  readonly seen: DeviceRequest[] = [];

  submit(request: DeviceRequest): void {
    this.seen.push(request);
  }

  resize(sectors: number): Promise<void> {
    this.info.sectors = sectors;
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Submits and returns the status if the request completed inside `submit`, null otherwise. */
function submit(device: BlockDevice, op: DeviceOp, lba = 0, sectors = 1): DeviceStatus | null {
  let status: DeviceStatus | null = null;
  const request = new TestRequest((given) => {
    status = given;
  });
  Object.assign(request, { op, lba, sectors, address: 4096 });
  device.submit(request);
  return status;
}

function failing(world: CoreWorld, rules: readonly Partial<ErrorRule>[]): ErrorFilter {
  const bottom = new MemoryDevice(world.memory, 8192, SECTORS);
  const all = rules.map((rule) => ({ ...ALWAYS_FAIL, ...rule }));
  return new ErrorFilter(bottom, all, new Prng(1));
}

const { ok, ioError, notSupported } = DeviceStatus;

test('a rule fails its own operation in its own range, by any sector they share', (t) => {
  const filter = failing(new CoreWorld(1 << 17), [{ op: 'write', firstLba: 10, endLba: 20 }]);
  const statuses: [DeviceOp, number, number, DeviceStatus][] = [
    [DeviceOp.write, 9, 1, ok],
    [DeviceOp.write, 9, 2, ioError],
    [DeviceOp.write, 19, 5, ioError],
    [DeviceOp.write, 20, 5, ok],
    [DeviceOp.read, 10, 5, ok],
    [DeviceOp.flush, 0, 0, ok],
  ];
  for (const [op, lba, sectors, expected] of statuses) {
    t.is(submit(filter, op, lba, sectors), expected, `operation ${op} at ${lba}+${sectors}`);
  }
  t.is(filter.injected, 2);
});

test('a rule lets some pass, fails so many, is spent; new rules begin anew', (t) => {
  const filter = failing(new CoreWorld(1 << 17), [{ op: 'read', skip: 2, times: 3 }]);
  const eight = (): (DeviceStatus | null)[] =>
    [1, 2, 3, 4, 5, 6, 7, 8].map(() => submit(filter, DeviceOp.read));
  t.deepEqual(eight(), [ok, ok, ioError, ioError, ioError, ok, ok, ok]);
  filter.setRules([{ ...ALWAYS_FAIL, op: 'read', skip: 1, times: 1 }]);
  t.deepEqual(eight(), [ok, ioError, ok, ok, ok, ok, ok, ok]);
  filter.setRules([]);
  t.true(eight().every((status) => status === ok));
});

test('a failed request never reaches the device; the first rule that strikes decides', (t) => {
  const bottom = new Bottom();
  const rules = [
    { ...ALWAYS_FAIL, op: 'flush' as const, status: 'notSupported' as const },
    ALWAYS_FAIL,
  ];
  const filter = new ErrorFilter(bottom, rules, new Prng(1));
  t.is(submit(filter, DeviceOp.flush), notSupported);
  t.is(submit(filter, DeviceOp.write), ioError);
  t.is(bottom.seen.length, 0);
});

test('a probability is kept over many requests', (t) => {
  const filter = failing(new CoreWorld(1 << 17), [{ op: 'write', probability: 0.2 }]);
  for (let i = 0; i < 10_000; i++) submit(filter, DeviceOp.write);
  t.true(Math.abs(filter.injected - 2000) < 160, `${filter.injected} of 10000`);
});

test('a delay holds each operation back by its own time, counted from submission', (t) => {
  const world = new CoreWorld(1 << 17);
  const delays = { readNs: 100, writeNs: 200, flushNs: 300, jitterNs: 0 };
  const bottom = new MemoryDevice(world.memory, 8192, SECTORS);
  const filter = new DelayFilter(bottom, delays, world.clock, world.timers, new Prng(1));
  const doneNs = new Map<DeviceOp, number>();
  for (const op of [DeviceOp.flush, DeviceOp.discard, DeviceOp.write, DeviceOp.read]) {
    const request = new TestRequest(() => doneNs.set(op, world.nowNs));
    Object.assign(request, { op, lba: 0, sectors: 1, address: 4096 });
    filter.submit(request);
  }
  world.advance(1000);
  t.deepEqual(
    [DeviceOp.read, DeviceOp.write, DeviceOp.discard, DeviceOp.flush].map((op) => doneNs.get(op)),
    [100, 200, 200, 300],
  );
});

test('a device slower than its delay is not made slower still, and errors are delayed too', (t) => {
  const world = new CoreWorld(1 << 17);
  const bottom = new Bottom();
  const delays = { readNs: 100, writeNs: 0, flushNs: 0, jitterNs: 0 };
  const filter = new DelayFilter(bottom, delays, world.clock, world.timers, new Prng(1));
  const done: [DeviceStatus, number][] = [];
  const request = new TestRequest((status) => done.push([status, world.nowNs]));
  filter.submit(request);
  world.advance(500);
  bottom.seen[0]?.deviceDone(ioError);
  world.advance(1);
  t.deepEqual(done, [[ioError, 500]]);
});

test('jitter spreads over its whole range and never shortens', (t) => {
  const world = new CoreWorld(1 << 17);
  const bottom = new MemoryDevice(world.memory, 8192, SECTORS);
  const delays = { readNs: 1000, writeNs: 0, flushNs: 0, jitterNs: 500 };
  const filter = new DelayFilter(bottom, delays, world.clock, world.timers, new Prng(1));
  const doneNs: number[] = [];
  for (let i = 0; i < 1000; i++) {
    filter.submit(new TestRequest(() => doneNs.push(world.nowNs)));
  }
  world.advance(1e6);
  t.is(doneNs.length, 1000);
  t.true(Math.min(...doneNs) >= 1000 && Math.min(...doneNs) < 1020);
  t.true(Math.max(...doneNs) <= 1500 && Math.max(...doneNs) > 1480);
});

test('a read-only disk refuses changes before the device, says so, and grows with it', async (t) => {
  const bottom = new Bottom();
  const filter = new ReadonlyFilter(bottom);
  t.is(submit(filter, DeviceOp.write), ioError);
  t.is(submit(filter, DeviceOp.discard), ioError);
  t.is(bottom.seen.length, 0);
  submit(filter, DeviceOp.read);
  submit(filter, DeviceOp.flush);
  t.deepEqual(
    bottom.seen.map(({ op }) => op),
    [DeviceOp.read, DeviceOp.flush],
  );
  t.deepEqual([filter.info.readonly, filter.info.discard], [true, false]);
  t.false(bottom.info.readonly);
  await filter.resize(200);
  t.deepEqual([filter.info.sectors, bottom.info.sectors], [200, 200]);
});

test('statistics count requests, bytes, errors and the time below, by operation', (t) => {
  const world = new CoreWorld(1 << 17);
  const bottom = new Bottom();
  const filter = new StatsFilter(bottom, world.clock);
  submit(filter, DeviceOp.read, 0, 3);
  submit(filter, DeviceOp.read, 0, 5);
  submit(filter, DeviceOp.flush, 0, 0);
  world.advance(100);
  bottom.seen[1]?.deviceDone(ok);
  world.advance(300);
  bottom.seen[0]?.deviceDone(ioError);
  bottom.seen[2]?.deviceDone(ok);
  const { read, write, flush } = filter.snapshot();
  t.deepEqual(read, { requests: 2, bytes: 8 * 512, errors: 1, totalNs: 500, maxNs: 400 });
  t.deepEqual(write, { requests: 0, bytes: 0, errors: 0, totalNs: 0, maxNs: 0 });
  t.deepEqual(flush, { requests: 1, bytes: 0, errors: 0, totalNs: 400, maxNs: 400 });
  read.requests = 99;
  t.is(filter.snapshot().read.requests, 2, 'a snapshot is a copy');
});

test('the stack counts injected errors and delays as the guest sees them, in that order', (t) => {
  const world = new CoreWorld(1 << 17);
  const stack = new DeviceStack(new MemoryDevice(world.memory, 8192, SECTORS), world, true, false);
  stack.setDelays({ readNs: 700, writeNs: 700, flushNs: 0, jitterNs: 0 });
  stack.setErrors([{ ...ALWAYS_FAIL, op: 'write' }]);
  t.is(submit(stack.device, DeviceOp.write), ioError, 'an injected error is not delayed');
  t.is(submit(stack.device, DeviceOp.read), null);
  world.advance(700);
  const { read, write } = stack.stats();
  t.deepEqual([write.requests, write.errors, write.totalNs], [1, 1, 0]);
  t.deepEqual([read.requests, read.errors, read.totalNs], [1, 0, 700]);
});

test('what a read-only disk refuses is refused above all filters', (t) => {
  const world = new CoreWorld(1 << 17);
  const stack = new DeviceStack(new MemoryDevice(world.memory, 8192, SECTORS), world, false, false);
  t.is(submit(stack.device, DeviceOp.write), ioError);
  t.is(stack.stats().write.requests, 0);
  t.true(stack.device.info.readonly);
});

test('a bare stack has nothing in the path', (t) => {
  const world = new CoreWorld(1 << 17);
  const bottom = new MemoryDevice(world.memory, 8192, SECTORS);
  t.is(new DeviceStack(bottom, world, true, true).device, bottom);
});

const DISK_ADDRESS = 65_536;

/** A medium over a memory disk that holds `fill` in every byte; data of writes is 7. */
function mediumOf(seed: number, fill = 5) {
  const world = new CoreWorld(2 * DISK_ADDRESS);
  const { u8 } = world.memory;
  u8.fill(7, 4096, DISK_ADDRESS);
  const disk = u8.subarray(DISK_ADDRESS, DISK_ADDRESS + SECTORS * 512);
  disk.fill(fill);
  const memory = new MemoryDevice(world.memory, DISK_ADDRESS, SECTORS);
  return { medium: new MediumFilter(memory, new Prng(seed, 'test')), disk };
}

test('a torn write fails and stores some of its sectors, each whole or not at all', (t) => {
  let stored = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const { medium, disk } = mediumOf(seed);
    medium.setTrouble({ kind: 'torn-write' });
    t.is(submit(medium, DeviceOp.write, 10, 40), DeviceStatus.ioError);
    t.is(submit(medium, DeviceOp.read, 10, 40), DeviceStatus.ok);
    for (let sector = 0; sector < SECTORS; sector++) {
      const bytes = disk.subarray(sector * 512, (sector + 1) * 512);
      const isNew = bytes[0] === 7;
      t.true(bytes.every((byte) => byte === (isNew ? 7 : 5)));
      t.true(!isNew || (sector >= 10 && sector < 50));
      if (isNew) stored++;
    }
  }
  t.true(stored > 300 && stored < 500, `${stored} of 800`);
});

test('latent sectors of a medium fail reads until they are written, or the trouble ends', (t) => {
  const { medium } = mediumOf(1);
  medium.setTrouble({ kind: 'latent-sectors', everyNth: 10 });
  const isBad = (lba: number): boolean => submit(medium, DeviceOp.read, lba) !== DeviceStatus.ok;
  const bad = Array.from({ length: SECTORS }, (_, lba) => lba).filter(isBad);
  t.true(bad.length > 0 && bad.length <= 10);
  t.is(submit(medium, DeviceOp.flush), DeviceStatus.ok);
  const [first = 0, second = 0] = bad;
  t.is(submit(medium, DeviceOp.write, first), DeviceStatus.ok);
  t.deepEqual([isBad(first), isBad(second)], [false, true]);
  medium.setTrouble(null);
  t.is(submit(medium, DeviceOp.read, 0, SECTORS), DeviceStatus.ok);
});

test('a misdirected write is acknowledged, and lands in another place of the same disk', (t) => {
  const { medium, disk } = mediumOf(1);
  medium.setTrouble({ kind: 'misdirected' });
  t.is(submit(medium, DeviceOp.write, 40, 4), DeviceStatus.ok);
  t.is(disk[40 * 512], 5);
  const from = disk.indexOf(7);
  t.true(from >= 0 && from % 512 === 0);
  t.is(disk.lastIndexOf(7), from + 4 * 512 - 1);
  medium.setTrouble(null);
  t.is(submit(medium, DeviceOp.write, 40, 4), DeviceStatus.ok);
  t.is(disk[40 * 512], 7);
});
