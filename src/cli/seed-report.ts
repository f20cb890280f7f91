/**
 * What a sweep keeps of a seed, and what it prints of one that failed: enough to repeat it, and to
 * know whether the repetition is of the same program.
 */
import { formatCount } from '../base/format-units.ts';
import { type Coverage, coverageOf } from '../experiments/coverage.ts';
import type { Check } from '../experiments/result.ts';
import type { SimBug } from '../experiments/sim-crash.ts';
import { clausesOf, type Policy } from '../parallax/vdi/policy.ts';
import { changeText, configLines, faultText } from './fault-text.ts';
import type { SeedRun } from './seed-run.ts';

/** Events printed by the command that repeats a seed. */
const TRACE_LAST = 200;

/** Structured-cloneable. */
export interface SeedReport {
  readonly seed: number;
  readonly ok: boolean;
  readonly broken: readonly Check[];
  /** How two runs of the seed differ, in words; null if they are the same or were not compared. */
  readonly difference: string | null;
  /** Events and their hash are null in threads. */
  readonly events: number | null;
  readonly hash: string | null;
  readonly durationNs: number;
  readonly driverKills: number;
  readonly guestKills: number;
  readonly replayedRequests: number;
  /** How long the Petal pool took to be clean when faults were over; null: none, or it was not. */
  readonly poolCleanAfterNs: number | null;
  readonly coverage: Coverage;
  readonly config: readonly string[];
  readonly faults: readonly string[];
  /** What threads played otherwise than drawn. */
  readonly changes: readonly string[];
}

export interface RepeatFlags {
  readonly plant: SimBug;
  readonly calm: boolean;
  readonly beyondContract: boolean;
  readonly images: Policy | null;
  readonly petal: number;
  readonly moves: boolean;
  readonly world: 'threads' | 'sim';
}

export function reportOf(seedRun: SeedRun, difference: string | null): SeedReport {
  const { seed, run, checks, durationNs, sim, scenario, changes } = seedRun;
  const broken = checks.filter(({ ok }) => !ok);
  return {
    seed,
    ok: broken.length === 0 && difference === null,
    broken,
    difference,
    events: sim?.events ?? null,
    hash: sim?.hash ?? null,
    durationNs,
    driverKills: run.hosts.reduce((sum, { outages }) => sum + outages.length, 0),
    guestKills: run.guests.reduce((sum, { kills }) => sum + kills, 0),
    replayedRequests: run.guests.reduce((sum, guest) => sum + guest.replayedRequests, 0),
    poolCleanAfterNs: run.health?.cleanAfterNs ?? null,
    coverage: coverageOf(run),
    config: configLines(scenario),
    faults: scenario.faults.map(faultText),
    changes: changes.map(changeText),
  };
}

export function failureLines(report: SeedReport, commit: string, flags: RepeatFlags): string[] {
  const { seed, events, hash, broken, difference, config, faults, changes } = report;
  const end =
    events === null ? 'in threads' : `ended at event ${formatCount(events)}, hash ${hash}`;
  return [
    `seed ${seed}: ${end}`,
    `  commit ${commit}`,
    ...config.map((line) => `  ${line}`),
    ...faults.map((line) => `  fault: ${line}`),
    ...changes.map((line) => `  in threads: ${line}`),
    ...broken.map(({ name, text }) => `  ✘ ${name}: ${text.split('\n').join('\n    ')}`),
    ...(difference === null ? [] : [`  ✘ ${difference.split('\n').join('\n    ')}`]),
    `  again: ${repeatCommand(seed, flags, difference !== null)}`,
    ...(events === null ? ['  Threads promise nothing of a seed: it may pass next time.'] : []),
  ];
}

/** The command that shows a seed again, with its last events; `--twice` if two runs differed. */
export function repeatCommand(seed: number, flags: RepeatFlags, differed: boolean): string {
  const { plant, calm, beyondContract, images, petal, moves, world } = flags;
  const how = differed ? '--twice' : `--trace ${TRACE_LAST}`;
  return [
    `stordom sim crash --seed ${seed}`,
    world === 'sim' ? how : '--world threads',
    ...(calm ? ['--calm'] : []),
    ...(beyondContract ? ['--beyond-contract'] : []),
    ...(images === null ? [] : [`--images ${clausesOf(images).name}`]),
    ...(petal === 0 ? [] : [`--petal ${petal}`]),
    ...(moves ? ['--moves'] : []),
    ...(plant === 'none' ? [] : [`--plant ${plant}`]),
  ].join(' ');
}
