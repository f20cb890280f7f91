/** `vdi takeover` and `vdi orphan`: an image goes to another host, and what was left behind. */
import { readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Ended, inShell, workFolder } from './helpers.ts';
import { dropPin, holdStore, writeAndDie } from './store-bench.ts';

const PAGE = 4096;

interface Bench {
  readonly store: string;
  readonly vdi: (line: string) => Promise<Ended>;
  readonly ok: (line: string) => Promise<string>;
  readonly fills: (image: string) => Promise<number>;
}

/** A store with an image `a` of host h0, which died with 64 blocks of 7 that nobody published. */
async function benchOf(t: ExecutionContext): Promise<Bench> {
  const { folder, remove } = workFolder();
  t.teardown(remove);
  const vdi = (line: string): Promise<Ended> =>
    inShell(folder, ['vdi', ...line.split(' '), '--store', 's']);
  const ok = async (line: string): Promise<string> => {
    const { code, stdout, stderr } = await vdi(line);
    t.is(code, 0, `${line}: ${stderr}`);
    return stdout;
  };
  /** Blocks of 7 at the beginning of an image. */
  const fills = async (image: string): Promise<number> => {
    const file = `${image}-${Math.random()}.raw`;
    await ok(`export ${image} ${file}`);
    const bytes = readFileSync(join(folder, file));
    const end = bytes.findIndex((byte) => byte !== 7);
    t.true(bytes.subarray(end).every((byte) => byte === 0));
    return end / PAGE;
  };
  await ok('create a --size 1m');
  const store = join(folder, 's');
  await writeAndDie(store, 'h0', 7, ['a']);
  return { store, vdi, ok, fills };
}

function fsckOf(store: string): Promise<Ended> {
  return inShell(store, ['fsck', '--store', store]);
}

test('a host that has ended and whose log is here: all is published first, nothing is left behind', async (t) => {
  const { store, ok, fills, vdi } = await benchOf(t);
  t.regex(await ok('takeover a --to h1'), /of host h1 now; everything .* is published/);
  t.is(await fills('a'), 64);
  t.regex(await ok('orphan ls'), /nothing is pinned/);
  const again = await vdi('takeover a --to h1');
  t.is(again.code, 2);
  t.regex(again.stderr, /a is of host h1 already/);
  t.is((await fsckOf(store)).code, 0);
});

test('a host is lost and comes back: the image is as published, what followed becomes an orphan, and is kept', async (t) => {
  const { store, ok, fills, vdi } = await benchOf(t);
  const disks = join(store, 'hosts', 'h0');
  renameSync(disks, join(store, 'away'));
  t.regex(
    await ok('takeover a --to h1'),
    /up to mutation 0; what it had acknowledged beyond that is not known to the pool/,
  );
  t.is(await fills('a'), 0);
  t.regex(await ok('orphan ls'), /a +1 +0 +- +its log is not here/);
  const early = await vdi('orphan keep a');
  t.is(early.code, 2);
  t.regex(early.stderr, /is not here: bring the disks of that host back, .* orphan drop a/);
  const twice = await vdi('takeover a --to h2');
  t.is(twice.code, 0, 'h1 has closed it');
  renameSync(join(store, 'away'), disks);
  t.regex(await ok('orphan ls'), /a +1 +0 +- +in the log of h0/);
  await ok('create other --size 1m');
  const started = await vdi('snapshot other s');
  t.regex(started.stderr, /what the log has of it becomes a\.orphan-1/);
  t.regex(await ok('orphan ls'), /a +1 +0 +a\.orphan-1 +published by h0/);
  t.is(await fills('a.orphan-1'), 64);
  const kept = JSON.parse(await ok('orphan keep a --as found --json')) as object;
  t.deepEqual(kept, { orphan: 'a.orphan-1', image: 'found' });
  t.is(await fills('found'), 64);
  t.is(await fills('a'), 0);
  t.regex(await ok('orphan ls'), /nothing is pinned/);
  t.is((await fsckOf(store)).code, 0);
});

test('what is left behind by force is said, and dropped by command, before or after it is an image', async (t) => {
  const { store, ok, vdi } = await benchOf(t);
  await ok('create b --size 1m --host h5');
  await writeAndDie(store, 'h5', 7, ['b']);
  const result = JSON.parse(await ok('takeover a --to h1 --force --json')) as object;
  t.like(result, {
    from: 'h0',
    to: 'h1',
    watermark: 0,
    pinned: 1,
    leftBehind: { requests: 64, bytes: 64 * PAGE },
  });
  await ok('takeover b --to h1 --force');
  await ok('create c --size 1m --host h5');
  await ok('snapshot c s');
  await ok('orphan drop a');
  await dropPin(store, 2, 1);
  t.regex(await ok('orphan ls'), /b +1 +0 +b\.orphan-1 +published by h5/, 'also without its pin');
  t.regex(await ok('orphan drop b.orphan-1'), /b\.orphan-1: dropped/);
  t.regex(await ok('orphan ls'), /nothing is pinned/);
  const { images } = JSON.parse(await ok('ls --json')) as { images: { name: string }[] };
  t.deepEqual(
    images.map(({ name }) => name),
    ['a', 'b', 'c'],
  );
  const none = await vdi('orphan drop a');
  t.is(none.code, 2);
  t.regex(none.stderr, /a is no orphan, and nothing is pinned in it/);
  t.is((await fsckOf(store)).code, 0);
});

test('an image that a lost host has a part of is removed only by who says so twice', async (t) => {
  const { ok, vdi } = await benchOf(t);
  await ok('takeover a --to h1 --force');
  const refused = await vdi('rm a');
  t.is(refused.code, 2);
  t.regex(refused.stderr, /a was taken over from a host that was lost.*orphan ls.*E_IMAGE_PINNED/s);
  await ok('orphan drop a');
  await ok('rm a');
  t.regex(await ok('ls'), /no images/);
});

test('what was dropped is told by nobody as a loss, when the image is back on the host whose log has it', async (t) => {
  const { ok, fills } = await benchOf(t);
  await ok('takeover a --to h1 --force');
  await ok('orphan drop a');
  await ok('takeover a --to h0');
  const { images } = JSON.parse(await ok('ls --json')) as { images: { loss: object }[] };
  t.like(images[0]?.loss, { requests: 0, bytes: 0 });
  t.is(await fills('a'), 0);
});

test('a host that lives keeps its image, unless it is taken by force', async (t) => {
  const { store, vdi, ok } = await benchOf(t);
  const { pid, kill } = await holdStore(store);
  try {
    const refused = await vdi('takeover a --to h1');
    t.is(refused.code, 2);
    t.regex(refused.stderr, new RegExp(`host h0, which lives: process ${pid} \\(stordom serve\\)`));
    t.regex(refused.stderr, /beyond mutation 0 would stay in its log.*--force.*E_HOST_ALIVE/s);
    t.is((await vdi('takeover a --to h1 --force')).code, 0);
  } finally {
    await kill();
  }
  t.regex(await ok('orphan ls'), /a +1 +0 +- +in the log of h0/);
});

test('a second take-over while one is pinned is refused with what to do', async (t) => {
  const { store, vdi, ok } = await benchOf(t);
  await ok('takeover a --to h1 --force');
  await writeAndDie(store, 'h1', 7, ['a']);
  rmSync(join(store, 'hosts', 'h1'), { recursive: true });
  const refused = await vdi('takeover a --to h2');
  t.is(refused.code, 2);
  t.regex(refused.stderr, /pinned what it was in generation 1.*claim or drop/s);
  await ok('orphan drop a');
  t.is((await vdi('takeover a --to h2')).code, 0);
});
