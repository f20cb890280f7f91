import test from 'ava';
import fc from 'fast-check';
import { EventHeap } from '../../src/base/event-heap.ts';

test('events come out by time, then tie, then order of arrival', (t) => {
  const event = fc.record({ time: fc.nat(6), tie: fc.nat(3), pops: fc.nat(2) });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 300 }), (events) => {
      const heap = new EventHeap();
      const model: { time: number; tie: number; slot: number }[] = [];
      const popBoth = (): void => {
        model.sort((x, y) => x.time - y.time || x.tie - y.tie || x.slot - y.slot);
        const expected = model.shift();
        if (expected === undefined) return;
        t.is(heap.firstTimeNs(), expected.time);
        t.is(heap.pop(), expected.slot);
      };
      for (const [slot, { time, tie, pops }] of events.entries()) {
        heap.push(time, tie, slot);
        model.push({ time, tie, slot });
        for (let i = 0; i < pops; i++) popBoth();
      }
      while (model.length > 0) popBoth();
      t.is(heap.length, 0);
    }),
    { numRuns: 100 },
  );
});

test('a heap that grows beyond its first arrays keeps its order', (t) => {
  const heap = new EventHeap();
  for (let i = 0; i < 5000; i++) heap.push((i * 7919) % 5000, 0, i);
  let last = -1;
  while (heap.length > 0) {
    const time = heap.firstTimeNs();
    t.is((heap.pop() * 7919) % 5000, time);
    t.true(time > last);
    last = time;
  }
  t.is(last, 4999);
});

test('asking an empty heap for its first event is a bug', (t) => {
  t.throws(() => new EventHeap().pop(), { name: 'InvariantError' });
});
