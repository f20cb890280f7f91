import { once } from 'node:events';
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import test from 'ava';
import fc from 'fast-check';
import { UsageError } from '../../../src/base/errors.ts';
import { BufferMemory } from '../../../src/base/shared-memory.ts';
import {
  createHostMemory,
  type HostMemoryTransfer,
  openHostMemory,
  WASM_PAGE_BYTES,
} from '../../../src/world/real/wasm-memory.ts';

test('copy and clear do what the plain memory does, overlapping ranges included', (t) => {
  const size = WASM_PAGE_BYTES;
  const wasm = createHostMemory(size);
  const plain = BufferMemory.ofBytes(size);
  const near = fc.integer({ min: 0, max: 600 });
  const step = fc.record({ clear: fc.boolean(), target: near, source: near, length: near });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), fc.integer(), (steps, salt) => {
      for (let at = 0; at < 1300; at++) {
        wasm.u8[at] = at * 31 + salt;
        plain.u8[at] = at * 31 + salt;
      }
      for (const { clear, target, source, length } of steps) {
        for (const memory of [wasm, plain]) {
          if (clear) memory.clear(target, length);
          else memory.copy(target, source, length);
        }
      }
      return Buffer.compare(wasm.u8.subarray(0, 1300), plain.u8.subarray(0, 1300)) === 0;
    }),
  );
  t.pass();
});

test('a copy at the very end works; one byte further traps and moves nothing', (t) => {
  const memory = createHostMemory(2 * WASM_PAGE_BYTES);
  const end = memory.sizeBytes;
  memory.u8.set([1, 2, 3, 4]);
  memory.copy(end - 4, 0, 4);
  t.deepEqual([...memory.u8.subarray(end - 4)], [1, 2, 3, 4]);
  for (const [target, source, length] of [
    [end - 3, 0, 4],
    [0, end - 3, 4],
    [-4, 0, 4],
    [0, 0, -1],
  ] as const) {
    t.throws(() => memory.copy(target, source, length), { message: /out of bounds/ });
  }
  t.throws(() => memory.clear(end - 3, 4), { message: /out of bounds/ });
  t.deepEqual([...memory.u8.subarray(0, 5)], [1, 2, 3, 4, 0]);
});

test('addresses above 2 GiB are not taken for negative ones', (t) => {
  const memory = createHostMemory(2 ** 31 + 2 * WASM_PAGE_BYTES);
  const high = 2 ** 31 + WASM_PAGE_BYTES;
  memory.u8.set([5, 6, 7], high);
  memory.copy(high + 1, high, 3);
  t.deepEqual([...memory.u8.subarray(high, high + 4)], [5, 5, 6, 7]);
  memory.clear(high, 4);
  t.deepEqual([...memory.u8.subarray(high, high + 4)], [0, 0, 0, 0]);
});

for (const size of [0, -65536, 1, 65535, 1.5, 2 ** 32 + WASM_PAGE_BYTES, Number.NaN]) {
  test(`a RAM of ${size} bytes is refused as the user's mistake`, (t) => {
    const error = t.throws(() => createHostMemory(size), { instanceOf: UsageError });
    t.is(error?.code, 'E_HOST_MEMORY_SIZE');
    t.regex(error?.message ?? '', /multiple of 65536/);
  });
}

test('opening what is not shared memory, or is too small, is refused', (t) => {
  const { memory } = createHostMemory(WASM_PAGE_BYTES).transfer;
  const small = { memory, sizeBytes: 2 * WASM_PAGE_BYTES };
  t.throws(() => openHostMemory(small), { code: 'E_HOST_MEMORY_TOO_SMALL' });
  const wrong = { memory: { buffer: new ArrayBuffer(65536) }, sizeBytes: 65536 };
  t.throws(() => openHostMemory(wrong as unknown as HostMemoryTransfer), {
    code: 'E_HOST_MEMORY_NOT_SHARED',
  });
});

test('the RAM travels by reference through workerData and postMessage', async (t) => {
  const memory = createHostMemory(WASM_PAGE_BYTES);
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(memory.transfer);
  const copy = receiveMessageOnPort(port2)?.message as HostMemoryTransfer;
  openHostMemory(copy).i32[1] = 77;
  t.is(memory.i32[1], 77);
  port1.close();
  const worker = new Worker(new URL('./fixtures/bell-ringer.js', import.meta.url), {
    workerData: { memory: memory.transfer, bellAddress: 0, seenAddress: 0, rings: 3 },
  });
  const [exitCode] = (await once(worker, 'exit')) as [number];
  t.is(exitCode, 0);
  t.is(memory.i32[0], 3);
});
