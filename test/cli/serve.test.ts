/** `stordom serve` and `stordom ctl`, as their user sees them. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { bytesOf, info, request, u32 } from '../exports/nbd/nbd-client.ts';
import { startStordom } from './helpers.ts';
import { FLUSH, RawClient, READ, WRITE } from './raw-client.ts';
import { ServeBench } from './serve-bench.ts';

/** 0 where the system does not say. */
function residentBytes(pid: number | undefined): number {
  const path = `/proc/${pid}/status`;
  const [, kib = '0'] = existsSync(path)
    ? (/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(path, 'utf8')) ?? [])
    : [];
  return 1024 * Number(kib);
}

test.serial('help: serve and ctl end with two examples that run as printed', async (t) => {
  const bench = new ServeBench(t);
  const run = (line: string) => startStordom(bench.folder, line.split(' '));
  for (const line of [
    'vdi create mail --size 1m --store my-store',
    'vdi create disk --size 1m --store my-store',
    'vdi snapshot disk first --store my-store',
  ]) {
    t.is((await run(line).ended).code, 0);
  }
  const examplesOf = async (command: string): Promise<string[]> => {
    const { stdout } = await run(`${command} --help`).ended;
    const [examples = ''] = /Examples:\n(.*\n)+$/.exec(stdout) ?? [];
    return examples
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.trim().replace('$ stordom ', ''));
  };
  const serving = await examplesOf('serve');
  t.is(serving.length, 2);
  for (const line of serving) {
    const { child, ended } = run(line);
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    if (line.includes('mail')) {
      const asking = await examplesOf('ctl');
      t.is(asking.length, 2);
      for (const asked of asking) {
        const { code, stdout, stderr } = await run(asked).ended;
        t.is(code, 0, `${asked}: ${stdout}${stderr}`);
      }
    }
    child.kill('SIGTERM');
    const { code, stdout, stderr } = await ended;
    t.is(code, 0, `${line}: ${stdout}${stderr}`);
    t.regex(stdout, /^try: +nbdinfo 'nbd/m);
  }
});

test.serial(
  'serve: a client waits while the driver VM is gone, and its socket stays open',
  async (t) => {
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 4m');
    await bench.serve();
    const client = await RawClient.on(join(bench.folder, 's', 'nbd.sock'), 'disk');
    const data = Buffer.alloc(8192, 7);
    t.is((await client.ask(WRITE, 4096, 8192, data)).error, 0);
    await bench.ok('ctl kill driver-vm');
    const reads = await client.ask(READ, 4096, 8192);
    t.deepEqual(reads.data, data);
    t.is((await client.ask(FLUSH, 0, 0)).error, 0);
    t.like(JSON.parse(await bench.ok('ctl status --json')), {
      driverVm: 'serving',
      restarts: 1,
      exports: [{ name: 'disk', connections: 1, isReadOnly: false }],
      images: [{ name: 'disk', state: 'serving', policy: 'W2' }],
    });
    client.socket.destroy();
  },
);

test.serial('serve: SIGTERM answers what is in flight, and removes its sockets', async (t) => {
  const bench = new ServeBench(t);
  await bench.ok('vdi create disk --size 4m');
  const { end } = await bench.serve();
  const path = join(bench.folder, 's', 'nbd.sock');
  t.is(statSync(join(bench.folder, 's', 'control.sock')).mode & 0o777, 0o600);
  const client = await RawClient.on(path, 'disk');
  const [wrote, ended] = await Promise.all([
    client.ask(WRITE, 0, 4096, Buffer.alloc(4096, 1)),
    new Promise((resolve) => setImmediate(resolve)).then(end),
  ]);
  t.true(wrote.error === 0 || wrote.error === 108, 'answered, or refused because of the end');
  t.is(ended.code, 0, ended.stderr);
  t.true(client.isClosed);
  t.false(existsSync(path));
  t.false(existsSync(join(bench.folder, 's', 'control.sock')));
});

test.serial('serve: snapshots and clones are made while clients write', async (t) => {
  const bench = new ServeBench(t);
  await bench.ok('vdi create disk --size 4m');
  const { end } = await bench.serve();
  const client = await RawClient.on(join(bench.folder, 's', 'nbd.sock'), 'disk');
  t.is((await client.ask(WRITE, 0, 4096, Buffer.alloc(4096, 1))).error, 0);
  t.regex(await bench.ok('ctl snapshot disk one'), /disk@one: taken/);
  t.regex(await bench.ok('ctl clone disk@one copy'), /copy: a clone of disk@one/);
  t.is((await client.ask(WRITE, 0, 4096, Buffer.alloc(4096, 2))).error, 0);
  const refusals: readonly (readonly [string, RegExp])[] = [
    ['ctl snapshot disk one', /E_NAME_TAKEN/],
    ['ctl snapshot nothing one', /E_NO_IMAGE/],
    ['ctl clone disk copy2', /E_NOT_A_SNAPSHOT/],
    ['ctl clone disk@two copy2', /E_NO_SNAPSHOT/],
    ['ctl kill the-king', /expected driver-vm/],
    ['vdi snapshot disk two', /E_STORE_IN_USE/],
    ['serve', /E_STORE_IN_USE/],
  ];
  for (const [line, text] of refusals) {
    const { code, stderr } = await bench.run(line);
    t.is(code, 2, line);
    t.regex(stderr, text);
  }
  client.socket.destroy();
  t.is((await end()).code, 0);
  t.regex(await bench.ok('vdi diff copy disk'), /4k changed/);
});

test.serial(
  'serve: a thousand clients stop half-way, and others are served, in bounded memory',
  async (t) => {
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 4m');
    const { child } = await bench.serve();
    const path = join(bench.folder, 's', 'nbd.sock');
    const residentBefore = residentBytes(child.pid);
    const many = await Promise.all(Array.from({ length: 1000 }, () => RawClient.on(path, 'disk')));
    const whole = request({ command: WRITE, length: 65_536, data: new Uint8Array(65_536) });
    const reads = bytesOf(
      ...Array.from({ length: 4 }, () => request({ command: READ, length: 2 ** 20 })),
    );
    many.forEach(({ socket }, at) => {
      if (at % 4 === 0) socket.write(whole.subarray(0, 30 * at));
      if (at % 4 === 1) socket.write(new Uint8Array(28));
      if (at % 4 === 2) socket.pause().write(reads);
    });
    const client = await RawClient.on(path, 'disk');
    t.is((await client.ask(WRITE, 8192, 4096, Buffer.alloc(4096, 9))).error, 0);
    t.deepEqual((await client.ask(READ, 8192, 4096)).data, Buffer.alloc(4096, 9));
    const grownMib = (residentBytes(child.pid) - residentBefore) / 2 ** 20;
    t.log(`${Math.round(grownMib)} MiB more`);
    // The readers alone have asked for 1000 MiB.
    t.true(grownMib < 700, `${grownMib} MiB more`);
    for (const { socket } of many) socket.destroy();
    const left = async (): Promise<number> => {
      const status = JSON.parse(await bench.ok('ctl status --json')) as {
        exports: [{ connections: number }];
      };
      return status.exports[0].connections;
    };
    while ((await left()) > 1);
    client.socket.destroy();
  },
);

test.serial(
  'serve: an image that has lost what was acknowledged gives errors until that is accepted',
  async (t) => {
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 1m --policy W5');
    const first = await bench.serve();
    const path = join(bench.folder, 's', 'nbd.sock');
    const before = await RawClient.on(path, 'disk');
    t.is((await before.ask(WRITE, 0, 4096, Buffer.alloc(4096, 1))).error, 0);
    await first.kill();
    const second = await bench.serve();
    const client = await RawClient.on(path, 'disk');
    t.is((await client.ask(READ, 0, 4096)).error, 5);
    t.is((await client.ask(WRITE, 0, 4096, Buffer.alloc(4096, 2))).error, 5);
    t.is((await bench.run('ctl accept-loss other')).code, 2);
    t.regex(await bench.ok('ctl accept-loss disk'), /disk: the loss is accepted/);
    t.is((await client.ask(READ, 0, 4096)).error, 0);
    t.is((await client.ask(WRITE, 0, 4096, Buffer.alloc(4096, 2))).error, 0);
    const nothing = await bench.run('ctl accept-loss disk');
    t.is(nothing.code, 1);
    t.regex(nothing.stderr, /has lost nothing/);
    client.socket.destroy();
    const { code, stderr } = await second.end();
    t.is(code, 0, stderr);
    t.regex(stderr, /image disk is lost: .*stordom ctl accept-loss disk/);
    const third = await bench.serve();
    const last = await RawClient.on(path, 'disk');
    t.deepEqual((await last.ask(READ, 0, 4096)).data, Buffer.alloc(4096, 2));
    last.socket.destroy();
    t.is((await third.end()).code, 0);
  },
);

test.serial('serve: flags that cannot be used are refused, with what to do', async (t) => {
  const bench = new ServeBench(t);
  const nobody = await bench.run('ctl status');
  t.is(nobody.code, 2);
  t.regex(nobody.stderr, /nobody serves this store: .*stordom serve/);
  await bench.ok('vdi create disk --size 1m');
  const refusals: readonly (readonly [string, RegExp])[] = [
    ['--export disk', /expected NAME=VDI.*--export disk=mail \[E_EXPORT\]/],
    ['--export a=nothing', /there is no image "nothing"; there are: disk/],
    ['--export a=disk --export a=disk', /two exports are called a/],
    ['--export a=disk@first', /no snapshot "first"/],
    ['--listen tcp:0.0.0.0:0', /reached from other machines.*--allow-remote \[E_LISTEN_REMOTE\]/],
    ['--listen nbd', /expected unix:PATH, tcp:PORT .*or tcp:HOST:PORT.*E_ADDRESS/],
    ['--listen tcp:99999', /E_ADDRESS/],
    [`--listen unix:${'x'.repeat(120)}`, /at most 107/],
    ['--host h9', /no image of host h9/],
    ['--max-connections 0', /E_FLAG_COUNT/],
  ];
  for (const [line, text] of refusals) {
    const { code, stderr } = await bench.run(`serve ${line}`);
    t.is(code, 2, `${line}: ${stderr}`);
    t.regex(stderr, text);
  }
  const { code, stderr } = await bench.run('serve --listen unix:/nowhere/nbd.sock');
  t.is(code, 1);
  t.regex(stderr, /cannot listen on \/nowhere\/nbd.sock/);
  t.is((await bench.run('vdi ls')).code, 0);
});

test.serial('serve: what is no client of NBD is turned away', async (t) => {
  const bench = new ServeBench(t);
  await bench.ok('vdi create disk --size 1m');
  await bench.serve();
  const client = new RawClient(join(bench.folder, 's', 'nbd.sock'));
  await client.read(18);
  client.socket.write('GET / HTTP/1.1\r\n\r\n');
  while (!client.isClosed) await new Promise((resolve) => setImmediate(resolve));
  const other = new RawClient(join(bench.folder, 's', 'nbd.sock'));
  await other.read(18);
  other.socket.write(bytesOf(u32(3), info(7, 'nothing')));
  t.is((await other.read(20)).readUInt32BE(12), 0x8000_0006);
  other.socket.destroy();
});
