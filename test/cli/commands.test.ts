import { existsSync } from 'node:fs';
import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { RunResult } from '../../src/experiments/result.ts';
import { parseResult } from '../../src/report/result-file.ts';
import { longTest } from '../helpers/long-tests.ts';
import { inShell, startStordom, workFolder } from './helpers.ts';

const { folder, remove } = workFolder();
test.after.always(remove);

const RUN_FILES = ['history.bin', 'manifest.json', 'report.html', 'result.json', 'summary.txt'];
const CRASH = ['--guests', '2', '--kill', 'driver-vm@50%', '--restart-after', '50ms'];

async function resultOf(args: readonly string[]): Promise<RunResult> {
  const { stdout } = await inShell(folder, [...args, '--json']);
  return parseResult(stdout, 'stdout');
}

function verdictsOf({ checks }: RunResult): string[] {
  return checks.map(({ name, ok }) => `${name}: ${ok}`);
}

test('replay: a crash gets the same verdict from threads and from the simulator', async (t) => {
  const real = await resultOf(['replay', 'small.csv', ...CRASH, '--out', 'real']);
  const inSim = ['--world', 'sim', '--out', 'simulated'];
  const simulated = await resultOf(['replay', 'small.csv', ...CRASH, ...inSim]);
  t.true(real.ok, JSON.stringify(real.checks));
  t.is(real.outages.length, 1);
  t.is(simulated.outages.length, 1);
  t.deepEqual(verdictsOf(simulated), verdictsOf(real));
  t.is(simulated.world, 'sim');
  t.deepEqual(
    simulated.guests.map(({ requests }) => requests.writes),
    real.guests.map(({ requests }) => requests.writes),
  );
});

test('replay: a kill at a flush strikes in threads and in the simulator', async (t) => {
  for (const world of ['threads', 'sim']) {
    const kill = ['--kill', 'driver-vm@flush-submitted:3', '--restart-after', '50ms'];
    const args = ['replay', 'small.csv', ...kill, '--world', world, '--out', `flush-${world}`];
    const { ok, outages } = await resultOf(args);
    t.true(ok, world);
    t.is(outages.length, 1, world);
  }
});

test('replay: the same seed in the simulator is the same run, to the event', async (t) => {
  const hashOf = async (out: string, seed: string): Promise<string> => {
    const args = ['replay', 'small.csv', ...CRASH, '--world', 'sim', '--out', out, '--seed', seed];
    await inShell(folder, args);
    const manifest = JSON.parse(await readFile(join(folder, out, 'manifest.json'), 'utf8')) as {
      eventHash: string;
    };
    return manifest.eventHash;
  };
  const first = await hashOf('seed-7', '7');
  t.regex(first, /^[0-9a-f]{16}$/);
  t.is(await hashOf('seed-7-again', '7'), first);
  t.not(await hashOf('seed-8', '8'), first);
});

test('replay: the run folder holds the manifest, the result and a report for itself', async (t) => {
  const args = ['replay', 'small.csv', ...CRASH, '--world', 'sim', '--out', 'files', '--quiet'];
  const { code, stdout } = await inShell(folder, args);
  t.is(code, 0);
  t.regex(stdout, /^✔ .*checks hold\n$/);
  t.deepEqual((await readdir(join(folder, 'files'))).sort(), RUN_FILES);
  const read = (name: string): Promise<string> => readFile(join(folder, 'files', name), 'utf8');
  const result = parseResult(await read('result.json'), 'result.json');
  t.is(result.command, `stordom ${args.join(' ')}`);
  const manifest = JSON.parse(await read('manifest.json')) as Record<string, unknown>;
  t.is(manifest['format'], 'stordom-manifest');
  t.is(manifest['seed'], 1);
  t.regex(String(manifest['commit']), /^([0-9a-f]{40}|unknown)/);
  t.regex(await read('summary.txt'), /✔ replay through a crash/);
  const html = await read('report.html');
  t.true(html.includes('uPlot'), 'the chart library is inside');
  t.notRegex(html, /<script[^>]+src=|<link[^>]+href=/, 'nothing is fetched');
});

test('replay: history.bin holds every request of every guest', async (t) => {
  const args = ['replay', 'small.csv', '--world', 'sim', '--guests', '2', '--out', 'history'];
  const { code } = await inShell(folder, args);
  t.is(code, 0);
  const bytes = await readFile(join(folder, 'history', 'history.bin'));
  t.is(bytes.toString('latin1', 0, 8), 'stordomH');
  t.is(bytes.readUInt32LE(8), 2);
  const directoryBytes = bytes.readUInt32LE(12);
  const { parts } = JSON.parse(bytes.toString('utf8', 16, 16 + directoryBytes)) as {
    parts: { kind: string; offset: number; count: number; guest?: string }[];
  };
  t.deepEqual(
    parts.map(({ kind, guest }) => [kind, guest]),
    [
      ['history', 'g0'],
      ['findings', 'g0'],
      ['history', 'g1'],
      ['findings', 'g1'],
      ['order-tap', undefined],
    ],
  );
  let end = 0;
  for (const { kind, offset, count } of parts) {
    t.is(offset, end, 'the parts stand one after the other');
    end += count * (kind === 'findings' ? 16 : 48);
  }
  t.is(bytes.length, 16 + directoryBytes + end);
  const submitted = bytes.readDoubleLE(16 + directoryBytes + 24);
  const acknowledged = bytes.readDoubleLE(16 + directoryBytes + 32);
  t.true(acknowledged > submitted && submitted > 0, 'the first record has its times');
});

test('replay: disk files that are asked for stay, those of the run folder do not', async (t) => {
  const args = ['replay', 'small.csv', '--disks', 'kept', '--out', 'with-disks'];
  const { code, stderr } = await inShell(folder, args);
  t.is(code, 0, stderr);
  await t.notThrowsAsync(access(join(folder, 'kept', 'h0', 'g0.disk')));
  t.deepEqual((await readdir(join(folder, 'with-disks'))).sort(), RUN_FILES);
  const again = await inShell(folder, ['replay', 'small.csv', '--disks', 'kept', '--out', 'again']);
  t.is(again.code, 2, 'what was kept is not written over');
  t.regex(again.stderr, /holds data/);
});

test('replay: interrupted, it ends with 130 and leaves nothing behind', async (t) => {
  const args = ['replay', 'small.csv', '--limit-iops', '20/s', '--out', 'interrupted'];
  const { child, ended } = startStordom(folder, args);
  // The disks are made when the run has begun, and then a signal ends it in an orderly way.
  while (!existsSync(join(folder, 'interrupted', 'disks'))) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  child.kill('SIGINT');
  const { code, stdout, stderr } = await ended;
  t.is(code, 130, stderr);
  t.is(stdout, '');
  t.regex(stderr, /interrupted/);
  t.false((await readdir(folder)).includes('interrupted'));
});

test('sim: a sweep on Petal servers says how long the slowest pool took to be clean', async (t) => {
  const args = ['sim', 'crash', '--images', 'W2', '--petal', '4', '--seeds', '1..2'];
  const { code, stdout } = await inShell(folder, args);
  t.is(code, 0, stdout);
  t.regex(
    stdout,
    /^ {2}pools were clean \S+ after their last fault was over at the latest \(seed [12]\)$/m,
  );
});

test('sim: a planted bug is caught, with one command to repeat it', async (t) => {
  const args = ['sim', 'crash', '--seeds', '1..2', '--plant', 'forgotten-replay'];
  const { code, stdout } = await inShell(folder, args);
  t.is(code, 1, stdout);
  const again = /again: stordom (sim crash --seed \d+ --trace \d+ --plant \S+)/.exec(stdout);
  const repeated = await inShell(folder, (again?.[1] ?? '').split(' '));
  t.is(repeated.code, 1);
  t.regex(repeated.stdout, /✘ seed \d+ failed/);
  t.regex(repeated.stdout, /✘ (reads|order-tap|liveness|full-read-back|machinery): /);
  t.regex(repeated.stdout, /Last \d+ events/);
});

test('sim: a failed seed is told with commit, configuration, faults and witnesses', async (t) => {
  const args = ['sim', 'crash', '--seeds', '1..1', '--plant', 'short-copy'];
  const { code, stdout } = await inShell(folder, args);
  t.is(code, 1);
  for (const line of [
    /^seed 1: ended at event [\d,]+, hash [0-9a-f]{16}$/m,
    /^ {2}commit ([0-9a-f]{40}( \(modified\))?|unknown)$/m,
    /^ {2}g0 on h0: \d+ requests, .* device, depth \d+/m,
    /^ {2}✘ reads: .*expected write \d+, found/m,
    /^ {2}again: stordom sim crash --seed 1 --trace 200 --plant short-copy$/m,
  ]) {
    t.regex(stdout, line);
  }
  const json = JSON.parse((await inShell(folder, [...args, '--json'])).stdout) as {
    commit: string;
    failed: { again: string; config: string[] }[];
  };
  t.regex(json.commit, /^([0-9a-f]{40}|unknown)/);
  t.is(json.failed[0]?.again, 'stordom sim crash --seed 1 --trace 200 --plant short-copy');
  t.is(json.failed[0]?.config.length, 4);
});

test('sim: two seeds hold over threads, which promise nothing and say what they changed', async (t) => {
  const args = ['sim', 'crash', '--seeds', '1..2', '--world', 'threads'];
  const { code, stdout, stderr } = await inShell(folder, args);
  t.is(code, 0, stdout);
  t.is(stderr, '');
  t.regex(stdout, /✔ 2 seeds passed/);
  t.regex(stdout, /in threads, which promise nothing of a seed/);
});

test('sim: over threads a planted bug is caught by the same checkers', async (t) => {
  const args = ['sim', 'crash', '--seed', '1', '--world', 'threads', '--plant', 'short-copy'];
  const { code, stdout } = await inShell(folder, args);
  t.is(code, 1, stdout);
  t.regex(stdout, /✘ reads: /);
  t.regex(stdout, /Again: stordom sim crash --seed 1 --world threads --plant short-copy\n$/);
});

test('sim: JSON of a range counts every seed and says what was killed', async (t) => {
  const { code, stdout } = await inShell(folder, ['sim', 'crash', '--seeds', '3..8', '--json']);
  t.is(code, 0, stdout);
  const told = JSON.parse(stdout) as Record<string, number>;
  t.is(told['done'], 6);
  t.true((told['driverKills'] ?? 0) > 0);
  t.true((told['seedsWithReplay'] ?? 0) > 0);
});

test('trace: a converted trace tells the same facts', async (t) => {
  const info = async (file: string): Promise<Record<string, unknown>> => {
    const { stdout } = await inShell(folder, ['trace', 'info', file, '--json']);
    return JSON.parse(stdout) as Record<string, unknown>;
  };
  const { code } = await inShell(folder, ['trace', 'convert', 'small.csv', 'copy.csv.gz']);
  t.is(code, 0);
  const [before, after] = [await info('small.csv'), await info('copy.csv.gz')];
  for (const fact of ['requests', 'counts', 'bytes', 'spanNs', 'distinctBlocks']) {
    t.deepEqual(after[fact], before[fact], fact);
  }
});

longTest('demo crash: every check holds, h1 goes on, and the report is drawn', async (t) => {
  const result = await resultOf(['demo', 'crash', '--out', 'demo']);
  t.true(result.ok, JSON.stringify(result.checks));
  t.is(result.outages.length, 1);
  t.deepEqual(
    result.outages[0]?.stalled.map(({ guest }) => guest),
    ['g0', 'g1'],
  );
  t.deepEqual((await readdir(join(folder, 'demo'))).sort(), RUN_FILES);
});
