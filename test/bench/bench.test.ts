import test, { type ExecutionContext } from 'ava';
import { medianOf, spreadOf, target } from '../../bench/bench-result.ts';
import { run as runPetal } from '../../bench/petal.ts';
import { run as runRing } from '../../bench/ring.ts';
import { run as runSim } from '../../bench/sim.ts';
import { run as runVdi } from '../../bench/vdi.ts';
import { run as runWire } from '../../bench/wire.ts';
import { longSerialTest } from '../helpers/long-tests.ts';

test('a spread has the middle and both ends; an even count meets in the middle', (t) => {
  t.deepEqual(spreadOf([5, 1, 3]), { min: 1, median: 3, max: 5 });
  t.is(medianOf([4, 1, 2, 10]), 3);
  t.throws(() => spreadOf([]), { message: /at least one value/ });
});

test('a target is met on the good side of its goal, and undecided where nothing could decide', (t) => {
  t.true(target('a', 5, 'higher', 5).ok);
  t.false(target('a', 4.9, 'higher', 5).ok);
  t.true(target('a', 0.1, 'lower', 0.1).ok);
  t.false(target('a', 0.2, 'lower', 0.1).ok);
  t.is(target('a', 5, 'higher', 1, false).ok, null);
  t.false(target('a', Number.NaN, 'higher', 0).ok, 'what was not measured is not met');
});

function finite(t: ExecutionContext, values: readonly { id: string; value: number }[]): void {
  for (const { id, value } of values) t.true(Number.isFinite(value), `${id} is ${value}`);
}

longSerialTest('ring, quick: every peer and mode runs, and every target has a value', async (t) => {
  const result = await runRing({ quick: true });
  t.is(result.bench, 'ring');
  t.is(result.runs, 1);
  t.deepEqual(
    result.targets.map(({ id }) => id),
    [
      'ring.qd32.vs-port',
      'ring.qd32.vs-port-shared',
      'ring.qd32.vs-comlink',
      'ring.qd32.vs-piscina',
      'ring.qd1.block.vs-port',
      'ring.qd1.poll.vs-port',
      'ring.qd32.kicks',
      'ring.guests2.ratio',
      'ring.neighbour.p99-ratio',
    ],
  );
  finite(t, result.targets);
  // Four peers and six ways of the ring, one and two guests, four depths; two modes beside two.
  t.is(result.samples.length, (4 + 3 * 2) * 2 * 4 + 2 * 2);
});

test.serial('sim, quick: the scenario is sound and both targets have a value', async (t) => {
  const result = await runSim({ quick: true });
  t.is(result.bench, 'sim');
  t.deepEqual(
    result.targets.map(({ id }) => id),
    ['sim.events', 'sim.spine'],
  );
  finite(t, result.targets);
});

longSerialTest('vdi, quick: every line runs on a store of its own and has a value', async (t) => {
  const result = await runVdi({ quick: true });
  t.is(result.bench, 'vdi');
  t.deepEqual(
    result.targets.map(({ id }) => id),
    [
      'vdi.write.w2.qd32.vs-rawlog',
      'vdi.write.w2.qd32.vs-file-sync',
      'vdi.write.w2.sustained',
      'vdi.read.hit.qd32.vs-null',
      'vdi.read.slab.qd32.vs-pread',
      'vdi.snapshot.stall-p99-ms',
      'vdi.snapshot.size-ratio',
      'vdi.write.after-snapshot.ratio',
      'vdi.read.100-snapshots.ratio',
      'vdi.read.hit.p99-under-writes-ms',
      'vdi.restart.s-per-gib',
      'vdi.log.write-amp',
      'vdi.rss-mib',
    ],
  );
  finite(t, result.targets);
  const published = result.samples.filter((sample) => 'published' in (sample as object));
  t.is(published.length, 3, 'the lines that write say how far publishing was');
});

test.serial(
  'wire, quick: frames come back, a socket answers, and both targets have a value',
  async (t) => {
    const result = await runWire({ quick: true });
    t.is(result.bench, 'wire');
    t.deepEqual(
      result.targets.map(({ id }) => id),
      ['wire.write-4k.us', 'wire.unix.requests-per-s'],
    );
    finite(t, result.targets);
    t.is(result.samples.length, 4);
  },
);

longSerialTest(
  'petal, quick: processes write, read and take over, and all targets have a value',
  async (t) => {
    const result = await runPetal({ quick: true });
    t.is(result.bench, 'petal');
    t.deepEqual(
      result.targets.map(({ id }) => id),
      [
        'petal.write.qd32.vs-rawlog',
        'petal.read.qd32.vs-socket',
        'petal.takeover.s',
        'petal.failed.read.ratio',
      ],
    );
    finite(t, result.targets);
    t.is(result.samples.length, 4);
  },
);
