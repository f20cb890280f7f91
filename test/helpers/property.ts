/** Properties over many seeds: a failure names the seed that shows it. */
import { Prng } from '../../src/base/prng.ts';

/** Throws unless `holds`: cheaper than an assertion of ava where there are a million of them. */
export function check(holds: boolean, law: string): void {
  if (!holds) throw new Error(law);
}

/** Runs `property` for seeds 1 to `count`. */
export function forSeeds(
  count: number,
  property: (random: Prng, seed: number) => void,
  first: number = 1,
): void {
  for (let seed = first; seed < first + count; seed++) {
    try {
      property(new Prng(seed, 'test'), seed);
    } catch (thrown) {
      const text = thrown instanceof Error ? thrown.message : String(thrown);
      throw new Error(`seed ${seed}: ${text}`, { cause: thrown });
    }
  }
}
