/** Histories that are right, among them those that look wrong at first. */
import { discard, flush, read, type Story, write, zero } from '../../helpers/history-story.ts';

const POWER_CUT = { lostNs: 20, servingNs: 30, successorRecord: 0, losing: true };
const OUTAGE = { lostNs: 20, servingNs: 30, successorRecord: 0, losing: false };

const RIGHT: readonly Omit<Story, 'breaks'>[] = [
  { title: 'nothing at all', ops: [] },
  { title: 'a fresh disk reads as zeros', ops: [read([1, 2], 0)] },
  {
    title: 'one after the other',
    oneQueue: true,
    ops: [write([1, 2]), read([3, 4], 1), write([5, 6]), read([7, 8], 2)],
  },
  {
    title: 'concurrent writes on two queues end either way',
    ops: [write([1, 10]), write([2, 10]), read([11, 12], 1)],
  },
  {
    title: 'a read beside a write finds the old or the new',
    ops: [write([1, 2]), write([3, 10]), read([4, 9], 1), read([5, 9], 2), read([11, 12], 2)],
  },
  {
    title: 'a write that failed is seen, or not',
    ops: [write([1, 2]), write([3, 4], { failed: true }), read([5, 6], 1), read([7, 8], 2)],
  },
  {
    title: 'an unanswered write of a dead guest happened',
    lives: [1],
    recoveries: [{ lostNs: 10, servingNs: 10, successorRecord: 1, losing: false }],
    oneQueue: true,
    ops: [write([1]), read([10, 11], 1), read([12, 13], 1)],
  },
  {
    title: 'an unanswered write of a dead guest did not happen',
    lives: [1],
    recoveries: [{ lostNs: 10, servingNs: 10, successorRecord: 1, losing: false }],
    oneQueue: true,
    ops: [write([1]), read([10, 11], 0), read([12, 13], 0), write([14, 15]), read([16, 17], 2)],
  },
  {
    title: 'replayed: a write and a read that were under way over an outage, and what came before',
    recoveries: [OUTAGE],
    oneQueue: true,
    ops: [write([1, 2]), read([17, 35], 3), write([18, 34]), write([19, 36]), read([37, 38], 3)],
  },
  {
    title: 'a block torn by a crash until its write is replayed',
    recoveries: [OUTAGE],
    ops: [
      write([1, 2]),
      read(
        [17, 33],
        [
          [4, 2],
          [4, 1],
        ],
      ),
      write([18, 34]),
      read([35, 36], 2),
    ],
  },
  {
    title: 'flushed and kept, over an outage',
    recoveries: [OUTAGE],
    oneQueue: true,
    ops: [write([1, 2]), flush([3, 4]), read([31, 32], 1), write([33, 34]), read([35, 36], 2)],
  },
  {
    title: 'a flush does not cover what was under way at its submission',
    recoveries: [OUTAGE],
    ops: [write([1, 6], { failed: true }), flush([5, 7]), read([31, 32], 0)],
  },
  {
    title: 'a power cut loses what no flush had covered',
    recoveries: [POWER_CUT],
    oneQueue: true,
    ops: [
      write([1, 2]),
      flush([3, 4]),
      write([5, 6]),
      read([31, 32], 1),
      read([33, 34], 1),
      write([35, 40]),
      read([41, 42], 3),
    ],
  },
  {
    title: 'a discard leaves zeros, or what was there',
    oneQueue: true,
    ops: [
      write([1, 2]),
      discard([3, 4]),
      read([5, 6], 0),
      write([7, 8]),
      discard([9, 10]),
      read([11, 12], 2),
    ],
  },
  {
    title: 'zeros written over a value, and a value over zeros',
    oneQueue: true,
    ops: [write([1, 2]), zero([3, 4]), read([5, 6], 0), write([7, 8]), read([9, 10], 2)],
  },
  {
    title: 'sectors of one block written one by one',
    oneQueue: true,
    ops: [
      write([1, 2]),
      write([3, 4], { place: [3, 1] }),
      read(
        [5, 6],
        [
          [3, 1],
          [1, 2],
          [4, 1],
        ],
      ),
    ],
  },
  {
    title: 'a write over two blocks, of which the other is replaced',
    oneQueue: true,
    ops: [
      write([1, 2], { place: [0, 16] }),
      write([3, 4], { place: [8, 8] }),
      read(
        [5, 6],
        [
          [8, 1],
          [8, 2],
        ],
        { place: [0, 16] },
      ),
    ],
  },
  {
    title: 'what a dead guest left in the cache of its disk is seen, and then lost with the power',
    lives: [2, 3],
    recoveries: [
      { lostNs: 10, servingNs: 10, successorRecord: 2, losing: false },
      { lostNs: 20, servingNs: 30, successorRecord: 3, losing: true },
    ],
    ops: [write([1, 2]), write([3, 4]), read([10, 11], 2), read([31, 32], 1)],
  },
  {
    title: 'what an ejected owner wrote in its time stays',
    tenures: [
      ['old', 0, 1],
      ['new', 1, 3],
    ],
    ops: [write([1, 2]), read([3, 4], 1), read([5, 6], 1)],
  },
];

export const GOOD_STORIES: readonly Story[] = RIGHT.map((story) => ({ ...story, breaks: [] }));
