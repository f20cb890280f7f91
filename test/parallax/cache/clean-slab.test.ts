import test, { type ExecutionContext } from 'ava';
import { type CleanSlab, MAPPED, MISS } from '../../../src/parallax/cache/clean-slab.ts';
import { SlabStatus } from '../../../src/parallax/cache/slab-io.ts';
import { NO_LINK } from '../../../src/parallax/cache/slab-slots.ts';
import { DiskOp } from '../../../src/world/sim/disk-timing.ts';
import { DiskStatus, type World } from '../../../src/world/world.ts';
import {
  BLOCK,
  crcOf,
  DATA_ADDRESS,
  fill,
  holds,
  OTHER_ADDRESS,
  openSlab,
  put,
  readAsync,
  SLAB_FILE,
  slabStage,
  tell,
} from './slab-bench.ts';

const ROOT = { generation: 3, vdiSeq: 40, block: 2 ** 40 + 7, crc: 0xdead_beef };
const NEXT_ROOT = { ...ROOT, vdiSeq: 41, block: 2 ** 40 + 8 };

test('a block is read back by its VDI, by its pool block, at once and later', async (t) => {
  const stage = slabStage(1, 20);
  const { world } = stage;
  await tell(stage, async () => {
    const slab = await openSlab(world);
    t.false(slab.openVdi(1, ROOT));
    t.is(slab.lookup(1, 9), MISS);
    fill(world, DATA_ADDRESS, 77);
    t.true(slab.insert(500, crcOf(world, 77), DATA_ADDRESS, NO_LINK));
    t.true(slab.learn(1, 9, 500, crcOf(world, 77), slab.edition));
    t.is(slab.lookup(1, 9), MAPPED, 'not readable until it is written');
    t.is(slab.mappedBlock, 500);
    await put(world, slab, 500, 77);
    const slot = slab.lookup(1, 9);
    t.true(slot >= 0);
    t.is(slab.findBlock(500, crcOf(world, 77)), slot);
    t.is(slab.readNow(slot, OTHER_ADDRESS), SlabStatus.ok);
    t.true(holds(world, OTHER_ADDRESS, 77));
    fill(world, OTHER_ADDRESS, 0);
    t.is(await readAsync(slab, slot, OTHER_ADDRESS), SlabStatus.ok);
    t.true(holds(world, OTHER_ADDRESS, 77));
    t.is(slab.findBlock(500, 1), MISS, 'another content under that number');
    t.is(slab.lookup(1, 9), MAPPED);
    await slab.close();
  });
});

test('clones that share pool blocks share the slots', async (t) => {
  const stage = slabStage(1, 8);
  const { world } = stage;
  await tell(stage, async () => {
    const slab = await openSlab(world, { linkShare: 2 });
    for (const vdi of [1, 2]) slab.openVdi(vdi, { ...ROOT, generation: vdi });
    for (let block = 0; block < 8; block++) {
      await put(world, slab, 100 + block, block);
      for (const vdi of [1, 2]) slab.remap(vdi, block, 100 + block, crcOf(world, block));
    }
    for (let block = 0; block < 8; block++) {
      const slot = slab.lookup(1, block);
      t.true(slot >= 0);
      t.is(slab.lookup(2, block), slot);
    }
    t.like(slab.stats(), { inserted: 8, used: 8, evicted: 0, links: 16 });
    await slab.close();
  });
});

test('a publish moves and removes links, and what was learned before it does not count', async (t) => {
  const stage = slabStage(1, 20);
  const { world } = stage;
  await tell(stage, async () => {
    const slab = await openSlab(world);
    slab.openVdi(1, ROOT);
    slab.remap(1, 5, 100, 1);
    slab.remap(1, 6, 101, 2);
    const before = slab.edition;
    slab.remap(1, 5, 200, 3);
    slab.forget(1, 6);
    slab.published(1, NEXT_ROOT);
    t.false(slab.learn(1, 6, 101, 2, before));
    t.is(slab.lookup(1, 5), MAPPED);
    t.deepEqual([slab.mappedBlock, slab.mappedCrc], [200, 3]);
    t.is(slab.lookup(1, 6), MISS);
    t.true(slab.learn(1, 6, 300, 4, slab.edition));
    slab.forgetVdi(1);
    t.is(slab.lookup(1, 5), MISS);
    await slab.close();
  });
});

test('links come back after a clean end if the root is the same to the last number', async (t) => {
  const roots = [
    { root: NEXT_ROOT, kept: true },
    { root: { ...NEXT_ROOT, generation: 4 }, kept: false },
    { root: { ...NEXT_ROOT, vdiSeq: 42 }, kept: false },
    { root: { ...NEXT_ROOT, block: 9 }, kept: false },
    { root: { ...NEXT_ROOT, crc: 9 }, kept: false },
  ];
  for (const { root, kept } of roots) {
    const stage = slabStage(1, 20);
    const { world } = stage;
    await tell(stage, async () => {
      const first = await openSlab(world);
      first.openVdi(1, ROOT);
      await put(world, first, 500, 77);
      first.remap(1, 9, 500, crcOf(world, 77));
      first.published(1, NEXT_ROOT);
      await first.close();
      const second = await openSlab(world);
      t.is(second.openVdi(1, root), kept);
      t.is(second.lookup(1, 9) >= 0, kept);
      const slot = second.findBlock(500, crcOf(world, 77));
      t.is(second.readNow(slot, OTHER_ADDRESS), SlabStatus.ok, 'the block itself stays');
      t.true(holds(world, OTHER_ADDRESS, 77));
      await second.close();
    });
  }
});

test('an empty VDI that has the number of a former one does not see its blocks', async (t) => {
  const empty = { generation: 1, vdiSeq: 0, block: 0, crc: 0 };
  const stage = slabStage(1, 20);
  const { world } = stage;
  await tell(stage, async () => {
    const first = await openSlab(world);
    first.openVdi(1, empty);
    await put(world, first, 500, 77);
    first.remap(1, 9, 500, crcOf(world, 77));
    await first.close();
    const second = await openSlab(world);
    t.false(second.openVdi(1, empty));
    t.is(second.lookup(1, 9), MISS);
    await second.close();
  });
});

test('the slab of another store is empty, and stays so for the first one', async (t) => {
  const stage = slabStage(1, 20);
  const { world } = stage;
  await tell(stage, async () => {
    const first = await openSlab(world);
    await put(world, first, 500, 77);
    await first.close();
    const other = await openSlab(world, {}, new Uint8Array(16).fill(1));
    t.is(other.stats().used, 0);
    t.is(other.findBlock(500, crcOf(world, 77)), MISS);
    await other.close();
    const again = await openSlab(world);
    t.is(again.stats().used, 0);
    await again.close();
  });
});

test('a sweep takes blocks out of the slab, also while they are read and written', async (t) => {
  const stage = slabStage(1, 20);
  const { world } = stage;
  await tell(stage, async () => {
    const slab = await openSlab(world);
    await put(world, slab, 500, 77);
    const slot = slab.findBlock(500, crcOf(world, 77));
    const reading = readAsync(slab, slot, OTHER_ADDRESS);
    fill(world, DATA_ADDRESS, 78);
    slab.insert(501, crcOf(world, 78), DATA_ADDRESS, NO_LINK);
    slab.forgetBlocks(499, 4);
    t.is(slab.findBlock(500, crcOf(world, 77)), MISS);
    t.is(await reading, SlabStatus.ok, 'the read began before');
    await world.timers.sleep(1e6);
    t.is(slab.findBlock(501, crcOf(world, 78)), MISS);
    t.is(slab.stats().used, 0);
    await put(world, slab, 500, 79);
    await slab.close();
  });
});

test('a step has so many inline reads, and one that is slow is its last', async (t) => {
  const stage = slabStage(1, 20);
  const { world } = stage;
  await tell(stage, async () => {
    const options = { readNowPerStep: 2, slowReadNs: 50_000 };
    const slab = await openSlab(world, options);
    await put(world, slab, 500, 77);
    const slot = slab.findBlock(500, crcOf(world, 77));
    slab.beginStep();
    t.is(slab.readNow(slot, OTHER_ADDRESS), SlabStatus.ok);
    t.is(slab.readNow(slot, OTHER_ADDRESS), SlabStatus.ok);
    t.is(slab.readNow(slot, OTHER_ADDRESS), SlabStatus.busy);
    slab.beginStep();
    t.is(slab.readsLeft, 2);
    stage.host.disk(SLAB_FILE).timing.stall(world.clock.nowNs(), world.clock.nowNs() + 100_000);
    t.is(slab.readNow(slot, OTHER_ADDRESS), SlabStatus.ok);
    t.is(slab.readsLeft, 0);
    await slab.close();
  });
});

test('a slot that cannot be read costs a miss and is never used again', async (t) => {
  const stage = slabStage(1, 3);
  const { world } = stage;
  await tell(stage, async () => {
    const slab = await openSlab(world);
    for (const block of [1, 2, 3]) await put(world, slab, block, block);
    const slot = slab.findBlock(2, crcOf(world, 2));
    const error = { kind: 'error', status: DiskStatus.ioError } as const;
    const { faults } = stage.host.disk(SLAB_FILE);
    const heal = faults.add({ fault: error, ops: [DiskOp.read] });
    t.is(await readAsync(slab, slot, OTHER_ADDRESS), SlabStatus.miss);
    t.is(slab.readNow(slab.findBlock(1, crcOf(world, 1)), OTHER_ADDRESS), SlabStatus.miss);
    heal();
    t.like(slab.stats(), { retired: 2, used: 1, disabled: null });
    for (const block of [4, 5]) await put(world, slab, block, block);
    t.is(slab.stats().used, 1, 'one slot is left for all');
    await slab.close();
  });
});

async function switchedOff(
  t: ExecutionContext,
  status: DiskStatus,
  spoil: (slab: CleanSlab, world: World) => Promise<void>,
): Promise<void> {
  const stage = slabStage(1, 3);
  const { world } = stage;
  await tell(stage, async () => {
    const slab = await openSlab(world);
    slab.openVdi(1, ROOT);
    await put(world, slab, 1, 1);
    slab.remap(1, 0, 1, crcOf(world, 1));
    const { faults } = stage.host.disk(SLAB_FILE);
    faults.add({ fault: { kind: 'error', status }, ops: [DiskOp.write] });
    await spoil(slab, world);
    t.regex(slab.stats().disabled ?? '', new RegExp(String(status)));
    t.is(slab.lookup(1, 0), MISS);
    t.is(slab.findBlock(1, crcOf(world, 1)), MISS);
    t.false(slab.insert(3, 3, DATA_ADDRESS, NO_LINK));
    await slab.close();
  });
}

test('a full disk and a failed write switch the slab off, and harm nobody', async (t) => {
  for (const status of [DiskStatus.noSpace, DiskStatus.ioError]) {
    await switchedOff(t, status, async (slab, world) => {
      slab.insert(2, 2, DATA_ADDRESS, NO_LINK);
      await world.timers.sleep(1e6);
    });
  }
});

test('a table that cannot be written switches the slab off', async (t) => {
  await switchedOff(t, DiskStatus.noSpace, (slab) => slab.checkpoint());
});

test('a file of a newer version is left as it is, and the slab is off', async (t) => {
  const stage = slabStage(1, 20);
  const { world } = stage;
  await tell(stage, async () => {
    const first = await openSlab(world);
    await first.close();
    const disk = await world.disks.open(SLAB_FILE, { writable: true });
    const { u8 } = world.memory;
    const newer = stage.host.disk(SLAB_FILE).peek('visible', 0, BLOCK);
    const copy = newer.every((byte) => byte === 0) ? BLOCK : 0;
    u8.set(stage.host.disk(SLAB_FILE).peek('visible', copy, BLOCK), DATA_ADDRESS);
    u8[DATA_ADDRESS + 4] = 2;
    u8.fill(0, DATA_ADDRESS + 8, DATA_ADDRESS + 12);
    const crc = world.digest.crc32(u8, DATA_ADDRESS, BLOCK);
    new DataView(u8.buffer).setUint32(DATA_ADDRESS + 8, crc, true);
    await new Promise((resolve) => {
      disk.write({
        buffer: u8,
        bufferOffset: DATA_ADDRESS,
        lengthBytes: BLOCK,
        position: copy,
        diskDone: resolve,
      });
    });
    const before = stage.host.disk(SLAB_FILE).peek('visible', 0, 3 * BLOCK);
    const slab = await openSlab(world);
    t.regex(slab.stats().disabled ?? '', /newer version/);
    t.false(slab.insert(1, 1, DATA_ADDRESS, NO_LINK));
    await slab.close();
    t.deepEqual(stage.host.disk(SLAB_FILE).peek('visible', 0, 3 * BLOCK), before);
  });
});

test('a link that was forgotten does not come back with the next driver VM', async (t) => {
  const stage = slabStage(1, 20);
  const { world } = stage;
  await tell(stage, async () => {
    const first = await openSlab(world);
    first.openVdi(1, ROOT);
    for (const block of [1, 2]) {
      await put(world, first, block, block);
      first.remap(1, block, block, crcOf(world, block));
    }
    await first.checkpoint();
    first.forget(1, 1);
    first.published(1, NEXT_ROOT);
    await first.close();
    const second = await openSlab(world);
    t.true(second.openVdi(1, NEXT_ROOT));
    t.is(second.lookup(1, 1), MISS);
    t.true(second.lookup(1, 2) >= 0);
    await second.close();
  });
});

test('a slot that is being read or written is nobody else’s until that is over', async (t) => {
  const stage = slabStage(1, 1);
  const { world } = stage;
  await tell(stage, async () => {
    const slab = await openSlab(world);
    await put(world, slab, 1, 1);
    const reading = readAsync(slab, slab.findBlock(1, crcOf(world, 1)), OTHER_ADDRESS);
    fill(world, DATA_ADDRESS, 2);
    t.false(slab.insert(2, crcOf(world, 2), DATA_ADDRESS, NO_LINK), 'it is being read');
    t.is(await reading, SlabStatus.ok);
    t.true(slab.insert(2, crcOf(world, 2), DATA_ADDRESS, NO_LINK));
    slab.forgetBlocks(2, 1);
    t.false(slab.insert(3, crcOf(world, 3), DATA_ADDRESS, NO_LINK), 'it is being written');
    await world.timers.sleep(1e6);
    await put(world, slab, 4, 4);
    t.is(slab.stats().dropped, 2);
    await slab.close();
  });
});
