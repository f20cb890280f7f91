/** The disk of the host fails, or is full: sentence 5 of the dirty log. */
import test from 'ava';
import { LogStatus } from '../../../src/parallax/log/mutation.ts';
import { DiskOp } from '../../../src/world/sim/disk-timing.ts';
import { DiskStatus } from '../../../src/world/world.ts';
import { LogBench, MIXED, RECOVER_ONLY } from './log-bench.ts';

for (const op of [DiskOp.write, DiskOp.flush]) {
  const what = op === DiskOp.write ? 'append' : 'fdatasync';
  test(`a failed ${what}: groups move to another segment, nobody hears of it`, async (t) => {
    let relocations = 0;
    for (let seed = 1; seed <= 6; seed++) {
      for (let nth = 4; nth <= 20; nth++) {
        const bench = new LogBench(seed);
        bench.failOnce('log-1-1', op, nth);
        bench.failOnce('log-1-2', op, 3);
        const failed: LogStatus[] = [];
        const life = await bench.live(MIXED, (one) => {
          one.onLogged = (_mutation, status) => {
            if (status !== LogStatus.ok) failed.push(status);
          };
        });
        t.true(life.done, `seed ${seed}, ${what} ${nth}`);
        t.deepEqual(failed, []);
        relocations += life.log?.statistics().relocations ?? 0;
        // What was moved is found, after a loss of power too, though parts of it are there twice.
        bench.heal();
        bench.powerCut();
        await bench.live(MIXED);
        await bench.live(RECOVER_ONLY);
      }
    }
    t.true(relocations > 40, `${relocations} relocations`);
  });
}

test('killed at every event around a failed fdatasync: the older copies fill in', async (t) => {
  // Without syncs several groups wait in RAM, and they are appended again one after the other.
  const unsynced = { ...MIXED, needsSync: () => false };
  let struck = 0;
  for (const workload of [MIXED, unsynced]) {
    for (let nth = 30; nth <= 100; nth++) {
      for (const seed of [1, 2]) {
        const bench = new LogBench(seed);
        bench.failOnce('log-1-1', DiskOp.flush, workload === unsynced ? 3 : 6);
        bench.sim.armKillAtEvent('d0', nth, nth % 4 === 0 ? bench.powerCut : undefined);
        await bench.live(workload);
        if (bench.sim.armedCount === 0) struck++;
        bench.heal();
        await bench.live(MIXED);
        await bench.live(RECOVER_ONLY);
      }
    }
  }
  t.true(struck > 100, `${struck}`);
});

test('nothing can be written any more: mutations fail, reads go on, and it comes back', async (t) => {
  for (let seed = 1; seed <= 5; seed++) {
    const bench = new LogBench(seed);
    const told = { ok: 0, failed: 0 };
    let latchedSeen = false;
    const { life } = bench.spawn({ ...MIXED, mutations: 200, publishLag: 2 }, (one) => {
      one.onLogged = (mutation, status) => {
        if (status === LogStatus.ok) told.ok++;
        else told.failed++;
        if (one.log?.latched === true) latchedSeen = true;
        if (mutation.kind !== 1) return;
        // Also what failed can be read: it is in RAM, in its place in the order.
        const { vdi, vdiSeq, segment, offset, sectors } = mutation;
        t.true(one.payloadIs(vdi, vdiSeq, segment, offset, sectors));
      };
    });
    await bench.sim.run({ until: () => (life()?.log?.statistics().groups ?? 0) > 12 });
    for (const name of bench.host.diskNames()) {
      const { faults } = bench.host.disk(name);
      const ops = [DiskOp.write, DiskOp.flush];
      faults.add({ fault: { kind: 'error', status: DiskStatus.noSpace }, ops });
    }
    bench.forbidNewFiles();
    await bench.sim.run({ until: () => latchedSeen, maxEvents: 5_000 });
    t.true(latchedSeen && told.failed > 0, `seed ${seed}: ${JSON.stringify(told)}`);
    bench.heal();
    const failedBefore = told.failed;
    await bench.sim.run({ until: () => life()?.log?.latched === false, maxEvents: 5_000 });
    t.false(life()?.log?.latched);
    await bench.sim.run({ maxEvents: 20_000 });
    bench.noFailure();
    t.true(life()?.done, `seed ${seed}: it goes on`);
    t.is(told.failed, failedBefore);
    bench.powerCut();
    await bench.live(RECOVER_ONLY);
  }
});

test('a full disk without failures: appends wait, publishing makes room, nothing fails', async (t) => {
  const bench = new LogBench(3);
  const workload = { ...MIXED, mutations: 600, publishLag: 3 };
  const life = await bench.live(workload, (one) => {
    one.onLogged = (_mutation, status) => t.is(status, LogStatus.ok);
  });
  t.true(life.done);
  const { usedBytes, writtenBytes } = life.log?.statistics() ?? { usedBytes: 0, writtenBytes: 0 };
  t.true(usedBytes <= 6 * 65_536, 'files are bounded');
  t.true(writtenBytes > 12 * 65_536, `recycled: ${writtenBytes} bytes written`);
  await bench.live(RECOVER_ONLY);
});

test('nothing published: the log fills up to its reserve and waits; nothing is lost', async (t) => {
  const bench = new LogBench(4);
  const stuck = { ...MIXED, mutations: 2_000, publishLag: Number.POSITIVE_INFINITY };
  const life = await bench.live(stuck);
  t.false(life.done);
  t.true(life.appended > 50);
  t.false(life.log?.latched);
  bench.powerCut();
  const next = await bench.live({ ...MIXED, mutations: 300 });
  t.true(next.done, 'destage after the restart makes room, though all segments are inherited');
  await bench.live(RECOVER_ONLY);
});
