/** The check of a store that is in use, and of one that its hosts left without a word. */
import test from 'ava';
import { Prng } from '../../../src/base/prng.ts';
import { POOL_DISK } from '../../../src/parallax/disk-names.ts';
import { fsckStore } from '../../../src/parallax/fsck/fsck.ts';
import { BLOCK_BYTES } from '../../../src/world/block-pool.ts';
import { SimDirectory } from '../../../src/world/sim/sim-directory.ts';
import { Simulator } from '../../../src/world/sim/simulator.ts';
import type { World } from '../../../src/world/world.ts';
import { runStory } from '../../helpers/directory-bench.ts';
import { MAKER_RAM_BYTES, STORE, StoreMaker } from './store-maker.ts';

interface Bench {
  readonly simulator: Simulator;
  readonly maker: StoreMaker;
  /** Fails unless the store is clean; gives the blocks that are in use. */
  readonly mustBeClean: () => Promise<number>;
}

function benchOf(seed: number): Bench {
  const simulator = new Simulator({ seed });
  const pool = simulator.addHost('pool', { memoryBytes: BLOCK_BYTES });
  const host = simulator.addHost('h0', { memoryBytes: MAKER_RAM_BYTES, pool });
  const world: World = simulator.toolstackWorld('dom0', host);
  const directory = new SimDirectory(simulator, 'd');
  const place = { store: STORE, directory, diskName: POOL_DISK };
  const mustBeClean = async (): Promise<number> => {
    const { report } = await fsckStore(world, place, { withData: true });
    const wrong = report.findings.filter(({ severity }) => severity !== 'info');
    if (wrong.length > 0) throw new Error(JSON.stringify(wrong.slice(0, 3)));
    return report.totals.dataBlocks;
  };
  return { simulator, maker: new StoreMaker(world, directory), mustBeClean };
}

async function workAtRandom(maker: StoreMaker, random: Prng, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const name = random.pick(['one', 'two']);
    const first = random.below(500);
    const blocks = Array.from({ length: random.between(1, 24) }, (_, i) => first + i);
    await maker.write(name, blocks, random.below(256));
    if (random.chance(0.2)) await maker.snapshot(name, `snapshot of round ${round}`);
    if (random.chance(0.2)) await maker.drain(name);
  }
}

test('a store that is written to, and whose snapshots are taken, is clean at every look', async (t) => {
  for (let seed = 1; seed <= 4; seed++) {
    const { simulator, maker, mustBeClean } = benchOf(seed);
    let looks = 0;
    await runStory(simulator, async () => {
      await maker.create();
      await maker.start();
      await maker.image('one', 700);
      await maker.image('two', 700);
      let over = false;
      const working = workAtRandom(maker, new Prng(seed, 'work'), 40).finally(() => {
        over = true;
      });
      while (!over) {
        await mustBeClean();
        looks++;
      }
      await working;
      await maker.stop();
      t.true((await mustBeClean()) > 0);
    });
    t.true(looks > 3, `seed ${seed}`);
  }
});

test('a store whose host dies without a word again and again is clean after each death', async (t) => {
  for (let seed = 1; seed <= 4; seed++) {
    const { simulator, maker, mustBeClean } = benchOf(seed);
    const random = new Prng(seed, 'deaths');
    await runStory(simulator, async () => {
      await maker.create(8);
      await maker.start();
      await maker.image('one', 700);
      await maker.image('two', 700);
      for (let life = 0; life < 4; life++) {
        await workAtRandom(maker, random, random.between(1, 12));
        await maker.crash();
        t.true((await mustBeClean()) >= 0);
        await maker.start();
      }
      await maker.stop();
      t.true((await mustBeClean()) > 0);
    });
  }
});
