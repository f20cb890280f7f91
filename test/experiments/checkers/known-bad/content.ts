/**
 * Histories in which a read finds what nobody wrote there, or half of it; and answers gone wrong.
 */
import { StampFault } from '../../../../src/base/stamps.ts';
import { read, type Story, write } from '../../../helpers/history-story.ts';

export const CONTENT_STORIES: readonly Story[] = [
  {
    title: 'invented value: a write index that nobody used',
    breaks: ['no-invention'],
    ops: [write([1, 2]), read([3, 4], 1), read([5, 6], 9, { place: [8, 8] })],
  },
  {
    title: 'misdirected write: a value stands where it was not written',
    breaks: ['no-invention'],
    ops: [write([1, 2]), read([3, 4], 1, { place: [8, 8] })],
  },
  {
    title: 'misplaced stamp: a sector carries the stamp of another place',
    breaks: ['no-invention'],
    ops: [read([3, 4], StampFault.misplaced)],
  },
  {
    title: 'garbage: one sector of a block is neither zero nor a stamp',
    breaks: ['no-invention'],
    ops: [
      write([1, 2]),
      read(
        [3, 4],
        [
          [5, 1],
          [1, StampFault.garbage],
          [2, 1],
        ],
      ),
    ],
  },
  {
    title: 'a sector torn inside itself',
    breaks: ['no-invention'],
    ops: [read([3, 4], StampFault.torn)],
  },
  {
    title: 'torn write: a block is read half old and half new',
    breaks: ['no-invention'],
    ops: [
      write([1, 2]),
      write([3, 10]),
      read(
        [4, 5],
        [
          [3, 2],
          [5, 1],
        ],
      ),
    ],
  },
  {
    title: 'torn first write: half of a block is still zeros',
    breaks: ['no-invention'],
    ops: [
      write([3, 10]),
      read(
        [4, 5],
        [
          [3, 1],
          [5, 0],
        ],
      ),
    ],
  },
  {
    title: 'double completion: a request is answered twice',
    breaks: ['conservation'],
    ops: [write([1, 2], { answeredTwice: true })],
  },
  {
    title: 'unanswered for ever',
    breaks: ['liveness'],
    ops: [write([1, 2]), read([3], 0)],
  },
  {
    title: 'answered, but long after faults had stopped',
    breaks: ['liveness'],
    ops: [write([1, 5000])],
  },
];
