/**
 * fio writes blocks with checksums, syncs after each few, and its server is killed in the middle.
 * It leaves a log of the writes that were answered, and a file that says how many it had issued.
 * From that file it verifies, against the server's successor, all that it had issued: what was
 * answered must be right, and so what was synced. Blocks that were never answered may be missing.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { longTest } from '../helpers/long-tests.ts';
import { where } from './clients.ts';
import { isInstalled } from './programs.ts';
import { ended, ServeBench } from './serve-bench.ts';

const longFioTest = isInstalled('fio') ? longTest : test.skip;
const SLOW_MS = 170_000;
const DEPTH = 8;
const WRITES = 12_288;
/** Answered before the kill, at least. */
const WRITES_BEFORE = 400;

interface FioJob {
  readonly read: { readonly total_ios: number };
  readonly write: { readonly total_ios: number };
}

/** fio on a disk; the same job in each of its two halves. */
function fioFlags(uri: string, output: string, half: readonly string[]): string[] {
  const job =
    `--name=killed --ioengine=nbd --iodepth=${DEPTH} --size=${WRITES * 4}k ` +
    '--rw=randwrite --bs=4k --fsync=4 --randseed=5 --verify=crc32c ' +
    '--output-format=json';
  return [...job.split(' '), `--uri=${uri}`, `--output=${output}`, ...half];
}

function jobOf(bench: ServeBench, output: string): FioJob {
  // Its report may follow lines about errors.
  const text = readFileSync(bench.path(output), 'utf8');
  return (JSON.parse(text.slice(text.indexOf('{'))) as { jobs: [FioJob] }).jobs[0];
}

interface Status {
  readonly images: readonly [{ readonly acknowledged: number }];
  readonly servers: readonly { readonly pid: number }[];
}

async function statusOf(bench: ServeBench): Promise<Status> {
  return JSON.parse(await bench.ok('ctl status --json')) as Status;
}

/** Lets fio write until its server is killed. Settles with the offsets that were answered. */
async function writeUntilKilled(
  t: ExecutionContext,
  bench: ServeBench,
  halfWay: () => Promise<void> = async () => {},
): Promise<Set<number>> {
  const { uri, kill } = await bench.serve();
  const half = '--do_verify=0 --verify_state_save=1 --write_lat_log=answered --log_offset=1';
  const flags = fioFlags(uri('disk'), 'written.json', half.split(' '));
  const fio = spawn('fio', flags, { cwd: bench.folder });
  const over = ended(fio);
  const written = async (count: number): Promise<void> => {
    while (fio.exitCode === null) {
      const { images } = await statusOf(bench);
      if (images[0].acknowledged >= count) return;
    }
  };
  await written(WRITES_BEFORE / 2);
  await halfWay();
  await written(WRITES_BEFORE);
  await kill();
  const { code, stdout, stderr } = await over;
  t.not(code, 0, `it has ended before it was killed: ${stdout}${stderr}`);
  // A line an answer: time, latency, direction, length, offset, priority.
  const lines = readFileSync(bench.path('answered_clat.1.log'), 'utf8').trim().split('\n');
  const answered = new Set(lines.map((line) => Number(line.split(',')[4])));
  t.true(answered.size >= WRITES_BEFORE - DEPTH && answered.size < WRITES, 'in the middle');
  return answered;
}

/** Blocks that were answered and are not what was written. */
async function lostBlocks(
  t: ExecutionContext,
  bench: ServeBench,
  uri: string,
  answered: ReadonlySet<number>,
): Promise<number[]> {
  const half = '--verify_state_load=1 --verify_only --continue_on_error=verify';
  const flags = fioFlags(uri, 'verified.json', half.split(' '));
  const { stdout, stderr } = await bench.client('fio', flags);
  const issued = jobOf(bench, 'written.json').write.total_ios;
  const read = jobOf(bench, 'verified.json').read.total_ios;
  t.true(read >= issued - DEPTH, `of ${issued} blocks ${read} were read: ${stdout}${stderr}`);
  const wrong = [...`${stdout}${stderr}`.matchAll(/requested block: offset=(\d+)/g)];
  return wrong.map((match) => Number(match[1])).filter((offset) => answered.has(offset));
}

where('fio')(
  'fio (fio) verifies each block it was told of after kill -9 of the server',
  async (t) => {
    t.timeout(SLOW_MS);
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 64m');
    const answered = await writeUntilKilled(t, bench);
    const { uri, end } = await bench.serve();
    t.deepEqual(await lostBlocks(t, bench, uri('disk'), answered), []);
    t.is((await end()).code, 0);
  },
);

longFioTest(
  'fio (fio) verifies each block it was told of by a store on three Petal servers, one of which was killed before all were',
  async (t) => {
    t.timeout(SLOW_MS);
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 64m --petal 3');
    const answered = await writeUntilKilled(t, bench, async () => {
      const [, second] = (await statusOf(bench)).servers;
      process.kill(second?.pid ?? 0, 'SIGKILL');
    });
    const { uri, end } = await bench.serve();
    t.deepEqual(await lostBlocks(t, bench, uri('disk'), answered), []);
    t.is((await end()).code, 0);
  },
);

longFioTest('fio (fio) sees that an image of policy W5 has lost blocks over kill -9', async (t) => {
  t.timeout(SLOW_MS);
  const bench = new ServeBench(t);
  await bench.ok('vdi create disk --size 64m --policy W5');
  const answered = await writeUntilKilled(t, bench);
  const { uri } = await bench.serve();
  await bench.ok('ctl accept-loss disk');
  const lost = await lostBlocks(t, bench, uri('disk'), answered);
  t.true(lost.length > 0, `${answered.size} blocks were answered`);
});
