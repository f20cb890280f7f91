/**
 * `stordom sim SCENARIO`: runs seeds of the deterministic simulator over all cores, or one seed to
 * look at, or the same scenarios over threads. A seed that fails is told with what it broke and
 * with the one command that shows it again.
 */
import { availableParallelism } from 'node:os';
import { type Command, Option } from 'commander';
import { UsageError } from '../base/errors.ts';
import { POOL_BUGS, type SimBug } from '../experiments/sim-crash.ts';
import { type Policy, parsePolicy } from '../parallax/vdi/policy.ts';
import { IMAGE_BUGS, PLANTED_BUGS } from '../world/faults.ts';
import {
  addExamples,
  contradiction,
  readChoice,
  readCount,
  readSeed,
  unknownName,
} from './flags.ts';
import { runOneSeed } from './sim-one.ts';
import { runSeeds, type SeedRange } from './sim-sweep.ts';

const SCENARIOS = ['crash'];
const SEEDS_DEFAULT: SeedRange = { from: 1, to: 100 };
const SEEDS_MAX = 10_000_000;
const TRACE_MAX = 1_000_000;
const JOBS_MAX = 256;
const SERVERS_MIN = 2;
const SERVERS_MAX = 16;
const WORLDS = ['sim', 'threads'] as const;

interface SimFlags {
  readonly seeds?: SeedRange;
  readonly seed?: number;
  readonly trace?: number;
  readonly twice: boolean;
  readonly jobs?: number;
  readonly world: (typeof WORLDS)[number];
  readonly calm: boolean;
  readonly beyondContract: boolean;
  /** Disks are images with this write-back policy; null: files and memory. */
  readonly images: Policy | null;
  /** The store of the images is on so many Petal servers; 0: in a file. */
  readonly petal: number;
  /** Images move between hosts by plan. */
  readonly moves: boolean;
  readonly plant: SimBug;
  readonly json: boolean;
  readonly quiet: boolean;
}

export function addSimCommand(program: Command): void {
  const command = program
    .command('sim')
    .description('run seeds of the deterministic simulator and judge each')
    .argument('<scenario>', `what to run: ${SCENARIOS.join(' or ')}`)
    .option('--seeds <a..b>', 'seeds to run, both ends included (default: 1..100)', readSeeds)
    .option('--seed <n>', 'one seed, with its story', readSeed('--seed'))
    .option(
      '--trace <last>',
      'with --seed: print the last events too',
      readCount('--trace', { from: 1, to: TRACE_MAX }),
    )
    .option('--twice', 'run every seed twice and compare the two, event by event', false)
    .option('--calm', 'no faults at all: nothing must be reported', false)
    .option('--beyond-contract', 'disks may lie, and what they break must be reported', false)
    .option(
      '--images <policy>',
      'disks are images of a store, written back by W0 to W5',
      parsePolicy,
      null,
    )
    .option(
      '--petal <n>',
      'with --images: the store is on so many Petal servers, with two copies or three',
      readCount('--petal', { from: SERVERS_MIN, to: SERVERS_MAX }),
      0,
    )
    .option('--moves', 'with --images: images move by plan, and no host is taken for dead', false)
    .option(
      '--jobs <n>',
      'threads (default: one a core)',
      readCount('--jobs', { from: 1, to: JOBS_MAX }),
    )
    .option(
      '--world <world>',
      'sim, or threads: the same scenarios in real time, of which no seed promises anything',
      readChoice('--world', WORLDS),
      'sim' as const,
    )
    .option('--json', 'print one JSON value on stdout', false)
    .option('--quiet', 'print the verdict only, and no progress line', false)
    .addOption(
      new Option('--plant <bug>', 'switch a built-in bug on, to see the checks bite')
        .argParser(readChoice('--plant', [...PLANTED_BUGS, ...IMAGE_BUGS, ...POOL_BUGS, 'none']))
        .default('none')
        .hideHelp(),
    )
    .action(sim);
  addExamples(
    command,
    'stordom sim crash --seeds 1..10 --twice',
    'stordom sim crash --seed 7 --world threads',
  );
}

async function sim(scenario: string, flags: SimFlags): Promise<void> {
  if (!SCENARIOS.includes(scenario)) throw unknownName('sim SCENARIO', scenario, SCENARIOS);
  const { seed, seeds, trace, twice } = flags;
  if (seed !== undefined && seeds !== undefined) {
    throw contradiction('--seed with --seeds', 'one seed or a range', 'leave one of them out');
  }
  if (trace !== undefined && (seed === undefined || twice)) {
    throw contradiction(
      twice ? '--trace with --twice' : '--trace',
      'events are printed of one run of one seed',
      twice ? 'leave one of them out' : 'add --seed N',
    );
  }
  if (flags.calm && flags.beyondContract) {
    throw contradiction('--calm with --beyond-contract', 'no faults or lying disks', 'choose one');
  }
  const ofImages: readonly SimBug[] = IMAGE_BUGS;
  if (flags.images === null && ofImages.includes(flags.plant)) {
    throw contradiction(
      `--plant ${flags.plant} without --images`,
      'the bug is in code that only images run',
      'add --images W2',
    );
  }
  checkStore(flags);
  refuseInThreads(flags);
  const one = seed === undefined ? undefined : { from: seed, to: seed };
  if (seed !== undefined && !twice) {
    process.exitCode = await runOneSeed(seed, { ...flags, trace: trace ?? 0 });
    return;
  }
  const jobs = flags.jobs ?? availableParallelism();
  process.exitCode = await runSeeds(seeds ?? one ?? SEEDS_DEFAULT, { ...flags, jobs });
}

function checkStore({ petal, images, beyondContract, plant, moves }: SimFlags): void {
  if (petal > 0 && images === null) {
    throw contradiction('--petal without --images', 'files need no pool', 'add --images W2');
  }
  if (petal > 0 && beyondContract) {
    const why = 'disks of servers do not lie so far';
    throw contradiction('--petal with --beyond-contract', why, 'leave one of them out');
  }
  if (moves && images === null) {
    throw contradiction('--moves without --images', 'files do not move', 'add --images W2');
  }
  const ofServers: readonly string[] = POOL_BUGS;
  if (petal === 0 && ofServers.includes(plant)) {
    const why = 'the bug is in code that only servers run';
    throw contradiction(`--plant ${plant} without --petal`, why, 'add --images W2 --petal 4');
  }
}

/** Of threads no two runs are the same, nothing is logged event by event, and one run is enough. */
function refuseInThreads({ world, trace, twice, jobs, petal }: SimFlags): void {
  if (world !== 'threads') return;
  const given = { '--trace': trace !== undefined, '--twice': twice, '--jobs': jobs !== undefined };
  if (petal > 0) {
    throw contradiction(
      '--petal with --world threads',
      'servers need the simulator so far',
      'leave one of them out',
    );
  }
  for (const [flag, isGiven] of Object.entries(given)) {
    if (!isGiven) continue;
    throw contradiction(
      `${flag} with --world threads`,
      'threads have no events to print or compare, and take all cores for one seed',
      'leave one of them out',
    );
  }
}

function readSeeds(text: string): SeedRange {
  const match = /^(\d+)\.\.(\d+)$/.exec(text);
  const from = Number(match?.[1]);
  const to = Number(match?.[2]);
  if (match !== null && from <= to && to < 2 ** 32 && to - from < SEEDS_MAX) return { from, to };
  throw new UsageError(
    'E_SEEDS',
    `--seeds: ${JSON.stringify(text)} is no range of seeds; expected A..B with A <= B < 2^32 and ` +
      `at most ${SEEDS_MAX} seeds, as 1..1000`,
    { fields: { given: text } },
  );
}
