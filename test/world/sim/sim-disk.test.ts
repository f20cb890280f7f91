import test from 'ava';
import { Prng } from '../../../src/base/prng.ts';
import { nanos, PAGE_BYTES, SECTOR_BYTES } from '../../../src/base/units.ts';
import { type DiskModel, DiskOp, exponential } from '../../../src/world/sim/disk-timing.ts';
import type { SimDisk } from '../../../src/world/sim/sim-disk.ts';
import { type Disk, DiskStatus, type World } from '../../../src/world/world.ts';
import { diskIo, filled, NO_BYTES, OK, type Stage, sameBytes, stage } from './helper-actors.ts';

const GIB = 1024 ** 3;

interface DiskStage extends Stage {
  readonly medium: SimDisk;
  /** Runs a story on the open disk to its end. */
  readonly story: (tell: (disk: Disk, world: World) => Promise<void>) => Promise<void>;
}

function diskStage(seed = 1, model: Partial<DiskModel> = {}): DiskStage {
  const made = stage({ seed });
  const medium = made.host.addDisk('d', GIB, { model });
  const story: DiskStage['story'] = async (tell) => {
    const told = (async () => {
      await tell(await made.world.disks.open('d', { writable: true }), made.world);
    })();
    // A story that throws must not count as a promise nobody waits for while the rest goes on.
    told.catch(() => undefined);
    await made.sim.run();
    await Promise.race([told, Promise.reject(new Error('the story did not end'))]);
  };
  return { ...made, medium, story };
}

const write = (disk: Disk, bytes: Uint8Array, position: number): Promise<DiskStatus> =>
  diskIo((io) => disk.write(io), bytes, position);
const flush = (disk: Disk): Promise<DiskStatus> => diskIo((io) => disk.flush(io), NO_BYTES, 0);

test('a write is visible when it is done and durable after a flush', async (t) => {
  const { story, medium } = diskStage();
  await story(async (disk) => {
    t.is(await write(disk, filled(100, 7), 5_000), OK);
    const back = new Uint8Array(102);
    t.is(await diskIo((io) => disk.read(io), back, 4_999), OK);
    t.deepEqual([back[0], back[1], back[100], back[101]], [0, 7, 7, 0]);
    t.deepEqual(medium.peek('durable', 5_000, 100), filled(100, 0));
    t.is(medium.volatileBytes, 100);
    t.is(await flush(disk), OK);
    t.deepEqual(medium.peek('durable', 5_000, 100), filled(100, 7));
    t.is(medium.volatileBytes, 0);
    await disk.close();
    t.is(await write(disk, filled(1, 1), 0), DiskStatus.notWritable);
  });
});

test('a write that was in flight when the flush was submitted is not covered by it', async (t) => {
  const { story, medium } = diskStage(1, { writeNs: 100, flushNs: 50_000, tailNs: 0 });
  await story(async (disk) => {
    await write(disk, filled(512, 1), 0);
    const late = write(disk, filled(512, 2), 512);
    const flushed = flush(disk);
    await late;
    t.is(medium.peek('visible', 512, 1)[0], 2, 'done before the flush is');
    await flushed;
    t.is(medium.peek('durable', 0, 1)[0], 1);
    t.is(medium.peek('durable', 512, 1)[0], 0);
    t.is(medium.volatileBytes, 512);
    await flush(disk);
    t.is(medium.peek('durable', 512, 1)[0], 2);
  });
});

test('a cut of power keeps what was flushed, tears the rest by sectors', async (t) => {
  const pages = 8;
  const outcomes = { kept: 0, dropped: 0, torn: 0, cutsKeepingAll: 0 };
  const seeds = 200;
  for (let seed = 0; seed < seeds; seed++) {
    const { story, medium } = diskStage(seed);
    await story(async (disk) => {
      await write(disk, filled(pages * PAGE_BYTES, 1), 0);
      await flush(disk);
      await write(disk, filled(pages * PAGE_BYTES, 2), 0);
    });
    medium.powerCut();
    const image = medium.peek('visible', 0, pages * PAGE_BYTES);
    let newPages = 0;
    for (let page = 0; page < pages; page++) {
      let newSectors = 0;
      for (let sector = 0; sector < PAGE_BYTES / SECTOR_BYTES; sector++) {
        const from = page * PAGE_BYTES + sector * SECTOR_BYTES;
        const bytes = image.subarray(from, from + SECTOR_BYTES);
        const value = bytes[0] as number;
        if (bytes.some((byte) => byte !== value)) t.fail(`seed ${seed}: torn inside at ${from}`);
        if (value === 2) newSectors++;
        else if (value !== 1) t.fail(`seed ${seed}: flushed bytes are lost at ${from}`);
      }
      if (newSectors === 8) newPages++;
      else if (newSectors === 0) outcomes.dropped++;
      else outcomes.torn++;
    }
    outcomes.kept += newPages;
    if (newPages === pages) outcomes.cutsKeepingAll++;
    t.true(sameBytes(medium.peek('durable', 0, image.length), image), `seed ${seed}`);
  }
  const total = seeds * pages;
  t.true(outcomes.kept > total * 0.3 && outcomes.kept < total * 0.5, JSON.stringify(outcomes));
  t.true(outcomes.dropped > total * 0.2 && outcomes.torn > total * 0.2, JSON.stringify(outcomes));
  const all = outcomes.cutsKeepingAll;
  t.true(all > seeds * 0.04 && all < seeds * 0.18, JSON.stringify(outcomes));
});

test('death keeps what is done and settles what is in flight before exited', async (t) => {
  const seen = { applied: 0, dropped: 0, torn: 0 };
  for (let seed = 0; seed < 60; seed++) {
    const { sim, host, world, spawn } = stage({ seed });
    const medium = host.addDisk('d', GIB);
    const handle = spawn((own) => ({
      start: async () => {
        const disk = await own.disks.open('d', { writable: true });
        await write(disk, filled(PAGE_BYTES, 1), 0);
        own.log.event('first-done');
        await write(disk, filled(PAGE_BYTES, 2), PAGE_BYTES);
        t.fail('it is dead by then');
      },
    }));
    const poll = (): void => {
      if (medium.volatileBytes === 0) world.timers.at(nanos(sim.nowNs + 1_000), poll);
      else handle.kill();
    };
    world.timers.at(nanos(1_000), poll);
    let atExit: Uint8Array = NO_BYTES;
    void handle.exited.then(() => {
      atExit = medium.peek('visible', 0, 2 * PAGE_BYTES);
    });
    await sim.run();
    t.true(sameBytes(atExit.subarray(0, PAGE_BYTES), filled(PAGE_BYTES, 1)), `seed ${seed}`);
    const fresh = atExit.subarray(PAGE_BYTES).filter((byte) => byte === 2).length;
    t.is(fresh % SECTOR_BYTES, 0, `seed ${seed}`);
    if (fresh === PAGE_BYTES) seen.applied++;
    else if (fresh === 0) seen.dropped++;
    else seen.torn++;
    const afterwards = medium.peek('visible', 0, 2 * PAGE_BYTES);
    t.true(sameBytes(afterwards, atExit), `seed ${seed}: something came after the exit`);
  }
  t.true(seen.applied > 5 && seen.dropped > 5 && seen.torn > 3, JSON.stringify(seen));
});

test('readNow answers inline, sees volatile bytes, and costs time', async (t) => {
  const { story, medium } = diskStage();
  await story(async (disk, world) => {
    await write(disk, filled(PAGE_BYTES, 9), 0);
    const into = new Uint8Array(PAGE_BYTES);
    const beforeNs = world.clock.nowNs();
    t.is(disk.readNow(into, 0, PAGE_BYTES, 0), OK);
    t.deepEqual(into, filled(PAGE_BYTES, 9));
    const costNs = world.clock.nowNs() - beforeNs;
    t.true(costNs >= 3_000 && costNs < 10_000, `${costNs}`);
    medium.timing.stall(beforeNs, beforeNs + 1_000_000);
    disk.readNow(into, 0, PAGE_BYTES, 0);
    t.true(world.clock.nowNs() >= beforeNs + 1_000_000, 'it stalls with the disk');
    t.is(disk.readNow(into, 0, PAGE_BYTES, GIB - 1), DiskStatus.outOfRange);
    medium.faults.add({ fault: { kind: 'error', status: DiskStatus.ioError } });
    t.is(disk.readNow(into, 0, PAGE_BYTES, 0), DiskStatus.ioError);
  });
});

test('an operation that is refused is answered later, never inside the call', async (t) => {
  const { story, host, world, sim } = diskStage();
  await story(async (disk) => {
    let inside = true;
    const answer = write(disk, filled(512, 1), GIB).then((status) => [status, inside]);
    inside = false;
    t.deepEqual(await answer, [DiskStatus.outOfRange, false]);
  });
  host.addDisk('ro', 4096, { readOnly: true });
  const errors = Promise.all([
    t.throwsAsync(world.disks.open('none', { writable: false }), { code: 'E_DISK_MISSING' }),
    t.throwsAsync(world.disks.open('ro', { writable: true }), { code: 'E_DISK_NOT_WRITABLE' }),
    t.throwsAsync(world.disks.open('ro', { writable: false, createBytes: 8192 }), {
      code: 'E_DISK_TOO_SMALL',
      message: /8192/,
    }),
  ]);
  const created = world.disks.open('new', { writable: true, createBytes: 12_288 });
  await sim.run();
  await errors;
  t.is((await created).sizeBytes, 12_288);
});

test('a disk of 1 GiB costs what was written to it, and zeroing gives pages back', async (t) => {
  const { story, medium } = diskStage();
  await story(async (disk) => {
    await write(disk, filled(3 * PAGE_BYTES, 1), 100 * PAGE_BYTES);
    await write(disk, filled(10, 1), GIB - 10);
    t.is(medium.writtenBytes, 4 * PAGE_BYTES);
    await flush(disk);
    await diskIo((io) => disk.zero(io), filled(2 * PAGE_BYTES, 0), 100 * PAGE_BYTES);
    t.is(medium.writtenBytes, 2 * PAGE_BYTES);
    t.is(medium.peek('visible', 101 * PAGE_BYTES, 1)[0], 0);
    t.is(medium.peek('durable', 101 * PAGE_BYTES, 1)[0], 1, 'zeroing is as volatile as a write');
    await flush(disk);
    t.is(medium.peek('durable', 101 * PAGE_BYTES, 1)[0], 0);
    medium.capacityBytes = 3 * PAGE_BYTES;
    t.is(await write(disk, filled(2 * PAGE_BYTES, 1), 0), DiskStatus.noSpace);
    t.is(await write(disk, filled(PAGE_BYTES, 3), 102 * PAGE_BYTES), OK, 'nothing new is needed');
    await flush(disk);
    medium.powerCut();
    t.is(medium.writtenBytes, 2 * PAGE_BYTES);
  });
});

test('shrinking and growing again reads zeroes, also after a flush of older writes', async (t) => {
  const { story, medium } = diskStage();
  await story(async (disk) => {
    await write(disk, filled(4 * PAGE_BYTES, 1), 0);
    await flush(disk);
    await write(disk, filled(4 * PAGE_BYTES, 2), 0);
    await disk.resize(PAGE_BYTES + 100);
    await disk.resize(GIB);
    await flush(disk);
    for (const image of ['visible', 'durable'] as const) {
      const bytes = medium.peek(image, 0, 4 * PAGE_BYTES);
      t.deepEqual(bytes.subarray(0, PAGE_BYTES + 100), filled(PAGE_BYTES + 100, 2), image);
      t.true(
        bytes.subarray(PAGE_BYTES + 100).every((byte) => byte === 0),
        image,
      );
    }
    t.is(medium.writtenBytes, 2 * PAGE_BYTES);
  });
});

test('volatile bytes are bounded: the oldest become durable by themselves', async (t) => {
  const { story, medium } = diskStage(1, { volatileBytes: 8 * PAGE_BYTES });
  await story(async (disk) => {
    for (let i = 0; i < 20; i++) {
      await write(disk, filled(PAGE_BYTES, i + 1), i * PAGE_BYTES);
      t.true(medium.volatileBytes <= 8 * PAGE_BYTES);
    }
    t.is(medium.peek('durable', 0, 1)[0], 1);
    t.is(medium.peek('durable', 19 * PAGE_BYTES, 1)[0], 0);
    t.is(medium.peek('visible', 19 * PAGE_BYTES, 1)[0], 20);
  });
});

test('each disk fault does what its name says where its rule says', async (t) => {
  const { story, medium } = diskStage();
  const page = filled(PAGE_BYTES, 5);
  await story(async (disk) => {
    const range = { from: PAGE_BYTES, to: 2 * PAGE_BYTES };
    const error = { kind: 'error', status: DiskStatus.ioError } as const;
    medium.faults.add({ fault: error, ops: [DiskOp.write], range, nth: 2, once: true });
    t.is(await write(disk, page, PAGE_BYTES), OK);
    t.is(await write(disk, page, 0), OK, 'outside of the range');
    t.is(await write(disk, page, PAGE_BYTES), DiskStatus.ioError);
    t.is(await write(disk, page, PAGE_BYTES), OK, 'once');
    medium.faults.add({ fault: { kind: 'lost-write' }, once: true });
    t.is(await write(disk, filled(8, 6), 0), OK);
    t.is(medium.peek('visible', 0, 1)[0], 5);
    const removeTorn = medium.faults.add({
      fault: { kind: 'torn-write', status: DiskStatus.ioError },
    });
    const wide = filled(64 * SECTOR_BYTES, 7);
    t.is(await write(disk, wide, 1 << 20), DiskStatus.ioError);
    removeTorn();
    const stored = medium.peek('visible', 1 << 20, 64 * SECTOR_BYTES).filter((byte) => byte === 7);
    t.true(stored.length > 0 && stored.length < 64 * SECTOR_BYTES);
    t.is(stored.length % SECTOR_BYTES, 0);
    medium.faults.add({ fault: { kind: 'bit-rot' }, ops: [DiskOp.read], once: true });
    const back = new Uint8Array(PAGE_BYTES);
    await diskIo((io) => disk.read(io), back, 0);
    t.is(back.filter((byte) => byte !== 5).length, 1);
    medium.faults.add({ fault: { kind: 'flush-lie' }, once: true });
    t.is(await flush(disk), OK);
    t.is(medium.peek('durable', 0, 1)[0], 0);
    await flush(disk);
    t.is(medium.peek('durable', 0, 1)[0], 5);
    const at = medium.rot(0, PAGE_BYTES) ?? -1;
    t.is(
      medium.peek('visible', 0, PAGE_BYTES).findIndex((byte) => byte !== 5),
      at,
    );
    t.is(medium.faults.struckCount, 5);
    t.throws(() => medium.faults.add({ fault: { kind: 'flush-lie' }, ops: [DiskOp.read] }));
  });
});

test('latent sectors fail reads that touch them, until they are written again', async (t) => {
  const { story, medium } = diskStage();
  await story(async (disk) => {
    await disk.resize(64 * SECTOR_BYTES);
    t.is(await write(disk, filled(64 * SECTOR_BYTES, 5), 0), OK);
    medium.strikeLatent(8);
    const readSector = (sector: number): Promise<DiskStatus> =>
      diskIo((io) => disk.read(io), new Uint8Array(SECTOR_BYTES), sector * SECTOR_BYTES);
    const bad: number[] = [];
    for (let sector = 0; sector < 64; sector++) {
      const status = await readSector(sector);
      if (status !== OK) bad.push(sector);
      t.true(status === OK || status === DiskStatus.ioError);
    }
    t.is(bad.length, medium.latent.count);
    t.true(bad.length > 0 && bad.length <= 8);
    const all = new Uint8Array(64 * SECTOR_BYTES);
    t.is(disk.readNow(all, 0, all.length, 0), DiskStatus.ioError);
    for (const sector of bad.slice(1)) {
      t.is(await write(disk, filled(SECTOR_BYTES, 6), sector * SECTOR_BYTES), OK);
      t.is(await readSector(sector), OK);
    }
    t.is(await readSector(bad[0] ?? 0), DiskStatus.ioError, 'nobody wrote it');
    medium.latent.clear();
    t.is(disk.readNow(all, 0, all.length, 0), OK);
  });
});

test('a misdirected write leaves the old data where it belongs and harms another place', async (t) => {
  const { story, medium } = diskStage();
  await story(async (disk) => {
    await disk.resize(64 * PAGE_BYTES);
    t.is(await write(disk, filled(64 * PAGE_BYTES, 5), 0), OK);
    const heal = medium.faults.add({ fault: { kind: 'misdirected' } });
    t.is(await write(disk, filled(PAGE_BYTES, 7), 8 * PAGE_BYTES), OK, 'it lies');
    heal();
    const bytes = medium.peek('visible', 0, 64 * PAGE_BYTES);
    t.deepEqual(bytes.subarray(8 * PAGE_BYTES, 8 * PAGE_BYTES + 8), filled(8, 5));
    const from = bytes.indexOf(7);
    t.true(from >= 0 && from % SECTOR_BYTES === 0);
    t.is(bytes.lastIndexOf(7), from + PAGE_BYTES - 1);
  });
});

test('channels serve in parallel, then queue; slow and stalled disks are late', async (t) => {
  const model = { channels: 2, readNs: 1_000, tailNs: 0, bytesPerMicrosecond: 1_000 };
  const { story, medium } = diskStage(1, model);
  await story(async (disk, world) => {
    const doneAfter = async (count: number): Promise<number[]> => {
      const startNs = world.clock.nowNs();
      const read = async (): Promise<number> => {
        await diskIo((io) => disk.read(io), new Uint8Array(1_000), 0);
        return world.clock.nowNs() - startNs;
      };
      return Promise.all(Array.from({ length: count }, read));
    };
    t.deepEqual(await doneAfter(5), [2_000, 2_000, 4_000, 4_000, 6_000]);
    medium.timing.slowFactor = 3;
    t.deepEqual(await doneAfter(1), [6_000]);
    medium.timing.slowFactor = 1;
    const nowNs = world.clock.nowNs();
    medium.timing.stall(nowNs, nowNs + 50_000);
    t.deepEqual(await doneAfter(1), [52_000]);
    t.deepEqual(await doneAfter(1), [2_000]);
  });
});

test('the tail of latencies has the mean it is told, and is long', (t) => {
  const random = new Prng(1);
  const draws = Array.from({ length: 50_000 }, () => exponential(random, 10_000));
  const mean = draws.reduce((sum, draw) => sum + draw, 0) / draws.length;
  t.true(mean > 9_800 && mean < 10_200, `${mean}`);
  const beyond = draws.filter((draw) => draw > 46_000).length / draws.length;
  t.true(beyond > 0.005 && beyond < 0.02, `1 % of an exponential is beyond 4.6 means: ${beyond}`);
});

test('operations in flight at a cut of power fail for those who live on', async (t) => {
  const { story, medium, sim } = diskStage(3);
  await story(async (disk, world) => {
    const writing = write(disk, filled(PAGE_BYTES, 1), 0);
    world.timers.at(nanos(sim.nowNs + 10), () => medium.powerCut());
    t.is(await writing, DiskStatus.ioError);
    t.is(await write(disk, filled(PAGE_BYTES, 4), 0), OK);
    t.is(medium.peek('visible', 0, 1)[0], 4);
  });
});

test('disks are listed in order, and one that was removed is gone also after a power cut', async (t) => {
  const made = stage();
  const told = (async () => {
    for (const name of ['b', 'c', 'a']) {
      await (await made.world.disks.open(name, { writable: true, createBytes: 4096 })).close();
    }
    await made.world.disks.remove('c');
    await made.world.disks.remove('never-was');
    t.deepEqual(await made.world.disks.list(), ['a', 'b']);
  })();
  await made.sim.run();
  await told;
  made.host.powerCut();
  t.deepEqual(made.host.diskNames(), ['a', 'b']);
});

test('disks of the pool are not the host’s: they keep what they have when its power goes', async (t) => {
  const made = stage();
  const pool = made.sim.addHost('pool', { memoryBytes: 4096 });
  const host = made.sim.addHost('h9', { memoryBytes: 4096, pool });
  const world = made.sim.toolstackWorld('h9/story', host);
  const told = (async () => {
    const disk = await world.poolDisks.open('blocks', { writable: true, createBytes: 4096 });
    t.is(await write(disk, filled(4096, 9), 0), OK);
    t.deepEqual(await world.disks.list(), []);
    await t.throwsAsync(made.world.poolDisks.open('blocks', { writable: true }), {
      message: /no pool/,
    });
  })();
  await made.sim.run();
  await told;
  host.powerCut();
  t.deepEqual(pool.disk('blocks').peek('visible', 0, 4096), filled(4096, 9));
});
