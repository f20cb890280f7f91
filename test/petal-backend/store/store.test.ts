/** What the port promises, sentence by sentence, where a sweep would not show it by name. */
import test from 'ava';
import type { Session, Term } from '../../../src/base/units.ts';
import { StoreOp, StoreStatus } from '../../../src/petal-backend/store/chunk-store.ts';
import type { FileChunkStore } from '../../../src/petal-backend/store/file-chunk-store.ts';
import { MutationOp } from '../../../src/petal-backend/wire/messages.ts';
import { diskCall, flushDisk } from '../../../src/world/disk-story.ts';
import { simDigest } from '../../../src/world/sim/sim-digest.ts';
import { resealed } from '../../helpers/golden.ts';
import { type Life, LOOK_ONLY, SMALL, StoreBench } from './store-bench.ts';
import { dataOf, mutationOf, stampOf } from './store-blocks.ts';
import { GMAP, noteOf, type Step } from './store-model.ts';

const PAGE = 4096;

function write(life: Life, fields: Partial<Step>): Promise<StoreStatus> {
  const step = { ...life.blankStep(fields.vdisk ?? 0), n: 1, stamp: 1, term: 1, ...fields };
  return new Promise((done) => {
    life.store?.mutate(mutationOf(step, done));
  });
}

async function stamps(life: Life, epoch: number, block = 0): Promise<number[]> {
  const { data } = await life.readChunk(0, epoch, block);
  return Array.from({ length: 16 }, (_, i) => stampOf(data, i * PAGE));
}

const place = { gmap: GMAP, group: 0, vdisk: 0, epoch: 0, block: 0 };

test('a write of 4 KiB into a newer epoch does not hide the other 60 KiB of the older one', async (t) => {
  const bench = new StoreBench(1);
  const old = Array.from({ length: 16 }, (_, i) => 100 + i);
  const judge = async (life: Life): Promise<void> => {
    t.deepEqual(await stamps(life, 0), old);
    t.deepEqual(await stamps(life, 1), old.with(5, 200).with(7, 0));
    t.deepEqual(await stamps(life, 2), old.with(5, 200).with(7, 0));
  };
  await bench.serve(async (_store, life) => {
    await write(life, { blocks: 16, stamp: 100, n: 1 });
    await write(life, { epoch: 1, block: 5, stamp: 200, n: 2 });
    await write(life, { epoch: 1, block: 7, op: MutationOp.trim, n: 3 });
    await judge(life);
  });
  bench.powerCut();
  await bench.serve(async (store, life) => {
    await judge(life);
    // The tombstone stays when the newer epoch has nothing else any more.
    await write(life, { epoch: 1, block: 5, op: MutationOp.trim, n: 4 });
    store.decommit();
    t.deepEqual(await stamps(life, 1), old.with(5, 0).with(7, 0));
    t.is(store.statistics().usedBytes, 65_536);
  });
  await bench.serve(async (_store, life) => {
    t.deepEqual(await stamps(life, 1), old.with(5, 0).with(7, 0));
    t.deepEqual(await stamps(life, 0), old);
  });
});

test('data are flushed in their slot before the log is freed, on whatever disk their row is', async (t) => {
  for (let seed = 1; seed <= 12; seed++) {
    const bench = new StoreBench(seed);
    const { handle, life } = bench.spawn(LOOK_ONLY);
    await bench.sim.run();
    const own = life() as Life;
    // The second chunk has its row on disk 0 and its slot on disk 1.
    for (const block of [0, 32]) {
      const status = write(own, { block, blocks: 16, stamp: 100 + block, n: 1 + block });
      await bench.sim.run();
      t.is(await status, StoreStatus.ok);
    }
    bench.powerCut();
    handle.kill();
    await bench.sim.run();
    await bench.serve(async (store, next) => {
      t.true(store.intact);
      t.deepEqual(
        await stamps(next, 0, 32),
        Array.from({ length: 16 }, (_, i) => 132 + i),
      );
    });
  }
});

test('data that are not what their CRC says are refused, and nothing is written', async (t) => {
  const bench = new StoreBench(1);
  await bench.serve(async (store, life) => {
    const step = { ...life.blankStep(0), n: 1, stamp: 9 };
    const status = await new Promise((done) => {
      const mutation = mutationOf(step, done);
      store.mutate({ ...mutation, crcs: [simDigest.crc32(dataOf(8, 1), 0, PAGE)] });
    });
    t.is(status, StoreStatus.ioError);
    t.false(store.facts(place).hasData);
  });
});

test('a block that is lost keeps its version without data: damaged for who reads it, until it is written', async (t) => {
  const bench = new StoreBench(1);
  const judge = async (store: FileChunkStore, life: Life): Promise<void> => {
    t.is((await life.readChunk(0, 0, 0)).damaged, 0b10);
    t.deepEqual(
      (await stamps(life, 0)).slice(0, 3),
      [100, 0, 102],
      'what is damaged reads as zeros',
    );
    const facts = store.facts({ ...place, block: 1 });
    t.like(facts, { isLost: true, hasData: false, conditionalVersion: 5 });
    t.is(facts.version.n, 2);
    const { damaged } = await store.scrub(100);
    t.deepEqual(damaged, [{ ...place, block: 1 }]);
  };
  await bench.serve(async (store, life) => {
    await write(life, { blocks: 3, stamp: 100, n: 1 });
    const step = { ...life.blankStep(0), block: 1, n: 2, conditional: 5, stamp: 9 };
    const status = await new Promise((done) => {
      const mutation = mutationOf(step, done);
      store.mutate({ ...mutation, op: StoreOp.lose, crcs: [], data: new Uint8Array(0) });
    });
    t.is(status, StoreStatus.ok);
    await judge(store, life);
  });
  bench.powerCut();
  await bench.serve(async (store, life) => {
    await judge(store, life);
    await write(life, { block: 1, stamp: 300, n: 3 });
    t.is((await life.readChunk(0, 0, 0)).damaged, 0);
    t.false(store.facts({ ...place, block: 1 }).isLost);
  });
});

test('facts are those of the newest epoch up to the place; a conditional version is inherited', async (t) => {
  const bench = new StoreBench(1);
  await bench.serve(async (store, life) => {
    await write(life, { op: MutationOp.writeIf, conditional: 7, n: 4, session: 3, seq: 11 });
    const version = { term: 1 as Term, n: 4 };
    const origin = { session: 3 as Session, seq: 11 };
    const crc = simDigest.crc32(dataOf(1, 1), 0, PAGE);
    const known = { hasData: true, isLost: false, dirty: false, missing: 0 };
    const facts = { version, conditionalVersion: 7, crc, origin, ...known };
    t.deepEqual(store.facts({ ...place, epoch: 2 }), facts);
    await write(life, { epoch: 1, n: 5, dirty: true });
    t.like(store.facts({ ...place, epoch: 1 }), { conditionalVersion: 7, dirty: true });
    t.like(store.facts({ ...place, epoch: 1 }), { version: { term: 1, n: 5 } });
    t.deepEqual(store.facts(place), facts);
    t.is(store.facts({ ...place, block: 1 }).version.n, 0);
  });
});

test('what a member lacks: marked with the write or all at once, until it has arrived', async (t) => {
  const bench = new StoreBench(1);
  const block = (at: number): object => ({ vdisk: 0, epoch: 0, block: at });
  const lacks = (store: FileChunkStore): unknown[] =>
    store
      .missingOf(GMAP, 0, 1, 9)
      .map(({ vdisk, epoch, block: at }) => ({ vdisk, epoch, block: at }));
  await bench.serve(async (store, life) => {
    await write(life, { block: 3, n: 1, missing: 2 });
    await write(life, { block: 20, n: 2 });
    t.deepEqual(lacks(store), [block(3)]);
    t.deepEqual(store.missingOf(GMAP, 0, 0, 9), []);
    // Somebody wrote it again: what has arrived is not what is here.
    await write(life, { block: 3, n: 3, missing: 2 });
    store.arrived(1, { ...place, block: 3, blocks: 1 }, { term: 1 as Term, n: 1 });
    t.deepEqual(lacks(store), [block(3)]);
    store.arrived(1, { ...place, block: 3, blocks: 1 }, { term: 1 as Term, n: 3 });
    t.deepEqual(lacks(store), []);
    await store.markAll(GMAP, 0, 1);
    t.is(lacks(store).length, 2);
    t.is(store.missingOf(GMAP, 0, 1, 1).length, 1);
    await store.setPair(GMAP, 0, noteOf(6, 5));
  });
  bench.powerCut();
  await bench.serve(async (store) => {
    t.is(lacks(store).length, 2, 'durable when it settled');
    t.deepEqual(store.pairNote(GMAP, 0), noteOf(6, 5));
    t.deepEqual(store.pairNote(GMAP, 1), noteOf(0, 0));
  });
});

test('blocks are marked one by one, also those of which nothing is known, and that is durable', async (t) => {
  const bench = new StoreBench(1);
  const lacks = (store: FileChunkStore): number[] =>
    store
      .missingOf(GMAP, 0, 1, 9)
      .map(({ block }) => block)
      .toSorted((one, other) => one - other);
  const marked = [3, 4, 40].map((block) => ({ vdisk: place.vdisk, epoch: place.epoch, block }));
  await bench.serve(async (store, life) => {
    await write(life, { block: 3, n: 1 });
    await store.mark(GMAP, 0, 1, marked);
    t.deepEqual(lacks(store), [3, 4, 40]);
    t.false(store.facts({ ...place, block: 40 }).hasData);
    t.deepEqual(store.missingOf(GMAP, 0, 2, 9), []);
  });
  bench.powerCut();
  await bench.serve(async (store) => {
    t.deepEqual(lacks(store), [3, 4, 40]);
    store.arrived(1, { ...place, block: 40, blocks: 1 }, { term: 0 as Term, n: 0 });
    store.arrived(1, { ...place, block: 3, blocks: 1 }, { term: 1 as Term, n: 1 });
    t.deepEqual(lacks(store), [4]);
  });
});

test('the last number of a term is known of eight terms; in older ones nobody gives any', async (t) => {
  const bench = new StoreBench(1);
  const lastN = (store: FileChunkStore, term: number): number => store.lastN(GMAP, 0, term as Term);
  await bench.serve(async (store, life) => {
    t.is(lastN(store, 1), 0);
    for (let term = 1; term <= 8; term++) await write(life, { term, n: 10 * term });
    await write(life, { term: 3, n: 5 });
    t.deepEqual(
      [1, 3, 8, 9].map((term) => lastN(store, term)),
      [10, 30, 80, 0],
    );
    await write(life, { term: 12, n: 1 });
  });
  bench.powerCut();
  await bench.serve(async (store) => {
    t.deepEqual(
      [1, 2, 12, 13].map((term) => lastN(store, term)),
      [2 ** 48 - 1, 20, 1, 0],
    );
  });
});

test('a store that is new is not intact; a disk that is added later loses nothing', async (t) => {
  const bench = new StoreBench(1, { dataDisks: 1 });
  await bench.serve(async (store, life) => {
    t.false(store.intact);
    t.is(store.incarnation, 1);
    await write(life, { stamp: 5 });
    await store.setPair(GMAP, 0, noteOf(3, 0));
    await store.close();
  });
  const larger = new StoreBench(2, { dataDisks: 2 });
  await copyDisks(bench, larger);
  await larger.serve(async (store, life) => {
    t.true(store.intact, store.losses.join());
    t.is(store.incarnation, 2);
    t.is(store.pairNote(GMAP, 0).lastTerm as number, 3);
    t.is((await stamps(life, 0))[0], 5);
    t.is(store.statistics().freeBytes, 11 * 65_536);
  });
  const smaller = new StoreBench(3, { dataDisks: 1 });
  await copyDisks(larger, smaller);
  await smaller.serve(async (store) => {
    t.false(store.intact);
    t.regex(store.losses.join(), /data-1 is not among the disks any more/);
  });
});

test('a store that closes does what was asked before, and nothing that is asked meanwhile', async (t) => {
  for (let delayUs = 0; delayUs < 400; delayUs += 20) {
    const bench = new StoreBench(1);
    const told = { before: 0, after: 0 };
    await bench.serve(async (store, life) => {
      for (let block = 0; block < 64; block += 8) {
        void write(life, { block, stamp: 5 }).then(() => told.before++);
      }
      await life.sleep(1000 * delayUs);
      let isClosed = false;
      const closed = store.close().then(() => {
        isClosed = true;
      });
      while (!isClosed) {
        void write(life, { stamp: 9, n: 2 }).then(() => told.after++);
        void store.setPair(GMAP, 0, noteOf(3, 0)).then(() => told.after++);
        void life.readChunk(0, 0, 16).then(() => told.after++);
        await life.sleep(10e3);
      }
      await closed;
    });
    t.deepEqual(told, { before: 8, after: 0 }, `closed after ${delayUs} us`);
    await bench.serve(async (_store, life) => {
      t.is((await stamps(life, 0))[0], 5);
    });
  }
});

test('disks of another server are left alone, its log is refused', async (t) => {
  const other = new StoreBench(1, { server: new Uint8Array(16).fill(9) });
  await other.serve(async (store, life) => {
    await write(life, {});
    await store.close();
  });
  const bench = new StoreBench(2);
  await bench.serve(async (store, life) => {
    for (let chunk = 0; chunk < 4; chunk++) await write(life, { block: 16 * chunk });
    await store.close();
  });
  await copyDisks(other, bench, ['data-1']);
  const before = bench.host.disk('data-1').peek('visible', 0, SMALL.dataBytes);
  await bench.serve(async (store, life) => {
    t.false(store.intact);
    t.regex(store.losses.join(), /data-1 is of the server 09090909-.*left alone/);
    const read = await life.readChunk(0, 0, 0);
    t.true(read.status === StoreStatus.ok || read.status === StoreStatus.ioError);
    t.is(await write(life, { block: 33 }), StoreStatus.ok);
  });
  t.deepEqual(bench.host.disk('data-1').peek('visible', 0, SMALL.dataBytes), before);
  await copyDisks(other, bench, ['log']);
  await t.throwsAsync(
    bench.serve(async () => {}),
    { message: /log is of the server 09090909-/ },
  );
});

test('a disk of a later version, or a log of other sizes, is refused and stays as it is', async (t) => {
  for (const name of ['log', 'data-0']) {
    const bench = new StoreBench(1);
    await bench.serve((store) => store.close());
    const disk = bench.host.disk(name);
    const newer = disk.peek('visible', 0, PAGE);
    newer[4] = 2;
    await poke(bench, name, resealed(newer));
    await t.throwsAsync(
      bench.serve(async () => {}),
      {
        message: new RegExp(`${name} of the store: it has version 2, newer than version 1`),
      },
    );
  }
  const bench = new StoreBench(1);
  await bench.serve((store) => store.close());
  const other = new StoreBench(2, { segmentBytes: 20 * PAGE });
  await copyDisks(bench, other);
  await t.throwsAsync(
    other.serve(async () => {}),
    { message: /log was made with segments of/ },
  );
});

/** Durable bytes of disks, as another host's. */
async function copyDisks(
  from: StoreBench,
  to: StoreBench,
  names: readonly string[] = from.host.diskNames(),
): Promise<void> {
  for (const name of names) {
    const { sizeBytes } = from.host.disk(name);
    if (to.host.findDisk(name) !== undefined) to.host.removeDisk(name);
    await poke(to, name, from.host.disk(name).peek('visible', 0, sizeBytes));
  }
}

/** Writes over the beginning of a disk, which is made if it is not there. */
async function poke(bench: StoreBench, name: string, bytes: Uint8Array): Promise<void> {
  const { disks } = bench.sim.toolstackWorld('poke', bench.host);
  const write = async (): Promise<void> => {
    const createBytes = bench.host.findDisk(name)?.sizeBytes ?? bytes.length;
    const disk = await disks.open(name, { writable: true, createBytes });
    await diskCall(disk, 'write', 0, bytes);
    await flushDisk(disk);
    await disk.close();
  };
  let isOver = false;
  const writing = write().finally(() => {
    isOver = true;
  });
  while (!isOver) await bench.sim.run();
  await writing;
}
