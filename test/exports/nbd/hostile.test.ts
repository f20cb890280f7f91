/** Many clients over real sockets, of which half mean no good. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { listenStreams } from '../../../src/world/real/stream-server.ts';
import { RawClient, READ, WRITE } from '../../cli/raw-client.ts';
import { longSerialTest } from '../../helpers/long-tests.ts';
import { BUFFER_PAGES, NbdBench } from './nbd-bench.ts';
import { bytesOf, CLIENT_FLAGS, option, request, u32 } from './nbd-client.ts';

const MIB = 2 ** 20;
/** The last of the slow ones are in nobody's way, and may go on; then they fall silent. */
const DRIPPING_SECONDS = 40;
const SECONDS_MAX = 120;
const TLS = 'test/cli/fixtures/tls';
const IN_TLS_RECORD = [22, 3, 1, 2, 0, 1];
/** An option with much data, of which a little is there. */
const LONG_OPTION = bytesOf('IHAVEOPT', u32(6), u32(60_000), [0]);

interface Crowd {
  /** Of the good ones, and of the others. */
  readonly clients: number;
  /** What the export's disk has for buffers: too few for all who fill one slowly. */
  readonly bufferPages: number;
}

interface Hostile {
  readonly socket: Socket;
  /** Sends a byte a second. */
  readonly drips: boolean;
}

interface Served {
  readonly path: string;
  stop(): Promise<void>;
}

type Behaviour = (path: string) => Promise<Hostile>;

/** Goes as far as the name says and stops. */
function stopsAfter(...sent: readonly Uint8Array[]): Behaviour {
  return async (path) => {
    const { socket } = new RawClient(path);
    socket.write(bytesOf(...sent));
    return { socket, drips: false };
  };
}

/** Chooses the export, sends that and stops. */
function entersAnd(sent: Uint8Array, then: (socket: Socket) => void = () => undefined): Behaviour {
  return async (path) => {
    const { socket } = await RawClient.on(path, 'disk');
    socket.write(sent);
    then(socket);
    return { socket, drips: false };
  };
}

function dripping(behaviour: Behaviour): Behaviour {
  return async (path) => ({ ...(await behaviour(path)), drips: true });
}

function half(length: number): Uint8Array {
  return request({ command: WRITE, length, data: new Uint8Array(length / 2) });
}

const greedy = bytesOf(...Array.from({ length: 8 }, () => request({ command: READ, length: MIB })));
const BEHAVIOURS: readonly Behaviour[] = [
  stopsAfter(),
  stopsAfter(CLIENT_FLAGS.subarray(0, 2)),
  stopsAfter(CLIENT_FLAGS, option(3).subarray(0, 9)),
  dripping(stopsAfter(CLIENT_FLAGS, LONG_OPTION)),
  async (path) => {
    const client = new RawClient(path);
    client.socket.write(bytesOf(CLIENT_FLAGS, option(5)));
    await client.read(18 + 20);
    client.socket.write(bytesOf(IN_TLS_RECORD));
    return { socket: client.socket, drips: true };
  },
  entersAnd(request({ command: READ, length: 512 }).subarray(0, 20)),
  entersAnd(half(65_536)),
  dripping(entersAnd(half(MIB))),
  entersAnd(greedy, (socket) => socket.pause()),
  entersAnd(new Uint8Array(), (socket) => socket.end()),
];

async function manyTurns(bench: NbdBench): Promise<void> {
  for (let turn = 0; turn < 50; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    bench.run();
  }
}

async function serve(
  t: ExecutionContext,
  bench: NbdBench,
  connectionsMax: number,
): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), 'stordom-hostile-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'socket');
  const pem = (name: string): string => readFileSync(`${TLS}/${name}.pem`, 'utf8');
  const tls = {
    kind: 'certificate',
    certificate: pem('server-cert'),
    key: pem('server-key'),
    clientAuthority: null,
  } as const;
  const listener = await listenStreams(
    { kind: 'unix', path },
    { connectionsMax, tls, failed: (thrown) => t.fail(String(thrown)) },
    (stream) => bench.server.accept(stream),
  );
  let isOver = false;
  t.teardown(() => {
    isOver = true;
  });
  const serving = (async () => {
    while (!isOver) await manyTurns(bench);
  })();
  const stop = async (): Promise<void> => {
    await listener.close();
    isOver = true;
    await serving;
  };
  return { path, stop };
}

/** Each client writes its own block and reads it, three times; how many blocks came back right. */
async function rounds(clients: readonly RawClient[]): Promise<number> {
  let done = 0;
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      clients.map(async (client, at) => {
        const data = Buffer.alloc(4096, at + round);
        const wrote = await client.ask(WRITE, at * 4096, 4096, data);
        const read = await client.ask(READ, at * 4096, 4096);
        if (wrote.error === 0 && read.data.equals(data)) done++;
      }),
    );
  }
  return done;
}

/** Lets the seconds pass until nobody but the good clients is left. */
async function outlast(
  bench: NbdBench,
  hostile: readonly (Hostile | undefined)[],
  clients: number,
): Promise<{ readonly seconds: number; readonly owedBytes: number }> {
  let owedBytes = 0;
  let seconds = 0;
  for (; seconds < SECONDS_MAX && bench.server.connections().length > clients; seconds++) {
    await manyTurns(bench);
    owedBytes = Math.max(owedBytes, bench.server.owedBytes);
    const dripping = seconds < DRIPPING_SECONDS ? hostile.filter((one) => one?.drips) : [];
    for (const one of dripping) one?.socket.write(new Uint8Array(1));
    bench.tick();
  }
  return { seconds, owedBytes };
}

async function othersGoOn(t: ExecutionContext, { clients, bufferPages }: Crowd): Promise<void> {
  const bench = new NbdBench(bufferPages, null, 'allow');
  const served = await serve(t, bench, 2 * clients);
  const { path } = served;
  const good = await Promise.all(Array.from({ length: clients }, () => RawClient.on(path, 'disk')));
  const hostile = await Promise.all(
    Array.from({ length: clients }, async (_, at) => BEHAVIOURS[at % BEHAVIOURS.length]?.(path)),
  );
  const working = rounds(good);
  const { seconds, owedBytes } = await outlast(bench, hostile, clients);
  t.is(await working, 3 * clients);
  t.is(await rounds(good), 3 * clients, 'and they go on');
  t.true(owedBytes < 400 * MIB, `${owedBytes / MIB} MiB were owed`);
  t.is(bench.server.connections().length, clients, `only good clients are left: ${seconds} s`);
  t.true(seconds > 60, 'nobody is let go too early');
  t.false(good.some(({ isClosed }) => isClosed));
  for (const { socket } of good) socket.destroy();
  for (const one of hostile) one?.socket.destroy();
  await served.stop();
  t.is(bench.server.connections().length, 0);
  t.is(bench.frames.freePages, bufferPages, 'every buffer came back');
  for (const [text, atLeast] of [
    [/has not chosen an export/, 0.4 * clients],
    [/silent in the middle of a message/, 0.1 * clients],
    [/others wait for one/, 1],
  ] as const) {
    const count = bench.notes.filter((note) => text.test(note)).length;
    t.true(count >= atLeast, `${text}: ${count}`);
  }
}

test.serial('hostile: half of the clients are silent, half-open or slow; the others go on', (t) =>
  othersGoOn(t, { clients: 100, bufferPages: BUFFER_PAGES / 8 }),
);

longSerialTest('hostile: five hundred such clients are outlasted by five hundred others', (t) =>
  othersGoOn(t, { clients: 500, bufferPages: BUFFER_PAGES }),
);
