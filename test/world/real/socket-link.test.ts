/** Links over sockets of both kinds: many frames, slow readers, strangers, and ends. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { StorageError } from '../../../src/base/errors.ts';
import { Prng } from '../../../src/base/prng.ts';
import type { SocketLink, SocketLinkOptions } from '../../../src/world/real/socket-link.ts';
import {
  connectSocket,
  listenSockets,
  type SocketAddress,
} from '../../../src/world/real/sockets.ts';
import { framePrefix } from '../../../src/world/stream-framer.ts';

const OPTIONS: SocketLinkOptions = {
  frameBytesMax: 100_000,
  pressureBytes: 256 * 1024,
  queueBytesMax: 8 * 2 ** 20,
};
const KINDS = ['unix', 'tcp'] as const;

interface Ends {
  readonly near: SocketLink;
  readonly far: SocketLink;
  readonly address: SocketAddress;
}

function addressOf(t: ExecutionContext, kind: 'unix' | 'tcp'): SocketAddress {
  if (kind === 'tcp') return { kind, host: '127.0.0.1', port: 0 };
  const folder = mkdtempSync(join(tmpdir(), 'stordom-socket-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return { kind, path: join(folder, 's') };
}

/** Two ends of one link. */
async function linked(
  t: ExecutionContext,
  kind: 'unix' | 'tcp',
  options: SocketLinkOptions = OPTIONS,
): Promise<Ends> {
  const links: SocketLink[] = [];
  let accepted: (link: SocketLink) => void = (link) => links.push(link);
  const listener = await listenSockets(addressOf(t, kind), options, (link) => accepted(link));
  t.teardown(() => listener.close());
  const near = await connectSocket(listener.address, options);
  const far =
    links[0] ??
    (await new Promise<SocketLink>((resolve) => {
      accepted = resolve;
    }));
  t.teardown(() => near.close());
  return { near, far, address: listener.address };
}

function ended(link: SocketLink): Promise<string | null> {
  return new Promise((resolve) => link.onEnd(resolve));
}

/** Settles with the frames of a link when there are so many. */
function received(link: SocketLink, count: number): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  return new Promise((resolve) => {
    link.onFrame((frame) => {
      frames.push(frame);
      if (frames.length === count) resolve(frames);
    });
  });
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

function frameOf(lengthBytes: number, salt: number): Uint8Array {
  const frame = new Uint8Array(lengthBytes).fill(salt);
  if (lengthBytes >= 4) new DataView(frame.buffer).setUint32(0, salt);
  return frame;
}

for (const kind of KINDS) {
  test(`thousands of frames go both ways over a ${kind} socket, whole and in order`, async (t) => {
    const { near, far } = await linked(t, kind);
    const random = new Prng(1, kind);
    const count = 5000;
    const sent = Array.from({ length: count }, (_, at) => frameOf(random.below(5000), at));
    const [atFar, atNear] = [received(far, count), received(near, count)];
    for (let at = 0; at < count; at++) {
      near.send(sent[at] as Uint8Array);
      far.send(sent[count - 1 - at] as Uint8Array);
      if (at % 100 === 99) await until(() => near.queuedBytes + far.queuedBytes < 2 ** 20);
    }
    const same = (one: Uint8Array, other: Uint8Array | undefined): boolean =>
      other !== undefined && Buffer.compare(one, other) === 0;
    t.true((await atFar).every((frame, at) => same(frame, sent[at])));
    t.true((await atNear).every((frame, at) => same(frame, sent[count - 1 - at])));
  });

  test(`what was sent before a close of a ${kind} socket still arrives, and both ends hear of it`, async (t) => {
    const { near, far } = await linked(t, kind);
    const frames = received(far, 200);
    const ends = [ended(near), ended(far)];
    for (let at = 0; at < 200; at++) near.send(frameOf(20_000, at));
    // Unread bytes from the other side must not turn the end into a reset.
    far.send(frameOf(50_000, 0));
    near.close();
    near.send(frameOf(1, 0));
    t.is((await frames).length, 200);
    t.deepEqual(await Promise.all(ends), [null, null]);
  });

  test(`a reader of a ${kind} socket that pauses makes the sender hear of pressure, and of its end`, async (t) => {
    const { near, far } = await linked(t, kind);
    const told: boolean[] = [];
    near.onPressure((isFull) => told.push(isFull));
    let count = 0;
    far.onFrame(() => {
      count++;
    });
    far.pause();
    let sent = 0;
    while (told.length === 0) {
      near.send(frameOf(50_000, sent++));
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.deepEqual(told, [true]);
    t.true(near.queuedBytes > OPTIONS.pressureBytes);
    t.true(near.queuedBytes < OPTIONS.pressureBytes + 60_000, 'and no more is kept than was sent');
    t.true(count < sent);
    far.resume();
    await until(() => count === sent);
    await until(() => told.length === 2);
    t.deepEqual(told, [true, false]);
  });

  test(`a peer of a ${kind} socket that never reads ends the link when the queue is full`, async (t) => {
    const { near, far } = await linked(t, kind);
    const end = ended(near);
    far.pause();
    for (let at = 0; at < 1000; at++) {
      near.send(frameOf(50_000, at));
      t.true(near.queuedBytes <= OPTIONS.queueBytesMax);
    }
    t.regex((await end) ?? '', /^the peer reads too slowly: \d+ bytes wait for it$/);
  });

  test(`a stranger on a ${kind} socket is shown out with what it said, and others stay`, async (t) => {
    const links: SocketLink[] = [];
    const ends: Promise<string | null>[] = [];
    const listener = await listenSockets(addressOf(t, kind), OPTIONS, (link) => {
      links.push(link);
      ends.push(ended(link));
      link.onFrame((frame) => link.send(frame));
    });
    t.teardown(() => listener.close());
    const { address } = listener;
    const place = address.kind === 'unix' ? { path: address.path } : { port: address.port };
    const good = await connectSocket(address, OPTIONS);
    t.teardown(() => good.close());
    await until(() => links.length === 1);
    const says = async (bytes: Uint8Array): Promise<string | null> => {
      const before = links.length;
      const stranger = connect(place);
      stranger.on('error', () => {});
      stranger.end(bytes);
      await until(() => links.length > before);
      return ends[before] as Promise<string | null>;
    };
    t.is(
      await says(Buffer.from('GET / HTTP/1.1\r\n\r\n')),
      'frames begin with SDF1, these bytes with GET\\x20: another program or version?',
    );
    t.is(await says(framePrefix(2 ** 31)), 'a frame of 2147483648 bytes; expected at most 100000');
    t.is(
      await says(Buffer.concat([framePrefix(10), Buffer.from('abc')])),
      'the stream was cut: it ended 3 bytes into a frame of 10',
    );
    const echo = received(good, 1);
    good.send(frameOf(9, 9));
    t.deepEqual(await echo, [frameOf(9, 9)]);
  });

  test(`frames that came over a ${kind} socket before anybody listened are not lost`, async (t) => {
    const { near, far } = await linked(t, kind);
    for (let at = 0; at < 20; at++) near.send(frameOf(2000, at));
    await until(() => near.queuedBytes === 0);
    const frames = await received(far, 20);
    t.true(frames.every((frame, at) => Buffer.compare(frame, frameOf(2000, at)) === 0));
  });

  test(`a receiver on a ${kind} socket that closes in the middle of a chunk gets nothing more`, async (t) => {
    const { near, far } = await linked(t, kind);
    let count = 0;
    const end = ended(far);
    far.onFrame(() => {
      count++;
      if (count === 3) far.close();
    });
    for (let at = 0; at < 10; at++) near.send(frameOf(10, at));
    near.onFrame(() => {});
    t.is(await end, null);
    t.is(count, 3);
  });
}

test('a connection that nobody answers is an error with the address', async (t) => {
  const address = addressOf(t, 'unix') as { kind: 'unix'; path: string };
  const error = await t.throwsAsync(connectSocket(address, OPTIONS), { instanceOf: StorageError });
  t.is(error?.code, 'E_SOCKET');
  t.is(error?.fields['code'], 'ENOENT');
  t.true(error?.message.startsWith(`cannot connect to ${address.path}: `));
});

test('an address on which somebody listens cannot be listened on, of either kind', async (t) => {
  for (const kind of KINDS) {
    const first = await listenSockets(addressOf(t, kind), OPTIONS, (link) => link.close());
    t.teardown(() => first.close());
    const second = listenSockets(first.address, OPTIONS, () => {});
    const error = await t.throwsAsync(second, { instanceOf: StorageError });
    t.is(error?.fields['code'], 'EADDRINUSE', kind);
  }
});

test('the file that a killed listener left behind is taken over', async (t) => {
  const address = addressOf(t, 'unix') as { kind: 'unix'; path: string };
  const script = `require('node:net').createServer().listen(${JSON.stringify(address.path)})`;
  const child = spawn(process.execPath, ['-e', script]);
  await until(() => existsSync(address.path));
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
  t.true(existsSync(address.path));
  const listener = await listenSockets(address, OPTIONS, (link) => link.onFrame(() => {}));
  const link = await connectSocket(address, OPTIONS);
  link.close();
  await listener.close();
  t.false(existsSync(address.path));
});
