/** Petal's holes by name (petal.md 2 and 6), each with the bug that would open it again. */
import test from 'ava';
import type { PairRecord } from '../../src/petal-backend/directory/records.ts';
import type { PetalBug } from '../../src/petal-backend/server/ports.ts';
import type { Frame } from '../../src/petal-backend/wire/messages.ts';
import { BLOCK_BYTES, EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { becomesClean, differingCopies } from './nemesis.ts';
import { History } from './petal-workload.ts';
import { FAST, SimPetal } from './sim-petal.ts';

/** A block of group 0 of four servers: its copies are at s1, the first primary, and s2. */
const BLOCK = EXTENT_BLOCKS;
/** Kind of a frame to the directory that changes it. */
const DIRECTORY_TXN = 3;
/** An answer of the directory that is later than a lease counts, from when it was asked for. */
const PATIENT_NS = 5e9;
const HOLD_NS = FAST.leaseNs * 1.01;

async function scenario(
  seed: number,
  story: (petal: SimPetal, history: History) => Promise<void>,
  plantedBug: PetalBug = 'none',
  servers = 4,
  copies = 2,
  silenceNs = FAST.silenceNs,
): Promise<{ readonly petal: SimPetal; readonly history: History }> {
  const goesOnWhenBroken = plantedBug !== 'none';
  const petal = new SimPetal({
    seed,
    servers,
    copies,
    silenceNs,
    plantedBug,
    goesOnWhenBroken,
    directoryTimeoutNs: PATIENT_NS,
  });
  const history = new History(petal.world);
  await petal.run(async () => {
    await petal.create();
    await petal.world.timers.sleep(10e6);
    await story(petal, history);
  });
  return { petal, history };
}

/** A reader that only hears s2, and a writer at s1, whose link to s2 is cut. */
async function secondaryIsCutOff(petal: SimPetal, history: History): Promise<void> {
  const writer = await petal.client('h0');
  const reader = await petal.client('h1', { timeoutNs: 3e6, giveUpNs: 6e6 });
  await history.write(writer, BLOCK);
  petal.cutBetween('h1.2', 's1');
  // s2 asks the directory about the reader.
  for (let i = 0; i < 15; i++) await history.read(reader, BLOCK);
  petal.cutBetween('s1', 's2');
  // What the directory answers s2 now will reach it late, and s2 cannot change anything there.
  const { toActor, fromActor } = petal.simulator.link('s2/directory');
  toActor.clog();
  fromActor.cutSome((frame) => frame[6] === DIRECTORY_TXN);
  const writing = (async () => {
    for (let i = 0; i < 60; i++) {
      await history.write(writer, BLOCK);
      await petal.world.timers.sleep(1e6);
    }
  })();
  const reading = (async () => {
    for (let i = 0; i < 400; i++) {
      await history.read(reader, BLOCK);
      await petal.world.timers.sleep(0.2e6);
    }
  })();
  // The answer comes at another moment of the server's own rounds with each seed.
  await petal.world.timers.sleep(HOLD_NS + 30e6 + petal.simulator.seed * 2e6);
  toActor.unclog();
  await Promise.all([writing, reading]);
  fromActor.cutSome(null);
}

test('a secondary that is cut off reads nothing that its primary has gone past: the lease is waited for', async (t) => {
  for (let seed = 1; seed <= 8; seed++) {
    const { history } = await scenario(seed, secondaryIsCutOff);
    t.is(history.conflict(), null, `seed ${seed}`);
  }
});

for (const bug of ['no-hold', 'late-lease'] as const) {
  test(`the planted bug ${bug}: the secondary that is cut off shows what is old`, async (t) => {
    const conflicts: (string | null)[] = [];
    const laws = new Set<string | undefined>();
    for (let seed = 1; seed <= 8; seed++) {
      const { history, petal } = await scenario(seed, secondaryIsCutOff, bug);
      conflicts.push(history.conflict());
      laws.add(petal.broken?.law.law);
    }
    t.true(conflicts.some((conflict) => conflict !== null));
    t.true(laws.has('I9'), 'it may show it before anybody asks');
  });
}

/** A copy that its primary sent before it was deposed, and that arrives after it is back. */
async function lateCopy(petal: SimPetal, history: History): Promise<void> {
  const client = await petal.client('h0', { giveUpNs: 50e6 });
  await history.write(client, BLOCK);
  let late: Frame | null = null;
  petal.net.spy((from, to, frame) => {
    if (from === 's1' && to === 's2' && frame.message.kind === 'replicate') late ??= frame;
  });
  petal.simulator.link('s2/petal').toActor.cut();
  const writing = history.write(client, BLOCK);
  await petal.world.timers.sleep(5e6);
  for (const name of ['s1', 's2']) petal.cutBetween('h0.1', name);
  await petal.kill(1);
  petal.simulator.link('s2/petal').toActor.heal();
  await petal.world.timers.sleep(20e6 + HOLD_NS + 20e6);
  petal.start(1);
  await becomesClean(petal, 1e9);
  await writing;
  if (late === null) throw new Error('no copy was sent');
  petal.net.inject('s1', 's2', late);
  await petal.world.timers.sleep(20e6);
}

test('a copy of an earlier term that comes late changes nothing', async (t) => {
  const { petal, history } = await scenario(1, lateCopy);
  t.is(differingCopies(petal), null);
  t.is(history.conflict(), null);
});

test('the planted bug no-term-check: a copy of an earlier term makes the copies differ', async (t) => {
  const { petal } = await scenario(1, lateCopy, 'no-term-check');
  t.regex(differingCopies(petal) ?? '', /differ/);
  t.is(petal.broken?.law.law, 'I2');
});

test('lost stale bits: the survivor dies before the other one is back, which then must not serve', async (t) => {
  for (let seed = 1; seed <= 5; seed++) {
    const { petal, history } = await scenario(seed, async (petal, history) => {
      const client = await petal.client('h0');
      const short = await petal.client('h1', { timeoutNs: 5e6, giveUpNs: 60e6 });
      await history.write(client, BLOCK);
      await petal.kill(1);
      t.is(await history.write(client, BLOCK), PoolStatus.ok, 's2 has it alone');
      await petal.kill(2);
      petal.start(1);
      await petal.world.timers.sleep(200e6);
      t.is(await history.read(short, BLOCK), PoolStatus.ioError, 'an error, and nothing older');
      petal.start(2);
      await becomesClean(petal, 1e9);
      t.is(await history.read(client, BLOCK), PoolStatus.ok);
    });
    t.is(history.conflict(), null, `seed ${seed}`);
    t.is(differingCopies(petal), null);
  }
});

test('the link between the two is cut while both reach the directory: the first change wins, writes go on', async (t) => {
  for (let seed = 1; seed <= 5; seed++) {
    const { petal, history } = await scenario(seed, async (petal, history) => {
      const client = await petal.client('h0');
      petal.cutBetween('s1', 's2');
      for (let i = 0; i < 10; i++) t.is(await history.write(client, BLOCK), PoolStatus.ok);
      t.is((await petal.record(0)).inSync.length, 1);
      petal.net.heal();
      await becomesClean(petal, 1e9);
      t.is(await history.read(client, BLOCK), PoolStatus.ok);
    });
    t.is(history.conflict(), null, `seed ${seed}`);
    t.is(differingCopies(petal), null);
  }
});

test('read, then revert: what a read has shown is there after the primary is gone', async (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const { history } = await scenario(seed, async (petal, history) => {
      const writer = await petal.client('h0', { timeoutNs: 5e6, giveUpNs: 5e6 });
      const reader = await petal.client('h1');
      await history.write(writer, BLOCK);
      petal.simulator.link('s2/petal').toActor.cut();
      const writing = history.write(writer, BLOCK);
      const short = await petal.client('h2', { timeoutNs: 2e6, giveUpNs: 2e6 });
      for (let i = 0; i < 5; i++) await history.read(short, BLOCK);
      await petal.kill(1);
      petal.simulator.link('s2/petal').toActor.heal();
      await writing;
      t.is(await history.read(reader, BLOCK), PoolStatus.ok);
      petal.start(1);
      await becomesClean(petal, 1e9);
      t.is(await history.read(reader, BLOCK), PoolStatus.ok);
    });
    t.is(history.conflict(), null, `seed ${seed}`);
  }
});

/** The primary dies with a write that it alone has, resumes its place, and dies again. */
async function diesAsItResumes(petal: SimPetal, history: History): Promise<void> {
  const writer = await petal.client('h0', { timeoutNs: 2e6, giveUpNs: 5e6 });
  const reader = await petal.client('h1', { timeoutNs: 2e6 });
  await history.write(writer, BLOCK);
  await petal.world.timers.sleep(10e6);
  petal.cutBetween('h1.2', 's2');
  petal.simulator.link('s2/petal').toActor.cut();
  const writing = history.write(writer, BLOCK);
  await petal.world.timers.sleep(3e6);
  await petal.kill(1);
  petal.simulator.link('s2/petal').toActor.heal();
  petal.start(1);
  while ((await petal.record(0)).term === 1) await petal.world.timers.sleep(0.25e6);
  // It is the primary again, and cannot send what it has to s2.
  petal.cutBetween('s1', 's2');
  const reading = history.read(reader, BLOCK);
  await petal.world.timers.sleep(6e6);
  await petal.kill(1);
  petal.net.heal();
  await Promise.all([writing, reading]);
  await history.read(reader, BLOCK);
}

test('read, then revert: a primary that resumes shows nothing before all in sync have it', async (t) => {
  for (let seed = 1; seed <= 5; seed++) {
    const { history } = await scenario(seed, diesAsItResumes, 'none', 4, 2, 150e6);
    t.is(history.conflict(), null, `seed ${seed}`);
  }
});

test('a zombie client: after its fence is confirmed nothing of it is done', async (t) => {
  const { history } = await scenario(1, async (petal, history) => {
    const zombie = await petal.client('h0');
    await history.write(zombie, BLOCK);
    const successor = await petal.client('h0');
    await petal.world.timers.sleep(HOLD_NS);
    t.is(await history.write(zombie, BLOCK), PoolStatus.fenced);
    t.is(await history.write(successor, BLOCK), PoolStatus.ok);
    t.is(await history.read(successor, BLOCK), PoolStatus.ok);
  });
  t.is(history.conflict(), null);
});

test('a zombie client: a write that waits for its block until the fence is confirmed is not begun', async (t) => {
  for (let seed = 1; seed <= 4; seed++) {
    const { history } = await scenario(seed, async (petal, history) => {
      const other = await petal.client('h1');
      const zombie = await petal.client('h0', { timeoutNs: 1e9 });
      // s1 knows both sessions, and the zombie the term.
      for (const client of [other, zombie]) await history.write(client, BLOCK);
      petal.cutBetween('s1', 's2');
      // It takes until s2 is dropped and its lease is over.
      const first = history.write(other, BLOCK);
      await petal.world.timers.sleep(2e6);
      const second = history.write(zombie, BLOCK);
      await petal.world.timers.sleep(2e6);
      const successor = await petal.client('h0');
      t.is(await first, PoolStatus.ok);
      t.is(await second, PoolStatus.fenced, `seed ${seed}`);
      petal.net.heal();
      t.is(await history.read(successor, BLOCK), PoolStatus.ok);
    });
    t.is(history.conflict(), null, `seed ${seed}`);
  }
});

/** The primary stands still when it has sent a write to the other one, and has not stored it. */
async function standsStillInWrite(petal: SimPetal, history: History): Promise<void> {
  const writer = await petal.client('h0');
  const reader = await petal.client('h1', { timeoutNs: 1e6 });
  await history.write(writer, BLOCK);
  // Its lease begins at another moment before that with each seed.
  await petal.world.timers.sleep(petal.simulator.seed * 1.7e6);
  // Long enough to be taken for dead, and not so long that its lease is over then.
  const stop = (): void => petal.pause(1, FAST.silenceNs + 8e6);
  petal.simulator.armCrashPoint('s1', 'petal.before-store', 1, stop);
  await history.write(writer, BLOCK);
  // s1 goes on by its lease, if it has one yet.
  for (let i = 0; i < 200; i++) {
    await history.read(reader, BLOCK);
    await petal.world.timers.sleep(0.1e6);
  }
}

test('a paused primary, stale read: the write that it sent on is acknowledged by its successor when its lease is over', async (t) => {
  for (let seed = 1; seed <= 8; seed++) {
    const { history } = await scenario(seed, standsStillInWrite);
    t.is(history.conflict(), null, `seed ${seed}`);
  }
});

/**
 * Of three copies one is dropped that reads by its lease still, and in the same moment another one
 * is let in again: a term begins in which the primary drops nobody.
 */
async function comesInWhileHeld(petal: SimPetal, history: History): Promise<void> {
  const writer = await petal.client('h0');
  const reader = await petal.client('h1', { timeoutNs: 1e6, giveUpNs: 3e6 });
  await history.write(writer, BLOCK);
  petal.cutBetween('h1.2', 's1');
  petal.cutBetween('h1.2', 's3');
  await petal.kill(3);
  await petal.world.timers.sleep(3 * FAST.leaseNs);
  // s2 asks the directory about the reader.
  await history.read(reader, BLOCK);
  petal.start(3);
  // At another moment of what s3 does to come in again with each seed.
  await petal.world.timers.sleep(petal.simulator.seed * 3e6);
  petal.cutBetween('s1', 's2');
  // s2 does not hear that it is dropped, and has its lease until shortly before.
  const { directions, fromActor } = petal.simulator.link('s2/directory');
  fromActor.cutSome((frame) => frame[6] === DIRECTORY_TXN);
  await petal.world.timers.sleep(FAST.silenceNs);
  for (const direction of directions) direction.cut();
  const isIn = ({ term }: PairRecord): boolean => term > 3;
  while (!isIn(await petal.record(0))) await petal.world.timers.sleep(1e6);
  const writing = history.write(writer, BLOCK);
  for (let i = 0; i < 200; i++) {
    await history.read(reader, BLOCK);
    await petal.world.timers.sleep(0.1e6);
  }
  await writing;
}

test('three copies: a member that comes in again does not end the wait for the lease of another one', async (t) => {
  for (let seed = 1; seed <= 6; seed++) {
    const { history } = await scenario(seed, comesInWhileHeld, 'none', 4, 3);
    t.is(history.conflict(), null, `seed ${seed}`);
  }
});

test('two neighbours fail: errors for what both had, never older data; all else goes on', async (t) => {
  await scenario(1, async (petal, history) => {
    const client = await petal.client('h0');
    const short = await petal.client('h1', { timeoutNs: 5e6, giveUpNs: 150e6 });
    for (let group = 0; group < 4; group++) await history.write(client, BLOCK + 16 * group);
    await petal.kill(1);
    await petal.world.timers.sleep(200e6);
    t.is(await history.write(client, BLOCK), PoolStatus.ok);
    await petal.kill(2);
    await petal.world.timers.sleep(200e6);
    t.is(await history.read(short, BLOCK), PoolStatus.ioError);
    for (const group of [1, 2, 3]) {
      t.is(await history.read(short, BLOCK + 16 * group), PoolStatus.ok, `group ${group}`);
    }
    t.is(history.conflict(), null);
  });
});

test('a site is lost: even and odd servers are at two sites, and every block is at both', async (t) => {
  const { history, petal } = await scenario(
    1,
    async (petal, history) => {
      const client = await petal.client('h0');
      for (let i = 0; i < 96; i += 7) await history.write(client, BLOCK + i);
      await Promise.all([2, 4, 6].map((server) => petal.kill(server)));
      for (let i = 0; i < 96; i += 7) t.is(await history.read(client, BLOCK + i), PoolStatus.ok);
      for (let i = 0; i < 96; i += 5) t.is(await history.write(client, BLOCK + i), PoolStatus.ok);
      for (const server of [2, 4, 6]) petal.start(server);
      await becomesClean(petal, 1e9);
    },
    'none',
    6,
  );
  t.is(history.conflict(), null);
  t.is(differingCopies(petal), null);
});

test('a conditional block: of two who read the same version one writes; what was written is told', async (t) => {
  await scenario(1, async (petal) => {
    const [one, other] = [await petal.client('h0'), await petal.client('h1')];
    const data = (value: number) => new Uint8Array(BLOCK_BYTES).fill(value);
    t.deepEqual(await one.writeIf(3, 0, data(1)), { written: true, version: 1 });
    t.deepEqual(await other.writeIf(3, 0, data(2)), { written: false, version: 1 });
    const both = await Promise.all([one.writeIf(3, 1, data(3)), other.writeIf(3, 1, data(4))]);
    t.is(both.filter(({ written }) => written).length, 1);
    await petal.kill(1);
    const { version, data: found } = await other.readConditional(3);
    t.is(version, 2);
    t.is(found[0], both[0]?.written === true ? 3 : 4);
  });
});
