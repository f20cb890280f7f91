/** The handshake of a link to a Petal server: what a first message must be. */
import test from 'ava';
import { type Incarnation, u32 } from '../../../src/base/units.ts';
import {
  type HelloFrom,
  type HelloWanted,
  helloProblem,
  makeHello,
} from '../../../src/petal-backend/wire/hello.ts';
import type { PetalMessage } from '../../../src/petal-backend/wire/messages.ts';
import { POOL, SAMPLES } from './wire-samples.ts';

const s3: HelloFrom = { pool: POOL, from: 's3', isServer: true, incarnation: u32<Incarnation>(4) };
const wanted: HelloWanted = { pool: POOL.slice(), from: 's3', isServer: true };
const anybody: HelloWanted = { pool: POOL, from: null, isServer: null };

test('the hello of the server that was called is taken, and anybody of the pool if nobody was', (t) => {
  t.is(helloProblem(makeHello(s3), wanted), null);
  t.is(helloProblem(makeHello(s3), anybody), null);
  t.is(helloProblem(makeHello({ ...s3, from: 'h0', isServer: false }), anybody), null);
});

test('a first message that is no hello is refused', (t) => {
  const probe = SAMPLES['probe']?.message as PetalMessage;
  t.is(helloProblem(probe, anybody), 'the first message is probe; expected hello');
});

test('a hello of a newer or older protocol is refused with both versions and whom to update', (t) => {
  const newer = { ...makeHello(s3), protocol: 3 };
  t.is(
    helloProblem(newer, wanted),
    's3 has version 3 of the Petal protocol, this program version 1: update this program',
  );
  const older = { ...makeHello(s3), protocol: 0 };
  t.regex(helloProblem(older, wanted) ?? '', /version 0 .*version 1: update the other one/);
});

test('a hello from another pool, of another name or of the wrong kind is refused and says which', (t) => {
  const pool = POOL.slice();
  pool[15] = 0;
  t.is(
    helloProblem(makeHello({ ...s3, pool }), wanted),
    's3 is of pool 101112131415161718191a1b1c1d1e00, ' +
      'expected 101112131415161718191a1b1c1d1e1f: wrong address?',
  );
  t.is(
    helloProblem(makeHello({ ...s3, from: 's4' }), wanted),
    's4 answers where s3 was expected: wrong address?',
  );
  t.is(
    helloProblem(makeHello({ ...s3, isServer: false }), wanted),
    's3 is a client; expected a server',
  );
});
