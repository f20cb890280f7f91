/**
 * Images after a crash that lost the cache: each write as [number, unit, epoch], and the number
 * that each unit holds afterwards.
 */
import type { CutBounds, CutRule } from '../../../../src/experiments/checkers/cut.ts';

export interface CutStory {
  readonly title: string;
  readonly rule: CutRule;
  readonly legal: boolean;
  readonly writes: readonly (readonly [number, number, number])[];
  readonly recovered: readonly number[];
  readonly bounds?: CutBounds;
  /** Words that the verdict must contain: its two witnesses. */
  readonly says?: RegExp;
}

const SIX = [
  [1, 0, 0],
  [2, 1, 0],
  [3, 0, 1],
  [4, 2, 1],
  [5, 1, 2],
  [6, 2, 2],
] as const;

export const CUT_STORIES: readonly CutStory[] = [
  {
    title: 'lost middle write: the third of six is missing, the fifth is there',
    rule: 'prefix',
    legal: false,
    writes: SIX,
    recovered: [1, 5, 4],
    says: /write 3 of unit 0 is missing, though the later write 5 of unit 1 survived/,
  },
  {
    title: 'half of a write over two units survived',
    rule: 'prefix',
    legal: false,
    writes: [
      [1, 0, 0],
      [2, 0, 0],
      [2, 1, 0],
    ],
    recovered: [2, 0],
  },
  {
    title: 'epochs mixed: a write of an early epoch is missing, one of a late epoch is there',
    rule: 'epoch',
    legal: false,
    writes: SIX,
    recovered: [1, 5, 0],
    says: /epochs 1 and 2/,
  },
  {
    title: 'part of an epoch where whole epochs are promised',
    rule: 'whole-epochs',
    legal: false,
    writes: SIX,
    recovered: [3, 2, 0],
  },
  {
    title: 'a prefix that is older than what was reported as safe',
    rule: 'prefix',
    legal: false,
    writes: SIX,
    recovered: [1, 2, 0],
    bounds: { atLeast: 4, below: 7 },
    says: /write 3 of unit 0 is missing, though all up to 4 had to be there/,
  },
  {
    title: 'a snapshot that shows what was written after it',
    rule: 'prefix',
    legal: false,
    writes: SIX,
    recovered: [3, 5, 6],
    bounds: { atLeast: 0, below: 5 },
  },
  { title: 'everything survived', rule: 'prefix', legal: true, writes: SIX, recovered: [3, 5, 6] },
  { title: 'nothing survived', rule: 'prefix', legal: true, writes: SIX, recovered: [0, 0, 0] },
  {
    title: 'only the last is missing',
    rule: 'prefix',
    legal: true,
    writes: SIX,
    recovered: [3, 5, 4],
  },
  {
    title: 'any part of the last epoch',
    rule: 'epoch',
    legal: true,
    writes: SIX,
    recovered: [3, 2, 6],
  },
  {
    title: 'whole epochs and nothing of the last',
    rule: 'whole-epochs',
    legal: true,
    writes: SIX,
    recovered: [3, 2, 4],
  },
];
