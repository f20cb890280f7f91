/**
 * The same frames over every carrier of threads: message ports, Unix sockets, TCP. Over the links
 * of the simulator the tests of the protocol send them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { type Incarnation, u32 } from '../../../src/base/units.ts';
import {
  decodeFrame,
  encodeFrame,
  FRAME_BYTES_MAX,
  WireRefusal,
} from '../../../src/petal-backend/wire/codec.ts';
import { helloProblem, makeHello } from '../../../src/petal-backend/wire/hello.ts';
import type { Frame } from '../../../src/petal-backend/wire/messages.ts';
import { nodeDigest as digest } from '../../../src/world/real/digest.ts';
import { EventSource, PortLink } from '../../../src/world/real/net.ts';
import { connectSocket, listenSockets } from '../../../src/world/real/sockets.ts';
import type { Link } from '../../../src/world/world.ts';
import { POOL, SAMPLES } from './wire-samples.ts';

const OPTIONS = {
  frameBytesMax: FRAME_BYTES_MAX,
  pressureBytes: 2 ** 20,
  queueBytesMax: 2 ** 24,
};

type Ends = readonly [Link, Link];

function ports(t: ExecutionContext): Ends {
  const { port1, port2 } = new MessageChannel();
  const linkOf = (port: typeof port1): Link => {
    const link = new PortLink(new EventSource(port, () => {}), () => {});
    t.teardown(() => link.close());
    return link;
  };
  return [linkOf(port1), linkOf(port2)];
}

async function sockets(t: ExecutionContext, kind: 'unix' | 'tcp'): Promise<Ends> {
  const folder = mkdtempSync(join(tmpdir(), 'stordom-carrier-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const address =
    kind === 'unix'
      ? ({ kind, path: join(folder, 's') } as const)
      : ({ kind, host: '127.0.0.1', port: 0 } as const);
  let accept: (link: Link) => void = () => {};
  const accepted = new Promise<Link>((resolve) => {
    accept = resolve;
  });
  const listener = await listenSockets(address, OPTIONS, (link) => accept(link));
  t.teardown(() => listener.close());
  const near = await connectSocket(listener.address, OPTIONS);
  t.teardown(() => near.close());
  return [near, await accepted];
}

/** Sends a hello and every sample, several times over, and settles with what came from there. */
function talk(link: Link, from: string, count: number): Promise<Frame[]> {
  const frames: Frame[] = [];
  return new Promise((resolve, reject) => {
    link.onFrame((bytes) => {
      const frame = decodeFrame(bytes, digest);
      if (frame instanceof WireRefusal) return reject(new Error(frame.why));
      frames.push(frame);
      if (frames.length === count) resolve(frames);
    });
    const incarnation = u32<Incarnation>(1);
    const message = makeHello({ pool: POOL, from, isServer: true, incarnation });
    link.send(encodeFrame(message, new Uint8Array(0), digest));
    for (const each of expected()) link.send(encodeFrame(each.message, each.payload, digest));
  });
}

function expected(): Frame[] {
  return Array.from({ length: 10 }, () => Object.values(SAMPLES)).flat();
}

function judge(t: ExecutionContext, [first, ...rest]: Frame[], from: string): void {
  const wanted = { pool: POOL, from, isServer: true };
  t.is(first === undefined ? 'nothing came' : helloProblem(first.message, wanted), null);
  expected().forEach(({ message, payload }, at) => {
    t.deepEqual(rest[at]?.message, message);
    t.is(Buffer.compare(rest[at]?.payload ?? new Uint8Array(0), payload), 0);
  });
}

const CARRIERS = {
  'message ports': ports,
  'a Unix socket': (t: ExecutionContext) => sockets(t, 'unix'),
  TCP: (t: ExecutionContext) => sockets(t, 'tcp'),
} as const;

for (const [carrier, open] of Object.entries(CARRIERS)) {
  test(`hello and every message go both ways over ${carrier}`, async (t) => {
    const [near, far] = await open(t);
    const count = 1 + expected().length;
    const [atNear, atFar] = await Promise.all([talk(near, 's1', count), talk(far, 's2', count)]);
    judge(t, atFar, 's1');
    judge(t, atNear, 's2');
  });
}
