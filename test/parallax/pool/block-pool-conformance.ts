/** What every pool must do, as tests that take a bench. */
import type { ExecutionContext } from 'ava';
import { poolCall } from '../../../src/parallax/story-io.ts';
import {
  BLOCK_BYTES,
  type BlockPool,
  EXTENT_BLOCKS,
  type PoolIo,
  PoolStatus,
} from '../../../src/world/block-pool.ts';
import type { PoolBench } from './pool-bench.ts';

export type PoolCase = (t: ExecutionContext, bench: PoolBench) => Promise<void>;

export const FIRST: number = EXTENT_BLOCKS + 100;

export function filledBlocks(blocks: number, value: number): Uint8Array {
  return new Uint8Array(blocks * BLOCK_BYTES).fill(value);
}

export function write(pool: BlockPool, block: number, value: number): Promise<PoolStatus> {
  return poolCall(pool, 'write', block, filledBlocks(1, value));
}

/** The byte that fills a block; -1 if it is not one byte, a negative status if it failed. */
export async function valueAt(pool: BlockPool, block: number): Promise<number> {
  const bytes = filledBlocks(1, 0xee);
  const status = await poolCall(pool, 'read', block, bytes);
  if (status !== PoolStatus.ok) return status;
  return bytes.every((byte) => byte === bytes[0]) ? (bytes[0] as number) : -1;
}

export const POOL_CASES: Readonly<Record<string, PoolCase>> = {
  'what a host has written it reads, and so does another host': async (t, bench) => {
    const [one, other] = [await bench.attached('h0'), await bench.attached('h1')];
    t.is(await write(one.pool, FIRST, 1), PoolStatus.ok);
    t.is(await valueAt(one.pool, FIRST), 1);
    t.is(await valueAt(other.pool, FIRST), 1);
    t.is(await write(other.pool, FIRST, 2), PoolStatus.ok);
    t.is(await valueAt(one.pool, FIRST), 2);
    const last = one.pool.sizeBlocks - 1;
    t.is(await write(one.pool, last, 3), PoolStatus.ok);
    t.is(await valueAt(other.pool, last), 3);
  },

  'many writes at a time are each done once, later than their call, and none is lost': async (
    t,
    bench,
  ) => {
    const { pool } = await bench.attached('h0');
    const count = 400;
    const done = Array.from({ length: count }, () => 0);
    let inside = false;
    await new Promise<void>((resolve) => {
      let left = count;
      for (let i = 0; i < count; i++) {
        inside = true;
        pool.write({
          block: FIRST + i,
          blocks: 1,
          buffer: filledBlocks(1, i % 251),
          bufferOffset: 0,
          poolDone: (status) => {
            t.false(inside, 'a completion is never inside the call');
            t.is(status, PoolStatus.ok);
            done[i] = (done[i] as number) + 1;
            left -= 1;
            if (left === 0) resolve();
          },
        });
        inside = false;
      }
    });
    t.true(done.every((times) => times === 1));
    const values = await Promise.all(done.map((_, i) => valueAt(pool, FIRST + i)));
    t.true(values.every((value, i) => value === i % 251));
  },

  'several blocks go in one operation, from and to any place of a buffer': async (t, bench) => {
    const { pool } = await bench.attached('h0');
    const buffer = new Uint8Array(7 * BLOCK_BYTES).fill(9);
    for (let i = 0; i < 5; i++) {
      buffer.fill(i + 1, (i + 1) * BLOCK_BYTES, (i + 2) * BLOCK_BYTES);
    }
    const io = (op: 'read' | 'write', block: number, blocks: number): Promise<PoolStatus> =>
      new Promise((poolDone) => {
        pool[op]({ block, blocks, buffer, bufferOffset: BLOCK_BYTES, poolDone });
      });
    t.is(await io('write', FIRST, 5), PoolStatus.ok);
    for (let i = 0; i < 5; i++) t.is(await valueAt(pool, FIRST + i), i + 1);
    buffer.fill(0);
    t.is(await io('read', FIRST + 1, 4), PoolStatus.ok);
    t.is(buffer[BLOCK_BYTES - 1], 0);
    t.is(buffer[BLOCK_BYTES], 2);
    t.is(buffer[5 * BLOCK_BYTES - 1], 5);
    t.is(buffer[5 * BLOCK_BYTES], 0, 'nothing is written behind what was asked for');
  },

  'one request can be used again from its own completion': async (t, bench) => {
    const { pool } = await bench.attached('h0');
    let round = 0;
    await new Promise<void>((resolve) => {
      const io: PoolIo = {
        block: FIRST,
        blocks: 1,
        buffer: filledBlocks(1, 1),
        bufferOffset: 0,
        poolDone: () => {
          round += 1;
          if (round === 20) return resolve();
          io.block += 1;
          io.buffer.fill(round + 1);
          pool.write(io);
        },
      };
      pool.write(io);
    });
    for (let i = 0; i < 20; i++) t.is(await valueAt(pool, FIRST + i), i + 1);
  },

  'a block that was trimmed can be written and read again': async (t, bench) => {
    const { pool } = await bench.attached('h0');
    await write(pool, FIRST, 1);
    t.is(await poolCall(pool, 'trim', FIRST, filledBlocks(16, 0)), PoolStatus.ok);
    t.is(await write(pool, FIRST, 2), PoolStatus.ok);
    t.is(await valueAt(pool, FIRST), 2);
  },

  'a conditional block has version 0 and zeros, and is written by who knows its version': async (
    t,
    bench,
  ) => {
    const { pool } = await bench.attached('h0');
    const empty = await pool.readConditional(7);
    t.is(empty.version, 0);
    t.true(empty.data.length === BLOCK_BYTES && empty.data.every((byte) => byte === 0));
    const first = await pool.writeIf(7, 0, filledBlocks(1, 1));
    t.true(first.written && first.version > 0);
    const stale = await pool.writeIf(7, 0, filledBlocks(1, 2));
    t.deepEqual(stale, { written: false, version: first.version });
    const second = await pool.writeIf(7, first.version, filledBlocks(1, 3));
    t.true(second.written && second.version > first.version);
    const now = await pool.readConditional(7);
    t.is(now.version, second.version);
    t.is(now.data[4095], 3);
    now.data.fill(0);
    t.is((await pool.readConditional(7)).data[0], 3, 'what it gave is the caller’s own');
  },

  'of many who writeIf the same version one wins, whatever host they are of': async (t, bench) => {
    const hosts = [await bench.attached('h0'), await bench.attached('h1')];
    let version = 0;
    for (let round = 1; round <= 5; round++) {
      const tries = Array.from({ length: 6 }, (_, i) => {
        const { pool } = hosts[i % 2] as (typeof hosts)[number];
        return pool.writeIf(9, version, filledBlocks(1, round * 10 + i));
      });
      const results = await Promise.all(tries);
      const winners = results.filter(({ written }) => written);
      t.is(winners.length, 1);
      version = winners[0]?.version as number;
      t.true(results.every((result) => result.version === version));
      const winner = results.findIndex(({ written }) => written);
      const data = (await (hosts[0] as (typeof hosts)[number]).pool.readConditional(9)).data;
      t.is(data[0], round * 10 + winner);
    }
  },

  'a fenced host is refused every operation, and its successor none': async (t, bench) => {
    const zombie = await bench.attached('h0');
    await zombie.pool.writeIf(3, 0, filledBlocks(1, 1));
    t.is(await write(zombie.pool, FIRST, 1), PoolStatus.ok);
    const successor = await bench.attached('h0');
    t.true(successor.attachment.session > zombie.attachment.session);
    t.true(successor.attachment.fence > zombie.attachment.fence);
    const refused = zombie.pool.writeIf(3, 1, filledBlocks(1, 2));
    await t.throwsAsync(refused, { code: 'E_FENCED', message: /host h0 .* store main/ });
    t.is(await write(zombie.pool, FIRST, 2), PoolStatus.fenced);
    t.is(await valueAt(zombie.pool, FIRST), PoolStatus.fenced);
    await t.throwsAsync(zombie.pool.readConditional(3), { code: 'E_FENCED' });
    t.is(await valueAt(successor.pool, FIRST), 1);
    t.true((await successor.pool.writeIf(3, 1, filledBlocks(1, 3))).written);
    await zombie.pool.close();
  },

  'close waits for what is in flight': async (t, bench) => {
    const { pool } = await bench.attached('h0');
    const order: string[] = [];
    const writing = Array.from({ length: 200 }, (_, i) => write(pool, FIRST + i, 5));
    const all = Promise.all(writing).then(() => order.push('written'));
    const decided = pool.writeIf(2, 0, filledBlocks(1, 1)).then(() => order.push('decided'));
    await pool.close();
    order.push('closed');
    await Promise.all([all, decided]);
    t.is(order.at(-1), 'closed');
    const { pool: again } = await bench.attached('h0');
    for (let i = 0; i < 200; i += 50) t.is(await valueAt(again, FIRST + i), 5);
    await again.close();
  },

  'an operation outside of the pool, or of a conditional block, is a bug': async (t, bench) => {
    const { pool } = await bench.attached('h0');
    await t.throwsAsync(write(pool, pool.sizeBlocks, 1), { message: /inside the pool/ });
    await t.throwsAsync(write(pool, EXTENT_BLOCKS - 1, 1), { message: /behind extent 0/ });
    t.throws(() => pool.readConditional(EXTENT_BLOCKS), { message: /extent 0/ });
  },
};
