import test from 'ava';
import fc from 'fast-check';
import { DriftingClock } from '../../src/world/drifting-clock.ts';
import { DRIFT_PPM_MAX, DRIFT_PPM_MIN, JUMP_NS_MAX } from '../../src/world/faults.ts';

const change = fc.oneof(
  fc.record({
    kind: fc.constant('drift' as const),
    by: fc.integer({ min: DRIFT_PPM_MIN, max: DRIFT_PPM_MAX }),
    afterNs: fc.integer({ min: 0, max: 1e9 }),
  }),
  fc.record({
    kind: fc.constant('jump' as const),
    by: fc.integer({ min: 0, max: JUMP_NS_MAX }),
    afterNs: fc.integer({ min: 0, max: 1e9 }),
  }),
);

test('a clock that nobody changes shows the time of the run', (t) => {
  const clock = new DriftingClock();
  for (const ns of [0, 1, 77, 1e9, 123_456_789_012]) {
    t.deepEqual([clock.localNs(ns), clock.runNs(ns)], [ns, ns]);
  }
  t.is(clock.runNs(Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY);
});

test('whatever drifts and jumps come, a clock never goes back, and a deadline is met at once', (t) => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), fc.nat(1e9), (changes, aheadNs) => {
      const clock = new DriftingClock();
      let runNs = 0;
      for (const { kind, by, afterNs } of changes) {
        const before = clock.localNs(runNs);
        runNs += afterNs;
        const shown = clock.localNs(runNs);
        if (kind === 'drift') clock.setDrift(runNs, by);
        else clock.jump(runNs, by);
        if (shown < before || clock.localNs(runNs) < shown) return false;
        const deadlineNs = clock.localNs(runNs) + aheadNs;
        const dueNs = clock.runNs(deadlineNs);
        if (clock.localNs(dueNs) < deadlineNs) return false;
        if (dueNs > runNs && clock.localNs(dueNs - 1) >= deadlineNs) return false;
      }
      return true;
    }),
  );
  t.pass();
});

test('a deadline is met at its first moment, also where a division is off by a little', (t) => {
  const clock = new DriftingClock();
  clock.jump(644_748_870, 32_874_901_005);
  const runNs = 644_748_870 + 840_088_491;
  clock.setDrift(runNs, -1);
  const deadlineNs = clock.localNs(runNs) + 3;
  const dueNs = clock.runNs(deadlineNs);
  t.true(clock.localNs(dueNs) >= deadlineNs);
  t.true(clock.localNs(dueNs - 1) < deadlineNs);
});

test('a skew that ends leaves what was gained, and goes on at the right speed', (t) => {
  const clock = new DriftingClock();
  clock.setDrift(1_000, 500_000);
  t.is(clock.localNs(3_000), 4_000);
  clock.setDrift(3_000, 0);
  t.is(clock.localNs(5_000), 6_000);
  clock.jump(5_000, 10_000);
  t.is(clock.localNs(5_001), 16_001);
});

test('a clock that would stand still, race or go back is a bug of who asks for it', (t) => {
  const clock = new DriftingClock();
  t.throws(() => clock.setDrift(0, DRIFT_PPM_MIN - 1), { name: 'InvariantError' });
  t.throws(() => clock.setDrift(0, DRIFT_PPM_MAX + 1), { name: 'InvariantError' });
  t.throws(() => clock.jump(0, -1), { name: 'InvariantError' });
});
