/** Clients that ask for too much, or stop half-way: memory is bounded and the others go on. */
import test from 'ava';
import { type BenchStream, BUFFER_PAGES, DISK_BYTES, NbdBench } from './nbd-bench.ts';
import { CLIENT_FLAGS, info, option, Reader, request } from './nbd-client.ts';

const [READ, WRITE, FLUSH] = [0, 1, 3] as const;
const MIB = 2 ** 20;
/** Buffers of 8 MiB. */
const FEW_PAGES = 2048;

function connected(bench: NbdBench): BenchStream {
  const stream = bench.connect();
  stream.push(CLIENT_FLAGS);
  stream.push(option(8));
  stream.push(info(7, 'disk'));
  stream.take();
  return stream;
}

function freeBytes(bench: NbdBench): number {
  return bench.frames.freePages * 4096;
}

test('bounds: a client has so many requests in flight, and is held up with more', (t) => {
  const bench = new NbdBench();
  const stream = connected(bench);
  for (let i = 0; i < 1000; i++) stream.push(request({ command: FLUSH, cookie: i }));
  t.is(bench.front.waiting.length, 128);
  t.is(stream.heldBytes, (1000 - 128) * 28);
  bench.run();
  const replies = new Reader(stream).replies();
  t.deepEqual(
    replies.map(({ cookie }) => cookie),
    Array.from({ length: 1000 }, (_, at) => at),
  );
});

test('bounds: a client that stops half-way through payloads leaves buffers for others', (t) => {
  const bench = new NbdBench(FEW_PAGES);
  const half = request({ command: WRITE, length: MIB, data: new Uint8Array(MIB / 2) });
  for (let i = 0; i < 4; i++) connected(bench).push(half);
  const other = connected(bench);
  other.push(request({ command: WRITE, length: MIB, data: new Uint8Array(MIB).fill(5) }));
  bench.run();
  t.is(new Reader(other).replies()[0]?.error, 0);
  t.is(bench.front.bytes[MIB - 1], 5);
});

test('bounds: who finds no buffer waits in line, and goes on when others give theirs back', (t) => {
  const bench = new NbdBench(FEW_PAGES);
  const streams = Array.from({ length: 20 }, () => connected(bench));
  for (const stream of streams) stream.push(request({ command: READ, length: DISK_BYTES }));
  t.true(freeBytes(bench) < MIB, 'all buffers are out');
  bench.run();
  for (const stream of streams) {
    const data = new Reader(stream).replies().reduce((sum, { payload }) => sum + payload.length, 0);
    t.is(data, DISK_BYTES + 16);
  }
  t.is(bench.frames.freePages, FEW_PAGES);
});

test('bounds: a payload whose client was held up goes on where it was', (t) => {
  const bench = new NbdBench(256);
  const [one, other] = [connected(bench), connected(bench)];
  const data = Uint8Array.from({ length: MIB }, (_, at) => at >> 9);
  one.push(request({ command: READ, length: MIB }));
  other.push(request({ command: WRITE, offset: MIB, length: MIB, data }));
  t.true(other.heldBytes >= MIB, 'the payload is not taken');
  bench.run();
  t.is(new Reader(other).replies()[0]?.error, 0);
  t.deepEqual(bench.front.bytes.slice(MIB), data);
});

test('bounds: clients that ask and never read get less and less, and are let go in the end', (t) => {
  const bench = new NbdBench();
  const streams = Array.from({ length: 100 }, () => connected(bench));
  for (const stream of streams) {
    stream.isReading = false;
    stream.keeps = false;
    for (let i = 0; i < 60; i++) stream.push(request({ command: READ, length: MIB, cookie: i }));
    bench.run();
  }
  t.true(bench.server.owedBytes < 400 * MIB, `${bench.server.owedBytes / MIB} MiB are owed`);
  const reader = connected(bench);
  reader.keeps = false;
  const before = reader.sentBytes;
  for (let i = 0; i < 60; i++) reader.push(request({ command: READ, length: MIB, cookie: i }));
  bench.run();
  t.true(reader.sentBytes - before > 60 * MIB, 'who reads is served');
  for (let second = 0; second < 61; second++) bench.tick();
  t.true(streams.every(({ isDestroyed }) => isDestroyed));
  t.false(reader.isDestroyed, 'who waits for nothing may be silent');
  for (const stream of streams) stream.close();
  t.is(bench.server.owedBytes, 0);
  t.is(bench.frames.freePages, BUFFER_PAGES);
});

test('bounds: long data are sent from their buffer, which comes back when they have left', (t) => {
  const bench = new NbdBench(FEW_PAGES);
  for (let at = 0; at < DISK_BYTES; at++) bench.front.bytes[at] = at >> 9;
  const stream = connected(bench);
  stream.isReading = false;
  stream.push(request({ command: READ, length: MIB }));
  bench.run();
  t.is(bench.frames.freePages, FEW_PAGES - MIB / 4096, 'the buffer is kept for the client');
  const other = connected(bench);
  other.push(
    request({ command: WRITE, offset: MIB, length: MIB, data: new Uint8Array(MIB).fill(9) }),
  );
  bench.run();
  t.is(new Reader(other).replies()[0]?.error, 0);
  stream.read();
  const payloads = new Reader(stream).replies().map(({ payload }) => payload);
  t.deepEqual(payloads.at(-1)?.subarray(-MIB), bench.front.bytes.slice(0, MIB));
  t.is(bench.frames.freePages, FEW_PAGES);
});

test('bounds: clients that do not read are lent no more when half of the buffers are out, and who closes none', (t) => {
  const bench = new NbdBench(FEW_PAGES);
  const streams = Array.from({ length: 20 }, () => connected(bench));
  for (const stream of streams) {
    stream.isReading = false;
    stream.push(request({ command: READ, length: MIB }));
    bench.run();
  }
  t.true(freeBytes(bench) >= 3 * MIB, `${freeBytes(bench)} bytes are free`);
  t.true(freeBytes(bench) < 8 * MIB, 'some are lent');
  for (const stream of streams) stream.close();
  t.is(bench.frames.freePages, FEW_PAGES);
});

test('bounds: silence in the middle of a message ends it; silence of our own disk does not', (t) => {
  const bench = new NbdBench();
  const [inHeader, inPayload, waiting, idle] = Array.from({ length: 4 }, () => connected(bench));
  inHeader?.push(request({ command: FLUSH }).subarray(0, 5));
  inPayload?.push(request({ command: WRITE, length: 512, data: new Uint8Array(100) }));
  waiting?.push(request({ command: FLUSH }));
  for (let second = 0; second < 200; second++) bench.tick();
  t.deepEqual(
    [inHeader, inPayload, waiting, idle].map((stream) => stream?.isDestroyed),
    [true, true, false, false],
  );
});

test('bounds: who fills its buffer byte by byte is let go when others wait for one', (t) => {
  const bench = new NbdBench(FEW_PAGES);
  const drip = (streams: readonly BenchStream[], seconds: number): void => {
    for (let second = 0; second < seconds; second++) {
      for (const stream of streams) stream.push(new Uint8Array(1));
      bench.tick();
      for (const stream of streams) if (stream.isDestroyed) stream.close();
      bench.run();
    }
  };
  const half = request({ command: WRITE, length: MIB, data: new Uint8Array(MIB / 2) });
  const slow = Array.from({ length: 3 }, () => connected(bench));
  for (const stream of slow) stream.push(half);
  drip(slow, 100);
  t.false(
    slow.some(({ isDestroyed }) => isDestroyed),
    'nobody waits: they may be slow',
  );
  const more = Array.from({ length: 20 }, () => connected(bench));
  for (const stream of more) stream.push(half);
  const other = connected(bench);
  const data = new Uint8Array(4096).fill(5);
  other.push(request({ command: WRITE, length: data.length, data }));
  t.true(bench.disk.isShort);
  drip([...slow, ...more], 18);
  t.is(new Reader(other).replies()[0]?.error, 0);
  t.false(other.isDestroyed);
  t.regex(bench.notes.join(), /slowly, and others wait/);
});

test('bounds: a server that ends does not wait for a client in the middle of a message', async (t) => {
  const bench = new NbdBench();
  const stream = connected(bench);
  stream.push(request({ command: WRITE, length: 512, data: new Uint8Array(100) }));
  const down = bench.server.shutDown();
  for (let second = 0; second < 6; second++) bench.tick();
  t.true(stream.isDestroyed);
  stream.close();
  await down;
});

test('bounds: a client that is gone takes its buffers back when the disk has answered', (t) => {
  const bench = new NbdBench();
  const stream = connected(bench);
  stream.push(request({ command: READ, length: MIB }));
  stream.push(request({ command: WRITE, length: MIB, data: new Uint8Array(1000) }));
  stream.close();
  t.is(bench.server.connections().length, 0);
  t.is(freeBytes(bench), BUFFER_PAGES * 4096 - MIB, 'the front end still has one');
  bench.run();
  t.is(bench.frames.freePages, BUFFER_PAGES);
  t.is(bench.server.owedBytes, 0);
});

test('bounds: who waits for a buffer and goes is not waited for', (t) => {
  const bench = new NbdBench(256);
  const [one, gone, other] = Array.from({ length: 3 }, () => connected(bench));
  for (const stream of [one, gone, other]) stream?.push(request({ command: READ, length: MIB }));
  gone?.close();
  bench.run();
  t.is(other?.take().length, MIB + 28);
});

test('bounds: a thousand connections are served', (t) => {
  const bench = new NbdBench();
  const streams = Array.from({ length: 1000 }, () => connected(bench));
  for (const stream of streams) stream.push(request({ command: READ, length: 4096 }));
  bench.run();
  t.true(streams.every((stream) => stream.take().length === 4096 + 28));
  for (const stream of streams) stream.close();
  t.is(bench.frames.freePages, BUFFER_PAGES);
});
