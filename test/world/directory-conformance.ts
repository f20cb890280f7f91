/** What every binding of the directory must do, as tests that take a bench. */
import type { ExecutionContext } from 'ava';
import type { Change, Directory, DirectoryEntry } from '../../src/world/directory.ts';

export interface DirectoryBench {
  /** Two ways to one directory. */
  readonly one: Directory;
  readonly other: Directory;
  /** Runs a story to its end. */
  run(story: () => Promise<void>): Promise<void>;
  /** Waits for what is under way: hints. */
  settle(): Promise<void>;
}

export type DirectoryCase = (t: ExecutionContext, bench: DirectoryBench) => Promise<void>;

export function bytes(...values: number[]): Uint8Array {
  return new Uint8Array(values);
}

export function put(key: string, ...values: number[]): Change {
  return { key, value: bytes(...values) };
}

export async function versionOf(directory: Directory, key: string): Promise<number> {
  return (await directory.get(key))?.version ?? 0;
}

const keysOf = (entries: readonly DirectoryEntry[]): string[] => entries.map(({ key }) => key);

/** Title and story of each case. */
export const DIRECTORY_CASES: Readonly<Record<string, DirectoryCase>> = {
  'what a txn has written is read by everybody, and is gone when removed': async (t, bench) => {
    const { one, other } = bench;
    t.is(await one.get('a/b'), null);
    t.true(await one.txn([], [put('a/b', 1, 2, 3), put('a/c')]));
    t.deepEqual((await other.get('a/b'))?.value, bytes(1, 2, 3));
    t.deepEqual((await other.get('a/c'))?.value, bytes());
    t.true(await other.txn([], [{ key: 'a/b', value: null }]));
    t.is(await one.get('a/b'), null);
    t.true(await one.txn([{ key: 'a/b', version: 0 }], [put('a/b', 4)]));
    t.deepEqual((await other.get('a/b'))?.value, bytes(4));
  },

  'a txn makes all of its changes or none': async (t, { one, other }) => {
    await one.txn([], [put('x', 1), put('y', 1)]);
    const version = await versionOf(one, 'x');
    const stale = [
      { key: 'x', version },
      { key: 'y', version: version - 1 },
    ];
    t.false(await other.txn(stale, [put('x', 2), put('z', 2)]));
    t.deepEqual((await one.get('x'))?.value, bytes(1));
    t.is(await one.get('z'), null);
    t.true(await other.txn([{ key: 'x', version }], [put('z', 3), { key: 'y', value: null }]));
    t.deepEqual(keysOf(await one.list('')), ['x', 'z']);
    t.false(await one.txn([{ key: 'y', version }], []), 'a removed key has version 0');
    t.true(await one.txn([{ key: 'y', version: 0 }], []), 'a txn may only compare');
  },

  'versions grow with every txn, also over a removal': async (t, { one, other }) => {
    let last = 0;
    for (let i = 0; i < 12; i++) {
      const key = i % 3 === 0 ? 'k' : 'l';
      if (i === 6) await one.txn([], [{ key: 'k', value: null }]);
      await (i % 2 === 0 ? one : other).txn([], [put(key, i)]);
      const version = await versionOf(other, key);
      t.true(version > last);
      last = version;
    }
  },

  'a list has the keys of its prefix, in the order of their bytes': async (t, { one, other }) => {
    const keys = ['a', 'a/1', 'a/10', 'a/2', 'a/Z', 'a/_', 'a/~', 'b', 'aa'];
    await one.txn(
      [],
      keys.map((key) => put(key, 7)),
    );
    t.deepEqual(keysOf(await other.list('a/')), ['a/1', 'a/10', 'a/2', 'a/Z', 'a/_', 'a/~']);
    t.deepEqual(keysOf(await other.list('')), [...keys].sort());
    t.deepEqual(await other.list('c'), []);
  },

  'a list is of one moment: it never shows half a txn': async (t, { one, other }) => {
    await one.txn([], [put('m/1', 0), put('m/2', 0)]);
    let writing = true;
    const write = async (): Promise<void> => {
      for (let i = 1; i <= 30; i++) await one.txn([], [put('m/1', i), put('m/2', i)]);
      writing = false;
    };
    let torn = 0;
    const look = async (): Promise<void> => {
      while (writing) {
        const [first, second] = await other.list('m/');
        if (first?.value[0] !== second?.value[0]) torn++;
        // A list may be answered in the same turn: give the writer its own.
        await other.txn([{ key: 'm/none', version: 0 }], []);
      }
    };
    await Promise.all([write(), look()]);
    t.is(torn, 0);
  },

  'of many who compare and swap one version one wins, each time': async (t, { one, other }) => {
    const contenders = 8;
    const wins = Array.from({ length: contenders }, () => 0);
    const contend = async (directory: Directory, who: number): Promise<void> => {
      for (let round = 0; round < 5; ) {
        const entry = await directory.get('lock');
        const count = entry?.value[0] ?? 0;
        const comparisons = [{ key: 'lock', version: entry?.version ?? 0 }];
        if (!(await directory.txn(comparisons, [put('lock', count + 1)]))) continue;
        wins[who] = (wins[who] as number) + 1;
        round++;
      }
    };
    const all = wins.map((_, who) => contend(who % 2 === 0 ? one : other, who));
    await Promise.all(all);
    t.deepEqual((await one.get('lock'))?.value, bytes(contenders * 5));
    t.true(wins.every((count) => count === 5));
  },

  'of two txns at the same time that both want a key to be new one is made': async (t, bench) => {
    const want = [{ key: 'new', version: 0 }];
    const made = await Promise.all([
      bench.one.txn(want, [put('new', 1)]),
      bench.other.txn(want, [put('new', 2)]),
      bench.one.txn(want, [put('new', 3)]),
    ]);
    t.is(made.filter((each) => each).length, 1);
    t.deepEqual((await bench.one.get('new'))?.value, bytes(made.indexOf(true) + 1));
  },

  'a watch hints at changes below its prefix until it is ended': async (t, bench) => {
    const seen = new Set<string>();
    const end = bench.one.watch('w/', (key) => seen.add(key));
    await bench.settle();
    await bench.other.txn([], [put('w/a', 1), put('v/a', 1)]);
    await bench.one.txn([], [{ key: 'w/a', value: null }, put('w/b', 1)]);
    await bench.settle();
    t.deepEqual([...seen].sort(), ['w/a', 'w/b']);
    end();
    await bench.settle();
    await bench.other.txn([], [put('w/c', 1)]);
    await bench.settle();
    t.false(seen.has('w/c'));
  },

  'the largest value and the longest key come back as they went': async (t, { one, other }) => {
    const key = `big/${'k'.repeat(508)}`;
    const value = Uint8Array.from({ length: 16_384 }, (_, at) => at % 251);
    t.true(await one.txn([], [{ key, value }]));
    value.fill(0);
    const entry = await other.get(key);
    t.true(entry?.value.every((byte, at) => byte === at % 251));
    t.is(entry?.value.length, 16_384);
  },

  'what it gave and what it was given belongs to the caller': async (t, { one }) => {
    const value = bytes(1, 2, 3);
    await one.txn([], [{ key: 'own', value }]);
    value[0] = 9;
    const entry = await one.get('own');
    t.deepEqual(entry?.value, bytes(1, 2, 3));
    entry?.value.fill(7);
    t.deepEqual((await one.get('own'))?.value, bytes(1, 2, 3));
  },

  'an illegal key or value is a bug of the caller': async (t, { one }) => {
    const bad = ['', 'with space', 'ümlaut', 'k'.repeat(513)];
    for (const key of bad)
      await t.throwsAsync(async () => one.get(key), { message: /law|legal|printable/ });
    const tooLong = { key: 'v', value: new Uint8Array(16_385) };
    await t.throwsAsync(async () => one.txn([], [tooLong]), { message: /small values/ });
    await t.throwsAsync(async () => one.txn([], [put('d', 1), put('d', 2)]), { message: /once/ });
  },

  'after close every call is rejected as one that got no answer': async (t, { one }) => {
    await one.txn([], [put('c', 1)]);
    await one.close();
    await t.throwsAsync(one.get('c'), { code: 'E_DIRECTORY' });
    await t.throwsAsync(one.txn([], [put('c', 2)]), { code: 'E_DIRECTORY' });
  },
};
