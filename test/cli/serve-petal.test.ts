/** `stordom serve --petal`: a store whose blocks are on servers that run as processes of it. */
import { join } from 'node:path';
import test from 'ava';
import { longSerialTest } from '../helpers/long-tests.ts';
import { until } from '../world/real/helpers.ts';
import { FLUSH, RawClient, READ, WRITE } from './raw-client.ts';
import { ServeBench } from './serve-bench.ts';

const BLOCK = 4096;
const WAIT_MS = 60_000;

interface Servers {
  readonly servers: readonly {
    readonly server: number;
    readonly pid: number | null;
    readonly state: string;
    readonly restarts: number;
    readonly pairs: number;
    readonly inSync: number;
  }[];
}

async function serversOf(bench: ServeBench): Promise<Servers['servers']> {
  return (JSON.parse(await bench.ok('ctl status --json')) as Servers).servers;
}

/** Each server is up, and in sync for all its pairs. */
async function allInSync(bench: ServeBench): Promise<Servers['servers']> {
  let servers: Servers['servers'] = [];
  const areInSync = async (): Promise<boolean> => {
    servers = await serversOf(bench);
    return servers.every(({ pairs, inSync }) => pairs > 0 && inSync === pairs);
  };
  await until('all servers in sync', areInSync, WAIT_MS);
  return servers;
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

class Writer {
  readonly fills: number[] = [];
  readonly #bench: ServeBench;

  constructor(bench: ServeBench) {
    this.#bench = bench;
  }

  client(): Promise<RawClient> {
    return RawClient.on(join(this.#bench.folder, 's', 'nbd.sock'), 'disk');
  }

  /** Appends so many blocks, each acknowledged, and one flush. Gives the errors. */
  async write(client: RawClient, blocks: number): Promise<number[]> {
    const errors: number[] = [];
    for (let i = 0; i < blocks; i++) {
      const fill = 1 + (this.fills.length % 255);
      const at = this.fills.length * BLOCK;
      errors.push((await client.ask(WRITE, at, BLOCK, Buffer.alloc(BLOCK, fill))).error);
      this.fills.push(fill);
    }
    errors.push((await client.ask(FLUSH, 0, 0)).error);
    return errors.filter((error) => error !== 0);
  }

  /** Blocks that are not as they were written. */
  async wrong(client: RawClient): Promise<number[]> {
    const wrong: number[] = [];
    for (const [block, fill] of this.fills.entries()) {
      const { error, data } = await client.ask(READ, block * BLOCK, BLOCK);
      if (error !== 0 || !data.equals(Buffer.alloc(BLOCK, fill))) wrong.push(block);
    }
    return wrong;
  }
}

test.serial(
  'serve --petal 3: a server gets SIGKILL under load, then serve does: all that was acknowledged is there',
  async (t) => {
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 64m --petal 3');
    const first = await bench.serve('--petal 3');
    const writer = new Writer(bench);
    const client = await writer.client();
    t.deepEqual(await writer.write(client, 200), []);
    await bench.ok('ctl snapshot disk before');
    const [, second] = await allInSync(bench);
    t.is(second?.restarts, 0);
    const loading = writer.write(client, 600);
    process.kill(second?.pid ?? 0, 'SIGKILL');
    await bench.ok('ctl snapshot disk meanwhile');
    t.deepEqual(await loading, []);
    const later = await allInSync(bench);
    t.deepEqual(
      later.map(({ state, restarts }) => [state, restarts]),
      [
        ['up', 0],
        ['up', 1],
        ['up', 0],
      ],
    );
    await bench.ok('ctl snapshot disk after');
    t.deepEqual(await writer.wrong(client), []);
    const status = JSON.parse(await bench.ok('petal status --json')) as {
      directoryPid: number;
      servers: { pid: number }[];
    };
    t.is(status.directoryPid, first.child.pid ?? 0);
    t.deepEqual(
      status.servers.map(({ pid }) => pid),
      later.map(({ pid }) => pid),
    );
    t.regex(await bench.ok('vdi ls'), /in use by process \d+ \(stordom serve\)/);
    t.regex(await bench.ok('fsck'), /the store is whole/);

    // One stands still, and cannot notice that its parent is gone.
    const pids = later.map(({ pid }) => pid ?? 0);
    t.deepEqual(await writer.write(client, 100), []);
    const [still = 0, ...others] = pids;
    process.kill(still, 'SIGSTOP');
    await first.kill();
    await until('servers without a parent end', () => !others.some(runs), WAIT_MS);
    t.true(runs(still));
    const again = await bench.serve();
    const reader = await writer.client();
    t.deepEqual(await writer.wrong(reader), []);
    await allInSync(bench);
    t.false(runs(still));
    const mine = (await serversOf(bench)).map(({ pid }) => pid ?? 0);
    const ended = await again.end();
    t.is(ended.code, 0, ended.stderr);
    t.regex(ended.stderr, /server s1 is an earlier start's \(process \d+\): it is killed/);
    t.false(mine.some(runs), 'SIGTERM ends all of them');
    t.regex(await bench.ok('fsck --no-data'), /the store is whole/);
  },
);

longSerialTest(
  'serve --petal: servers that stand still hold up its end, a second SIGTERM does not wait: nothing is lost',
  async (t) => {
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 4m --petal 2');
    const first = await bench.serve();
    const writer = new Writer(bench);
    const client = await writer.client();
    t.deepEqual(await writer.write(client, 10), []);
    for (const { pid } of await allInSync(bench)) process.kill(pid ?? 0, 'SIGSTOP');
    t.deepEqual(await writer.write(client, 10), []);
    const says = new Promise<string>((resolve) => first.child.stderr?.once('data', resolve));
    const ended = first.end();
    t.regex(await says, /is published; a second signal ends it at once, as kill -9 does/);
    first.child.kill('SIGTERM');
    t.is((await ended).code, null);
    const again = await bench.serve();
    t.deepEqual(await writer.wrong(await writer.client()), []);
    t.is((await again.end()).code, 0);
    t.regex(await bench.ok('fsck'), /the store is whole/);
  },
);

test.serial('serve --petal: what does not fit the store is refused, with what to do', async (t) => {
  const bench = new ServeBench(t);
  const refusals: readonly (readonly [line: string, says: RegExp])[] = [
    ['serve --petal 3', /there is no store in s; .*vdi create disk .* --petal 3/],
    ['serve --petal 1', /--petal: "1" .* from 2 to 32/],
    ['vdi create disk --size 1m --petal 1', /--petal: "1" .* from 2 to 32/],
  ];
  const refused = async (lines: typeof refusals): Promise<void> => {
    for (const [line, says] of lines) {
      const { code, stderr } = await bench.run(line);
      t.is(code, 2, `${line}: ${stderr}`);
      t.regex(stderr, says);
    }
  };
  await refused(refusals);
  await bench.ok('vdi init --size 128m');
  await refused([
    ['serve --petal 3', /keeps its blocks in a file; .*vdi create NAME .*--petal 3/],
    ['vdi create disk --size 1m --petal 3', /keeps its blocks in a file/],
    ['petal status', /keeps its blocks in a file, not on Petal servers/],
  ]);
});

test.serial('a store on servers is used without the flag, and only as it was made', async (t) => {
  const bench = new ServeBench(t);
  t.regex(await bench.ok('vdi init --petal 2 --size 128m'), /on 2 Petal servers/);
  await bench.ok('vdi create disk --size 1m');
  const { code, stderr } = await bench.run('serve --petal 3');
  t.is(code, 2);
  t.regex(stderr, /the store is on 2 servers, not on 3; leave --petal out/);
  const { code: exists } = await bench.run('vdi init --petal 2 --size 128m');
  t.is(exists, 2);
  t.regex(await bench.ok('vdi ls'), /disk +1m/);
});
