/** A hostile guest beside an honest one, on one driver VM, in the simulator: many seeds. */
import test from 'ava';
import type { GuestResult } from '../../src/guests/guest.ts';
import type { HostileStatus } from '../../src/guests/hostile-guest.ts';
import { HostileStage, type HostileStageOptions } from '../helpers/hostile-stage.ts';
import { isLong } from '../helpers/long-tests.ts';

const SEEDS = isLong ? 60 : 25;
/** The honest guest may take this many times as long as alone. */
const SLOWDOWN_MAX = 3;

interface Beside {
  readonly problems: readonly string[];
  readonly tookNs: number;
  readonly sectorsVerified: number;
  readonly hostile: HostileStatus | null;
  readonly hash: string;
}

async function beside(
  seed: number,
  attacks: readonly string[] | null,
  options: HostileStageOptions = { requests: 1000 },
  others: readonly string[] = [],
): Promise<Beside> {
  const stage = new HostileStage(seed, options);
  let tookNs = 0;
  let hostile: HostileStatus | null = null;
  const outcome = await stage.run(async () => {
    await stage.startDriver();
    if (attacks !== null) {
      const prankShare = attacks.length === 0 ? 0.1 : 0;
      const pauseNs = others.length === 0 ? 40_000 : 4_000;
      for (const name of ['evil', ...others]) {
        await stage.hostile(name, { attacks, pauseNs, prankShare });
      }
      await stage.world.timers.sleep(60e6);
    }
    const track = await stage.honest('good', seed);
    await stage.until(() => track.finished || track.problems.length > 0);
    const { history } = track;
    const [first, last] = [history.record(0), history.record(history.length - 1)];
    tookNs = last.ackNs - first.invokeNs;
    await stage.until(() => track.result !== null || track.problems.length > 0);
    if (attacks !== null) {
      const { handle } = stage.toolstack.guest('evil');
      hostile = (await handle.call('status')) as HostileStatus;
    }
  });
  const problems = [...stage.problems, ...stage.tracks.flatMap((track) => track.problems)];
  const result = stage.tracks[0]?.result as GuestResult | null;
  const workload = stage.tracks[0]?.workload;
  problems.push(...(workload?.violations ?? ['no result']));
  if ((result?.front.errors ?? 1) > 0) problems.push(`${result?.front.errors} requests failed`);
  return {
    problems,
    tookNs,
    sectorsVerified: workload?.sectorsVerified ?? 0,
    hostile,
    hash: outcome.hash,
  };
}

test('seeds of a hostile guest: another reads all it wrote, in time', async (t) => {
  const totals = { moves: 0, pranks: 0, connections: 0, deadRings: 0, okay: 0, error: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const alone = await beside(seed, null);
    const hostile = await beside(seed, []);
    t.deepEqual(alone.problems, [], `seed ${seed} alone`);
    t.deepEqual(hostile.problems, [], `seed ${seed}`);
    t.is(hostile.sectorsVerified, alone.sectorsVerified, `seed ${seed}`);
    const slowdown = hostile.tookNs / alone.tookNs;
    t.true(slowdown <= SLOWDOWN_MAX, `seed ${seed}: ${slowdown.toFixed(2)} times as slow`);
    const status = hostile.hostile as HostileStatus;
    for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += status[key];
  }
  t.log(totals);
  t.true(totals.moves > 100 * SEEDS, 'the hostile guest was hostile');
  t.true(totals.deadRings >= SEEDS, 'rings were halted');
  t.true(totals.error > SEEDS && totals.okay > SEEDS, 'requests were refused, and others served');
  t.true(totals.pranks > SEEDS / 2);
});

const GREED = ['B2', 'B3'];
/** Four rings share the driver VM; the honest one never gets less than its turn. */
const FLOODED_MAX = 4;

test(`three guests flood their rings: one is at most ${FLOODED_MAX} times as slow`, async (t) => {
  const options: HostileStageOptions = { requests: 3000, device: 'memory' };
  let worst = 0;
  for (let seed = 1; seed <= 4; seed++) {
    const alone = await beside(seed, null, options);
    const flooded = await beside(seed, GREED, options, ['worse', 'worst']);
    t.deepEqual(flooded.problems, [], `seed ${seed}`);
    const slowdown = flooded.tookNs / alone.tookNs;
    worst = Math.max(worst, slowdown);
    t.true(slowdown <= FLOODED_MAX, `seed ${seed}: ${slowdown.toFixed(2)} times as slow`);
  }
  t.log(`at worst ${worst.toFixed(2)} times as slow`);
  t.true(worst > 1.5, 'the driver VM was contended');
});

test('the same seed gives the same run with a hostile guest', async (t) => {
  const [once, again] = [await beside(7, []), await beside(7, [])];
  t.is(once.hash, again.hash);
});
