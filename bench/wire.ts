/**
 * `bench wire`: what the wire of a Petal pool costs.
 *
 * - `wire.write-4k.us`: a write of one 4 KiB block, from the record to its frame in a buffer that
 *   is used again and from the frame back to a record with a view of the data. `encode` and
 *   `decode` apart are among the samples.
 * - `wire.unix.requests-per-s`: such writes over a Unix socket and their replies back, 32 under
 *   way, both ends in one thread, each frame with bytes of its own: encode, decode, framing and
 *   sockets.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Fence, type MapVersion, type Session, type Term, u32 } from '../src/base/units.ts';
import {
  decodeFrame,
  encodeFrame,
  FRAME_BYTES_MAX,
  WireRefusal,
} from '../src/petal-backend/wire/codec.ts';
import { type Frame, PetalStatus, type WriteMessage } from '../src/petal-backend/wire/messages.ts';
import { nodeDigest as digest } from '../src/world/real/digest.ts';
import { connectSocket, listenSockets } from '../src/world/real/sockets.ts';
import { type BenchOptions, type BenchResult, medianOf, spreadOf, target } from './bench-result.ts';
import { describeMachine } from './machine.ts';

interface Sizes {
  readonly rounds: number;
  readonly frames: number;
  readonly requests: number;
}

const FULL: Sizes = { rounds: 7, frames: 300_000, requests: 100_000 };
const QUICK: Sizes = { rounds: 1, frames: 3000, requests: 1000 };
const DEPTH = 32;
const SOCKETS = { frameBytesMax: FRAME_BYTES_MAX, pressureBytes: 2 ** 20, queueBytesMax: 2 ** 24 };
const NO_DATA = new Uint8Array(0);
const data = new Uint8Array(4096).fill(7);
const write: WriteMessage = {
  kind: 'write',
  id: 123_456,
  gmap: 1,
  group: 3,
  term: u32<Term>(17),
  vdisk: 5,
  epoch: 1,
  block: 1_234_567,
  blocks: 1,
  session: u32<Session>(9),
  fence: u32<Fence>(9),
  mapVersion: u32<MapVersion>(4),
  seq: 987_654_321,
  crcs: [0xdead_beef],
};

export async function run(options: BenchOptions = {}): Promise<BenchResult> {
  const machine = describeMachine();
  const sizes = options.quick === true ? QUICK : FULL;
  const into = new Uint8Array(FRAME_BYTES_MAX);
  const frame = encodeFrame(write, data, digest);
  const encode: number[] = [];
  const decode: number[] = [];
  const both: number[] = [];
  const sockets: number[] = [];
  for (let round = 0; round < sizes.rounds; round++) {
    encode.push(usEach(sizes.frames, () => encodeFrame(write, data, digest, into)));
    decode.push(usEach(sizes.frames, () => taken(frame)));
    both.push(usEach(sizes.frames, () => taken(encodeFrame(write, data, digest, into))));
    sockets.push(await requestsPerSecond(sizes.requests));
  }
  return {
    bench: 'wire',
    machine,
    runs: sizes.rounds,
    targets: [
      target('wire.write-4k.us', medianOf(both), 'lower', 5),
      target('wire.unix.requests-per-s', medianOf(sockets), 'higher', 30_000),
    ],
    samples: [
      { id: 'wire.write-4k.us', ...spreadOf(both), ...sizes },
      { id: 'wire.write-4k.encode.us', ...spreadOf(encode), ...sizes },
      { id: 'wire.write-4k.decode.us', ...spreadOf(decode), ...sizes },
      { id: 'wire.unix.requests-per-s', ...spreadOf(sockets), ...sizes },
    ],
  };
}

function usEach(count: number, work: () => unknown): number {
  const startedMs = performance.now();
  for (let at = 0; at < count; at++) work();
  return ((performance.now() - startedMs) * 1000) / count;
}

function taken(bytes: Uint8Array): Frame {
  const frame = decodeFrame(bytes, digest);
  if (frame instanceof WireRefusal) throw new Error(`the benchmark is refused: ${frame.why}`);
  return frame;
}

async function requestsPerSecond(requests: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'stordom-bench-'));
  const listener = await listenSockets(
    { kind: 'unix', path: join(folder, 's') },
    SOCKETS,
    (link) => {
      link.onFrame((bytes) => link.send(encodeFrame(replyTo(taken(bytes)), NO_DATA, digest)));
    },
  );
  const link = await connectSocket(listener.address, SOCKETS);
  const startedMs = performance.now();
  await new Promise<void>((resolve) => {
    let sent = 0;
    let answered = 0;
    const send = (): void => link.send(encodeFrame({ ...write, id: sent++ }, data, digest));
    link.onFrame((bytes) => {
      taken(bytes);
      answered++;
      if (sent < requests) send();
      if (answered === requests) resolve();
    });
    while (sent < DEPTH) send();
  });
  const seconds = (performance.now() - startedMs) / 1000;
  link.close();
  await listener.close();
  rmSync(folder, { recursive: true });
  return requests / seconds;
}

function replyTo({ message }: Frame): Frame['message'] {
  if (message.kind !== 'write') throw new Error('the benchmark sends writes');
  const { id, term } = message;
  const none = { primary: 0, queue: 0, version: 0, crcs: [] };
  return { kind: 'reply', id, status: PetalStatus.ok, term, ...none };
}
