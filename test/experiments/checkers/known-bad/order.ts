/** Histories in which values come in an order that no disk gives. */
import { discard, read, type Story, write, zero } from '../../../helpers/history-story.ts';

export const ORDER_STORIES: readonly Story[] = [
  {
    title: 'stale read: a read finds the write before the last one',
    breaks: ['linearizability'],
    ops: [write([1, 2]), write([3, 4]), read([5, 6], 1)],
  },
  {
    title: 'stale zeros: a read finds nothing where something was acknowledged',
    breaks: ['linearizability'],
    ops: [write([1, 2]), read([3, 4], 0)],
  },
  {
    title: 'future read: a read ends before its write begins',
    breaks: ['linearizability'],
    ops: [read([1, 2], 1), write([3, 4])],
  },
  {
    title: 'flicker: two reads see two concurrent writes one way, a third sees them the other way',
    breaks: ['linearizability'],
    ops: [write([1, 20]), write([2, 20]), read([3, 4], 1), read([5, 6], 2), read([7, 8], 1)],
  },
  {
    title: 'a failed write is seen, then not, then again',
    breaks: ['linearizability'],
    ops: [
      write([1, 2]),
      write([3, 4], { failed: true }),
      read([5, 6], 2),
      read([7, 8], 1),
      read([9, 10], 2),
    ],
  },
  {
    title: 'a write of zeros is undone',
    breaks: ['linearizability'],
    ops: [write([1, 2]), zero([3, 4]), read([5, 6], 1)],
  },
  {
    title: 'zeros of a discard are seen, then what was there before it',
    breaks: ['linearizability'],
    ops: [write([1, 2]), discard([3, 4]), read([5, 6], 0), read([7, 8], 1)],
  },
  {
    title: 'zeros come from a discard that a later write had replaced',
    breaks: ['linearizability'],
    ops: [discard([1, 2]), write([3, 4]), read([5, 6], 0)],
  },
  {
    title: 'one sector of a block is stale',
    breaks: ['linearizability'],
    ops: [write([1, 2]), write([3, 4], { place: [3, 1] }), read([5, 6], 1, { place: [3, 1] })],
  },
  {
    title: 'replay in the wrong order: of two writes on a ring the first one stays',
    breaks: ['ring-order'],
    oneQueue: true,
    ops: [write([1, 10]), write([2, 10]), read([11, 12], 1)],
  },
];
