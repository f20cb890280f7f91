import { mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { inShell, workFolder } from './helpers.ts';

const { folder, remove } = workFolder();
test.after.always(remove);

interface BadInput {
  /** What is wrong, for the title. */
  readonly what: string;
  readonly args: string;
  /** What the message must say: the place, what was expected, what to do. */
  readonly says: readonly string[];
}

const CASES: readonly BadInput[] = [
  { what: 'no command', args: '', says: ['Usage: stordom'] },
  { what: 'an unknown command', args: 'replya small.csv', says: ['replya', 'mean replay?'] },
  {
    what: 'an unknown flag',
    args: 'replay small.csv --gests 2',
    says: ['--gests', 'Did you mean --guests?', '--help'],
  },
  { what: 'a trace that is not named', args: 'replay', says: ["argument 'trace'"] },
  {
    what: 'one argument too many',
    args: 'replay small.csv other.csv',
    says: ['too many arguments', 'Expected 1'],
  },
  {
    what: 'a trace that is not there',
    args: 'replay nowhere.csv',
    says: ['nowhere.csv', 'expected a file', 'correct the path'],
  },
  {
    what: 'a number of guests out of range',
    args: 'replay small.csv --guests 0',
    says: ['--guests', '"0"', 'from 1 to 24', '--guests 2'],
  },
  {
    what: 'more hosts than guests',
    args: 'replay small.csv --hosts 3 --guests 2',
    says: ['--hosts with --guests', 'empty', '--guests 3'],
  },
  {
    what: 'a misspelt device',
    args: 'replay small.csv --device mmory',
    says: ['--device', 'expected vdi, memory, file', 'did you mean memory?'],
  },
  {
    what: 'the null device in a crash',
    args: 'replay small.csv --device null --kill driver-vm@50%',
    says: ['--device null with --kill', 'no part in crash checks', '--device file or memory'],
  },
  {
    what: 'the null device',
    args: 'replay small.csv --device null',
    says: ['--device null', 'cannot be checked', 'stordom bench ring'],
  },
  {
    what: 'a device that cannot hold stamps',
    args: 'replay small.csv --device pattern',
    says: ['--device pattern', 'cannot hold the stamps', '--device file'],
  },
  {
    what: 'a misspelt pace',
    args: 'replay small.csv --pace time',
    says: ['--pace', 'expected timed, asap or closed:QD', 'did you mean timed?'],
  },
  {
    what: 'a closed loop without depth',
    args: 'replay small.csv --pace closed:0',
    says: ['--pace closed:QD', 'from 1 to 1024'],
  },
  {
    what: 'a speed of a closed loop',
    args: 'replay small.csv --speed 2x',
    says: ['--speed', 'only a timed replay', 'add --pace timed'],
  },
  {
    what: 'a speed that is none',
    args: 'replay small.csv --pace timed --speed fast',
    says: ['--speed', '"fast"', '2x'],
  },
  {
    what: 'an end before the start',
    args: 'replay small.csv --from 50% --to 10%',
    says: ['--from with --to', '0 to 600', 'earlier --from'],
  },
  {
    what: 'a start past the end',
    args: 'replay small.csv --from 9000',
    says: ['--from', '0 to 600', 'earlier --from'],
  },
  {
    what: 'a moment without a unit',
    args: 'replay small.csv --to 1.5',
    says: ['--to', 'unit is missing', '20s'],
  },
  {
    what: 'a fit without a size',
    args: 'replay small.csv --fit wrap',
    says: ['--fit', 'did you mean wrap:SIZE?'],
  },
  {
    what: 'a size beside the one to wrap to',
    args: 'replay small.csv --fit wrap:1m --size 2m',
    says: ['--fit wrap:SIZE with --size', '1m, not 2m', 'leave --size out'],
  },
  {
    what: 'a size of half a block',
    args: 'replay small.csv --size 5000',
    says: ['--size', 'blocks of 4k', '64m'],
  },
  {
    what: 'a disk too small for its trace',
    args: 'replay small.csv --size 4k',
    says: ['--size', 'at least', 'wrap:SIZE'],
  },
  {
    what: 'a kill without a moment',
    args: 'replay small.csv --kill driver-vm',
    says: ['--kill', 'driver-vm@50%'],
  },
  {
    what: 'a kill of something unknown',
    args: 'replay small.csv --kill driver@50%',
    says: ['--kill', 'expected driver-vm or guest', 'did you mean driver-vm?'],
  },
  {
    what: 'a kill of a guest that is not there',
    args: 'replay small.csv --kill guest:4@50%',
    says: ['--kill', '"g4"', 'expected g0'],
  },
  {
    what: 'a kill at more than all',
    args: 'replay small.csv --kill driver-vm@150%',
    says: ['--kill', 'more than 100%'],
  },
  {
    what: 'a kill at a misspelt crash point',
    args: 'replay small.csv --kill driver-vm@back.after-order-gven',
    says: ['--kill', 'did you mean back.after-order-given?'],
  },
  {
    what: 'a kill at a misspelt protocol event',
    args: 'replay small.csv --kill driver-vm@flush-submited:3',
    says: ['--kill', 'did you mean flush-submitted?'],
  },
  {
    what: 'a kill at an event of a thread',
    args: 'replay small.csv --kill driver-vm@event:9',
    says: ['--kill', 'no events to count', '--world sim'],
  },
  {
    what: 'disk files of the simulator',
    args: 'replay small.csv --world sim --disks d',
    says: ['--disks', 'no files', '--world threads'],
  },
  {
    what: 'a run folder that is not empty',
    args: 'replay small.csv --out workloads',
    says: ['--out', 'new or empty', 'name another one'],
  },
  {
    what: 'a run folder that is a file',
    args: 'replay small.csv --out small.csv',
    says: ['--out', 'expected a folder', 'name another one'],
  },
  { what: 'a limit of nothing', args: 'replay small.csv --limit-iops 0', says: ['--limit-iops'] },
  { what: 'a seed that is none', args: 'replay small.csv --seed x', says: ['--seed', '"x"'] },
  {
    what: 'an unknown scenario',
    args: 'sim crsh',
    says: ['sim SCENARIO', 'expected crash', 'did you mean crash?'],
  },
  {
    what: 'seeds backwards',
    args: 'sim crash --seeds 5..1',
    says: ['--seeds', 'A <= B', '1..1000'],
  },
  {
    what: 'a seed and seeds',
    args: 'sim crash --seed 1 --seeds 1..2',
    says: ['--seed with --seeds', 'leave one'],
  },
  { what: 'events of many seeds', args: 'sim crash --trace 5', says: ['--trace', 'add --seed'] },
  {
    what: 'events of threads',
    args: 'sim crash --seed 1 --world threads --trace 5',
    says: ['--trace with --world threads', 'no events', 'leave one'],
  },
  {
    what: 'two equal runs of threads',
    args: 'sim crash --seeds 1..2 --world threads --twice',
    says: ['--twice with --world threads', 'leave one'],
  },
  {
    what: 'servers without images',
    args: 'sim crash --petal 4',
    says: ['--petal without --images', 'add --images W2'],
  },
  {
    what: 'servers in threads',
    args: 'sim crash --images W2 --petal 4 --world threads',
    says: ['--petal with --world threads', 'leave one'],
  },
  {
    what: 'servers whose disks lie',
    args: 'sim crash --images W2 --petal 4 --beyond-contract',
    says: ['--petal with --beyond-contract', 'leave one'],
  },
  {
    what: 'a bug of servers, and none of them',
    args: 'sim crash --images W2 --plant early-ack',
    says: ['--plant early-ack without --petal', '--petal 4'],
  },
  { what: 'one server', args: 'sim crash --images W2 --petal 1', says: ['--petal', '2'] },
  {
    what: 'a bug that is not built in',
    args: 'sim crash --plant naive',
    says: ['naive-reattach?'],
  },
  { what: 'an unknown demonstration', args: 'demo crsh', says: ['demo NAME', 'mean crash?'] },
  { what: 'an unknown benchmark', args: 'bench rng', says: ['bench NAME', 'did you mean ring?'] },
  {
    what: 'a conversion onto a file',
    args: 'trace convert small.csv small.csv',
    says: ['small.csv', 'a name that is free', 'remove the file'],
  },
  {
    what: 'a format that is none',
    args: 'trace info small.csv --format vscsi',
    says: ['vscsi-v1?'],
  },
];

for (const { what, args, says } of CASES) {
  test(`bad input: ${what} is refused with exit code 2 and what to do`, async (t) => {
    const before = await readdir(folder);
    const words = args === '' ? [] : args.split(' ');
    const { code, stdout, stderr } = await inShell(folder, words);
    t.is(code, 2, stderr);
    t.is(stdout, '');
    for (const part of says) t.true(stderr.includes(part), `${stderr} should say ${part}`);
    t.notRegex(stderr, /\n\s+at /, 'a user is not shown a stack');
    t.deepEqual(await readdir(folder), before, 'nothing was written');
  });
}

/**
 * Files that are damaged on purpose are in a folder of their own, so that the other stays as it is.
 */
const damaged = workFolder();
test.after.always(damaged.remove);

async function refused(
  t: ExecutionContext,
  args: readonly string[],
  says: readonly RegExp[],
): Promise<void> {
  const { code, stderr } = await inShell(damaged.folder, args);
  t.is(code, 2, stderr);
  for (const part of says) t.regex(stderr, part);
  t.false((await readdir(damaged.folder)).includes('runs'), 'nothing was written');
}

test('bad input: a garbled row of a trace is named with its file and line', async (t) => {
  const rows = (await readFile(join(damaged.folder, 'small.csv'), 'utf8')).split('\n');
  rows[40] = 'this is no request';
  await writeFile(join(damaged.folder, 'garbled.csv'), rows.join('\n'));
  await refused(t, ['replay', 'garbled.csv'], [/garbled\.csv/, /41/, /expected/]);
});

test('bad input: a gzip file that is cut is refused as damaged', async (t) => {
  const packed = gzipSync(await readFile(join(damaged.folder, 'small.csv')));
  await writeFile(join(damaged.folder, 'cut.csv.gz'), packed.subarray(0, packed.length / 2));
  await refused(t, ['replay', 'cut.csv.gz'], [/cut\.csv\.gz/, /damaged gzip/, /copy it again/]);
});

test('bad input: a disk file that is too small is refused and left alone', async (t) => {
  const path = await diskFile('small-disks');
  await truncate(path, 4096);
  const args = ['replay', 'small.csv', '--disks', 'small-disks'];
  await refused(t, args, [/--disks/, /4096 bytes/, /too small/, /at least \d+ bytes/]);
  t.is((await readFile(path)).length, 4096);
});

test('bad input: a disk file that holds data is refused and left alone', async (t) => {
  const path = await diskFile('used-disks');
  await truncate(path, 2 ** 20);
  await writeFile(path, 'precious', { flag: 'r+' });
  const args = ['replay', 'small.csv', '--disks', 'used-disks'];
  await refused(t, args, [/--disks/, /holds data at byte 0/, /another folder/]);
  t.is((await readFile(path)).subarray(0, 8).toString(), 'precious');
});

test('bad input: a disk that is a folder is refused', async (t) => {
  await mkdir(join(damaged.folder, 'odd-disks', 'h0', 'g0.disk'), { recursive: true });
  const args = ['replay', 'small.csv', '--disks', 'odd-disks'];
  await refused(t, args, [/--disks/, /not a regular file/, /remove it/]);
});

/** Makes `FOLDER/h0/g0.disk`, the disk of the first guest. */
async function diskFile(disks: string): Promise<string> {
  await mkdir(join(damaged.folder, disks, 'h0'), { recursive: true });
  const path = join(damaged.folder, disks, 'h0', 'g0.disk');
  await writeFile(path, '');
  return path;
}
