/**
 * The kernel of this machine has an ext4 file system on a served image: nbdfuse shows the export as
 * a file, and a loop device makes a disk of the file. Both need /dev/fuse, the loop device needs
 * root as well; where these are not, the tests are skipped.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { until } from '../world/real/helpers.ts';
import { where } from './clients.ts';
import { ended, ServeBench } from './serve-bench.ts';
import { rawImage, sameBytes } from './store-bench.ts';

const SLOW_MS = 170_000;
const START_MS = 30_000;
const hasFuse = existsSync('/dev/fuse');
const hasLoop = hasFuse && existsSync('/dev/loop-control') && process.getuid?.() === 0;

const fuseTest = hasFuse ? where('nbdfuse', 'fusermount3', 'mkfs.ext4', 'debugfs') : test.skip;
const loopTest = hasLoop ? where('nbdfuse', 'fusermount3', 'mkfs.ext4') : test.skip;

/** Shows an export as a file; its path, and what ends that. */
async function showAsFile(t: ExecutionContext, bench: ServeBench, uri: string) {
  const folder = bench.path('fuse');
  mkdirSync(folder);
  const file = join(folder, 'disk');
  const nbdfuse = spawn('nbdfuse', [file, uri]);
  const over = ended(nbdfuse);
  const end = async (): Promise<void> => {
    if (nbdfuse.exitCode === null) await bench.client('fusermount3', ['-u', folder]);
    await over;
  };
  t.teardown(async () => {
    await bench.client('fusermount3', ['-u', '-z', folder]);
    nbdfuse.kill('SIGKILL');
  });
  await until(
    'nbdfuse shows the file',
    () => existsSync(file) || nbdfuse.exitCode !== null,
    START_MS,
  );
  t.is(nbdfuse.exitCode, null, 'nbdfuse lives');
  return { file, end };
}

fuseTest(
  'nbdfuse (libnbd-bin, fuse3, e2fsprogs; /dev/fuse): a file system is made with files in it, and is clean',
  async (t) => {
    t.timeout(SLOW_MS);
    const bench = new ServeBench(t);
    mkdirSync(bench.path('files'));
    const files = [1, 2, 3].map((seed) => ({ name: `file${seed}`, bytes: rawImage(seed, 700) }));
    for (const { name, bytes } of files) writeFileSync(bench.path(join('files', name)), bytes);
    await bench.ok('vdi create disk --size 64m');
    const { uri, end } = await bench.serve();
    const shown = await showAsFile(t, bench, uri('disk'));
    await bench.clientOk('mkfs.ext4', ['-q', '-F', '-d', 'files', shown.file]);
    await bench.ok('ctl kill driver-vm');
    await bench.clientOk('e2fsck', ['-f', '-n', shown.file]);
    await shown.end();
    t.is((await end()).code, 0);
    await bench.ok('vdi export disk stopped.raw');
    for (const { name, bytes } of files) {
      await bench.clientOk('debugfs', ['-R', `dump ${name} ${name}.out`, 'stopped.raw']);
      t.true(sameBytes(readFileSync(bench.path(`${name}.out`)), bytes), name);
    }
  },
);

loopTest(
  'mount (libnbd-bin, fuse3, e2fsprogs; root, /dev/fuse, a loop device): files are synced over a dead driver VM',
  async (t) => {
    t.timeout(SLOW_MS);
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 64m');
    const { uri, end } = await bench.serve();
    const shown = await showAsFile(t, bench, uri('disk'));
    await bench.clientOk('mkfs.ext4', ['-q', '-F', shown.file]);
    const mounted = bench.path('mounted');
    mkdirSync(mounted);
    t.teardown(() => bench.client('umount', ['-l', mounted]));
    await bench.clientOk('mount', ['-o', 'loop', shown.file, mounted]);
    t.not(statSync(mounted).dev, statSync(bench.folder).dev, 'it is mounted');
    const bytes = rawImage(4, 3000);
    const paths = ['before', 'over', 'after'].map((name) => join(mounted, name));
    const [before = '', over = '', after = ''] = paths;
    writeFileSync(before, bytes, { flush: true });
    const killed = bench.ok('ctl kill driver-vm');
    await bench.clientOk('dd', [`if=${before}`, `of=${over}`, 'bs=64k', 'conv=fsync']);
    await killed;
    writeFileSync(after, bytes, { flush: true });
    await bench.clientOk('umount', [mounted]);
    await bench.clientOk('e2fsck', ['-f', '-n', shown.file]);
    await bench.clientOk('mount', ['-o', 'loop,ro', shown.file, mounted]);
    for (const path of paths) t.true(sameBytes(readFileSync(path), bytes), path);
    await bench.clientOk('umount', [mounted]);
    await shown.end();
    t.is((await end()).code, 0);
  },
);
