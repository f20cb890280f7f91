/** What a run put to the test, and what a sweep makes of it. */
import test from 'ava';
import { SweepCoverage } from '../../src/cli/sweep-coverage.ts';
import { CLAUSES, type Coverage, coverageOf, MOMENTS } from '../../src/experiments/coverage.ts';
import { DEFAULT_FRONT } from '../../src/experiments/scenario.ts';
import type { Fault, ProtocolEvent } from '../../src/world/faults.ts';
import { guestWith, HALF_WAY, judgedRun, scenarioWith } from '../helpers/fault-bench.ts';

async function coverage(faults: readonly Fault[], depth: number = 64): Promise<Coverage> {
  const guests = [guestWith('g0', { pace: { kind: 'timed', speed: 1, depth } })];
  return coverageOf((await judgedRun(scenarioWith(faults, { guests }), 1)).run);
}

test('a calm run at depth 1 puts nothing at stake and no fault in its table', async (t) => {
  const { struck, stakes, moments } = await coverage([], 1);
  t.deepEqual(struck, {});
  t.deepEqual(stakes, []);
  t.deepEqual(
    moments.filter((moment) => /driver VM|guest was|power|error|failed|rings/.test(moment)),
    [],
  );
});

test('a killed driver VM puts liveness and fate sharing at stake, not the flushes', async (t) => {
  const point = 'back.before-response-publish';
  const when = { kind: 'crash-point', point, nth: 100 } as const;
  const kill: Fault = { kind: 'kill-driver', host: 'h0', when };
  const { struck, moments, stakes } = await coverage([kill]);
  t.deepEqual(struck, { 'kill-driver/replay': 1 });
  t.true(moments.includes('a driver VM died with requests of its guests unanswered'));
  t.false(moments.includes('a driver VM died again before its successor served'));
  t.true(stakes.includes('C1 linearizability'));
  t.true(stakes.includes('C4 no invention'));
  t.true(stakes.includes('C9 liveness'));
  t.true(stakes.includes('fate sharing'));
  t.false(stakes.includes('C2 flush durability'));
});

test('overlapping writes open at a kill put ring order at stake, reads do not', async (t) => {
  const when = { kind: 'crash-point', point: 'back.before-response-publish', nth: 100 } as const;
  const pace = { kind: 'closed', depth: 48 } as const;
  for (const readShare of [0, 1]) {
    const guests = [
      guestWith('g0', { pace }, { readShare, discardShare: 0, hotShare: 1, hotBlocks: 4 }),
    ];
    const kill: Fault = { kind: 'kill-driver', host: 'h0', when };
    const { run } = await judgedRun(scenarioWith([kill], { guests }), 1);
    const { moments, stakes } = coverageOf(run);
    const writes = readShare === 0;
    t.true(moments.includes('a driver VM died with requests of its guests unanswered'));
    t.is(moments.includes('overlapping writes were unanswered when a driver VM died'), writes);
    t.is(stakes.includes('ring order after a restart'), writes);
  }
});

test('a kill in a recovery is told as one, by what was going on', async (t) => {
  const { moments } = await coverage([
    { kind: 'kill-driver', host: 'h0', when: HALF_WAY },
    { kind: 'kill-driver', host: 'h0', when: { kind: 'recovery', nth: 5 } },
  ]);
  t.true(moments.includes('a driver VM died again before its successor served'));
});

test('a power cut after a flush puts flush durability and stability at stake', async (t) => {
  const when = { kind: 'progress', share: 0.54 } as const;
  const cut: Fault = { kind: 'power-cut', host: 'h0', when };
  const { struck, moments, stakes } = await coverage([cut]);
  t.deepEqual(struck, { 'power-cut/replay': 1 });
  t.true(moments.includes('the power was cut after a flush was acknowledged'));
  t.true(moments.includes('the power was cut with writes acknowledged and not flushed'));
  t.true(stakes.includes('C2 flush durability') && stakes.includes('C5 stability'));
});

test('two power cuts, one of them under a flush, are told as that', async (t) => {
  const at = (event: ProtocolEvent, nth: number): Fault => ({
    kind: 'power-cut',
    host: 'h0',
    when: { kind: 'protocol', event, nth },
  });
  const once = await coverage([at('flush-submitted', 3)]);
  t.true(once.moments.includes('a flush was unanswered when a driver VM died'));
  t.false(once.moments.includes('the power was cut twice'));
  const twice = await coverage([at('write-acknowledged', 20), at('write-acknowledged', 90)]);
  t.true(twice.moments.includes('the power was cut twice'));
  t.true(twice.stakes.includes('C2 flush durability'));
});

test('flushed writes and later ones on different disks put no flush at stake', async (t) => {
  const cut = { kind: 'power-cut', host: 'h0', when: HALF_WAY } as const;
  const guests = [
    // One writes and never flushes, the other flushes what it reads.
    guestWith('g0', {}, { flushEvery: 0, fuaShare: 0 }),
    guestWith('g1', {}, { readShare: 0.98, discardShare: 0.02 }),
  ];
  const { moments, stakes } = coverageOf((await judgedRun(scenarioWith([cut], { guests }), 1)).run);
  t.true(moments.includes('the power was cut with writes acknowledged and not flushed'));
  t.false(stakes.includes('C2 flush durability'));
});

test('a power cut puts flushed writes at stake with nothing behind them too', async (t) => {
  const sharpest = 'flushed writes and writes after them were on a disk when the power was cut';
  const when = { kind: 'protocol', event: 'flush-acknowledged', nth: 3 } as const;
  const cut: Fault = { kind: 'power-cut', host: 'h0', when };
  const guests = [guestWith('g0', { pace: { kind: 'closed', depth: 1 } })];
  const { moments, stakes } = coverageOf((await judgedRun(scenarioWith([cut], { guests }), 1)).run);
  t.false(moments.includes(sharpest));
  t.true(stakes.includes('C2 flush durability'));
});

test('a power cut before anything was written puts no flush at stake', async (t) => {
  const when = { kind: 'event', nth: 5 } as const;
  const { struck, stakes } = await coverage([{ kind: 'power-cut', host: 'h0', when }]);
  t.deepEqual(struck, { 'power-cut/connecting': 1 });
  t.false(stakes.includes('C2 flush durability') || stakes.includes('C5 stability'));
  t.true(stakes.includes('fate sharing'));
});

test('errors, rings and the wrap of their indices are moments of their own', async (t) => {
  const trouble: Fault = {
    kind: 'disk',
    guest: 'g0',
    trouble: 'flush-fails',
    forNs: 50e6,
    when: HALF_WAY,
  };
  const front = { ...DEFAULT_FRONT, queues: 2, startIndex: 2 ** 32 - 5 };
  const scenario = scenarioWith([trouble], { guests: [guestWith('g0', { front })] });
  const { moments, struck } = coverageOf((await judgedRun(scenario, 1)).run);
  t.deepEqual(struck, { 'disk flush-fails/replay': 1 });
  for (const moment of [
    'a request ended with an error',
    'a flush failed',
    'several rings of one disk were used',
    'ring indices passed 2^32',
  ] as const) {
    t.true(moments.includes(moment), moment);
  }
});

test('a sweep adds faults up by phase and says shares of its seeds', (t) => {
  const sweep = new SweepCoverage();
  const [moment, other] = MOMENTS;
  const [clause] = CLAUSES;
  sweep.add({
    struck: { 'kill-driver/replay': 2, 'disk slow/outage': 1 },
    moments: [moment],
    stakes: [clause],
  });
  sweep.add({ struck: { 'kill-driver/replay': 3 }, moments: [moment], stakes: [] });
  sweep.add({ struck: {}, moments: [], stakes: [] });
  sweep.add({ struck: { 'kill-driver/flush': 1 }, moments: [], stakes: [clause] });

  const json = sweep.toJson();
  t.deepEqual(json['struck'], {
    'kill-driver/replay': 5,
    'disk slow/outage': 1,
    'kill-driver/flush': 1,
  });
  t.is(json['seedsWithMoment']?.[moment], 2);
  t.is(json['seedsWithMoment']?.[other], 0);
  t.is(json['seedsAtStake']?.[clause], 2);

  const lines = sweep.lines();
  const words = (start: string): string[] =>
    (lines.find((line) => line.trim().startsWith(start)) ?? '').trim().split(/\s+/);
  const header = words('connecting');
  const row = words('kill-driver').slice(1);
  t.deepEqual(
    header.map((phase, at) => [phase, row[at]]),
    [
      ['connecting', '.'],
      ['recheck', '.'],
      ['replay', '5'],
      ['flush', '1'],
      ['readBack', '.'],
      ['done', '.'],
      ['outage', '.'],
    ],
  );
  t.deepEqual(words('disk slow').slice(-1), ['1']);
  const shareOf = (text: string): string =>
    lines
      .find((line) => line.endsWith(text))
      ?.trim()
      .split(/\s+/)[0] ?? '';
  t.regex(shareOf(moment), /^50(\.0+)?%$/);
  t.regex(shareOf(other), /^0(\.0+)?%$/);
  t.regex(shareOf(clause), /^50(\.0+)?%$/);
  for (const name of [...MOMENTS, ...CLAUSES]) {
    t.is(lines.filter((line) => line.endsWith(`  ${name}`)).length, 1, name);
  }
});
