/** `vdi move` and `ctl move`: an image goes to another host by plan, with everything it has. */
import { readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ServeBench } from './serve-bench.ts';
import { writeAndDie } from './store-bench.ts';

const PAGE = 4096;

/** A store with an image `a` of h0, which died with 64 blocks of 7 that nobody had published. */
async function withDeadHost(bench: ServeBench): Promise<void> {
  await bench.ok('vdi create a --size 1m');
  await writeAndDie(bench.path('s'), 'h0', 7, ['a']);
}

async function fills(bench: ServeBench): Promise<number> {
  rmSync(bench.path('a.raw'), { force: true });
  await bench.ok('vdi export a a.raw');
  return readFileSync(bench.path('a.raw')).findIndex((byte) => byte !== 7) / PAGE;
}

test('vdi move: what the log of the host has is published first, and the other host has all of it', async (t) => {
  const bench = new ServeBench(t);
  await withDeadHost(bench);
  const told = await bench.ok('vdi move a --to h1');
  t.regex(told, /^a: of host h1 now, with all that h0 had, of which 256k are published now/);
  t.is(await fills(bench), 64);
  t.regex(await bench.ok('vdi orphan ls'), /nothing is pinned/);
  await bench.ok('vdi snapshot a there');
  const again = await bench.run('vdi move a --to h1');
  t.is(again.code, 2);
  t.regex(again.stderr, /a is of host h1 already; name another host/);
  const back = JSON.parse(await bench.ok('vdi move a --to h0 --json')) as object;
  t.deepEqual(back, { image: 'a', from: 'h1', to: 'h0', publishedBytes: 0 });
  t.is(await fills(bench), 64);
  t.regex(await bench.ok('fsck'), /the store is whole/);
});

test('vdi move: a host whose log is not here has not all published: refused, and nothing changes', async (t) => {
  const bench = new ServeBench(t);
  await withDeadHost(bench);
  const disks = bench.path(join('s', 'hosts', 'h0'));
  renameSync(disks, bench.path('away'));
  const { code, stderr } = await bench.run('vdi move a --to h1');
  t.is(code, 2);
  t.regex(stderr, /the log of h0 is not here.* stordom vdi takeover a --to h1/);
  renameSync(bench.path('away'), disks);
  t.is(await fills(bench), 64);
});

test.serial(
  'ctl move: an image that no export has goes while others are served; one that is exported stays',
  async (t) => {
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 1m');
    await bench.ok('vdi create a --size 1m');
    await bench.serve('--export disk=disk');
    const stopped = await bench.run('vdi move a --to h1');
    t.is(stopped.code, 2);
    t.regex(stopped.stderr, /process \d+ \(stordom serve\) has this store open/);
    const used = await bench.run('ctl move disk --to h1');
    t.is(used.code, 2);
    t.regex(used.stderr, /disk is served as export disk, .* does not move under its clients/);
    t.is(await bench.ok('ctl move a --to h1'), 'a: of host h1 now\n');
    const bad = await bench.run('ctl move nothing --to h1');
    t.is(bad.code, 2);
    const ls = JSON.parse(await bench.ok('vdi ls --json')) as {
      images: { name: string; host: string }[];
    };
    t.deepEqual(ls.images.map(({ name, host }) => `${name} of ${host}`).sort(), [
      'a of h1',
      'disk of h0',
    ]);
  },
);
