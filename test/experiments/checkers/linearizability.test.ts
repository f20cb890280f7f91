/** The fast checker against the one that tries every order, and the units it works on. */
import test from 'ava';
import fc from 'fast-check';
import { isLinearizable } from '../../../src/experiments/checkers/brute-force.ts';
import { findConflict } from '../../../src/experiments/checkers/linearizability.ts';
import { discard, read, type StoryOp, tableOf, write, zero } from '../../helpers/history-story.ts';

const SEED = 20_260_101;
const OPS_MAX = 7;

interface Draft {
  readonly kind: 'read' | 'write' | 'zero' | 'discard';
  readonly gap: number;
  readonly length: number;
  readonly outcome: 'ok' | 'failed' | 'silent';
  /** For a read: which of the values to find, of those there are. */
  readonly pick: number;
}

const DRAFT = {
  gap: fc.integer({ min: 0, max: 3 }),
  length: fc.integer({ min: 0, max: 8 }),
  outcome: fc.constantFrom('ok', 'ok', 'ok', 'ok', 'failed', 'silent'),
  pick: fc.nat({ max: 99 }),
} as const;

function draftsOf(...kinds: Draft['kind'][]): fc.Arbitrary<Draft[]> {
  const draft = fc.record({ kind: fc.constantFrom(...kinds), ...DRAFT });
  return fc.array(draft, { minLength: 1, maxLength: OPS_MAX });
}

/** Any values: most of these histories are wrong. */
function anyHistory(drafts: readonly Draft[]): StoryOp[] {
  const writes = drafts.filter(({ kind }) => kind === 'write').length;
  return opsOf(drafts, ({ pick }) => pick % (writes + 1));
}

/** Each operation happens at a moment of its own inside its time: these histories are right. */
function rightHistory(drafts: readonly Draft[]): StoryOp[] {
  const writeIndexes = indexesOf(drafts);
  let begin = 0;
  const moments = drafts.map((draft, at) => {
    begin += draft.gap;
    const latest = draft.outcome === 'ok' ? begin + draft.length : begin + draft.length + 10;
    return { at, ns: begin + (draft.pick / 99) * (latest - begin) };
  });
  const found = new Map<number, number>();
  let held = 0;
  for (const { at } of moments.sort((a, b) => a.ns - b.ns || a.at - b.at)) {
    const draft = drafts[at] as Draft;
    const happens = draft.outcome === 'ok' || draft.pick % 2 === 0;
    if (draft.kind === 'read') found.set(at, held);
    else if (draft.kind === 'write' && happens) held = writeIndexes[at] as number;
    else if (draft.kind === 'zero' && happens) held = 0;
    else if (draft.kind === 'discard' && draft.pick % 3 === 0) held = 0;
  }
  return opsOf(drafts, (_, at) => found.get(at) ?? 0);
}

function indexesOf(drafts: readonly Draft[]): number[] {
  let writes = 0;
  return drafts.map(({ kind }) => (kind === 'write' ? ++writes : 0));
}

function opsOf(drafts: readonly Draft[], finds: (draft: Draft, at: number) => number): StoryOp[] {
  let begin = 1;
  return drafts.map((draft, at) => {
    begin += draft.gap;
    const end = begin + draft.length;
    const times = draft.outcome === 'silent' ? ([begin] as const) : ([begin, end] as const);
    const failed = draft.outcome === 'failed';
    if (draft.kind === 'read') return read(times, finds(draft, at), { failed });
    const make = { write, zero, discard }[draft.kind];
    return make(times, { failed });
  });
}

function judgements(ops: readonly StoryOp[]): { zones: boolean; orders: boolean } | null {
  const table = tableOf({ ops });
  // Only reads that said nothing: there is no place to judge.
  if (table.units === 0) return null;
  return { zones: findConflict(table) === null, orders: isLinearizable(table, 0) };
}

test('zones and the trial of every order agree on any small history of reads and writes', (t) => {
  let right = 0;
  let wrong = 0;
  const property = fc.property(draftsOf('read', 'read', 'write'), (drafts) => {
    const both = judgements(anyHistory(drafts));
    if (both === null) return true;
    if (both.orders) right++;
    else wrong++;
    return both.zones === both.orders;
  });
  fc.assert(property, { numRuns: 6000, seed: SEED });
  t.true(right > 500, `${right} right histories`);
  t.true(wrong > 500, `${wrong} wrong histories`);
});

test('what some order explains is never refused, with zeros and discards too', (t) => {
  let values = 0;
  const kinds = draftsOf('read', 'read', 'write', 'zero', 'discard');
  const property = fc.property(kinds, (drafts) => {
    const both = judgements(rightHistory(drafts));
    if (both !== null && drafts.some(({ kind }) => kind === 'read')) values++;
    return both === null || (both.orders && both.zones);
  });
  fc.assert(property, { numRuns: 4000, seed: SEED });
  t.true(values > 1000, `${values} histories with reads`);
});

test('with zeros, zones refuse only what no order explains, and nearly all of it', (t) => {
  let wrong = 0;
  let missed = 0;
  const kinds = draftsOf('read', 'read', 'write', 'zero', 'discard');
  const property = fc.property(kinds, (drafts) => {
    const both = judgements(anyHistory(drafts));
    if (both === null) return true;
    if (!both.orders) wrong++;
    if (!both.orders && both.zones) missed++;
    return both.zones || !both.orders;
  });
  fc.assert(property, { numRuns: 6000, seed: SEED });
  t.true(wrong > 300, `${wrong} wrong histories`);
  t.true(missed * 50 <= wrong, `${missed} of ${wrong} wrong histories were accepted`);
});

test('a block is one place until an operation or a finding splits it', (t) => {
  const whole = tableOf({ ops: [write([1, 2]), read([3, 4], 1)] });
  t.is(whole.units, 1);
  t.is(whole.operations, 2);
  const split = tableOf({
    ops: [write([1, 2], { place: [0, 16] }), write([3, 4], { place: [9, 2] })],
  });
  t.is(split.units, 1 + 8);
  t.is(split.operations, 1 + 8 + 2);
  t.deepEqual(split.unitsIn(7, 3), [0, 1, 2]);
  t.is(split.sectorsOf(0), 8);
  t.is(split.sectorsOf(2), 1);
  const found = tableOf({
    ops: [
      read(
        [1, 2],
        [
          [8, 0],
          [4, 0],
          [4, 1],
        ],
        { place: [0, 16] },
      ),
    ],
  });
  t.is(found.units, 1 + 8);
});
