/**
 * Streams over real sockets: what is held back is offered again, and nothing is lost or counted.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ByteStream, StreamUser } from '../../../src/world/byte-stream.ts';
import type { SocketAddress } from '../../../src/world/real/sockets.ts';
import { listenStreams } from '../../../src/world/real/stream-server.ts';

/** Takes so many bytes at a time as it is told to, and keeps them. */
class SlowUser implements StreamUser {
  readonly stream: ByteStream;
  readonly taken: number[] = [];
  takes = Number.POSITIVE_INFINITY;
  closes = 0;

  constructor(stream: ByteStream) {
    this.stream = stream;
  }

  received(bytes: Uint8Array, from: number, to: number): number {
    const end = Math.min(to, from + this.takes);
    for (let at = from; at < end; at++) this.taken.push(bytes[at] as number);
    return end;
  }

  closed(): void {
    this.closes++;
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

function addressFor(t: ExecutionContext): SocketAddress {
  const folder = mkdtempSync(join(tmpdir(), 'stordom-streams-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return { kind: 'unix', path: join(folder, 'socket') };
}

async function listening(t: ExecutionContext, connectionsMax = 100) {
  const users: SlowUser[] = [];
  const failures: unknown[] = [];
  const options = { connectionsMax, tls: null, failed: (thrown: unknown) => failures.push(thrown) };
  const listener = await listenStreams(addressFor(t), options, (stream) => {
    const user = new SlowUser(stream);
    users.push(user);
    return user;
  });
  const dial = (): Socket => {
    const { path } = listener.address as { path: string };
    return connect({ path }).on('error', () => undefined);
  };
  return { users, failures, listener, dial };
}

function pattern(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, at) => (at * 31 + (at >> 8)) & 255);
}

test('streams: what a user does not take is kept for it, and the peer is held up', async (t) => {
  const { users, listener, dial } = await listening(t);
  const socket = dial();
  await until(() => users.length === 1);
  const [user] = users as [SlowUser];
  user.takes = 0;
  const sent = pattern(2_000_000);
  socket.write(sent);
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
  t.is(user.taken.length, 0);
  t.true(socket.writableLength > 0, 'the peer cannot send all of it');
  user.takes = 999;
  while (user.taken.length < sent.length) {
    user.stream.resume();
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.true(Buffer.compare(Uint8Array.from(user.taken), sent) === 0);
  socket.destroy();
  await until(() => user.closes === 1);
  await listener.close();
  t.is(user.closes, 1);
});

test('streams: what was sent before an end arrives, whatever the peer still sends', async (t) => {
  const { users, listener, dial } = await listening(t);
  const socket = dial();
  const parts: Buffer[] = [];
  socket.on('data', (part) => parts.push(part));
  await until(() => users.length === 1);
  const [user] = users as [SlowUser];
  socket.write(new Uint8Array(500_000));
  const reply = pattern(300_000);
  let done = 0;
  user.stream.send(reply, reply.length, () => done++);
  user.stream.send(reply, 5, () => done++);
  t.is(done, 0, 'never inside the call');
  user.stream.end();
  await until(() => user.closes === 1);
  t.is(done, 2);
  t.true(
    Buffer.compare(Buffer.concat(parts), Buffer.from([...reply, ...reply.subarray(0, 5)])) === 0,
  );
  await listener.close();
});

test('streams: connections that are gone are not counted, by the limit or at the end', async (t) => {
  const { users, listener, dial } = await listening(t, 2);
  for (let round = 0; round < 5; round++) {
    const socket = dial();
    await until(() => users.length === round + 1);
    socket.destroy();
    await until(() => users[round]?.closes === 1);
  }
  await listener.close();
  t.is(users.length, 5);
});

test('streams: a user that throws is a bug that is told, and its connection ends', async (t) => {
  const { users, failures, listener, dial } = await listening(t);
  const socket = dial();
  await until(() => users.length === 1);
  const [user] = users as [SlowUser];
  user.received = () => {
    throw new Error('a law is broken');
  };
  socket.write('x');
  await until(() => failures.length === 1);
  await until(() => user.closes === 1);
  t.regex(String(failures[0]), /a law is broken/);
  await listener.close();
});
