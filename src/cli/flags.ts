/**
 * Flags that several commands share, and how values of flags are read.
 *
 * Every reader throws a `UsageError` that names the flag, what was given, what is accepted and,
 * where one is near, the name that was meant. Commander itself does the same for unknown flags and
 * commands.
 */
import type { Command } from 'commander';
import { UsageError } from '../base/errors.ts';
import { nearest } from './nearest.ts';

export interface CommonFlags {
  readonly out?: string;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly seed: number;
}

export const DEFAULT_SEED = 1;
/** Seeds are what fits 32 bits: enough, and easy to type. */
const SEED_MAX = 2 ** 32 - 1;

/** Adds `--out --json --quiet --seed`. */
export function addCommonFlags(command: Command): Command {
  return command
    .option('--out <dir>', 'run folder to write; must be new or empty (default: runs/<name>)')
    .option('--json', 'print the result as JSON on stdout, and nothing else there', false)
    .option('--quiet', 'print the verdict only, and no progress line', false)
    .option('--seed <n>', 'seed of everything that is drawn', readSeed('--seed'), DEFAULT_SEED);
}

/** Makes `--help` of a command end with two examples that run as printed. */
export function addExamples(command: Command, first: string, second: string): Command {
  return command.addHelpText('after', `\nExamples:\n  $ ${first}\n  $ ${second}`);
}

export interface CountRange {
  readonly from: number;
  readonly to: number;
}

/** A reader of whole numbers in a range. */
export function readCount(flag: string, { from, to }: CountRange): (text: string) => number {
  return (text) => {
    const count = Number(text);
    if (/^\d+$/.test(text) && count >= from && count <= to) return count;
    throw new UsageError(
      'E_FLAG_COUNT',
      `${flag}: ${JSON.stringify(text)} is not usable; expected a whole number from ${from} to ` +
        `${to}; write for example ${flag} ${Math.min(Math.max(from, 2), to)}`,
      { fields: { flag, given: text, from, to } },
    );
  };
}

export function readSeed(flag: string): (text: string) => number {
  return readCount(flag, { from: 0, to: SEED_MAX });
}

/** A reader of one of several names. */
export function readChoice<const T extends string>(
  flag: string,
  names: readonly T[],
): (text: string) => T {
  return (text) => {
    const found = names.find((name) => name === text);
    if (found !== undefined) return found;
    throw unknownName(flag, text, names);
  };
}

/** The refusal of a name that is none of `names`. */
export function unknownName(place: string, given: string, names: readonly string[]): UsageError {
  const meant = nearest(given, names);
  const hint = meant === null ? '' : `; did you mean ${meant}?`;
  return new UsageError(
    'E_FLAG_NAME',
    `${place}: ${JSON.stringify(given)} is unknown; expected ${listed(names)}${hint}`,
    { fields: { place, given, expected: names.join(' '), meant } },
  );
}

/** `a, b or c`. */
function listed(names: readonly string[]): string {
  const last = names[names.length - 1] ?? '';
  return names.length < 2 ? last : `${names.slice(0, -1).join(', ')} or ${last}`;
}

/** Of two flags that exclude each other: says why, and what to leave out. */
export function contradiction(flags: string, why: string, remedy: string): UsageError {
  return new UsageError('E_FLAGS', `${flags}: ${why}; ${remedy}`, { fields: { flags } });
}
