/** Pairs over a directory in trouble: what contenders do to a record, and how old a view may be. */
import test from 'ava';
import type { Prng } from '../../../src/base/prng.ts';
import { nanos } from '../../../src/base/units.ts';
import { forcedPrefix, pairKey } from '../../../src/petal-backend/directory/keys.ts';
import {
  type ChangeOutcome,
  leaseHolds,
  PairDirectory,
  type PairView,
} from '../../../src/petal-backend/directory/pair-directory.ts';
import {
  dropMembers,
  forceIsr,
  handBack,
  type PairTransition,
  rejoin,
  takeOver,
} from '../../../src/petal-backend/directory/pair-transitions.ts';
import {
  decodeRecord,
  forcedKind,
  type PairRecord,
} from '../../../src/petal-backend/directory/records.ts';
import type { Directory } from '../../../src/world/directory.ts';
import { simDigest as digest } from '../../../src/world/sim/sim-digest.ts';
import type { World } from '../../../src/world/world.ts';
import { runStory, simDirectoryBench, simVotersBench } from '../../helpers/directory-bench.ts';
import { makePool, member } from '../../helpers/petal-pool.ts';
import { check } from '../../helpers/property.ts';

const PAIR = { pool: 'p', gmap: 1, group: 0 };
const ACT = { atMs: 1, operator: 'ada', reason: 'a test' };

/** Everything that anybody saw of the pair must fit one history of it. */
class PairHistory {
  readonly #ofTerm = new Map<number, string>();
  readonly forcedMade: number[] = [];
  made = 0;
  unknown = 0;

  see({ term, primary, inSync, forced }: PairRecord): void {
    const text = JSON.stringify({ primary, inSync, forced });
    const known = this.#ofTerm.get(term) ?? text;
    check(known === text, `term ${term} is ${known} and ${text}`);
    this.#ofTerm.set(term, text);
  }

  take(outcome: ChangeOutcome): void {
    if (outcome.kind === 'made') this.made += 1;
    if (outcome.kind === 'unknown') this.unknown += 1;
    if (outcome.kind === 'made' || outcome.kind === 'other') this.see(outcome.view.record);
  }
}

async function contend(
  directory: Directory,
  world: World,
  self: number,
  random: Prng,
  history: PairHistory,
): Promise<void> {
  const pair = new PairDirectory(directory, world, PAIR, { giveUpNs: 1.5e9, pauseNs: 10e6 });
  const me = member(self, 1);
  const other = member(3 - self, 1);
  let last = 0;
  for (let i = 0; i < 12; i++) {
    await world.timers.sleep(random.below(80e6));
    const view = await pair.read().catch(() => null);
    if (view === null) continue;
    check(view.record.term >= last, 'terms only grow');
    last = view.record.term;
    history.see(view.record);
    const steps: PairTransition[] = [
      takeOver(me, [other.server]),
      dropMembers(me, [other.server]),
      rejoin(me, other),
      handBack(me, other.server),
    ];
    if (random.chance(0.15)) {
      const forced = (n: number): PairTransition => forceIsr(me, n, true);
      const outcome = await pair.force(view, ACT, forced);
      history.take(outcome);
      if (outcome.kind === 'made') {
        history.forcedMade.push(outcome.view.record.forced.at(-1)?.forced ?? 0);
      }
    } else {
      history.take(await pair.change(view, random.pick(steps)));
    }
  }
}

/** What the directory holds at the end, against all that was seen on the way. */
async function judge(directory: Directory, world: World, history: PairHistory): Promise<void> {
  const { record } = await new PairDirectory(directory, world, PAIR).read();
  history.see(record);
  const acts = await directory.list(forcedPrefix('p'));
  const numbers = acts.map((entry) => decodeRecord(digest, forcedKind, entry).n);
  check(
    history.forcedMade.every((n) => numbers.includes(n)),
    'forced acts stay recorded',
  );
  check(numbers.join() === record.forced.map(({ forced }) => forced).join(), 'and are in the pair');
  check(
    numbers.every((n, at) => n === at + 1),
    'with no number left out or given twice',
  );
}

test('contenders over a directory that loses answers and its majority make one history', async (t) => {
  const sums = { made: 0, unknown: 0, forced: 0 };
  for (let seed = 1; seed <= 60; seed++) {
    const options = { lostAnswers: 0.3, timeoutNs: 100e6 };
    const { simulator, directory, world } = simDirectoryBench(seed, options);
    const random = simulator.stream('story');
    const history = new PairHistory();
    await runStory(simulator, async () => {
      directory.set({ lostAnswers: 0 });
      await makePool(directory, 2);
      directory.set(options);
      const contenders = [1, 2, 1].map((self, i) =>
        contend(directory, world, self, random.fork(`${i}`), history),
      );
      for (let i = 0; i < 5; i++) {
        await world.timers.sleep(random.below(150e6));
        directory.setHealth(i % 2 === 0 ? 'no-majority' : 'up');
      }
      directory.setHealth('up');
      await Promise.all(contenders);
      directory.set({ lostAnswers: 0 });
      await judge(directory, world, history);
    });
    sums.made += history.made;
    sums.unknown += history.unknown;
    sums.forced += history.forcedMade.length;
  }
  t.true(sums.made > 300 && sums.forced > 30, JSON.stringify(sums));
});

test('contenders over voters that die and are cut off make one history', async (t) => {
  const sums = { made: 0, forced: 0, unknown: 0 };
  for (let seed = 1; seed <= 40; seed++) {
    const { simulator, voters, world, client } = simVotersBench(seed, 3, { logBytes: 16_384 });
    const random = simulator.stream('story');
    const history = new PairHistory();
    await runStory(simulator, async () => {
      const clients = ['a', 'b', 'c'].map((name) => {
        return client(name, { timeoutNs: 400e6, attemptNs: 60e6 });
      });
      await makePool(clients[0] as Directory, 2);
      let over = false;
      const trouble = async (): Promise<void> => {
        while (!over) {
          await world.timers.sleep(random.between(20, 200) * 1e6);
          const victim = random.chance(0.5) ? Math.max(voters.leader, 0) : random.below(3);
          if (random.chance(0.3)) voters.powerCut(victim);
          else if (random.chance(0.4)) voters.pause(victim, random.below(300e6));
          else random.pick(voters.directions()).cut();
          if (random.chance(0.4)) voters.heal();
        }
      };
      const troubled = trouble();
      await Promise.all(
        clients.map((directory, i) => {
          return contend(directory, world, 1 + (i % 2), random.fork(`${i}`), history);
        }),
      );
      over = true;
      await troubled;
      voters.heal();
      await world.timers.sleep(1e9);
      await judge(clients[0] as Directory, world, history);
    });
    sums.made += history.made;
    sums.forced += history.forcedMade.length;
    sums.unknown += history.unknown;
  }
  t.true(sums.made > 200 && sums.forced > 15, JSON.stringify(sums));
});

test('a view is as old as its question: a slow directory does not stretch a lease', async (t) => {
  const { simulator, directory, world } = simDirectoryBench(31);
  await runStory(simulator, async () => {
    await makePool(directory, 2);
    directory.set({ latencyNs: 300e6 });
    const askedNs = world.clock.nowNs();
    const view = await new PairDirectory(directory, world, PAIR).read();
    t.is(view.askedNs, askedNs);
    t.true(world.clock.nowNs() - askedNs >= 600e6);
    t.true(leaseHolds(view, nanos(askedNs + 1e9 - 1), 1e9));
    t.false(leaseHolds(view, nanos(askedNs + 1e9), 1e9));
  });
});

test('a watch sees every change within a third of the lease though no hint comes, and ends', async (t) => {
  const { simulator, directory, world } = simDirectoryBench(32, { lostHints: 1 });
  await runStory(simulator, async () => {
    await makePool(directory, 2);
    const pair = new PairDirectory(directory, world, PAIR);
    const seen: PairView[] = [];
    const watch = pair.watch(
      900e6,
      (view) => seen.push(view),
      () => t.fail(),
    );
    await world.timers.sleep(100e6);
    const from = await pair.read();
    t.like(await pair.change(from, takeOver(member(2, 1), [1])), { kind: 'made' });
    await world.timers.sleep(310e6);
    t.is(watch.newest?.record.primary, 2);
    t.true(seen.every((view, i) => i === 0 || view.askedNs > (seen[i - 1] as PairView).askedNs));
    directory.setHealth('no-majority');
    await world.timers.sleep(1e9);
    t.false(leaseHolds(watch.newest as PairView, world.clock.nowNs(), 900e6), 'the lease ran out');
    directory.setHealth('up');
    await world.timers.sleep(4e9);
    t.true(leaseHolds(watch.newest as PairView, world.clock.nowNs(), 900e6), 'it is back');
    watch.close();
    const count = seen.length;
    await world.timers.sleep(2e9);
    t.is(seen.length, count);
  });
});

test('a watch follows a hint at once, and ends at a record that is damaged', async (t) => {
  const { simulator, directory, world } = simDirectoryBench(33);
  await runStory(simulator, async () => {
    await makePool(directory, 2);
    const pair = new PairDirectory(directory, world, PAIR);
    const lost: string[] = [];
    const watch = pair.watch(
      60e9,
      () => undefined,
      ({ code }) => lost.push(code),
    );
    await pair.change(await pair.read(), takeOver(member(2, 1), [1]));
    await world.timers.sleep(10e6);
    t.is(watch.newest?.record.primary, 2);
    await directory.txn([], [{ key: pairKey('p', 1, 0), value: new Uint8Array(30) }]);
    await world.timers.sleep(10e6);
    t.deepEqual(lost, ['E_DIRECTORY_DAMAGED']);
  });
});

test('of two that change the same view one is made, and the other is told what is there now', async (t) => {
  const { simulator, directory, world } = simDirectoryBench(34);
  await runStory(simulator, async () => {
    await makePool(directory, 2);
    const pair = new PairDirectory(directory, world, PAIR);
    const from = await pair.read();
    const [taken, dropped] = await Promise.all([
      pair.change(from, takeOver(member(2, 1), [1])),
      pair.change(from, dropMembers(member(1, 1), [2])),
    ]);
    t.deepEqual([taken.kind, dropped.kind].toSorted(), ['made', 'other']);
    const views = [taken, dropped].map((outcome) =>
      'view' in outcome ? outcome.view.record : null,
    );
    t.deepEqual(views[0], views[1]);
    t.is(views[0]?.term as number, 2);
    const refused = await pair.change(await pair.read(), takeOver(member(9, 1), [1]));
    t.is(refused.kind, 'refused');
  });
});
