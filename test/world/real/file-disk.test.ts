import fs from 'node:fs';
import { mkdir, readdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { UsageError } from '../../../src/base/errors.ts';
import { statusOf } from '../../../src/world/real/file-disk.ts';
import { FileDisks } from '../../../src/world/real/file-disks.ts';
import { createHostMemory } from '../../../src/world/real/wasm-memory.ts';
import { type Disk, DiskStatus } from '../../../src/world/world.ts';
import { folderOf, until } from './helpers.ts';

type Operation = 'read' | 'write' | 'flush' | 'zero';

function run(
  disk: Disk,
  operation: Operation,
  position = 0,
  buffer: Uint8Array = new Uint8Array(0),
  lengthBytes: number = buffer.length,
): Promise<DiskStatus> {
  return new Promise((resolve, reject) => {
    let inside = true;
    disk[operation]({
      buffer,
      bufferOffset: 0,
      lengthBytes,
      position,
      diskDone: (status) => {
        if (inside) reject(new Error('diskDone was called inside the call'));
        resolve(status);
      },
    });
    inside = false;
  });
}

async function disksOf(t: ExecutionContext): Promise<{ disks: FileDisks; folder: string }> {
  const folder = await folderOf(t);
  return { disks: new FileDisks(folder, () => {}), folder };
}

test('what was written, from shared memory too, is read back after opening again', async (t) => {
  const { disks } = await disksOf(t);
  const disk = await disks.open('d0', { writable: true, createBytes: 1 << 20 });
  t.is(disk.sizeBytes, 1 << 20);
  const ram = createHostMemory(65536);
  ram.u8.fill(0x5a, 0, 8192);
  t.is(await run(disk, 'write', 4096, ram.u8, 8192), DiskStatus.ok);
  t.is(await run(disk, 'flush'), DiskStatus.ok);
  await disk.close();
  const again = await disks.open('d0', { writable: false });
  const back = new Uint8Array(12288);
  t.is(await run(again, 'read', 0, back), DiskStatus.ok);
  t.true(back.subarray(0, 4096).every((byte) => byte === 0));
  t.true(back.subarray(4096).every((byte) => byte === 0x5a));
  back.fill(1);
  t.is(again.readNow(back, 10, 100, 4096), DiskStatus.ok);
  t.deepEqual([...back.subarray(8, 12)], [1, 1, 0x5a, 0x5a]);
  t.is(back[110], 1);
  await again.close();
});

test('writes that may be inline are done like any others, small and large, and never in the call', async (t) => {
  const { disks } = await disksOf(t);
  const options = { writable: true, createBytes: 1 << 20, writesInline: true };
  const disk = await disks.open('d0', options);
  const small = new Uint8Array(4096).fill(7);
  const large = new Uint8Array(512 * 1024).fill(8);
  const empty = new Uint8Array(0);
  const writes = [run(disk, 'write', 0, small), run(disk, 'write', 4096, large)];
  t.deepEqual(await Promise.all([...writes, run(disk, 'write', 0, empty)]), [0, 0, 0]);
  t.is(await run(disk, 'write', 1 << 20, small), DiskStatus.outOfRange);
  t.is(await run(disk, 'flush'), DiskStatus.ok);
  const back = new Uint8Array(4096 + large.length);
  t.is(await run(disk, 'read', 0, back), DiskStatus.ok);
  t.true(back.every((byte, at) => byte === (at < 4096 ? 7 : 8)));
  t.is(disks.inFlight, 0);
  await disk.close();
});

test('many operations in flight at once each complete once, with their own bytes', async (t) => {
  const { disks } = await disksOf(t);
  const disk = await disks.open('d0', { writable: true, createBytes: 1 << 20 });
  const all = Array.from({ length: 256 }, (_, at) => at);
  const writes = all.map((at) => run(disk, 'write', at * 4096, new Uint8Array(4096).fill(at)));
  t.true((await Promise.all(writes)).every((status) => status === DiskStatus.ok));
  t.is(disks.inFlight, 0);
  const buffers = all.map(() => new Uint8Array(4096));
  const reads = all.map((at) => run(disk, 'read', at * 4096, buffers[at]));
  t.true((await Promise.all(reads)).every((status) => status === DiskStatus.ok));
  t.true(buffers.every((buffer, at) => buffer.every((byte) => byte === at)));
  await disk.close();
});

test('zero clears exactly its range, longer than one piece', async (t) => {
  const { disks } = await disksOf(t);
  const disk = await disks.open('d0', { writable: true, createBytes: 1 << 20 });
  await run(disk, 'write', 0, new Uint8Array(1 << 20).fill(9));
  t.is(await run(disk, 'zero', 512, undefined, 300_000), DiskStatus.ok);
  const back = new Uint8Array(1 << 20);
  await run(disk, 'read', 0, back);
  t.is(back.indexOf(0), 512);
  t.is(back.lastIndexOf(0), 512 + 300_000 - 1);
  t.true(back.subarray(512, 512 + 300_000).every((byte) => byte === 0));
  await disk.close();
});

test('ranges outside the disk and writes to a read-only one give a status', async (t) => {
  const { disks } = await disksOf(t);
  await (await disks.open('d0', { writable: true, createBytes: 4096 })).close();
  const disk = await disks.open('d0', { writable: false });
  const block = new Uint8Array(512);
  t.is(await run(disk, 'read', 4096 - 511, block), DiskStatus.outOfRange);
  t.is(await run(disk, 'read', -1, block), DiskStatus.outOfRange);
  t.is(disk.readNow(block, 0, 512, 4096), DiskStatus.outOfRange);
  t.is(await run(disk, 'write', 0, block), DiskStatus.notWritable);
  t.is(await run(disk, 'zero', 0, block), DiskStatus.notWritable);
  t.is(await run(disk, 'read', 4096, block, 0), DiskStatus.ok);
  await disk.close();
  t.throws(() => disk.readNow(block, 0, 1, 0), { message: /after closing/ });
  await t.throwsAsync(run(disk, 'read', 0, block), { message: /after closing/ });
});

test('a file that has lost bytes is a medium error, not zeros', async (t) => {
  const { disks, folder } = await disksOf(t);
  const disk = await disks.open('d0', { writable: true, createBytes: 8192 });
  await truncate(join(folder, 'd0'), 5000);
  t.is(await run(disk, 'read', 4096, new Uint8Array(4096)), DiskStatus.ioError);
  t.is(disk.readNow(new Uint8Array(4096), 0, 4096, 4096), DiskStatus.ioError);
  await disk.close();
});

test.serial(
  'short reads and writes are continued, and errors of the system are told apart',
  async (t) => {
    const { disks } = await disksOf(t);
    const disk = await disks.open('d0', { writable: true, createBytes: 65536 });
    const { read, write } = fs;
    t.teardown(() => Object.assign(fs, { read, write }));
    const shortened =
      (call: unknown) =>
      (...args: unknown[]) => {
        args[3] = Math.min(args[3] as number, 1000);
        (call as (...all: unknown[]) => void)(...args);
      };
    Object.assign(fs, { read: shortened(read), write: shortened(write) });
    const data = Uint8Array.from({ length: 10_500 }, (_, at) => at * 7);
    t.is(await run(disk, 'write', 100, data), DiskStatus.ok);
    const back = new Uint8Array(data.length);
    t.is(await run(disk, 'read', 100, back), DiskStatus.ok);
    t.deepEqual(back, data);
    for (const [code, status] of [
      ['ENOSPC', DiskStatus.noSpace],
      ['EDQUOT', DiskStatus.noSpace],
      ['EROFS', DiskStatus.notWritable],
      ['EBADF', DiskStatus.notWritable],
      ['EIO', DiskStatus.ioError],
      ['ESTALE', DiskStatus.ioError],
    ] as const) {
      t.is(statusOf(Object.assign(new Error(code), { code })), status);
      const failing = (...args: unknown[]): void => {
        const done = args.at(-1) as (error: Error, count: number) => void;
        setImmediate(() => done(Object.assign(new Error(code), { code }), 0));
      };
      Object.assign(fs, { write: failing });
      t.is(await run(disk, 'write', 0, new Uint8Array(10)), status, code);
    }
    await disk.close();
  },
);

test('resize grows with zeros, shrinks, and moves the bounds', async (t) => {
  const { disks } = await disksOf(t);
  const disk = await disks.open('d0', { writable: true, createBytes: 4096 });
  await run(disk, 'write', 0, new Uint8Array(4096).fill(1));
  await disk.resize(512);
  t.is(await run(disk, 'read', 512, new Uint8Array(1)), DiskStatus.outOfRange);
  await disk.resize(4096);
  const back = new Uint8Array(4096).fill(7);
  t.is(await run(disk, 'read', 0, back), DiskStatus.ok);
  t.deepEqual([...back.subarray(510, 514)], [1, 1, 0, 0]);
  await disk.close();
  const readonly = await disks.open('d0', { writable: false });
  await t.throwsAsync(readonly.resize(1), { code: 'E_DISK_RESIZE' });
  await readonly.close();
});

for (const name of ['', '.', '..', '../d0', 'a/b', '.hidden', 'a\0b', 'x'.repeat(201)]) {
  test(`the name ${JSON.stringify(name).slice(0, 20)} does not leave the folder`, async (t) => {
    const { disks, folder } = await disksOf(t);
    const open = disks.open(name, { writable: true, createBytes: 4096 });
    await t.throwsAsync(open, { instanceOf: UsageError, code: 'E_DISK_NAME' });
    t.deepEqual(await readdir(folder), []);
  });
}

test('missing, too small, a folder or a link: the error says what to do', async (t) => {
  const { disks, folder } = await disksOf(t);
  await writeFile(join(folder, 'small'), new Uint8Array(100));
  await mkdir(join(folder, 'folder'));
  await symlink('small', join(folder, 'link'));
  const cases = [
    ['missing', undefined, 'E_DISK_MISSING', /create the disk first/],
    ['small', 4096, 'E_DISK_TOO_SMALL', /has 100 bytes, expected at least 4096/],
    ['folder', undefined, 'E_DISK_NOT_A_FILE', /not a regular file/],
    ['link', undefined, 'E_DISK_NOT_A_FILE', /not a regular file/],
  ] as const;
  for (const [name, createBytes, code, message] of cases) {
    const options = createBytes === undefined ? {} : { createBytes };
    const open = disks.open(name, { writable: true, ...options });
    const error = await t.throwsAsync(open, { instanceOf: UsageError, code, message });
    t.true(error?.message.includes(join(folder, name)), 'the path is named');
  }
  const nowhere = new FileDisks(join(folder, 'nowhere'), () => {});
  const created = nowhere.open('d0', { writable: true, createBytes: 1 });
  await t.throwsAsync(created, { code: 'E_DISK_MISSING' });
  t.is(disks.inFlight, 0);
});

test('a file that may not be written says so', async (t) => {
  let folder = await folderOf(t);
  let name = 'd0';
  await writeFile(join(folder, name), new Uint8Array(100), { mode: 0o444 });
  // Modes do not stop root, but the kernel's own read-only files do.
  if (process.getuid?.() === 0) [folder, name] = ['/sys/kernel', 'uevent_seqnum'];
  const opening = new FileDisks(folder, () => {}).open(name, { writable: true });
  const error = await t.throwsAsync(opening, { instanceOf: UsageError });
  t.is(error?.code, 'E_DISK_NOT_WRITABLE');
  t.true(error?.message.includes(join(folder, name)));
});

test('ten who create the same disk at once get one, and leave nothing else', async (t) => {
  const { disks, folder } = await disksOf(t);
  const opened = await Promise.all(
    Array.from({ length: 10 }, () => disks.open('d0', { writable: true, createBytes: 8192 })),
  );
  t.deepEqual(await readdir(folder), ['d0']);
  await run(opened[0] as Disk, 'write', 0, Uint8Array.of(3));
  const back = new Uint8Array(1);
  await run(opened[9] as Disk, 'read', 0, back);
  t.is(back[0], 3);
  for (const disk of opened) await disk.close();
});

test('disks of a dead incarnation: no completion and nothing in flight', async (t) => {
  const { disks } = await disksOf(t);
  let reached = 0;
  const reach = (): void => {
    reached += 1;
  };
  const disk = await disks.open('d0', { writable: true, createBytes: 1 << 22 });
  const data = new Uint8Array(1 << 20).fill(4);
  for (let at = 0; at < 4; at++) void run(disk, 'write', at << 20, data).then(reach, reach);
  void disk.resize(1 << 23).then(reach, reach);
  void disks.open('d1', { writable: true, createBytes: 512 }).then(reach, reach);
  void disks.open('missing', { writable: true }).then(reach, reach);
  t.true(disks.inFlight > 0);
  await disks.bury();
  t.is(disks.inFlight, 0);
  void run(disk, 'read', 0, data).then(reach, reach);
  void disks.open('d0', { writable: false }).then(reach, reach);
  void disk.close().then(reach, reach);
  let turns = 0;
  await until('the event loop has turned', () => ++turns > 50);
  t.is(reached, 0);
});

test('disks are listed in order, without what is not a disk; a removed one is gone', async (t) => {
  const { disks, folder } = await disksOf(t);
  for (const name of ['b', 'c', 'a']) {
    await (await disks.open(name, { writable: true, createBytes: 512 })).close();
  }
  await writeFile(join(folder, '.d.new-1'), 'half made');
  await disks.remove('c');
  await disks.remove('never-was');
  t.deepEqual(await disks.list(), ['a', 'b']);
  await t.throwsAsync(disks.remove('../a'), { code: 'E_DISK_NAME' });
});
