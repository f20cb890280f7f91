/**
 * fio writes blocks with checksums, syncs after each few, and its server is killed in the middle.
 * It leaves a file that says how far it was: how many writes it had issued, and which of the last
 * ones were answered. From that file it verifies, against the server's successor, every block that
 * was answered; so every block that was synced, too.
 */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { where } from './clients.ts';
import { ended, ServeBench } from './serve-bench.ts';

const SLOW_MS = 170_000;
const DEPTH = 8;
const WRITES = 12_288;
/** Answered before the kill, at least. */
const WRITES_BEFORE = 400;

interface FioJob {
  readonly error: number;
  readonly read: { readonly total_ios: number };
  readonly write: { readonly total_ios: number };
  readonly sync: { readonly total_ios: number };
}

/** fio on a disk; the same job in each of its two halves. */
function fioFlags(uri: string, output: string, half: readonly string[]): string[] {
  const job =
    `--name=killed --ioengine=nbd --iodepth=${DEPTH} --size=${WRITES * 4}k ` +
    '--rw=randwrite --bs=4k --fsync=4 --randseed=5 --verify=crc32c --verify_fatal=1 ' +
    '--output-format=json';
  return [...job.split(' '), `--uri=${uri}`, `--output=${output}`, ...half];
}

function jobOf(bench: ServeBench, output: string): FioJob {
  // Its report may follow lines about errors.
  const text = readFileSync(bench.path(output), 'utf8');
  return (JSON.parse(text.slice(text.indexOf('{'))) as { jobs: [FioJob] }).jobs[0];
}

/** Lets fio write until its server is killed. */
async function writeUntilKilled(t: ExecutionContext, bench: ServeBench): Promise<FioJob> {
  const { uri, kill } = await bench.serve();
  const half = ['--do_verify=0', '--verify_state_save=1'];
  const fio = spawn('fio', fioFlags(uri('disk'), 'written.json', half), { cwd: bench.folder });
  const over = ended(fio);
  let acknowledged = 0;
  while (acknowledged < WRITES_BEFORE && fio.exitCode === null) {
    const { images } = JSON.parse(await bench.ok('ctl status --json')) as {
      images: readonly [{ acknowledged: number }];
    };
    acknowledged = images[0].acknowledged;
  }
  await kill();
  const { code, stdout, stderr } = await over;
  t.not(code, 0, `it has ended before it was killed: ${stdout}${stderr}`);
  const job = jobOf(bench, 'written.json');
  t.true(job.write.total_ios > DEPTH && job.write.total_ios < WRITES, 'killed in the middle');
  return job;
}

function verify(bench: ServeBench, uri: string) {
  const half = ['--verify_state_load=1', '--verify_only'];
  return bench.client('fio', fioFlags(uri, 'verified.json', half));
}

where('fio')(
  'fio (fio) verifies each block it was told of after kill -9 of the server',
  async (t) => {
    t.timeout(SLOW_MS);
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 64m');
    const written = await writeUntilKilled(t, bench);
    const { uri, end } = await bench.serve();
    const { code, stdout, stderr } = await verify(bench, uri('disk'));
    t.is(code, 0, `${stdout}${stderr}`);
    const verified = jobOf(bench, 'verified.json');
    t.is(verified.error, 0);
    // It stops at the first block that it was not told of: of the last ones, in any order.
    t.true(verified.read.total_ios >= written.write.total_ios - DEPTH, 'all of them were read');
    t.is((await end()).code, 0);
  },
);

where('fio')(
  'fio (fio) sees that an image of policy W5 has lost blocks over kill -9',
  async (t) => {
    t.timeout(SLOW_MS);
    const bench = new ServeBench(t);
    await bench.ok('vdi create disk --size 64m --policy W5');
    await writeUntilKilled(t, bench);
    const { uri } = await bench.serve();
    await bench.ok('ctl accept-loss disk');
    const { code, stdout, stderr } = await verify(bench, uri('disk'));
    t.not(code, 0);
    t.regex(`${stdout}${stderr}${readFileSync(bench.path('verified.json'), 'utf8')}`, /verify/);
  },
);
