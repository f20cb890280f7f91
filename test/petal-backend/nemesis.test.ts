import test from 'ava';
import { EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { becomesClean, differingCopies, strike } from './nemesis.ts';
import { History, randomOf, workload } from './petal-workload.ts';
import { SimPetal } from './sim-petal.ts';

const FIRST = EXTENT_BLOCKS;
const BLOCKS = 64;
const SEEDS = 8;

for (const { servers, copies, voters } of [
  { servers: 4, copies: 2, voters: 0 },
  { servers: 3, copies: 2, voters: 0 },
  { servers: 5, copies: 3, voters: 0 },
  { servers: 4, copies: 2, voters: 3 },
]) {
  test(`${servers} servers, ${copies} copies, ${voters} voters: whatever happens, each block is linearizable, and all is clean again`, async (t) => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const petal = new SimPetal({ seed, servers, copies, voters });
      let story: string[] = [];
      await petal.run(async () => {
        await petal.create();
        const history = new History(petal.world);
        const [one, other] = [await petal.client('h0'), await petal.client('h1')];
        // Few blocks: they are written again before what was sent twice arrives.
        const blocks = seed % 2 === 0 ? 8 : BLOCKS;
        const options = { blocks, operations: 120, lanes: 4 };
        const random = randomOf(seed);
        const working = [
          workload(history, one, FIRST, options, random.fork('one')),
          workload(history, other, FIRST + BLOCKS, options, random.fork('other')),
        ];
        story = await strike(petal, random.fork('nemesis'), 5);
        await Promise.all(working);
        try {
          await becomesClean(petal, 2e9);
        } catch (thrown) {
          throw new Error(`seed ${seed}: ${String(thrown)}\n${story.join('\n')}`);
        }
        for (let block = 0; block < 2 * BLOCKS; block++) {
          const status = await history.read(one, FIRST + block);
          if (status !== PoolStatus.ok) t.fail(`seed ${seed}: block ${block}: ${status}`);
        }
        t.is(history.conflict(), null, `seed ${seed}: ${story.join('; ')}`);
        await petal.world.timers.sleep(50e6);
        t.is(differingCopies(petal), null, `seed ${seed}: ${story.join('; ')}`);
      });
    }
  });
}
