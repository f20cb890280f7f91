/** Bugs that are planted in rings, front ends and drivers, in the simulator. */
import test from 'ava';
import { simulateSeed } from '../../src/cli/seed-run.ts';
import { PLANTED_BUGS } from '../../src/world/faults.ts';
import { allHold } from '../helpers/fault-bench.ts';

/** A seed of the crash scenario in which each planted bug shows; a sweep finds others. */
const SEED_OF_BUG: Readonly<Record<(typeof PLANTED_BUGS)[number], number>> = {
  'naive-reattach': 1,
  'unordered-replay': 4,
  'forgotten-replay': 1,
  'late-sequence': 1,
  'ignored-overlap': 1,
  'short-copy': 1,
  'leaked-mapping': 17,
  'early-write': 1,
  'skipped-flush': 4,
};

for (const bug of PLANTED_BUGS) {
  test(`the planted bug ${bug} is caught, and its seed holds without it`, async (t) => {
    const options = { plantedBug: bug, calm: false, beyond: false, images: null };
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
