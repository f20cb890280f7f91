/** Hosts of images that are lost, and stores that do not answer, in the simulator. */
import test from 'ava';
import { present } from '../../src/base/invariant.ts';
import { simulateSeed } from '../../src/cli/seed-run.ts';
import { coverageOf } from '../../src/experiments/coverage.ts';
import type { Scenario } from '../../src/experiments/scenario.ts';
import { POLICY_NAMES, Policy } from '../../src/parallax/vdi/policy.ts';
import { SMALL_SIZES } from '../../src/parallax/vdi/sizes.ts';
import { EXTENT_BLOCKS } from '../../src/world/block-pool.ts';
import { type Fault, IMAGE_BUGS } from '../../src/world/faults.ts';
import { HistoryKind, HistoryStatus } from '../../src/world/history.ts';
import {
  allHold,
  guestWith,
  HALF_WAY,
  judgedRun,
  scenarioWith,
  toldAtNs,
} from '../helpers/fault-bench.ts';

function onImages(
  policy: Policy,
  faults: readonly Fault[],
  more: Partial<Scenario> = {},
): Scenario {
  const image = { device: 'vdi', writeBack: policy } as const;
  return scenarioWith(faults, {
    guests: [guestWith('g0', image), guestWith('g1', image)],
    hostMemoryBytes: 64 * 2 ** 20,
    store: { sizes: SMALL_SIZES, poolBlocks: 32 * EXTENT_BLOCKS },
    ...more,
  });
}

const LOSS: Fault = { kind: 'host-loss', host: 'h0', when: HALF_WAY };
/** Which policies lose what was acknowledged with their host, and which keep what was flushed. */
const RECORDS = [null, 'loss', 'loss', 'loss', 'loss', 'loss'] as const;

for (const policy of Object.values(Policy)) {
  test(`${POLICY_NAMES[policy]}: a host is lost with its disks; guests go on from what the store has`, async (t) => {
    const { run, checks } = await judgedRun(onImages(policy, [LOSS]), 1);
    allHold(t, checks, 'seed 1');
    toldAtNs(t, run, 'h0 is lost, and its disks with it');
    t.true(run.finished);
    for (const { history, lives, losses } of run.guests) {
      t.is(lives.length, 2);
      const last = history.record(present(lives[1], 'a second life').firstRecord - 1);
      t.is(last.kind === HistoryKind.loss, RECORDS[policy] !== null);
      t.is(losses.length, RECORDS[policy] === null ? 0 : 1);
    }
  });
}

test('W5: a driver VM dies, its disks answer with errors, and guests that start again go on', async (t) => {
  const kill: Fault = { kind: 'kill-driver', host: 'h0', when: HALF_WAY };
  const { run, checks } = await judgedRun(onImages(Policy.w5, [kill]), 1);
  allHold(t, checks, 'seed 1');
  const outage = present(present(run.hosts[0], 'h0').outages[0], 'an outage');
  for (const { history, lives } of run.guests) {
    t.is(lives.length, 2, 'its guest was started again');
    let errors = 0;
    for (let at = 0; at < present(lives[1], 'a second life').firstRecord; at++) {
      const { status, ackNs, kind } = history.record(at);
      if (ackNs <= (outage.servingAtNs ?? 0) || kind === HistoryKind.loss) continue;
      t.is(status, HistoryStatus.error, `record ${at}`);
      errors++;
    }
    t.true(errors > 0);
  }
});

test('W2: the power of a host is cut: nothing acknowledged is gone, and no loss is recorded', async (t) => {
  const cut: Fault = { kind: 'power-cut', host: 'h0', when: HALF_WAY };
  const { run, checks } = await judgedRun(onImages(Policy.w2, [cut]), 1);
  allHold(t, checks, 'seed 1');
  for (const { losses, lives } of run.guests) t.deepEqual([losses.length, lives.length], [0, 2]);
});

test('snapshots under load are cuts of their disks, and outlive the host', async (t) => {
  const snapshots = [1, 2, 3].map((n) => ({
    guest: 'g0',
    name: `s${n}`,
    when: { kind: 'progress', share: n * 0.12 } as const,
  }));
  const { run, checks } = await judgedRun(onImages(Policy.w2, [LOSS], { snapshots }), 1);
  allHold(t, checks, 'seed 1');
  t.is(run.snapshots?.taken.filter(({ acknowledgedNs }) => acknowledgedNs !== null).length, 3);
  t.regex(checks.find(({ name }) => name === 'snapshots')?.text ?? '', /3 snapshots/);
  t.true(coverageOf(run).stakes.includes('C10 snapshot under load'));
});

const STORE_FAULTS: readonly Fault[] = [
  { kind: 'pool-disk', trouble: 'no-space', forNs: 60e6, when: HALF_WAY },
  { kind: 'pool-disk', trouble: 'write-error', forNs: 60e6, when: HALF_WAY },
  { kind: 'pool-disk', trouble: 'read-error', forNs: 60e6, when: HALF_WAY },
  { kind: 'directory-majority-loss', forNs: 120e6, when: HALF_WAY },
];
for (const fault of STORE_FAULTS) {
  const what = 'trouble' in fault ? `${fault.kind} ${fault.trouble}` : fault.kind;
  test(`${what}: images go on when it is over, and nothing acknowledged is lost`, async (t) => {
    const { run, checks } = await judgedRun(onImages(Policy.w2, [fault]), 1);
    allHold(t, checks, 'seed 1');
    t.is(run.struck.get(`${what}/replay`), 1);
    t.true(run.finished);
  });
}

/** A seed of the crash scenario on images of W2 in which each planted bug shows. */
const SEED_OF_BUG: Readonly<Record<(typeof IMAGE_BUGS)[number], number>> = {
  'ack-before-sync': 9,
  'unsynced-log': 4,
  'merged-batches': 1,
  'early-watermark': 1,
  'unordered-log': 2,
  'late-snapshot': 5,
  'stale-slab': 24,
  'old-log-tail': 2,
  'same-generation': 1,
  'quiet-take-over': 1,
  'early-hand-over': 6,
  'forgotten-suffix': 6,
};

for (const bug of IMAGE_BUGS) {
  test(`the planted bug ${bug} of images is caught, and its seed holds without it`, async (t) => {
    const moves = bug === 'early-hand-over';
    const options = { plantedBug: bug, calm: false, beyond: false, images: Policy.w2, moves };
    const seed = SEED_OF_BUG[bug];
    const planted = await simulateSeed(seed, options, null);
    t.true(
      planted.checks.some(({ ok }) => !ok),
      `seed ${seed}`,
    );
    const sound = await simulateSeed(seed, { ...options, plantedBug: 'none' }, null);
    allHold(t, sound.checks, `seed ${seed}`);
  });
}
