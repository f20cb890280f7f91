/** The verdict on the store of a run, and that runs with crashes leave whole stores. */
import test from 'ava';
import { judgeStore } from '../../../src/experiments/checkers/store.ts';
import { simCrashScenario } from '../../../src/experiments/sim-crash.ts';
import { runInSimulator } from '../../../src/experiments/sim-stage.ts';
import type { FsckReport } from '../../../src/parallax/fsck/report.ts';
import { Policy } from '../../../src/parallax/vdi/policy.ts';

const OPTIONS = { plantedBug: 'none', calm: false, beyond: false } as const;

test('images of hosts that crash are left whole in every policy, and each run says so', async (t) => {
  for (const images of [Policy.w0, Policy.w1, Policy.w2, Policy.w3, Policy.w4]) {
    for (const seed of [3, 11]) {
      const scenario = simCrashScenario(seed, { ...OPTIONS, images });
      const { run } = await runInSimulator(scenario, seed);
      const [verdict] = judgeStore(run);
      t.true(verdict?.ok, `seed ${seed}, policy ${images}: ${verdict?.text}`);
      t.is(run.fsck?.withData, true);
      t.true((run.fsck?.totals.images ?? 0) === 3);
    }
  }
});

test('a run without a store has no verdict on one, and one that did not end has a bad one', (t) => {
  const scenario = simCrashScenario(1, { ...OPTIONS, images: Policy.w2 });
  const without = simCrashScenario(1, { ...OPTIONS, images: null });
  t.deepEqual(judgeStore({ scenario: without, fsck: null }), []);
  const [verdict] = judgeStore({ scenario, fsck: null });
  t.is(verdict?.ok, false);
  t.regex(verdict?.text ?? '', /has not ended/);
});

test('an error in a store breaks the verdict and is quoted; a warning does not', async (t) => {
  const scenario = simCrashScenario(3, { ...OPTIONS, calm: true, images: Policy.w2 });
  const { run } = await runInSimulator(scenario, 3);
  const clean = run.fsck as FsckReport;
  const finding = { where: 'image 1', what: 'it is bent', remedy: 'bend it back' } as const;
  const warning = { ...finding, severity: 'warning', code: 'root-without-name' } as const;
  const warned = { ...clean, warnings: 1, findings: [warning] };
  t.true(judgeStore({ scenario, fsck: warned })[0]?.ok);
  const error = { ...finding, severity: 'error', code: 'two-crcs' } as const;
  const bad = { ...clean, ok: false, errors: 1, findings: [warning, error] };
  const [verdict] = judgeStore({ scenario, fsck: bad });
  t.is(verdict?.ok, false);
  t.is(verdict?.text, '1 error: image 1: it is bent');
});
