/** Messages of the directory as bytes, and what hostile ones do. */
import test from 'ava';
import { linkPair } from '../../src/hypervisor/xenstore/link-pair.ts';
import { DirectoryClient } from '../../src/world/directory-client.ts';
import { DirectoryServer } from '../../src/world/directory-server.ts';
import {
  type DirectoryMessage,
  decodeDirectoryMessage,
  encodeDirectoryMessage,
} from '../../src/world/directory-wire.ts';
import { CoreWorld } from '../helpers/core-world.ts';
import { runStory, simDirectoryBench } from '../helpers/directory-bench.ts';
import { check, forSeeds } from '../helpers/property.ts';

const value = new Uint8Array([1, 2, 3]);
const MESSAGES: readonly DirectoryMessage[] = [
  { kind: 'get', request: 1, key: 'a/b' },
  { kind: 'list', request: 2, prefix: '' },
  { kind: 'list', request: 3, prefix: 'a/' },
  {
    kind: 'txn',
    request: 4,
    comparisons: [{ key: 'k', version: 2 ** 40 + 5 }],
    changes: [
      { key: 'k', value },
      { key: 'l', value: null },
    ],
  },
  { kind: 'watch', request: 5, prefix: 'a' },
  { kind: 'unwatch', request: 5 },
  { kind: 'entries', request: 6, entries: [{ key: 'a', version: 7, value }] },
  { kind: 'decided', request: 7, made: true },
  { kind: 'failed', request: 8, why: 'no answer' },
  { kind: 'hint', request: 5, key: 'a/c' },
];

function frameOf(message: DirectoryMessage): Uint8Array {
  const frame = encodeDirectoryMessage(message);
  if (frame === null) throw new Error('a message fits a frame');
  return frame;
}

test('every kind of message comes back from its bytes', (t) => {
  for (const message of MESSAGES) t.deepEqual(decodeDirectoryMessage(frameOf(message)), message);
});

test('a frame that is cut short, longer, or has a wrong magic is no message', (t) => {
  for (const message of MESSAGES) {
    const frame = frameOf(message);
    for (let end = 0; end < frame.length; end++) {
      t.is(decodeDirectoryMessage(frame.subarray(0, end)), null, `${message.kind} cut at ${end}`);
    }
    const longer = new Uint8Array(frame.length + 1);
    longer.set(frame);
    t.is(decodeDirectoryMessage(longer), null);
    const body = longer.length - 16;
    new DataView(longer.buffer).setUint32(12, body, true);
    t.is(decodeDirectoryMessage(longer), null, `${message.kind} with bytes that mean nothing`);
    frame[0] = 0;
    t.is(decodeDirectoryMessage(frame), null);
  }
});

test('whatever bytes are changed, a frame is a legal message or none', (t) => {
  forSeeds(3_000, (random) => {
    const frame = frameOf(random.pick(MESSAGES));
    for (let i = random.between(1, 4); i > 0; i--) {
      frame[random.below(frame.length)] = random.below(256);
    }
    const message = decodeDirectoryMessage(frame);
    if (message === null || message.kind === 'foreign') return;
    // A legal message has one form in bytes, so the way back gives the frame.
    const again = frameOf(message);
    check(again.length === frame.length, 'the same message has the same length');
    check(
      again.every((byte, at) => byte === frame[at]),
      'the same message has the same bytes',
    );
  });
  t.pass();
});

test('a server counts what is no request, answers nothing to it, and serves on', async (t) => {
  const { simulator, server, directory } = simDirectoryBench(1);
  const [near, far] = linkPair();
  server.serve(far);
  const world = simulator.toolstackWorld('client', simulator.host('h0'));
  for (const message of MESSAGES.slice(6)) near.send(frameOf(message));
  near.send(new Uint8Array(0));
  near.send(new Uint8Array(100).fill(255));
  const client = new DirectoryClient(near, world);
  await runStory(simulator, async () => {
    t.true(await client.txn([], [{ key: 'k', value }]));
    t.is(directory.entries().length, 1);
  });
  t.is(server.badFrames, 6);
});

test('a client drops answers that nobody waits for, and fails one of the wrong kind', async (t) => {
  const world = new CoreWorld(4096);
  const [near, far] = linkPair();
  const client = new DirectoryClient(near, world);
  const asked = client.get('k');
  far.send(frameOf({ kind: 'decided', request: 77, made: true }));
  far.send(new Uint8Array(7));
  far.send(frameOf({ kind: 'hint', request: 9, key: 'k' }));
  far.send(frameOf({ kind: 'decided', request: 1, made: true }));
  await t.throwsAsync(asked, { code: 'E_DIRECTORY', message: /does not fit/ });
  t.is(client.strayFrames, 2);
  const other = client.get('k');
  const entries = [{ key: 'l', version: 1, value }];
  far.send(frameOf({ kind: 'entries', request: 2, entries }));
  await t.throwsAsync(other, { code: 'E_DIRECTORY', message: /other keys/ });
});

test('a peer of another version is told apart from one that is silent', async (t) => {
  const world = new CoreWorld(4096);
  const [near, far] = linkPair();
  const client = new DirectoryClient(near, world);
  const asked = client.get('k');
  const frame = frameOf({ kind: 'decided', request: 1, made: true });
  frame[4] = 2;
  far.send(frame);
  await t.throwsAsync(asked, { code: 'E_DIRECTORY_VERSION', message: /version 2 .* version 1/ });

  const { server } = simDirectoryBench(1);
  const [mine, its] = linkPair();
  server.serve(its);
  const answered = new Promise<Uint8Array>((resolve) => mine.onFrame(resolve));
  const newer = frameOf({ kind: 'get', request: 3, key: 'k' });
  newer[4] = 9;
  mine.send(newer);
  const answer = decodeDirectoryMessage(await answered);
  t.is(answer?.kind, 'failed');
  t.regex(answer?.kind === 'failed' ? answer.why : '', /version 9/);
});

test('a server refuses more requests at once than it can hold, and loses none', async (t) => {
  const { simulator, directory } = simDirectoryBench(1);
  const server = new DirectoryServer(directory);
  const [near, far] = linkPair();
  server.serve(far);
  const kinds: string[] = [];
  near.onFrame((frame) => kinds.push(decodeDirectoryMessage(frame)?.kind ?? 'none'));
  const world = simulator.toolstackWorld('client', simulator.host('h0'));
  await runStory(simulator, async () => {
    for (let request = 1; request <= 300; request++) {
      near.send(frameOf({ kind: 'get', request, key: 'k' }));
    }
    await world.timers.sleep(1e9);
  });
  t.is(kinds.filter((kind) => kind === 'entries').length, 256);
  t.is(kinds.filter((kind) => kind === 'failed').length, 44);
});
