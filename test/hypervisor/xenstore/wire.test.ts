import test from 'ava';
import fc from 'fast-check';
import {
  decodeMessage,
  encodeMessage,
  joinTexts,
  MessageType,
  splitTexts,
} from '../../../src/hypervisor/xenstore/wire.ts';
import { Bench, domain } from '../../helpers/xenstore-world.ts';

const GUEST = domain(3);

test('a message has the bytes of xs_wire.h', (t) => {
  const frame = encodeMessage({
    type: MessageType.write,
    requestId: 0x01020304,
    transactionId: 7,
    payload: 'a\0\xff',
  });
  t.deepEqual([...frame], [11, 0, 0, 0, 4, 3, 2, 1, 7, 0, 0, 0, 3, 0, 0, 0, 0x61, 0, 0xff]);
});

test('the numbers of the types are those of xs_wire.h', (t) => {
  t.deepEqual(
    Object.values(MessageType),
    Array.from({ length: 23 }, (_, i) => i),
  );
  t.is(MessageType.watchEvent, 15);
  t.is(MessageType.directoryPart, 22);
});

test('what is encoded is decoded again', (t) => {
  const octets = fc
    .array(fc.integer({ min: 0, max: 255 }), { maxLength: 4096 })
    .map((codes) => String.fromCharCode(...codes));
  const number = fc.integer({ min: 0, max: 0xffff_ffff });
  const message = fc.record({
    type: number,
    requestId: number,
    transactionId: number,
    payload: octets,
  });
  fc.assert(
    fc.property(message, (original) => {
      t.deepEqual(decodeMessage(encodeMessage(original)), original);
    }),
  );
  t.deepEqual(splitTexts(joinTexts(['a', '', 'b'])), ['a', '', 'b']);
  t.is(splitTexts('a\0b'), null);
});

const header = (type: number, length: number): readonly number[] => {
  const lengthBytes = [0, 8, 16, 24].map((shift) => (length >> shift) & 0xff);
  return [type, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, ...lengthBytes];
};

for (const [what, bytes] of [
  ['an empty frame', []],
  ['half a header', [2, 0, 0, 0, 1, 0]],
  ['a length larger than the frame', [...header(MessageType.read, 9), 0x61, 0]],
  ['a length smaller than the frame', [...header(MessageType.read, 1), 0x61, 0]],
  ['a length of 2^32 - 1', header(MessageType.read, -1)],
  ['a payload of 4097 bytes', [...header(MessageType.read, 4097), ...Array(4097).fill(0)]],
] as const) {
  test(`${what} cuts the sender off, silently, and nobody else`, async (t) => {
    const bench = new Bench();
    const hostile = await bench.rawGuest(GUEST);
    const other = await bench.guest(domain(4));
    hostile.send(MessageType.watch, 'key\0token\0');
    await bench.world.settle();
    const before = hostile.received.length;
    hostile.sendBytes(bytes);
    hostile.send(MessageType.getDomainPath, '3\0');
    await bench.world.settle();
    t.is(hostile.received.length, before);
    t.like(bench.server.status()[0], { watches: 0, connection: { connected: false } });
    await other.write('key', '1');
    bench.server.checkInvariants();
  });
}

test('a broken frame that came before its domain was attached cuts it off at once', (t) => {
  const bench = new Bench();
  bench.server.attach(GUEST, {
    send: () => t.fail('nothing is answered'),
    onFrame: (receive) => receive(Uint8Array.of(1, 2, 3)),
    close: () => undefined,
  });
  t.like(bench.server.status()[0], { connection: { connected: false } });
  bench.server.checkInvariants();
});

const REFUSALS: readonly (readonly [what: string, type: number, payload: string, errno: string])[] =
  [
    ['a type nobody knows', 999, 'x\0', 'ENOSYS'],
    ['an event from a client', MessageType.watchEvent, 'a\0b\0', 'ENOSYS'],
    ['an error from a client', MessageType.error, 'EIO\0', 'ENOSYS'],
    ['read without a NUL', MessageType.read, 'key', 'EINVAL'],
    ['read with two paths', MessageType.read, 'a\0b\0', 'EINVAL'],
    ['read with nothing', MessageType.read, '', 'EINVAL'],
    ['write without a NUL', MessageType.write, 'key', 'EINVAL'],
    ['a path with a line feed', MessageType.write, 'a\nb\0x', 'EINVAL'],
    ['watch without a token', MessageType.watch, 'key\0', 'EINVAL'],
    ['a token too long', MessageType.watch, `key\0${'t'.repeat(1023)}\0`, 'E2BIG'],
    ['a watch with a bad path', MessageType.watch, '//\0t\0', 'EINVAL'],
    ['unwatch of nothing', MessageType.unwatch, 'key\0t\0', 'ENOENT'],
    ['permissions of no domain', MessageType.setPerms, '/local/domain/3\0r\0', 'EINVAL'],
    ['permissions with a sign', MessageType.setPerms, '/local/domain/3\0r-1\0', 'EINVAL'],
    ['permissions of domain 65536', MessageType.setPerms, '/local/domain/3\0r65536\0', 'EINVAL'],
    ['an unknown access letter', MessageType.setPerms, '/local/domain/3\0x3\0', 'EINVAL'],
    ['an empty permission list', MessageType.setPerms, '/local/domain/3\0', 'EINVAL'],
    ['permissions of a special path', MessageType.setPerms, '@releaseDomain\0b3\0', 'EACCES'],
    ['end of no transaction', MessageType.transactionEnd, 'T\0', 'ENOENT'],
    ['neither commit nor abort', MessageType.transactionEnd, 'X\0', 'EINVAL'],
    ['a listing from no offset', MessageType.directoryPart, '/local/domain/3\0x\0', 'EINVAL'],
    ['the path of no domain', MessageType.getDomainPath, '3x\0', 'EINVAL'],
    ['release by a guest', MessageType.release, '4\0', 'EACCES'],
    ['introduce by a guest', MessageType.introduce, joinTexts(['4', '1', '1']), 'EACCES'],
    ['a question about another domain', MessageType.isDomainIntroduced, '4\0', 'EACCES'],
    ['control by a guest', MessageType.control, 'log\0', 'EACCES'],
  ];

for (const [what, type, payload, errno] of REFUSALS) {
  test(`${what}: ${errno}, and the link goes on`, async (t) => {
    const bench = new Bench();
    const peer = await bench.rawGuest(GUEST);
    peer.send(type, payload, 77);
    await bench.world.settle();
    t.deepEqual(peer.last(), { type: MessageType.error, texts: [errno] });
    t.is(peer.received.at(-1)?.requestId, 77);
    peer.send(MessageType.getDomainPath, '3\0');
    await bench.world.settle();
    t.deepEqual(peer.last()?.texts, ['/local/domain/3']);
  });
}

test('a transaction number that is not open is ENOENT for every operation', async (t) => {
  const bench = new Bench();
  const peer = await bench.rawGuest(GUEST);
  const operations: [number, string][] = [
    [MessageType.read, 'key\0'],
    [MessageType.write, 'key\0x'],
    [MessageType.mkdir, 'key\0'],
    [MessageType.rm, 'key\0'],
    [MessageType.directory, 'key\0'],
    [MessageType.getPerms, 'key\0'],
    [MessageType.setPerms, 'key\0n3\0'],
    [MessageType.transactionEnd, 'T\0'],
  ];
  for (const [type, payload] of operations) {
    peer.send(type, payload, 1, 0xffff_ffff);
    await bench.world.settle();
    t.deepEqual(peer.last(), { type: MessageType.error, texts: ['ENOENT'] }, `type ${type}`);
  }
});

test('one domain cannot use the transaction of another', async (t) => {
  const bench = new Bench();
  const owner = await bench.rawGuest(GUEST);
  const thief = await bench.rawGuest(domain(4));
  owner.send(MessageType.transactionStart, '\0');
  await bench.world.settle();
  thief.send(MessageType.transactionEnd, 'T\0', 1, Number(owner.last()?.texts[0]));
  await bench.world.settle();
  t.deepEqual(thief.last(), { type: MessageType.error, texts: ['ENOENT'] });
});

test('nested transactions are EBUSY', async (t) => {
  const bench = new Bench();
  const peer = await bench.rawGuest(GUEST);
  peer.send(MessageType.transactionStart, '\0');
  peer.send(MessageType.transactionStart, '\0', 2, 1);
  await bench.world.settle();
  t.deepEqual(peer.last(), { type: MessageType.error, texts: ['EBUSY'] });
});

test('reset drops all watches and transactions of its sender', async (t) => {
  const bench = new Bench();
  const peer = await bench.rawGuest(GUEST);
  peer.send(MessageType.watch, 'key\0token\0');
  peer.send(MessageType.transactionStart, '\0');
  peer.send(MessageType.resetWatches, '\0');
  await bench.world.settle();
  t.like(bench.server.status()[0], { watches: 0, connection: { transactions: 0 } });
  bench.server.checkInvariants();
});

test('whatever bytes come: an answer or a cut link, never a broken server', async (t) => {
  const payload = fc.oneof(
    fc.constantFrom('key\0', 'key\0tok\0', '/\0', 'T\0', '\0', '@releaseDomain\0t\0', 'a/b\0n3\0'),
    fc.string({ unit: 'binary-ascii', maxLength: 40 }),
  );
  const request = fc.record({
    type: fc.integer({ min: 0, max: 24 }),
    transactionId: fc.integer({ min: 0, max: 3 }),
    payload,
  });
  await fc.assert(
    fc.asyncProperty(fc.array(request, { maxLength: 15 }), async (requests) => {
      const bench = new Bench();
      const peer = await bench.rawGuest(GUEST);
      for (const [index, one] of requests.entries()) {
        peer.send(one.type, one.payload, index + 1, one.transactionId);
      }
      await bench.world.settle();
      const answered = peer.received.filter(({ requestId }) => requestId !== 0);
      bench.server.checkInvariants();
      return answered.length === requests.length;
    }),
    { numRuns: 200 },
  );
  t.pass();
});
