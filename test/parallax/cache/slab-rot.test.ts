import test from 'ava';
import { MISS } from '../../../src/parallax/cache/clean-slab.ts';
import { SlabStatus } from '../../../src/parallax/cache/slab-io.ts';
import { DiskOp } from '../../../src/world/sim/disk-timing.ts';
import { DiskStatus, type World } from '../../../src/world/world.ts';
import {
  BLOCK,
  crcOf,
  holds,
  OTHER_ADDRESS,
  openSlab,
  put,
  SLAB_FILE,
  type SlabStage,
  slabStage,
  tell,
} from './slab-bench.ts';

/** Two table blocks: one full, one with ten slots. */
const SLOTS = 210;
const ROOT = { generation: 3, vdiSeq: 40, block: 2 ** 40 + 7, crc: 5 };
const TABLE_AT = 2 * BLOCK;

/** Changes one bit of the file where it lies. */
async function flip(stage: SlabStage, position: number): Promise<void> {
  const { u8 } = stage.world.memory;
  const disk = await stage.world.disks.open(SLAB_FILE, { writable: true });
  u8.set(stage.host.disk(SLAB_FILE).peek('visible', position, 1), OTHER_ADDRESS);
  u8[OTHER_ADDRESS] = (u8[OTHER_ADDRESS] as number) ^ 0x10;
  await new Promise((resolve) => {
    disk.write({
      buffer: u8,
      bufferOffset: OTHER_ADDRESS,
      lengthBytes: 1,
      position,
      diskDone: resolve,
    });
  });
  await disk.close();
}

/** A slab with a block in every slot, each with its link, closed. */
async function filledSlab(world: World): Promise<void> {
  const slab = await openSlab(world);
  slab.openVdi(1, ROOT);
  for (let block = 0; block < SLOTS; block++) {
    await put(world, slab, 1000 + block, block);
    slab.remap(1, block, 1000 + block, crcOf(world, block));
  }
  await slab.close();
}

test('a table with a flipped byte anywhere loses the slots of that block and no others', async (t) => {
  const stage = slabStage(1, SLOTS);
  const { world } = stage;
  await tell(stage, async () => {
    await filledSlab(world);
    for (let at = 0; at < 2 * BLOCK; at += 64) {
      await flip(stage, TABLE_AT + at);
      const slab = await openSlab(world, { checkpointNs: Number.POSITIVE_INFINITY });
      slab.openVdi(1, ROOT);
      const lost = at < BLOCK ? 200 : 10;
      const { used, damagedTableBlocks } = slab.stats();
      t.deepEqual([used, damagedTableBlocks], [SLOTS - lost, 1], `byte ${at}`);
      slab.beginStep();
      const kept = at < BLOCK ? 205 : 100;
      t.is(slab.readNow(slab.lookup(1, kept), OTHER_ADDRESS), SlabStatus.ok);
      t.true(holds(world, OTHER_ADDRESS, kept));
      t.is(slab.lookup(1, at < BLOCK ? 100 : 205), MISS);
      await flip(stage, TABLE_AT + at);
    }
  });
});

test('with one superblock damaged the other one serves, with both the slab is empty', async (t) => {
  for (const copies of [[0], [1], [0, 1]]) {
    const stage = slabStage(1, SLOTS);
    const { world } = stage;
    await tell(stage, async () => {
      await filledSlab(world);
      for (const copy of copies) await flip(stage, copy * BLOCK + 100);
      const slab = await openSlab(world);
      t.is(slab.stats().damagedSuperblocks, copies.length);
      t.is(slab.stats().used, copies.length === 2 ? 0 : SLOTS);
      t.is(slab.stats().disabled, null);
      slab.openVdi(1, ROOT);
      if (copies.length === 2) t.is(slab.lookup(1, 5), MISS);
      await slab.close();
    });
  }
});

test('a slot that rots is a miss at its next read, however it is read', async (t) => {
  const stage = slabStage(1, 20);
  const { world } = stage;
  await tell(stage, async () => {
    const slab = await openSlab(world);
    for (const block of [1, 2]) await put(world, slab, block, block);
    for (const block of [1, 2]) {
      const slot = slab.findBlock(block, crcOf(world, block));
      await flip(stage, (3 + slot) * BLOCK + 1234);
      t.is(slab.readNow(slot, OTHER_ADDRESS), SlabStatus.miss);
      t.is(slab.findBlock(block, crcOf(world, block)), MISS);
    }
    t.is(slab.stats().mismatched, 2);
    await put(world, slab, 3, 3);
    await slab.close();
  });
});

test('a table block that cannot be read costs its own slots, not its neighbours', async (t) => {
  const stage = slabStage(1, SLOTS);
  const { world } = stage;
  await tell(stage, async () => {
    await filledSlab(world);
    const range = { from: TABLE_AT, to: TABLE_AT + 512 };
    const fault = { kind: 'error', status: DiskStatus.ioError } as const;
    stage.host.disk(SLAB_FILE).faults.add({ fault, range, ops: [DiskOp.read] });
    const slab = await openSlab(world);
    t.like(slab.stats(), { used: 10, damagedTableBlocks: 1, disabled: null });
    await slab.close();
  });
});
