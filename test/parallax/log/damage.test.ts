/** Sentence 7 of the dirty log: bits that flip, groups and files that are gone. */
import test from 'ava';
import {
  decodeGroupHeader,
  encodeGroupHeader,
  GroupHeader,
  MutationKind,
} from '../../../src/parallax/formats/log-group.ts';
import { DirtyLog } from '../../../src/parallax/log/dirty-log.ts';
import type { LogDamage } from '../../../src/parallax/log/recovered-log.ts';
import { recoverLog } from '../../../src/parallax/log/recovery.ts';
import { simDigest } from '../../../src/world/sim/sim-digest.ts';
import type { World } from '../../../src/world/world.ts';
import { fillPayload, LogBench, MIXED } from './log-bench.ts';

const STUCK = { ...MIXED, mutations: 30, publishLag: Number.POSITIVE_INFINITY };

interface Outcome {
  readonly numbers: readonly string[];
  readonly damage: readonly LogDamage[];
  readonly remarks: readonly string[];
  readonly wrong: readonly string[];
}

type Files = ReadonlyMap<string, Uint8Array>;

/** A log that was written and whose driver VM is dead. */
async function written(
  seed: number,
  workload: typeof STUCK,
  lives: number = 1,
): Promise<{ bench: LogBench; files: Files }> {
  const bench = new LogBench(seed);
  for (let life = 0; life < lives; life++) await bench.live(workload);
  const files = new Map<string, Uint8Array>();
  for (const name of bench.host.diskNames()) {
    const disk = bench.host.disk(name);
    files.set(name, disk.peek('visible', 0, disk.sizeBytes));
  }
  return { bench, files };
}

/** Recovers from a copy of the files, and reads back every payload that is found. */
async function recoverFrom(files: Files, start: boolean = false): Promise<Outcome> {
  const bench = new LogBench(1);
  const world = bench.sim.toolstackWorld('dom0', bench.host);
  for (const [name, bytes] of files) {
    const disk = bench.host.addDisk(name, bytes.length);
    await put(world, bench, name, bytes, disk.sizeBytes);
  }
  return recoverOn(bench, world, start);
}

async function put(
  world: World,
  bench: LogBench,
  name: string,
  bytes: Uint8Array,
  sizeBytes: number,
): Promise<void> {
  const done = (async () => {
    const disk = await world.disks.open(name, { writable: true });
    await new Promise((resolve) => {
      const io = { buffer: bytes, bufferOffset: 0, lengthBytes: sizeBytes, position: 0 };
      disk.write({ ...io, diskDone: resolve });
    });
    await disk.close();
  })();
  await bench.sim.run();
  await done;
}

async function recoverOn(bench: LogBench, world: World, start: boolean): Promise<Outcome> {
  const numbers: string[] = [];
  const wrong: string[] = [];
  const told = (async (): Promise<Outcome> => {
    const writes: { name: string; segment: number; offset: number; expected: Uint8Array }[] = [];
    const found = await recoverLog(world, bench.options, (entry) => {
      const { vdi, vdiSeq, segment, offset, sectors } = entry;
      const name = `${vdi}/${vdiSeq}`;
      numbers.push(name);
      if (entry.kind !== MutationKind.write) return;
      const expected = new Uint8Array(sectors * 512);
      fillPayload(expected, vdi, vdiSeq);
      writes.push({ name, segment, offset, expected });
    });
    const log = new DirtyLog(world, bench.options, found, () => {});
    for (const { name, segment, offset, expected } of writes) {
      const status = log.readNow(segment, offset, expected.length, 16_384);
      const same = expected.every((byte, at) => byte === world.memory.u8[16_384 + at]);
      if (status !== 0 || !same) wrong.push(name);
    }
    if (start) {
      await log.start();
      await log.close();
    }
    return { numbers, damage: found.damage, remarks: found.remarks, wrong };
  })();
  await bench.sim.run();
  return told;
}

function flipped(files: Files, name: string, at: number): Files {
  const bytes = (files.get(name) as Uint8Array).slice();
  bytes[at] = (bytes[at] as number) ^ (1 << (at % 8));
  return new Map(files).set(name, bytes);
}

function isPrefix(some: readonly string[], all: readonly string[]): boolean {
  return some.length <= all.length && some.every((one, at) => one === all[at]);
}

test('a bit that flips at every 64th byte of a segment is named, or was never needed', async (t) => {
  const { files } = await written(2, STUCK);
  const all = await recoverFrom(files);
  t.deepEqual(all.damage, []);
  t.is(all.numbers.length, 30);
  const count = { damage: 0, remarked: 0, harmless: 0, tail: 0 };
  const name = 'log-1-1';
  const segment = files.get(name) as Uint8Array;
  const end = segment.findLastIndex((byte) => byte !== 0) + 64;
  for (let at = 0; at < end; at += 64) {
    const outcome = await recoverFrom(flipped(files, name, at));
    const where = `byte ${at}: ${JSON.stringify(outcome.damage)}`;
    t.deepEqual(outcome.wrong, [], where);
    if (!isPrefix(outcome.numbers, all.numbers)) t.fail(`not a prefix, ${where}`);
    const [damage] = outcome.damage;
    if (damage !== undefined) {
      count.damage++;
      const near = damage.file === name && damage.position <= at && at - damage.position < 16_384;
      if (!near || outcome.numbers.length === all.numbers.length) t.fail(where);
    } else if (outcome.remarks.length > 0) count.remarked++;
    else if (outcome.numbers.length === all.numbers.length) count.harmless++;
    else count.tail++;
  }
  t.true(count.damage > 50, JSON.stringify(count));
  t.is(count.remarked, 64, 'all of the segment header, which recovery can do without');
  t.is(count.harmless, 0, 'every byte of a group is under a CRC');
  t.is(count.tail, 0, 'the last groups were durable, says the checkpoint');
});

test('a bit that flips in either checkpoint file loses nothing', async (t) => {
  const { files } = await written(2, { ...MIXED, mutations: 120 });
  const all = await recoverFrom(files);
  for (const name of ['ckpt-1-a', 'ckpt-1-b']) {
    const bytes = files.get(name) as Uint8Array;
    const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
    for (let at = 0; at < end; at += 64) {
      const outcome = await recoverFrom(flipped(files, name, at));
      t.deepEqual(outcome.damage, [], `${name} byte ${at}`);
      t.deepEqual(outcome.wrong, []);
      // The older checkpoint may name a segment more, at the beginning; never one less at the end.
      t.deepEqual(outcome.numbers.slice(-all.numbers.length), all.numbers, `${name} byte ${at}`);
      t.is(outcome.remarks.filter((text) => text.startsWith(name)).length, 1);
    }
  }
});

/** In the n-th life, at some event of it, the newest checkpoint is lost. False: no such event. */
async function loseNewest(life: number, nth: number): Promise<boolean> {
  const bench = new LogBench(nth % 4);
  for (let before = 1; before < life; before++) await bench.live(MIXED);
  bench.sim.armKillAtEvent('d0', nth);
  await bench.live({ ...MIXED, mutations: 200, publishLag: 2 });
  if (bench.sim.armedCount > 0) return false;
  const sides = ['a', 'b'].map((side) => bench.host.findDisk(`ckpt-${life}-${side}`));
  const sequences = sides.map((disk) => disk?.peek('visible', 20, 1)[0] ?? 0);
  const newest = (sequences[0] as number) > (sequences[1] as number) ? sides[0] : sides[1];
  if (Math.min(...sequences) === 0) return true;
  newest?.resize(0);
  newest?.resize(8192);
  // The bench judges what is found, and takes no damage.
  await bench.live(MIXED);
  return true;
}

test('the newest checkpoint is lost at any moment: the older one leads to the same', async (t) => {
  let lost = 0;
  for (const life of [1, 2]) {
    for (let nth = 40; nth <= 300; nth += 3, lost++) {
      const happened = await loseNewest(life, nth).catch((cause: unknown) => {
        throw new Error(`life ${life}, event ${nth}: ${String(cause)}`, { cause });
      });
      if (!happened) break;
    }
  }
  t.true(lost > 100, `${lost}`);
});

test('both checkpoint files gone: everything is damage, nothing is removed, until accepted', async (t) => {
  const { files } = await written(2, STUCK);
  const without = new Map([...files].filter(([name]) => !name.startsWith('ckpt')));
  const outcome = await recoverFrom(without, true);
  t.deepEqual(outcome.numbers, []);
  t.is(outcome.damage.length, 1);
  t.is(outcome.damage[0]?.file, 'log-1-1');
  t.is(outcome.damage[0]?.vdis, null, 'nobody knows whose it was');
});

test('a recovery that died left a blank segment: nothing is lost by it', async (t) => {
  const { bench, files } = await written(2, STUCK);
  const all = await recoverFrom(files);
  const blank = new Uint8Array(bench.options.segmentBytes);
  const checkpoint = new Uint8Array((files.get('ckpt-1-a') as Uint8Array).length);
  const died = new Map(files).set('ckpt-5-a', checkpoint).set('ckpt-5-b', checkpoint);
  const outcome = await recoverFrom(new Map(died).set('log-5-1', blank), true);
  t.deepEqual(outcome, all);
  const last = blank.length - 1;
  const touched = await recoverFrom(flipped(new Map(died).set('log-5-1', blank), 'log-5-1', last));
  t.is(touched.damage.length, 1, 'a byte is in it, and no checkpoint says whose');
  t.is(touched.damage[0]?.file, 'log-5-1');
});

test('a group header that is zeroed is damage and named, also that of the last durable group', async (t) => {
  const { files } = await written(5, STUCK);
  const all = await recoverFrom(files);
  const bytes = (files.get('log-1-1') as Uint8Array).slice();
  const view = new DataView(bytes.buffer);
  const positions: number[] = [];
  for (
    let at = 4096;
    view.getUint32(at, true) === 0x47584c50;
    at += view.getUint32(at + 32, true)
  ) {
    positions.push(at);
  }
  for (const [index, at] of positions.entries()) {
    const copy = bytes.slice();
    copy.fill(0, at, at + 4096);
    const outcome = await recoverFrom(new Map(files).set('log-1-1', copy));
    t.true(isPrefix(outcome.numbers, all.numbers));
    t.deepEqual(outcome.wrong, []);
    t.is(outcome.damage[0]?.position, at, `group ${index}`);
    t.is(outcome.damage[0]?.firstGroupSeq, index + 1);
    t.is(outcome.damage[0]?.vdis, null, 'what was in it cannot be told');
  }
});

/** The files with a copy of the last group behind the tail, its header changed and whole. */
function withForgedGroup(files: Files, change: (header: GroupHeader) => void): Files {
  const bytes = (files.get('log-1-1') as Uint8Array).slice();
  const view = new DataView(bytes.buffer);
  const header = new GroupHeader();
  let last = 0;
  let at = 4096;
  while (decodeGroupHeader(bytes, view, at, header, simDigest) === null) {
    last = at;
    at += header.groupBytes;
  }
  decodeGroupHeader(bytes, view, last, header, simDigest);
  bytes.copyWithin(at, last, at);
  header.groupSeq++;
  change(header);
  encodeGroupHeader(bytes, view, at, header, simDigest);
  return new Map(files).set('log-1-1', bytes);
}

test('old bytes behind the tail that look like a group are not taken for one', async (t) => {
  const { files } = await written(5, { ...STUCK, mutations: 6 });
  const all = await recoverFrom(files);
  t.is(all.numbers.length, 6);
  const asIf = await recoverFrom(withForgedGroup(files, () => {}));
  t.true(asIf.numbers.length > 6, 'one that differs in nothing is taken: the others are not');
  const forgeries: ((header: GroupHeader) => void)[] = [
    (header) => header.serial--,
    (header) => header.salt++,
    (header) => header.incarnation++,
    (header) => header.groupSeq++,
    (header) => header.groupSeq--,
  ];
  for (const [index, change] of forgeries.entries()) {
    const outcome = await recoverFrom(withForgedGroup(files, change));
    t.deepEqual(outcome.numbers, all.numbers, `forgery ${index}`);
    t.deepEqual(outcome.damage, [], `forgery ${index}`);
  }
});

test('a segment that is deleted is damage; all files deleted is an empty log', async (t) => {
  const { files } = await written(2, { ...STUCK, mutations: 60 });
  const all = await recoverFrom(files);
  const segments = [...files.keys()].filter((name) => name.startsWith('log-'));
  t.true(segments.length >= 3);
  for (const name of segments) {
    const without = new Map(files);
    without.delete(name);
    const outcome = await recoverFrom(without);
    t.true(isPrefix(outcome.numbers, all.numbers));
    t.deepEqual(outcome.wrong, []);
    t.is(outcome.damage.length, 1, name);
  }
  const none = await recoverFrom(new Map());
  t.deepEqual(none, { numbers: [], damage: [], remarks: [], wrong: [] });
});

test('damage is reported by every recovery until it is accepted, and then its files go', async (t) => {
  const { files } = await written(2, STUCK, 2);
  const broken = flipped(files, 'log-1-1', 12_288 + 100);
  const bench = new LogBench(1);
  const world = bench.sim.toolstackWorld('dom0', bench.host);
  for (const [name, bytes] of broken) {
    bench.host.addDisk(name, bytes.length);
    await put(world, bench, name, bytes, bytes.length);
  }
  const first = await recoverOn(bench, world, true);
  t.is(first.damage.length, 2, 'the damaged chain, and the one behind it');
  t.deepEqual(first.damage[1]?.vdis, [1, 2, 3]);
  const second = await recoverOn(bench, world, true);
  t.deepEqual(second.numbers, first.numbers);
  t.deepEqual(
    second.damage.map(({ file, firstGroupSeq, lastGroupSeq, vdis }) => {
      return { file, firstGroupSeq, lastGroupSeq, vdis };
    }),
    first.damage.map(({ file, firstGroupSeq, lastGroupSeq, vdis }) => {
      return { file, firstGroupSeq, lastGroupSeq, vdis };
    }),
  );
  const accepted = (async () => {
    const found = await recoverLog(world, bench.options, () => {});
    const log = new DirtyLog(world, bench.options, found, () => {});
    await log.start();
    log.acceptDamage();
    await log.checkpoint();
    await log.checkpoint();
    await log.close();
  })();
  await bench.sim.run();
  await accepted;
  const third = await recoverOn(bench, world, true);
  t.deepEqual(third.damage, []);
  t.deepEqual(third.numbers, first.numbers);
  t.false(bench.host.diskNames().includes('log-2-1'), 'what nobody needs is removed');
});
