/** Rot and loss: it is noticed and named, one copy of a page is enough, no data are ever wrong. */
import test from 'ava';
import { dataGeometry, SUPERBLOCK_COPIES } from '../../../src/petal-backend/store/store-options.ts';
import type { SimDisk } from '../../../src/world/sim/sim-disk.ts';
import { type Life, LOOK_ONLY, MIXED, SMALL, StoreBench } from './store-bench.ts';
import { GMAP } from './store-model.ts';

const PAGE = 4096;
const STRIDE = 64;
const DATA = dataGeometry(SMALL.dataBytes);
const LOG_SEGMENTS_AT = 4 * PAGE;
const BUSY = { ...MIXED, steps: 50, trims: 0.1 };

/** Flips a bit of byte `offset` of each page in the range that has any data. */
function rotPages(disk: SimDisk, from: number, to: number, offset: number): number {
  let flipped = 0;
  for (let at = from; at < to; at += PAGE) if (disk.rot(at + offset, 1) !== null) flipped++;
  return flipped;
}

/** A store that ended well, and a life that looks at it after `spoil`. */
async function lookAfter(
  spoil: (bench: StoreBench) => void,
  prepare: (life: Life) => void = () => {},
): Promise<{ life: Life; bench: StoreBench }> {
  const bench = new StoreBench(5);
  await bench.live({ ...BUSY, close: true });
  spoil(bench);
  return { life: await bench.live(LOOK_ONLY, prepare), bench };
}

test('a bit flips at each 64th byte of all blocks of data: the block is damaged, no other', async (t) => {
  let damaged = 0;
  for (let offset = 0; offset < PAGE; offset += STRIDE) {
    const every = offset % 128 === 0 ? 1 : 3;
    let step = 0;
    const { life, bench } = await lookAfter(
      ({ host }) => {
        for (let at = DATA.slotsAt; at < SMALL.dataBytes; at += PAGE * every) {
          host.disk(step++ % 2 === 0 ? 'data-0' : 'data-1').rot(at + offset, 1);
        }
      },
      (one) => {
        one.judges = false;
        one.mayBeDamaged = true;
      },
    );
    t.true(life.store?.intact, 'rot of data is no loss of what is known');
    const { handle, life: scrubbed } = bench.spawn(LOOK_ONLY, (one) => {
      one.judges = false;
    });
    await bench.sim.run();
    const own = scrubbed() as Life;
    const promise = own.found();
    await bench.sim.run();
    const found = await promise;
    const model = bench.ledger.model();
    const bad = new Set<string>();
    for (const [key, { stamp }] of found.seen) {
      const [vdisk, , epoch, block] = key.split('/').map(Number) as [
        number,
        number,
        number,
        number,
      ];
      const want = model.seen(vdisk, vdisk, epoch, block);
      if (stamp !== -1) t.is(stamp, want?.stamp ?? 0, key);
      else if (model.blocks.has(key)) bad.add(key);
    }
    const scrub = own.store?.scrub(1e6);
    await bench.sim.run();
    const named = (await scrub)?.damaged.map(
      (one) => `${one.group}/${one.vdisk}/${one.epoch}/${one.block}`,
    );
    t.deepEqual(named?.sort(), [...bad].sort(), 'a scrub names them all');
    damaged += bad.size;
    handle.kill();
    await bench.sim.run();
  }
  t.true(damaged > 500, `${damaged}`);
});

test('a bit flips at each 64th byte of one copy of all pages: nothing is lost', async (t) => {
  for (let offset = 0; offset < PAGE; offset += STRIDE) {
    for (const side of [0, 1] as const) {
      let flipped = 0;
      const { life, bench } = await lookAfter(({ host }) => {
        for (const name of ['data-0', 'data-1']) {
          const disk = host.disk(name);
          const at = DATA.copies[side];
          flipped += rotPages(disk, at, at + DATA.pages * PAGE, offset);
          const superblock = SUPERBLOCK_COPIES[side];
          flipped += rotPages(disk, superblock, superblock + PAGE, offset);
        }
        const log = host.disk('log');
        flipped += rotPages(log, side * PAGE, (side + 1) * PAGE, offset);
        flipped += rotPages(log, (2 + side) * PAGE, (3 + side) * PAGE, offset);
        // Nothing in the log is needed after a good end.
        flipped += rotPages(log, LOG_SEGMENTS_AT, SMALL.logBytes, offset);
      });
      t.true(life.store?.intact === true && flipped > 10, `${flipped}`);
      // Both copies are whole again.
      for (const other of [0, 1] as const) {
        rotPages(bench.host.disk('data-0'), DATA.copies[other], DATA.copies[other] + PAGE, offset);
        t.true((await bench.live(LOOK_ONLY)).store?.intact, `${offset}, ${side}, ${other}`);
      }
    }
  }
});

test('a bit flips at each 64th byte of both copies: the page is named, nothing is believed', async (t) => {
  for (let offset = 0; offset < PAGE; offset += STRIDE) {
    for (const what of ['chunks', 'pairs', 'superblock'] as const) {
      const places = { chunks: DATA.copies, pairs: [2 * PAGE, 3 * PAGE], superblock: [0, PAGE] };
      const name = what === 'pairs' ? 'log' : 'data-0';
      const { life, bench } = await lookAfter(
        ({ host }) => {
          for (const at of places[what]) host.disk(name).rot(at + offset, 1);
        },
        (one) => {
          one.judges = false;
        },
      );
      t.false(life.store?.intact, `${what} ${offset}`);
      t.true(life.store?.losses.some((loss) => loss.startsWith(name)));
      t.deepEqual(life.store?.pairNote(GMAP, 0), { lastTerm: 0, markedSince: [0, 0, 0] } as never);
      const next = await bench.live(LOOK_ONLY, (one) => {
        one.judges = false;
      });
      t.true(next.store?.intact, 'what is left is whole');
      t.is(next.store?.pairNote(GMAP, 1).lastTerm as number, 0, 'and is not taken for all');
    }
  }
});

test('bits flip all over a log that is needed: it is named, or was the very end', async (t) => {
  const small = { ...MIXED, steps: 14, trims: 0.2 };
  // Nothing comes into its place.
  const options = { applyDelayNs: 3_600_000_000_000 };
  const before = async (): Promise<StoreBench> => {
    const bench = new StoreBench(9, options);
    await bench.live({ ...LOOK_ONLY, close: true });
    const { handle, life } = bench.spawn(small);
    await bench.sim.run({ until: () => life()?.done === true && life()?.open === 0 });
    handle.kill();
    await bench.sim.run();
    return bench;
  };
  const sample = await before();
  const log = sample.host.disk('log');
  const pages: number[] = [];
  const lastGroup = { groupSeq: 0, from: 0, to: 0 };
  for (let at = LOG_SEGMENTS_AT; at < SMALL.logBytes; at += PAGE) {
    const page = log.peek('visible', at, PAGE);
    if (page.every((byte) => byte === 0)) continue;
    pages.push(at);
    if (String.fromCharCode(...page.subarray(0, 4)) !== 'PTIG') continue;
    const view = new DataView(page.buffer);
    const groupSeq = view.getUint32(32, true);
    if (groupSeq < lastGroup.groupSeq) continue;
    const to = at + (1 + view.getUint32(44, true)) * PAGE;
    Object.assign(lastGroup, { groupSeq, from: at, to });
  }
  const told = { named: 0, end: 0, unharmed: 0 };
  for (const [i, at] of pages.entries()) {
    const isEnd = at >= lastGroup.from && at < lastGroup.to;
    // Each 64th byte of every page of entries; of pages of data, which have one sum, some.
    for (let offset = (i % 4) * STRIDE; offset < PAGE; offset += 4 * STRIDE) {
      const bench = await before();
      bench.host.disk('log').rot(at + offset, 1);
      if (isEnd) for (const step of bench.ledger.steps) step.status = 'waits';
      const count = bench.ledger.steps.length;
      const life = await bench.live(LOOK_ONLY, (one) => {
        one.mayBeLost = true;
      });
      const isNamed = life.store?.losses.some((loss) => loss.startsWith('log')) === true;
      if (isNamed) told.named++;
      else if (bench.ledger.steps.length < count) told.end++;
      else told.unharmed++;
      t.true(isNamed || life.store?.intact, `${at + offset}`);
    }
  }
  t.log(JSON.stringify(told));
  t.true(told.named > 100 && told.end > 0, JSON.stringify(told));
});

test('sectors that cannot be read: named, read around, or an error; never wrong', async (t) => {
  let damaged = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const bench = new StoreBench(seed);
    await bench.live({ ...BUSY, close: true });
    const name = ['data-0', 'data-1', 'log'][seed % 3] as string;
    bench.host.disk(name).strikeLatent(seed < 14 ? 10 : 200);
    const life = await bench.live({ ...BUSY, steps: 60 }, (one) => {
      one.judges = false;
      one.mayBeDamaged = true;
    });
    damaged += life.damagedReads;
    t.true(life.store !== null && life.open === 0);
  }
  t.true(damaged > 0, `${damaged}`);
});

test('a disk that is lost: nothing is believed, now or after the next start', async (t) => {
  for (const name of ['log', 'data-0', 'data-1']) {
    for (const dies of [false, true]) {
      const bench = new StoreBench(3);
      await bench.live({ ...BUSY, close: true });
      bench.host.removeDisk(name);
      const { incarnation } = bench.ledger;
      const notJudged = (one: Life): void => {
        one.judges = false;
        one.mayBeDamaged = true;
      };
      for (let nth = 2; dies && nth < 60; nth += 3) {
        // Whatever a start that dies leaves, the next one knows that something was lost.
        bench.sim.armKillAtEvent('p0', nth, bench.powerCut);
        while (bench.sim.armedCount > 0) await bench.live(LOOK_ONLY, notJudged);
      }
      const life = await bench.live(LOOK_ONLY, notJudged);
      if (!dies) t.false(life.store?.intact, name);
      if (!dies) t.true(life.store?.losses.some((loss) => loss.startsWith(name)));
      t.true((life.store?.incarnation ?? 0) > incarnation);
      t.is(life.store?.pairNote(GMAP, 0).lastTerm as number, 0);
      const next = await bench.live(LOOK_ONLY, notJudged);
      t.true(next.store?.intact);
      t.is(next.store?.pairNote(GMAP, 0).lastTerm as number, 0);
    }
  }
});
