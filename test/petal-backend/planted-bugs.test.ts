/**
 * Mistakes that are planted in servers and stores, each caught: by the nemesis at a fixed seed, or
 * by the story that the mistake spoils. The same seeds and stories without it hold.
 * `scenarios.test.ts` and `damage.test.ts` have the others, beside what they would break.
 */
import test from 'ava';
import { PETAL_BUGS, type PetalBug } from '../../src/petal-backend/server/ports.ts';
import type { StoreBug } from '../../src/petal-backend/store/store-options.ts';
import type { Frame } from '../../src/petal-backend/wire/messages.ts';
import { EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { becomesClean, differingCopies } from './nemesis.ts';
import { ordeal } from './ordeal.ts';
import { History } from './petal-workload.ts';
import { SimPetal } from './sim-petal.ts';

/** A block of group 0 of four servers: its copies are at s1, the first primary, and s2. */
const BLOCK = EXTENT_BLOCKS;
const POOL = { servers: 4, copies: 2 };

/** Seed of a nemesis that shows it. */
const SEED_OF_BUG = {
  'early-ack': 1,
  'no-marks': 4,
  'early-clean': 1,
  'late-change': 1,
} as const satisfies Partial<Record<PetalBug, number>>;

for (const [bug, seed] of Object.entries(SEED_OF_BUG)) {
  test(`the planted bug ${bug}: the nemesis finds it with seed ${seed}`, async (t) => {
    t.is(await ordeal({ ...POOL, seed }), null);
    t.regex((await ordeal({ ...POOL, seed, plantedBug: bug as PetalBug })) ?? '', /seed/);
  });
}

type Story = (petal: SimPetal, history: History) => Promise<void>;

/** What is wrong with a run of the story; null: nothing. */
async function verdictOf(
  story: Story,
  options: { plantedBug?: PetalBug; storeBug?: StoreBug; onDisks?: boolean; seed?: number },
): Promise<string | null> {
  const petal = new SimPetal({ seed: 1, ...POOL, ...options });
  const history = new History(petal.world);
  try {
    await petal.run(async () => {
      await petal.create();
      await petal.world.timers.sleep(10e6);
      await story(petal, history);
    });
  } catch (thrown) {
    return String(thrown);
  }
  return history.conflict() ?? differingCopies(petal);
}

/** A write that comes a second time, after a later one. */
async function comesTwice(petal: SimPetal, history: History): Promise<void> {
  const client = await petal.client('h0');
  let first: Frame | null = null;
  petal.net.spy((_from, to, frame) => {
    // The last try: the first one did not know the term yet.
    if (to === 's1' && frame.message.kind === 'write') first = frame;
  });
  await history.write(client, BLOCK);
  petal.net.spy(null);
  // What happens at one moment has no order for the judge.
  await petal.world.timers.sleep(1e6);
  await history.write(client, BLOCK);
  if (first === null) throw new Error('a write was sent');
  petal.net.inject(`h0.${petal.lastSession}`, 's1', first);
  await petal.world.timers.sleep(5e6);
  for (let i = 0; i < 4; i++) await history.read(client, BLOCK);
}

/**
 * The primary dies with a write that nobody else has. Its client gives up, or makes it elsewhere,
 * and then the block is written again.
 */
function diesAlone(isWrittenAgain: boolean): Story {
  return async (petal, history) => {
    const client = await petal.client('h0', { giveUpNs: isWrittenAgain ? 60e9 : 30e6 });
    const other = await petal.client('h1');
    await history.write(client, BLOCK);
    await petal.world.timers.sleep(20e6);
    petal.simulator.link('s2/petal').toActor.cut();
    const writing = history.write(client, BLOCK);
    await petal.world.timers.sleep(2e6);
    await petal.kill(1);
    if (!isWrittenAgain) petal.cutBetween('h0.1', 's2');
    petal.simulator.link('s2/petal').toActor.heal();
    await writing;
    await petal.world.timers.sleep(200e6);
    if (isWrittenAgain) await history.write(other, BLOCK);
    else await history.read(other, BLOCK);
    petal.start(1);
    await becomesClean(petal, 1e9);
    await history.read(other, BLOCK);
    await petal.kill(2);
    await history.read(other, BLOCK);
  };
}

/** Acknowledged writes, then the power of all is cut. */
async function losesPower(petal: SimPetal, history: History): Promise<void> {
  const client = await petal.client('h0');
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 16; i++) await history.write(client, BLOCK + i);
    await Promise.all(petal.map.servers.map((server) => petal.powerCut(server)));
    for (const server of petal.map.servers) petal.start(server);
    await becomesClean(petal, 2e9);
    for (let i = 0; i < 16; i++) await history.read(client, BLOCK + i);
  }
}

/** Who goes on alone is restarted before the other one is back. */
async function restartsAlone(petal: SimPetal, history: History): Promise<void> {
  const client = await petal.client('h0');
  for (let i = 0; i < 16; i++) await history.write(client, BLOCK + i);
  // The disks say that nothing of it is dirty any more: what is would be sent again anyway.
  for (let i = 0; i < 4; i++) {
    await petal.world.timers.sleep(50e6);
    await history.write(client, BLOCK + 64);
  }
  await petal.kill(1);
  for (let i = 0; i < 16; i++) await history.write(client, BLOCK + i);
  await petal.kill(2);
  petal.start(2);
  await petal.world.timers.sleep(200e6);
  petal.start(1);
  await becomesClean(petal, 2e9);
  await petal.kill(2);
  for (let i = 0; i < 16; i++) {
    if ((await history.read(client, BLOCK + i)) !== PoolStatus.ok) throw new Error('not read');
  }
}

const STORIES: Readonly<Partial<Record<PetalBug, Story>>> = {
  'no-origin': comesTwice,
  'keeps-dirty': diesAlone(false),
  'primary-wins': diesAlone(true),
};

for (const [bug, story] of Object.entries(STORIES)) {
  test(`the planted bug ${bug}: its story shows it`, async (t) => {
    t.is(await verdictOf(story, {}), null);
    t.not(await verdictOf(story, { plantedBug: bug as PetalBug }), null);
  });
}

const STORE_STORIES: Readonly<Record<StoreBug, Story>> = {
  'no-flush': losesPower,
  'volatile-marks': restartsAlone,
};

for (const [bug, story] of Object.entries(STORE_STORIES)) {
  test(`the bug ${bug}, planted in the stores: its story shows it`, async (t) => {
    t.is(await verdictOf(story, { onDisks: true }), null);
    t.not(await verdictOf(story, { onDisks: true, storeBug: bug as StoreBug }), null);
  });
}

test('every bug that can be planted in a server is caught somewhere', (t) => {
  const elsewhere = ['no-term-check', 'late-lease', 'no-hold', 'no-crc'];
  const here = [...Object.keys(SEED_OF_BUG), ...Object.keys(STORIES)];
  t.deepEqual([...here, ...elsewhere].sort(), [...PETAL_BUGS].sort());
});
