import test from 'ava';
import { InvariantError, invariant, present, unreachable } from '../../src/base/invariant.ts';
import {
  blockNo,
  blockToLba,
  frameNo,
  frameToAddress,
  lba,
  lbaToBlock,
  lbaToBytes,
  NEVER,
  nanos,
  type RingEpoch,
  u32,
  u48,
  type VdiSeq,
} from '../../src/base/units.ts';

const BAD = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY];

test('numbers outside their range are not minted', (t) => {
  const minters: [string, (value: number) => number, number][] = [
    ['lba', lba, Number.MAX_SAFE_INTEGER],
    ['blockNo', blockNo, 2 ** 31 - 1],
    ['frameNo', frameNo, 2 ** 20 - 1],
    ['u32', u32<RingEpoch>, 2 ** 32 - 1],
    ['u48', u48<VdiSeq>, 2 ** 48 - 1],
  ];
  for (const [name, mint, largest] of minters) {
    t.is(mint(largest), largest, name);
    for (const bad of [...BAD, largest + 1]) {
      t.throws(() => mint(bad), { instanceOf: InvariantError }, `${name}(${bad})`);
    }
  }
});

test('frame 0 is no frame, and time has an end but no beginning before 0', (t) => {
  t.throws(() => frameNo(0), { instanceOf: InvariantError });
  t.throws(() => nanos(-1), { instanceOf: InvariantError });
  t.throws(() => nanos(Number.NaN), { instanceOf: InvariantError });
  t.true(nanos(2 ** 53) < NEVER);
});

test('conversions between sectors, blocks, bytes and frames agree with each other', (t) => {
  for (const sector of [0, 7, 8, 2 ** 32 + 9, 2 ** 33 + 5]) {
    t.is(Number(lbaToBytes(lba(sector))), sector * 512);
    t.is(Number(lbaToBlock(lba(sector))), Math.floor(sector / 8));
  }
  const block = blockNo(2 ** 31 - 1);
  t.is(lbaToBlock(blockToLba(block)), block);
  t.is(Number(frameToAddress(frameNo(2 ** 20 - 1))), 2 ** 32 - 4096);
});

test('a broken law says which, and values that must be there are handed through', (t) => {
  t.throws(() => invariant(false, 'the law'), { message: 'broken invariant: the law' });
  t.notThrows(() => invariant(true, 'the law'));
  t.is(present(0, 'is there'), 0);
  t.is(present('', 'is there'), '');
  t.throws(() => present(null, 'is there'), { message: /is there/ });
  t.throws(() => present(undefined, 'is there'), { message: /is there/ });
  t.throws(() => unreachable('x' as never), { message: /no case for "x"/ });
});
