import test from 'ava';
import { MS, nanos } from '../../../src/base/units.ts';
import { ChangeHistory, formatChange } from '../../../src/hypervisor/xenstore/history.ts';
import { permit } from '../../../src/hypervisor/xenstore/permissions.ts';
import { Bench, domain } from '../../helpers/xenstore-world.ts';

const GUEST = domain(3);
const OTHER = domain(4);

test('the history says who changed a key, when, from what to what', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  await bench.world.advance(5 * MS);
  await guest.write('state', '1');
  await bench.world.advance(7 * MS);
  await bench.toolstack.write('/local/domain/3/state', '5');
  await guest.rm('state');
  const path = '/local/domain/3/state';
  t.like(bench.server.store.history.query({ path }), [
    { timeNs: 5 * MS, domid: 3, kind: 'write', before: null, after: '1' },
    { timeNs: 12 * MS, domid: 0, kind: 'write', before: '1', after: '5' },
    { timeNs: 12 * MS, domid: 3, kind: 'rm', before: '5', after: null },
  ]);
});

test('a change of permissions is told as lists', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  await guest.write('key', '');
  await guest.setPermissions('key', [permit('n', GUEST), permit('r', OTHER)]);
  const last = bench.server.store.history.query({ path: '/local/domain/3/key' }).at(-1);
  t.like(last, { kind: 'set-perms', before: 'n3', after: 'n3,r4' });
});

test('a query by prefix has the nodes below and the removal of a node above', async (t) => {
  const { toolstack, server } = new Bench();
  await toolstack.write('/a/b/c', '1');
  await toolstack.write('/a/bc', '1');
  await toolstack.write('/a', '1');
  await toolstack.rm('/a');
  const found = server.store.history.query({ path: '/a/b' });
  t.deepEqual(
    found.map(({ kind, path }) => `${kind} ${path}`),
    ['write /a/b/c', 'rm /a'],
  );
});

test('what a transaction changed is recorded at its commit only', async (t) => {
  const bench = new Bench();
  const { history } = bench.server.store;
  const before = history.query().length;
  await bench.toolstack.transaction(async (inside) => {
    await inside.write('/a', '1');
    t.is(history.query().length, before);
    await bench.world.advance(MS);
  });
  t.like(history.query().slice(before), [{ path: '/a', timeNs: MS }]);
});

test('refused requests leave no trace', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  const before = bench.server.store.history.query().length;
  await t.throwsAsync(guest.write('/local/domain/4/key', 'x'));
  await guest.mkdir('/local/domain/3');
  await guest.rm('absent');
  t.is(bench.server.store.history.query().length, before);
});

test('a guest that writes without end pushes out only its own changes', async (t) => {
  const history = new ChangeHistory({ entriesPerDomain: 10, bytesPerDomain: 10_000, domains: 8 });
  const bench = new Bench({ history });
  const quiet = await bench.guest(OTHER);
  await quiet.write('precious', '1');
  const noisy = await bench.guest(GUEST, { requestsPerSecond: Number.POSITIVE_INFINITY });
  for (let i = 0; i < 100; i++) await noisy.write('key', i);
  const kept = history.query({ path: '/local/domain/3/key' });
  t.deepEqual(
    kept.map(({ after }) => after),
    Array.from({ length: 10 }, (_, i) => String(90 + i)),
  );
  t.is(history.query({ path: '/local/domain/4/precious' }).length, 1);
});

test('large values count by their bytes, and old domains make room for new ones', (t) => {
  const history = new ChangeHistory({ entriesPerDomain: 100, bytesPerDomain: 1000, domains: 2 });
  const change = (value: string) =>
    ({
      kind: 'write',
      path: '/k',
      before: null,
      after: {
        value,
        permissions: [permit('n', GUEST)],
        generation: 1,
        listGeneration: 1,
        children: new Map(),
      },
    }) as const;
  for (let i = 0; i < 10; i++) history.record(nanos(i), GUEST, change('x'.repeat(300)));
  t.is(history.query().length, 3);
  history.record(nanos(20), OTHER, change('y'));
  history.record(nanos(21), domain(5), change('z'));
  t.deepEqual(
    history.query().map(({ domid }) => Number(domid)),
    [4, 5],
    'the domain that was quiet for longest is forgotten',
  );
});

test('the newest changes since a time can be asked for, and read by people', async (t) => {
  const { server, toolstack } = new Bench();
  await toolstack.write('/a', '1');
  await toolstack.write('/a', '2');
  const newest = server.store.history.query({ limit: 1 });
  t.deepEqual(newest.map(formatChange), ['0.000000 s  domain 0  write /a  "1" -> "2"']);
  t.is(server.store.history.query({ sinceNs: nanos(0) }).length, 2);
  t.deepEqual(server.store.history.query({ sinceNs: nanos(1) }), []);
});
