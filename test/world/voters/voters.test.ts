/** Voters of a directory: what a majority's loss, deaths, partitions and bad links do to it. */
import test, { type ExecutionContext } from 'ava';
import type { Directory } from '../../../src/world/directory.ts';
import { VOTER_BUGS } from '../../../src/world/voters/voter.ts';
import { runStory, type SimVotersBench, simVotersBench } from '../../helpers/directory-bench.ts';
import { isLong } from '../../helpers/long-tests.ts';
import { registerProblem } from '../../helpers/register-history.ts';
import { type VoterCounts, voterStory } from '../../helpers/voter-story.ts';
import { bytes, put, versionOf } from '../directory-conformance.ts';

const SEEDS = isLong ? 200 : 80;
const QUICK = { timeoutNs: 600e6, attemptNs: 60e6 };

async function leaderOf({ voters, world }: SimVotersBench): Promise<number> {
  while (voters.leader < 0) await world.timers.sleep(5e6);
  return voters.leader;
}

async function valueOf(directory: Directory, key: string): Promise<number | undefined> {
  return (await directory.get(key))?.value[0];
}

test('without a majority nothing is answered; when it is back, all that was settled is there', async (t) => {
  for (const count of [3, 5]) {
    const bench = simVotersBench(11, count);
    const { voters, simulator } = bench;
    const one = bench.client('one', QUICK);
    await runStory(simulator, async () => {
      t.true(await one.txn([], [put('k', 1)]));
      const leader = await leaderOf(bench);
      const others = Array.from({ length: count }, (_, i) => i).filter((i) => i !== leader);
      const lost = others.slice(0, Math.floor(count / 2) + 1);
      for (const index of lost) voters.powerCut(index);
      await t.throwsAsync(one.get('k'), { code: 'E_DIRECTORY', message: /600 ms/ });
      await t.throwsAsync(one.txn([], [put('k', 2)]), { code: 'E_DIRECTORY' });
      voters.restart(lost[0] as number);
      t.true([1, 2].includes((await valueOf(one, 'k')) as number));
      t.true(await one.txn([], [put('k', 3)]));
      t.is(await valueOf(one, 'k'), 3);
    });
  }
});

test('a leader that dies in the middle of a txn: the client has it made once, by another leader', async (t) => {
  const bench = simVotersBench(12, 3);
  const { voters, simulator } = bench;
  const one = bench.client('one');
  await runStory(simulator, async () => {
    await one.txn([], [put('count', 0)]);
    for (let i = 1; i <= 12; i++) {
      const leader = await leaderOf(bench);
      simulator.armKillAtEvent(voters.actorName(leader), i);
      const version = await versionOf(one, 'count');
      const made = await one.txn([{ key: 'count', version }], [put('count', i)]);
      t.true(made, `the leader died at its event ${i}`);
      t.is(await valueOf(one, 'count'), i);
      for (let v = 0; v < voters.count; v++) voters.restart(v);
    }
  });
});

test('in a partition one side answers, the other does not, and nothing of the lesser one stays', async (t) => {
  const bench = simVotersBench(13, 5);
  const { voters, simulator } = bench;
  const [near, far] = [bench.client('near', QUICK), bench.client('far', QUICK)];
  await runStory(simulator, async () => {
    await near.txn([], [put('k', 1)]);
    const leader = await leaderOf(bench);
    const others = [0, 1, 2, 3, 4].filter((i) => i !== leader);
    voters.partition([
      [leader, others[0] as number, 'near'],
      [...others.slice(1), 'far'],
    ]);
    const lesser = near.txn([], [put('k', 2)]);
    const stale = near.get('k');
    t.true(await far.txn([], [put('k', 3)]), 'the majority has another leader');
    await t.throwsAsync(lesser, { code: 'E_DIRECTORY' });
    await t.throwsAsync(stale, { code: 'E_DIRECTORY' }, 'a leader that was deposed reads nothing');
    t.is(await valueOf(far, 'k'), 3);
    voters.heal();
    t.is(await valueOf(near, 'k'), 3);
    t.is(await valueOf(far, 'k'), 3);
  });
});

test('a leader that is only heard steps down, and one that is only cut off does not depose another', async (t) => {
  const bench = simVotersBench(14, 3);
  const { voters, simulator, world } = bench;
  const one = bench.client('one');
  await runStory(simulator, async () => {
    await one.txn([], [put('k', 1)]);
    const deaf = await leaderOf(bench);
    const others = [0, 1, 2].filter((i) => i !== deaf);
    for (const other of others) voters.between(other, deaf)[0].cut();
    t.true(await one.txn([], [put('k', 2)]), 'others are elected where it cannot hear them');
    t.not(voters.leader, deaf);
    voters.heal();
    await one.get('k');
    const leader = await leaderOf(bench);
    const away = [0, 1, 2].find((i) => i !== leader) as number;
    const ballot = voters.voter(leader)?.ballot;
    const rest = [0, 1, 2].filter((i) => i !== away);
    voters.partition([[away], rest]);
    await world.timers.sleep(3e9);
    voters.heal();
    await world.timers.sleep(1e9);
    t.is(voters.leader, leader);
    t.is(voters.voter(leader)?.ballot, ballot);
  });
});

test('a voter that was away for long gets the whole state, and the log stays short', async (t) => {
  const bench = simVotersBench(15, 3, { logBytes: 16_384 });
  const { voters, simulator, world } = bench;
  const one = bench.client('one');
  await runStory(simulator, async () => {
    const leader = await leaderOf(bench);
    const away = (leader + 1) % 3;
    voters.kill(away);
    for (let i = 0; i < 600; i++) await one.txn([], [put(`k/${i % 7}`, i % 250)]);
    voters.restart(away);
    await world.timers.sleep(1e9);
    t.is(voters.voter(away)?.applied, voters.voter(leader)?.applied);
    t.deepEqual(voters.voter(away)?.state(), voters.voter(leader)?.state());
    for (let i = 0; i < 3; i++) {
      t.true((voters.voter(i)?.keptEntries ?? 0) < 400);
      t.is(voters.host(i).diskNames().length, 1, 'older files are removed');
    }
  });
});

/** Cuts the power at the n-th event of a voter; true if it came to that. */
async function cutAt(t: ExecutionContext, nth: number, all: boolean): Promise<boolean> {
  const bench = simVotersBench(16, 3, { logBytes: 4096 });
  const { voters, simulator, world } = bench;
  const one = bench.client('one');
  let struck = false;
  simulator.armKillAtEvent(voters.actorName(0), nth, () => {
    struck = true;
    for (let i = 0; i < (all ? 3 : 1); i++) voters.powerCut(i);
  });
  await runStory(simulator, async () => {
    let over = false;
    const keep = async (): Promise<void> => {
      while (!over) {
        await world.timers.sleep(30e6);
        for (let i = 0; i < 3; i++) voters.restart(i);
      }
    };
    const kept = keep();
    for (let i = 1; i <= 6; i++) {
      const version = await versionOf(one, 'k');
      t.true(await one.txn([{ key: 'k', version }], [put('k', i), put(`l/${i}`, i)]));
    }
    t.deepEqual((await one.get('k'))?.value, bytes(6));
    t.is((await one.list('l/')).length, 6);
    over = true;
    await kept;
  });
  return struck;
}

test('power cuts at every event of a voter, alone and of all: nothing settled is lost', async (t) => {
  for (const all of [false, true]) {
    let nth = 1;
    while (await cutAt(t, nth, all)) nth += 1;
    t.true(nth > 60, `${nth} events`);
  }
});

test('a voter whose disk is gone or damaged does not start: it would forget its promises', async (t) => {
  for (const what of ['gone', 'damaged'] as const) {
    const bench = simVotersBench(17, 3);
    const { voters, simulator, world } = bench;
    const one = bench.client('one');
    await runStory(simulator, async () => {
      for (let i = 0; i < 5; i++) await one.txn([], [put('k', i)]);
      await leaderOf(bench);
      const victim = (voters.leader + 1) % 3;
      voters.kill(victim);
      const host = voters.host(victim);
      const [name] = host.diskNames();
      if (what === 'gone') host.removeDisk(name as string);
      else host.disk(name as string).rot(520, 40);
      voters.restart(victim);
      await world.timers.sleep(1e9);
      t.is(voters.voter(victim), null);
      const [failure] = simulator.failures.splice(0);
      t.regex(failure?.error.message ?? '', /voter \d of the directory does not go on/);
      t.is(await valueOf(one, 'k'), 4, 'the others go on');
    });
  }
});

test('clients that come and go without end leave a bounded state', async (t) => {
  const bench = simVotersBench(18, 3);
  await runStory(bench.simulator, async () => {
    let largest = 0;
    for (let i = 0; i < 1300; i++) {
      const client = bench.client(`c${i}`);
      await client.txn([], [put('k', i % 250)]);
      await client.close();
      if (i === 1100) largest = bench.voters.voter(0)?.state().length ?? 0;
    }
    t.is(bench.voters.voter(0)?.state().length, largest);
  });
});

test('what a txn was told is one history for all, whatever becomes of voters and links', async (t) => {
  const sums: VoterCounts = { operations: 0, unknown: 0, leaders: 0, troubles: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { problem, counts } = await voterStory(seed, 'none');
    t.is(problem, null, `seed ${seed}`);
    for (const name of Object.keys(sums) as (keyof VoterCounts)[]) sums[name] += counts[name];
  }
  t.true(sums.unknown > SEEDS && sums.leaders > 3 * SEEDS, JSON.stringify(sums));
});

const SEED_OF_BUG: Readonly<Record<(typeof VOTER_BUGS)[number], number>> = {
  'unsynced-promise': 17,
  'minority-decides': 9,
  'txn-made-twice': 4,
  'unconfirmed-read': 3,
};

for (const bug of VOTER_BUGS) {
  test(`the planted bug ${bug} is caught`, async (t) => {
    const seed = SEED_OF_BUG[bug];
    t.not((await voterStory(seed, bug)).problem, null);
    t.is((await voterStory(seed, 'none')).problem, null);
  });
}

test('a story of voters happens again by its seed, event for event', async (t) => {
  const hashOf = async (): Promise<string> => {
    const bench = simVotersBench(19, 5);
    const one = bench.client('one');
    await runStory(bench.simulator, async () => {
      for (let i = 0; i < 20; i++) await one.txn([], [put('k', i)]);
      bench.voters.kill(await leaderOf(bench));
      await one.get('k');
    });
    return bench.simulator.log.hash;
  };
  t.is(await hashOf(), await hashOf());
});

test('the judge of registers refuses what cannot be, and takes what can', (t) => {
  const write = (value: number, invokeNs: number, ackNs: number, version = -1) =>
    ({ key: 'k', kind: 'write', value, invokeNs, ackNs, version }) as const;
  const read = (value: number, invokeNs: number, ackNs: number, version: number) =>
    ({ key: 'k', kind: 'read', value, invokeNs, ackNs, version }) as const;
  t.is(registerProblem([write(1, 0, 10), write(2, 5, 15), read(1, 12, 13, 1)]), null);
  t.regex(registerProblem([write(1, 0, 1), write(2, 2, 3), read(1, 4, 5, 1)]) ?? '', /inside/);
  t.regex(registerProblem([write(1, 0, 1), read(0, 2, 3, 0)]) ?? '', /inside/);
  t.regex(registerProblem([read(1, 2, 3, 1)]) ?? '', /nobody wrote/);
  t.regex(
    registerProblem([write(1, 0, 9), read(1, 1, 2, 4), read(1, 3, 4, 5)]) ?? '',
    /has versions/,
  );
  t.regex(registerProblem([write(1, 0, 1, 7), write(2, 0, 1, 7)]) ?? '', /compared version 7/);
});
