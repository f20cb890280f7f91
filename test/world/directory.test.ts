/** One suite for all bindings of the directory, and what each does beyond it. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { LmdbDirectory } from '../../src/world/real/lmdb-directory.ts';
import type { SimVoters } from '../../src/world/sim/sim-voters.ts';
import {
  realClient,
  runStory,
  simDirectoryBench,
  simVotersBench,
} from '../helpers/directory-bench.ts';
import { DIRECTORY_CASES, type DirectoryBench, put, versionOf } from './directory-conformance.ts';

async function lmdbFile(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stordom-directory-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'directory.lmdb');
}

async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

const BENCHES: Readonly<Record<string, (t: ExecutionContext) => Promise<DirectoryBench>>> = {
  lmdb: async (t) => {
    const path = await lmdbFile(t);
    const one = new LmdbDirectory(path);
    t.teardown(() => one.close());
    return { one, other: one, run: (story) => story(), settle: turns };
  },
  'lmdb over a link': async (t) => {
    const directory = new LmdbDirectory(await lmdbFile(t));
    const one = realClient(t, directory);
    const other = realClient(t, directory);
    t.teardown(() => directory.close());
    return { one, other, run: (story) => story(), settle: turns };
  },
  sim: async () => {
    const { simulator, directory, world } = simDirectoryBench(1);
    const run = (story: () => Promise<void>): Promise<void> => runStory(simulator, story);
    const settle = (): Promise<void> => world.timers.sleep(1e9);
    return { one: directory, other: directory, run, settle };
  },
  'sim over links that delay, reorder and double': async () => {
    const { simulator, client, world } = simDirectoryBench(2, { doubleHints: 0.3 });
    const [one, other] = [client('one'), client('other')];
    for (const { path } of [one, other]) {
      for (const direction of path.directions) {
        direction.set({ jitterNs: 300_000, duplicate: 0.3, reorder: 0.2, inOrder: false });
      }
    }
    const run = (story: () => Promise<void>): Promise<void> => runStory(simulator, story);
    const settle = (): Promise<void> => world.timers.sleep(1e9);
    return { one: one.client, other: other.client, run, settle };
  },
  'three voters': async () => voterBench(3, 3),
  'five voters over links that lose, delay, reorder and double': async () => {
    const bench = voterBench(4, 5);
    const trouble = { jitterNs: 300_000, loss: 0.02, duplicate: 0.2, reorder: 0.2, inOrder: false };
    for (const direction of bench.voters.directions()) direction.set(trouble);
    return bench;
  },
};

/** Two clients of voters that have elected somebody. */
function voterBench(seed: number, count: number): DirectoryBench & { readonly voters: SimVoters } {
  const { simulator, voters, world, client } = simVotersBench(seed, count);
  const run = (story: () => Promise<void>): Promise<void> => runStory(simulator, story);
  const settle = (): Promise<void> => world.timers.sleep(3e9);
  return { one: client('one'), other: client('other'), run, settle, voters };
}

for (const [binding, makeBench] of Object.entries(BENCHES)) {
  for (const [title, story] of Object.entries(DIRECTORY_CASES)) {
    test(`${binding}: ${title}`, async (t) => {
      const bench = await makeBench(t);
      await bench.run(() => story(t, bench));
    });
  }
}

const MODULE = new URL('../../src/world/real/lmdb-directory.js', import.meta.url).href;
const WRITER = `
import { LmdbDirectory } from ${JSON.stringify(MODULE)};
const directory = new LmdbDirectory(process.argv[2]);
for (let i = Number(process.argv[3]); ; i++) {
  const value = new Uint8Array(new Uint32Array([i]).buffer);
  await directory.txn([], [{ key: 'count/a', value }, { key: 'count/b', value }]);
  process.stdout.write(i + '\\n');
}
`;

/** Runs a process that counts up in a directory, and kills it; the last count it reported. */
async function countAndKill(script: string, path: string, from: number): Promise<number> {
  const child = spawn(process.execPath, [script, path, String(from)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  const enough = from + 20;
  await new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes(`\n${enough}\n`)) child.kill('SIGKILL');
    });
    child.on('close', () => resolve());
  });
  return Number(said.slice(0, said.lastIndexOf('\n')).split('\n').at(-1));
}

test('lmdb: kill -9 takes no settled txn, halves none, and versions go on growing', async (t) => {
  const path = await lmdbFile(t);
  const script = join(path, '..', 'writer.mjs');
  await writeFile(script, WRITER);
  let last = 0;
  let lastVersion = 0;
  for (let round = 0; round < 3; round++) {
    last = await countAndKill(script, path, last + 1);
    const directory = new LmdbDirectory(path);
    const [a, b] = await directory.list('count/');
    const count = new DataView(a?.value.buffer as ArrayBuffer).getUint32(0, true);
    t.true(count === last || count === last + 1, `${count} is stored, ${last} was settled`);
    t.deepEqual(a?.value, b?.value);
    t.is(a?.version, b?.version);
    t.true((a?.version as number) >= lastVersion + 20);
    lastVersion = a?.version as number;
    await directory.close();
    last = count;
  }
});

test('lmdb: a file that is none of ours is refused by its name', async (t) => {
  const path = await lmdbFile(t);
  const refused = { code: 'E_DIRECTORY_FILE', message: /directory\.lmdb/ };
  await writeFile(path, 'this is a text, and no table of anything at all\n'.repeat(400));
  t.throws(() => new LmdbDirectory(path), refused);
  await rm(path);
  const directory = new LmdbDirectory(path);
  for (let i = 0; i < 20; i++) await directory.txn([], [put(`k/${i}`, i)]);
  await directory.close();
  await truncate(path, 8192);
  t.throws(() => new LmdbDirectory(path), { ...refused, message: /cut short/ });
  await truncate(path, 4100);
  t.throws(() => new LmdbDirectory(path), refused);
  const nowhere = join(path, '..', 'no', 'directory.lmdb');
  t.throws(() => new LmdbDirectory(nowhere), { code: 'E_DIRECTORY_FILE' });
});

test('a client whose link is cut rejects in time, and works when it is healed', async (t) => {
  const { simulator, client, directory } = simDirectoryBench(3);
  const { client: one, path } = client('one', { timeoutNs: 10e6 });
  await runStory(simulator, async () => {
    await one.txn([], [put('k', 1)]);
    path.toActor.cut();
    await t.throwsAsync(one.txn([], [put('k', 2)]), { code: 'E_DIRECTORY', message: /10 ms/ });
    t.deepEqual(directory.entries()[0]?.value, new Uint8Array([2]), 'only the answer was lost');
    path.fromActor.cut();
    await t.throwsAsync(one.txn([], [put('k', 3)]), { code: 'E_DIRECTORY' });
    t.deepEqual(directory.entries()[0]?.value, new Uint8Array([2]));
    for (const direction of path.directions) direction.heal();
    t.deepEqual((await one.get('k'))?.value, new Uint8Array([2]));
  });
});

test('more calls than fit the window are all answered, and time out if not', async (t) => {
  const { simulator, client } = simDirectoryBench(4);
  const { client: one, path } = client('one', { timeoutNs: 50e6 });
  await runStory(simulator, async () => {
    const ask = (i: number): Promise<boolean> => one.txn([], [put(`n/${i}`, i)]);
    const many = Array.from({ length: 300 }, (_, i) => ask(i));
    t.true((await Promise.all(many)).every((made) => made));
    path.toActor.cut();
    const lost = await Promise.allSettled(Array.from({ length: 300 }, (_, i) => ask(i)));
    t.true(lost.every(({ status }) => status === 'rejected'));
    path.toActor.heal();
    t.is((await one.list('n/')).length, 300);
  });
});

test('a frame that comes twice is not made twice, however much was done between', async (t) => {
  const { simulator, client, directory } = simDirectoryBench(5);
  const { client: one, path } = client('one');
  const { client: other } = client('other');
  await runStory(simulator, async () => {
    path.fromActor.set({ duplicate: 1, reorder: 0.5, reorderNs: 20e6 });
    for (let i = 0; i < 50; i++) {
      await one.txn([], [put('k', 1)]);
      await other.txn([], [put('k', 2)]);
      await simulatorPause(other);
      t.deepEqual(directory.entries()[0]?.value, new Uint8Array([2]));
    }
  });
});

/** Longer than the latest double of a frame. */
async function simulatorPause(directory: { get(key: string): Promise<unknown> }): Promise<void> {
  for (let i = 0; i < 60; i++) await directory.get('k');
}

test('an unknown outcome is made or not, and a look afterwards tells which', async (t) => {
  const seen = { made: 0, not: 0 };
  const { simulator, directory } = simDirectoryBench(6, { lostAnswers: 0.5 });
  await runStory(simulator, async () => {
    let count = 0;
    for (let i = 0; i < 60; i++) {
      const version = await versionOf(directory, 'k');
      const txn = directory.txn([{ key: 'k', version }], [put('k', count + 1)]);
      const outcome = await txn.then(
        (made) => (made ? 'made' : 'refused'),
        () => 'unknown',
      );
      const now = (await directory.get('k'))?.value[0] ?? 0;
      t.true(outcome === 'unknown' ? now - count <= 1 : now === count + 1);
      if (outcome === 'unknown') seen[now === count ? 'not' : 'made']++;
      count = now;
    }
  });
  t.true(seen.made > 3 && seen.not > 3, JSON.stringify(seen));
});

test('without a majority nothing is answered, and what comes late finds its comparison broken', async (t) => {
  const late = { made: 0, forgotten: 0 };
  for (let seed = 1; seed <= 20; seed++) {
    const { simulator, directory } = simDirectoryBench(seed);
    await runStory(simulator, async () => {
      await directory.txn([], [put('k', 1)]);
      const version = await versionOf(directory, 'k');
      directory.setHealth('no-majority');
      await t.throwsAsync(directory.get('k'), { code: 'E_DIRECTORY' });
      const swap = directory.txn([{ key: 'k', version }], [put('k', 2)]);
      await t.throwsAsync(swap, { code: 'E_DIRECTORY' });
      directory.setHealth('up');
      late[(await versionOf(directory, 'k')) === version ? 'forgotten' : 'made']++;
      const again = await directory.txn([{ key: 'k', version }], [put('k', 3)]);
      const value = (await directory.get('k'))?.value[0];
      t.is(value, again ? 3 : 2, `seed ${seed}`);
      directory.setHealth('down');
      await t.throwsAsync(directory.txn([], [put('k', 4)]), { code: 'E_DIRECTORY' });
      directory.setHealth('up');
      t.is((await directory.get('k'))?.value[0], value, `seed ${seed}: it was not reached`);
    });
  }
  t.true(late.made > 2 && late.forgotten > 2, JSON.stringify(late));
});
