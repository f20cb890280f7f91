/** The `vdi` commands, each as a user runs it. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { inShell, workFolder } from './helpers.ts';
import { dataBlocks, rawImage, sameBytes } from './store-bench.ts';

const PAGE = 4096;

class Shell {
  readonly folder: string;
  readonly #t: ExecutionContext;

  constructor(t: ExecutionContext) {
    const { folder, remove } = workFolder();
    this.folder = folder;
    this.#t = t;
    t.teardown(remove);
  }

  /** What `stordom vdi LINE --store s` prints; it must succeed. */
  async vdi(line: string): Promise<string> {
    const { code, stdout, stderr } = await inShell(this.folder, [
      'vdi',
      ...line.split(' '),
      '--store',
      's',
    ]);
    this.#t.is(code, 0, `${line}: ${stderr}`);
    return stdout;
  }

  async json<T>(line: string): Promise<T> {
    return JSON.parse(await this.vdi(`${line} --json`)) as T;
  }

  /** The bytes of an image or snapshot, as exported. */
  async bytesOf(target: string): Promise<Uint8Array> {
    const file = `${target.replace('@', '-at-')}-${Math.random()}.raw`;
    await this.vdi(`export ${target} ${file}`);
    return readFileSync(join(this.folder, file));
  }

  write(name: string, bytes: Uint8Array): void {
    writeFileSync(join(this.folder, name), bytes);
  }
}

interface Listed {
  readonly images: {
    readonly name: string;
    readonly state: string;
    readonly root: { readonly mappedBytes: number; readonly snapshots: number } | null;
  }[];
}

test('an image that is imported and exported is the same, holes stay holes', async (t) => {
  const shell = new Shell(t);
  const raw = rawImage(7, 3000);
  shell.write('in.raw', raw);
  const told = await shell.json<Record<string, unknown>>('import in.raw disk');
  const dataBytes = dataBlocks(raw) * PAGE;
  t.like(told, { image: 'disk', sizeBytes: raw.length, dataBytes, policy: 'W2' });
  const { images } = await shell.json<Listed>('ls');
  t.is(images[0]?.root?.mappedBytes, dataBytes, 'blocks of zeros are not stored');
  const out = await shell.json<Record<string, unknown>>('export disk out.raw');
  t.like(out, { sizeBytes: raw.length, dataBytes });
  t.true(sameBytes(readFileSync(join(shell.folder, 'out.raw')), raw));
  const stored = statSync(join(shell.folder, 'out.raw')).blocks * 512;
  t.true(stored < dataBytes * 1.2, `${stored} bytes are stored of ${raw.length}`);
});

test('an image whose file ends inside a block is filled up with zeros', async (t) => {
  const shell = new Shell(t);
  const raw = new Uint8Array(PAGE + 100).fill(3);
  shell.write('in.raw', raw);
  await shell.vdi('import in.raw disk');
  const bytes = await shell.bytesOf('disk');
  t.is(bytes.length, 2 * PAGE);
  t.true(sameBytes(bytes.subarray(0, raw.length), raw));
  t.true(bytes.subarray(raw.length).every((byte) => byte === 0));
});

test('snapshots and clones hold what they held, in whatever order things are deleted', async (t) => {
  const shell = new Shell(t);
  const [first, second] = [rawImage(1, 200), rawImage(2, 200)];
  shell.write('first.raw', first);
  shell.write('second.raw', second);
  await shell.vdi('import first.raw a');
  await shell.vdi('import second.raw b');
  await shell.vdi('snapshot a s1');
  await shell.vdi('clone a@s1 a2');
  await shell.vdi('snapshot a2 s2 --template');
  await shell.vdi('rm a@s1');
  t.true(sameBytes(await shell.bytesOf('a2@s2'), first), 'its source has gone');
  await shell.vdi('rm a');
  await shell.vdi('clone a2@s2 a3');
  t.is(await shell.vdi('rm a2 --force'), 'a2: removed with 1 snapshot\n');
  t.true(sameBytes(await shell.bytesOf('a3'), first));
  t.true(sameBytes(await shell.bytesOf('b'), second));
  const { images } = await shell.json<Listed>('ls');
  t.deepEqual(
    images.map(({ name, root }) => [name, root?.mappedBytes]),
    [
      ['a3', dataBlocks(first) * PAGE],
      ['b', dataBlocks(second) * PAGE],
    ],
  );
});

test('diff names the ranges that differ, and says how much it did not have to read', async (t) => {
  const shell = new Shell(t);
  const raw = new Uint8Array(1024 * PAGE).fill(9);
  shell.write('in.raw', raw);
  await shell.vdi('import in.raw disk');
  await shell.vdi('snapshot disk before');
  t.regex(await shell.vdi('diff disk@before disk'), /^disk@before \.\. disk: 0b changed in 0 /);
  await shell.vdi('resize disk --size 2m --shrink');
  await shell.vdi('snapshot disk after');
  const told = await shell.json<Record<string, unknown>>('diff disk@before disk@after');
  const cut = 512 * PAGE;
  t.like(told, {
    bytes: cut,
    ranges: [{ offset: cut, bytes: cut, mapped: false }],
    sizes: { older: 1024 * PAGE, newer: cut },
    // Of four leaves, two are shared.
    sharedSkipped: 2,
  });
  t.is(
    await shell.vdi('diff disk@after disk@before'),
    ' OFFSET  BYTES  NOW\n' +
      '2097152     2m  data\n' +
      'disk@after .. disk@before: 2m changed in 1 range; 4 nodes read, 2 shared subtrees skipped\n',
  );
});

test('ls prints a line for each image, as the golden text has it', async (t) => {
  const shell = new Shell(t);
  shell.write('in.raw', new Uint8Array(200 * PAGE).fill(5));
  await shell.vdi('import in.raw web');
  await shell.vdi('create mail --size 10g --policy W1 --host h1');
  await shell.vdi('snapshot web first');
  await shell.vdi('snapshot web second');
  await shell.vdi('rm web@first');
  await shell.vdi('resize web --size 400k --shrink');
  await shell.vdi('resize web --size 20m');
  const text = await shell.vdi('ls');
  const [head = '', ...lines] = text.split('\n');
  t.regex(head, /^\/.*\/s: 1t, [\d.]+[km] on this disk, stopped$/);
  t.deepEqual(lines, [
    'NAME  SIZE  POLICY  SNAPSHOTS  MAPPED  SUPERSEDED  WATERMARK  HOST  STATE    ' +
      'LOST WITH THE HOST NOW',
    'mail   10g  W1              0      0b          0b          0  h1    stopped  nothing',
    'web    20m  W2              1    400k        420k          4  h0    stopped  nothing',
    '',
  ]);
  const { images } = await shell.json<Listed>('ls');
  t.like(images[0], { name: 'mail', state: 'stopped', problem: null });
  t.like(images[0], { loss: { requests: 0, bytes: 0, seconds: 0 } });
});

test('a policy, a size and names are changed, and --quiet says nothing of it', async (t) => {
  const shell = new Shell(t);
  await shell.vdi('init --size 1g');
  t.is(await shell.vdi('create a --size 1m --quiet'), '');
  t.is(await shell.vdi('snapshot a one --quiet'), '');
  t.is(await shell.vdi('policy a W5'), 'a: W5, before W2\n');
  t.is(await shell.vdi('policy a W0'), 'a: W0, before W5\n');
  t.is(await shell.vdi('resize a --size 3m'), 'a: 3m, before 1m\n');
  t.is(await shell.vdi('rename a b'), 'a: b from now on\n');
  t.is(await shell.vdi('rename b@one uno'), 'b@one: b@uno from now on\n');
  const told = await shell.json<{ snapshots: object[] }>('snapshots b');
  t.is(told.snapshots.length, 1);
  t.like(told.snapshots[0], { name: 'uno', id: 1, sizeBytes: 2 ** 20, template: false });
  const { images } = await shell.json<Listed>('ls');
  t.like(images[0], { name: 'b', root: { policy: 'W0', sizeBytes: 3 * 2 ** 20 } });
});
