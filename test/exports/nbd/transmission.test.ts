/** Requests and their replies, in each of the three forms that replies have. */
import test, { type ExecutionContext } from 'ava';
import { type BenchStream, BUFFER_PAGES, DISK_BYTES, NbdBench } from './nbd-bench.ts';
import {
  type Asked,
  bytesOf,
  CLIENT_FLAGS,
  extendedRequest,
  info,
  metaContext,
  option,
  Reader,
  type Reply,
  request,
  u16,
  u32,
  u64,
} from './nbd-client.ts';

const [READ, WRITE, DISC, FLUSH, TRIM, CACHE, ZEROES, STATUS] = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const [FUA, NO_HOLE, NO_FRAGMENTS, REQ_ONE, FAST, PAYLOAD] = [1, 2, 4, 8, 16, 32] as const;
const [EPERM, EIO, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP, ESHUTDOWN] = [1, 5, 22, 28, 75, 95, 108];
const MIB = 2 ** 20;

type Mode = 'simple' | 'structured' | 'extended';
const MODES: readonly Mode[] = ['simple', 'structured', 'extended'];

class Client {
  readonly stream: BenchStream;
  readonly bench: NbdBench;
  readonly mode: Mode;
  readonly #lengths = new Map<number, number>();

  constructor(bench: NbdBench, mode: Mode, name = 'disk', contexts: readonly string[] = []) {
    this.bench = bench;
    this.mode = mode;
    this.stream = bench.connect();
    this.stream.push(CLIENT_FLAGS);
    if (mode !== 'simple') this.stream.push(option(mode === 'structured' ? 8 : 11));
    if (contexts.length > 0) this.stream.push(metaContext(10, name, contexts));
    this.stream.push(info(7, name));
    this.stream.take();
  }

  send(asked: Asked): void {
    const { command, length = 0, cookie = command } = asked;
    if (command === READ) this.#lengths.set(cookie, length);
    const isExtended = this.mode === 'extended';
    this.stream.push(isExtended ? extendedRequest(asked) : request(asked));
  }

  replies(): Reply[] {
    return new Reader(this.stream).replies((cookie) => this.#lengths.get(cookie) ?? 0);
  }

  /** Sends, has the disk answer, and reads the replies. */
  ask(asked: Asked): Reply[] {
    this.send(asked);
    this.bench.run();
    return this.replies();
  }

  error(asked: Asked): number {
    const replies = this.ask(asked);
    return replies.length === 1 ? (replies[0]?.error ?? -1) : -1;
  }

  write(offset: number, data: Uint8Array, flags = 0): number {
    const payload = this.mode === 'extended' ? PAYLOAD : 0;
    return this.error({
      command: WRITE,
      offset,
      length: data.length,
      flags: flags | payload,
      data,
    });
  }

  read(offset: number, length: number, flags = 0): Uint8Array {
    const data = new Uint8Array(length);
    for (const { kind, payload } of this.ask({ command: READ, offset, length, flags })) {
      if (kind === 'simple') data.set(payload);
      else if (payload.length > 8) {
        const at = new DataView(payload.buffer).getUint32(4) - (offset % 2 ** 32);
        data.set(payload.subarray(8), at);
      }
    }
    return data;
  }
}

function filled(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 7 + (at >> 9) * 13 + seed) & 255);
}

function buffersAreFree(t: ExecutionContext, bench: NbdBench): void {
  t.is(bench.frames.freePages, BUFFER_PAGES, 'every buffer was given back');
  t.is(bench.server.owedBytes, 0);
}

for (const mode of MODES) {
  test(`transmission, ${mode}: what is written is read, in any size and across transfers`, (t) => {
    const bench = new NbdBench();
    const client = new Client(bench, mode);
    for (const [offset, length] of [
      [0, 512],
      [512, 4096],
      [8192, 65_536],
      [512 * 1025, MIB + 1024],
    ] as const) {
      const data = filled(length, offset);
      t.is(client.write(offset, data), 0);
      t.deepEqual(bench.front.bytes.slice(offset, offset + length), data);
      t.deepEqual(client.read(offset, length), data);
    }
    buffersAreFree(t, bench);
  });

  test(`transmission, ${mode}: each bad request has the error that the protocol names`, (t) => {
    const client = new Client(new NbdBench(), mode);
    const outside = { offset: DISK_BYTES - 512, length: 1024 };
    const data = new Uint8Array(1024);
    t.is(client.error({ command: READ, ...outside }), EINVAL);
    t.is(client.write(outside.offset, data), ENOSPC);
    t.is(client.error({ command: ZEROES, ...outside }), ENOSPC);
    t.is(client.error({ command: TRIM, ...outside }), EINVAL);
    t.is(client.error({ command: CACHE, ...outside }), EINVAL);
    t.is(client.error({ command: READ, offset: 2 ** 53 * 512, length: 512 }), EINVAL);
    t.is(client.error({ command: READ, offset: 1, length: 512 }), EINVAL);
    t.is(client.error({ command: READ, offset: 0, length: 3 }), EINVAL);
    t.is(client.write(0, new Uint8Array(5)), EINVAL);
    t.is(client.error({ command: 99, length: 512 }), EINVAL);
    t.is(client.error({ command: FLUSH, length: 512 }), EINVAL);
    t.is(client.error({ command: READ, length: 512, flags: 64 }), EINVAL);
    t.is(client.error({ command: READ, length: 512, flags: NO_HOLE }), EINVAL);
    t.is(client.error({ command: STATUS, length: 512 }), EINVAL, 'no context was chosen');
    t.is(client.read(0, 512).length, 512, 'and the next request is understood');
    t.false(client.stream.isOver);
  });

  test(`transmission, ${mode}: a read-only export refuses what would write, and is read`, (t) => {
    const bench = new NbdBench();
    const client = new Client(bench, mode, 'frozen');
    t.is(client.write(0, new Uint8Array(512)), EPERM);
    t.is(client.error({ command: TRIM, length: 512 }), EPERM);
    t.is(client.error({ command: ZEROES, length: 512 }), EPERM);
    t.is(client.error({ command: FLUSH }), 0);
    bench.front.bytes.fill(9);
    t.deepEqual(client.read(0, 1024), new Uint8Array(1024).fill(9));
  });

  test(`transmission, ${mode}: a failed transfer is an I/O error, and never data`, (t) => {
    const bench = new NbdBench();
    const client = new Client(bench, mode);
    bench.front.bad = new Set([8]);
    t.is(client.error({ command: READ, offset: 4096, length: 4096 }), EIO);
    t.is(client.write(4096, new Uint8Array(512)), EIO);
    t.is(client.error({ command: TRIM, offset: 4096, length: 512, flags: FUA }), EIO);
    t.is(bench.front.flushes, 0, 'what has failed is not flushed');
    buffersAreFree(t, bench);
  });

  test(`transmission, ${mode}: zeros are written, trimmed, and flushed where FUA asks for it`, (t) => {
    const bench = new NbdBench();
    const client = new Client(bench, mode);
    bench.front.bytes.fill(1);
    t.is(client.error({ command: ZEROES, offset: 512, length: 512 }), 0);
    t.is(client.error({ command: ZEROES, offset: 1024, length: 512, flags: NO_HOLE }), 0);
    t.is(client.error({ command: ZEROES, offset: 1536, length: 512, flags: FAST }), 0);
    t.is(client.error({ command: ZEROES, length: 512, flags: FAST | NO_HOLE }), ENOTSUP);
    t.is(bench.front.flushes, 0);
    t.is(client.error({ command: TRIM, offset: 2048, length: 512, flags: FUA }), 0);
    t.is(bench.front.flushes, 1);
    t.is(client.error({ command: ZEROES, offset: 2560, length: 512, flags: FUA | NO_HOLE }), 0);
    t.is(bench.front.flushes, 2);
    const expected = new Uint8Array(4096).fill(1).fill(0, 512, 3072);
    t.deepEqual(bench.front.bytes.slice(0, 4096), expected);
  });

  test(`transmission, ${mode}: nothing is asked and nothing is given, but answered`, (t) => {
    const client = new Client(new NbdBench(), mode);
    for (const command of [READ, WRITE, TRIM, CACHE, ZEROES]) {
      t.is(client.error({ command }), 0, `command ${command}`);
    }
  });
}

test('transmission: FUA travels with each transfer of a write', (t) => {
  const bench = new NbdBench();
  const client = new Client(bench, 'structured');
  client.send({ command: WRITE, length: MIB + 512, flags: FUA, data: new Uint8Array(MIB + 512) });
  t.deepEqual(
    bench.front.waiting.map(({ fua }) => fua),
    [true, true],
  );
});

test('transmission, simple: replies in pieces come in order, whatever comes first', (t) => {
  const bench = new NbdBench();
  const client = new Client(bench, 'simple');
  bench.front.bytes.set(filled(DISK_BYTES, 3));
  client.send({ command: READ, length: DISK_BYTES });
  bench.front.answer(1);
  bench.step();
  t.is(client.stream.take().length, 0);
  bench.run();
  const [reply] = client.replies();
  t.deepEqual(reply?.payload, bench.front.bytes);
  buffersAreFree(t, bench);
});

test('transmission, simple: a read that fails before its header is refused, after it is cut off', (t) => {
  const early = new NbdBench();
  const first = new Client(early, 'simple');
  early.front.bad = new Set([2048]);
  first.send({ command: READ, length: DISK_BYTES });
  early.front.answer(1);
  early.run();
  t.deepEqual(
    first.replies().map(({ error }) => error),
    [EIO],
  );
  const late = new NbdBench();
  const second = new Client(late, 'simple');
  late.front.bad = new Set([2048]);
  second.send({ command: READ, length: DISK_BYTES });
  late.run();
  t.true(second.stream.isDestroyed);
  second.stream.close();
  buffersAreFree(t, late);
});

test('transmission, structured: chunks come as they are read, the last one says so', (t) => {
  const bench = new NbdBench();
  const client = new Client(bench, 'structured');
  client.send({ command: READ, length: DISK_BYTES });
  bench.front.answer(1);
  bench.front.answer(0);
  bench.step();
  const replies = client.replies();
  t.deepEqual(
    replies.map(({ isLast, payload }) => [isLast, [...payload.subarray(0, 8)]]),
    [
      [false, u64(MIB)],
      [true, u64(0)],
    ],
  );
});

test('transmission, structured: an error comes last, behind the data that was read', (t) => {
  const bench = new NbdBench();
  const client = new Client(bench, 'structured');
  bench.front.bad = new Set([0]);
  const replies = client.ask({ command: READ, length: DISK_BYTES });
  t.deepEqual(
    replies.map(({ isLast, error }) => [isLast, error]),
    [
      [false, 0],
      [true, EIO],
    ],
  );
  t.regex(Buffer.from(replies[1]?.payload.subarray(6) ?? []).toString(), /disk has failed/);
});

test('transmission: what must not be fragmented is one chunk, or too long', (t) => {
  const client = new Client(new NbdBench(), 'structured');
  t.is(client.ask({ command: READ, length: MIB, flags: NO_FRAGMENTS }).length, 1);
  t.is(client.error({ command: READ, length: MIB + 512, flags: NO_FRAGMENTS }), EOVERFLOW);
  t.is(new Client(new NbdBench(), 'simple').error({ command: READ, flags: NO_FRAGMENTS }), EINVAL);
});

test('transmission: block status is one chunk for each context that was chosen', async (t) => {
  for (const mode of ['structured', 'extended'] as const) {
    const bench = new NbdBench();
    const client = new Client(bench, mode, 'disk', ['base:allocation', 'stordom:dirty']);
    bench.extents = (context) =>
      Promise.resolve(
        context === 'stordom:dirty'
          ? [{ lengthBytes: 4096, flags: 1 }]
          : [
              { lengthBytes: 4096, flags: 0 },
              { lengthBytes: 4096, flags: 0 },
              { lengthBytes: 2 ** 33, flags: 3 },
            ],
      );
    client.send({ command: STATUS, length: DISK_BYTES });
    await new Promise((resolve) => setImmediate(resolve));
    bench.step();
    const [allocation, dirty] = client.replies();
    const field = mode === 'extended' ? u64 : u32;
    const head = (id: number, n: number) => [...u32(id), ...(mode === 'extended' ? u32(n) : [])];
    const rest = DISK_BYTES - 8192;
    const two = [...field(8192), ...field(0), ...field(rest), ...field(3)];
    t.deepEqual(allocation?.payload, bytesOf(head(1, 2), two));
    t.deepEqual(dirty?.payload, bytesOf(head(2, 1), field(4096), field(1)));
    t.deepEqual([allocation?.isLast, dirty?.isLast], [false, true]);
    t.is(allocation?.type, mode === 'extended' ? 6 : 5);
    client.send({ command: STATUS, length: DISK_BYTES, flags: REQ_ONE });
    await new Promise((resolve) => setImmediate(resolve));
    bench.step();
    const [one] = client.replies();
    t.deepEqual(one?.payload, bytesOf(head(1, 1), field(8192), field(0)));
  }
});

test('transmission, extended: a payload where none belongs is passed by', (t) => {
  const client = new Client(new NbdBench(), 'extended');
  const data = new Uint8Array(16).fill(7);
  t.is(client.error({ command: READ, length: 16, flags: PAYLOAD, data }), EINVAL);
  t.is(client.error({ command: FLUSH }), 0);
});

test('transmission, extended: a length of more than 32 bits is understood', (t) => {
  const client = new Client(new NbdBench(), 'extended');
  t.is(client.error({ command: TRIM, length: 2 ** 40 }), EINVAL);
  t.is(client.error({ command: ZEROES, length: 2 ** 40 }), ENOSPC);
  t.is(client.error({ command: ZEROES, length: DISK_BYTES }), 0);
});

test('transmission: a disconnect is the end when everything before it was answered', (t) => {
  const bench = new NbdBench();
  const client = new Client(bench, 'simple');
  client.send({ command: READ, length: 512 });
  client.send({ command: DISC });
  client.send({ command: READ, length: 512, cookie: 5 });
  t.false(client.stream.isEnded);
  bench.run();
  t.true(client.stream.isEnded);
  t.is(client.replies().length, 1, 'what comes after it is not read');
});

test('transmission: a broken magic cuts the connection off, with a note', (t) => {
  const bench = new NbdBench();
  const client = new Client(bench, 'simple');
  client.stream.push(new Uint8Array(28));
  t.true(client.stream.isDestroyed);
  t.regex(bench.notes[0] ?? '', /does not begin with its magic/);
});

test('transmission: connections of an export share it, and one flush covers all of them', (t) => {
  const bench = new NbdBench();
  const [one, other] = [new Client(bench, 'simple'), new Client(bench, 'extended')];
  const data = filled(4096, 1);
  t.is(one.write(0, data), 0);
  t.deepEqual(other.read(0, 4096), data);
  t.is(other.error({ command: FLUSH }), 0);
  t.is(bench.front.flushes, 1);
});

test('transmission: a client keeps the size that it was told, those after it have the new one', (t) => {
  const bench = new NbdBench();
  for (const mode of MODES) {
    bench.sizeBytes = MIB;
    const before = new Client(bench, mode);
    bench.sizeBytes = DISK_BYTES;
    const after = new Client(bench, mode);
    const data = filled(4096, 1);
    t.is(before.error({ command: WRITE, offset: MIB, length: 4096, data }), ENOSPC);
    t.is(before.error({ command: READ, offset: MIB - 512, length: 1024 }), EINVAL);
    t.is(before.write(MIB - 4096, data), 0);
    t.is(after.write(MIB, data), 0);
    t.deepEqual(after.read(MIB - 4096, 8192), bytesOf(data, data));
    before.stream.close();
    after.stream.close();
  }
});

test('transmission: a server that is shut down answers what it took, and refuses the rest', async (t) => {
  const bench = new NbdBench();
  const client = new Client(bench, 'simple');
  client.send({ command: READ, length: 512, cookie: 1 });
  const down = bench.server.shutDown();
  client.send({ command: FLUSH, cookie: 2 });
  t.deepEqual(
    client.replies().map(({ cookie, error }) => [cookie, error]),
    [[2, ESHUTDOWN]],
  );
  t.false(client.stream.isEnded);
  bench.run();
  t.is(client.replies().length, 1);
  t.true(client.stream.isEnded);
  client.stream.close();
  await down;
  t.deepEqual(bench.server.connections(), []);
  t.true(bench.connect().isEnded, 'who comes now is turned away');
});

test('transmission: the header of a reply names the offset of its request', (t) => {
  const bench = new NbdBench();
  const client = new Client(bench, 'extended');
  client.send({ command: TRIM, offset: 2 ** 33, length: 512 });
  const sent = client.stream.take();
  t.deepEqual(sent.slice(16, 24), bytesOf(u64(2 ** 33)));
  t.deepEqual(sent.slice(4, 8), bytesOf(u16(1), u16(0x8001)));
});
