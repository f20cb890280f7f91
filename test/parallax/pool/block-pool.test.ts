/** One suite for all pools, and what the file pool does when its disk or its directory fails. */
import test from 'ava';
import { attach } from '../../../src/parallax/pool/attach.ts';
import { BLOCK_BYTES, PoolStatus } from '../../../src/world/block-pool.ts';
import { DiskOp } from '../../../src/world/sim/disk-timing.ts';
import { DiskStatus } from '../../../src/world/world.ts';
import { FIRST, filledBlocks, POOL_CASES, valueAt, write } from './block-pool-conformance.ts';
import { filePoolBench, simPoolBench } from './pool-bench.ts';

for (const [title, story] of Object.entries(POOL_CASES)) {
  test(`a file and lmdb: ${title}`, async (t) => {
    await story(t, await filePoolBench(t));
  });
  test(`in the simulator: ${title}`, async (t) => {
    const bench = simPoolBench(1);
    await bench.run(async () => {
      await bench.create();
      await story(t, bench);
    });
  });
}

test('an acknowledged write survives a power cut of the pool, whatever was in flight', async (t) => {
  let lost = 0;
  for (let seed = 1; seed <= 25; seed++) {
    const bench = simPoolBench(seed);
    await bench.run(async () => {
      await bench.create();
      const { pool } = await bench.attached('h0');
      const random = bench.world.random.fork('test');
      const acknowledged: number[] = [];
      const answered = Array.from({ length: 120 }, (_, i) => {
        return write(pool, FIRST + i, 1 + (i % 200)).then((status) => {
          if (status === PoolStatus.ok) acknowledged.push(i);
        });
      });
      await bench.world.timers.sleep(random.between(50_000, 1_500_000));
      bench.poolHost.powerCut();
      await Promise.all(answered);
      const { pool: after } = await bench.attached('h0');
      for (const i of acknowledged) t.is(await valueAt(after, FIRST + i), 1 + (i % 200));
      for (let i = 0; i < 120; i++) if ((await valueAt(after, FIRST + i)) <= 0) lost++;
    });
  }
  t.true(lost > 50, `the cuts took ${lost} writes that were not acknowledged`);
});

test('many writes share a flush', async (t) => {
  const bench = simPoolBench(1);
  await bench.run(async () => {
    await bench.create();
    const { pool } = await bench.attached('h0');
    const untouched = bench.disk().faults.add({
      fault: { kind: 'error', status: DiskStatus.ioError },
      ops: [DiskOp.flush],
      nth: 8,
    });
    const statuses = await Promise.all(
      Array.from({ length: 64 }, (_, i) => write(pool, FIRST + i, 1)),
    );
    t.true(
      statuses.every((status) => status === PoolStatus.ok),
      'at most 7 flushes for 64 writes',
    );
    untouched();
  });
});

test('when a flush fails, every write that was begun before fails, and those after do not', async (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const bench = simPoolBench(seed);
    await bench.run(async () => {
      await bench.create();
      const { pool } = await bench.attached('h0');
      bench.disk().faults.add({
        fault: { kind: 'error', status: DiskStatus.ioError },
        ops: [DiskOp.flush],
        once: true,
      });
      const failedAt: number[] = [];
      const before = Array.from({ length: 100 }, async (_, i) => {
        await bench.world.timers.sleep(i * 3_000);
        const begunNs = bench.world.clock.nowNs();
        const status = await write(pool, FIRST + i, 1);
        if (status === PoolStatus.ioError) failedAt.push(bench.world.clock.nowNs());
        return { begunNs, status };
      });
      const all = await Promise.all(before);
      const firstFailureNs = Math.min(...failedAt);
      t.true(failedAt.length > 1);
      for (const { begunNs, status } of all) {
        if (begunNs > firstFailureNs) t.is(status, PoolStatus.ok, `seed ${seed}`);
        else t.is(status, PoolStatus.ioError, `seed ${seed}`);
      }
    });
  }
});

test('a full disk and a bad medium are told apart, and cost nobody else', async (t) => {
  const bench = simPoolBench(1);
  await bench.run(async () => {
    await bench.create();
    const { pool } = await bench.attached('h0');
    bench.disk().capacityBytes = bench.disk().writtenBytes + 10 * BLOCK_BYTES;
    const statuses: number[] = [];
    for (let i = 0; i < 12; i++) statuses.push(await write(pool, FIRST + i, 1));
    t.is(statuses.filter((status) => status === PoolStatus.ok).length, 10);
    t.is(statuses.filter((status) => status === PoolStatus.noSpace).length, 2);
    t.is(await write(pool, FIRST, 2), PoolStatus.ok, 'a block that has its space is rewritten');
    bench.disk().capacityBytes = Number.POSITIVE_INFINITY;
    const from = FIRST * BLOCK_BYTES;
    bench.disk().faults.add({
      fault: { kind: 'error', status: DiskStatus.ioError },
      ops: [DiskOp.read],
      range: { from, to: from + BLOCK_BYTES },
    });
    t.is(await valueAt(pool, FIRST), PoolStatus.ioError);
    t.is(await valueAt(pool, FIRST + 1), 1);
  });
});

test('a writeIf whose answer is lost was made or not, and writing it again decides it once', async (t) => {
  const seen = { made: 0, not: 0 };
  for (let seed = 1; seed <= 12; seed++) {
    const bench = simPoolBench(seed);
    await bench.run(async () => {
      await bench.create();
      const { pool } = await bench.attached('h0');
      bench.directory.set({ lostAnswers: 0.4 });
      let version = 0;
      for (let i = 1; i <= 10; i++) {
        const data = filledBlocks(1, i);
        for (;;) {
          const result = await pool.writeIf(5, version, data).catch(() => null);
          const now = await pool.readConditional(5);
          if (result === null) seen[now.version === version ? 'not' : 'made']++;
          if (now.version === version) continue;
          t.is(now.version, version + 1);
          t.is(now.data[0], i);
          version = now.version;
          break;
        }
      }
    });
  }
  t.true(seen.made > 5 && seen.not > 5, JSON.stringify(seen));
});

test('without a directory plain blocks are read and written, and writeIf says so', async (t) => {
  const bench = simPoolBench(1);
  await bench.run(async () => {
    await bench.create();
    const { pool, guard } = await bench.attached('h0');
    bench.directory.setHealth('down');
    t.is(await write(pool, FIRST, 4), PoolStatus.ok);
    t.is(await valueAt(pool, FIRST), 4);
    await t.throwsAsync(pool.writeIf(1, 0, filledBlocks(1, 1)), { code: 'E_DIRECTORY' });
    bench.directory.setHealth('up');
    t.true((await pool.writeIf(1, 0, filledBlocks(1, 1))).written);
    t.false(guard.fenced);
  });
});

test('a zombie that has not heard of its fence is refused by the directory itself', async (t) => {
  const bench = simPoolBench(1);
  bench.directory.set({ lostHints: 1 });
  await bench.run(async () => {
    await bench.create();
    const zombie = await bench.attached('h0');
    await attach(bench.directory, bench.world.digest, 'main', 'h0');
    t.false(zombie.guard.fenced);
    const refused = zombie.pool.writeIf(3, 0, filledBlocks(1, 1));
    await t.throwsAsync(refused, { code: 'E_FENCED' });
    t.true(zombie.guard.fenced, 'and then it knows');
    const keys = bench.directory.entries().map(({ key }) => key);
    t.false(keys.includes('cond/main/3'));
  });
});

test('a guard learns of its fence by a hint, and by itself when the hint is lost', async (t) => {
  for (const lostHints of [0, 1]) {
    const bench = simPoolBench(1);
    bench.directory.set({ lostHints });
    await bench.run(async () => {
      await bench.create();
      const { guard } = await bench.attached('h0');
      const { guard: other } = await bench.attached('h1');
      await attach(bench.directory, bench.world.digest, 'main', 'h0');
      await bench.world.timers.sleep(2e6);
      t.is(guard.fenced, lostHints === 0);
      await bench.world.timers.sleep(100e6);
      t.true(guard.fenced);
      t.false(other.fenced, 'another host is not concerned');
    });
  }
});
