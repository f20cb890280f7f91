/** Nets of sockets: who is believed, what a peer that is gone, stands still or floods may do. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Handshake } from '../../../src/world/handshake.ts';
import { SocketNet, type SocketNetOptions } from '../../../src/world/real/socket-net.ts';
import { connectSocket, type SocketAddress } from '../../../src/world/real/sockets.ts';
import { framePrefix } from '../../../src/world/stream-framer.ts';
import { forSeeds } from '../../helpers/property.ts';
import { until } from './helpers.ts';

const TIMES = { helloMs: 400, connectMs: 400, retryMs: 5, retryMsMax: 50, silenceMs: 5000 };
const FRAME_BYTES_MAX = 100_000;
const LINK = { frameBytesMax: FRAME_BYTES_MAX, pressureBytes: 2 ** 20, queueBytesMax: 2 ** 24 };

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function text(frame: Uint8Array): string {
  return new TextDecoder().decode(frame);
}

/** Hello is `hello POOL NAME`. */
function handshakeOf(pool: string, name: string): Handshake {
  return {
    hello: () => bytes(`hello ${pool} ${name}`),
    judge: (first, called) => {
      const [word, theirs, from] = text(first).split(' ');
      if (word !== 'hello' || from === undefined) return { problem: 'no hello' };
      if (theirs !== pool) return { problem: `${from} is of pool ${theirs}, expected ${pool}` };
      if (called !== null && called !== from) return { problem: `${from} answers for ${called}` };
      return { name: from };
    },
  };
}

interface Peer {
  readonly name: string;
  readonly net: SocketNet;
  readonly got: string[];
  readonly notes: string[];
}

interface Town {
  readonly folder: string;
  readonly addresses: Map<string, SocketAddress>;
  peer(name: string, options?: Partial<SocketNetOptions>): Peer;
}

/** Peers with a name that begins with s listen at an address of their own; others only dial. */
function town(t: ExecutionContext): Town {
  const folder = mkdtempSync(join(tmpdir(), 'stordom-net-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const addresses = new Map<string, SocketAddress>();
  const placeOf = (name: string): SocketAddress =>
    addresses.get(name) ?? { kind: 'unix', path: join(folder, name) };
  const peer = (name: string, options: Partial<SocketNetOptions> = {}): Peer => {
    const [got, notes]: [string[], string[]] = [[], []];
    const net = new SocketNet({
      listen: name.startsWith('s') ? placeOf(name) : null,
      handshake: handshakeOf('p', name),
      addressOf: (other) => (other.startsWith('s') ? () => Promise.resolve(placeOf(other)) : null),
      frameBytesMax: FRAME_BYTES_MAX,
      onNote: (note) => notes.push(note),
      times: TIMES,
      ...options,
    });
    net.onFrame((from, frame) => got.push(`${from}: ${text(frame)}`));
    t.teardown(() => net.close());
    return { name, net, got, notes };
  };
  return { folder, addresses, peer };
}

/** A socket that greets by hand. */
async function stranger(t: ExecutionContext, { folder }: Town, to: string): Promise<Socket> {
  const socket = connect(join(folder, to));
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
  socket.on('error', () => {});
  t.teardown(() => void socket.destroy());
  return socket;
}

function framed(frame: Uint8Array): Buffer {
  return Buffer.concat([framePrefix(frame.length), frame]);
}

test('frames go between servers and clients by name, also those sent before anybody was connected', async (t) => {
  const place = town(t);
  const [s1, s2] = [place.peer('s1'), place.peer('s2')];
  await Promise.all([s1.net.listening, s2.net.listening]);
  s1.net.send('s2', bytes('one'));
  s1.net.send('s2', bytes('two'));
  s2.net.send('s1', bytes('three'));
  const h0 = place.peer('h0');
  h0.net.send('s1', bytes('ask'));
  await until('all have come', () => s1.got.length === 2 && s2.got.length === 2);
  s1.net.send('h0', bytes('answer'));
  await until('the client is answered', () => h0.got.length === 1);
  t.deepEqual(s2.got, ['s1: one', 's1: two']);
  t.deepEqual([...s1.got].sort(), ['h0: ask', 's2: three']);
  t.deepEqual(h0.got, ['s1: answer']);
});

test('over TCP a server is found at the port that it was given', async (t) => {
  const place = town(t);
  const s1 = place.peer('s1', { listen: { kind: 'tcp', host: '127.0.0.1', port: 0 } });
  const bound = await s1.net.listening;
  place.addresses.set('s1', bound);
  const h0 = place.peer('h0');
  h0.net.send('s1', bytes('ask'));
  await until('it has come', () => s1.got.length === 1);
  t.deepEqual(s1.got, ['h0: ask']);
});

test('a peer that was away is dialled again; what was sent meanwhile is not delivered late', async (t) => {
  const place = town(t);
  const s1 = place.peer('s1');
  const s2 = place.peer('s2');
  await s2.net.listening;
  s1.net.send('s2', bytes('before'));
  await until('it has come', () => s2.got.length === 1);
  s2.net.close();
  await until('it is missed', () => s1.notes.some((note) => note.includes('ENOENT')));
  for (let i = 0; i < 100; i++) s1.net.send('s2', bytes('old'));
  const again = place.peer('s2');
  await until('it is back', () => s1.notes.includes('s2 answers again'));
  s1.net.send('s2', bytes('after'));
  await until('it has come', () => again.got.length > 0);
  t.deepEqual(again.got, ['s1: after']);
});

test('who is of another pool, or answers for another name, is refused by both, with a note', async (t) => {
  const place = town(t);
  const s1 = place.peer('s1', { handshake: handshakeOf('other', 's1') });
  const s2 = place.peer('s2');
  await Promise.all([s1.net.listening, s2.net.listening]);
  s2.net.send('s1', bytes('secret'));
  await until('it is refused there', () => s1.notes.length > 0);
  await until('it is refused here', () => s2.notes.length > 0);
  t.deepEqual(s1.got, []);
  t.is(s1.notes[0], 'a connection was refused: s2 is of pool p, expected other');
  t.is(s2.notes[0], 'no link to s1: s1 is of pool other, expected p');
  place.addresses.set('s3', { kind: 'unix', path: join(place.folder, 's2') });
  const s4 = place.peer('s4');
  s4.net.send('s3', bytes('for s3'));
  await until('it is refused', () => s4.notes.length > 0);
  t.is(s4.notes[0], 'no link to s3: s2 answers for s3');
});

test('frames are those of the name in the hello; nothing is taken before it', async (t) => {
  const place = town(t);
  const s1 = place.peer('s1');
  await s1.net.listening;
  const rude = await stranger(t, place, 's1');
  rude.write(framed(bytes('s2: give me everything')));
  await until('it is refused', () => s1.notes.length > 0);
  t.is(s1.notes[0], 'a connection was refused: no hello');
  const polite = await stranger(t, place, 's1');
  polite.write(Buffer.concat([framed(bytes('hello p h1')), framed(bytes('s2: I am s2'))]));
  await until('it is heard', () => s1.got.length > 0);
  t.deepEqual(s1.got, ['h1: s2: I am s2']);
});

test('who connects and says nothing is sent away in time, and more of them are not let in', async (t) => {
  const place = town(t);
  const s1 = place.peer('s1');
  await s1.net.listening;
  const silent = await Promise.all(Array.from({ length: 40 }, () => stranger(t, place, 's1')));
  await until('some are refused at once', () => silent.some(({ closed }) => closed));
  t.true(s1.net.cameIn <= 32);
  for (const socket of silent) socket.resume();
  await until('all are sent away', () => silent.every(({ closed }) => closed));
  await until('nothing is kept of them', () => s1.net.cameIn === 0);
  const h0 = place.peer('h0');
  h0.net.send('s1', bytes('ask'));
  await until('others are served', () => s1.got.length === 1);
  t.pass();
});

test('of two connections under one name the newer one is answered', async (t) => {
  const place = town(t);
  const s1 = place.peer('s1');
  await s1.net.listening;
  const older = await stranger(t, place, 's1');
  older.write(framed(bytes('hello p h1')));
  await until('it is there', () => s1.net.cameIn === 1);
  const newer = await connectSocket({ kind: 'unix', path: join(place.folder, 's1') }, LINK);
  t.teardown(() => newer.close());
  const got: string[] = [];
  newer.onFrame((frame) => got.push(text(frame)));
  newer.send(bytes('hello p h1'));
  newer.send(bytes('ask'));
  await until('it is heard', () => s1.got.length === 1);
  s1.net.send('h1', bytes('answer'));
  await until('it is answered', () => got.length === 2);
  t.deepEqual(got, ['hello p s1', 'answer']);
  older.resume();
  await until('the older one is closed', () => older.closed);
  t.is(s1.net.cameIn, 1);
});

test('a client that does not read its answers is not read either, and goes on when it reads', async (t) => {
  const place = town(t);
  const s1 = place.peer('s1');
  await s1.net.listening;
  const answer = new Uint8Array(50_000);
  let asked = 0;
  s1.net.onFrame((from) => {
    asked++;
    s1.net.send(from, answer);
  });
  const client = await connectSocket({ kind: 'unix', path: join(place.folder, 's1') }, LINK);
  t.teardown(() => client.close());
  let answered = 0;
  client.onFrame(() => answered++);
  client.send(bytes('hello p h1'));
  await until('it is greeted', () => answered === 1);
  client.pause();
  const questions = 2000;
  for (let i = 0; i < questions; i++) client.send(bytes(`question ${i} ${'.'.repeat(2000)}`));
  await until('it is read no more', () => asked > 20);
  const readThen = await settled(() => asked);
  t.true(readThen < 200, `${readThen} of ${questions} were read`);
  client.resume();
  await until('all are answered', () => answered === questions + 1);
  t.is(asked, questions);
});

/** The number when it has not changed for 50 rounds of the event loop. */
async function settled(read: () => number): Promise<number> {
  let [last, same] = [read(), 0];
  while (same < 50) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    const now = read();
    same = now === last ? same + 1 : 0;
    last = now;
  }
  return last;
}

test('a peer that greets and is silent ever after is dialled anew, and costs a bounded queue', async (t) => {
  const place = town(t);
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.on('error', () => {});
    socket.write(framed(bytes('hello p s2')));
    socket.pause();
    t.teardown(() => void socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(join(place.folder, 's2'), () => resolve()));
  t.teardown(() => void server.close());
  const s1 = place.peer('s1', { times: { ...TIMES, silenceMs: 100 } });
  const flood = setInterval(() => s1.net.send('s2', new Uint8Array(90_000)), 1);
  t.teardown(() => clearInterval(flood));
  await until('it is dialled anew', () => connections >= 3);
  t.true(s1.notes.includes('no link to s2: nothing was heard for 100 ms'), s1.notes.join('\n'));
});

test('whatever bytes come: refused or taken, and others are served', async (t) => {
  const place = town(t);
  const s1 = place.peer('s1');
  await s1.net.listening;
  let attacks = 0;
  forSeeds(60, (random) => {
    const socket = connect(join(place.folder, 's1'));
    socket.on('error', () => {});
    t.teardown(() => void socket.destroy());
    const pieces: Buffer[] = [];
    if (random.chance(0.5)) pieces.push(framed(bytes(`hello p h${random.below(3)}`)));
    for (let i = random.below(6); i > 0; i--) {
      const piece = Buffer.alloc(random.below(3000), random.below(256));
      const whole = random.chance(0.5) ? framed(piece) : piece;
      if (whole.length > 0 && random.chance(0.5)) whole[random.below(whole.length)] = 0xff;
      pieces.push(whole.subarray(0, random.between(0, whole.length)));
    }
    socket.write(Buffer.concat(pieces), () => {
      attacks++;
      if (random.chance(0.5)) socket.destroy();
      else socket.resume();
    });
  });
  await until('all have attacked', () => attacks > 20);
  const h9 = place.peer('h9');
  const asking = setInterval(() => h9.net.send('s1', bytes('ask')), 20);
  t.teardown(() => clearInterval(asking));
  await until('others are served', () => s1.got.includes('h9: ask'));
  t.true(s1.got.every((line) => /^h[0129]: /.test(line)));
  t.true(s1.net.cameIn <= 64);
});
