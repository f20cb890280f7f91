/** The negotiation, as the protocol document has it. */
import test, { type ExecutionContext } from 'ava';
import type { TlsRule } from '../../../src/exports/nbd/handshake.ts';
import { type BenchStream, BUFFER_PAGES, DISK_BYTES, NbdBench } from './nbd-bench.ts';
import {
  bytesOf,
  CLIENT_FLAGS,
  info,
  metaContext,
  type OptionAnswer,
  option,
  Reader,
  request,
  u16,
  u32,
  u64,
} from './nbd-client.ts';

const ACK = 1;
const ERROR = 0x8000_0000;
const [UNSUPPORTED, POLICY, INVALID, TLS_REQUIRED, UNKNOWN, TOO_BIG, EXTENDED_REQUIRED] = [
  1, 2, 3, 5, 6, 9, 10,
].map((low) => ERROR + low);
/** HAS_FLAGS, FLUSH, FUA, TRIM, WRITE_ZEROES, MULTI_CONN, CACHE, FAST_ZERO. */
const FLAGS = 0b1101_0110_1101;
const DF = 1 << 7;

function greeted(t: ExecutionContext, bench = new NbdBench()): BenchStream {
  const stream = bench.connect();
  t.deepEqual(stream.take(), bytesOf('NBDMAGICIHAVEOPT', u16(3)));
  stream.push(CLIENT_FLAGS);
  return stream;
}

function ask(stream: BenchStream, bytes: Uint8Array): OptionAnswer[] {
  stream.push(bytes);
  return new Reader(stream).optionAnswers();
}

function typesOf(answers: readonly OptionAnswer[]): number[] {
  return answers.map(({ type }) => type);
}

test('handshake: GO tells size, flags and block sizes, and enters the transmission', (t) => {
  const stream = greeted(t);
  const [exported, sizes, ack] = ask(stream, info(7, 'disk', [3]));
  t.deepEqual(exported?.data, bytesOf(u16(0), u64(DISK_BYTES), u16(FLAGS)));
  t.deepEqual(sizes?.data, bytesOf(u16(3), u32(512), u32(4096), u32(2 ** 25)));
  t.like(ack, { option: 7, type: ACK });
  stream.push(request({ command: 3 }));
  t.false(stream.isOver);
});

test('handshake: INFO tells name and description when asked, and goes on with options', (t) => {
  const stream = greeted(t);
  const answers = ask(stream, info(6, 'frozen', [1, 2, 77]));
  t.deepEqual(
    answers.slice(1, 3).map(({ data }) => data),
    [bytesOf(u16(1), 'frozen'), bytesOf(u16(2), 'the frozen')],
  );
  t.is(answers.length, 4, 'a kind that is unknown is passed by');
  t.deepEqual(typesOf(ask(stream, option(2))), [ACK]);
  t.true(stream.isEnded, 'ABORT is acknowledged and the end');
});

test('handshake: EXPORT_NAME is answered with zeros unless both sides do without', (t) => {
  for (const [flags, zeros] of [
    [1, 124],
    [3, 0],
    [0, 124],
  ] as const) {
    const stream = new NbdBench().connect();
    stream.take();
    stream.push(bytesOf(u32(flags)));
    stream.push(option(1, [...bytesOf('disk')]));
    const expected = bytesOf(u64(DISK_BYTES), u16(FLAGS), new Uint8Array(zeros));
    t.deepEqual(stream.take(), expected);
  }
});

test('handshake: EXPORT_NAME of an unknown export closes, because it cannot be refused', (t) => {
  const stream = greeted(t);
  stream.push(option(1, [...bytesOf('nothing')]));
  t.true(stream.isEnded);
  t.is(stream.take().length, 0);
});

test('handshake: a client that is not of the fixed style may say EXPORT_NAME only', (t) => {
  const stream = new NbdBench().connect();
  stream.push(bytesOf(u32(0)));
  stream.push(option(3));
  t.true(stream.isEnded);
});

test('handshake: unknown client flags and broken magics close the connection', (t) => {
  const flags = new NbdBench().connect();
  flags.push(bytesOf(u32(4)));
  t.true(flags.isEnded);
  const magic = greeted(t);
  magic.push(bytesOf('IHAVEOPS', u32(3), u32(0)));
  t.true(magic.isEnded);
});

test('handshake: LIST gives each export with its description, and takes no data', (t) => {
  const stream = greeted(t);
  const answers = ask(stream, option(3));
  t.deepEqual(
    answers.map(({ data }) => Buffer.from(data).toString('latin1')),
    ['\0\0\0\x04diskthe disk', '\0\0\0\x06frozenthe frozen', ''],
  );
  t.deepEqual(typesOf(ask(stream, option(3, [1]))), [INVALID]);
});

test('handshake: unknown options, TLS that there is not, unknown exports: each has its error', (t) => {
  const stream = greeted(t);
  t.deepEqual(typesOf(ask(stream, option(99, [1, 2, 3]))), [UNSUPPORTED]);
  t.deepEqual(typesOf(ask(stream, option(5))), [POLICY]);
  t.deepEqual(typesOf(ask(stream, info(7, 'nothing'))), [UNKNOWN]);
  t.deepEqual(typesOf(ask(stream, info(7, 'disk').subarray(0, 0))), []);
  t.deepEqual(typesOf(ask(stream, option(7, [0, 0, 1, 0]))), [INVALID]);
  t.deepEqual(typesOf(ask(stream, option(7, [...u32(1), 0, ...u16(0)]))), [INVALID], 'a NUL');
  t.false(stream.isOver);
});

test('handshake: the data of an option that is too long is passed by, or too much of it', (t) => {
  const stream = greeted(t);
  stream.push(bytesOf('IHAVEOPT', u32(10), u32(100_000)));
  stream.push(new Uint8Array(99_999));
  t.is(stream.take().length, 0);
  t.deepEqual(typesOf(ask(stream, new Uint8Array(1))), [TOO_BIG]);
  t.deepEqual(typesOf(ask(stream, option(3))).at(-1), ACK, 'the next option is understood');
  stream.push(bytesOf('IHAVEOPT', u32(10), u32(2 ** 31)));
  t.true(stream.isEnded);
});

test('handshake: bytes one at a time are understood as well', (t) => {
  const stream = greeted(t);
  for (const byte of info(7, 'disk')) stream.push(Uint8Array.of(byte));
  t.deepEqual(typesOf(new Reader(stream).optionAnswers()), [3, ACK]);
});

test('handshake: structured replies bring DF; extended headers imply them, once', (t) => {
  const bench = new NbdBench();
  const one = greeted(t, bench);
  t.deepEqual(typesOf(ask(one, option(8, [1]))), [INVALID]);
  t.deepEqual(typesOf(ask(one, option(8))), [ACK]);
  const [first] = ask(one, info(6, 'disk'));
  t.deepEqual(first?.data.slice(10), bytesOf(u16(FLAGS | DF)));
  const other = greeted(t, bench);
  t.deepEqual(typesOf(ask(other, option(11))), [ACK]);
  t.deepEqual(typesOf(ask(other, option(11))), [INVALID]);
  t.deepEqual(typesOf(ask(other, option(8))), [EXTENDED_REQUIRED]);
});

test('handshake: a read-only export says so and offers nothing that writes', (t) => {
  const stream = greeted(t);
  const [first] = ask(stream, info(6, 'frozen'));
  t.deepEqual(first?.data.slice(10), bytesOf(u16(0b0101_0000_1111)));
});

test('handshake: contexts are listed and chosen, and need structured replies', (t) => {
  const stream = greeted(t);
  t.deepEqual(typesOf(ask(stream, metaContext(10, 'disk', []))), [INVALID]);
  ask(stream, option(8));
  const names = (answers: readonly OptionAnswer[]): string[] =>
    answers.slice(0, -1).map(({ data }) => Buffer.from(data.subarray(4)).toString());
  const list = (queries: readonly string[]): string[] =>
    names(ask(stream, metaContext(9, 'disk', queries)));
  t.deepEqual(list([]), ['base:allocation', 'stordom:dirty']);
  t.deepEqual(list(['base:']), ['base:allocation']);
  t.deepEqual(list(['other:', 'base:other']), []);
  const set = ask(stream, metaContext(10, 'disk', ['stordom:dirty', 'other:x', 'base:']));
  t.deepEqual(names(set), ['stordom:dirty'], 'a wildcard chooses nothing');
  t.deepEqual(set[0]?.data.slice(0, 4), bytesOf(u32(1)), 'a chosen one has a number');
  t.deepEqual(typesOf(ask(stream, metaContext(9, 'nothing', []))), [UNKNOWN]);
  const lying = [...bytesOf(u32(4), 'disk', u32(2 ** 31), u32(0))];
  t.deepEqual(typesOf(ask(stream, option(10, lying))), [INVALID]);
});

test('handshake: the empty name is the default export where there is one only', (t) => {
  t.deepEqual(typesOf(ask(greeted(t), info(7, ''))), [UNKNOWN], 'there are two');
});

test('handshake: a client that asks for lists and never reads is held up', (t) => {
  const bench = new NbdBench();
  const stream = greeted(t, bench);
  stream.isReading = false;
  for (let i = 0; i < 40_000; i++) stream.push(option(3));
  t.true(stream.heldBytes > 100_000, 'options are not taken any more');
  stream.read();
  while (stream.read());
  t.is(stream.heldBytes, 0);
  t.false(stream.isOver);
});

test('handshake: a client that never chooses an export is let go', (t) => {
  const bench = new NbdBench();
  const stream = greeted(t, bench);
  for (let second = 0; second < 30; second++) {
    stream.push(option(99));
    bench.tick();
  }
  t.false(stream.isDestroyed);
  bench.tick();
  t.true(stream.isDestroyed);
  t.regex(bench.notes[0] ?? '', /has not chosen an export/);
});

function greetedFor(t: ExecutionContext, tls: TlsRule): { bench: NbdBench; stream: BenchStream } {
  const bench = new NbdBench(BUFFER_PAGES, null, tls);
  return { bench, stream: greeted(t, bench) };
}

test('handshake: where TLS is required, only STARTTLS and ABORT are heard in the clear', (t) => {
  const { stream } = greetedFor(t, 'require');
  const asked = [info(6, 'disk'), info(7, 'disk'), option(3), option(8), option(11), option(99)];
  for (const one of asked) t.deepEqual(typesOf(ask(stream, one)), [TLS_REQUIRED]);
  const tooLong = Array.from<number>({ length: 70_000 }).fill(0);
  t.deepEqual(typesOf(ask(stream, option(3, tooLong))), [TLS_REQUIRED]);
  t.deepEqual(typesOf(ask(stream, option(5, [1]))), [INVALID]);
  t.is(stream.encrypting, null);
  t.deepEqual(typesOf(ask(stream, option(5))), [ACK]);
  stream.encrypting?.(null);
  t.deepEqual(typesOf(ask(stream, option(5))), [INVALID], 'TLS begins once');
  t.deepEqual(typesOf(ask(stream, info(7, 'disk'))), [3, ACK]);
  const { stream: other } = greetedFor(t, 'require');
  t.deepEqual(typesOf(ask(other, option(2))), [ACK]);
  const { stream: named } = greetedFor(t, 'require');
  named.push(option(1, [...bytesOf('disk')]));
  t.true(named.isEnded);
});

test('handshake: what was agreed on in the clear is forgotten inside TLS', (t) => {
  const { stream } = greetedFor(t, 'allow');
  t.deepEqual(typesOf(ask(stream, option(11))), [ACK]);
  t.deepEqual(typesOf(ask(stream, metaContext(10, 'disk', ['base:allocation']))), [4, ACK]);
  t.deepEqual(typesOf(ask(stream, option(5))), [ACK]);
  stream.encrypting?.(null);
  t.deepEqual(typesOf(ask(stream, metaContext(10, 'disk', ['base:allocation']))), [INVALID]);
  const [first] = ask(stream, info(6, 'disk'));
  t.deepEqual(first?.data.slice(10), bytesOf(u16(FLAGS)), 'no structured replies');
});

test('handshake: bytes between STARTTLS and TLS end it, in the same piece or later', (t) => {
  for (const isSplit of [false, true]) {
    const { bench, stream } = greetedFor(t, 'require');
    if (isSplit) stream.push(option(5));
    stream.push(isSplit ? info(7, 'disk') : bytesOf(option(5), info(7, 'disk')));
    t.true(stream.isDestroyed);
    stream.encrypting?.(null);
    t.is(bench.server.connections()[0]?.exportName, null);
  }
});

test('handshake: TLS begins when all replies have been read, and not for ever', (t) => {
  const { bench, stream } = greetedFor(t, 'require');
  stream.isReading = false;
  stream.push(option(5));
  t.is(stream.encrypting, null);
  stream.isReading = true;
  while (stream.readIfReading());
  t.not(stream.encrypting, null);
  for (let second = 0; second < 31; second++) bench.tick();
  t.true(stream.isDestroyed);
  t.notThrows(() => stream.encrypting?.('the connection has ended'));
});

test('handshake: a client with which TLS fails is let go, with the reason', (t) => {
  const { bench, stream } = greetedFor(t, 'allow');
  stream.push(option(5));
  stream.encrypting?.('no shared cipher');
  t.true(stream.isDestroyed);
  t.regex(bench.notes.join(), /TLS: no shared cipher/);
});
