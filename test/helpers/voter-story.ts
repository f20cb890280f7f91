/**
 * A story of voters in trouble: clients that read, write and swap, and somebody who kills, cuts
 * off, pauses and restarts voters as the seed says. What the clients saw is the history to be
 * judged.
 */
import { StorageError } from '../../src/base/errors.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { Directory } from '../../src/world/directory.ts';
import type { SimVoters } from '../../src/world/sim/sim-voters.ts';
import type { VoterBug } from '../../src/world/voters/voter.ts';
import { runStory, type SimVotersBench, simVotersBench } from './directory-bench.ts';
import { type RegisterOperation, registerProblem } from './register-history.ts';

export interface VoterStory {
  /** Null: nothing. */
  readonly problem: string | null;
  readonly counts: VoterCounts;
}

export interface VoterCounts {
  operations: number;
  unknown: number;
  leaders: number;
  troubles: number;
}

const CLIENTS = ['c0', 'c1', 'c2'] as const;
const KEYS = ['k/a', 'k/b', 'k/c'] as const;
const OPERATIONS = 40;
const KEPT_ENTRIES_MAX = 1_500;

export async function voterStory(seed: number, bug: VoterBug | 'none'): Promise<VoterStory> {
  const count = seed % 3 === 0 ? 5 : 3;
  // Slow disks of some seeds leave long moments in which much is not durable yet.
  const disks = seed % 2 === 0 ? {} : { writeNs: 4_000_000, flushNs: 8_000_000 };
  const bench = simVotersBench(seed, count, { logBytes: 16_384, bug }, disks);
  const random = bench.simulator.stream('story');
  const history: RegisterOperation[] = [];
  const counts: VoterCounts = { operations: 0, unknown: 0, leaders: 0, troubles: 0 };
  let problem: string | null = null;
  try {
    await runStory(bench.simulator, async () => {
      const clients = CLIENTS.map((name) => {
        return bench.client(name, { timeoutNs: 700e6, attemptNs: 60e6 });
      });
      let over = false;
      const troubled = trouble(bench, random.fork('trouble'), () => over, counts);
      await Promise.all(
        clients.map((client, i) => useKeys(bench, client, i, random.fork(`${i}`), history)),
      );
      over = true;
      await troubled;
      bench.voters.heal();
      await readAll(bench, clients[0] as Directory, history);
      await bench.world.timers.sleep(1e9);
      problem = convergenceProblem(bench.voters);
    });
  } catch (thrown) {
    problem = thrown instanceof Error ? thrown.message : String(thrown);
  }
  counts.operations += history.length;
  counts.unknown += history.filter(({ ackNs }) => ackNs === Number.POSITIVE_INFINITY).length;
  return { problem: problem ?? registerProblem(history), counts };
}

async function useKeys(
  { simulator, world }: SimVotersBench,
  client: Directory,
  number: number,
  random: Prng,
  history: RegisterOperation[],
): Promise<void> {
  const versions = new Map<string, number>();
  for (let i = 1; i <= OPERATIONS; i++) {
    await world.timers.sleep(random.below(60_000_000));
    const key = random.pick(KEYS);
    const invokeNs = simulator.nowNs;
    const value = number * 1000 + i;
    const known = versions.get(key);
    const draw = random.below(10);
    if (draw < 5) {
      const entries = draw < 4 ? [await quiet(client.get(key))] : await quiet(client.list('k/'));
      for (const entry of entries ?? []) {
        if (entry === undefined || (entry !== null && entry.key !== key)) continue;
        versions.set(key, entry?.version ?? 0);
        history.push(readOf(key, entry, invokeNs, simulator.nowNs));
      }
    } else {
      const swaps = draw < 8 && known !== undefined;
      const comparisons = swaps ? [{ key, version: known }] : [];
      const change = { key, value: new Uint8Array(new Uint32Array([value]).buffer) };
      const made = await quiet(client.txn(comparisons, [change]));
      if (made === false) continue;
      const ackNs = made === true ? simulator.nowNs : Number.POSITIVE_INFINITY;
      const version = swaps ? known : -1;
      history.push({ key, kind: 'write', value, invokeNs, ackNs, version });
    }
  }
}

function readOf(
  key: string,
  entry: { readonly value: Uint8Array; readonly version: number } | null,
  invokeNs: number,
  ackNs: number,
): RegisterOperation {
  const value = entry === null ? 0 : new DataView(entry.value.slice().buffer).getUint32(0, true);
  return { key, kind: 'read', value, invokeNs, ackNs, version: entry?.version ?? 0 };
}

/** What it settles with; undefined if the directory did not answer. */
async function quiet<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (thrown) {
    if (thrown instanceof StorageError && thrown.code === 'E_DIRECTORY') return undefined;
    throw thrown;
  }
}

async function trouble(
  { simulator, voters, world }: SimVotersBench,
  random: Prng,
  over: () => boolean,
  counts: VoterCounts,
): Promise<void> {
  let leader = -1;
  while (!over()) {
    await world.timers.sleep(random.between(10, 250) * 1e6);
    if (voters.leader !== leader) counts.leaders += 1;
    leader = voters.leader;
    strike(voters, random, simulator.seed);
    counts.troubles += 1;
    for (let i = 0; i < voters.count; i++) if (random.chance(0.4)) voters.restart(i);
  }
}

function strike(voters: SimVoters, random: Prng, seed: number): void {
  const one = random.below(voters.count);
  const victim = voters.leader >= 0 && random.chance(0.6) ? voters.leader : one;
  const direction = random.pick(voters.directions());
  // A seed has some kinds of trouble and not others.
  const kinds = Array.from({ length: 9 }, (_, kind) => kind).filter(
    (kind) => (seed + kind) % 3 !== 0,
  );
  switch (random.pick(kinds)) {
    case 0:
      return voters.kill(victim);
    case 1:
      return voters.powerCut(victim);
    case 2: {
      for (let i = 0; i < voters.count; i++) voters.powerCut(i);
      return;
    }
    case 3:
      return voters.pause(victim, random.between(20, 500) * 1e6);
    case 4: {
      const far = [...CLIENTS, ...Array.from({ length: voters.count }, (_, i) => i)];
      const side = far.filter(() => random.chance(0.4));
      return voters.partition([side, far.filter((who) => !side.includes(who))]);
    }
    case 5:
      return direction.cut();
    case 6:
      return random.chance(0.5) ? direction.clog() : direction.unclog();
    case 7: {
      const share = random.pick([0, 0.05, 0.3]);
      for (const each of voters.directions()) {
        each.set({ loss: share, duplicate: share, reorder: share, reorderNs: 80e6 });
      }
      return;
    }
    default:
      for (const each of voters.directions()) {
        each.heal();
        each.unclog();
      }
  }
}

/** All is well again: within a few tries the directory answers. */
async function readAll(
  { simulator }: SimVotersBench,
  client: Directory,
  history: RegisterOperation[],
): Promise<void> {
  for (let tries = 0; tries < 10; tries++) {
    const invokeNs = simulator.nowNs;
    const entries = await quiet(client.list('k/'));
    if (entries === undefined) continue;
    for (const key of KEYS) {
      const entry = entries.find((each) => each.key === key) ?? null;
      history.push(readOf(key, entry, invokeNs, simulator.nowNs));
    }
    return;
  }
  throw new Error('all is healed, and the directory does not answer');
}

function convergenceProblem(voters: SimVoters): string | null {
  const [first, ...others] = Array.from({ length: voters.count }, (_, i) => voters.voter(i));
  const state = first?.state().join() ?? '';
  for (const voter of others) {
    if (voter?.applied !== first?.applied) return 'a voter is behind though all is healed';
    if (voter?.state().join() !== state) return 'two voters have made different states';
    if ((voter?.keptEntries ?? 0) > KEPT_ENTRIES_MAX) return 'a log is never cut';
  }
  return null;
}
