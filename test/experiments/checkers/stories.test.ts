/**
 * Every known-bad history is refused by the clause it breaks and by no other; every good one
 * passes.
 */
import test from 'ava';
import { ANY_CUT, judgeCut } from '../../../src/experiments/checkers/cut.ts';
import { flush, read, type Story, verdictsOf, write } from '../../helpers/history-story.ts';
import { CONTENT_STORIES } from './known-bad/content.ts';
import { CRASH_STORIES } from './known-bad/crash.ts';
import { CUT_STORIES, type CutStory } from './known-bad/cuts.ts';
import { ORDER_STORIES } from './known-bad/order.ts';
import { GOOD_STORIES } from './known-good.ts';

function brokenIn(story: Story): string[] {
  return verdictsOf(story)
    .filter(({ ok }) => !ok)
    .map(({ name }) => name)
    .sort();
}

for (const story of [...ORDER_STORIES, ...CRASH_STORIES, ...CONTENT_STORIES]) {
  test(`refused: ${story.title}`, (t) => {
    t.deepEqual(brokenIn(story), [...story.breaks].sort());
  });
}

for (const story of GOOD_STORIES) {
  test(`accepted: ${story.title}`, (t) => {
    const broken = verdictsOf(story).filter(({ ok }) => !ok);
    t.deepEqual(broken, []);
  });
}

function verdictOf({ writes, recovered, rule, bounds }: CutStory) {
  const order = {
    sequences: Uint32Array.from(writes, ([sequence]) => sequence),
    units: Uint32Array.from(writes, ([, unit]) => unit),
    epochs: Uint32Array.from(writes, ([, , epoch]) => epoch),
  };
  return judgeCut(order, Uint32Array.from(recovered), {
    name: 'cut',
    clause: 'C3',
    disk: 'g0',
    rule,
    bounds: bounds ?? ANY_CUT,
    place: (unit) => `unit ${unit}`,
  });
}

for (const story of CUT_STORIES) {
  test(`a cut is ${story.legal ? 'accepted' : 'refused'}: ${story.title}`, (t) => {
    const { ok, text } = verdictOf(story);
    t.is(ok, story.legal, text);
    t.regex(text, story.says ?? /^C3/);
  });
}

test('a verdict names its clause, two witnesses and what happened around them', (t) => {
  const [stale] = ORDER_STORIES;
  const broken = stale === undefined ? [] : verdictsOf(stale).filter(({ ok }) => !ok);
  const first = 'write 1 of sectors 0-7 (record 0), submitted 0.000001ms, acknowledged 0.000002ms';
  const second = 'write 2 of sectors 0-7 (record 1), submitted 0.000003ms, acknowledged 0.000004ms';
  const times = 'submitted 0.000005ms, acknowledged 0.000006ms';
  const third = `read of sectors 0-7 (record 2), ${times}, found write 1`;
  t.deepEqual(
    broken.map(({ text }) => text.split('\n')),
    [
      [
        'C1 is broken on g0: write 1 was there before write 2 and again after it.',
        `First: ${first}; then ${second}.`,
        `But also: ${second}; then ${third}.`,
        'around it on sectors 0-7 of g0:',
        `  > g0 ${first}`,
        `  > g0 ${second}`,
        `  > g0 ${third}`,
      ],
    ],
  );
});

test('a lost flush is told with the write, the flush, the place and what is there now', (t) => {
  const ops = [write([1, 2]), write([3, 4]), flush([5, 6]), read([31, 32], 1)];
  const recoveries = [{ lostNs: 20, servingNs: 30, successorRecord: 0, losing: true }];
  const story: Story = { title: 'a lost flush', breaks: [], recoveries, ops };
  const c2 = verdictsOf(story).find(({ name }) => name === 'flush-durability');
  const times = (from: number): string =>
    `submitted 0.00000${from}ms, acknowledged 0.00000${from + 1}ms`;
  const [head, around] = (c2?.text ?? '').split('\n');
  t.is(
    head,
    `C2 is broken on g0: write 2 of sectors 0-7 (record 1), ${times(3)}, covered by the flush ` +
      `(record 2), ${times(5)}, did not survive on sectors 0-7: read of sectors 0-7 (record 3), ` +
      'submitted 0.000031ms, acknowledged 0.000032ms, found write 1',
  );
  t.is(around, 'around it on sectors 0-7 of g0:');
});

test('around its witnesses, a verdict says of each read what it found on that place', (t) => {
  const long = { place: [0, 16] } as const;
  const both = [
    [8, 2],
    [8, 1],
  ] as const;
  const ops = [write([1, 2], long), write([3, 4]), read([5, 6], both, long), read([7, 8], 1)];
  const story: Story = { title: 'two places', breaks: [], ops };
  const c1 = verdictsOf(story).find(({ name }) => name === 'linearizability');
  t.regex(c1?.text ?? '', /> g0 read of sectors 0-15 .*, found write 2\n/);
});
