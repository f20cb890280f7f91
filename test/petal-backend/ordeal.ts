/** One run of the nemesis: clients work, everything happens, then all heals; and a verdict. */
import { EXTENT_BLOCKS, PoolStatus } from '../../src/world/block-pool.ts';
import { becomesClean, becomesQuiet, differingCopies, strike } from './nemesis.ts';
import { History, randomOf, workload } from './petal-workload.ts';
import { SimPetal, type SimPetalOptions } from './sim-petal.ts';

const FIRST = EXTENT_BLOCKS;
const BLOCKS = 64;
const TROUBLES = 5;

/** What was wrong, with the seed and the story; null: nothing. */
export async function ordeal(options: SimPetalOptions): Promise<string | null> {
  const { seed } = options;
  const petal = new SimPetal(options);
  let story: string[] = [];
  const told = (what: string): string => `seed ${seed}: ${what}: ${story.join('; ')}`;
  let verdict: string | null = null;
  try {
    await petal.run(async () => {
      await petal.create();
      const history = new History(petal.world);
      const [one, other] = [await petal.client('h0'), await petal.client('h1')];
      // Few blocks: they are written again before what was sent twice arrives.
      const blocks = seed % 2 === 0 ? 8 : BLOCKS;
      const work = { blocks, operations: 120, lanes: 4 };
      const random = randomOf(seed);
      const working = [
        workload(history, one, FIRST, work, random.fork('one')),
        workload(history, other, FIRST + BLOCKS, work, random.fork('other')),
      ];
      story = await strike(petal, random.fork('nemesis'), TROUBLES);
      await Promise.all(working);
      await becomesClean(petal, 2e9);
      for (let block = 0; block < 2 * BLOCKS; block++) {
        const status = await history.read(one, FIRST + block);
        if (status !== PoolStatus.ok) verdict ??= told(`block ${block}: ${status}`);
      }
      verdict ??= history.conflict();
      await petal.world.timers.sleep(50e6);
      if (petal.broken === null) await becomesQuiet(petal, 2e9);
      verdict ??= differingCopies(petal);
    });
  } catch (thrown) {
    return told(String(thrown));
  }
  return verdict === null ? null : told(verdict);
}
