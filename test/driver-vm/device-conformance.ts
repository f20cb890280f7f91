/**
 * What every block device must do, run on each of them: devices, filters over devices, real files.
 * A device that keeps nothing (`null`, `pattern`) says so, and is asked only for what it promises.
 */
import type { ExecutionContext } from 'ava';
import { Prng } from '../../src/base/prng.ts';
import type { SharedMemory } from '../../src/base/shared-memory.ts';
import {
  type BlockDevice,
  DeviceOp,
  type DeviceRequest,
  DeviceStatus,
  NO_ORIGIN,
  type Origin,
} from '../../src/world/block-device.ts';

export interface Subject {
  readonly device: BlockDevice;
  readonly memory: SharedMemory;
  /** Bytes of `memory` that the test may use for data. */
  readonly bufferAddress: number;
  readonly bufferBytes: number;
  /** Whether it returns what was written. */
  readonly keeps: boolean;
}

export class TestRequest implements DeviceRequest {
  op: DeviceOp = DeviceOp.read;
  lba = 0;
  sectors = 0;
  address = 0;
  readonly origin: Origin = NO_ORIGIN;
  readonly queue = 0;
  completions = 0;
  readonly #settle: (status: DeviceStatus) => void;

  constructor(settle: (status: DeviceStatus) => void) {
    this.#settle = settle;
  }

  deviceDone(status: DeviceStatus): void {
    this.completions++;
    this.#settle(status);
  }
}

/** Submits one request; settles with its status. */
export function submitOne(
  device: BlockDevice,
  op: DeviceOp,
  lba = 0,
  sectors = 0,
  address = 0,
): Promise<DeviceStatus> {
  return new Promise((resolve) => {
    const request = new TestRequest(resolve);
    Object.assign(request, { op, lba, sectors, address });
    device.submit(request);
  });
}

const MODEL_SECTORS = 64;
const SLOTS = 8;
const SLOT_SECTORS = 8;

/** Requests at random, never two at once that overlap, against an array of bytes. */
async function keepsWhatIsWritten(t: ExecutionContext, subject: Subject): Promise<void> {
  const { device, memory, bufferAddress } = subject;
  const random = new Prng(1, 'conformance');
  const model = new Uint8Array(MODEL_SECTORS * 512);
  for (let round = 0; round < 40; round++) {
    const waits: Promise<unknown>[] = [];
    let lba = random.below(4);
    for (let slot = 0; slot < SLOTS && lba < MODEL_SECTORS; slot++) {
      const sectors = Math.min(random.between(1, SLOT_SECTORS), MODEL_SECTORS - lba);
      const address = bufferAddress + slot * SLOT_SECTORS * 512;
      const part = model.subarray(lba * 512, (lba + sectors) * 512);
      const bytes = memory.u8.subarray(address, address + sectors * 512);
      const op = random.pick([DeviceOp.read, DeviceOp.write, DeviceOp.write, DeviceOp.discard]);
      const value = random.between(1, 255);
      if (op === DeviceOp.write) bytes.fill(value);
      if (op === DeviceOp.read) bytes.fill(0xee);
      const done = submitOne(device, op, lba, sectors, address).then((status) => {
        t.is(status, DeviceStatus.ok, `operation ${op} in round ${round}`);
        if (op === DeviceOp.write) part.fill(value);
        if (op === DeviceOp.discard) part.fill(0);
        if (op === DeviceOp.read)
          t.true(
            bytes.every((byte, at) => byte === part[at]),
            'read',
          );
        if (op === DeviceOp.write)
          t.true(
            bytes.every((byte) => byte === value),
            'lent only',
          );
      });
      waits.push(done);
      lba += sectors + random.below(6);
    }
    await Promise.all(waits);
    if (random.chance(0.2)) t.is(await submitOne(device, DeviceOp.flush), DeviceStatus.ok);
  }
}

async function staysInBounds(t: ExecutionContext, subject: Subject): Promise<void> {
  const { device, memory, bufferAddress } = subject;
  const last = device.info.sectors - 1;
  memory.u8.fill(0xaa, bufferAddress, bufferAddress + 3 * 512);
  await submitOne(device, DeviceOp.read, last, 1, bufferAddress + 512);
  const around = [memory.u8[bufferAddress + 511], memory.u8[bufferAddress + 1024]];
  t.deepEqual(around, [0xaa, 0xaa], 'a read of one sector touches one sector of memory');
}

async function completesOnce(t: ExecutionContext, subject: Subject): Promise<void> {
  const { device, bufferAddress } = subject;
  const requests: TestRequest[] = [];
  const waits: Promise<unknown>[] = [];
  for (let i = 0; i < 16; i++) {
    waits.push(
      new Promise((resolve) => {
        const request = new TestRequest(resolve);
        request.op = i % 4 === 0 ? DeviceOp.flush : DeviceOp.read;
        request.lba = i;
        request.sectors = request.op === DeviceOp.flush ? 0 : 1;
        request.address = bufferAddress + i * 512;
        requests.push(request);
        device.submit(request);
      }),
    );
  }
  await Promise.all(waits);
  await device.close();
  t.true(requests.every(({ completions }) => completions === 1));
}

async function resizes(t: ExecutionContext, subject: Subject): Promise<void> {
  const { device, bufferAddress, memory } = subject;
  const before = device.info.sectors;
  await device.resize(before - 16);
  t.is(device.info.sectors, before - 16);
  await device.resize(before);
  t.is(device.info.sectors, before);
  memory.u8.fill(7, bufferAddress, bufferAddress + 512);
  if (!subject.keeps) return;
  t.is(await submitOne(device, DeviceOp.write, before - 1, 1, bufferAddress), DeviceStatus.ok);
  memory.u8.fill(0, bufferAddress, bufferAddress + 512);
  t.is(await submitOne(device, DeviceOp.read, before - 1, 1, bufferAddress), DeviceStatus.ok);
  t.is(memory.u8[bufferAddress], 7);
}

/** The whole suite. The device is closed afterwards. */
export async function conforms(t: ExecutionContext, subject: Subject): Promise<void> {
  const { device, bufferAddress, memory } = subject;
  const { info } = device;
  t.is(info.sectorSizeBytes, 512);
  t.true(info.flush && info.sectors >= MODEL_SECTORS + 16);
  if (subject.keeps) {
    memory.u8.fill(0xee, bufferAddress, bufferAddress + 4096);
    t.is(await submitOne(device, DeviceOp.read, 0, 8, bufferAddress), DeviceStatus.ok);
    const bytes = memory.u8.subarray(bufferAddress, bufferAddress + 4096);
    t.true(
      bytes.every((byte) => byte === 0),
      'a new disk reads as zeros',
    );
    await keepsWhatIsWritten(t, subject);
  }
  t.is(await submitOne(device, DeviceOp.flush), DeviceStatus.ok);
  const discarded = await submitOne(device, DeviceOp.discard, 0, 8);
  t.is(discarded, info.discard ? DeviceStatus.ok : DeviceStatus.notSupported);
  await staysInBounds(t, subject);
  await resizes(t, subject);
  await completesOnce(t, subject);
}
