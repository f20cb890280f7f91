/** K5 in a run: a host is taken for dead, another one takes its images, and the first goes on. */
import test, { type ExecutionContext } from 'ava';
import { present } from '../../src/base/invariant.ts';
import { checkFaults } from '../../src/experiments/check-faults.ts';
import { coverageOf } from '../../src/experiments/coverage.ts';
import type { Scenario } from '../../src/experiments/scenario.ts';
import { simCrashScenario } from '../../src/experiments/sim-crash.ts';
import { POLICY_NAMES, Policy } from '../../src/parallax/vdi/policy.ts';
import { SMALL_SIZES } from '../../src/parallax/vdi/sizes.ts';
import { EXTENT_BLOCKS } from '../../src/world/block-pool.ts';
import type { Fault } from '../../src/world/faults.ts';
import { HistoryStatus } from '../../src/world/history.ts';
import {
  allHold,
  guestWith,
  HALF_WAY,
  judgedRun,
  scenarioWith,
  toldAtNs,
} from '../helpers/fault-bench.ts';

const TAKE_OVER: Fault = { kind: 'take-over', host: 'h0', by: 'h1', forNs: 60e6, when: HALF_WAY };

function onImages(
  policy: Policy,
  faults: readonly Fault[],
  more: Partial<Scenario> = {},
): Scenario {
  const image = { device: 'vdi', writeBack: policy } as const;
  return scenarioWith(faults, {
    hosts: ['h0', 'h1'],
    guests: [guestWith('g0', image), guestWith('g1', image)],
    hostMemoryBytes: 64 * 2 ** 20,
    store: { sizes: SMALL_SIZES, poolBlocks: 32 * EXTENT_BLOCKS },
    ...more,
  });
}

for (const policy of Object.values(Policy)) {
  test(`${POLICY_NAMES[policy]}: another host takes the image over: the zombie is judged with it`, async (t) => {
    const { run, checks } = await judgedRun(onImages(policy, [TAKE_OVER]), 1);
    allHold(t, checks, 'seed 1');
    t.true(run.finished);
    t.is(checks.filter(({ name }) => name === 'fencing').length, 2);
    t.true(coverageOf(run).stakes.includes('K5 image taken over, image'));
    for (const { host, lives, losses, takeOver } of run.guests) {
      t.is(host, 'h1');
      t.is(lives.length, 2);
      t.is(losses.length, policy === Policy.w0 ? 0 : 1);
      const { history, firstRecord, fenced } = present(takeOver, 'it was taken over');
      t.true(fenced, 'the old host knows that it serves the image no more');
      t.true(history.length > firstRecord, 'the guest went on there');
      let failed = 0;
      for (let at = firstRecord; at < history.length; at++) {
        if (history.record(at).status === HistoryStatus.error) failed++;
      }
      t.true(failed > 0, 'and was told that its requests had failed');
    }
  });
}

test('the log of a host that was taken for dead comes back: its orphans are judged by its own records', async (t) => {
  for (const policy of [Policy.w1, Policy.w2, Policy.w3, Policy.w4]) {
    const { run, checks } = await judgedRun(onImages(policy, [TAKE_OVER]), 2);
    allHold(t, checks, `W${policy}`);
    t.is(checks.filter(({ name }) => name === 'orphan').length, 2, `W${policy}`);
    const what = 'what a lost host had not published was an image when it came back';
    t.true(coverageOf(run).moments.includes(what));
  }
});

test('the host that takes over dies in it, or comes late: it is done in the end, and once', async (t) => {
  const kill: Fault = {
    kind: 'kill-driver',
    host: 'h1',
    when: { kind: 'crash-point', point: 'publish.before-root', nth: 1 },
  };
  const late: Fault = { kind: 'pause-driver', host: 'h1', forNs: 120e6, when: HALF_WAY };
  for (const beside of [kill, late]) {
    const short = { ...TAKE_OVER, forNs: 5e6 };
    const { run, checks } = await judgedRun(onImages(Policy.w2, [short, beside]), 3);
    allHold(t, checks, beside.kind);
    for (const { host } of run.guests) t.is(host, 'h1');
  }
});

test('a host that lost its power is taken over while it is away, and is not waited for', async (t) => {
  const cut: Fault = { kind: 'power-cut', host: 'h0', when: HALF_WAY };
  const { run, checks } = await judgedRun(
    onImages(Policy.w2, [cut, TAKE_OVER], { driverRestartNs: 50e6 }),
    4,
  );
  allHold(t, checks, 'seed 4');
  toldAtNs(t, run, 'h1 has taken over the image of g0');
  for (const { host } of run.guests) t.is(host, 'h1');
});

/** Seeds of the crash scenario in which a take-over and another fault fall together. */
async function seedsHold(
  t: ExecutionContext,
  seeds: readonly number[],
  images: Policy = Policy.w2,
): Promise<void> {
  const drawn = { plantedBug: 'none', calm: false, beyond: false, images } as const;
  for (const seed of seeds) {
    const { checks } = await judgedRun(simCrashScenario(seed, drawn), seed);
    allHold(t, checks, `seed ${seed}`);
  }
}

test('images are taken over while their old host starts again: its log forgets nothing of them', async (t) => {
  await seedsHold(t, [411, 779]);
});

test('a guest that is done while its image is taken over starts on the other host, and is waited for', async (t) => {
  await seedsHold(t, [184]);
});

test('a guest whose rings are struck while its image is taken over is ejected where it is', async (t) => {
  await seedsHold(t, [888]);
});

test('what a log has refused of an image that is idle since does not keep it full for others', async (t) => {
  await seedsHold(t, [4715]);
});

test('who has moved shared the fate of the host that it was on', async (t) => {
  await seedsHold(t, [1298]);
});

test('a host that loses its power as it has taken an image over starts its guest when it is back', async (t) => {
  await seedsHold(t, [5325], Policy.w4);
});

test('a successor that does not raise the generation is caught by each checker that looks', async (t) => {
  const scenario = onImages(Policy.w2, [TAKE_OVER], { plantedBug: 'quiet-take-over' });
  const { checks } = await judgedRun(scenario, 1);
  t.true(checks.some(({ ok }) => !ok));
});

test('who takes over is another host of the scenario, and the disks are images', (t) => {
  const nobody = onImages(Policy.w2, [{ ...TAKE_OVER, by: 'h7' }]);
  const error = t.throws(() => checkFaults(nobody), { code: 'E_FAULT_VICTIM' });
  t.regex(error.message, /"h7".*expected another host of the scenario: h1/);
  const itself = onImages(Policy.w2, [{ ...TAKE_OVER, by: 'h0' }]);
  t.throws(() => checkFaults(itself), { code: 'E_FAULT_VICTIM' });
  const files = scenarioWith([TAKE_OVER], { hosts: ['h0', 'h1'] });
  t.throws(() => checkFaults(files), { code: 'E_FAULT_NEEDS' });
});
