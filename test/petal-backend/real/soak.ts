/**
 * Rounds of trouble for pools of threads and of processes: `npm run soak:petal [ROUNDS [SEED]]`.
 * Ends with 1 if anything that was acknowledged was lost, or a pool does not get in sync again.
 */
import { ProcessPool, type RealPool } from './real-pool.ts';
import { playRounds, type Trouble } from './rounds.ts';
import { ThreadPool } from './thread-pool.ts';

const SERVERS = 4;
const COPIES = 2;
const [rounds = 20, seed = 1] = process.argv.slice(2).map(Number);
const POOLS: Readonly<Record<string, () => Promise<RealPool>>> = {
  threads: () => ThreadPool.open(SERVERS, COPIES),
  processes: () => ProcessPool.open(SERVERS, COPIES),
};

for (const [name, open] of Object.entries(POOLS)) {
  for (const trouble of ['kill', 'pause'] as const) {
    const pool = await open();
    const troubles = Array.from({ length: rounds }, (): Trouble => trouble);
    const onRound = (text: string): void => void process.stdout.write(`${text}\n`);
    try {
      const verdict = await playRounds(pool, { troubles, seed, readsEveryCopy: true, onRound });
      const { problem, operations, conditionalWrites } = verdict;
      const counted = `${operations} operations, ${conditionalWrites} conditional writes`;
      process.stdout.write(
        `${problem === null ? '✔' : '✘'} ${name}, ${trouble}, seed ${seed}: ${counted}` +
          `${problem === null ? '' : `: ${problem}`}\n`,
      );
      if (problem !== null) process.exitCode = 1;
    } finally {
      await pool.close();
    }
  }
}
