/** Another size for an image while clients have it. */
import test from 'ava';
import { request } from '../exports/nbd/nbd-client.ts';
import { RawClient, READ, WRITE } from './raw-client.ts';
import { ServeBench } from './serve-bench.ts';

const MIB = 2 ** 20;
const EINVAL = 22;
const ENOSPC = 28;

test.serial(
  'resize: a bigger disk is for clients that come later, also after a crash of the driver VM',
  async (t) => {
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 4m');
    const { end } = await bench.serve('--export disk=disk --export again=disk');
    const path = bench.path('s/nbd.sock');
    const before = await RawClient.on(path, 'disk');
    const data = Buffer.alloc(4096, 7);
    t.is((await before.ask(WRITE, 4 * MIB - 4096, 4096, data)).error, 0);
    const told = JSON.parse(await bench.ok('ctl resize disk --size 1g --json')) as object;
    t.deepEqual(told, {
      image: 'disk',
      sizeBytes: 1024 * MIB,
      sizeBytesBefore: 4 * MIB,
      connected: 1,
    });
    t.is((await before.ask(WRITE, 4 * MIB, 4096, data)).error, ENOSPC);
    t.is((await before.ask(READ, 4 * MIB - 512, 1024)).error, EINVAL);
    for (const name of ['disk', 'again']) {
      const after = await RawClient.on(path, name);
      t.is((await after.ask(WRITE, 1024 * MIB - 4096, 4096, data)).error, 0);
      t.deepEqual((await after.ask(READ, 4 * MIB, 4096)).data, Buffer.alloc(4096));
      after.socket.destroy();
    }
    await bench.ok('ctl kill driver-vm');
    t.deepEqual((await before.ask(READ, 4 * MIB - 4096, 4096)).data, data);
    t.is((await before.ask(WRITE, 4 * MIB, 4096, data)).error, ENOSPC);
    const later = await RawClient.on(path, 'disk');
    t.deepEqual((await later.ask(READ, 1024 * MIB - 4096, 4096)).data, data);
    const status = JSON.parse(await bench.ok('ctl status --json')) as {
      exports: [{ sizeBytes: number }];
    };
    t.is(status.exports[0].sizeBytes, 1024 * MIB);
    before.socket.destroy();
    later.socket.destroy();
    t.is((await end()).code, 0);
    t.regex(await bench.ok('vdi ls'), /disk .*1g/);
  },
);

test.serial('resize: a smaller disk is refused while somebody was told more', async (t) => {
  const bench = new ServeBench(t);
  await bench.ok('vdi create disk --size 4m');
  await bench.ok('vdi create other --size 1m');
  const { end } = await bench.serve('--export disk=disk');
  const path = bench.path('s/nbd.sock');
  const client = await RawClient.on(path, 'disk');
  const refusals: readonly (readonly [string, RegExp])[] = [
    ['disk --size 2m', /disk has 4m, and what lies beyond 2m would be lost; add --shrink/],
    ['disk --size 2m --shrink', /told a bigger size than 2m: 1; disconnect.*E_SIZE_IN_USE/],
    ['other --size 2m', /no export serves this image.*stordom vdi resize/],
    ['nothing --size 2m', /E_NOT_SERVED/],
    ['disk@first --size 2m', /names a snapshot/],
    ['disk --size 4097', /--size: 4097 is not usable/],
  ];
  for (const [line, text] of refusals) {
    const { code, stderr } = await bench.run(`ctl resize ${line}`);
    t.is(code, 2, `${line}: ${stderr}`);
    t.regex(stderr, text);
  }
  t.is((await client.ask(WRITE, 4 * MIB - 4096, 4096, Buffer.alloc(4096, 1))).error, 0);
  client.socket.destroy();
  t.is((await end()).code, 0);
});

test.serial(
  'resize: what a client wrote before it left does not outlive a smaller disk',
  async (t) => {
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 4m');
    const { end } = await bench.serve();
    const path = bench.path('s/nbd.sock');
    const leaving = await RawClient.on(path, 'disk');
    await bench.ok('ctl kill driver-vm');
    const data = Buffer.alloc(65_536, 5);
    for (let at = 0; at < 16; at++) {
      leaving.socket.write(
        request({ command: WRITE, offset: 3 * MIB + at * 65_536, length: 65_536, data }),
      );
    }
    await new Promise<void>((resolve) => leaving.socket.end(resolve));
    let shrunk = await bench.run('ctl resize disk --size 1m --shrink');
    while (/E_SIZE_IN_USE/.test(shrunk.stderr)) {
      shrunk = await bench.run('ctl resize disk --size 1m --shrink');
    }
    t.is(shrunk.code, 0, shrunk.stderr);
    t.regex(shrunk.stdout, /^disk: 1m, before 4m$/m);
    const small = await RawClient.on(path, 'disk');
    t.is((await small.ask(WRITE, MIB, 4096, Buffer.alloc(4096, 1))).error, ENOSPC);
    t.regex(await bench.ok('ctl resize disk --size 4m'), /connect again: 1/);
    const last = await RawClient.on(path, 'disk');
    t.true((await last.ask(READ, 3 * MIB, MIB)).data.equals(Buffer.alloc(MIB)));
    small.socket.destroy();
    last.socket.destroy();
    t.is((await end()).code, 0);
    await bench.ok('fsck');
  },
);
