import test from 'ava';
import { nanos, SECOND } from '../../../src/base/units.ts';
import { DEFAULT_QUOTA, RateBudget } from '../../../src/hypervisor/xenstore/quota.ts';
import { MessageType } from '../../../src/hypervisor/xenstore/wire.ts';
import { Bench, domain } from '../../helpers/xenstore-world.ts';

const GUEST = domain(3);
const OTHER = domain(4);

test('nodes: one more than the quota is ENOSPC, another domain goes on', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST, { nodes: 5 });
  const other = await bench.guest(OTHER, { nodes: 5 });
  for (const key of ['a', 'b', 'c', 'd']) await guest.write(key, '');
  const full = { code: 'E_XENSTORE_ENOSPC' };
  await t.throwsAsync(guest.write('e', ''), full);
  await t.throwsAsync(guest.mkdir('a/x'), full);
  await guest.write('a', 'a node that is there may change');
  await other.write('a', '');
  await guest.rm('d');
  await guest.write('e', '');
  await t.throwsAsync(other.write('deep/er/than/allowed', ''), full, 'missing parents count');
  t.is(bench.server.store.tree.owned(GUEST), 5);
  bench.server.checkInvariants();
});

test('a value over the quota is ENOSPC and changes nothing', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  await guest.write('key', 'x'.repeat(DEFAULT_QUOTA.valueBytes));
  const over = 'y'.repeat(DEFAULT_QUOTA.valueBytes + 1);
  await t.throwsAsync(guest.write('key', over), { code: 'E_XENSTORE_ENOSPC' });
  t.is((await guest.read('key'))?.charAt(0), 'x');
});

test('watches: one more than the quota is E2BIG, giving one up makes room', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST, { watches: 2 });
  const other = await bench.guest(OTHER, { watches: 2 });
  const unwatch = await guest.watch('a', () => undefined);
  await guest.watch('b', () => undefined);
  await t.throwsAsync(
    guest.watch('c', () => undefined),
    { code: 'E_XENSTORE_E2BIG' },
  );
  await other.watch('a', () => undefined);
  await unwatch();
  await guest.watch('c', () => undefined);
  bench.server.checkInvariants();
});

test('transactions: one more than the quota is ENOSPC, ending one makes room', async (t) => {
  const bench = new Bench();
  const peer = await bench.rawGuest(GUEST, { transactions: 2 });
  const start = async (): Promise<unknown> => {
    peer.send(MessageType.transactionStart, '\0');
    await bench.world.settle();
    return peer.last();
  };
  t.deepEqual(await start(), { type: MessageType.transactionStart, texts: ['1'] });
  t.deepEqual(await start(), { type: MessageType.transactionStart, texts: ['2'] });
  t.deepEqual(await start(), { type: MessageType.error, texts: ['ENOSPC'] });
  peer.send(MessageType.transactionEnd, 'F\0', 9, 1);
  await bench.world.settle();
  t.deepEqual(await start(), { type: MessageType.transactionStart, texts: ['3'] });
});

test('a transaction that touches too many nodes is ENOSPC, a small one is not', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST, { transactionNodes: 20 });
  const huge = guest.transaction(async (inside) => {
    for (let i = 0; i < 30; i++) await inside.read(`key-${i}`);
  });
  await t.throwsAsync(huge, { code: 'E_XENSTORE_ENOSPC' });
  await guest.transaction((inside) => inside.write('key', '1'));
  t.is(await guest.read('key'), '1');
});

test('a permission list over the quota is ENOSPC', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  await guest.write('key', '');
  const list = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ access: 'r', domid: domain(3 + i) }) as const);
  const [first, ...rest] = list(6);
  if (first === undefined) throw new Error('the list has six entries');
  const tooLong = guest.setPermissions('key', [first, ...rest]);
  await t.throwsAsync(tooLong, { code: 'E_XENSTORE_ENOSPC' });
  await guest.setPermissions('key', [first, ...rest.slice(0, 4)]);
});

test('requests beyond the outstanding quota are EBUSY, those within are served', async (t) => {
  const bench = new Bench();
  const peer = await bench.rawGuest(GUEST, { outstandingRequests: 3, requestBurst: 1 });
  for (let id = 1; id <= 6; id++) peer.send(MessageType.write, `key-${id}\0`, id);
  await bench.world.advance(SECOND);
  const byId = new Map(peer.received.map(({ requestId, payload }) => [requestId, payload]));
  t.deepEqual(
    [1, 2, 3, 4, 5, 6].map((id) => byId.get(id)),
    ['OK\0', 'OK\0', 'OK\0', 'EBUSY\0', 'EBUSY\0', 'EBUSY\0'],
  );
});

test('a flood of key writes cuts off its sender; another domain is served', async (t) => {
  const bench = new Bench();
  const flood = await bench.rawGuest(GUEST);
  const other = await bench.guest(OTHER);
  for (let i = 0; i < 200_000; i++) flood.send(MessageType.write, `key-${i % 900}\0${i}`);
  await other.write('mine', '1');
  t.is(await other.read('mine'), '1');
  const status = bench.server.status().find(({ domid }) => domid === GUEST)?.connection;
  t.like(status, { connected: false, requestsWaiting: 0, eventsWaiting: 0 });
  t.true(flood.received.length < 2000, 'what it is told is bounded');
  t.regex(bench.world.notes.join(), /domain 3 is disconnected: it went on sending/);
  t.true(bench.server.isIntroduced(GUEST), 'its end is for the toolstack to declare');
  bench.server.checkInvariants();
});

test('a domain that sends steadily above its rate is served at its rate', async (t) => {
  const bench = new Bench();
  const peer = await bench.rawGuest(GUEST, { requestsPerSecond: 1000, requestBurst: 10 });
  for (let ms = 0; ms < 100; ms++) {
    for (let i = 0; i < 3; i++) peer.send(MessageType.write, 'key\0x');
    await bench.world.advance(SECOND / 1000);
  }
  const served = Number(bench.server.status()[0]?.connection['served']);
  t.true(served >= 100 && served <= 112, `${served} served in 100 ms`);
});

test('events of a flooded directory merge into one that says: look at it all', async (t) => {
  const bench = new Bench();
  const peer = await bench.rawGuest(GUEST, {
    pendingPathsPerWatch: 8,
    eventsPerSecond: 1,
    eventBurst: 1,
  });
  peer.send(MessageType.watch, 'dir\0token\0');
  await bench.world.settle();
  peer.received.length = 0;
  for (let i = 0; i < 500; i++) {
    await bench.toolstack.write(`/local/domain/3/dir/${i}`, '');
    const waiting = Number(bench.server.status()[0]?.connection['eventsWaiting']);
    t.true(waiting <= 8);
  }
  await bench.world.advance(20 * SECOND);
  const told = peer.received.map(({ payload }) => payload);
  t.true(told.length <= 9);
  t.true(told.includes('dir\0token\0'), 'the merged event names the watched node');
});

test('a flood in one directory does not delay the events of another watch', async (t) => {
  const bench = new Bench();
  const back = await bench.rawGuest(domain(1), { eventsPerSecond: 10, eventBurst: 1 });
  back.send(MessageType.watch, 'noisy\0noisy\0');
  back.send(MessageType.watch, 'quiet\0quiet\0');
  await bench.world.advance(SECOND);
  back.received.length = 0;
  for (let i = 0; i < 40; i++) await bench.toolstack.write(`/local/domain/1/noisy/${i}`, '');
  await bench.toolstack.write('/local/domain/1/quiet', '');
  await bench.world.advance(SECOND / 4);
  t.true(back.received.some(({ payload }) => payload === 'quiet\0quiet\0'));
});

test('a rate budget gives its burst, then one token an interval, and never saves more', (t) => {
  const budget = new RateBudget(10, 2, nanos(0));
  const take = (ns: number): boolean => budget.tryTake(nanos(ns));
  t.deepEqual([take(0), take(0), take(0)], [true, true, false]);
  t.is(budget.nextTokenNs(nanos(0)), nanos(SECOND / 10));
  t.true(take(SECOND / 10));
  t.false(take(SECOND / 10));
  t.deepEqual([take(100 * SECOND), take(100 * SECOND), take(100 * SECOND)], [true, true, false]);
});
