/**
 * Tests that take long and find little that others do not: they run where `STORDOM_LONG` is 1, as
 * in the continuous integration, one after the other in a file, and are shown as skipped elsewhere.
 */
import test from 'ava';

export const isLong: boolean = process.env['STORDOM_LONG'] === '1';

/** As `test.serial`, or skipped with its title. */
export const longTest: typeof test.serial | typeof test.skip = isLong ? test.serial : test.skip;
