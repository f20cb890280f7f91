import test from 'ava';
import { Fifo } from '../../src/base/fifo.ts';
import { check, forSeeds } from '../helpers/property.ts';

test('a queue behaves as an array does, while it wraps and grows', (t) => {
  t.notThrows(() =>
    forSeeds(100, (random) => {
      const queue = new Fifo<number>();
      const model: number[] = [];
      const pushes = random.between(40, 70) / 100;
      for (let step = 0; step < 500; step++) {
        check(queue.peek() === model[0], 'the oldest is seen first');
        if (random.chance(pushes)) {
          queue.push(step);
          model.push(step);
        } else if (model.length > 0) {
          check(queue.shift() === model.shift(), 'first in, first out');
        }
        check(queue.length === model.length, 'the length is counted');
      }
      check(JSON.stringify(queue.drain()) === JSON.stringify(model), 'a drain gives all, in order');
      check(queue.length === 0 && queue.peek() === undefined, 'a drained queue is empty');
    }),
  );
});

test('undefined is an item like any other to length, and an empty queue gives nothing', (t) => {
  const queue = new Fifo<number | undefined>();
  queue.push(undefined);
  queue.push(2);
  t.is(queue.length, 2);
  t.is(queue.shift(), undefined);
  t.is(queue.shift(), 2);
  t.throws(() => queue.shift(), { message: /an empty queue has nothing to give/ });
});
