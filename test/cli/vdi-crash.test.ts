/** `vdi` commands on stores whose processes have died, are damaged, full, or in use. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { longTest } from '../helpers/long-tests.ts';
import { type Ended, inShell, startStordom, workFolder } from './helpers.ts';
import {
  corruptLog,
  damageRoot,
  holdStore,
  rawImage,
  sameBytes,
  writeAndDie,
} from './store-bench.ts';

const PAGE = 4096;

function shellIn(t: ExecutionContext): {
  folder: string;
  vdi: (line: string) => Promise<Ended>;
  ok: (line: string) => Promise<string>;
} {
  const { folder, remove } = workFolder();
  t.teardown(remove);
  const vdi = (line: string): Promise<Ended> =>
    inShell(folder, ['vdi', ...line.split(' '), '--store', 's']);
  const ok = async (line: string): Promise<string> => {
    const { code, stdout, stderr } = await vdi(line);
    t.is(code, 0, `${line}: ${stderr}`);
    return stdout;
  };
  return { folder, vdi, ok };
}

interface Loss {
  readonly images: { readonly name: string; readonly state: string; readonly loss: unknown }[];
}

test('what a killed driver VM had acknowledged is seen by ls and published by the next command', async (t) => {
  const { folder, ok } = shellIn(t);
  await ok('create a --size 1m');
  const store = join(folder, 's');
  await writeAndDie(store, 'h0', 7, ['a']);
  const files = readdirSync(join(store, 'hosts', 'h0'));
  const seen = JSON.parse(await ok('ls --json')) as Loss;
  t.like(seen.images[0], {
    state: 'stopped',
    loss: { requests: 64, bytes: 64 * PAGE, seconds: null },
  });
  t.regex(await ok('ls'), /64 requests, 256k, in the log/);
  t.deepEqual(readdirSync(join(store, 'hosts', 'h0')), files, 'a look changes nothing');
  await ok('export a a.raw');
  const bytes = readFileSync(join(folder, 'a.raw'));
  t.true(bytes.subarray(0, 64 * PAGE).every((byte) => byte === 7));
  t.true(bytes.subarray(64 * PAGE).every((byte) => byte === 0));
  const after = JSON.parse(await ok('ls --json')) as Loss;
  t.like(after.images[0], { loss: { requests: 0, bytes: 0, seconds: 0 } });
});

test('a damaged log keeps its images from serving until the loss is accepted by name', async (t) => {
  const { folder, vdi, ok } = shellIn(t);
  await ok('create a --size 1m');
  await ok('create b --size 1m');
  await ok('create whole --size 1m --host h1');
  const store = join(folder, 's');
  await writeAndDie(store, 'h0', 7, ['a', 'b', 'a']);
  corruptLog(store, 'h0', 10);
  const seen = JSON.parse(await ok('ls --json')) as Loss;
  t.deepEqual(
    seen.images.map(({ name, state }) => [name, state]),
    [
      ['a', 'damaged'],
      ['b', 'damaged'],
      ['whole', 'stopped'],
    ],
  );
  t.regex(await ok('ls'), /a: its log is damaged at byte \d+ of log-1-1 \(.*\); it serves nothing/);
  const refused = await vdi('snapshot a s');
  t.is(refused.code, 1);
  t.regex(refused.stderr, /a is damaged: .*accept-loss a \[E_IMAGE_DAMAGED\]/);
  const published = await vdi('export a as-published.raw');
  t.is(published.code, 0, 'what is published can be had all the time');
  t.regex(published.stderr, /log of a is damaged: this is a as it was published/);
  const one = await vdi('accept-loss a');
  t.is(one.code, 2);
  t.regex(one.stderr, /hit a, b: name all of them/);
  const other = await vdi('accept-loss whole');
  t.is(other.code, 2);
  t.regex(other.stderr, /whole has lost nothing/);
  t.is(await ok('accept-loss a b'), 'a, b: the loss is accepted\n');
  await ok('export a a.raw');
  const bytes = readFileSync(join(folder, 'a.raw'));
  t.true(
    bytes.subarray(0, 10 * PAGE).every((byte) => byte === 7),
    'what was before is there',
  );
  t.true(bytes.subarray(10 * PAGE).every((byte) => byte === 0));
  await ok('snapshot a s');
  t.notRegex(await ok('ls'), /damaged/);
});

test('an image with a damaged root is listed as such, keeps nobody else, and can be removed', async (t) => {
  const { folder, vdi, ok } = shellIn(t);
  await ok('create broken --size 1m');
  await ok('create other --size 1m');
  await damageRoot(join(folder, 's'), 1);
  const text = await ok('ls');
  t.regex(text, /^broken +(- +){6}h0 +damaged +-$/m);
  t.regex(text, /^broken: the root block of image 1 is damaged: byte 8: /m);
  const refused = await vdi('snapshot broken s');
  t.is(refused.code, 1);
  t.regex(refused.stderr, /\[E_ROOT_DAMAGED\]/);
  await ok('snapshot other s');
  await ok('rm broken');
  t.notRegex(await ok('ls'), /broken|damaged/);
});

test('a store that is served is looked at, and changed by nobody else', async (t) => {
  const { folder, vdi, ok } = shellIn(t);
  await ok('create a --size 1m');
  await ok('snapshot a s');
  const { pid, kill } = await holdStore(join(folder, 's'));
  try {
    const text = await ok('ls');
    t.regex(text, new RegExp(`in use by process ${pid} \\(stordom serve\\)`));
    t.regex(text, /in use +its process knows/);
    t.regex(await ok('diff a@s a'), /0b changed/);
    await ok('snapshots a');
    const exported = await vdi('export a a.raw');
    t.is(exported.code, 0);
    t.regex(exported.stderr, new RegExp(`process ${pid} .* may have acknowledged more`));
    for (const line of ['snapshot a s2', 'create b --size 1m', 'rm a', 'clone a@s b']) {
      const { code, stderr } = await vdi(line);
      t.is(code, 2, line);
      t.regex(stderr, new RegExp(`process ${pid} \\(stordom serve\\) has this store open`));
    }
  } finally {
    await kill();
  }
  await ok('snapshot a s2');
});

test('two commands at a time take turns', async (t) => {
  const { ok } = shellIn(t);
  await ok('create a --size 1m');
  await Promise.all(['one', 'two', 'three'].map((name) => ok(`snapshot a ${name}`)));
  const { snapshots } = JSON.parse(await ok('snapshots a --json')) as { snapshots: object[] };
  t.is(snapshots.length, 3);
});

test('an import that is killed leaves nothing under the name, and begins anew', async (t) => {
  const { folder, ok, vdi } = shellIn(t);
  const raw = rawImage(3, 30_000);
  writeFileSync(join(folder, 'in.raw'), raw);
  await ok('create other --size 1m');
  await struckImport(folder, ok, 'SIGKILL');
  const names = await namesIn(ok);
  t.deepEqual(names, ['a.importing', 'other']);
  await ok('snapshot other s');
  const again = await vdi('import in.raw a');
  t.is(again.code, 0, again.stderr);
  t.regex(again.stderr, /an import of a did not end: it begins anew/);
  t.deepEqual(await namesIn(ok), ['a', 'other']);
  await ok('export a out.raw');
  t.true(sameBytes(readFileSync(join(folder, 'out.raw')), raw));
});

test('an import that is interrupted ends with 130, and gives the store back', async (t) => {
  const { folder, ok } = shellIn(t);
  writeFileSync(join(folder, 'in.raw'), rawImage(3, 30_000));
  await ok('create other --size 1m');
  const { code, stdout, stderr } = await struckImport(folder, ok, 'SIGINT');
  t.is(code, 130, stderr);
  t.is(stdout, '');
  t.regex(await ok('ls'), /stopped\nNAME/);
  await ok('rm a.importing');
});

longTest(
  'a store that is full ends an import with the reason; what was there is read as before',
  async (t) => {
    const { folder, ok, vdi } = shellIn(t);
    await ok('init --size 128m');
    const small = rawImage(1, 100);
    writeFileSync(join(folder, 'small.raw'), small);
    writeFileSync(join(folder, 'large.raw'), new Uint8Array(80 * 2 ** 20).fill(1));
    await ok('import small.raw small');
    const { code, stderr } = await vdi('import large.raw large');
    t.is(code, 1, stderr);
    t.regex(stderr, /nothing can be published: store store is full.*\[E_PUBLISH_STUCK\]/);
    await ok('export small out.raw');
    t.true(sameBytes(readFileSync(join(folder, 'out.raw')), small));
    t.false(existsSync(join(folder, 'large.raw.part')));
  },
);

/** Imports `in.raw` as `a`, and sends the signal in the middle; again, if it had ended by then. */
async function struckImport(
  folder: string,
  ok: (line: string) => Promise<string>,
  signal: 'SIGKILL' | 'SIGINT',
): Promise<Ended> {
  const pool = join(folder, 's', 'pool', 'blocks');
  for (let attempt = 0; attempt < 10; attempt++) {
    const before = statSync(pool).blocks;
    const { child, ended } = startStordom(folder, ['vdi', 'import', 'in.raw', 'a', '--store', 's']);
    while (statSync(pool).blocks < before + 2048 && child.exitCode === null) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    child.kill(signal);
    const how = await ended;
    if (!(await namesIn(ok)).includes('a')) return how;
    await ok('rm a');
  }
  throw new Error('no import was struck in the middle');
}

async function namesIn(ok: (line: string) => Promise<string>): Promise<string[]> {
  const { images } = JSON.parse(await ok('ls --json')) as Loss;
  return images.map(({ name }) => name);
}
