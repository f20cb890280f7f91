import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { DeviceStack, openDevice } from '../../src/driver-vm/device-factory.ts';
import { FileDevice } from '../../src/driver-vm/devices/file-device.ts';
import { MemoryDevice } from '../../src/driver-vm/devices/memory-device.ts';
import { NullDevice } from '../../src/driver-vm/devices/null-device.ts';
import { PatternDevice, patternWord } from '../../src/driver-vm/devices/pattern-device.ts';
import { type BlockDevice, DeviceOp, DeviceStatus } from '../../src/world/block-device.ts';
import { FileDisks } from '../../src/world/real/file-disks.ts';
import { type Disk, type DiskIo, DiskStatus, type World } from '../../src/world/world.ts';
import { CoreWorld } from '../helpers/core-world.ts';
import { folderOf } from '../world/real/helpers.ts';
import { stage } from '../world/sim/helper-actors.ts';
import { conforms, type Subject, submitOne } from './device-conformance.ts';

const SECTORS = 128;
const BUFFER = 8192;

function subject(device: BlockDevice, world: World, keeps: boolean): Subject {
  const { memory } = world;
  return { device, memory, bufferAddress: BUFFER, bufferBytes: 40_960, keeps };
}

/** Runs a story of the simulator's world to its end. */
async function inSimulator(
  t: ExecutionContext,
  story: (world: World) => Promise<void>,
): Promise<void> {
  const { sim, world } = stage();
  let over = false;
  const running = story(world).finally(() => {
    over = true;
  });
  await sim.run({ until: () => over, maxTimeNs: 60e9 });
  t.true(over, 'the story came to its end in the simulator');
  await running;
}

test('a memory disk conforms', (t) => {
  const world = new CoreWorld(1 << 20);
  return conforms(t, subject(new MemoryDevice(world.memory, 1 << 19, SECTORS), world, true));
});

test('a null disk conforms, and reads as zeros whatever was written', async (t) => {
  const world = new CoreWorld(1 << 16);
  const device = new NullDevice(world.memory, SECTORS);
  world.memory.u8.fill(9, BUFFER, BUFFER + 512);
  t.is(await submitOne(device, DeviceOp.write, 3, 1, BUFFER), DeviceStatus.ok);
  t.is(await submitOne(device, DeviceOp.read, 3, 1, BUFFER), DeviceStatus.ok);
  t.true(world.memory.u8.subarray(BUFFER, BUFFER + 512).every((byte) => byte === 0));
  await conforms(t, subject(device, world, false));
});

test('a pattern disk conforms, and takes only what it would return', async (t) => {
  const world = new CoreWorld(1 << 16);
  const device = new PatternDevice(world.memory, SECTORS);
  t.is(await submitOne(device, DeviceOp.read, 5, 2, BUFFER), DeviceStatus.ok);
  const bytes = new DataView(world.memory.u8.buffer);
  for (let at = 0; at < 1024; at += 8) t.is(Number(bytes.getBigUint64(BUFFER + at)), 5 * 512 + at);
  t.is(await submitOne(device, DeviceOp.write, 5, 2, BUFFER), DeviceStatus.ok);
  t.is(await submitOne(device, DeviceOp.write, 6, 2, BUFFER), DeviceStatus.ioError);
  world.memory.u8[BUFFER + 1023] = 0;
  t.is(await submitOne(device, DeviceOp.write, 5, 2, BUFFER), DeviceStatus.ioError);
  await conforms(t, subject(device, world, false));
});

test('the pattern goes on beyond 4 GiB', (t) => {
  const at = 0x0012_3456_789a_bcd8;
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setUint32(0, patternWord(at), true);
  bytes.setUint32(4, patternWord(at + 4), true);
  t.is(Number(bytes.getBigUint64(0)), at);
});

test('a file disk of the simulator conforms', (t) =>
  inSimulator(t, async (world) => {
    const description = { type: 'file', params: 'a.disk', sectors: SECTORS, writable: true };
    await conforms(t, subject(await openDevice(description, world), world, true));
  }));

test('a file disk on a real file conforms, and the bytes are in the file', async (t) => {
  const folder = await folderOf(t);
  const world = new CoreWorld(1 << 16);
  const disks = new FileDisks(folder, () => undefined);
  const open = async (): Promise<FileDevice> => {
    const disk = await disks.open('a.disk', { writable: true, createBytes: SECTORS * 512 });
    return new FileDevice(disk, world.memory, SECTORS);
  };
  await conforms(t, subject(await open(), world, true));
  const device = await open();
  world.memory.u8.fill(0x5a, BUFFER, BUFFER + 512);
  t.is(await submitOne(device, DeviceOp.write, 11, 1, BUFFER), DeviceStatus.ok);
  t.is(await submitOne(device, DeviceOp.flush), DeviceStatus.ok);
  await device.close();
  const stored = await readFile(join(folder, 'a.disk'));
  t.is(stored.length, SECTORS * 512);
  t.true(stored.subarray(11 * 512, 12 * 512).every((byte) => byte === 0x5a));
});

test('a whole stack of filters, slowing everything, conforms like the device below', (t) =>
  inSimulator(t, async (world) => {
    const description = { type: 'file', params: 'c.disk', sectors: SECTORS, writable: true };
    const stack = new DeviceStack(await openDevice(description, world), world, true, false);
    stack.setDelays({ readNs: 1e6, writeNs: 2e6, flushNs: 3e6, jitterNs: 5e6 });
    await conforms(t, subject(stack.device, world, true));
  }));

test('the disk below a file device is closed only when nothing is in flight', async (t) => {
  const world = new CoreWorld(1 << 16);
  const inFlight: DiskIo[] = [];
  let closed = false;
  const keep = (io: DiskIo): void => void inFlight.push(io);
  const disk: Disk = {
    name: 'slow',
    sizeBytes: SECTORS * 512,
    writable: true,
    read: keep,
    write: keep,
    flush: keep,
    zero: keep,
    readNow: () => DiskStatus.ok,
    resize: () => Promise.resolve(),
    close: () => {
      closed = true;
      return Promise.resolve();
    },
  };
  const device = new FileDevice(disk, world.memory, SECTORS);
  const answers = [DeviceOp.write, DeviceOp.flush].map((op) => submitOne(device, op, 0, 1, BUFFER));
  const closing = device.close();
  inFlight[0]?.diskDone(DiskStatus.ioError);
  t.is(await answers[0], DeviceStatus.ioError);
  t.false(closed);
  inFlight[1]?.diskDone(DiskStatus.ok);
  t.is(await answers[1], DeviceStatus.ok);
  await closing;
  t.true(closed);
});

test('a memory disk grows back to what it was given and no further', async (t) => {
  const world = new CoreWorld(1 << 17);
  const device = new MemoryDevice(world.memory, 1 << 16, 100);
  await device.resize(10);
  await device.resize(100);
  await t.throwsAsync(device.resize(101), { code: 'E_CANNOT_GROW' });
  t.is(device.info.sectors, 100);
});

/** A disk that is always well, but for flushes: they fail where `fails` says so. */
function fickleDisk(fails: () => boolean): { disk: Disk; image: Uint8Array } {
  const image = new Uint8Array(SECTORS * 512);
  const part = (io: DiskIo): Uint8Array =>
    io.buffer.subarray(io.bufferOffset, io.bufferOffset + io.lengthBytes);
  const disk: Disk = {
    name: 'fickle',
    sizeBytes: image.length,
    writable: true,
    read: (io) => {
      part(io).set(image.subarray(io.position, io.position + io.lengthBytes));
      io.diskDone(DiskStatus.ok);
    },
    write: (io) => {
      image.set(part(io), io.position);
      io.diskDone(DiskStatus.ok);
    },
    flush: (io) => io.diskDone(fails() ? DiskStatus.ioError : DiskStatus.ok),
    zero: (io) => io.diskDone(DiskStatus.ok),
    readNow: () => DiskStatus.ok,
    resize: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  return { disk, image };
}

test('after a failed flush a file device answers none well, until it is opened anew', async (t) => {
  const world = new CoreWorld(1 << 16);
  let failing = false;
  const { disk, image } = fickleDisk(() => failing);
  const device = new FileDevice(disk, world.memory, SECTORS);
  const { u8 } = world.memory;
  t.is(await submitOne(device, DeviceOp.flush), DeviceStatus.ok);
  failing = true;
  t.is(await submitOne(device, DeviceOp.flush), DeviceStatus.ioError);
  failing = false;
  for (let i = 0; i < 3; i++) {
    t.is(await submitOne(device, DeviceOp.flush), DeviceStatus.ioError, `flush ${i} after it`);
  }
  u8.fill(0x3c, BUFFER, BUFFER + 512);
  t.is(await submitOne(device, DeviceOp.write, 7, 1, BUFFER), DeviceStatus.ok);
  t.is(image[7 * 512], 0x3c);
  u8.fill(0, BUFFER, BUFFER + 512);
  t.is(await submitOne(device, DeviceOp.read, 7, 1, BUFFER), DeviceStatus.ok);
  t.is(u8[BUFFER], 0x3c);
  t.is(await submitOne(device, DeviceOp.discard, 7, 1), DeviceStatus.ok);
  t.is(await submitOne(device, DeviceOp.flush), DeviceStatus.ioError, 'writes do not mend it');
  await device.close();
  const anew = new FileDevice(disk, world.memory, SECTORS);
  t.is(await submitOne(anew, DeviceOp.flush), DeviceStatus.ok);
});

test('a write that fails does not spoil the flushes of a file device', async (t) => {
  const world = new CoreWorld(1 << 16);
  const { disk } = fickleDisk(() => false);
  const broken: Disk = { ...disk, write: (io) => io.diskDone(DiskStatus.ioError) };
  const device = new FileDevice(broken, world.memory, SECTORS);
  t.is(await submitOne(device, DeviceOp.write, 7, 1, BUFFER), DeviceStatus.ioError);
  t.is(await submitOne(device, DeviceOp.flush), DeviceStatus.ok);
});
