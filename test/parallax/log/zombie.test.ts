/** Sentence 8 of the dirty log: an old incarnation that still runs changes nothing. */
import test from 'ava';
import { LogBench, MIXED, RECOVER_ONLY } from './log-bench.ts';

/** Takes over after `events` events of a driver VM that goes on; false if it had fewer. */
async function takeOver(seed: number, events: number): Promise<number> {
  const bench = new LogBench(seed, { maxSegments: 48 });
  const workload = { ...MIXED, mutations: 200 };
  const old = bench.spawn(workload);
  await bench.sim.run({ maxEvents: events });
  // Its publishes are refused, and what it had retired before that is recycled.
  old.life()?.stopPublishing();
  await bench.sim.run({ maxEvents: 40 });
  if (old.life()?.done !== false) return -1;
  // What it acknowledges from here on is nobody's promise.
  const promised = new Set(bench.ledger.records.filter(({ status }) => status === 'logged'));
  const synced = new Set(bench.ledger.records.filter((one) => one.synced));
  let appendedLater = 0;
  const successor = bench.spawn(
    workload,
    (life) => {
      life.beforeJudge = () => {
        const { records } = bench.ledger;
        old.life()?.becomeZombie(bench.ledger.copy());
        appendedLater = old.life()?.appended ?? 0;
        for (const one of records) {
          if (!promised.has(one)) one.status = 'waits';
          if (!synced.has(one)) one.synced = false;
        }
      };
    },
    'd1',
  );
  await bench.sim.run({ maxEvents: 100_000 });
  bench.noFailure();
  const zombieAppends = (old.life()?.appended ?? 0) - appendedLater;
  if (successor.life()?.done !== true) throw new Error('the successor did not get through');
  old.handle.kill();
  successor.handle.kill();
  await bench.sim.run();
  if (events % 2 === 0) bench.powerCut();
  await bench.live(RECOVER_ONLY);
  return zombieAppends;
}

test('an old driver VM goes on appending: its successors find what they took over', async (t) => {
  let takeOvers = 0;
  let zombieAppends = 0;
  for (let seed = 1; seed <= 3; seed++) {
    for (let events = 40; events < 160; events += 5) {
      const appends = await takeOver(seed, events).catch((cause: unknown) => {
        throw new Error(`seed ${seed}, events ${events}: ${String(cause)}`, { cause });
      });
      if (appends < 0) break;
      takeOvers++;
      zombieAppends += appends;
    }
  }
  t.true(takeOvers > 20, `${takeOvers}`);
  t.true(zombieAppends > 200, `${zombieAppends} mutations by zombies`);
});
