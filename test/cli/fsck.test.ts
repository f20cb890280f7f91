/** `stordom fsck` as a user types it, on stores in folders. */
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { BufferMemory } from '../../src/base/shared-memory.ts';
import type { FsckReport } from '../../src/parallax/fsck/report.ts';
import { BLOCK_BYTES, EXTENT_BLOCKS } from '../../src/world/block-pool.ts';
import { startClock } from '../../src/world/real/clock.ts';
import { LmdbDirectory } from '../../src/world/real/lmdb-directory.ts';
import { toolstackWorld } from '../../src/world/real/real-world.ts';
import { HOST, MAKER_RAM_BYTES, makeSample, StoreMaker } from '../parallax/fsck/store-maker.ts';
import { type Ended, inShell } from './helpers.ts';

interface Made {
  readonly folder: string;
  readonly maker: StoreMaker;
  readonly close: () => Promise<void>;
}

/** A store in a folder of its own, as a machine has it. */
async function madeStore(t: ExecutionContext): Promise<Made> {
  const around = await mkdtemp(join(tmpdir(), 'stordom-fsck-'));
  const folder = join(around, 'my-store');
  await mkdir(folder);
  for (const part of ['pool', 'hosts', join('hosts', HOST)]) await mkdir(join(folder, part));
  const directory = new LmdbDirectory(join(folder, 'directory.lmdb'));
  const world = toolstackWorld({
    name: 'test',
    memory: BufferMemory.ofBytes(MAKER_RAM_BYTES),
    seed: 1,
    clockZero: startClock(),
    folder: join(folder, 'hosts', HOST),
    poolFolder: join(folder, 'pool'),
    onNote: () => {},
  });
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => {
    closing ??= world.bury().then(() => directory.close());
    return closing;
  };
  t.teardown(async () => {
    await close();
    await rm(around, { recursive: true, force: true });
  });
  return { folder, maker: new StoreMaker(world, directory), close };
}

function fsck(folder: string, ...more: string[]): Promise<Ended> {
  return inShell(tmpdir(), ['fsck', '--store', folder, ...more]);
}

function reportOf({ stdout }: Ended): FsckReport {
  return JSON.parse(stdout) as FsckReport;
}

/** Sizes and times of all files but lmdb's lock table, in which every reader has a line. */
async function filesOf(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  const files = names.filter((name) => !name.endsWith('-lock')).sort();
  return Promise.all(
    files.map(async (name) => {
      const { size, mtimeMs } = await stat(join(folder, name));
      return `${name} ${size} ${mtimeMs}`;
    }),
  );
}

/** Flips a bit in the first data block of the pool that is full of this byte. */
async function damage(folder: string, byte: number): Promise<void> {
  const file = await open(join(folder, 'pool', 'blocks'), 'r+');
  const bytes = new Uint8Array(BLOCK_BYTES);
  for (let block = EXTENT_BLOCKS; ; block++) {
    const position = block * BLOCK_BYTES;
    await file.read(bytes, 0, BLOCK_BYTES, position);
    if (!bytes.every((one) => one === byte)) continue;
    await file.write(new Uint8Array([byte ^ 1]), 0, 1, position);
    break;
  }
  await file.close();
}

test('fsck of a stopped store says that it is whole, exits with 0 and changes no file', async (t) => {
  const { folder, maker, close } = await madeStore(t);
  await makeSample(maker);
  await close();
  const before = await filesOf(folder);
  const ended = await fsck(folder);
  t.deepEqual([ended.code, ended.stderr], [0, '']);
  t.regex(ended.stdout, /^✔ the store is whole: 3 images, 2 snapshots, /);
  t.regex(ended.stdout, /\n +1 +disk +h0 +W2 /);
  t.deepEqual(await filesOf(folder), before);
  const quiet = await fsck(folder, '--quiet');
  t.is(quiet.stdout.split('\n').length, 2);
});

test('fsck: both examples of its help run as printed, beside a store of that name', async (t) => {
  const { folder, maker, close } = await madeStore(t);
  await makeSample(maker);
  await close();
  const { stdout } = await inShell(folder, ['fsck', '--help']);
  const examples = [...stdout.matchAll(/\$ stordom (fsck .*)/g)].map(([, args]) => args ?? '');
  t.is(examples.length, 2);
  for (const example of examples) {
    const ended = await inShell(dirname(folder), example.split(' '));
    t.is(ended.code, 0, ended.stderr);
  }
});

test('fsck of a damaged store names image and block, says what to do and exits with 1', async (t) => {
  const { folder, maker, close } = await madeStore(t);
  await makeSample(maker);
  await close();
  await damage(folder, 4);
  const text = await fsck(folder);
  t.is(text.code, 1);
  t.regex(text.stdout, /^✘ 1 error: /);
  t.regex(text.stdout, /✘ error data-damaged: image 2 "other", block 0\n/);
  t.regex(text.stdout, /To do: restore these blocks from a copy/);
  const json = await fsck(folder, '--json');
  t.is(json.code, 1);
  const report = reportOf(json);
  t.deepEqual([report.format, report.ok, report.errors], ['stordom-fsck', false, 1]);
  const without = await fsck(folder, '--json', '--no-data');
  t.is(without.code, 0);
  t.false(reportOf(without).withData);
});

test('fsck of a store that another process has open looks at it and at the log of its host', async (t) => {
  const { folder, maker } = await madeStore(t);
  await maker.create();
  await maker.start();
  await maker.image('disk', 700);
  await maker.write('disk', [1, 2, 3], 9);
  const ended = await fsck(folder, '--json', '--host', HOST);
  t.is(ended.code, 0, ended.stdout + ended.stderr);
  const [host] = reportOf(ended).hosts;
  t.deepEqual([host?.host, host?.attached], [HOST, true]);
  t.is(host?.incarnations[0]?.state, 'open');
  await maker.stop();
});

test('fsck of what is no store, or of a host that is none of it, exits with 2 and makes nothing', async (t) => {
  const { folder, maker, close } = await madeStore(t);
  await maker.create();
  await close();
  const host = await fsck(folder, '--host', 'h1');
  t.is(host.code, 2);
  t.regex(host.stderr, /--host: "h1" is unknown; expected h0/);
  const empty = await mkdtemp(join(tmpdir(), 'stordom-fsck-none-'));
  t.teardown(() => rm(empty, { recursive: true, force: true }));
  const none = await fsck(empty);
  t.is(none.code, 2);
  t.regex(none.stderr, /holds no store \(no file directory\.lmdb\)/);
  t.deepEqual(await readdir(empty), []);
  const missing = await inShell(empty, ['fsck']);
  t.is(missing.code, 2);
  t.regex(missing.stderr, /--store/);
  t.true((await readFile(join(folder, 'directory.lmdb'))).length > 0);
});
