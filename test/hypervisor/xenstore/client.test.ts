import test from 'ava';
import { XenstoreClient } from '../../../src/hypervisor/xenstore/client.ts';
import { linkPair } from '../../../src/hypervisor/xenstore/link-pair.ts';
import {
  decodeMessage,
  encodeMessage,
  type Message,
  MessageType,
} from '../../../src/hypervisor/xenstore/wire.ts';
import { Bench, domain } from '../../helpers/xenstore-world.ts';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A server that answers as the test says. */
function scripted(answer: (request: Message) => readonly Message[]): {
  readonly client: XenstoreClient;
  readonly requests: Message[];
  readonly inject: (message: Message) => void;
} {
  const [near, far] = linkPair();
  const requests: Message[] = [];
  const inject = (message: Message): void => far.send(encodeMessage(message));
  far.onFrame((frame) => {
    const request = decodeMessage(frame);
    if (request === null) return;
    requests.push(request);
    for (const reply of answer(request)) inject(reply);
  });
  return { client: new XenstoreClient(near), requests, inject };
}

test('replies in another order reach those who asked', async (t) => {
  const held: Message[] = [];
  const { client, inject } = scripted((request) => {
    held.push({ ...request, payload: `value of ${request.payload.slice(0, -1)}` });
    return [];
  });
  const both = Promise.all([client.read('/a'), client.read('/b')]);
  await settle();
  for (const reply of held.reverse()) inject(reply);
  t.deepEqual(await both, ['value of /a', 'value of /b']);
});

test('a reply that nobody asked for is flagged and changes nothing', async (t) => {
  const { client, inject } = scripted((request) => [
    { ...request, requestId: request.requestId + 1000, payload: 'forged' },
    { ...request, payload: 'true' },
    { ...request, payload: 'again' },
  ]);
  t.is(await client.read('/a'), 'true');
  await settle();
  t.is(client.violations.get('unknown-request'), 2);
  inject({ type: 99, requestId: 0, transactionId: 0, payload: '' });
  await settle();
  t.is(client.violations.get('unknown-request'), 3);
});

for (const [kind, change] of [
  ['wrong-type', { type: MessageType.write }],
  ['wrong-transaction', { transactionId: 5 }],
  ['unknown-error', { type: MessageType.error, payload: 'ENONSENSE\0' }],
] as const) {
  test(`a reply with ${kind} fails its request and is flagged`, async (t) => {
    const { client } = scripted((request) => [{ ...request, ...change }]);
    await t.throwsAsync(client.read('/a'), { code: 'E_XENSTORE_PROTOCOL' });
    t.is(client.violations.get(kind), 1);
  });
}

test('events that are malformed or belong to no watch call nobody', async (t) => {
  const { client, inject } = scripted((request) => [{ ...request, payload: 'OK\0' }]);
  const seen: string[] = [];
  await client.watch('/a', (path) => seen.push(path));
  const event = { type: MessageType.watchEvent, requestId: 0, transactionId: 0 };
  inject({ ...event, payload: '/a' });
  inject({ ...event, payload: '/a\0' });
  inject({ ...event, payload: '/a\x001\x00more\x00' });
  inject({ ...event, requestId: 3, payload: '/a\x001\x00' });
  inject({ ...event, payload: '/a\x00999\x00' });
  await settle();
  t.deepEqual(seen, []);
  t.is(client.violations.get('malformed-event'), 4);
  inject({ ...event, payload: '/a\x001\x00' });
  await settle();
  t.deepEqual(seen, ['/a']);
});

test('no more than sixteen requests are out at once, the rest follow in order', async (t) => {
  const held: Message[] = [];
  const { client, requests, inject } = scripted((request) => {
    held.push({ ...request, payload: '' });
    return [];
  });
  const paths = Array.from({ length: 40 }, (_, i) => `/${i}`);
  const all = Promise.all(paths.map((path) => client.read(path)));
  while (requests.length < 40) {
    await settle();
    t.true(held.length <= 16);
    for (const reply of held.splice(0)) inject(reply);
  }
  for (const reply of held) inject(reply);
  t.deepEqual(
    await all,
    paths.map(() => ''),
  );
  t.deepEqual(
    requests.map(({ payload }) => payload),
    paths.map((path) => `${path}\0`),
  );
});

test('a watch that is refused calls nobody', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(domain(3));
  let fired = 0;
  const refused = guest.watch('//', () => fired++);
  const error = await t.throwsAsync(refused, { code: 'E_XENSTORE_EINVAL' });
  t.like(error, { fields: { path: '//', operation: 'watch' } });
  t.is(fired, 0);
});

test('writeMany is seen whole or not at all', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(domain(3));
  const partly = guest.writeMany([
    ['a', 1],
    ['/local/domain/4/b', 2],
    ['c', 3],
  ]);
  await t.throwsAsync(partly, { code: 'E_XENSTORE_EACCES' });
  t.deepEqual(await guest.directory('/local/domain/3'), []);
});

test('readNumber takes strict decimals only and names what it found', async (t) => {
  const { toolstack } = new Bench();
  await toolstack.write('/n', 4_294_967_296);
  t.is(await toolstack.readNumber('/n'), 4_294_967_296);
  for (const text of ['', '-1', '+1', '3x', ' 3', '3\n', '03', '0x10', '1e3', '9007199254740992']) {
    await toolstack.write('/n', text);
    const error = await t.throwsAsync(toolstack.readNumber('/n'), { code: 'E_XENSTORE_VALUE' });
    t.like(error, { fields: { path: '/n' } });
  }
});

test('a value that does not fit one message is refused before it is sent', async (t) => {
  const { client, requests } = scripted(() => []);
  const tooLong = client.write('/a', 'x'.repeat(4096));
  await t.throwsAsync(tooLong, { code: 'E_XENSTORE_E2BIG' });
  t.is(requests.length, 0);
});

test('closing a client rejects what it waits for and drops its watches', async (t) => {
  const bench = new Bench();
  const second = bench.server.local();
  await second.watch('/a', () => undefined);
  const waiting = second.read('/a');
  second.close();
  await t.throwsAsync(waiting, { code: 'E_XENSTORE_CLOSED' });
  await t.throwsAsync(second.read('/a'), { code: 'E_XENSTORE_CLOSED' });
  await bench.toolstack.write('/a', '1');
  bench.server.checkInvariants();
});
