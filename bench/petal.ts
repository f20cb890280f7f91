/**
 * `bench petal`: a pool of two copies in processes of its own, against bare loops over the same
 * disk and the same kind of socket.
 *
 * - `petal.write.qd32.vs-rawlog`: durable writes of 4 KiB on two copies, 32 under way, over a loop
 *   that appends 32 blocks to one file and syncs it.
 * - `petal.read.qd32.vs-socket`: reads of 4 KiB from the servers' page cache over a bare exchange
 *   of 28 bytes for 4 KiB.
 * - `petal.takeover.s`: from the SIGKILL of a primary to the next acknowledged write, detection
 *   included, without the lease that must be waited out.
 * - `petal.failed.read.ratio`: in the simulator, reads of eight servers at saturation of which one
 *   has failed, over those of all eight.
 *
 * A line measures, and says what its targets are: one more is one more entry of `LINES`.
 */
import type { BenchTarget } from '../src/cli/bench-output.ts';
import { type BenchOptions, type BenchResult, medianOf, spreadOf, target } from './bench-result.ts';
import { describeMachine, ForeignLoad } from './machine.ts';
import { failedReads } from './petal-failed-reads.ts';
import {
  measureReads,
  measureTakeovers,
  measureWrites,
  type PetalScale,
  type SpeedLine,
} from './petal-lines.ts';

const FULL: PetalScale = { rounds: 7, roundMs: 1500, warmUpMs: 3000, takeovers: 5, servers: 8 };
const QUICK: PetalScale = { rounds: 1, roundMs: 100, warmUpMs: 100, takeovers: 1, servers: 4 };
/** 7 of 8 servers are 0.875. */
const FAILED_READ_GOAL: readonly [number, number] = [0.84, 0.95];

interface Measured {
  readonly targets: readonly BenchTarget[];
  readonly sample: object;
}

interface Line {
  readonly name: string;
  readonly measure: (scale: PetalScale) => Promise<Measured>;
}

const LINES: readonly Line[] = [
  {
    name: 'write.qd32',
    measure: async (scale) => speeds('write.qd32.vs-rawlog', 0.25, await measureWrites(scale)),
  },
  {
    name: 'read.qd32',
    measure: async (scale) => speeds('read.qd32.vs-socket', 0.5, await measureReads(scale)),
  },
  {
    name: 'takeover',
    measure: async (scale) => {
      const seconds = await measureTakeovers(scale);
      const targets = [target('petal.takeover.s', medianOf(seconds), 'lower', 1)];
      return { targets, sample: { seconds: spreadOf(seconds) } };
    },
  },
  {
    name: 'failed.read',
    measure: async ({ servers }) => {
      const { value, samples } = await failedReads({ servers });
      const [low, high] = FAILED_READ_GOAL;
      const ok = value >= low && value <= high;
      const goal = FAILED_READ_GOAL;
      const id = 'petal.failed.read.ratio';
      return { targets: [{ id, value, goal, better: 'range', ok }], sample: { ...samples[0] } };
    },
  },
];

export async function run(options: BenchOptions = {}): Promise<BenchResult> {
  const scale = options.quick === true ? QUICK : FULL;
  const machine = describeMachine();
  const targets: BenchTarget[] = [];
  const samples: object[] = [];
  for (const { name, measure } of LINES) {
    const load = new ForeignLoad();
    const measured = await measure(scale);
    targets.push(...measured.targets);
    samples.push({ line: name, ...measured.sample, foreignCores: load.cores() });
  }
  return { bench: 'petal', machine, runs: scale.rounds, targets, samples };
}

function speeds(id: string, goal: number, { petalSpeeds, baseSpeeds }: SpeedLine): Measured {
  const ratios = petalSpeeds.map((speed, round) => speed / (baseSpeeds[round] ?? Number.NaN));
  return {
    targets: [target(`petal.${id}`, medianOf(ratios), 'higher', goal)],
    sample: {
      petalPerSecond: spreadOf(petalSpeeds),
      basePerSecond: spreadOf(baseSpeeds),
      ratios: spreadOf(ratios),
    },
  };
}
