import test from 'ava';
import { type Generation, u32 } from '../../src/base/units.ts';
import { DiskOrder } from '../../src/driver-vm/order.ts';
import { OrderTap, recordBufferFor, TapKind } from '../../src/world/history.ts';

const FIRST = u32<Generation>(1);

function entry(frontSeq: number) {
  return { frontSeq, writeIndex: frontSeq + 100, flags: 0, partOffset: 0, unitSectors: 8 };
}

function tapOf(): OrderTap {
  return new OrderTap(recordBufferFor(64));
}

test('each mutation gets the next number, and the tap hears all there is to know of it', (t) => {
  const tap = tapOf();
  const order = new DiskOrder(tap, 9, 5, FIRST, false);
  t.is(Number(order.give(entry(1), 2, 77)), 1);
  t.is(Number(order.give(entry(2), 0, 78)), 2);
  t.is(tap.length, 2);
  t.deepEqual(tap.record(0), {
    kind: TapKind.mutation,
    disk: 9,
    frontId: 5,
    frontSeq: 1,
    writeIndex: 101,
    vdiSeq: 1,
    generation: 1,
    queue: 2,
    timeNs: 77,
  });
});

test('a successor goes on behind the last number of its own disk, whoever wrote last', (t) => {
  const tap = tapOf();
  const mine = new DiskOrder(tap, 1, 1, FIRST, false);
  const other = new DiskOrder(tap, 2, 2, FIRST, false);
  for (let i = 0; i < 5; i++) mine.give(entry(i), 0, i);
  for (let i = 0; i < 9; i++) other.give(entry(i), 0, i);
  const successor = new DiskOrder(tap, 1, 1, u32<Generation>(2), false);
  t.is(Number(successor.give(entry(6), 0, 20)), 6);
  const anotherGuest = new DiskOrder(tap, 1, 77, u32<Generation>(1), false);
  t.is(Number(anotherGuest.give(entry(1), 0, 21)), 7);
  t.is(Number(new DiskOrder(tap, 3, 3, FIRST, false).give(entry(1), 0, 22)), 1);
});

test('without a tap numbers are given all the same', (t) => {
  const order = new DiskOrder(null, 1, 1, FIRST, false);
  t.is(Number(order.give(entry(1), 0, 0)), 1);
  t.is(Number(order.give(entry(2), 0, 0)), 2);
});

test('the planted bug gives numbers late and last first, from copies of what was there', (t) => {
  const tap = tapOf();
  const order = new DiskOrder(tap, 1, 1, FIRST, true);
  t.true(order.givenLate);
  const reused = entry(1);
  order.postpone(reused, 0);
  reused.frontSeq = 2;
  order.postpone(reused, 1);
  t.is(tap.length, 0);
  order.givePostponed(50);
  t.deepEqual(
    [0, 1].map((at) => [tap.record(at).frontSeq, tap.record(at).vdiSeq, tap.record(at).queue]),
    [
      [2, 1, 1],
      [1, 2, 0],
    ],
  );
  order.givePostponed(60);
  t.is(tap.length, 2, 'each is given once');
  t.false(new DiskOrder(tap, 1, 1, FIRST, false).givenLate);
});
