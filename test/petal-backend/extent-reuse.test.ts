/**
 * Places of the pool whose last write nobody can be sure of are not used again before the fence of
 * its session is confirmed (`contracts.md` 4): pool, client and allocator together.
 */
import test from 'ava';
import { isDamage } from '../../src/base/formats/sealed.ts';
import { decodeExtentRecord } from '../../src/parallax/formats/directory-records.ts';
import type { FenceGuard } from '../../src/parallax/pool/attach.ts';
import { ExtentAllocator } from '../../src/parallax/pool/extents.ts';
import type { PetalPool, PetalPoolOptions } from '../../src/petal-backend/client/petal-pool.ts';
import { othersLeaseNs } from '../../src/petal-backend/server/ports.ts';
import type { Frame } from '../../src/petal-backend/wire/messages.ts';
import { EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { guardOf, UUID } from '../parallax/pool/pool-bench.ts';
import { becomesClean, differingCopies } from './nemesis.ts';
import { History } from './petal-workload.ts';
import { FAST, SimPetal, VDISK_NAME } from './sim-petal.ts';

const POOL = { servers: 4, copies: 2 };
const BLOCKS = 8;
const SEEDS = 5;

/** A host with a session of its own, and room that it allocates in. */
interface Tenant {
  readonly pool: PetalPool;
  readonly guard: FenceGuard;
  readonly allocator: ExtentAllocator;
  /** Of its link to the switch. */
  readonly name: string;
}

async function tenantOf(
  petal: SimPetal,
  host: string,
  options: Partial<PetalPoolOptions> = {},
): Promise<Tenant> {
  const { world, directory } = petal;
  const { pool, attachment } = await petal.attached(host, options);
  const guard = guardOf(world, directory, attachment);
  const parts = { world, directory, pool, guard, uuid: UUID, reserveBlocks: 1 };
  const allocator = await ExtentAllocator.open(parts);
  return { pool, guard, allocator, name: `${host}.${attachment.session}` };
}

async function allocated({ allocator }: Tenant): Promise<number> {
  const runs: number[] = [];
  await allocator.allocate(BLOCKS, (first, blocks) => runs.push(first, blocks));
  if (runs.length !== 2) throw new Error(`blocks of a new extent are in one run: ${runs.join()}`);
  return runs[0] as number;
}

function extentOf(block: number): number {
  return Math.floor(block / EXTENT_BLOCKS);
}

async function stateOf({ directory, world }: SimPetal, block: number): Promise<string> {
  const entry = await directory.get(`ext/${VDISK_NAME}/${extentOf(block)}`);
  if (entry === null) return 'none';
  const record = decodeExtentRecord(world.digest, entry.value);
  return isDamage(record) ? record.problem : record.state;
}

function held(petal: SimPetal, { name }: Tenant): () => void {
  const { fromActor } = petal.simulator.link(`${name}/petal`);
  fromActor.clog();
  return () => fromActor.unclog();
}

async function readsAll(history: History, { pool }: Tenant, first: number): Promise<boolean> {
  for (let at = 0; at < BLOCKS; at++) {
    if ((await history.read(pool, first + at)) !== PoolStatus.ok) return false;
  }
  return true;
}

test('a zombie data write into a reused extent: until its fence is confirmed nobody uses its extents, then it is refused', async (t) => {
  let landed = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const petal = new SimPetal({ seed, ...POOL });
    const history = new History(petal.world);
    await petal.run(async () => {
      await petal.create();
      const zombie = await tenantOf(petal, 'h0');
      const its = await allocated(zombie);
      for (let at = 0; at < BLOCKS; at++) await history.write(zombie.pool, its + at);
      const late: Frame[] = [];
      petal.net.spy((from, _to, frame) => {
        if (from === zombie.name && frame.message.kind === 'write') late.push(frame);
      });
      const release = held(petal, zombie);
      const writing = history.write(zombie.pool, its);
      const successor = await tenantOf(petal, 'h0');
      t.is(await stateOf(petal, its), 'closed', `seed ${seed}`);
      const other = await tenantOf(petal, 'h1');
      const [mine, theirs] = [await allocated(successor), await allocated(other)];
      const used = [its, mine, theirs].map(extentOf);
      t.is(new Set(used).size, 3, `seed ${seed}: ${used.join()}`);
      for (let at = 0; at < BLOCKS; at++) {
        await history.write(successor.pool, mine + at);
        await history.write(other.pool, theirs + at);
      }
      release();
      if ((await writing) === PoolStatus.ok) landed++;
      await petal.world.timers.sleep(othersLeaseNs(FAST));
      t.is(await history.write(zombie.pool, its), PoolStatus.fenced, `seed ${seed}`);
      // A sweep may give the extent to somebody now: what still comes of the zombie is refused.
      t.is(await history.write(successor.pool, its), PoolStatus.ok);
      t.true(late.length > 0, 'a late write is there to come again');
      for (const frame of late) {
        for (const server of ['s1', 's2', 's3', 's4']) petal.net.inject(zombie.name, server, frame);
      }
      await petal.world.timers.sleep(10e6);
      t.is(await history.read(successor.pool, its), PoolStatus.ok);
      t.true(await readsAll(history, successor, mine));
      t.true(await readsAll(history, other, theirs));
      for (const { guard } of [zombie, successor, other]) guard.close();
    });
    t.is(history.conflict(), null, `seed ${seed}`);
    t.is(differingCopies(petal), null, `seed ${seed}`);
  }
  t.true(landed > 0, 'the write of a zombie is done while its fence is not confirmed');
});

test('an unknown write, then reuse: its extent is closed, and what lands late harms nobody', async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const petal = new SimPetal({ seed, ...POOL });
    const history = new History(petal.world);
    await petal.run(async () => {
      await petal.create();
      const tenant = await tenantOf(petal, 'h0', { giveUpNs: 30e6 });
      const unknown = await allocated(tenant);
      for (let at = 1; at < BLOCKS; at++) await history.write(tenant.pool, unknown + at);
      const release = held(petal, tenant);
      t.is(await history.write(tenant.pool, unknown), PoolStatus.ioError, 'nobody knows');
      tenant.allocator.closeExtentOf(unknown);
      const next = await allocated(tenant);
      t.not(extentOf(next), extentOf(unknown), `seed ${seed}`);
      release();
      await petal.world.timers.sleep(20e6);
      t.is(await stateOf(petal, unknown), 'closed', `seed ${seed}`);
      for (let at = 0; at < BLOCKS; at++) await history.write(tenant.pool, next + at);
      t.is(await history.read(tenant.pool, unknown), PoolStatus.ok);
      await tenant.allocator.close();
      // Neither the host's next session nor another host is given the place.
      const later = [await tenantOf(petal, 'h0'), await tenantOf(petal, 'h1')];
      for (const one of later) {
        const first = await allocated(one);
        t.not(extentOf(first), extentOf(unknown), `seed ${seed}`);
        for (let at = 0; at < BLOCKS; at++) await history.write(one.pool, first + at);
        t.true(await readsAll(history, one, first));
      }
      for (const { guard } of [tenant, ...later]) guard.close();
      await becomesClean(petal, 1e9);
    });
    const { operations } = history;
    const lost = operations.find(({ endedNs }) => endedNs === Number.POSITIVE_INFINITY);
    const isSeen = operations.some(({ isWrite, value }) => !isWrite && value === lost?.value);
    t.true(isSeen, `seed ${seed}: the write whose outcome was unknown is done after all`);
    t.is(history.conflict(), null, `seed ${seed}`);
    t.is(differingCopies(petal), null, `seed ${seed}`);
  }
});
