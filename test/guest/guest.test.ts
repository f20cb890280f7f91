/**
 * A real Linux guest has a served image as its disk and loses no file whose fsync has returned,
 * whoever is killed. `npm run soak:guest` does the same for longer.
 */
import test, { type ExecutionContext } from 'ava';
import { whereThereIs } from '../cli/clients.ts';
import { longTest } from '../helpers/long-tests.ts';
import { drawVictims, type OrdealOptions, playOrdeal, VICTIMS } from './guest-ordeal.ts';
import { findGuestParts } from './guest-parts.ts';
import { newcArchive } from './newc.ts';
import { judge, Promises } from './promises.ts';

const SLOW_MS = 178_000;
const parts = findGuestParts();
const hasParts = 'kernel' in parts;
const guestTest = whereThereIs(hasParts);
const longGuestTest = hasParts ? longTest : test.skip;

function ordeal(t: ExecutionContext, options: Omit<OrdealOptions, 'parts' | 'onCycle'>) {
  t.timeout(SLOW_MS);
  if (!('kernel' in parts)) throw new Error(`install the Debian packages ${parts.join(', ')}`);
  return playOrdeal({ parts, ...options, onCycle: (text) => t.log(text) });
}

guestTest(
  'a Linux guest (qemu-system-x86, linux-image-cloud-amd64, busybox-static, e2fsprogs) finds each fsynced file after everybody has died once',
  async (t) => {
    const seed = 1;
    const victims = drawVictims(VICTIMS.length, seed);
    const { problem, comparisons } = await ordeal(t, {
      victims,
      seed,
      policy: 'W2',
      petal: null,
      takesSnapshot: false,
    });
    t.is(problem, null, `seed ${seed}`);
    t.true(comparisons > 100, `seed ${seed}: ${comparisons} comparisons`);
  },
);

longGuestTest(
  'a Linux guest on an image of policy W5, which acknowledges what it only remembers: the loss is seen',
  async (t) => {
    const seed = 1;
    const victims = ['server and guest'] as const;
    const options = { victims, seed, policy: 'W5', petal: null, takesSnapshot: false } as const;
    const { problem } = await ordeal(t, options);
    t.regex(
      String(problem),
      /fsynced files are lost|FAILED mount|e2fsck has ended/,
      `seed ${seed}`,
    );
  },
);

longGuestTest(
  'a Linux guest boots from a snapshot that was taken while it wrote, and finds what was synced then',
  async (t) => {
    const seed = 1;
    const common = { seed, policy: 'W2', petal: null } as const;
    const { problem } = await ordeal(t, { ...common, victims: ['server'], takesSnapshot: true });
    t.is(problem, null, `seed ${seed}`);
  },
);

longGuestTest(
  'a Linux guest on three Petal servers finds each fsynced file after one of them, all of them and their parent were killed',
  async (t) => {
    const seed = 1;
    const victims = ['Petal server', 'all Petal servers', 'server'] as const;
    const options = { victims, seed, policy: 'W2', petal: 3, takesSnapshot: false } as const;
    const { problem, comparisons } = await ordeal(t, options);
    t.is(problem, null, `seed ${seed}`);
    t.true(comparisons > 50, `seed ${seed}: ${comparisons} comparisons`);
  },
);

test('the same seed draws the same deaths, and the first ones are one of each', (t) => {
  const drawn = drawVictims(50, 7);
  t.deepEqual(drawn, drawVictims(50, 7));
  t.deepEqual(drawn.slice(0, VICTIMS.length), [...VICTIMS]);
  t.notDeepEqual(drawn, drawVictims(50, 8));
});

test('a promise is broken by another content and by a file that is not there', (t) => {
  const promises = new Promises();
  for (const name of ['right', 'other', 'missing']) promises.make(name, 'a');
  const found = new Map([
    ['right', 'a'],
    ['other', 'b'],
    ['unknown', 'c'],
  ]);
  const { files, broken } = judge(promises.standing(), found);
  t.is(files, 3);
  t.deepEqual(broken, ['other has another content', 'missing is not there']);
});

test('a promise that was withdrawn meanwhile is not one, even if it was made again', (t) => {
  const promises = new Promises();
  for (const name of ['before', 'meanwhile', 'again', 'kept']) promises.make(name, 'a');
  promises.withdraw('before');
  const standing = promises.standing();
  promises.withdraw('meanwhile');
  promises.withdraw('again');
  promises.make('again', 'a');
  promises.make('new', 'a');
  t.deepEqual([...promises.unbroken(standing).keys()], ['kept']);
  t.is(promises.fsyncs, 6);
});

test('an archive has folders before their files, and names and contents at multiples of 4', (t) => {
  const content = Buffer.from('hello');
  const archive = newcArchive([{ path: 'a/b/c', content, isExecutable: true }], ['a/d']);
  const names: string[] = [];
  let at = 0;
  while (at < archive.length) {
    t.is(archive.toString('latin1', at, at + 6), '070701');
    const numberAt = (index: number): number =>
      Number.parseInt(archive.toString('latin1', at + 6 + 8 * index, at + 14 + 8 * index), 16);
    const [mode, bytes, nameBytes] = [numberAt(1), numberAt(6), numberAt(11)];
    const name = archive.toString('latin1', at + 110, at + 110 + nameBytes - 1);
    names.push(`${name} ${mode.toString(8)}`);
    const from = (at + 110 + nameBytes + 3) & ~3;
    if (name === 'a/b/c') t.deepEqual(archive.subarray(from, from + bytes), content);
    at = (from + bytes + 3) & ~3;
  }
  t.deepEqual(names, ['a 40755', 'a/b 40755', 'a/d 40755', 'a/b/c 100755', 'TRAILER!!! 0']);
});
