import test from 'ava';
import { nanos } from '../../src/base/units.ts';
import { Pacer } from '../../src/guests/pace.ts';

test('a timed trace starts now and keeps its distances, divided by the speed', (t) => {
  for (const speed of [1, 4, 0.5]) {
    const pacer = new Pacer({ kind: 'timed', speed, depth: 8 });
    pacer.begin(nanos(1000), 5e6);
    t.is(Number(pacer.dueNs(5e6, nanos(1000))), 1000);
    t.is(Number(pacer.dueNs(7e6, nanos(1000))), 1000 + 2e6 / speed);
  }
});

test('a start is late when it is more than a millisecond behind its time', (t) => {
  const pacer = new Pacer({ kind: 'timed', speed: 1, depth: 8 });
  pacer.begin(nanos(0), 0);
  t.false(pacer.isLate(nanos(5e6), nanos(6e6)));
  t.true(pacer.isLate(nanos(5e6), nanos(6e6 + 1)));
});

test('in a closed loop everything is due now, and nothing is late', (t) => {
  const pacer = new Pacer({ kind: 'closed', depth: 8 });
  pacer.begin(nanos(77), 9e9);
  t.is(Number(pacer.dueNs(12e9, nanos(500))), 500);
  t.false(pacer.isLate(nanos(0), nanos(9e9)));
  t.deepEqual([pacer.timed, pacer.depth], [false, 8]);
});
