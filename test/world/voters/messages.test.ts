/** Messages of voters as bytes: each comes back, and no frame that is none is taken for one. */
import test from 'ava';
import {
  CommandStatus,
  decodeVoterMessage,
  encodeVoterMessage,
  NOBODY,
  type VoterMessage,
} from '../../../src/world/voters/messages.ts';
import { forSeeds } from '../../helpers/property.ts';

const value = new Uint8Array([1, 2, 3]);
const entries = [
  { slot: 9, ballot: 3, command: value },
  { slot: 10, ballot: 4, command: new Uint8Array(0) },
];
const txn = {
  kind: 'txn',
  session: 5,
  seq: 7,
  floor: 6,
  comparisons: [{ key: 'k', version: 2 ** 40 + 1 }],
  changes: [
    { key: 'k', value },
    { key: 'l', value: null },
  ],
} as const;
const ask = (question: Extract<VoterMessage, { kind: 'ask' }>['question']): VoterMessage => {
  return { kind: 'ask', client: 77, request: 8, question };
};
const answer = (given: Extract<VoterMessage, { kind: 'answer' }>['answer']): VoterMessage => {
  return { kind: 'answer', client: 77, request: 8, answer: given };
};
const MESSAGES: readonly VoterMessage[] = [
  { kind: 'canvass', ballot: 4, pre: true, lastSlot: 10, lastBallot: 4 },
  { kind: 'vote', ballot: 4, pre: false, granted: true },
  { kind: 'append', ballot: 4, round: 3, commit: 8, prevSlot: 8, prevBallot: 2, entries },
  { kind: 'install', ballot: 4, round: 3, slot: 10, slotBallot: 4, state: value },
  { kind: 'appended', ballot: 4, round: 3, taken: false, slot: 10 },
  ask({ kind: 'get', key: 'a/b' }),
  ask({ kind: 'list', prefix: '' }),
  ask({ kind: 'command', command: { kind: 'open' } }),
  ask({ kind: 'command', command: txn }),
  { kind: 'watches', revision: 2, watches: [{ watch: 1, prefix: 'a/' }] },
  answer({ kind: 'entries', entries: [{ key: 'a', version: 7, value }] }),
  answer({ kind: 'decided', status: CommandStatus.opened, session: 12 }),
  answer({ kind: 'elsewhere', leader: NOBODY }),
  { kind: 'hint', watch: 1, key: 'a/c' },
];

test('each message of voters comes back as it went', (t) => {
  for (const message of MESSAGES) {
    t.deepEqual(decodeVoterMessage(encodeVoterMessage(message)), message);
  }
});

test('a frame of voters that is cut short, longer, of another version or random is no message', (t) => {
  for (const message of MESSAGES) {
    const frame = encodeVoterMessage(message);
    for (let length = 0; length < frame.length; length++) {
      t.is(decodeVoterMessage(frame.slice(0, length)), null);
    }
    t.is(decodeVoterMessage(new Uint8Array([...frame, 0])), null);
    const newer = frame.slice();
    newer[4] = 2;
    t.is(decodeVoterMessage(newer), null);
  }
});

test('whatever bytes are changed in a frame of voters, reading it ends', (t) => {
  let none = 0;
  forSeeds(500, (random) => {
    const frame = encodeVoterMessage(random.pick(MESSAGES));
    for (let i = 0; i < 4; i++) frame[8 + random.below(frame.length - 8)] = random.below(256);
    const message = decodeVoterMessage(frame);
    if (message === null) none += 1;
  });
  t.true(none > 50 && none < 450, `${none} of 500 were no message`);
});
