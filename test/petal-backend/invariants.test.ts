/** Each law of the pool is broken on purpose, to see that it is seen. */
import test from 'ava';
import { invariant } from '../../src/base/invariant.ts';
import { BrokenLaw, type PetalLaw } from '../../src/experiments/checkers/petal-law.ts';
import { gmapKey, pairKey } from '../../src/petal-backend/directory/keys.ts';
import {
  encodeRecord,
  type PairRecord,
  pairKind,
} from '../../src/petal-backend/directory/records.ts';
import type { PetalBug } from '../../src/petal-backend/server/ports.ts';
import { FileChunkStore } from '../../src/petal-backend/store/file-chunk-store.ts';
import { recoverStore } from '../../src/petal-backend/store/store-recovery.ts';
import { EXTENT_BLOCKS } from '../../src/world/block-pool.ts';
import type { MemoryDisk } from './memory-store.ts';
import { ordeal } from './ordeal.ts';
import { History } from './petal-workload.ts';
import { GMAP, POOL, SimPetal, STORE } from './sim-petal.ts';

/** A block of group 0: its copies are at s1, the first primary, and s2. */
const BLOCK = EXTENT_BLOCKS;

/** Writes a block everywhere; then lets the harm be done, and gives the law that it breaks. */
async function brokenBy(
  harm: (petal: SimPetal, history: History) => Promise<void>,
): Promise<BrokenLaw | null> {
  const petal = new SimPetal({ seed: 1, servers: 4, goesOnWhenBroken: true });
  await petal
    .run(async () => {
      await petal.create();
      const history = new History(petal.world);
      await history.write(await petal.client('h0'), BLOCK);
      await petal.world.timers.sleep(20e6);
      if (petal.broken !== null) throw petal.broken.law;
      await harm(petal, history);
      await petal.world.timers.sleep(30e6);
    })
    .catch((thrown: unknown) => {
      // Servers may see it too, afterwards.
      if (petal.broken === null) throw thrown;
    });
  return petal.broken?.law ?? null;
}

type Stored = MemoryDisk['blocks'] extends Map<string, infer B> ? B : never;

/** What s2 has stored of the block becomes something else. */
function changed(petal: SimPetal, change: Partial<Stored> | null): void {
  const { blocks } = petal.disks.get(2) as MemoryDisk;
  for (const [key, block] of blocks) {
    if (block.block !== BLOCK) continue;
    if (change === null) blocks.delete(key);
    else blocks.set(key, { ...block, ...change });
  }
}

async function recordBecomes(petal: SimPetal, change: Partial<PairRecord>): Promise<void> {
  const value = encodeRecord(petal.world.digest, pairKind, {
    ...(await petal.record(0)),
    ...change,
  });
  await petal.directory.txn([], [{ key: pairKey(POOL, GMAP, 0), value }]);
}

const HARMS: Partial<Record<PetalLaw, (petal: SimPetal, history: History) => Promise<void>>> = {
  I1: async (petal) => changed(petal, null),
  I2: async (petal) => {
    await recordBecomes(petal, { term: 2 as never });
    await recordBecomes(petal, { term: 1 as never });
  },
  I3: (petal) => recordBecomes(petal, { term: 2 as never, inSync: [] }),
  I4: async (petal) => changed(petal, { crc: 7 }),
  I5: async (petal, history) => {
    await petal.kill(1);
    await history.write(await petal.client('h1'), BLOCK);
    changed(petal, { missing: 0 });
  },
  I6: async (petal) => {
    const key = gmapKey(POOL, GMAP);
    const value = (await petal.directory.get(key))?.value ?? new Uint8Array(1);
    value[20] = 99;
    await petal.directory.txn([], [{ key, value }]);
  },
  I10: async (petal) => {
    await petal.kill(1);
    await petal.world.timers.sleep(100e6);
    petal.invariants?.checkClean();
  },
  I12: async (petal) => {
    petal.invariants?.clientStarted({
      checkInvariants: () => invariant(false, 'what was asked is answered or under way'),
    });
  },
};

for (const [law, harm] of Object.entries(HARMS)) {
  test(`law ${law}: the harm that breaks it is seen`, async (t) => {
    const broken = await brokenBy(harm).catch((thrown: unknown) => thrown);
    t.true(broken instanceof BrokenLaw, String(broken));
    t.is((broken as BrokenLaw).law, law as PetalLaw);
  });
}

/** A server answers a reader by term 1, and shows a block with this sum. */
function answersReader({ invariants }: SimPetal, server: number, sum: number): void {
  const pair = { gmap: GMAP, group: 0, term: 1 as never };
  const place = { vdisk: 1, epoch: 1 as never, block: BLOCK, blocks: 1 };
  const route = { session: 1 as never, fence: 1 as never, mapVersion: 1 as never };
  const read = { kind: 'read', id: 900, conditional: false, ...pair, ...place, ...route } as const;
  invariants?.arrived(server, 'h0.1', read);
  const reply = { kind: 'reply', id: 900, status: 0, term: pair.term, crcs: [sum] } as const;
  invariants?.sent(server, 'h0.1', { ...reply, primary: 1, queue: 0, version: 0 });
}

test('law I13: a server that is not in sync answers a reader', async (t) => {
  const broken = await brokenBy(async (petal) => answersReader(petal, 3, 0));
  t.is(broken?.law, 'I13');
});

test('law written: a server shows what nobody has written there', async (t) => {
  const broken = await brokenBy(async (petal) => answersReader(petal, 1, 7));
  t.is(broken?.law, 'written');
  t.is(await brokenBy(async (petal) => answersReader(petal, 1, 0)), null, 'zeros are of nobody');
});

test('law I2: a server makes a copy for whoever was the primary in an earlier term', async (t) => {
  const broken = await brokenBy(async (petal) => {
    await recordBecomes(petal, { term: 2 as never });
    await petal.world.timers.sleep(50e6);
    const pair = { gmap: GMAP, group: 0, term: 1 as never };
    const place = { vdisk: 1, epoch: 1 as never, blocks: [] };
    petal.invariants?.arrived(2, 's1', { kind: 'repair', id: 900, ...pair, ...place });
  });
  t.is(broken?.law, 'I2');
});

test('law I7: a slot that nobody has and that is not free is seen', async (t) => {
  const { world, simulator } = new SimPetal({ seed: 1, servers: 2 });
  await (async () => {
    const opening = (async () => {
      const options = { ...STORE, server: new Uint8Array(16).fill(1) };
      // The first time it is new; what is new is not believed complete.
      await recoverStore(world, options, 0);
      const recovered = await recoverStore(world, options, 0);
      const store = new FileChunkStore(world, options, recovered);
      t.notThrows(() => store.checkInvariants(true));
      recovered.slots.take(0);
      t.throws(() => store.checkInvariants(true), { message: /not free/ });
    })();
    await simulator.run();
    await opening;
  })();
});

/** The law that sees a planted bug first in the nemesis. */
const LAW_OF_BUG: Partial<Record<PetalBug, PetalLaw>> = {
  'early-ack': 'I9',
  'early-clean': 'I4',
  'no-marks': 'I5',
  'late-change': 'I9',
  'no-hold': 'I9',
  'no-origin': 'once',
};
const SEEDS_MAX = 20;

for (const [plantedBug, law] of Object.entries(LAW_OF_BUG)) {
  test(`the planted bug ${plantedBug}: within ${SEEDS_MAX} seeds of the nemesis law ${law} is broken`, async (t) => {
    const laws: string[] = [];
    const isFound = (): boolean => laws.some((found) => found.includes(`${law},`));
    for (let seed = 1; seed <= SEEDS_MAX && !isFound(); seed++) {
      const bug = plantedBug as PetalBug;
      laws.push((await ordeal({ seed, servers: 4, copies: 2, plantedBug: bug })) ?? '');
    }
    t.true(isFound(), laws.join());
  });
}
