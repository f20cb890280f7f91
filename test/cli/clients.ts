/**
 * Tests that need programs of others. Where one is missing they are skipped, visibly: their titles
 * name the Debian package that has it. With `STORDOM_CLIENTS=all`, as in the continuous
 * integration, none may be missing, and such a test fails.
 */
import test, { type TestFn } from 'ava';
import { isInstalled } from './programs.ts';

const mayBeMissing = process.env['STORDOM_CLIENTS'] !== 'all';

/** Skips where one of the programs is missing. */
export function where(...programs: readonly string[]): TestFn['serial'] | TestFn['skip'] {
  return whereThereIs(programs.every(isInstalled));
}

/** Skips where there is not what the test needs. */
export function whereThereIs(all: boolean): TestFn['serial'] | TestFn['skip'] {
  return all || !mayBeMissing ? test.serial : test.skip;
}
