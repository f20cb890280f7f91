import test from 'ava';
import { permit } from '../../../src/hypervisor/xenstore/permissions.ts';
import { Bench, domain } from '../../helpers/xenstore-world.ts';

const GUEST = domain(3);

test('nobody sees the writes of a transaction before its commit, then all at once', async (t) => {
  const { toolstack, server } = new Bench();
  const other = server.local();
  await toolstack.transaction(async (inside) => {
    await inside.writeMany([
      ['/a', '1'],
      ['/b', '2'],
    ]);
    t.is(await inside.read('/a'), '1');
    t.is(await other.read('/a'), null);
  });
  t.is(await other.read('/a'), '1');
  t.is(await other.read('/b'), '2');
});

test('all reads of a transaction belong to one moment', async (t) => {
  const { toolstack, server } = new Bench();
  const other = server.local();
  await toolstack.write('/a', 'old');
  await toolstack.write('/b', 'old');
  const seen: (string | null)[][] = [];
  await toolstack.transaction(async (inside) => {
    const a = await inside.read('/a');
    if (seen.length === 0)
      await other.writeMany([
        ['/a', 'new'],
        ['/b', 'new'],
      ]);
    seen.push([a, await inside.read('/b')]);
  });
  t.deepEqual(seen, [
    ['old', 'old'],
    ['new', 'new'],
  ]);
});

test('a body that fails leaves nothing behind and its own error is reported', async (t) => {
  const { toolstack, server } = new Bench();
  const boom = new Error('boom');
  const failing = toolstack.transaction(async (inside) => {
    await inside.write('/a', '1');
    throw boom;
  });
  t.is(await t.throwsAsync(failing), boom);
  t.is(await toolstack.read('/a'), null);
  server.checkInvariants();
});

interface Conflict {
  readonly title: string;
  readonly inside: (tx: Parameters<Parameters<Bench['toolstack']['transaction']>[0]>[0]) => unknown;
  readonly outside: (client: Bench['toolstack']) => Promise<void>;
  readonly conflicts: boolean;
}

const CONFLICTS: readonly Conflict[] = [
  {
    title: 'a node it read was written',
    inside: (tx) => tx.read('/dir/a'),
    outside: (client) => client.write('/dir/a', 'new'),
    conflicts: true,
  },
  {
    title: 'a node it read was written with the value it had',
    inside: (tx) => tx.read('/dir/a'),
    outside: (client) => client.write('/dir/a', '1'),
    conflicts: true,
  },
  {
    title: 'a node it wrote was written',
    inside: (tx) => tx.write('/dir/a', 'mine'),
    outside: (client) => client.write('/dir/a', 'new'),
    conflicts: true,
  },
  {
    title: 'a node it found absent was made',
    inside: (tx) => tx.read('/dir/new'),
    outside: (client) => client.write('/dir/new', 'new'),
    conflicts: true,
  },
  {
    title: 'a parent that it had to make was made',
    inside: (tx) => tx.write('/deep/er/node', 'mine'),
    outside: (client) => client.mkdir('/deep'),
    conflicts: true,
  },
  {
    title: 'a node it read was removed and made again',
    inside: (tx) => tx.read('/dir/a'),
    outside: async (client) => {
      await client.rm('/dir/a');
      await client.write('/dir/a', '1');
    },
    conflicts: true,
  },
  {
    title: 'the permissions of a node it read changed',
    inside: (tx) => tx.read('/dir/a'),
    outside: (client) => client.setPermissions('/dir/a', [permit('r', domain(0))]),
    conflicts: true,
  },
  {
    title: 'a directory it listed got a child',
    inside: (tx) => tx.directory('/dir'),
    outside: (client) => client.write('/dir/new', ''),
    conflicts: true,
  },
  {
    title: 'something far below what it removed changed',
    inside: (tx) => tx.rm('/dir'),
    outside: (client) => client.write('/dir/b/c', 'new'),
    conflicts: true,
  },
  {
    title: 'another node of the same directory was written',
    inside: (tx) => tx.write('/dir/a', 'mine'),
    outside: (client) => client.write('/dir/b', 'new'),
    conflicts: false,
  },
  {
    title: 'both made different nodes in the same directory',
    inside: (tx) => tx.write('/dir/mine', ''),
    outside: (client) => client.write('/dir/new', ''),
    conflicts: false,
  },
  {
    title: 'the value of a child of a directory it listed changed',
    inside: (tx) => tx.directory('/dir'),
    outside: (client) => client.write('/dir/a', 'new'),
    conflicts: false,
  },
];

for (const { title, inside, outside, conflicts } of CONFLICTS) {
  test(`${conflicts ? 'EAGAIN and retry' : 'no conflict'}: ${title}`, async (t) => {
    const { toolstack, server } = new Bench();
    const other = server.local();
    await toolstack.writeMany([
      ['/dir/a', '1'],
      ['/dir/b/c', '2'],
    ]);
    let runs = 0;
    await toolstack.transaction(async (tx) => {
      runs++;
      await inside(tx);
      if (runs === 1) await outside(other);
    });
    t.is(runs, conflicts ? 2 : 1);
    server.checkInvariants();
  });
}

test('a transaction that never stops conflicting is an error that names its path', async (t) => {
  const { toolstack, server } = new Bench();
  const other = server.local();
  let runs = 0;
  const hopeless = toolstack.transaction(
    async (inside) => {
      runs++;
      await inside.write('/contended', 'mine');
      await other.write('/contended', `${runs}`);
    },
    { maxAttempts: 5 },
  );
  const error = await t.throwsAsync(hopeless, { code: 'E_XENSTORE_EAGAIN' });
  t.like(error, { fields: { path: '/contended' } });
  t.is(runs, 5);
  t.is(await toolstack.read('/contended'), '5');
});

test('two guests that count up one key a hundred times each lose no step', async (t) => {
  const bench = new Bench();
  const first = await bench.guest(GUEST);
  const second = await bench.guest(domain(4));
  await bench.toolstack.write('/count', '0');
  await bench.toolstack.setPermissions('/count', [permit('b', domain(0))]);
  const countUp = async (client: typeof first): Promise<void> => {
    for (let i = 0; i < 100; i++) {
      await client.transaction(async (inside) => {
        await inside.write('/count', ((await inside.readNumber('/count')) ?? 0) + 1);
      });
    }
  };
  const both = Promise.all([countUp(first), countUp(second)]);
  await bench.world.advance(1e9);
  await both;
  t.is(await bench.toolstack.readNumber('/count'), 200);
});

test('a transaction ends with its domain', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST);
  await guest.write('key', 'before');
  void guest.transaction(async (inside) => {
    await inside.write('key', 'inside');
    bench.server.release(GUEST);
    await inside.write('key', 'after the end');
  });
  await bench.world.settle();
  t.is(await bench.toolstack.read('/local/domain/3/key'), 'before');
});

test('a commit that would pass the node quota is refused whole', async (t) => {
  const bench = new Bench();
  const guest = await bench.guest(GUEST, { nodes: 4 });
  let ran = false;
  const tooMuch = guest.transaction(async (inside) => {
    await inside.writeMany([
      ['a', ''],
      ['b', ''],
    ]);
    if (!ran)
      await guest.writeMany([
        ['c', ''],
        ['d', ''],
      ]);
    ran = true;
  });
  await t.throwsAsync(tooMuch, { code: 'E_XENSTORE_ENOSPC' });
  t.deepEqual(await guest.directory('/local/domain/3'), ['c', 'd']);
  bench.server.checkInvariants();
});
