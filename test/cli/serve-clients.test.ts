/**
 * Programs that nobody here wrote have images of a served store as their disks. A program that is
 * not installed skips its tests: their titles name the Debian package that has it.
 */
import { spawn } from 'node:child_process';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { where } from './clients.ts';
import { isInstalled } from './programs.ts';
import { ended, ServeBench } from './serve-bench.ts';
import { rawImage, sameBytes } from './store-bench.ts';

const MIB = 2 ** 20;
const SLOW_MS = 170_000;

where('nbdinfo')('nbdinfo (libnbd-bin) reads what an export can do, and its map', async (t) => {
  const bench = new ServeBench(t);
  await bench.ok('vdi create disk --size 64m');
  await bench.ok('vdi create other --size 1m');
  const { uri, end } = await bench.serve('--export a=disk --export b=other');
  const told = JSON.parse(await bench.clientOk('nbdinfo', ['--json', uri('a')])) as {
    exports: [Record<string, unknown>];
  };
  t.like(told.exports[0], {
    'export-name': 'a',
    'export-size': 64 * MIB,
    is_read_only: false,
    can_cache: true,
    can_df: true,
    can_fast_zero: true,
    can_flush: true,
    can_fua: true,
    can_multi_conn: true,
    can_trim: true,
    can_zero: true,
    block_size_minimum: 512,
    block_size_preferred: 4096,
    block_size_maximum: 32 * MIB,
  });
  const list = JSON.parse(await bench.clientOk('nbdinfo', ['--list', '--json', uri('a')])) as {
    exports: { 'export-name': string }[];
  };
  t.deepEqual(
    list.exports.map((one) => one['export-name']),
    ['a', 'b'],
  );
  writeFileSync(bench.path('part.raw'), new Uint8Array(MIB).fill(1));
  truncateSync(bench.path('part.raw'), 64 * MIB);
  await bench.clientOk('nbdcopy', ['part.raw', uri('a')]);
  const map = await bench.clientOk('nbdinfo', ['--map', uri('a')]);
  t.regex(map, /^\s*0\s+1048576\s+0\s+data\n\s*1048576\s+66060288\s+3\s+hole,zero\n$/);
  await bench.ok('ctl snapshot disk one');
  const io = ['-f', 'raw', '-c', 'write -P 9 2m 64k', uri('a')];
  if (isInstalled('qemu-io')) {
    await bench.clientOk('qemu-io', io);
    const diff = await bench.clientOk('nbdinfo', ['--map=stordom:diff:one', uri('a')]);
    t.regex(diff, /^\s*0\s+2097152\s+0\n\s*2097152\s+65536\s+1\n\s*2162688\s+64946176\s+0\n$/);
  }
  const totals = await bench.clientOk('nbdinfo', ['--map=stordom:dirty', '--totals', uri('a')]);
  t.regex(totals, /^\s*\d+\s+\d+\.\d%\s+[01]\n/m);
  t.is((await end()).code, 0);
});

where('nbdcopy')(
  'nbdcopy (libnbd-bin) copies in and out, and a stopped store has the same',
  async (t) => {
    const bench = new ServeBench(t);
    const raw = rawImage(1, 4096);
    writeFileSync(bench.path('in.raw'), raw);
    await bench.ok('vdi create disk --size 16m');
    const { uri, end } = await bench.serve();
    await bench.clientOk('nbdcopy', ['--flush', 'in.raw', uri('disk')]);
    await bench.clientOk('nbdcopy', [uri('disk'), 'out.raw']);
    t.true(sameBytes(readFileSync(bench.path('out.raw')), raw));
    t.is((await end()).code, 0);
    await bench.ok('vdi export disk stopped.raw');
    t.true(sameBytes(readFileSync(bench.path('stopped.raw')), raw));
    const { images } = JSON.parse(await bench.ok('vdi ls --json')) as { images: object[] };
    t.like(images[0], { state: 'stopped', loss: { requests: 0 } });
    t.regex(await bench.ok('fsck'), /the store is whole/);
  },
);

where('qemu-img')(
  'qemu-img (qemu-utils) converts onto a disk and finds it identical',
  async (t) => {
    const bench = new ServeBench(t);
    writeFileSync(bench.path('in.raw'), rawImage(2, 4096));
    await bench.ok('vdi create disk --size 16m');
    const { uri } = await bench.serve('--listen tcp:0');
    const args = ['convert', '-n', '-f', 'raw', '-O', 'raw', 'in.raw', uri('disk')];
    await bench.clientOk('qemu-img', args);
    const compare = ['compare', '-f', 'raw', '-F', 'raw', 'in.raw', uri('disk')];
    t.regex(await bench.clientOk('qemu-img', compare), /identical/);
    const qcow = ['convert', '-f', 'raw', '-O', 'qcow2', uri('disk'), 'out.qcow2'];
    await bench.clientOk('qemu-img', qcow);
    const back = ['compare', '-f', 'raw', '-F', 'qcow2', 'in.raw', 'out.qcow2'];
    t.regex(await bench.clientOk('qemu-img', back), /identical/);
  },
);

where('qemu-io')(
  'qemu-io (qemu-utils) writes patterns, zeros and discards, and reads them',
  async (t) => {
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 16m');
    const { uri } = await bench.serve();
    const script = [
      'write -P 0xab 0 1m',
      'write -P 0xcd 512 1536',
      'write -f -P 0x11 2m 64k',
      'write -z 64k 64k',
      'write -z -u 128k 512',
      'discard 256k 256k',
      'flush',
      'write -P 0x77 5m 3m',
      'aio_write -P 0x78 9m 512k',
      'aio_flush',
    ];
    const reads = [
      'read -P 0xab 0 512',
      'read -P 0xcd 512 1536',
      'read -P 0xab 2k 62k',
      'read -P 0 64k 64k',
      'read -P 0 128k 512',
      'read -P 0xab 132k 124k',
      'read -P 0 256k 256k',
      'read -P 0x11 2m 64k',
      'read -P 0x77 5m 3m',
      'read -P 0x78 9m 512k',
      'read -P 0 15m 1m',
    ];
    const all = [...script, ...reads].flatMap((line) => ['-c', line]);
    const told = await bench.clientOk('qemu-io', ['-f', 'raw', ...all, uri('disk')]);
    t.notRegex(told, /failed|error/i);
    const beyond = await bench.client('qemu-io', ['-f', 'raw', '-c', 'write 16m 512', uri('disk')]);
    t.not(beyond.code, 0);
  },
);

where('qemu-io')(
  'qemu-io (qemu-utils) may not write to a snapshot, and reads it as it was',
  async (t) => {
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 4m');
    const { uri, end } = await bench.serve();
    const io = (on: string, ...lines: string[]) =>
      bench.client('qemu-io', ['-f', 'raw', ...lines.flatMap((line) => ['-c', line]), on]);
    t.is((await io(uri('disk'), 'write -P 1 0 1m')).code, 0);
    t.regex(await bench.ok('ctl snapshot disk first'), /disk@first: taken/);
    t.is((await io(uri('disk'), 'write -P 2 0 1m')).code, 0);
    t.is((await end()).code, 0);
    const again = await bench.serve('--export now=disk --export then=disk@first');
    t.regex((await io(again.uri('then'), 'write 0 512')).stderr, /read-only|permi/i);
    const read = ['-r', '-f', 'raw', '-c', 'read -P 1 0 1m', again.uri('then')];
    t.notRegex(await bench.clientOk('qemu-io', read), /failed/);
    t.notRegex((await io(again.uri('now'), 'read -P 2 0 1m')).stdout, /failed/);
    t.is((await again.end()).code, 0);
    t.notRegex(await bench.ok('vdi ls'), /_served/, 'what was made to serve it is gone');
  },
);

where('fio')(
  'fio (fio) verifies all it has written, over three deaths of the driver VM',
  async (t) => {
    t.timeout(SLOW_MS);
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 64m');
    const { uri } = await bench.serve();
    const running = bench.client('fio', [
      '--name=verify',
      '--ioengine=nbd',
      `--uri=${uri('disk')}`,
      '--rw=randrw',
      '--bs=4k',
      '--iodepth=16',
      '--size=48m',
      '--verify=crc32c',
      '--verify_fatal=1',
      '--randrepeat=1',
    ]);
    let isOver = false;
    void running.then(() => {
      isOver = true;
    });
    let kills = 0;
    while (kills < 3 && !isOver) {
      await new Promise((resolve) => setTimeout(resolve, 400));
      const { killed } = JSON.parse(await bench.ok('ctl kill driver-vm --json')) as {
        killed: boolean;
      };
      if (killed) kills++;
    }
    const { code, stdout, stderr } = await running;
    t.is(code, 0, `${stdout}${stderr}`);
    t.true(kills > 0, 'it was killed under fio');
    const status = JSON.parse(await bench.ok('ctl status --json')) as { restarts: number };
    t.is(status.restarts, kills);
  },
);

where('qemu-io')(
  'qemu-io (qemu-utils) finds each write it was told of after kill -9 of the server',
  async (t) => {
    t.timeout(SLOW_MS);
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 64m');
    const first = await bench.serve();
    const writer = spawn('qemu-io', ['-f', 'raw', first.uri('disk')], { cwd: bench.folder });
    const over = ended(writer);
    let acknowledged = 0;
    const enough = new Promise<void>((resolve) => {
      createInterface({ input: writer.stdout }).on('line', (line) => {
        if (/wrote 16384\/16384/.test(line)) acknowledged++;
        if (acknowledged === 60) resolve();
      });
    });
    for (let i = 0; i < 1000; i++) writer.stdin.write(`write -P ${1 + (i % 250)} ${i * 16}k 16k\n`);
    writer.stdin.on('error', () => undefined);
    await enough;
    await first.kill();
    writer.stdin.end();
    await over;
    t.true(acknowledged < 1000, 'it was killed in the middle');
    const second = await bench.serve();
    const reads = Array.from({ length: acknowledged }, (_, i) => [
      '-c',
      `read -P ${1 + (i % 250)} ${i * 16}k 16k`,
    ]);
    const args = ['-f', 'raw', ...reads.flat(), second.uri('disk')];
    t.notRegex(await bench.clientOk('qemu-io', args), /failed/);
    t.is((await second.end()).code, 0);
  },
);

where('qemu-io')(
  'qemu-io (qemu-utils) with a reconnect delay goes on over kill -9 of the server',
  async (t) => {
    t.timeout(SLOW_MS);
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 16m');
    const first = await bench.serve();
    const socket = `${bench.folder}/s/nbd.sock`;
    const image =
      `driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=${socket},` +
      'file.export=disk,file.reconnect-delay=60';
    const client = spawn('qemu-io', ['--image-opts', image], { cwd: bench.folder });
    const over = ended(client);
    const lines: string[] = [];
    const isSaid = (text: RegExp): Promise<void> =>
      new Promise((resolve) => {
        createInterface({ input: client.stdout }).on('line', (line) => {
          lines.push(line);
          if (text.test(line)) resolve();
        });
      });
    const said = isSaid(/wrote 65536\/65536 bytes at offset 0/);
    client.stdin.write('write -P 5 0 64k\n');
    await said;
    await first.kill();
    client.stdin.end('write -P 6 64k 64k\nread -P 5 0 64k\nread -P 6 64k 64k\nquit\n');
    await bench.serve();
    const { stdout, stderr } = await over;
    t.regex(stdout, /wrote 65536\/65536 bytes at offset 65536/, stderr);
    t.is([...stdout.matchAll(/read 65536\/65536/g)].length, 2, `${stdout}${stderr}`);
    t.notRegex(stdout, /failed/);
  },
);
