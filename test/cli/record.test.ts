/** `stordom record`: what clients do, as a trace. */
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { readTrace } from '../../src/traces/read-trace.ts';
import type { Trace } from '../../src/traces/trace.ts';
import { RawClient } from './raw-client.ts';
import { ServeBench } from './serve-bench.ts';

const [READ, WRITE, FLUSH, TRIM, ZERO] = [0, 1, 3, 4, 6] as const;
const FUA = 1;
const MIB = 2 ** 20;
/** What the client does: command, offset, length, flags; and how a trace says it. */
const WORK = [
  [WRITE, 0, 8192, 0, 'W'],
  [WRITE, MIB, 512, FUA, 'W'],
  [READ, 0, 65_536, 0, 'R'],
  [FLUSH, 0, 0, 0, 'F'],
  [TRIM, 4096, 4096, 0, 'D'],
  [ZERO, 2 * MIB, MIB, 0, 'Z'],
] as const;

function traceAt(bench: ServeBench, name: string): Trace {
  return readTrace(readFileSync(bench.path(name)), name);
}

function rowsOf(trace: Trace): unknown[] {
  return Array.from({ length: trace.requests }, (_, i) => [
    'RWFDZ'[trace.op[i] as number],
    trace.offset[i],
    trace.length[i],
    trace.flags[i],
  ]);
}

async function work(bench: ServeBench): Promise<void> {
  const client = await RawClient.on(bench.path('n.sock'), 'disk');
  for (const [command, offset, length, flags] of WORK) {
    const data = command === WRITE ? new Uint8Array(length).fill(7) : undefined;
    const { error } = await client.ask(command, offset, length, data, flags);
    if (error !== 0) throw new Error(`command ${command} fails with ${error}`);
  }
  await client.ask(READ, 2 ** 40, 4096);
  client.socket.destroy();
}

const EXPECTED = WORK.map(([, offset, length, flags, op]) => [op, offset, length, flags]);

test('record: the record says what the client did, in each format, and is replayed', async (t) => {
  const bench = new ServeBench(t);
  await bench.ok('vdi create disk --size 4m');
  for (const name of ['a.csv', 'a.log', 'a.iolog']) {
    const served = await bench.serve(`--listen unix:n.sock --out ${name}`, 'record');
    await work(bench);
    const { code, stderr } = await served.end();
    t.is(code, 0, stderr);
    t.regex(stderr, new RegExp(`${name}: 6 requests`));
  }
  t.deepEqual(rowsOf(traceAt(bench, 'a.csv')), EXPECTED);
  const log = traceAt(bench, 'a.log');
  t.deepEqual(rowsOf(log), EXPECTED);
  t.is(log.facts.exportBytes, 4 * MIB);
  for (const trace of [log, traceAt(bench, 'a.csv')]) t.is(trace.facts.missingLatencies, 0);
  t.deepEqual(rowsOf(traceAt(bench, 'a.iolog')), [
    ['W', 0, 8192, 0],
    ['W', MIB, 512, 0],
    ['F', 0, 0, 0],
    ['R', 0, 65_536, 0],
    ['F', 0, 0, 0],
    ['D', 4096, 4096, 0],
    ['W', 2 * MIB, MIB, 0],
  ]);
  const info = await bench.run('trace info a.csv --json', { store: false });
  t.is((JSON.parse(info.stdout) as { requests: number }).requests, 6);
  const replayed = await bench.run('replay a.csv --out run --json', { store: false });
  t.is(replayed.code, 0, replayed.stderr);
});

test('record: of a server that is killed the record is a trace, whatever is missing', async (t) => {
  const bench = new ServeBench(t);
  await bench.ok('vdi create disk --size 4m');
  const served = await bench.serve('--listen unix:n.sock --out a.csv', 'record');
  await work(bench);
  while (readFileSync(bench.path('a.csv'), 'latin1').split('\n').length < 2 + WORK.length) {
    await sleep(20);
  }
  await served.kill();
  t.deepEqual(rowsOf(traceAt(bench, 'a.csv')), EXPECTED);
});

test('record: what cannot be recorded as asked is refused, and nothing is touched', async (t) => {
  const bench = new ServeBench(t);
  await bench.ok('vdi create one --size 4m');
  await bench.ok('vdi create two --size 4m');
  const twice = await bench.run('record --out small.csv');
  t.is(twice.code, 2);
  t.regex(twice.stderr, /--out: small\.csv is there already; name another file/);
  const unknown = await bench.run('record --out x.trace');
  t.is(unknown.code, 2);
  t.regex(unknown.stderr, /does not tell a format; name it \.csv, \.iolog or \.log/);
  const both = await bench.run('record --out x.log');
  t.is(both.code, 2);
  t.regex(both.stderr, /a log of nbdkit is of one disk, and 2 are served/);
  t.false(existsSync(bench.path('x.log')));
});
