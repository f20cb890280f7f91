import test from 'ava';
import { Prng } from '../../../src/base/prng.ts';
import { INTRODUCE_DOMAIN, RELEASE_DOMAIN } from '../../../src/hypervisor/xenstore/paths.ts';
import { permit } from '../../../src/hypervisor/xenstore/permissions.ts';
import { disturbedDelivery } from '../../../src/hypervisor/xenstore/watches.ts';
import { MessageType } from '../../../src/hypervisor/xenstore/wire.ts';
import { Bench, DOM0, domain } from '../../helpers/xenstore-world.ts';

const GUEST = domain(3);
const OTHER = domain(4);

test('a watch fires at registration, with its own path, even if nothing is there', async (t) => {
  const bench = new Bench();
  const seen: string[] = [];
  await bench.toolstack.watch('/nothing/here', (path) => seen.push(path));
  await bench.world.settle();
  t.deepEqual(seen, ['/nothing/here']);
});

test('a watch fires for its node and below, for nothing beside or above', async (t) => {
  const bench = new Bench();
  const seen: string[] = [];
  await bench.toolstack.mkdir('/a/b');
  await bench.toolstack.watch('/a/b', (path) => seen.push(path));
  await bench.world.settle();
  seen.length = 0;
  await bench.toolstack.write('/a/b', '1');
  await bench.toolstack.write('/a/b/c/d', '1');
  await bench.toolstack.write('/a', '1');
  await bench.toolstack.write('/a/bc', '1');
  await bench.world.settle();
  t.deepEqual(seen, ['/a/b', '/a/b/c/d']);
});

test('making, writing, permissions and removal each fire', async (t) => {
  const bench = new Bench();
  const { toolstack } = bench;
  let fired = 0;
  await toolstack.watch('/node', () => fired++);
  const steps = [
    () => toolstack.mkdir('/node'),
    () => toolstack.write('/node', '1'),
    () => toolstack.write('/node', '1'),
    () => toolstack.setPermissions('/node', [permit('r', DOM0)]),
    () => toolstack.rm('/node'),
  ];
  await bench.world.settle();
  for (const [index, step] of steps.entries()) {
    await step();
    await bench.world.settle();
    t.is(fired, index + 2);
  }
  await toolstack.rm('/node');
  await bench.world.settle();
  t.is(fired, steps.length + 1, 'removing nothing changes nothing');
});

test('removing a node above fires a watch with its own path if its node was there', async (t) => {
  const bench = new Bench();
  const there: string[] = [];
  const notThere: string[] = [];
  await bench.toolstack.write('/a/b/c', '1');
  await bench.toolstack.watch('/a/b/c', (path) => there.push(path));
  await bench.toolstack.watch('/a/b/x', (path) => notThere.push(path));
  await bench.world.settle();
  await bench.toolstack.rm('/a');
  await bench.world.settle();
  t.deepEqual(there, ['/a/b/c', '/a/b/c']);
  t.deepEqual(notThere, ['/a/b/x']);
});

test('a transaction fires at its commit, not before, and not when it is given up', async (t) => {
  const bench = new Bench();
  const other = bench.server.local();
  let fired = 0;
  await other.watch('/a', () => fired++);
  await bench.world.settle();
  await bench.toolstack.transaction(async (inside) => {
    await inside.write('/a', '1');
    await bench.world.settle();
    t.is(fired, 1);
  });
  await bench.world.settle();
  t.is(fired, 2);
  const givenUp = bench.toolstack.transaction(async (inside) => {
    await inside.write('/a', '2');
    throw new Error('given up');
  });
  await t.throwsAsync(givenUp, { message: 'given up' });
  await bench.world.settle();
  t.is(fired, 2);
});

test('a relative watch tells relative paths', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  const seen: string[] = [];
  await guest.watch('device', (path) => seen.push(path));
  await guest.write('device/vbd/51712/state', '1');
  await bench.world.settle();
  t.deepEqual(seen, ['device', 'device/vbd/51712/state']);
});

test('a guest hears only of what it may read, its removal included', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  const other = await bench.guest(OTHER);
  const seen: string[] = [];
  await other.watch('/local/domain/3', (path) => seen.push(path));
  await guest.write('secret', '1');
  await guest.write('shown', '1');
  await guest.setPermissions('shown', [permit('r', GUEST)]);
  await guest.rm('shown');
  await guest.rm('secret');
  await bench.world.settle();
  t.deepEqual([...new Set(seen)], ['/local/domain/3', '/local/domain/3/shown']);
});

test('after unwatch nothing fires; unwatching twice is an error', async (t) => {
  const bench = new Bench();
  let fired = 0;
  const unwatch = await bench.toolstack.watch('/a', () => fired++);
  await bench.world.settle();
  await unwatch();
  await bench.toolstack.write('/a', '1');
  await bench.world.settle();
  t.is(fired, 1);
  await t.throwsAsync(unwatch(), { code: 'E_XENSTORE_ENOENT' });
});

test('the same path and token twice is refused; another token is another watch', async (t) => {
  const bench = new Bench();
  const peer = await bench.rawGuest(GUEST);
  for (const token of ['one', 'one', 'two']) peer.send(MessageType.watch, `key\0${token}\0`);
  await bench.world.settle();
  const replies = peer.received.filter(({ type }) => type !== MessageType.watchEvent);
  t.deepEqual(
    replies.map(({ payload }) => payload),
    ['OK\0', 'EEXIST\0', 'OK\0'],
  );
});

test('domains that come and go are told to domain 0 and to whom it allows', async (t) => {
  const bench = new Bench();
  const back = await bench.guest(domain(1));
  const seen: string[] = [];
  const told: string[] = [];
  await bench.toolstack.watch(INTRODUCE_DOMAIN, (path) => seen.push(path));
  await bench.toolstack.watch(RELEASE_DOMAIN, (path) => seen.push(path));
  await back.watch(RELEASE_DOMAIN, (path) => told.push(path));
  await bench.world.settle();
  seen.length = 0;
  told.length = 0;
  await bench.guest(GUEST);
  await bench.world.settle();
  t.deepEqual(seen, [INTRODUCE_DOMAIN]);
  bench.server.release(GUEST);
  bench.server.release(GUEST);
  await bench.world.settle();
  t.deepEqual(seen, [INTRODUCE_DOMAIN, RELEASE_DOMAIN]);
  t.deepEqual(told, []);
  await bench.toolstack.setPermissions(RELEASE_DOMAIN, [permit('n', DOM0), permit('r', domain(1))]);
  await bench.guest(OTHER);
  bench.server.release(OTHER);
  await bench.world.settle();
  t.deepEqual(told, [RELEASE_DOMAIN]);
});

test('a released domain keeps its nodes and hears nothing more', async (t) => {
  const bench = new Bench();
  const peer = await bench.rawGuest(GUEST);
  peer.send(MessageType.write, 'key\0value');
  peer.send(MessageType.watch, 'key\0token\0');
  await bench.world.settle();
  bench.server.release(GUEST);
  const before = peer.received.length;
  await bench.toolstack.write('/local/domain/3/key', 'later');
  peer.send(MessageType.read, 'key\0');
  await bench.world.settle();
  t.is(peer.received.length, before);
  t.is(await bench.toolstack.read('/local/domain/3/key'), 'later');
  t.false(bench.server.isIntroduced(GUEST));
  bench.server.checkInvariants();
});

test('with every event duplicated, a watch fires twice at registration', async (t) => {
  const delivery = disturbedDelivery(new Prng(1), { duplicate: 1, late: 1, latestNs: 1000 });
  const bench = new Bench({ delivery });
  let fired = 0;
  await bench.toolstack.watch('/a', () => fired++);
  await bench.world.advance(1000);
  t.is(fired, 2);
});

test('a client that looks again on doubled and late events ends with the newest', async (t) => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = new Prng(seed);
    const delivery = disturbedDelivery(random.fork('delivery'), {
      duplicate: 0.5,
      late: 0.7,
      latestNs: 5000,
    });
    const bench = new Bench({ delivery });
    const writer = bench.server.local();
    const reads: (string | null)[] = [];
    await bench.toolstack.watch('/key', () => {
      void bench.toolstack.read('/key').then((value) => reads.push(value));
    });
    for (let i = 0; i < 20; i++) {
      await writer.write('/key', i);
      await bench.world.advance(random.below(1000));
    }
    await bench.world.advance(5000);
    t.is(reads.at(-1), '19', `seed ${seed}`);
  }
});

test('a late event of a watch that was given up does not arrive', async (t) => {
  const bench = new Bench({ delivery: { delaysNs: () => [1000] } });
  const peer = await bench.rawGuest(GUEST);
  peer.send(MessageType.watch, 'key\0token\0');
  peer.send(MessageType.unwatch, 'key\0token\0');
  await bench.world.advance(2000);
  t.true(peer.received.every(({ type }) => type !== MessageType.watchEvent));
});
