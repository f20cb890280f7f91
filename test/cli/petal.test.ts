/** The commands of a Petal pool, as a user runs them: each process by itself, in one folder. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { until } from '../world/real/helpers.ts';
import { type Ended, inShell, startStordom, workFolder } from './helpers.ts';

const { folder, remove } = workFolder();
test.after.always(remove);

/** Commands that serve until they are told to end. */
const SERVING = ['server', 'directory'];
const COMMANDS = ['create', 'force', 'status', ...SERVING];
const START_MS = 30_000;

interface Serving {
  /** Ends it as an operator does. */
  end(): Promise<Ended>;
  readonly pid: number;
}

/** Settles when it says that it serves. */
async function serving(t: ExecutionContext, args: readonly string[]): Promise<Serving> {
  const { child, ended } = startStordom(folder, args);
  t.teardown(() => void child.kill('SIGKILL'));
  let said = '';
  let isOver = false;
  child.stderr?.on('data', (text: string) => {
    said += text;
  });
  child.on('exit', () => {
    isOver = true;
  });
  await until(`${args.join(' ')} serves`, () => said.includes(' serves at ') || isOver, START_MS);
  t.false(isOver, said);
  return {
    pid: child.pid ?? 0,
    end: () => {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

async function examplesOf(t: ExecutionContext, command: string): Promise<string[][]> {
  const { code, stdout } = await inShell(folder, ['petal', command, '--help']);
  t.is(code, 0);
  const [examples = ''] = /Examples:\n(.*\n)+$/.exec(stdout) ?? [];
  const lines = examples.trim().split('\n').slice(1);
  t.is(lines.length, 2, stdout);
  return lines.map((line) => {
    t.true(line.trim().startsWith(`$ stordom petal ${command} `), line);
    return line.trim().split(' ').slice(2);
  });
}

test.before(async (t) => {
  const { code, stderr } = await inShell(folder, words('petal create --store my-pool --servers 3'));
  t.is(code, 0, stderr);
});

function words(line: string): string[] {
  return line.split(' ');
}

test.serial('help: every petal command has its examples run', async (t) => {
  const { stdout } = await inShell(folder, ['petal', '--help']);
  const [, listed = ''] = /Commands:\n([\s\S]*?)\n\n/.exec(stdout) ?? [];
  const names = [...listed.matchAll(/^ {2}([\w-]+)/gm)].map(([, name]) => name ?? '');
  t.deepEqual(names.filter((name) => name !== 'help').sort(), [...COMMANDS].sort());
});

test.serial(
  'the examples of petal create and status run as printed, on a pool that is stopped',
  async (t) => {
    for (const command of ['create', 'status']) {
      for (const args of await examplesOf(t, command)) {
        const { code, stdout, stderr } = await inShell(folder, args);
        t.is(code, 0, `${args.join(' ')}: ${stdout}${stderr}`);
      }
    }
  },
);

test.serial(
  'petal create --disks: the pool is as large as all of them, status counts them',
  async (t) => {
    const one = await inShell(folder, words('petal create --store one --servers 2 --json'));
    const two = await inShell(
      folder,
      words('petal create --store two --servers 2 --disks 2 --json'),
    );
    const sizes = [one, two].map(
      ({ stdout }) => (JSON.parse(stdout) as { sizeBytes: number }).sizeBytes,
    );
    const extent = 64 * 2 ** 20;
    t.true(Math.abs((sizes[1] ?? 0) - 2 * (sizes[0] ?? 0)) <= extent, sizes.join());
    const { stdout } = await inShell(folder, words('petal status --store two'));
    t.regex(stdout, /SERVER +STATE +LIFE +DISKS .*\n *s1 +down +- +2 /);
  },
);

test.serial(
  'the examples of petal directory and server serve, and end with 0 at SIGTERM',
  async (t) => {
    for (const args of await examplesOf(t, 'directory')) {
      const { code, stderr } = await (await serving(t, args)).end();
      t.is(code, 0, stderr);
    }
    const directory = await serving(t, words('petal directory --store my-pool'));
    const servers: Serving[] = [];
    for (const args of await examplesOf(t, 'server')) servers.push(await serving(t, args));
    for (const server of servers) {
      const { code, stderr } = await server.end();
      t.is(code, 0, stderr);
    }
    t.is((await directory.end()).code, 0);
  },
);

test.serial(
  'status names servers, pairs, who is in sync and who runs; a server that ends is missed',
  async (t) => {
    const directory = await serving(t, words('petal directory --store my-pool'));
    const one = await serving(
      t,
      words('petal server --store my-pool --id 1 --listen unix:s1.sock'),
    );
    const { stdout } = await inShell(folder, words('petal status --store my-pool --json'));
    const report = JSON.parse(stdout) as {
      directoryPid: number;
      servers: { server: number; pid: number | null; address: string; report: object | null }[];
      pairs: { group: number; members: number[]; inSync: number[] }[];
    };
    t.is(report.directoryPid, directory.pid);
    t.deepEqual(
      report.servers.map(({ server, pid }) => [server, pid]),
      [
        [1, one.pid],
        [2, null],
        [3, null],
      ],
    );
    t.like(report.servers[0]?.report, { store: { missing: 0 } });
    t.is(
      report.servers[0]?.address,
      `unix:${join(folder, 's1.sock')}`,
      'it was told to the others',
    );
    t.deepEqual(
      report.pairs.map(({ members }) => members),
      [
        [1, 2],
        [2, 3],
        [3, 1],
      ],
    );
    const text = await inShell(folder, words('petal status --store my-pool'));
    t.regex(text.stdout, /s1 +up /);
    t.regex(text.stdout, /s2 +down /);
    t.regex(text.stdout, /PAIR +TERM +PRIMARY +IN SYNC +STALE +STATE/);
    await one.end();
    await directory.end();
    const later = await inShell(folder, words('petal status --store my-pool'));
    t.regex(later.stdout, /s1 +down /);
    t.regex(later.stdout, /directory not served here/);
  },
);

test.serial(
  'a server, and the directory, are started once: the second is refused with the owner',
  async (t) => {
    const directory = await serving(t, words('petal directory --store my-pool'));
    const again = await inShell(folder, words('petal directory --store my-pool'));
    t.is(again.code, 2);
    t.regex(again.stderr, new RegExp(`process ${directory.pid} \\(stordom petal directory\\)`));
    const server = await serving(t, words('petal server --store my-pool --id 3'));
    const other = await inShell(folder, words('petal server --store my-pool --id 3'));
    t.is(other.code, 2);
    t.regex(other.stderr, new RegExp(`process ${server.pid} \\(stordom petal server --id 3\\)`));
    await server.end();
    await directory.end();
  },
);

test.serial('each life of a server has a number of its own on its disks', async (t) => {
  const directory = await serving(t, words('petal directory --store my-pool'));
  const lives: number[] = [];
  for (let life = 0; life < 2; life++) {
    const server = await serving(t, words('petal server --store my-pool --id 2'));
    const { stdout } = await inShell(folder, words('petal status --store my-pool --json'));
    const { servers } = JSON.parse(stdout) as { servers: { report: { incarnation: number } }[] };
    lives.push(servers[1]?.report.incarnation ?? 0);
    await server.end();
  }
  t.is(lives[1], (lives[0] ?? 0) + 1);
  await directory.end();
});

interface PoolStatus {
  readonly pairs: readonly { readonly group: number; readonly inSync: readonly number[] }[];
  readonly acts: readonly { readonly operator: string; readonly lost: readonly number[] }[];
}

/** Settles when those are in sync in the group. */
async function inSync(group: number, servers: readonly number[]): Promise<PoolStatus> {
  let status: PoolStatus = { pairs: [], acts: [] };
  const isSo = async (): Promise<boolean> => {
    const { stdout } = await inShell(folder, words('petal status --store my-pool --json'));
    status = JSON.parse(stdout) as PoolStatus;
    const found = status.pairs.find((pair) => pair.group === group)?.inSync ?? [];
    return [...found].sort((a, b) => a - b).join() === servers.join();
  };
  await until(`group ${group}: ${servers.join()} in sync`, isSo, START_MS);
  return status;
}

test.serial(
  'the examples of petal force have copies go on whose partners are lost, and only those',
  async (t) => {
    t.timeout(4 * START_MS);
    const [first = [], second = []] = await examplesOf(t, 'force');
    const refused = async (args: readonly string[], says: RegExp): Promise<void> => {
      const { code, stderr } = await inShell(folder, args);
      t.is(code, 2, stderr);
      t.regex(stderr, says);
    };
    const start = (id: number) => serving(t, words(`petal server --store my-pool --id ${id}`));
    const directory = await serving(t, words('petal directory --store my-pool'));
    let one = await start(1);
    let two = await start(2);
    const three = await start(3);
    for (const [group, both] of [
      [0, [1, 2]],
      [1, [2, 3]],
      [2, [1, 3]],
    ] as const) {
      await inSync(group, both);
    }
    await refused(first, /s\d is in sync and runs, so pair 1\/0 goes on/);
    await refused(
      first.map((word) => (word === '1/0' ? '1/1' : word)),
      /s1 keeps no copy of/,
    );
    await refused(
      first.map((word) => (word === '1/0' ? '1/9' : word)),
      /there is no pair 1\/9/,
    );
    await one.end();
    await inSync(0, [2]);
    await two.end();
    await inSync(1, [3]);
    await three.end();
    await refused(first, /s1 does not run; start it/);
    one = await start(1);
    await refused(
      first.filter((word) => word !== '--lossy'),
      /what only s2 had would be lost for good; .*--lossy/,
    );
    const forced = await inShell(folder, first);
    t.is(forced.code, 0, forced.stderr);
    t.regex(forced.stdout, /^pair 1\/0: s1 goes on alone with what it has, in term \d+; act 1 /);
    two = await start(2);
    await inSync(0, [1, 2]);
    t.is((await inShell(folder, second)).code, 0);
    const status = await inSync(1, [2]);
    t.like(status?.acts, [{ lost: [2] }, { operator: 'ada', lost: [3] }]);
    const { stdout } = await inShell(folder, words('petal status --store my-pool'));
    t.regex(stdout, /act 2 of ada, .*: pair 1\/1 goes on with s2, without what s3 had \(fire\)/);
    for (const serving of [one, two, directory]) await serving.end();
  },
);

const REFUSED: readonly (readonly [line: string, says: RegExp])[] = [
  ['create --store my-pool --servers 4', /--store: .* is not empty; .* name another one/],
  ['create --store other --servers 1', /--servers: "1" .* from 2 to 32/],
  ['create --store other --servers 2 --copies 3', /--copies: 3 copies need .* --servers 3/],
  ['create --store other --servers 4 --disk-size 5k', /--disk-size/],
  ['create --store other --servers 4 --disks 9', /--disks: "9" .* from 1 to 8/],
  ['force --store my-pool --pair x --keep 1 --reason y', /--pair: "x" is no pair; .* --pair 1\/0/],
  ['force --store my-pool --pair 1/0 --keep 1 --reason y', /is not served, .* stordom serve/],
  ['server --store nowhere --id 1', /--store: .* holds no Petal pool .* petal create/],
  ['server --store my-pool --id x', /--id: "x" is not usable/],
  [
    'server --store my-pool --id 1 --listen 7001',
    /--listen: "7001" .* expected unix:PATH, tcp:PORT/,
  ],
  [
    'server --store my-pool --id 1 --listen tcp:192.0.2.1:7001',
    /no authentication.*--allow-remote/,
  ],
  [
    'server --store my-pool --id 1 --listen tcp:0.0.0.0:7001',
    /no address that the others can dial/,
  ],
  ['directory --store my-pool --listen tcp:192.0.2.1:1', /--allow-remote/],
  ['status --store nowhere', /--store: .* holds no Petal pool/],
];

for (const [line, says] of REFUSED) {
  test.serial(`petal ${line}: refused with what to do, and nothing is made`, async (t) => {
    const { code, stderr } = await inShell(folder, ['petal', ...words(line)]);
    t.is(code, 2, stderr);
    t.regex(stderr, says);
    t.false(existsSync(join(folder, 'other')));
    t.false(existsSync(join(folder, 'nowhere')));
  });
}

test.serial(
  'a server whose number the pool does not have is refused when the directory says so',
  async (t) => {
    const directory = await serving(t, words('petal directory --store my-pool'));
    const { code, stderr } = await inShell(folder, words('petal server --store my-pool --id 9'));
    t.is(code, 2);
    t.regex(stderr, /server 9 of pool "pool" is not in the directory/);
    t.false(existsSync(join(folder, 'my-pool', 's9', 'log')));
    await directory.end();
    t.true(readFileSync(join(folder, 'my-pool', 'directory.lmdb')).length > 0);
  },
);
