/** Hello in bytes, as a server of a pool and a client of it say and judge it. */
import test from 'ava';
import { type Incarnation, u32 } from '../../../src/base/units.ts';
import { encodeFrame } from '../../../src/petal-backend/wire/codec.ts';
import type { PetalMessage } from '../../../src/petal-backend/wire/messages.ts';
import { poolHandshake } from '../../../src/petal-backend/wire/pool-handshake.ts';
import type { Handshake } from '../../../src/world/handshake.ts';
import { nodeDigest as digest } from '../../../src/world/real/digest.ts';
import { POOL, SAMPLES } from './wire-samples.ts';

function member(name: string, pool: Uint8Array = POOL): Handshake {
  return poolHandshake(digest, { pool, name, incarnation: () => u32<Incarnation>(4) });
}

function problem(of: ReturnType<Handshake['judge']>): string {
  return 'problem' in of ? of.problem : '';
}

test('servers and clients of one pool take each other by their names', (t) => {
  const [s1, s3, host] = [member('s1'), member('s3'), member('h0.7')];
  t.deepEqual(s1.judge(s3.hello(), 's3'), { name: 's3' });
  t.deepEqual(s1.judge(s3.hello(), null), { name: 's3' });
  t.deepEqual(s1.judge(host.hello(), null), { name: 'h0.7' });
  t.deepEqual(host.judge(s1.hello(), 's1'), { name: 's1' });
});

test('another pool, another server than the one that was called, and itself are refused', (t) => {
  const s1 = member('s1');
  t.regex(
    problem(
      s1.judge(
        member(
          's2',
          POOL.map(() => 9),
        ).hello(),
        null,
      ),
    ),
    /s2 is of pool 0909/,
  );
  t.regex(problem(s1.judge(member('s3').hello(), 's2')), /s3 answers where s2 was expected/);
  t.regex(problem(s1.judge(member('h0.7').hello(), 's2')), /h0.7 answers where s2 was expected/);
  t.regex(problem(s1.judge(member('s1').hello(), null)), /another s1 is there/);
});

test('a client does not go by the name of a server, nor a server by that of a client', (t) => {
  const hello = SAMPLES['hello']?.message as Extract<PetalMessage, { kind: 'hello' }>;
  const judged = (from: string, isServer: boolean): string => {
    const bytes = encodeFrame({ ...hello, pool: POOL, from, isServer }, new Uint8Array(0), digest);
    return problem(member('s1').judge(bytes, null));
  };
  t.regex(judged('s2', false), /a client goes by the name s2/);
  t.regex(judged('h0', true), /a server goes by the name h0/);
  t.is(judged('s2', true), '');
});

test('a first frame that is damaged, or no hello, is refused with what it was', (t) => {
  const s1 = member('s1');
  const hello = member('s2').hello();
  hello[30] = (hello[30] ?? 0) ^ 1;
  t.regex(problem(s1.judge(hello, null)), /the first frame: the CRC of the header is wrong/);
  const probe = SAMPLES['probe'] as { message: PetalMessage };
  const bytes = encodeFrame(probe.message, new Uint8Array(0), digest);
  t.is(problem(s1.judge(bytes, null)), 'the first message is probe; expected hello');
});
