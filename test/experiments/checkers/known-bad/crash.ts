/** Histories in which something that was promised does not survive, or something dead returns. */
import { discard, flush, read, type Story, write } from '../../../helpers/history-story.ts';

const POWER_CUT = { lostNs: 20, servingNs: 30, successorRecord: 0, losing: true };
const OUTAGE = { lostNs: 20, servingNs: 30, successorRecord: 0, losing: false };

export const CRASH_STORIES: readonly Story[] = [
  {
    title: 'a flushed write is lost in a power cut',
    breaks: ['flush-durability'],
    recoveries: [POWER_CUT],
    ops: [write([1, 2]), write([3, 4]), flush([5, 6]), read([31, 32], 1)],
  },
  {
    title: 'a write with FUA is lost in a power cut',
    breaks: ['flush-durability'],
    recoveries: [POWER_CUT],
    ops: [write([1, 2], { fua: true }), read([31, 32], 0)],
  },
  {
    title: 'a driver VM that is killed loses what it had acknowledged',
    breaks: ['linearizability'],
    recoveries: [OUTAGE],
    ops: [write([1, 2]), write([3, 4]), read([31, 32], 1)],
  },
  {
    title: 'after a power cut, what was there before it comes back over a new write',
    breaks: ['linearizability'],
    recoveries: [POWER_CUT],
    ops: [write([1, 2]), read([31, 32], 1), write([33, 34]), read([35, 36], 1)],
  },
  {
    title: 'after a power cut, two reads find different things',
    breaks: ['stability'],
    recoveries: [POWER_CUT],
    ops: [write([1, 2]), write([3, 4]), read([31, 32], 2), read([33, 34], 1)],
  },
  {
    title: 'what a power cut had left is lost at the next one',
    breaks: ['stability'],
    recoveries: [POWER_CUT, { lostNs: 40, servingNs: 50, successorRecord: 0, losing: true }],
    ops: [write([1, 2]), write([3, 4]), read([31, 32], 2), read([51, 52], 1)],
  },
  {
    title: 'resurrection: a write of a dead guest appears after its successor had looked',
    breaks: ['stability'],
    lives: [2],
    recoveries: [{ lostNs: 10, servingNs: 10, successorRecord: 2, losing: false }],
    ops: [write([1, 2]), write([3]), read([10, 11], 1), read([12, 13], 2)],
  },
  {
    title: 'two reads under way together disagree about what a dead guest left',
    breaks: ['stability'],
    lives: [2],
    recoveries: [{ lostNs: 10, servingNs: 10, successorRecord: 2, losing: false }],
    ops: [write([1, 2]), write([3]), read([10, 20], 2), read([11, 21], 1)],
  },
  {
    title: 'two writes of a dead guest are seen one after the other',
    breaks: ['stability'],
    lives: [2],
    recoveries: [{ lostNs: 10, servingNs: 10, successorRecord: 2, losing: false }],
    ops: [write([1]), write([2]), read([10, 11], 2), read([12, 13], 1)],
  },
  {
    title: 'a write that had failed happens after the driver VM is back',
    breaks: ['stability'],
    recoveries: [OUTAGE],
    ops: [write([1, 2]), write([3, 21], { failed: true }), read([31, 32], 1), read([33, 34], 2)],
  },
  {
    title: 'a discard of a dead guest happens after its successor had looked',
    breaks: ['stability'],
    lives: [2],
    recoveries: [{ lostNs: 10, servingNs: 10, successorRecord: 2, losing: false }],
    ops: [write([1, 2]), discard([3]), read([10, 11], 1), read([12, 13], 0)],
  },
  {
    title: 'a write of an ejected owner appears',
    breaks: ['fencing'],
    tenures: [
      ['old', 0, 1],
      ['old, still running', 2, 3],
      ['new', 1, 2],
      ['new', 3, 4],
    ],
    ops: [write([1, 2]), write([3, 4]), write([5, 6]), read([7, 8], 3)],
  },
];
