import test from 'ava';
import { permit } from '../../../src/hypervisor/xenstore/permissions.ts';
import { Bench, DOM0, domain } from '../../helpers/xenstore-world.ts';

const GUEST = domain(3);
const OTHER = domain(4);
const BACK = domain(1);

test('a written value is read back, its missing parents are made empty', async (t) => {
  const { toolstack, server } = new Bench();
  await toolstack.write('/a/b/c', 'x');
  t.is(await toolstack.read('/a/b/c'), 'x');
  t.is(await toolstack.read('/a/b'), '');
  t.deepEqual(await toolstack.directory('/a'), ['b']);
  server.checkInvariants();
});

test('a value of every octet comes back as it was', async (t) => {
  const { toolstack } = new Bench();
  const octets = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
  await toolstack.write('/octets', octets);
  t.is(await toolstack.read('/octets'), octets);
  await t.throwsAsync(toolstack.write('/octets', '\u0100'), { code: 'E_XENSTORE_EINVAL' });
});

test('an absent node reads as null, and its directory is an error that names it', async (t) => {
  const { toolstack } = new Bench();
  t.is(await toolstack.read('/nothing'), null);
  t.is(await toolstack.readNumber('/nothing'), null);
  const error = await t.throwsAsync(toolstack.directory('/nothing'), {
    code: 'E_XENSTORE_ENOENT',
  });
  t.like(error, { fields: { path: '/nothing', operation: 'directory' } });
});

test('mkdir leaves a node that is there as it is', async (t) => {
  const { toolstack } = new Bench();
  await toolstack.write('/a', 'kept');
  await toolstack.mkdir('/a');
  t.is(await toolstack.read('/a'), 'kept');
});

test('rm takes all below; again it does nothing; without a parent it is an error', async (t) => {
  const { toolstack, server } = new Bench();
  await toolstack.write('/a/b/c', '1');
  await toolstack.rm('/a/b');
  t.is(await toolstack.read('/a/b/c'), null);
  await toolstack.rm('/a/b');
  await t.throwsAsync(toolstack.rm('/a/b/c'), { code: 'E_XENSTORE_ENOENT' });
  await t.throwsAsync(toolstack.rm('/'), { code: 'E_XENSTORE_EINVAL' });
  t.is(server.store.tree.owned(DOM0), 2, 'the root and /a are left');
  server.checkInvariants();
});

test('a directory longer than a message is listed whole and in order', async (t) => {
  const { toolstack } = new Bench();
  const names = Array.from({ length: 900 }, (_, i) => `name-${i}`);
  await toolstack.writeMany(names.map((name) => [`/long/${name}`, '']));
  t.deepEqual(await toolstack.directory('/long'), names);
});

test('a long directory that changes between two parts is read again from the start', async (t) => {
  for (let delay = 0; delay < 60; delay += 3) {
    const { toolstack, server } = new Bench();
    const names = Array.from({ length: 500 }, (_, i) => `a-name-of-some-length-${i}`);
    await toolstack.writeMany(names.map((name) => [`/long/${name}`, '']));
    const other = server.local();
    const listing = toolstack.directory('/long');
    for (let tick = 0; tick < delay; tick++) await Promise.resolve();
    await other.rm(`/long/${names[0]}`);
    const listed = await listing;
    t.deepEqual(
      listed,
      listed.length === names.length ? names : names.slice(1),
      `after ${delay} ticks`,
    );
  }
});

test('a relative path stands below the home of whoever sends it', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  await guest.write('device/vbd/51712/state', '1');
  t.is(await bench.toolstack.read('/local/domain/3/device/vbd/51712/state'), '1');
  t.is(await guest.read('device/vbd/51712/state'), '1');
});

for (const [what, path] of [
  ['empty', ''],
  ['with a doubled slash', '/a//b'],
  ['with a slash at the end', '/a/'],
  ['with a space', '/a b'],
  ['with a dot', '/a/../b'],
  ['with a letter beyond ASCII', '/\u00e9'],
  ['of 3073 bytes', `/${'a'.repeat(3072)}`],
  ['relative of 2049 bytes', 'a'.repeat(2049)],
  ['that is special', '@releaseDomain'],
] as const) {
  test(`a path ${what} is refused`, async (t) => {
    const { toolstack, server } = new Bench();
    await t.throwsAsync(toolstack.write(path, 'x'), { code: 'E_XENSTORE_EINVAL' });
    await t.throwsAsync(toolstack.read(path), { code: 'E_XENSTORE_EINVAL' });
    t.is(server.store.snapshot().length, 1, 'only the root is there');
  });
}

test('the longest legal paths work', async (t) => {
  const { toolstack } = new Bench();
  const absolute = `/${'a'.repeat(3071)}`;
  await toolstack.write(absolute, '1');
  t.is(await toolstack.read(absolute), '1');
  await toolstack.write('b'.repeat(2048), '2');
  t.is(await toolstack.read(`/local/domain/0/${'b'.repeat(2048)}`), '2');
});

test('a path of the most possible levels is made and removed', async (t) => {
  const { toolstack, server } = new Bench();
  const deep = '/a'.repeat(1536);
  await toolstack.write(deep, '1');
  t.is(await toolstack.read(deep), '1');
  await toolstack.rm('/a');
  t.is(server.store.snapshot().length, 1);
  server.checkInvariants();
});

test("a guest can neither read, list, write, make nor remove another guest's keys", async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  const other = await bench.guest(OTHER);
  await guest.write('secret', 'x');
  const path = '/local/domain/3/secret';
  const denied = { code: 'E_XENSTORE_EACCES' };
  await t.throwsAsync(other.read(path), denied);
  await t.throwsAsync(other.directory('/local/domain/3'), denied);
  await t.throwsAsync(other.write(path, 'y'), denied);
  await t.throwsAsync(other.mkdir('/local/domain/3/new'), denied);
  await t.throwsAsync(other.rm(path), denied);
  await t.throwsAsync(other.getPermissions(path), denied);
  await t.throwsAsync(other.setPermissions(path, [permit('b', OTHER)]), denied);
  await t.throwsAsync(other.read('/local/domain/3/absent'), denied, 'absence is not told either');
  t.is(await guest.read('secret'), 'x');
});

test('a guest reads what its back end offers but does not write it', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  const back = await bench.guest(BACK);
  const directory = '/local/domain/1/backend/vbd/3/51712';
  await bench.toolstack.mkdir(directory);
  await bench.toolstack.setPermissions(directory, [permit('n', BACK), permit('r', GUEST)]);
  await back.write(`${directory}/state`, '2');
  t.is(await guest.read(`${directory}/state`), '2');
  const denied = { code: 'E_XENSTORE_EACCES' };
  await t.throwsAsync(guest.write(`${directory}/state`, '4'), denied);
  await t.throwsAsync(guest.write(`${directory}/sectors`, '1'), denied);
  await t.throwsAsync(guest.rm(directory), denied);
});

test('a write-only key is written but not read by others', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  const other = await bench.guest(OTHER);
  await guest.write('inbox', '');
  await guest.setPermissions('inbox', [permit('n', GUEST), permit('w', OTHER)]);
  await other.write('/local/domain/3/inbox', 'hello');
  await t.throwsAsync(other.read('/local/domain/3/inbox'), { code: 'E_XENSTORE_EACCES' });
  t.is(await guest.read('inbox'), 'hello');
});

test('the first entry is for everybody, a later one for its domain alone', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  const other = await bench.guest(OTHER);
  await guest.write('public', '1');
  await guest.setPermissions('public', [permit('r', GUEST)]);
  t.is(await other.read('/local/domain/3/public'), '1');
  await guest.setPermissions('public', [permit('r', GUEST), permit('n', OTHER)]);
  await t.throwsAsync(other.read('/local/domain/3/public'), { code: 'E_XENSTORE_EACCES' });
  t.deepEqual(await guest.getPermissions('public'), [permit('r', GUEST), permit('n', OTHER)]);
});

test('a guest owns what it makes; domain 0 leaves the owner of the parent', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  await guest.write('own', '1');
  await bench.toolstack.write('/local/domain/3/given', '1');
  t.deepEqual(await guest.getPermissions('own'), [permit('n', GUEST)]);
  t.deepEqual(await guest.getPermissions('given'), [permit('n', GUEST)]);
  t.is(bench.server.store.tree.owned(GUEST), 3);
});

test('a guest cannot give a node away, domain 0 can', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  await guest.write('own', '1');
  const given = [permit('n', OTHER)] as const;
  await t.throwsAsync(guest.setPermissions('own', given), { code: 'E_XENSTORE_EPERM' });
  await bench.toolstack.setPermissions('/local/domain/3/own', given);
  t.is(bench.server.store.tree.owned(OTHER), 1);
  await t.throwsAsync(guest.read('own'), { code: 'E_XENSTORE_EACCES' });
  bench.server.checkInvariants();
});
