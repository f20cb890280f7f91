/**
 * Rounds of trouble for a real pool under load: a server is killed and started again, or stands
 * still for a while, at a moment that a seed draws; then all must be in sync again. All that
 * clients were told, in all rounds, is judged as one history.
 */
import { setTimeout as sleepMs } from 'node:timers/promises';
import { becomesClean } from '../../../bench/petal-rig.ts';
import { Prng } from '../../../src/base/prng.ts';
import { EXTENT_BLOCKS, PoolStatus } from '../../../src/world/block-pool.ts';
import { History } from '../petal-workload.ts';
import { Conditionals } from './conditionals.ts';
import type { OpenClient, RealPool } from './real-pool.ts';

export type Trouble = 'kill' | 'pause';

export interface Rounds {
  readonly troubles: readonly Trouble[];
  readonly seed: number;
  /** At the end all is read once more without each server in turn, so that both copies are seen. */
  readonly readsEveryCopy: boolean;
  /** Told after each round. */
  readonly onRound: (text: string) => void;
}

export interface Verdict {
  /** Null: all that was told can be true. */
  readonly problem: string | null;
  readonly operations: number;
  readonly conditionalWrites: number;
}

const CLIENTS = 2;
const LANES = 4;
const BLOCKS = 48;
const CONDITIONAL_BLOCKS = 4;
const CLEAN_MS = 30_000;
const LOAD_BEFORE_MS = 300;
/** Longer than a lease and a silence: then others acknowledge without it. */
const DOWN_MS = [10, 5000] as const;
const STILL_MS = [50, 5000] as const;

export async function playRounds(pool: RealPool, rounds: Rounds): Promise<Verdict> {
  const random = new Prng(rounds.seed, 'petal-rounds');
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, (_, at) => pool.client(`h${at}`)),
  );
  const [{ world }] = clients as [OpenClient, ...OpenClient[]];
  const history = new History(world);
  const conditionals = new Conditionals(CONDITIONAL_BLOCKS);
  let isOver = false;
  const load = clients.flatMap((client, at) =>
    lanesOf(client, at, history, conditionals, random, () => isOver),
  );
  const loaded = Promise.all(load);
  for (const [at, trouble] of rounds.troubles.entries()) {
    await sleepMs(LOAD_BEFORE_MS);
    const server = pool.servers[random.below(pool.servers.length)] as number;
    const startMs = performance.now();
    const told = await strike(pool, trouble, server, random);
    await Promise.race([becomesClean(pool, CLEAN_MS), loaded]);
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    rounds.onRound(`round ${at + 1}: s${server} ${told}; all in sync after ${seconds} s`);
  }
  isOver = true;
  await loaded;
  const [{ pool: first }] = clients as [OpenClient, ...OpenClient[]];
  let unreadable = await readAll(history, first);
  for (const server of rounds.readsEveryCopy ? pool.servers : []) {
    await pool.kill(server);
    unreadable += await readAll(history, first);
    pool.start(server);
    await becomesClean(pool, CLEAN_MS);
  }
  for (const client of clients) await client.close();
  const problem =
    unreadable > 0
      ? `${unreadable} blocks cannot be read`
      : (history.conflict() ?? conditionals.problems[0] ?? null);
  const operations = history.operations.length;
  return { problem, operations, conditionalWrites: conditionals.written };
}

/** How many blocks cannot be read. */
async function readAll(history: History, pool: OpenClient['pool']): Promise<number> {
  const blocks = Array.from({ length: CLIENTS * BLOCKS }, (_, at) => EXTENT_BLOCKS + at);
  const statuses = await Promise.all(blocks.map((block) => history.read(pool, block)));
  return statuses.filter((status) => status !== PoolStatus.ok).length;
}

async function strike(
  pool: RealPool,
  trouble: Trouble,
  server: number,
  random: Prng,
): Promise<string> {
  if (trouble === 'pause') {
    const forMs = Math.round(random.between(...STILL_MS));
    await pool.pause(server, forMs);
    return `stood still for ${forMs} ms`;
  }
  const forMs = Math.round(random.between(...DOWN_MS));
  await pool.kill(server);
  await sleepMs(forMs);
  pool.start(server);
  return `was killed, and started ${forMs} ms later`;
}

/** Each lane writes blocks of its own, and reads those of all. */
function lanesOf(
  { pool }: OpenClient,
  client: number,
  history: History,
  conditionals: Conditionals,
  random: Prng,
  isOver: () => boolean,
): Promise<void>[] {
  const first = EXTENT_BLOCKS + client * BLOCKS;
  const lane = async (number: number): Promise<void> => {
    const draws = random.fork(`client ${client}, lane ${number}`);
    while (!isOver()) {
      const own = first + number + LANES * draws.below(BLOCKS / LANES);
      const any = EXTENT_BLOCKS + draws.below(CLIENTS * BLOCKS);
      const what = draws.below(8);
      if (what === 0) await conditionals.turn(pool, draws);
      else if (what < 5) await history.write(pool, own);
      else await history.read(pool, any);
      await sleepMs(1);
    }
  };
  return Array.from({ length: LANES }, (_, number) => lane(number));
}
