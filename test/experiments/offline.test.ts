/** Whole runs in the simulator, judged from their histories alone. */
import test from 'ava';
import { present } from '../../src/base/invariant.ts';
import { ANY_CUT, judgeCut } from '../../src/experiments/checkers/cut.ts';
import { imageFrom, orderOfDisk } from '../../src/experiments/checkers/cut-image.ts';
import { OperationTable } from '../../src/experiments/checkers/operations.ts';
import { judgeOffline } from '../../src/experiments/offline.ts';
import type { Run } from '../../src/experiments/runner.ts';
import { simCrashScenario } from '../../src/experiments/sim-crash.ts';
import { runInSimulator } from '../../src/experiments/sim-stage.ts';
import type { PlantedBug } from '../../src/world/faults.ts';

async function runOf(seed: number, plantedBug: PlantedBug, calm: boolean): Promise<Run> {
  const scenario = simCrashScenario(seed, { plantedBug, calm, beyond: false, images: null });
  return (await runInSimulator(scenario, seed)).run;
}

for (const seed of [1, 2, 3, 4]) {
  test(`seed ${seed} with kills of driver VMs and guests raises no false alarm`, async (t) => {
    const run = await runOf(seed, 'none', false);
    t.deepEqual(
      judgeOffline(run).filter(({ ok }) => !ok),
      [],
    );
  });
}

test('a replay in the wrong order is found in the histories, within four seeds', async (t) => {
  const names = new Set<string>();
  for (const seed of [1, 6, 7, 9]) {
    const run = await runOf(seed, 'unordered-replay', false);
    for (const { name, ok } of judgeOffline(run)) if (!ok) names.add(name);
  }
  t.true(names.has('ring-order'), `seeds 1, 6, 7, 9: ${[...names].join(', ')}`);
});

test('front ends given their old rings back are never answered, and that is found', async (t) => {
  const run = await runOf(1, 'naive-reattach', false);
  const broken = judgeOffline(run).filter(({ ok }) => !ok);
  t.true(
    broken.some(({ name, text }) => name === 'liveness' && text.includes('never answered')),
    JSON.stringify(broken),
  );
});

test('what guests read back after a calm run is the whole of their order', async (t) => {
  const run = await runOf(5, 'none', true);
  for (const { name, scenario, history, lives } of run.guests) {
    const sectors = scenario.diskSectors;
    const table = new OperationTable({ name, sectors, history, lives });
    const host = present(
      run.hosts.find((one) => one.name === scenario.host),
      'a guest has a host',
    );
    const numbered = orderOfDisk(table, host.tap, new Set(lives.map(({ frontId }) => frontId)));
    const image = imageFrom(table, numbered, 0);
    const judge = (recovered: Uint32Array): boolean =>
      judgeCut(numbered.order, recovered, {
        name: 'cut',
        clause: 'C3',
        disk: name,
        rule: 'prefix',
        bounds: ANY_CUT,
        place: String,
      }).ok;
    t.true(numbered.order.sequences.length > 100);
    t.true(judge(image), `calm seed 5, ${name}`);
    const unit = present(numbered.order.units[0], 'the first write has a unit');
    image[unit] = 0;
    t.false(judge(image), `calm seed 5, ${name}: its first write taken away`);
  }
});
