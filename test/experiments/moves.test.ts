/** Planned moves in a run: guests are stopped, their images handed over, and nothing is lost. */
import test, { type ExecutionContext } from 'ava';
import { present } from '../../src/base/invariant.ts';
import { checkFaults } from '../../src/experiments/check-faults.ts';
import { coverageOf } from '../../src/experiments/coverage.ts';
import type { Scenario } from '../../src/experiments/scenario.ts';
import { simCrashScenario } from '../../src/experiments/sim-crash.ts';
import { POLICY_NAMES, Policy } from '../../src/parallax/vdi/policy.ts';
import { SMALL_SIZES } from '../../src/parallax/vdi/sizes.ts';
import { EXTENT_BLOCKS } from '../../src/world/block-pool.ts';
import type { CrashPoint, Fault } from '../../src/world/faults.ts';
import { allHold, guestWith, HALF_WAY, judgedRun, scenarioWith } from '../helpers/fault-bench.ts';

const MOVE: Fault = { kind: 'move', host: 'h0', by: 'h1', when: HALF_WAY };

function onImages(policy: Policy, faults: readonly Fault[]): Scenario {
  const image = { device: 'vdi', writeBack: policy } as const;
  return scenarioWith(faults, {
    hosts: ['h0', 'h1'],
    guests: [guestWith('g0', image), guestWith('g1', image)],
    hostMemoryBytes: 64 * 2 ** 20,
    store: { sizes: SMALL_SIZES, poolBlocks: 32 * EXTENT_BLOCKS },
  });
}

for (const policy of Object.values(Policy)) {
  test(`${POLICY_NAMES[policy]}: images move to another host by plan: their guests find all they were told of`, async (t) => {
    const { run, checks } = await judgedRun(onImages(policy, [MOVE]), 1);
    allHold(t, checks, 'seed 1');
    t.true(run.finished);
    t.is(checks.filter(({ name }) => name === 'move').length, 2);
    t.true(coverageOf(run).stakes.includes('planned move, image'));
    for (const { host, lives, losses, takeOver } of run.guests) {
      t.is(host, 'h1');
      t.is(lives.length, 2);
      t.deepEqual(losses, [], 'nothing may be lost');
      t.like(present(takeOver, 'it was moved'), { isPlanned: true, orphan: null });
    }
  });
}

/** Who dies in a move, and where. */
const DEATHS: readonly (readonly [host: 'h0' | 'h1', point: CrashPoint, nth: number])[] = [
  ['h0', 'move.before-close', 1],
  ['h0', 'move.after-close', 1],
  ['h0', 'move.after-home', 2],
  ['h1', 'log.after-incarnation', 1],
  ['h1', 'publish.before-root', 1],
];

for (const [host, point, nth] of DEATHS) {
  const who = host === 'h0' ? 'the source' : 'the target';
  for (const kind of ['kill-driver', 'power-cut'] as const) {
    test(`a move in which ${who} dies (${kind} at ${point}) is done in the end, and keeps what the policy says`, async (t) => {
      const death: Fault = { kind, host, when: { kind: 'crash-point', point, nth } };
      for (const policy of [Policy.w2, Policy.w5]) {
        const { run, checks } = await judgedRun(onImages(policy, [MOVE, death]), 2);
        allHold(t, checks, `W${policy}`);
        for (const guest of run.guests) t.is(guest.host, 'h1');
      }
    });
  }
}

async function seedHolds(t: ExecutionContext, seed: number, images: Policy): Promise<void> {
  const drawn = { plantedBug: 'none', calm: false, beyond: false, images, moves: true } as const;
  const { checks } = await judgedRun(simCrashScenario(seed, drawn), seed);
  allHold(t, checks, `seed ${seed}`);
}

test('a guest that is done as it is told to stop stays where it is', async (t) => {
  await seedHolds(t, 69, Policy.w2);
});

test('a host that is lost, and then cut off, while its guest moves: both losses are judged', async (t) => {
  await seedHolds(t, 112, Policy.w3);
});

test('a host that is lost when it has handed an image over takes nothing of that with it', async (t) => {
  await seedHolds(t, 176, Policy.w3);
});

test('who gets the images is another host of the scenario, and the disks are images', (t) => {
  const itself = onImages(Policy.w2, [{ ...MOVE, by: 'h0' }]);
  t.throws(() => checkFaults(itself), { code: 'E_FAULT_VICTIM' });
  const files = scenarioWith([MOVE], { hosts: ['h0', 'h1'] });
  t.throws(() => checkFaults(files), { code: 'E_FAULT_NEEDS', message: /takes the disk of g0/ });
});
